# Shares, sends and drops a large object many times, and tells how much the store held at the most.
#
#   Rscript tests/reliability/loop.R [ROUNDS] [MEGABYTES] [ENGINE]     1000 rounds of 1 GB, through both engines, unless said otherwise
#
# Through parallel (clusterCall to two workers) and through future (multisession), which serializes a second time to measure. Fails if more than a few
# objects were there at a time, or if anything is left at the end.

suppressPackageStartupMessages({
  library(cowshed)
  library(future)
})

# future refuses to export more than 500 MB unless told otherwise. It counts what a plain object would be.
options(future.globals.maxSize = Inf)

arguments <- commandArgs(TRUE)
rounds <- if (length(arguments) >= 1) as.numeric(arguments[1]) else 1000
megabytes <- if (length(arguments) >= 2) as.numeric(arguments[2]) else 1000
engines <- if (length(arguments) >= 3) arguments[3] else c("parallel", "future")
held <- numeric()
# A process may hold a gigabyte more than it needs, or twice what it needs, before R is asked to collect.
few <- 4 + 1200 / megabytes

base <- tempfile("cowshed-loop-", if (dir.exists("/dev/shm")) "/dev/shm" else tempdir())
dir.create(base, mode = "0700")
options(cowshed.store = base)
invisible(reg.finalizer(globalenv(), function(e) unlink(base, recursive = TRUE), onexit = TRUE))

x <- as.numeric(seq_len(megabytes * 1e6 / 8)) + 0
ends <- function(x) x[1] + x[length(x)]

segments <- function() list.files(file.path(cowshed:::store_path(), "segments"), full.names = TRUE)

run <- function(engine, one) {
  most <- 0
  began <- Sys.time()
  for (i in seq_len(rounds)) {
    y <- share(x)
    stopifnot(identical(one(y), ends(x)))
    rm(y)
    most <- max(most, sum(file.size(segments())) / 1e6)
  }
  gc()
  Sys.sleep(0.1)
  cat(sprintf("%-22s %d rounds of %d MB: the store held %.0f MB at the most (%.1f objects), %.2f s a round\n",
              engine, rounds, megabytes, most, most / megabytes, as.numeric(Sys.time() - began, units = "secs") / rounds))
  most / megabytes
}

if ("parallel" %in% engines) {
  cl <- parallel::makePSOCKcluster(2)
  invisible(parallel::clusterEvalQ(cl, library(cowshed)))
  held <- run("parallel, 2 workers", function(y) parallel::clusterCall(cl, ends, y)[[2]])
  parallel::stopCluster(cl)
}
if ("future" %in% engines) {
  plan(multisession, workers = 2)
  held <- c(held, run("future, multisession", function(y) value(future(ends(y)))))
  plan(sequential)
}

pruneSharedObjects()
left <- length(segments())
cat(sprintf("left at the end: %d\n", left))
quit(status = if (all(held <= few) && left == 0) 0 else 1)
