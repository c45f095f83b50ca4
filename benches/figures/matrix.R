# Four workers that each do `X %*% y` on one matrix of 800 MB: how long that takes, and how much memory all have together.

run <- function(group) {
  X <- matrix(rnorm(1e6) + numeric(1e8), 1e4)
  measured <- list()
  for (name in c("clusterExport() alone", names(able_systems("ordinary")))) {
    system <- if (name %in% names(all_systems)) systems(name)[[1]]
    got <- with_workers(4L, function(cluster) {
      before <- sum(unlist(everywhere(cluster, settled)))
      start <- now()
      if (is.null(system)) {
        everywhere(cluster, take_plain, X)
      } else {
        shared <- system$share(X)
        everywhere(cluster, take_shared, name, system$send(shared))
      }
      delivered <- now() - start
      seconds <- vapply(1:5, function(k) {
        start <- now()
        everywhere(cluster, multiply)
        now() - start
      }, 0)
      list(delivered = delivered, seconds = seconds, pss = sum(unlist(everywhere(cluster, settled))) - before)
    })
    measured[[name]] <- got
    rm(system)
    gc()
  }
  called <- function(field, by = 1) {
    values <- lapply(measured, function(got) got[[field]] * by)
    values[c("cowshed", setdiff(names(values), "cowshed"))]
  }
  seconds <- do.call(cbind, called("seconds"))
  ratios(group, "4 workers, X %*% y, 800 MB each", seconds[, c("clusterExport() alone", setdiff(colnames(seconds), "clusterExport() alone"))])
  figure(group, "delivered to 4 workers", "s", called("delivered"))
  figure(group, "memory of the 4 workers (PSS)", "MB", called("pss", 1e-6), wanted = 820)
}

# ---- in a worker ----

take_plain <- function(X) {
  assign("X", X, globalenv())
  invisible()
}

take_shared <- function(name, sent) {
  assign("X", systems(name)[[1]]$receive(sent), globalenv())
  invisible()
}

settled <- function() {
  gc(full = TRUE)
  memory("Pss")
}

multiply <- function() {
  X <- get("X", globalenv())
  sum(X %*% rep(1, ncol(X)))
}
