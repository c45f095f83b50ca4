# Does a call change the write-through object it is given? Everything here answers that for one call, or for many in child processes.
#
# - A *subject* is an object shared with copyOnWrite = FALSE. It changes if its bytes in shared memory differ after the call.
# - An outcome is "changes" (then with the call), "same" (at least one call came to its end), "error" (none did).

# Values are in (0, 1) where they can be, so that probabilities and link functions take them. 64 elements or more: from there on R
# wraps an object to change its attributes. Raw and logical come last: `!` is all that changes them in many functions.
plain_subjects <- function() {
  double <- (sin(1:72) + 1.1) / 2.3
  integer <- (1:72 * 29L) %% 73L
  group <- factor(rep(c("a", "b", "c"), 24))
  list(
    double = double,
    integer = integer,
    complex = complex(real = double, imaginary = rev(double)),
    matrix = crossprod(matrix(sin(1:64), 8)) + diag(8),
    `integer matrix` = matrix(integer, 8),
    array = array(double, c(4, 6, 3)),
    factor = group,
    `time series` = ts(double, start = 2000, frequency = 12),
    Date = as.Date("2024-01-01") + double * 100,
    `named vector` = setNames(double, paste0("n", 1:72)),
    list = list(a = double, b = integer),
    `data frame` = data.frame(a = double, b = integer, y = rev(double), g = group),
    raw = as.raw(integer),
    logical = rep(c(TRUE, FALSE, FALSE), 24)
  )
}

# As they are in memory: no attributes, and bit by bit.
same_bytes <- function(x, y) {
  if (is.list(x)) return(all(mapply(same_bytes, unclass(x), unclass(y))))
  identical(as.vector(unclass(x)), as.vector(unclass(y)), num.eq = FALSE, single.NA = FALSE)
}

# What a call sees besides `x`: plain objects that many functions take as a second or third argument.
partners <- function(x) {
  n <- if (is.data.frame(x)) nrow(x) else length(x)
  list(
    y = rev((cos(seq_len(n)) + 1.1) / 2.3), i = c(3L, 1L, 2L), g = factor(rep(c("a", "b", "c"), length.out = n)),
    f = function(v, ...) sum(v), u = y ~ x, l = list(1, 2), k = matrix(cos(1:64), 8), X = cbind(1, seq_len(n))
  )
}

# The outcome of `call` (quoted) with `plain` shared as `x`.
probe_call <- function(call, plain, limit = 1) {
  x <- cowshed::share(plain, copyOnWrite = FALSE, mustWork = FALSE)
  environment <- list2env(partners(plain), parent = globalenv())
  environment$x <- x
  ended <- run_call(call, environment, limit)
  if (!same_bytes(x, plain)) "changes" else if (ended) "same" else "error"
}

# TRUE if the call came to its end. It is silent, and interrupted after `limit` seconds.
run_call <- function(call, environment, limit) {
  on.exit(setTimeLimit())
  tryCatch({
    setTimeLimit(elapsed = limit, transient = TRUE)
    suppressWarnings(suppressMessages(eval(call, environment)))
    TRUE
  }, error = function(e) FALSE, interrupt = function(e) FALSE)
}

# The outcome of one function, and the first call that changes its subject, or NA. A slow one is not called in all ways.
probe_function <- function(package, name, subjects = plain_subjects()) {
  calls <- shapes_of(package, name)
  outcome <- "error"
  enough <- Sys.time() + 5
  for (subject in names(subjects)) {
    for (call in calls) {
      found <- probe_call(call, subjects[[subject]])
      if (found == "changes") return(list(outcome = found, call = paste(deparse(call), collapse = " "), subject = subject))
      if (found == "same") outcome <- found
      if (Sys.time() > enough) break
    }
  }
  list(outcome = outcome, call = NA_character_, subject = NA_character_)
}

# Applies `f` to each of `items` in a child process of its own, in an empty working directory, with no input and no output. A child
# that dies gives "died"; one that takes more than `limit` seconds is killed and gives "killed".
in_children <- function(items, f, limit = 30, at_once = 2L) {
  # Not in tempdir(): R removes that when it crashes, which here a child does.
  directories <- paste0(tempdir(), "-probes")
  on.exit(unlink(directories, recursive = TRUE))
  results <- vector("list", length(items))
  waiting <- seq_along(items)
  running <- list()
  while (length(waiting) + length(running) > 0L) {
    while (length(waiting) > 0L && length(running) < at_once) {
      number <- waiting[[1L]]
      waiting <- waiting[-1L]
      directory <- file.path(directories, number)
      dir.create(directory, recursive = TRUE)
      job <- parallel::mcparallel(quietly(f(items[[number]]), directory), silent = TRUE, mc.set.seed = FALSE)
      running[[length(running) + 1L]] <- list(job = job, number = number, since = Sys.time())
    }
    ended <- parallel::mccollect(lapply(running, `[[`, "job"), wait = FALSE, timeout = 0.2)
    still <- list()
    for (one in running) {
      pid <- as.character(one$job$pid)
      if (pid %in% names(ended)) {
        answer <- ended[[pid]]
        if (inherits(answer, "try-error")) stop("in a child: ", answer) # ours, not one of the call
        results[[one$number]] <- if (is.list(answer)) answer else list(outcome = "died")
      } else if (difftime(Sys.time(), one$since, units = "secs") > limit) {
        tools::pskill(one$job$pid, tools::SIGKILL)
        suppressWarnings(parallel::mccollect(one$job, wait = TRUE)) # it delivers nothing, which is no news
        results[[one$number]] <- list(outcome = "killed")
      } else {
        still[[length(still) + 1L]] <- one
      }
    }
    running <- still
  }
  results
}

quietly <- function(expression, directory) {
  setwd(directory)
  sink(nullfile())
  sink(file(nullfile(), "w"), type = "message")
  options(device = function(...) grDevices::pdf(NULL), warn = -1)
  expression
}
