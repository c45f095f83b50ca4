# The short form of tests/reliability/kills.R: processes that share, send, read and write are killed at random points.

log <- suppressWarnings(system2("timeout", c("--kill-after=5", "300", file.path(R.home("bin"), "Rscript"), "--vanilla", "tests/reliability/kills.R", "60"),
                                stdout = TRUE, stderr = TRUE))
ended <- attr(log, "status")
check("60 rounds of SIGKILL", if (is.null(ended)) 60L else 0L, if (!is.null(ended)) paste(c(log, paste("status", ended)), collapse = "\n"))
