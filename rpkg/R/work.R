# What runs in a worker.
#
# - A *job* is one call of memApply() or memLapply(); a *piece* is a run of its elements, worked on by one worker in one go.
# - The job arrives once, as bytes, so that what is wrong with it can be reported; the results go back as bytes, for the same reason. Large ones
#   among them are references: they outlive the worker.
# - The *board* is a shared vector that master and workers write: its first element is the last element of the job that is still wanted, and
#   those after it say for each slot which element runs there now, or 0.

doing <- new.env(parent = emptyenv())

# A piece of the job `id`; `bytes` the first time. `items`: the elements themselves, if they are not in the job.
run_piece <- function(id, bytes, slot, from, to, items = NULL) {
  job <- tryCatch(open_job(id, bytes), error = identity)
  if (inherits(job, "error")) return(as_bytes(list(unopened = job)))
  if (isTRUE(job$holds)) {
    hold_interrupts()
    doing$holds <- TRUE
  }
  # What it shares goes where the master's does.
  old <- options(job$options)
  on.exit(options(old))
  if (length(job$globals$values) > 0L) {
    unbind <- bind_globals(job$globals$values)
    on.exit(unbind(), add = TRUE)
  }
  reply <- work_through(job, slot, from, to, items)
  # Where there is no room they travel as they are.
  reply$values <- tryCatch(share_large(reply$values), cowshed_error_full = function(e) reply$values)
  doing$garbage <- sum(doing$garbage, 8 * large_elements(reply$values))
  tryCatch(as_bytes(reply), error = function(e) as_bytes(without_unsendable(reply, from)))
}

as_bytes <- function(x) serialize(x, NULL, xdr = FALSE)

# The bytes that sending would take, or the error that it would be. Nobody will attach what is in them.
tried <- function(x) {
  old <- options(cowshed.grace = 0)
  on.exit(options(old))
  tryCatch(length(as_bytes(x)), error = identity)
}

# A value that cannot be sent is a failure of its element.
without_unsendable <- function(reply, from) {
  for (k in seq_along(reply$values)) {
    error <- tried(reply$values[[k]])
    if (inherits(error, "error")) {
      reply$failures[[length(reply$failures) + 1L]] <- list(index = from + k - 1, condition = simple_error(error), calls = character())
      reply$values[k] <- list(NULL)
    }
  }
  reply
}

open_job <- function(id, bytes) {
  if (!identical(doing$id, id)) {
    doing$job <- NULL
    doing$job <- prepare_job(unserialize(bytes))
    doing$id <- id
  }
  doing$job
}

# `size`: bytes that it brought along, in shared memory. A collection takes longer than a small job, so they are given back, with the results that were
# shared, when they are worth it. A worker that is ours goes on holding interrupts: those of a terminal go to it as well.
forget_job <- function(size, is_ours = FALSE) {
  if (isTRUE(doing$holds) && !is_ours) on.exit(allow_interrupts())
  doing$id <- doing$job <- doing$holds <- NULL
  doing$garbage <- sum(doing$garbage, size)
  if (doing$garbage >= 2^22) {
    doing$garbage <- 0
    gc()
  }
  invisible()
}

prepare_job <- function(job) {
  if (!is.null(job$here)) be_at(job$here)
  for (package in job$packages) loadNamespace(package)
  for (package in job$globals$packages) suppressPackageStartupMessages(library(package, character.only = TRUE))
  job$call <- caller_of(job$FUN, job$VARS)
  job$streams <- if (!is.null(job$root)) new_streams(job$root)
  job
}

# Where the master is now; a directory that has gone is no matter of ours.
be_at <- function(here) {
  if (!is.null(here$directory) && !identical(getwd(), here$directory)) tryCatch(setwd(here$directory), error = function(e) NULL)
  if (!identical(.libPaths(), here$libraries)) .libPaths(here$libraries)
}

