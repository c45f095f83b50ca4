# Ways to compute something of each column of a matrix with two processes: what benches/figures/apply.R and benches/n-by-n.R compare.
#
# - A way is a function of a cluster, a matrix and a vector. Its value has the correlation of each column with the vector, in a list or vector.
# - The cluster is up before. Each way has one of its own: memshare detaches packages in its workers.
# - Time and memory of one way alone are measured in a fresh R, by alone(). Its memory is what benches/watch.R sees of it and its workers.

correlate <- function(v, y) cor(v, y)
correlate_column <- function(j, X, y) cor(X[, j], y)

ways <- list(
  parApply = function(cluster, X, y) parallel::parApply(cluster, X, 2, correlate, y = y),
  cowshed = function(cluster, X, y) cowshed::memApply(X, 2, correlate, CLUSTER = cluster, VARS = list(y = y)),
  memshare = function(cluster, X, y) {
    memshare::memApply(X = X, MARGIN = 2, FUN = correlate, NAMESPACE = "columns", CLUSTER = cluster, VARS = list(y = y))
  },
  mori = function(cluster, X, y) parallel::parLapply(cluster, seq_len(ncol(X)), correlate_column, mori::share(X), mori::share(y)),
  SharedObject = function(cluster, X, y) {
    parallel::parLapply(cluster, seq_len(ncol(X)), correlate_column, SharedObject::share(X), SharedObject::share(y))
  },
  mclapply = function(cluster, X, y) parallel::mclapply(seq_len(ncol(X)), correlate_column, X, y, mc.cores = 2L),
  apply = function(cluster, X, y) apply(X, 2, correlate, y = y)
)

# Those that can be used here.
ways_here <- function(which = names(ways)) {
  of_package <- which %in% names(all_systems)
  ways[which[!of_package | vapply(which, requireNamespace, NA, quietly = TRUE)]]
}

cluster_for <- function(way) if (!way %in% c("mclapply", "apply")) parallel::makePSOCKcluster(2L)

random_matrix <- function(rows, columns) {
  x <- rep_len(rnorm(min(1e6, rows * columns)), rows * columns)
  dim(x) <- c(rows, columns)
  x
}

check_columns <- function(way, found, X, y) {
  if (!isTRUE(all.equal(as.numeric(unlist(found)), as.numeric(cor(X, y))))) stop(way, " computed something else", call. = FALSE)
}

# What a way takes in an R of its own, its cluster being up and having been used: `seconds` of each round, and bytes of it and its workers
# `before` a call and at their highest during it, `peak`. NULL if it failed.
alone <- function(way, rows, columns, rounds) {
  file <- tempfile()
  on.exit(unlink(file))
  status <- system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", "benches/run.R", "--way", way, rows, columns, rounds, file))
  if (status == 0 && file.exists(file)) readRDS(file)
}

# In that R.
measure_way <- function(way, rows, columns, rounds, file) {
  cluster <- cluster_for(way)
  on.exit(if (!is.null(cluster)) parallel::stopCluster(cluster))
  small <- random_matrix(10, 10)
  for (k in 1:2) check_columns(way, ways[[way]](cluster, small, small[, 1]), small, small[, 1])
  X <- random_matrix(rows, columns)
  y <- rnorm(rows)
  pids <- c(Sys.getpid(), if (!is.null(cluster)) unlist(parallel::clusterCall(cluster, Sys.getpid)))
  settle <- function() {
    if (!is.null(cluster)) parallel::clusterCall(cluster, gc, full = TRUE)
    gc(full = TRUE)
  }
  settle()
  seen <- while_watched(pids, found <- ways[[way]](cluster, X, y))
  check_columns(way, found, X, y)
  rm(found)
  settle()
  seconds <- if (rounds > 0) as.vector(times(list(function() ways[[way]](cluster, X, y)), rounds))
  saveRDS(list(seconds = seconds, before = seen[[1]], peak = seen[[2]]), file)
}

# Runs code, and gives the PSS of these processes together, in bytes: before, and at its highest.
while_watched <- function(pids, code) {
  directory <- tempfile("watch-")
  dir.create(directory)
  on.exit(unlink(directory, recursive = TRUE))
  flag <- function(name) file.path(directory, name)
  wait_for <- function(name) {
    end <- now() + 60
    while (!file.exists(flag(name))) {
      if (now() > end) stop("benches/watch.R does not answer")
      Sys.sleep(0.002)
    }
  }
  system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", "benches/watch.R", directory, pids), wait = FALSE)
  on.exit(file.create(flag("stop")), add = TRUE, after = FALSE)
  wait_for("begun")
  force(code)
  file.create(flag("stop"))
  wait_for("seen")
  readRDS(flag("seen"))
}
