# SIGKILL at random points: Rscript tests/reliability/kills.R [ROUNDS [SEED [FIRST]]]
#
# A round is an owner and one or two workers (actors.R) in a store; forked from this process, from the owner, or R processes of their own.
# Once each does over and over what its plan says, some of them are killed at a moment that is random over the time that takes, or over that
# of their beginnings. Then those that live check what they have, one call of a survivor or a newcomer cleans, and the store's files are counted:
#
# - leaked: a segment that nobody holds, a ledger of the dead, a dotted file
# - lost: a segment that somebody holds and that has no name any more
# - wrong: a value that is not what it was made from, a reference gone though its sender keeps it or though it is in flight, any other error
# - hung: an actor or a call that takes 20 seconds; died: an actor that nobody killed
#
# A bystander holds objects in the store of most rounds from the first to the last.
#
# What a round does depends on SEED and its number alone (when it is killed does not): ROUNDS 1 with FIRST is one of them again.

source("tests/reliability/actors.R")
source("tests/reliability/rounds.R")
arguments <- suppressWarnings(as.integer(commandArgs(TRUE)))
rounds <- if (length(arguments) >= 1L) arguments[[1]] else 1000L
seed <- if (length(arguments) >= 2L) arguments[[2]] else 1L
first <- if (length(arguments) >= 3L) arguments[[3]] else 1L

# Seconds of grace in flight: longer than a round takes on a busy machine.
grace <- if (rounds > 100L) 10 else 5

here <- normalizePath(".")
base <- tempfile("cowshed-kills-", "/dev/shm")
Sys.umask("077")
# This process forks all others, and holds nothing.
options(cowshed.store = new_dir("none"))
library(cowshed)

# Forks do not compile.
for (name in setdiff(ls(), "values")) if (is.function(get(name))) assign(name, compiler::cmpfun(get(name)))
operations <- lapply(operations, compiler::cmpfun)

failures <- c("leaked", "lost", "wrong", "hung", "died")
log <- data.frame()

start_actor <- function(round, role) {
  plan <- round$plans[[role]]
  round$pids[[role]] <- if (round$origin[[role]] == "Rscript") start_r(round, plan, role) else fork(act(plan))
}

# Rounds --------------------------------------------------------------------------------------------------------------------------------

owner_ops <- setdiff(phases, c("begin", "stand still", "attach"))
worker_ops <- setdiff(phases, c("begin", "stand still"))

new_round <- function(number) {
  set.seed(seed * 100000L + number)
  chance <- function(p) stats::runif(1) < p
  round <- new.env()
  round$number <- number
  round$dir <- new_dir(paste0("round-", number))
  round$mode <- if (chance(0.65)) "kept" else "flight"
  round$store <- if (round$mode == "kept") common_store else new_dir(paste0("store-", number))
  round$kill <- c("owner", "worker", "both")[1L + number %% 3L]
  turn <- number %/% 3L
  op <- c(owner = owner_ops[1L + turn %% length(owner_ops)], worker1 = worker_ops[1L + turn %% length(worker_ops)], worker2 = sample(common_ops, 1))
  # Whose turn it is not does anything else that does not end by itself.
  if (round$kill == "owner") op[["worker1"]] <- sample(setdiff(worker_ops, "quit"), 1)
  if (round$kill == "worker") op[["owner"]] <- sample(setdiff(owner_ops, "quit"), 1)
  if ("socket" %in% op) op[c("owner", "worker1")] <- "socket"
  round$op <- op
  round$roles <- roles[seq_len(if (chance(0.25)) 3L else 2L)]
  round$victims <- switch(round$kill, owner = "owner", worker = "worker1", both = if (chance(0.3)) rev(round$roles) else round$roles)
  round$gap <- if (chance(0.5)) 0 else stats::runif(1, 0, 0.01)
  # Amid the start of an R, amid what an actor does first, or amid its work.
  round$moment <- if (number %% 25L == 24L) "load" else if (chance(0.2)) "beginning" else "work"
  apart <- round$moment == "load" || number %% 12L == 0L
  origins <- function(n) if (apart) sample(c("Rscript", "Rscript", "fork"), n, TRUE) else sample(c("fork", "owner"), n, TRUE)
  round$origin <- stats::setNames(c(if (apart) origins(1) else "fork", origins(2)), roles)
  if (round$moment == "load") round$origin[round$victims] <- "Rscript"
  round$at <- stats::runif(1)
  round$cleaner <- if (chance(0.6)) "survivor" else if (apart) "library" else sample(c("prune", "share"), 1)
  plans <- lapply(stats::setNames(nm = round$roles), function(role) list(
    role = role, dir = round$dir, store = round$store, grace = if (round$mode == "kept") 0 else grace, mode = round$mode, op = op[[role]],
    seed = sample.int(1e9, 1), round = number, port = if ("socket" %in% op && role != "worker2") 20000L + (Sys.getpid() * 7L + number) %% 10000L
  ))
  plans$owner$children <- plans[setdiff(round$roles[round$origin[round$roles] == "owner"], "owner")]
  round$plans <- plans
  round$pids <- integer()
  round$failed <- character()
  round
}

