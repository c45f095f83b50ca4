# Workers behind the sockets of package parallel: a cluster that was passed in, or our own, made on demand and used again.
#
# - A worker waits for list(type = "EXEC", data = list(fun, args, return, tag)) and answers with a list that has `value`. We say that ourselves:
#   parallel has no function that waits for any worker, for some time, and goes on when one of them dies.
# - A worker that dies closes its socket: that is readable then, and to read it is an error.
# - A worker is an environment: `con`, `xdr`, `pid`, `place`, and `owed`, the answers it will send that nobody wants.

own <- new.env(parent = emptyenv())

own_cluster <- function(type, slots) {
  # A forked child has copies of its parent's connections: the workers are not its own.
  if (!identical(own$pid, Sys.getpid())) own$workers <- list()
  own$pid <- Sys.getpid()
  usable <- vapply(own$workers[[type]], settle, TRUE)
  for (worker in own$workers[[type]][!usable]) disconnect(worker)
  idle <- own$workers[[type]][usable]
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
  workers <- lapply(connect(if (type == "fork") parallel::makeForkCluster else parallel::makePSOCKcluster, n), worker_of)
  is_ready <- FALSE
  on.exit(if (!is_ready) for (worker in workers) disconnect(worker), add = TRUE)
  greet(workers)
  is_ready <- TRUE
  workers
}

# Another process may take the port after we have seen that it is free.
connect <- function(make, n, attempts = 5L) {
  tryCatch(make(n, port = free_port(), useXDR = FALSE), error = function(e) if (attempts > 1L) connect(make, n, attempts - 1L) else stop(e))
}

# A port that nobody listens at. parallel chooses one when it is loaded: all forked children would take the same.
free_port <- function() {
  fixed <- suppressWarnings(as.integer(Sys.getenv("R_PARALLEL_PORT")))
  if (!is.na(fixed)) return(fixed)
  first <- (31 * Sys.getpid() + floor(1e3 * as.numeric(Sys.time()))) %% 1000
  for (port in 11000 + (first + 0:999) %% 1000) {
    socket <- tryCatch(serverSocket(port), error = function(e) NULL)
    if (!is.null(socket)) {
      close(socket)
      return(port)
    }
  }
  fail("worker", "no port from 11000 to 11999 is free for workers to connect to; set the environment variable R_PARALLEL_PORT to one that is")
}

given_cluster <- function(cluster, slots) {
  if (length(cluster) == 0L) refuse("`CLUSTER` has no workers")
  nodes <- unclass(cluster)[seq_len(slots)]
  if (!all(vapply(nodes, inherits, TRUE, c("SOCKnode", "SOCK0node")))) {
    refuse("`CLUSTER` must be a cluster that parallel::makeCluster() made with type \"PSOCK\" or \"FORK\"; other types are not supported")
  }
  sockets_engine(greet(lapply(nodes, worker_of)), "given")
}

sockets_engine <- function(workers, type) {
  engine <- list2env(list(slots = length(workers), workers = workers, type = type, busy = logical(length(workers)), keeps = TRUE), parent = emptyenv())
  structure(engine, class = "cowshed_sockets")
}

is_ours <- function(engine) inherits(engine, "cowshed_sockets") && engine$type != "given"

worker_of <- function(node) {
  list2env(list(con = node$con, xdr = !inherits(node, "SOCK0node"), owed = 0L), parent = emptyenv())
}

# All of them at once: each may have to load the package. Whatever one says, the others are heard: nothing that was said to us is left for the next who
# listens.
greet <- function(workers) {
  on.exit(for (worker in workers) settle(worker))
  for (worker in workers) ask(worker, hello, list(.libPaths()))
  wrong <- NULL
  for (worker in workers) {
    answer <- listen(worker)
    if (is.list(answer$value) && identical(names(answer$value), c("pid", "place"))) {
      list2env(answer$value, worker)
    } else if (!is.null(answer$died)) {
      wrong <- paste0("it is gone (", answer$died, "); make a new cluster, or leave CLUSTER out")
    } else if (inherits(answer$value, "try-error")) {
      wrong <- paste0(trimws(as.character(answer$value)), "; install cowshed in a library that it has")
    } else {
      worker$owed <- 1L
      wrong <- "it was still busy with another call, the answer to which is lost now; collect such answers first"
    }
  }
  if (!is.null(wrong)) fail("worker", paste0("a worker of the cluster cannot be used: ", wrong))
  workers
}

