# Runs the R tests against the installed package: Rscript tools/testthat.R COUNTS
#
# Writes "passed failed skipped", counted in expectations, into the file COUNTS; an error in a test is one failure.

counts <- commandArgs(TRUE)[[1]]

results <- testthat::test_dir(
  "rpkg/tests/testthat",
  package = "cowshed",
  load_package = "installed",
  # Names each file as it goes, so that the log of an R that died tells where.
  reporter = testthat::SummaryReporter$new(show_praise = FALSE, max_reports = Inf),
  stop_on_failure = FALSE
)
results <- as.data.frame(results)

failed <- sum(results$failed) + sum(results$error)
cat(sum(results$passed), failed, sum(results$skipped), "\n", file = counts)
quit(status = if (failed > 0) 1 else 0)