# Those that an owner forks tell theirs.
learn_pids <- function(round) {
  for (role in setdiff(round$roles, names(round$pids))) {
    if (file.exists(in_dir(round, "pid-", role))) round$pids[[role]] <- get_object(in_dir(round, "pid-", role))
  }
}
all_live <- function(round) {
  learn_pids(round)
  all(vapply(round$pids, is_alive, NA))
}

run_round <- function(round) {
  begun <- proc.time()[[3]]
  for (role in round$roles) if (round$origin[[role]] != "owner") start_actor(round, role)
  # The moment.
  if (round$moment == "load") {
    Sys.sleep(round$at * durations[["load"]])
  } else if (round$moment == "beginning") {
    Sys.sleep(round$at * durations[["begin"]])
  } else {
    # One that quits may have done so before others were ready.
    ready <- function() all(file.exists(in_dir(round, "ready-", round$roles))) || wrongs(round) || ("quit" %in% round$op && !all_live(round))
    expect_soon(round, "the beginning", ready)
    op <- round$op[[round$victims[[1]]]]
    Sys.sleep(round$at * (if (op == "quit") 1.2 else 2) * durations[[op]])
  }
  learn_pids(round)
  victims <- round$pids[intersect(round$victims, names(round$pids))]
  # A worker that its owner had still to fork.
  if (length(victims) == 0L) victims <- round$pids["owner"]
  for (role in names(victims)) {
    kill_hard(victims[[role]])
    if (round$gap > 0) Sys.sleep(round$gap)
  }
  expect_soon(round, "a death by SIGKILL", function() !any(vapply(victims, is_alive, NA)))
  last <- vapply(names(victims), function(role) last_phase(round$dir, role), "")

  # Those that live.
  mark(in_dir(round, "stop"))
  if (round$kill == "both") {
    # Whoever was not known yet; they are to die, too.
    kill_hard(family(round))
  }
  expect_soon(round, "knowing everybody", function() { learn_pids(round); all(family(round) %in% round$pids) || waited_enough(round) })
  survivors <- character()
  for (role in setdiff(names(round$pids), names(victims))) {
    pid <- round$pids[[role]]
    if (round$kill == "both") next
    report <- in_dir(round, "report-", role)
    if (!expect_soon(round, paste(role, "standing still"), function() file.exists(report) || !is_alive(pid))) kill_hard(pid)
    if (file.exists(report)) survivors <- c(survivors, role)
    else if (!may_end(round, role) && !wrongs(round)) note(round, "died", role, " in ", last_phase(round$dir, role), ": ", out_of(round, role))
  }
  reports <- lapply(stats::setNames(nm = survivors), function(role) get_object(in_dir(round, "report-", role)))
  lives <- unique(lapply(reports, `[[`, "live"))
  lives <- lives[lengths(lives) > 0L]
  if (length(lives) > 1L) note(round, "wrong", "what is written through is not the same for all")

  # Those left over by killed parents end by themselves or are no part of it.
  wait_until(function() all(family(round) %in% round$pids), 1)
  strangers <- setdiff(family(round), round$pids)
  if (length(strangers) > 0L) {
    kill_hard(strangers)
    expect_soon(round, "a death by SIGKILL", function() !any(vapply(strangers, is_alive, NA)))
  }

  if (round$mode == "flight") receive(round)
  cleaner <- if (length(survivors) > 0L && round$cleaner == "survivor") {
    caller <- survivors[[1]]
    mark(in_dir(round, "call-", caller))
    expect_soon(round, paste(caller, "pruning"), function() file.exists(in_dir(round, "called-", caller)))
    "survivor"
  } else {
    call <- if (round$cleaner == "survivor") "prune" else round$cleaner
    run_newcomer(round, round$store, call)
    paste("newcomer:", call)
  }
  count_files(round, unlist(lapply(reports, `[[`, "ids")), length(survivors), cleaner)

  # Their ends.
  for (role in survivors) {
    mark(in_dir(round, "drop-", role))
    expect_soon(round, paste(role, "dropping"), function() file.exists(in_dir(round, "dropped-", role)))
  }
  if (length(survivors) > 0L) count_files(round, character(), length(survivors), "survivors that dropped everything")
  mark(in_dir(round, "end"))
  expect_soon(round, "the end of all", function() length(family(round)) == 0L)
  kill_hard(family(round))

  said <- unlist(lapply(list.files(round$dir, "^wrong-", full.names = TRUE), readLines))
  for (line in said) note(round, "wrong", line)
  if (round$mode == "flight") due[[length(due) + 1L]] <<- list(round = round, at = proc.time()[[3]] + grace + 0.5)
  log <<- rbind(log, data.frame(
    number = round$number, kill = if (length(victims) > 1L) "both" else sub("[12]$", "", names(victims)[[1]]), op = last[[1]],
    mode = round$mode, moment = round$moment, apart = any(round$origin[round$roles] == "Rscript"),
    survivors = length(survivors), cleaner = cleaner, seconds = proc.time()[[3]] - begun,
    as.list(stats::setNames(failures %in% round$failed, failures))
  ))
  if (length(round$failed) == 0L) unlink(round$dir, recursive = TRUE)
}

