# The short form of tests/reliability/applies.R: workers and masters are killed, and masters interrupted, amid memApply() and named variables.

log <- suppressWarnings(system2("timeout", c("--kill-after=5", "300", file.path(R.home("bin"), "Rscript"), "--vanilla", "tests/reliability/applies.R", "12"),
                                stdout = TRUE, stderr = TRUE))
ended <- attr(log, "status")
check("12 rounds of kills amid memApply()", if (is.null(ended)) 12L else 0L, if (!is.null(ended)) paste(c(log, paste("status", ended)), collapse = "\n"))