# Says so and hears: FALSE, or `died`, if the worker is gone. In one write: of several small ones TCP holds the last back.
tell <- function(worker, message) {
  tryCatch({
    writeBin(serialize(message, NULL, xdr = worker$xdr), worker$con)
    TRUE
  }, error = function(e) FALSE)
}

ask <- function(worker, f, arguments) {
  undisturbed({
    asked <- tell(worker, list(type = "EXEC", data = list(fun = f, args = arguments, return = TRUE, tag = NULL), tag = NULL))
    if (asked) worker$owed <- worker$owed + 1L
  })
  asked
}

# Waits for one answer, and can be interrupted as long as nothing of it has come.
listen <- function(worker) {
  tryCatch(socketSelect(list(worker$con), FALSE, NULL), error = function(e) NULL)
  undisturbed({
    worker$owed <- max(0L, worker$owed - 1L)
    tryCatch(list(value = unserialize(worker$con)$value), error = function(e) list(died = conditionMessage(e)))
  })
}

# Hears what is owed. Whether the worker is there and has nothing more to say.
settle <- function(worker) {
  while (worker$owed > 0L) if (!is.null(listen(worker)$died)) return(FALSE)
  tryCatch(!socketSelect(list(worker$con), FALSE, 0), error = function(e) FALSE)
}

disconnect <- function(worker) tryCatch(close(worker$con), error = function(e) NULL)

post.cowshed_sockets <- function(engine, slot, call, ...) {
  # A death is found out when the answer is waited for.
  undisturbed({
    ask(engine$workers[[slot]], delegate, list(call, ...))
    engine$busy[[slot]] <- TRUE
  })
}

collect.cowshed_sockets <- function(engine, seconds) {
  slots <- which(engine$busy)
  if (length(slots) == 0L) return(list())
  ready <- socketSelect(lapply(engine$workers[slots], function(worker) worker$con), FALSE, seconds)
  undisturbed(lapply(slots[ready], function(slot) {
    engine$busy[[slot]] <- FALSE
    c(list(slot = slot), listen(engine$workers[[slot]]))
  }))
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
  # The connections of a cluster that was passed in are its owner's.
  if (engine$type != "given") {
    disconnect(gone)
    own$workers[[engine$type]] <- Filter(function(worker) !identical(worker, gone), own$workers[[engine$type]])
  }
}

halt.cowshed_sockets <- function(engine, slots, is_within) {
  local <- where_am_i()
  # Also if we are interrupted again.
  if (engine$type != "given") on.exit(for (slot in slots[engine$busy[slots]]) {
    tools::pskill(engine$workers[[slot]]$pid, tools::SIGKILL)
    forget_worker(engine, slot)
    engine$busy[[slot]] <- FALSE
  })
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
  if (engine$type == "given" && length(late) > 0L) {
    message("waiting for a worker (process ", engine$workers[[late[[1L]]]]$pid, ") to end what it is doing; interrupt again to leave it alone")
    hear(Inf)
  }
}

dismiss.cowshed_sockets <- function(engine, size) {
  for (worker in engine$workers) ask(worker, delegate, list("forget_job", size, engine$type != "given"))
  # Nobody waits for our own.
  if (engine$type == "given") settle_all(engine$workers)
}

# Also if an interrupt ends the wait: who uses the cluster next must not hear answers to us.
settle_all <- function(workers) {
  on.exit(for (worker in workers) settle(worker))
  for (worker in workers) settle(worker)
}
