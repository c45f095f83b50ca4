# What the masters of applies.R do, until they are killed or told to end: jobs of memApply() and memLapply(), and named variables. As a program,
# Rscript masters.R FILE, it is one that is an R of its own, with the plan in the file.
#
# - A plan is a list: `role`, `dir` (the round's), `store`, `grace`, `seed`, `engine` (psock, fork: workers of cowshed's own; given psock, given
#   fork: a cluster), `job` (what it does most of the time).
# - A worker that is known to work has a file `worker-PID`.
# - Whatever must not happen is a line in `wrong-ROLE`. `counts-ROLE`: what was done, by name; `errors-ROLE`: the errors that may happen when workers
#   are killed.

if (!exists("wait_until")) source("tests/reliability/actors.R")

engines <- c("psock", "fork", "given psock", "given fork")

# Of 24 columns, which is as many as have room in a segment that is mapped.
matrix_of_all <- matrix(as.numeric(1:72000), 3000, 24)
wide <- matrix(1:20000, 40, 500)

# Code for FUN: in workers nothing of this file is known.
at_work <- function() {
  mark <- paste0("worker-", Sys.getpid())
  if (!file.exists(mark)) file.create(mark)
  Sys.sleep(0.002)
}

# Each: whether it gives what it must. `...`: CLUSTER, MAX.CORES, and VARS, which has at_work() as `work`.
jobs <- list(
  "columns" = function(...) {
    identical(memApply(matrix_of_all, 2, function(v, work) { work(); sum(v) }, ...), as.list(colSums(matrix_of_all)))
  },
  "rows" = function(...) {
    identical(memApply(wide, 1, function(v, work) { work(); v[c(1, 500)] }, ...), lapply(1:40, function(i) wide[i, c(1, 500)]))
  },
  "large results" = function(...) {
    values <- memApply(matrix_of_all, 2, function(v, work) { work(); -v }, ...)
    keep_results(values)
    are_negatives(values)
  },
  "large elements" = function(...) {
    items <- lapply(1:16, function(i) i + seq_len(5000))
    values <- memLapply(items, function(v, work) { work(); list(first = v[[1]], all = rev(v)) }, ...)
    identical(values, lapply(items, function(v) list(first = v[[1]], all = rev(v))))
  },
  "captured" = function(...) {
    big <- matrix_of_all[, 1:4]
    f <- local(function(i) { work(); sum(big[i, ]) }, list2env(list(big = big, work = at_work), parent = baseenv()))
    identical(memLapply(1:20, f, ...), lapply(1:20, function(i) sum(big[i, ])))
  },
  "out" = function(...) {
    out <- share(numeric(24), copyOnWrite = FALSE)
    memApply(matrix_of_all, 2, function(v, work) { work(); sum(v) }, out = out, ...)
    identical(out[1:24], colSums(matrix_of_all))
  },
  "out, a matrix" = function(...) {
    out <- share(matrix(0, 3000, 24), copyOnWrite = FALSE)
    memApply(matrix_of_all, 2, function(v, work) { work(); -v }, out = out, ...)
    identical(out[, ], -matrix_of_all)
  },
  "random numbers" = function(...) {
    set.seed(7)
    identical(memLapply(1:20, function(i, work) { work(); stats::rnorm(3) }, ...), me$drawn)
  },
  "an error" = function(...) {
    e <- tryCatch(memLapply(1:20, function(i, work) { work(); if (i %in% c(7, 15)) stop("no ", i) else i }, ...), cowshed_error_task = identity)
    if (of_dead_workers(e)) stop(e)
    inherits(e, "cowshed_error_task") && e$index == 7
  },
  "errors collected" = function(...) {
    f <- function(i, work) { work(); if (i %in% c(7, 15)) stop("no ", i) else i }
    values <- suppressWarnings(memLapply(1:20, f, errors = "collect", ...))
    died <- vapply(values, of_dead_workers, NA)
    if (any(died)) stop(values[died][[1L]])
    identical(values[-c(7, 15)], as.list(1:20)[-c(7, 15)]) && values[[7]]$index == 7 && values[[15]]$index == 15
  },
  "a long element" = function(...) identical(memLapply(1:4, function(i, work) { work(); Sys.sleep(0.1); i }, ...), as.list(1:4)),
  "a named matrix" = function(...) {
    name <- paste0("own-", me$role)
    identical(memApply(name, 2, function(v, work) { work(); v[[1]] }, NAMESPACE = "applies", ...), as.list(matrix_of_all[1, ]))
  },
  "names" = function(...) {
    for (i in 1:20) names_op()
    TRUE
  }
)

are_negatives <- function(values) identical(values, lapply(1:24, function(j) -matrix_of_all[, j]))
keep_results <- function(values) me$kept[[1L + me$counts[["jobs"]] %% 3L]] <- values

# An error of FUN that is none: workers died twice at one element.
of_dead_workers <- function(e) inherits(e, "cowshed_error_task") && inherits(e$parent, "cowshed_error_worker")

