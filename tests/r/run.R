# Tests of the checkout's own pages against the installed package: Rscript tests/r/run.R COUNTS
#
# Runs the scripts test-*.R of this folder, each of which calls check(), and writes "passed failed skipped" into the file COUNTS.

counts <- commandArgs(TRUE)[[1]]
source("tests/r/blocks.R")

totals <- c(passed = 0L, failed = 0L, skipped = 0L)

# Counts `passed` successes and one failure for each of `problems`, which it shows.
check <- function(what, passed, problems = character(), skipped = 0L) {
  totals <<- totals + c(passed, length(problems), skipped)
  cat(sprintf("%s: %d passed, %d failed, %d skipped\n", what, passed, length(problems), skipped))
  if (length(problems) > 0L) cat(problems, sep = "\n\n")
}

for (script in list.files("tests/r", "^test-.*[.]R$", full.names = TRUE)) {
  tryCatch(sys.source(script, new.env(parent = globalenv())), error = function(e) check(script, 0L, conditionMessage(e)))
}

cat(totals, "\n", file = counts)
quit(status = if (totals[["failed"]] > 0L) 1L else 0L)
