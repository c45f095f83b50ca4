# Workers behind the sockets of package parallel: a cluster that was passed in, or our own, made on demand and used again.
#
# - A worker waits for list(type = "EXEC", data = list(fun, args, return, tag)) and answers with a list that has `value`. We say that ourselves:
#   parallel has no function that waits for any worker, for some time, and goes on when one of them dies.
# - A worker that dies closes its socket: that is readable then, and to read it is an error.
# - Every question has a number, its tag, which comes back with the answer. An interrupt can hit between the two; the answer that comes later is to
#   nothing that anybody asks then, and is passed over. Amid a message it waits (suspendInterrupts() does not keep it away: R waits for sockets with
#   interrupts allowed); should it get through all the same, the connection is spoilt, and the worker is given up.
# - A worker is an environment: `con`, NULL once it was closed, `xdr`, `ours`: whether it is of no cluster that was passed in, `pid`, `place`, `asked`, the
#   number of the last question, `owes`: whether its answer is still to come, and `heard`: what it was, until the next question. An interrupt may
#   have come before it got to whom it was for, and there may be references in it.

own <- new.env(parent = emptyenv())

questions <- new.env(parent = emptyenv())
questions$last <- 0

own_cluster <- function(type, slots) {
  # A forked child has copies of its parent's connections: the workers are not its own.
  if (!identical(own$pid, Sys.getpid())) own$workers <- list()
  own$pid <- Sys.getpid()
  idle <- Filter(function(worker) settle(worker, 2) || end_worker(worker), own$workers[[type]])
  missing <- slots - length(idle)
  own$workers[[type]] <- c(idle, if (missing > 0L) start_workers(type, missing))
  if (is.null(own$at_exit)) {
    own$at_exit <- TRUE
    reg.finalizer(own, function(own) if (identical(own$pid, Sys.getpid())) memStopCluster(), onexit = TRUE)
  }
  sockets_engine(own$workers[[type]][seq_len(slots)], type)
}

#' Stop the workers that memApply() started
#'
#' [memApply()] and [memLapply()] start workers of their own if they are not given any, and keep them for the next call. This stops them. It
#' happens by itself at the end of the session.
#'
#' @return `NULL`, invisibly.
#' @seealso [memApply()]
#' @examples
#' memStopCluster()
#' @export
memStopCluster <- function() {
  mine <- identical(own$pid, Sys.getpid())
  for (worker in unlist(own$workers)) {
    if (mine) tell(worker, list(type = "DONE", data = NULL, tag = NULL))
    disconnect(worker)
  }
  own$workers <- list()
  invisible()
}

start_workers <- function(type, n) {
  # They find what we find.
  before <- Sys.getenv("R_LIBS", NA)
  on.exit(if (is.na(before)) Sys.unsetenv("R_LIBS") else Sys.setenv(R_LIBS = before))
  Sys.setenv(R_LIBS = paste(.libPaths(), collapse = .Platform$path.sep))
  nodes <- at_some_port(function(...) if (type == "fork") parallel::makeForkCluster(n, ...) else parallel::makePSOCKcluster(n, useXDR = FALSE, ...))
  workers <- lapply(nodes, worker_of, ours = TRUE)
  greeted <- FALSE
  on.exit(if (!greeted) lapply(workers, disconnect), add = TRUE)
  greet(workers)
  greeted <- TRUE
  workers
}

# Workers come to a port that R drew when `parallel` was loaded, in forks the same: while another process waits for its own there, it is not to be had.
at_some_port <- function(make) {
  ports <- if (is.na(suppressWarnings(as.integer(Sys.getenv("R_PARALLEL_PORT", "none"))))) 11000L + (Sys.getpid() + 37L * 0:19) %% 1000L
  nodes <- NULL
  for (port in ports) {
    nodes <- tryCatch(make(port = port), error = identity)
    if (!inherits(nodes, "error") || !grepl(port, conditionMessage(nodes))) break
  }
  if (is.null(ports)) nodes <- tryCatch(make(), error = identity)
  if (inherits(nodes, "error")) {
    fail("worker", paste0(
      "workers could not be started (", conditionMessage(nodes), "); try again, or pass a cluster that parallel::makeCluster() made as CLUSTER"
    ))
  }
  nodes
}

