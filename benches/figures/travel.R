# The way of a shared vector to another process: serialize() here, unserialize() there, each of objects that were never sent before.

run <- function(group) {
  with_worker(function(worker) {
    for (mb in c(0.0008, 0.8, 80)) {
      n <- if (mb < 1) 100L else 5L
      x <- rnorm(mb * 1e6 / 8)
      name <- sprintf("%g kB", mb * 1e3)
      able <- able_systems("ordinary")
      if (mb > 1) able <- c(able, systems("bigmemory"))
      measured <- lapply(able, function(system) one_way(system, worker, x, n))
      figure(group, paste("serialize and unserialize,", name), "us", lapply(measured, `[[`, "us"), wanted = 120)
      figure(group, paste("sent,", name), "bytes", lapply(measured, `[[`, "bytes"), wanted = 200)
    }
  })
}

one_way <- function(system, worker, x, n) {
  rounds <- lapply(1:7, function(round) {
    kept <- lapply(seq_len(n), function(k) system$share(x))
    gc()
    start <- now()
    sent <- lapply(kept, system$send)
    here <- (now() - start) / n
    list(us = (here + there(worker, arrive, system$receive, sent)) * 1e6, bytes = length(sent[[1]]))
  })
  list(us = vapply(rounds, `[[`, 0, "us"), bytes = vapply(rounds, `[[`, 0, "bytes"))
}

arrive <- function(receive, sent) {
  gc()
  start <- now()
  kept <- lapply(sent, receive)
  (now() - start) / length(sent)
}