# Few names that all masters register, retrieve and release as it comes. What each stands for tells what it is.
names_op <- function() {
  name <- sample(c("a", "b", "c"), 1)
  was <- function(what, code) {
    # What others do to the same names.
    happened <- tryCatch({ code; TRUE }, cowshed_error_exists = function(e) FALSE, cowshed_error_gone = function(e) FALSE)
    if (happened) count(what)
  }
  switch(sample(4, 1, prob = c(3, 4, 2, 1)),
    was("registered", {
      kind <- sample(c("tiny", "80 KB", "list"), 1)
      seed <- sample(3, 1)
      registerVariables("applies", stats::setNames(list(list(kind = kind, seed = seed, x = value_of(kind, seed))), name))
    }),
    was("retrieved", {
      view <- retrieveViews("applies", name)[[1]]
      if (!is_right(view$x, view$kind, view$seed)) wrong("wrong variable ", name)
    }),
    was("released", releaseVariables("applies", name)),
    for (viewed in sub("^applies.", "", unlist(viewList()))) releaseViews("applies", viewed)
  )
}

count <- function(what, n = 1L) me$counts[[what]] <- n + (if (is.na(me$counts[what])) 0L else me$counts[[what]])

# The cluster of its own plan: made anew when workers of it are gone.
cluster_now <- function() {
  if (!startsWith(me$engine, "given")) return(me$engine)
  if (is.null(me$cluster)) {
    me$cluster <- if (me$engine == "given fork") parallel::makeForkCluster(2) else parallel::makePSOCKcluster(2)
  }
  me$cluster
}
drop_cluster <- function() {
  if (!is.null(me$cluster)) for (node in me$cluster) suppressWarnings(try(close(node$con), silent = TRUE))
  me$cluster <- NULL
}

do_job <- function(name) {
  right <- jobs[[name]](CLUSTER = if (name != "names") cluster_now(), MAX.CORES = 2, VARS = if (name != "captured") list(work = at_work))
  if (!isTRUE(right)) wrong("wrong result of ", name, " with ", me$engine)
  count("results")
  for (values in me$kept) if (!is.null(values) && !are_negatives(values)) wrong("a result that was kept has changed")
}

# The life of a master.
rule <- function(plan) {
  list2env(plan, me)
  setwd(me$dir)
  options(cowshed.store = me$store, cowshed.grace = me$grace)
  # Forked from one R, they have one port; and a worker that was killed before it has connected is waited for.
  if (!me$same_port || startsWith(me$engine, "given")) parallel:::setDefaultClusterOptions(port = me$port)
  parallel:::setDefaultClusterOptions(setup_timeout = 5)
  me$kept <- list()
  me$counts <- c(jobs = 0L)
  me$errors <- character()
  put_object(Sys.getpid(), paste0("pid-", me$role))
  # Interrupted amid what it does; where else R lets it happen, it goes on.
  while (!file.exists(paste0("ended-", me$role))) tryCatch(suspendInterrupts(reign()), interrupt = function(e) NULL)
  if (stats::runif(1) < 0.5) quit("no", runLast = FALSE)
  tools::pskill(Sys.getpid(), tools::SIGKILL)
}

reign <- function() {
  if (!file.exists(paste0("ready-", me$role))) attempt("the beginning", begin_rule())
  while (!file.exists("stop")) {
    count("jobs")
    # Each of its own, whatever random numbers a job has set.
    set.seed(me$seed + me$counts[["jobs"]])
    name <- if (stats::runif(1) < 0.6) me$job else sample(names(jobs), 1)
    attempt(name, do_job(name))
    put_object(me$counts, paste0("counts-", me$role))
  }
  attempt("the end", end_rule())
  drop_cluster()
  put_object(me$counts, paste0("counts-", me$role))
  mark(paste0("ended-", me$role))
}

attempt <- function(what, code) {
  me$doing <- what
  e <- tryCatch({ allowInterrupts(code); NULL }, interrupt = identity, error = identity)
  if (inherits(e, "interrupt")) count("interrupted") else if (!is.null(e)) after_error(e)
}

# What may happen when workers are killed is told, and whoever killed them knows whether they were.
after_error <- function(e) {
  may <- inherits(e, "cowshed_error_worker") || of_dead_workers(e)
  text <- paste0(class(e)[1], ": ", conditionMessage(e), " (", me$doing, ", ", me$engine, ")")
  if (may) me$errors <- c(me$errors, text) else wrong("error: ", text)
  put_object(me$errors, paste0("errors-", me$role))
  drop_cluster()
  Sys.sleep(0.01)
}

begin_rule <- function() {
  registerVariables("applies", stats::setNames(list(matrix_of_all), paste0("own-", me$role)))
  mark(paste0("ready-", me$role))
}

# The killing is over: some more, undisturbed.
end_rule <- function() {
  drop_cluster()
  for (name in c(me$job, "large results", "random numbers")) {
    me$doing <- paste(name, "at the end")
    do_job(name)
  }
  me$kept <- list()
}

if (sys.nframe() == 0L) {
  plan <- readRDS(commandArgs(TRUE)[[1]])
  options(cowshed.store = plan$store)
  library(cowshed)
  if (is.null(plan$call)) rule(plan) else newcomer(plan$store, plan$call)
}
