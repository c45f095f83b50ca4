# Deals the elements of a job to the slots of an engine, in pieces, until all are done.
#
# - Pieces get smaller towards the end, so that all slots end together: each is an eighth of a slot's share of what is left.
# - A worker that dies has its piece done again by another: what was before the element it died at, that element by itself, and the rest. An
#   element at which workers die twice has failed.
# - An error takes the elements after it off the list, as lapply() would; those before it are still worked on, so that the error is that of the first
#   element that has one, whoever came to it when. With errors = "collect" it is the value of its element.
# - However this ends, nothing of the job is running afterwards.

# `job`: what travels, as a list; `items`: the elements, if each piece brings its own. list(values =, failures =, warnings =, drawn =).
deal <- function(engine, job, n, items = NULL, piece = NULL, progress = silence) {
  # What is sent is held here until all is done: no reference has to wait for those who do not come.
  old <- options(cowshed.grace = 0)
  on.exit(options(old))
  id <- basename(tempfile("job"))
  board <- share(c(n, numeric(engine$slots)), copyOnWrite = FALSE, minLength = 1)
  job$board <- board
  bytes <- as_bytes(job)
  has_job <- logical(engine$slots)
  works <- rep(TRUE, engine$slots)
  running <- vector("list", engine$slots)
  again <- list()
  fresh <- 1
  deaths <- numeric()
  unlucky <- 0
  answers <- list()
  values <- vector("list", n)
  failures <- warnings <- list()
  drawn <- FALSE
  done <- 0

  next_piece <- function() {
    while (length(again) > 0L) {
      piece <- again[[1L]]
      again <<- again[-1L]
      if (piece[[1L]] <= board[1L]) return(piece)
    }
    if (fresh > board[1L]) return(NULL)
    size <- if (is.null(piece)) max(1, ceiling((n - fresh + 1) / (4 * sum(works)))) else piece
    from <- fresh
    fresh <<- min(from + size, n + 1)
    c(from, fresh - 1)
  }
  hand_out <- function() {
    for (slot in which(works & lengths(running) == 0L)) {
      part <- next_piece()
      if (is.null(part)) return()
      elements <- if (!is.null(items)) items[part[[1L]]:part[[2L]]]
      running[[slot]] <<- part
      board[slot + 1L] <<- 0
      post(engine, slot, "run_piece", id, if (!has_job[[slot]]) bytes, slot, part[[1L]], part[[2L]], elements)
      has_job[[slot]] <<- engine$keeps
    }
  }
  add_failure <- function(failure) {
    failures[[length(failures) + 1L]] <<- failure
    if (job$stops) board[1L] <<- min(board[1L], failure$index)
  }
  take_in <- function(answer) {
    part <- running[[answer$slot]]
    running[answer$slot] <<- list(NULL)
    reply <- if (is.null(answer$died)) reply_of(answer$value)
    if (is.null(reply)) return(bury(answer$slot, part, answer$died))
    if (!is.null(reply$unopened)) stop(reply$unopened)
    if (is.null(job$out) && length(reply$values) > 0L) values[seq(part[[1L]], length.out = length(reply$values))] <<- reply$values
    warnings <<- c(warnings, reply$warnings)
    drawn <<- drawn || reply$drawn
    lapply(reply$failures, add_failure)
    done <<- done + reply$to - part[[1L]] + 1
  }
  bury <- function(slot, part, why) {
    at <- board[slot + 1L]
    why <- first_line(why)
    has_job[[slot]] <<- FALSE
    works[[slot]] <<- revive(engine, slot)
    if (!any(works)) fail("worker", paste0("all workers of the cluster are gone (", why, "); make a new cluster, or leave CLUSTER out"))
    if (at == 0) {
      # Gone before it began, or once it was done; not FUN's doing.
      unlucky <<- unlucky + 1
      if (unlucky > 2 * engine$slots) fail("worker", paste0("workers are gone before they begin, or as they answer (", why, "); if FUN closes no connections, set up the workers anew"))
      again <<- c(again, list(part))
      return()
    }
    deaths <<- c(deaths, at)
    if (sum(deaths == at) > 1L) {
      add_failure(list(index = at, condition = worker_error(sprintf(
        "the worker died there, and so did the one that tried again; it ran out of memory, or FUN ended R (%s)", why
      ))))
    } else {
      again <<- c(list(c(at, at)), again)
    }
    rest <- list(c(part[[1L]], at - 1), c(at + 1, part[[2L]]))
    again <<- c(Filter(function(piece) piece[[1L]] <= piece[[2L]], rest), again)
  }

  ended <- FALSE
  on.exit({
    discard(answers)
    busy <- which(lengths(running) > 0L)
    if (length(busy) > 0L) {
      board[1L] <- 0
      halt(engine, busy, function(slot) board[slot + 1L] > 0)
    }
    dismiss(engine, job$size)
    # Only its name: who still has it writes into memory that nobody reads.
    freeSharedMemory(data_id(board))
    progress$end(ended)
  }, add = TRUE, after = FALSE)
  hand_out()
  while (any(lengths(running) > 0L)) {
    answers <- collect(engine, progress$every)
    while (length(answers) > 0L) {
      take_in(answers[[1L]])
      answers <- answers[-1L]
    }
    hand_out()
    # Those who work on elements that nobody wants any more.
    if (board[1L] < n) {
      late <- which(lengths(running) > 0L & board[-1L] > board[1L])
      if (length(late) > 0L && all(lengths(running) == 0L | seq_along(running) %in% late)) {
        halt(engine, late, function(slot) board[slot + 1L] > board[1L])
        running[late] <- list(NULL)
      }
    }
    progress$at(done, board, running)
  }
  ended <- TRUE
  list(values = values, failures = failures, warnings = warnings, drawn = drawn)
}

# What a worker said; NULL never. Anything but bytes is the text of an error outside FUN.
reply_of <- function(value) {
  if (is.raw(value)) return(unserialize(value))
  fail("worker", paste0("a worker could not take the work: ", paste(trimws(as.character(value)), collapse = " ")))
}

first_line <- function(text) substr(strsplit(paste0(text, "\n"), "[\n.]")[[1L]][[1L]], 1L, 200L)

worker_error <- function(message) errorCondition(message, class = c("cowshed_error_worker", "cowshed_error"))

fail <- function(word, message, ...) stop(errorCondition(message, ..., class = c(paste0("cowshed_error_", word), "cowshed_error")))