# By itself. An R that quits ends those it has forked.
may_end <- function(round, role) last_phase(round$dir, role) == "quit" || (round$origin[[role]] == "owner" && last_phase(round$dir, "owner") == "quit")
wrongs <- function(round) length(list.files(round$dir, "^wrong-")) > 0L
# A forked child whose parent was killed before anybody knew it: not worth waiting for longer than this.
waited_enough <- function(round) {
  round$waited <- (if (is.null(round$waited)) 0L else round$waited) + 1L
  round$waited > 200L
}

# Every message that nobody has taken can be attached still, whoever was killed.
receive <- function(round) {
  messages <- list.files(round$dir, "^m_[^.]*$", full.names = TRUE)
  young <- difftime(Sys.time(), file.mtime(messages), units = "secs") < grace - 2
  old <- sum(!young)
  if (old > 0L) cat(sprintf("round %d: %d messages are too old to be sure of\n", round$number, old))
  pid <- fork({
    setwd(round$dir)
    options(cowshed.store = round$store, cowshed.grace = grace)
    me$role <- "receiver"
    me$mode <- "flight"
    for (name in basename(messages[young])) {
      parts <- strsplit(name, "_", fixed = TRUE)[[1]]
      x <- tryCatch(read_message(get_object(name), parts[[2]]), error = function(e) wrong(conditionMessage(e)))
      if (is.null(x)) next
      kind <- parts[[4]]
      seed <- as.integer(parts[[5]])
      if ("draft" %in% parts) {
        if (!identical(x[-1], value_of(kind, seed)[-1])) wrong("wrong draft")
      } else {
        check(x, kind, seed, "message in flight")
      }
    }
    put_object(length(messages), "received")
    if (stats::runif(1) < 0.5) quit("no", runLast = FALSE)
  })
  if (!expect_soon(round, "receiving what is in flight", function() !is_alive(pid))) kill_hard(pid)
  if (!file.exists(in_dir(round, "received"))) note(round, "died", "receiver")
  in_flight <<- in_flight + sum(young)
}