given_cluster <- function(cluster, slots) {
  if (length(cluster) == 0L) refuse("`CLUSTER` has no workers")
  nodes <- unclass(cluster)[seq_len(slots)]
  if (!all(vapply(nodes, inherits, TRUE, c("SOCKnode", "SOCK0node")))) {
    refuse("`CLUSTER` must be a cluster that parallel::makeCluster() made with type \"PSOCK\" or \"FORK\"; other types are not supported")
  }
  sockets_engine(greet(lapply(nodes, worker_of, ours = FALSE)), "given")
}

sockets_engine <- function(workers, type) {
  engine <- list2env(list(slots = length(workers), workers = workers, type = type, busy = logical(length(workers)), keeps = TRUE), parent = emptyenv())
  structure(engine, class = "cowshed_sockets")
}

is_ours <- function(engine) inherits(engine, "cowshed_sockets") && engine$type != "given"

worker_of <- function(node, ours) {
  list2env(list(con = node$con, xdr = !inherits(node, "SOCK0node"), ours = ours, asked = 0, owes = FALSE), parent = emptyenv())
}

# All of them at once: each may have to load the package. Whatever one says, the others are heard.
greet <- function(workers) {
  .Call(cs_send_at_once)
  on.exit(for (worker in workers) settle(worker, 2))
  for (worker in workers) ask(worker, hello, list(.libPaths()))
  wrong <- NULL
  for (worker in workers) {
    answer <- listen(worker)
    if (is.list(answer$value)) {
      list2env(answer$value, worker)
    } else if (!is.null(answer$died)) {
      wrong <- paste0("it is gone (", answer$died, "); make a new cluster, or leave CLUSTER out")
    } else {
      wrong <- paste0(trimws(as.character(answer$value)), "; install cowshed in a library that it has")
    }
  }
  if (!is.null(wrong)) fail("worker", paste0("a worker of the cluster cannot be used: ", wrong))
  workers
}

# Says so: FALSE if the worker is gone. In one write: of several small ones TCP holds the last back.
tell <- function(worker, message, asks = FALSE) {
  amid <- FALSE
  # Cut short, the worker waits for the rest: nothing else can be said any more.
  on.exit(if (amid) give_up(worker))
  bytes <- serialize(message, NULL, xdr = worker$xdr)
  undisturbed({
    amid <- TRUE
    worker$owes <- worker$owes || asks
    said <- tryCatch({
      writeBin(bytes, worker$con)
      TRUE
    }, error = function(e) FALSE)
    amid <- FALSE
  })
  said
}

ask <- function(worker, f, arguments) {
  worker$heard <- NULL
  worker$asked <- questions$last <- questions$last + 1
  tell(worker, list(type = "EXEC", data = list(fun = f, args = arguments, return = TRUE, tag = worker$asked), tag = NULL), asks = TRUE)
}

# The next message, which is there: as list(value =), or list(died = <why>); NULL if it answers an earlier question.
take_answer <- function(worker) {
  amid <- FALSE
  on.exit(if (amid) give_up(worker))
  undisturbed({
    amid <- TRUE
    heard <- tryCatch(unserialize(worker$con), error = identity)
    amid <- FALSE
    if (!inherits(heard, "error") && identical(heard$tag, worker$asked)) {
      worker$heard <- heard["value"]
      worker$owes <- FALSE
    }
  })
  if (inherits(heard, "error")) return(list(died = conditionMessage(heard)))
  if (!worker$owes) return(worker$heard)
  discard(list(heard))
  NULL
}

# Waits for the answer so long at most; NULL if it does not come.
listen <- function(worker, seconds = Inf) {
  until <- Sys.time() + seconds
  repeat {
    left <- if (seconds < Inf) max(0, as.numeric(until - Sys.time(), units = "secs"))
    # It waits for less when a child ends.
    there <- tryCatch(socketSelect(list(worker$con), FALSE, left), error = function(e) TRUE)
    answer <- if (there) take_answer(worker)
    if (!is.null(answer) || !there && Sys.time() >= until) return(answer)
  }
}

# Hears what it owes. Whether the worker is there and has nothing more to say.
settle <- function(worker, seconds = Inf) {
  if (worker$owes) {
    discard(list(listen(worker, seconds)))
    if (worker$owes) return(FALSE)
  }
  tryCatch(!socketSelect(list(worker$con), FALSE, 0), error = function(e) FALSE)
}

