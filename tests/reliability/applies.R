# Kills amid memApply(), memLapply() and named variables: Rscript tests/reliability/applies.R [ROUNDS [SEED [FIRST]]]
#
# A round is one or two masters (masters.R) in a store, each with workers: cowshed's own, or a cluster that it made; R processes or forks. While they
# do one job after the other, a few times at moments that are random some worker is killed, or a master, or all at once, or a master is
# interrupted. Then the masters do some more undisturbed, and end; when all processes are gone a newcomer sweeps, and the store must be empty.
#
# - leaked: a segment, a ledger, a card or a dotted file that is left when all are gone and their references in flight have ended
# - wrong: a result that is not what it must be, an error that no kill explains, a name of a master that was killed which cannot be registered within a second
# - hung: 40 seconds, a worker that outlives its master by that among them; died: a master that nobody killed
#
# What a round does depends on SEED and its number alone (when somebody is killed does not): ROUNDS 1 with FIRST is one of them again.

source("tests/reliability/actors.R")
source("tests/reliability/rounds.R")
source("tests/reliability/masters.R")
arguments <- suppressWarnings(as.integer(commandArgs(TRUE)))
rounds <- if (length(arguments) >= 1L) arguments[[1]] else 300L
seed <- if (length(arguments) >= 2L) arguments[[2]] else 1L
first <- if (length(arguments) >= 3L) arguments[[3]] else 1L

# Seconds of grace in flight: longer than a result takes to be opened on a busy machine.
grace <- 5
patience <- 40

here <- normalizePath(".")
base <- tempfile("cowshed-applies-", "/dev/shm")
Sys.umask("077")
# This process forks all others, and holds nothing.
options(cowshed.store = new_dir("none"))
library(cowshed)

failures <- c("leaked", "wrong", "hung", "died")
log <- data.frame()
errors <- character()
totals <- c(workers = 0L, masters = 0L, interrupts = 0L)
counts <- integer()
add <- function(name, n) counts[[name]] <<- n + (if (is.na(counts[name])) 0L else counts[[name]])

# Rounds --------------------------------------------------------------------------------------------------------------------------------

new_round <- function(number) {
  set.seed(seed * 100000L + number)
  round <- new.env()
  round$number <- number
  round$dir <- new_dir(paste0("round-", number))
  round$store <- new_dir(paste0("store-", number))
  round$failed <- character()
  n <- sample(1:2, 1, prob = c(2, 1))
  round$roles <- paste0("master", seq_len(n))
  round$engine <- stats::setNames(sample(engines, n, TRUE, c(1, 4, 1, 4)), round$roles)
  round$apart <- number %% 10L == 9L
  round$victims <- sample(c("worker", "master", "interrupt", "all"), sample(1:4, 1), TRUE, c(6, 1, 3, 0.4))
  # Some right after one another: whoever cleans up is disturbed.
  round$moments <- sort(stats::runif(length(round$victims), 0, 0.5)) * (stats::runif(1) < 0.8)
  round$plans <- lapply(stats::setNames(nm = round$roles), function(role) list(
    role = role, dir = round$dir, store = round$store, grace = grace, engine = round$engine[[role]], job = names(jobs)[1L + (number + match(role, round$roles)) %% length(jobs)],
    seed = sample.int(1e8, 1), drawn = drawn, same_port = number %% 5L == 0L,
    port = 20000L + (Sys.getpid() * 7L + 2L * number + match(role, round$roles)) %% 10000L
  ))
  round$call <- sample(c("prune", "share", "library"), 1, prob = c(4, 4, 1))
  round$pids <- integer()
  round$killed <- character()
  round
}

workers_of <- function(round) {
  known <- as.integer(sub("^worker-", "", list.files(round$dir, "^worker-[0-9]+$")))
  setdiff(known[vapply(known, is_alive, NA)], round$pids)
}

