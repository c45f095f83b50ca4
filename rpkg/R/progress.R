# Progress of a job: through progressr if it is installed and the user has asked it to report, else through cli in an interactive session; else silent.
#
# A progress is a list: `every`, seconds between two looks; at(done, board, running); end(ended).

silence <- list(every = 1, at = function(...) NULL, end = function(...) NULL)

progress_for <- function(n, what, wanted = getOption("cowshed.progress", TRUE)) {
  if (!isTRUE(wanted)) return(silence)
  show <- if (reports_progressr()) by_progressr(n) else if (interactive() && requireNamespace("cli", quietly = TRUE)) by_cli(n, what)
  if (is.null(show)) return(silence)
  shown <- 0
  list(
    every = 0.1,
    at = function(done, board, running) {
      parts <- running[lengths(running) > 0L]
      at <- board[which(lengths(running) > 0L) + 1L]
      # Done too is what is before the element that each works on.
      begun <- sum(pmax(0, at - vapply(parts, `[[`, 0, 1L)))
      now <- min(n, floor(done + begun))
      if (now > shown) {
        show$add(now - shown)
        shown <<- now
      }
    },
    end = function(ended) {
      if (ended && shown < n) show$add(n - shown)
      show$end()
    }
  )
}

# Whether anybody listens: a handler that was set for all, or with_progress() around us.
reports_progressr <- function() {
  isNamespaceLoaded("progressr") && (isTRUE(progressr::handlers(global = NA)) || is_within(progressr::with_progress))
}

is_within <- function(f) {
  for (k in seq_len(sys.nframe())) if (identical(sys.function(k), f)) return(TRUE)
  FALSE
}

by_progressr <- function(n) {
  tell <- progressr::progressor(steps = n, auto_finish = FALSE, envir = new.env(), on_exit = FALSE)
  list(add = function(k) tell(amount = k), end = function() tell(type = "finish"))
}

# cli shows nothing of what takes less than two seconds.
by_cli <- function(n, what) {
  bar <- cli::cli_progress_bar(what, total = n, .envir = NULL, .auto_close = FALSE)
  list(add = function(k) cli::cli_progress_update(inc = k, id = bar), end = function() cli::cli_progress_done(id = bar))
}