# One of ours that is dead, or does what nobody waits for; FALSE.
end_worker <- function(worker) {
  # As long as it has not closed its socket the process is the one that it was.
  if (worker$owes && !isTRUE(tryCatch(socketSelect(list(worker$con), FALSE, 0), error = function(e) TRUE))) tools::pskill(worker$pid, tools::SIGKILL)
  disconnect(worker)
  FALSE
}

# The connections of a cluster that was passed in are its owner's.
give_up <- function(worker) {
  if (worker$ours) disconnect(worker) else if (identical(worker$place, where_am_i())) tools::pskill(worker$pid, tools::SIGKILL)
}

is_open <- function(worker) tryCatch(isOpen(worker$con), error = function(e) FALSE)

# Once: to R a connection is its number, which the next one gets.
disconnect <- function(worker) {
  con <- worker$con
  worker$con <- NULL
  tryCatch(close(con), error = function(e) NULL)
}

post.cowshed_sockets <- function(engine, slot, call, ...) {
  # A death is found out when the answer is waited for.
  engine$busy[[slot]] <- TRUE
  ask(engine$workers[[slot]], delegate, list(call, ...))
}

collect.cowshed_sockets <- function(engine, seconds) {
  slots <- which(engine$busy)
  if (length(slots) == 0L) return(list())
  # What was closed amid a message says so when it is read.
  closed <- !vapply(engine$workers[slots], is_open, TRUE)
  ready <- if (any(closed)) closed else socketSelect(lapply(engine$workers[slots], function(worker) worker$con), FALSE, seconds)
  answers <- lapply(slots[ready], function(slot) {
    answer <- take_answer(engine$workers[[slot]])
    if (is.null(answer)) return(NULL)
    engine$busy[[slot]] <- FALSE
    c(list(slot = slot), answer)
  })
  Filter(Negate(is.null), answers)
}

revive.cowshed_sockets <- function(engine, slot) {
  forget_worker(engine, slot)
  if (engine$type == "given") return(FALSE)
  worker <- start_workers(engine$type, 1L)[[1L]]
  own$workers[[engine$type]] <- c(own$workers[[engine$type]], list(worker))
  engine$workers[[slot]] <- worker
  TRUE
}

forget_worker <- function(engine, slot) {
  gone <- engine$workers[[slot]]
  if (engine$type != "given") {
    disconnect(gone)
    own$workers[[engine$type]] <- Filter(function(worker) !identical(worker, gone), own$workers[[engine$type]])
  }
}

halt.cowshed_sockets <- function(engine, slots, is_within) {
  local <- where_am_i()
  # An interrupt may have come before it was asked, or after it was heard.
  for (slot in slots) engine$busy[[slot]] <- engine$workers[[slot]]$owes
  discard(lapply(engine$workers[slots], function(worker) worker$heard))
  hear <- function(seconds) {
    until <- Sys.time() + seconds
    while (any(engine$busy[slots]) && (left <- as.numeric(until - Sys.time(), units = "secs")) > 0) discard(collect(engine, left))
    slots[engine$busy[slots]]
  }
  # They look for themselves before each element; those amid a long one are interrupted.
  for (slot in hear(0.2)) {
    worker <- engine$workers[[slot]]
    if (identical(worker$place, local) && is_within(slot)) tools::pskill(worker$pid, tools::SIGINT)
  }
  late <- hear(3)
  for (slot in late) {
    worker <- engine$workers[[slot]]
    if (engine$type == "given") {
      message("waiting for a worker (process ", worker$pid, ") to end what it is doing; interrupt again to leave it alone")
      hear(Inf)
    } else {
      tools::pskill(worker$pid, tools::SIGKILL)
      forget_worker(engine, slot)
      engine$busy[[slot]] <- FALSE
    }
  }
}

dismiss.cowshed_sockets <- function(engine, size) for (worker in engine$workers) ask(worker, delegate, list("forget_job", size, is_ours(engine)))

# Nobody waits for our own.
part.cowshed_sockets <- function(engine) if (engine$type == "given") settle_all(engine$workers)

# Also if an interrupt ends the wait: who uses the cluster next must not hear answers to us.
settle_all <- function(workers) {
  on.exit(for (worker in workers) settle(worker))
  for (worker in workers) settle(worker)
}