# function(v) FUN(v, a = a, b = b), the names being those of VARS; tracebacks show it so.
# Where it is made, R looks for methods as it does for lapply().
caller_of <- function(f, vars) {
  mine <- utils::tail(make.unique(c(names(vars), "FUN", "v")), 2L)
  values <- c(vars, stats::setNames(list(f), mine[[1L]]))
  call <- as.call(c(list(as.name(mine[[1L]]), as.name(mine[[2L]])), stats::setNames(lapply(names(vars), as.name), names(vars))))
  caller <- eval(call("function", as.pairlist(stats::setNames(alist(v = ), mine[[2L]])), call))
  environment(caller) <- list2env(values, parent = .BaseNamespaceEnv)
  caller
}

# From `from` to `to`, as far as is wanted: a list of `values`, `to` (the last element that is done, be it failed), `failures`, `warnings`, and whether
# random numbers were `drawn`.
work_through <- function(job, slot, from, to, items) {
  board <- job$board
  here <- slot + 1L
  taken <- taker(job, from, to, items)
  call <- job$call
  put <- job$out
  holds <- isTRUE(job$holds)
  values <- if (is.null(put)) vector("list", to - from + 1)
  failures <- warnings <- list()
  drawn <- used <- FALSE
  i <- from
  calls <- signalled <- NULL
  if (!is.null(job$streams)) {
    before <- current_seed()
    on.exit(set_seed(before))
    arm <- function() {
      drawn <<- drawn || used
      used <<- FALSE
      delayedAssign(".Random.seed", {
        used <<- TRUE
        stream_of(job$streams, i)
      }, assign.env = globalenv())
    }
    arm()
  }
  on.exit(board[here] <- 0, add = TRUE)
  repeat {
    failure <- tryCatch(
      withRestarts(withCallingHandlers({
        if (holds) allow_interrupts()
        while (i <= to && i <= board[1L]) {
          board[here] <- i
          value <- forceAndCall(1, call, taken(i))
          if (used) arm()
          if (is.null(put)) {
            if (!is.null(value)) values[[i - from + 1]] <- value
          } else {
            put <- put_value(put, i, value)
          }
          i <- i + 1
        }
        if (holds) hold_interrupts()
        NULL
      }, error = function(e) calls <<- calls_within(sys.calls()), warning = function(w) {
        # FUN asked for an error.
        if (getOption("warn") >= 2L) return()
        if (length(warnings) < 50L) warnings[[length(warnings) + 1L]] <<- list(index = i, condition = light(w))
        tryInvokeRestart("muffleWarning")
      }, condition = function(c) signalled <<- c), abort = function() {
        # On the way to the top level, which would end the worker: stop() with a condition that is no error comes here.
        if (is.null(signalled)) simpleError("FUN went back to the top level") else signalled
      }),
      error = identity, interrupt = identity
    )
    if (holds) hold_interrupts()
    # It came when all was done.
    if (is.null(failure) || i > to) break
    if (inherits(failure, "interrupt")) failure <- simpleError("the worker was interrupted")
    failures[[length(failures) + 1L]] <- list(index = i, condition = light(failure), calls = calls)
    calls <- NULL
    i <- i + 1
    if (job$stops) {
      board[1L] <- min(board[1L], i - 1)
      break
    }
    if (!is.null(job$streams) && used) arm()
  }
  if (!is.null(values)) values <- values[seq_len(i - from)]
  list(values = values, to = i - 1, failures = failures, warnings = warnings, drawn = drawn || used)
}

# FUN's call and those it made, as lines. Ours that calls it goes before, and at the end stop()'s and those of our handler.
calls_within <- function(calls) {
  lines <- vapply(calls, function(call) deparse(call, nlines = 1L)[[1L]], "")
  lines <- lines[-seq_len(match("call(taken(i))", lines, nomatch = length(lines)))]
  lines <- lines[-length(lines)]
  utils::tail(lines[!grepl("^(stop[(]|[.]handleSimpleError[(]|h[(]simpleError)", lines)], 20L)
}

# A condition may have captured anything; a large one is reduced to what it says.
light <- function(condition) {
  size <- tried(condition)
  if (is.numeric(size) && size <= 1e5) condition else simple_error(condition)
}

simple_error <- function(condition) structure(class = class(condition), list(message = said_by(condition), call = NULL))

# A condition may have no message, or a class whose method for it is not here.
said_by <- function(condition) {
  text <- tryCatch(conditionMessage(condition), error = function(e) condition$message)
  paste(as.character(text), collapse = "\n")
}