count_files <- function(round, held, living, when) {
  if (round$mode == "kept") {
    held <- c(held, bystander_ids)
    living <- living + 1L
  }
  there <- files_of(round$store, "segments")
  lost <- setdiff(held, there)
  if (length(lost) > 0L) note(round, "lost", length(lost), " segments after ", when, ": ", lost[[1]])
  ledgers <- files_of(round$store, "ledgers")
  if (length(ledgers) > living) note(round, "leaked", length(ledgers) - living, " ledgers after ", when)
  # References nobody took end with their grace time.
  if (round$mode == "flight" && when != "the grace time") return()
  leaked <- setdiff(there, held)
  if (length(leaked) > 0L) note(round, "leaked", length(leaked), " segments after ", when, ": ", leaked[[1]])
}

# Stores whose references have ended.
settle <- function(all = FALSE) {
  while (length(due) > 0L && (all || due[[1]]$at <= proc.time()[[3]])) {
    Sys.sleep(max(0, due[[1]]$at - proc.time()[[3]]))
    round <- due[[1]]$round
    due <<- due[-1L]
    dir.create(round$dir, showWarnings = FALSE)
    before <- length(round$failed)
    run_newcomer(round, round$store, sample(c("prune", "share"), 1))
    count_files(round, character(), 0L, "the grace time")
    if (length(round$failed) > before) log[log$number == round$number, round$failed] <<- TRUE
    unlink(c(round$store, if (length(round$failed) == 0L) round$dir), recursive = TRUE)
  }
}

# The bystander -------------------------------------------------------------------------------------------------------------------------

# Holds objects in the common store from beginning to end, and does nothing.
bystand <- function(dir, store) {
  setwd(dir)
  options(cowshed.store = store, cowshed.grace = 0)
  held <- lapply(kinds, function(kind) cowshed::share(value_of(kind, 77L)))
  put_object(unique(unlist(lapply(held, segments_of))), "ids")
  wait_until(function() file.exists("end"), 86400)
  put_object(mapply(is_right, held, kinds, 77L), "right")
  quit("no", runLast = FALSE)
}

# Durations -----------------------------------------------------------------------------------------------------------------------------

seconds_of <- function(code) {
  begun <- Sys.time()
  code
  as.numeric(difftime(Sys.time(), begun, units = "secs"))
}

# Medians of each operation, on this machine now.
measure <- function() {
  round <- new.env()
  round$number <- 0L
  round$failed <- character()
  round$dir <- new_dir("measure")
  plan <- list(role = "owner", dir = round$dir, store = common_store, grace = 0, mode = "kept", op = "read", seed = seed, round = 0L)
  begun <- proc.time()[[3]]
  owner <- fork(act(plan))
  expect_soon(round, "an owner", function() file.exists(in_dir(round, "ready-owner")))
  begin <- proc.time()[[3]] - begun
  worker <- fork({
    plan$role <- "worker1"
    operations[["measure"]] <<- function() {
      # Not those that end it, or need another.
      ops <- setdiff(worker_ops, c("quit", "socket"))
      took <- vapply(ops, function(op) stats::median(replicate(5, seconds_of(operations[[op]]()))), 0)
      put_object(took, "took")
      operations[["measure"]] <<- function() Sys.sleep(0.01)
    }
    plan$op <- "measure"
    phases[[length(phases) + 1L]] <<- "measure"
    act(plan)
  })
  expect_soon(round, "measuring", function() file.exists(in_dir(round, "took")), 60)
  took <- get_object(in_dir(round, "took"))
  for (pid in c(owner, worker)) kill_hard(pid)
  quitter <- fork({
    setwd(round$dir)
    options(cowshed.store = common_store)
    x <- cowshed::share(value_of("80 KB", 1L))
    mark("quits")
    quit("no", runLast = FALSE)
  })
  expect_soon(round, "quitting", function() file.exists(in_dir(round, "quits")))
  begun <- proc.time()[[3]]
  expect_soon(round, "quitting", function() !is_alive(quitter))
  quit <- proc.time()[[3]] - begun
  load <- seconds_of(run_newcomer(round, common_store, "library"))
  c(took, quit = quit, socket = took[["send"]] * 2, begin = begin * 1.5, load = load)
}