# One kill, of whoever there is; whether there was somebody.
strike <- function(round, victim) {
  masters <- round$pids[vapply(round$pids, is_alive, NA)]
  one <- function(pids) pids[[sample.int(length(pids), 1L)]]
  pid <- switch(victim, worker = workers_of(round), masters)
  if (length(pid) == 0L) return(FALSE)
  switch(victim,
    worker = {
      kill_hard(one(pid))
      totals[["workers"]] <<- totals[["workers"]] + 1L
      round$struck <- c(round$struck, "worker")
    },
    interrupt = {
      tools::pskill(one(pid), tools::SIGINT)
      totals[["interrupts"]] <<- totals[["interrupts"]] + 1L
    },
    master = kill_master(round, names(pid)[[sample.int(length(pid), 1L)]]),
    all = {
      everybody <- family(round)
      kill_hard(everybody)
      totals[["masters"]] <<- totals[["masters"]] + length(pid)
      totals[["workers"]] <<- totals[["workers"]] + length(setdiff(everybody, pid))
      round$killed <- union(round$killed, names(pid))
      round$struck <- c(round$struck, "worker")
    }
  )
  TRUE
}

# Its name is free as soon as the process is gone; but a child that it was forking just then has its ledger until it begins, which takes milliseconds.
kill_master <- function(round, role) {
  pid <- round$pids[[role]]
  kill_hard(pid)
  totals[["masters"]] <<- totals[["masters"]] + 1L
  round$killed <- union(round$killed, role)
  if (!expect_soon(round, "a death by SIGKILL", function() !is_alive(pid), patience)) return()
  prober <- fork({
    setwd(round$dir)
    options(cowshed.store = round$store, cowshed.grace = 0)
    me$role <- "prober"
    name <- paste0("own-", role)
    tryCatch({
      wait_until(function() {
        free <- tryCatch({ registerVariables("applies", stats::setNames(list(-matrix_of_all), name)); TRUE }, cowshed_error_exists = function(e) FALSE)
        if (!free) mark(paste0("late-", role))
        free
      }, 1)
      if (!identical(retrieveViews("applies", name)[[1]][, 24], -matrix_of_all[, 24])) wrong("wrong variable ", name)
    }, error = function(e) wrong("a name of one who was killed: ", class(e)[1], ": ", conditionMessage(e)))
    mark(paste0("probed-", role))
    quit("no", runLast = FALSE)
  })
  if (!expect_soon(round, "registering a name anew", function() !is_alive(prober), patience)) kill_hard(prober)
  if (!file.exists(in_dir(round, "probed-", role))) note(round, "died", "the one that registered a name anew")
  add("names of killed masters registered anew", 1L)
  if (file.exists(in_dir(round, "late-", role))) add("amid a fork, and so not by the first attempt", 1L)
}

run_round <- function(round) {
  begun <- proc.time()[[3]]
  for (role in round$roles) {
    plan <- round$plans[[role]]
    round$pids[[role]] <- if (round$apart) start_r(round, plan, role, "masters.R") else fork(rule(plan))
  }
  gone <- function(role) !is_alive(round$pids[[role]])
  expect_soon(round, "the beginning", function() all(file.exists(in_dir(round, "ready-", round$roles))) || any(vapply(round$roles, gone, NA)), patience)
  # With workers that work, mostly.
  if (stats::runif(1) < 0.9) wait_until(function() length(workers_of(round)) > 0L, 3)
  last <- 0
  for (i in seq_along(round$victims)) {
    Sys.sleep(round$moments[[i]] - last)
    last <- round$moments[[i]]
    strike(round, round$victims[[i]])
  }
  mark(in_dir(round, "stop"))
  for (role in setdiff(round$roles, round$killed)) {
    if (!expect_soon(round, paste(role, "with", round$engine[[role]], "ending"), function() gone(role), patience)) kill_hard(round$pids[[role]])
    else if (!file.exists(in_dir(round, "ended-", role))) note(round, "died", role, ": ", out_of(round, role))
  }
  # Workers end with their masters.
  if (!expect_soon(round, "workers whose masters are gone", function() length(family(round)) == 0L, patience)) kill_hard(family(round))

  for (line in unlist(lapply(list.files(round$dir, "^wrong-", full.names = TRUE), readLines))) note(round, "wrong", line)
  for (role in round$roles) {
    told <- if (file.exists(in_dir(round, "errors-", role))) get_object(in_dir(round, "errors-", role))
    if (length(told) > 0L && !"worker" %in% round$struck) note(round, "wrong", "nobody was killed, and there is ", told[[1L]])
    errors <<- c(errors, told)
    if (!file.exists(in_dir(round, "counts-", role))) next
    done <- get_object(in_dir(round, "counts-", role))
    for (what in names(done)) add(what, done[[what]])
  }
  run_newcomer(round, round$store, round$call)
  count_files(round, c("ledgers", "names"))
  due[[length(due) + 1L]] <<- list(round = round, at = proc.time()[[3]] + grace + 0.5)
  log <<- rbind(log, data.frame(
    number = round$number, engines = paste(round$engine, collapse = " + "), apart = round$apart, seconds = proc.time()[[3]] - begun,
    as.list(stats::setNames(failures %in% round$failed, failures))
  ))
}

