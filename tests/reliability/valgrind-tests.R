# Runs files of the R tests under valgrind: R -d valgrind -f tests/reliability/valgrind-tests.R --args NAME..., as in test-NAME.R.
#
# What counts is what valgrind says. Tests may fail there, because long doubles have 64 bits and all is slow; they are only listed.

library(testthat)
library(cowshed)
Sys.setenv(NOT_CRAN = "true")

for (name in commandArgs(TRUE)) {
  results <- as.data.frame(test_dir(
    "rpkg/tests/testthat", filter = paste0("^", name, "$"), package = "cowshed", load_package = "installed",
    reporter = SummaryReporter$new(show_praise = FALSE, max_reports = Inf), stop_on_failure = FALSE
  ))
  cat(sprintf("\n%s: %d passed, %d failed, %d skipped\n", name, sum(results$passed), sum(results$failed) + sum(results$error), sum(results$skipped)))
}
