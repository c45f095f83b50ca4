# How the cost grows: with the size, from 1 kB to 4 GB, and with the number of workers, from 1 to 8.
#
# Lines in the plots are cowshed, and the machine's own limit for the same bytes.

run <- function(group) {
  store <- cowshed:::store_path()
  # The vector, its shared copy, a plain one in the worker, and room to breathe.
  largest <- min(4 * 2^30, free_memory() / 4)
  sizes <- 4^(5:16)
  sizes <- sizes[sizes <= largest]
  with_worker(function(worker) {
    for (size in sizes) {
      x <- rnorm(min(size / 8, 1e6)) + numeric(size / 8)
      rounds <- if (size > 2^28) 3L else 7L
      each <- max(1L, as.integer(2^22 / size))
      bare <- times(list(limit = function() limits$write(x, store), cowshed = function() cowshed::share(x)), rounds, each)
      curve(group, "share()", "bytes", size, bare)
      there(worker, make_plain, length(x))
      seconds <- vapply(seq_len(rounds), function(k) {
        kept <- cowshed::share(x)
        on.exit(gc(full = TRUE))
        there(worker, attach_and_touch, serialize(kept, NULL))
      }, numeric(3))
      curve(group, "attach", "bytes", size, cbind(cowshed = seconds[1, ]))
      curve(group, "first sum(x)", "bytes", size, cbind(limit = seconds[3, ], cowshed = seconds[2, ]))
      rm(x)
      gc(full = TRUE)
    }
  })
  x <- rnorm(1e7)
  for (n in 1:8) {
    with_workers(n, function(cluster) {
      before <- sum(unlist(everywhere(cluster, settled)))
      delivered <- vapply(1:5, function(k) {
        shared <- cowshed::share(x)
        start <- now()
        everywhere(cluster, take, shared)
        now() - start
      }, 0)
      curve(group, "delivering 80 MB to each worker", "workers", n, cbind(cowshed = delivered))
      everywhere(cluster, function() sum(get("x", globalenv())))
      pss <- sum(unlist(everywhere(cluster, settled))) - before
      curve(group, "memory of the workers, MB", "workers", n, cbind(cowshed = pss / 1e6), scale = 1)
    })
  }
}

free_memory <- function() {
  line <- grep("^MemAvailable:", readLines("/proc/meminfo"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) * 1024
}

# ---- in the worker ----

make_plain <- function(n) {
  assign("plain", numeric(n) + 1, globalenv())
  invisible()
}

# Seconds to attach, to `sum()` for the first time, and to `sum()` a plain vector that was read before.
attach_and_touch <- function(sent) {
  plain <- get("plain", globalenv())
  gc(full = TRUE)
  sum(plain)
  start <- now()
  x <- unserialize(sent)
  attached <- now()
  sum(x)
  first <- now()
  sum(plain)
  c(attached - start, first - attached, now() - first)
}

settled <- function() {
  gc(full = TRUE)
  memory("Pss")
}

take <- function(x) {
  assign("x", x, globalenv())
  invisible()
}