count_files <- function(round, parts) {
  for (part in parts) {
    left <- files_of(round$store, part)
    if (length(left) > 0L) note(round, "leaked", length(left), " ", part, " after all are gone: ", left[[1L]])
  }
}

# Stores whose references have ended.
settle <- function(all = FALSE) {
  while (length(due) > 0L && (all || due[[1]]$at <= proc.time()[[3]])) {
    Sys.sleep(max(0, due[[1]]$at - proc.time()[[3]]))
    round <- due[[1]]$round
    due <<- due[-1L]
    run_newcomer(round, round$store, sample(c("prune", "share"), 1))
    count_files(round, c("segments", "ledgers", "names"))
    log[log$number == round$number, round$failed] <<- TRUE
    unlink(c(round$store, if (length(round$failed) == 0L) round$dir), recursive = TRUE)
  }
}

# The run -------------------------------------------------------------------------------------------------------------------------------

due <- list()
begun <- Sys.time()
cat(sprintf("applies: %d rounds, seed %d, from round %d, R %s\n", rounds, seed, first, getRversion()))

# What `set.seed(7)` draws, whoever dies: computed once, by a process whose workers nobody kills.
probe <- file.path(new_dir("drawn"), "drawn")
drawer <- fork({
  options(cowshed.store = new_dir("drawn-store"))
  set.seed(7)
  put_object(memLapply(1:20, function(i, work) stats::rnorm(3), VARS = list(work = 0), CLUSTER = "fork", MAX.CORES = 1), probe)
  quit("no", runLast = FALSE)
})
stopifnot(wait_until(function() !is_alive(drawer), patience))
drawn <- get_object(probe)
stopifnot(length(drawn) == 20L)

for (number in first - 1L + seq_len(rounds)) {
  run_round(new_round(number))
  settle()
  if (number %% 50L == 0L) cat(sprintf("%d rounds, %.0f s, %d failures\n", number, difftime(Sys.time(), begun, units = "secs"), length(problems)))
}
settle(all = TRUE)

# What happened -------------------------------------------------------------------------------------------------------------------------

tell <- function(what, by) cat(what, ": ", paste(names(table(by)), table(by), collapse = ", "), "\n", sep = "")
tell("engines", unlist(strsplit(log$engines, " + ", fixed = TRUE)))
tell("R processes of their own", log$apart)
cat("killed: ", totals[["workers"]], " workers, ", totals[["masters"]], " masters; interrupted: ", totals[["interrupts"]], "\n", sep = "")
cat(paste0(names(counts), " ", counts, collapse = ", "), "\n")
if (length(errors) > 0L) {
  cat("errors of dead workers:\n")
  print(utils::head(sort(table(sub("process [0-9]+", "process", errors)), decreasing = TRUE), 20))
}
cat(sprintf(
  "\n%d rounds, seed %d, %.0f s: %s\n", nrow(log), seed, difftime(Sys.time(), begun, units = "secs"),
  paste(colSums(log[failures]), failures, collapse = ", ")
))
if (length(problems) > 0L) cat(problems, sep = "\n")
if (length(problems) == 0L) unlink(base, recursive = TRUE) else cat("what is left is in", base, "\n")
quit("no", status = if (length(problems) > 0L) 1L else 0L)