# The run -------------------------------------------------------------------------------------------------------------------------------

common_store <- new_dir("store")
for (kind in kinds) for (number in 1:3) for (s in 1:2) value_of(kind, number * 10L + s)

due <- list()
in_flight <- 0L
begun <- Sys.time()
cat(sprintf("kills: %d rounds, seed %d, from round %d, R %s\n", rounds, seed, first, getRversion()))
durations <- measure()
cat("milliseconds:", paste0(names(durations), " ", signif(1000 * durations, 2), collapse = ", "), "\n")

bystander_dir <- new_dir("bystander")
bystander <- fork(bystand(bystander_dir, common_store))
stopifnot(wait_until(function() file.exists(file.path(bystander_dir, "ids")), 20))
bystander_ids <- get_object(file.path(bystander_dir, "ids"))

for (number in first - 1L + seq_len(rounds)) {
  run_round(new_round(number))
  settle()
  if (number %% 100L == 0L) cat(sprintf("%d rounds, %.0f s, %d failures\n", number, difftime(Sys.time(), begun, units = "secs"), length(problems)))
}
settle(all = TRUE)

last <- new.env()
last$number <- first + rounds
last$dir <- bystander_dir
last$mode <- "flight"
last$store <- common_store
mark(file.path(bystander_dir, "end"))
invisible(expect_soon(last, "the bystander", function() !is_alive(bystander)))
if (!identical(get_object(file.path(bystander_dir, "right")), rep(TRUE, length(kinds)))) note(last, "wrong", "the bystander's values")
run_newcomer(last, common_store, "prune")
count_files(last, character(), 0L, "the grace time")

# What happened -------------------------------------------------------------------------------------------------------------------------

tell <- function(what, by) cat(what, ": ", paste(names(table(by)), table(by), collapse = ", "), "\n", sep = "")
cat("\n")
tell("killed", log$kill)
tell("amid", log$moment)
tell("sent", log$mode)
tell("R processes of their own", log$apart)
tell("survivors", log$survivors)
tell("cleaned by", log$cleaner)
cat("messages attached after their senders were killed or had dropped them:", in_flight, "\n")
cat("what the first one killed was doing:\n\n")
counts <- table(factor(log$op, c("load", phases)), factor(log$kill, c("owner", "worker", "both")))
bad <- vapply(failures, function(f) tapply(log[[f]], factor(log$op, c("load", phases)), sum, default = 0L), numeric(length(phases) + 1L))
counts <- cbind(unclass(counts), bad)
print(rbind(counts[rowSums(counts) > 0, , drop = FALSE], all = colSums(counts)))
cat(sprintf(
  "\n%d rounds, seed %d, %.0f s: %s\n", nrow(log), seed, difftime(Sys.time(), begun, units = "secs"),
  paste(colSums(log[failures]), failures, collapse = ", ")
))
if (length(problems) > 0L) cat(problems, sep = "\n")
if (length(problems) == 0L) unlink(base, recursive = TRUE) else cat("what is left is in", base, "\n")
quit("no", status = if (length(problems) > 0L) 1L else 0L)
