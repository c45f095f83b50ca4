# memApply() and memLapply(), beside what R has and other packages: the workload of memshare's manual (a correlation for each of 2,000 columns of
# 10,000), what a call costs that has nothing to do, its memory, its cost for each element, and how it divides unequal work.
#
# Two workers each, up before.

run <- function(group) {
  able <- ways_here()
  clusters <- lapply(setNames(nm = names(able)), cluster_for)
  on.exit(for (cluster in clusters) if (!is.null(cluster)) parallel::stopCluster(cluster))
  whole_workload(group, able, clusters)
  smallest(group, able, clusters)
  each_element(group, clusters)
  unequal(group, clusters)
  highest_memory(group)
}

whole_workload <- function(group, able, clusters) {
  X <- random_matrix(1e4, 2000)
  y <- rnorm(1e4)
  calls <- lapply(setNames(nm = names(able)), function(way) function() able[[way]](clusters[[way]], X, y))
  shared <- cowshed::share(X)
  calls[["cowshed, shared before"]] <- function() able$cowshed(clusters$cowshed, shared, y)
  for (way in names(calls)) check_columns(way, calls[[way]](), X, y)
  seconds <- times(calls, rounds = 7L)
  ratios(group, "correlations, 10,000 x 2,000", seconds, against = "parApply", wanted = 0.5)
}

smallest <- function(group, able, clusters) {
  X <- random_matrix(10, 10)
  y <- rnorm(10)
  calls <- lapply(setNames(nm = names(able)), function(way) function() able[[way]](clusters[[way]], X, y))
  for (way in names(calls)) check_columns(way, calls[[way]](), X, y)
  seconds <- times(calls, rounds = 9L)
  figure(group, "correlations, 10 x 10", "ms", ours_first(as.list(as.data.frame(seconds * 1e3))), wanted = 20)
}

each_element <- function(group, clusters) {
  X <- as.list(as.numeric(seq_len(1e5)))
  next_one <- in_workspace(function(v) v + 1)
  calls <- list(
    parLapply = function() parallel::parLapply(clusters$parApply, X, next_one),
    cowshed = function() cowshed::memLapply(X, next_one, CLUSTER = clusters$cowshed)
  )
  for (call in calls) stopifnot(identical(unlist(call()), as.numeric(seq_len(1e5)) + 1))
  seconds <- times(calls, rounds = 7L)
  ratios(group, "v + 1 of 1e5 elements", seconds)
  figure(group, "an element of 1e5", "us", ours_first(as.list(as.data.frame(seconds * 10))))
}

# Tasks that sleep: what is compared is who waits for whom, and not the processors.
unequal <- function(group, clusters) {
  seconds_of <- rep(0.002, 200)
  # All in the half that one worker of two gets where work is divided beforehand.
  seconds_of[c(10, 25, 40, 55, 70, 85)] <- 0.1
  task <- in_workspace(function(seconds) {
    Sys.sleep(seconds)
    seconds
  })
  tasks <- as.list(seconds_of)
  calls <- list(
    parLapply = function() parallel::parLapply(clusters$parApply, tasks, task),
    clusterApplyLB = function() parallel::clusterApplyLB(clusters$parApply, tasks, task),
    cowshed = function() cowshed::memLapply(tasks, task, CLUSTER = clusters$cowshed)
  )
  for (call in calls) stopifnot(identical(call(), tasks))
  ratios(group, "200 tasks, six 50 times longer", times(calls, rounds = 5L), against = c("parLapply", "clusterApplyLB"))
}

# Beyond what master and workers had before, the matrix itself among it.
highest_memory <- function(group) {
  rows <- 1e4
  columns <- 2000
  measured <- lapply(setNames(nm = setdiff(names(ways_here()), c("mclapply", "apply"))), function(way) {
    vapply(1:3, function(k) {
      found <- alone(way, rows, columns, rounds = 0L)
      if (is.null(found)) stop(way, " failed", call. = FALSE)
      (found$peak - found$before) / (8 * rows * columns)
    }, 0)
  })
  figure(group, "memory at its highest, 10,000 x 2,000", "times X", ours_first(measured), wanted = 1.3)
}

# ---- what they have in common ----

ours_first <- function(values) values[c("cowshed", setdiff(names(values), "cowshed"))]

# Functions for workers: their own environment would be sent along.
in_workspace <- function(f) {
  environment(f) <- globalenv()
  f
}
