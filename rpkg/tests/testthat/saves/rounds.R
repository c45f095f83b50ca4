# Rounds of killing a saver (saver.R), and of failing system calls under it, and what its caches hold after each.
#
# A `run` is an environment: `dir`, `caches`, `states`, what each cache must hold, `problems`, and counts of what happened.

new_run <- function(dir, seed, format = "rda") {
  run <- new.env()
  run$dir <- dir
  run$seed <- seed
  run$format <- format
  run$caches <- c(a = file.path(dir, "a"), b = file.path(dir, "b"))
  for (cache in run$caches) dir.create(cache, recursive = TRUE)
  run$states <- lapply(run$caches, function(cache) as_state(integer()))
  run$generation <- 0L
  run$number <- 0L
  run$problems <- character()
  run$counts <- integer()
  run
}

wrong <- function(run, ...) {
  text <- paste0(...)
  cat(text, "\n")
  run$problems <- c(run$problems, text)
}

add <- function(run, what, n = 1L) {
  before <- if (is.na(run$counts[what])) 0L else run$counts[[what]]
  run$counts[[what]] <- before + n
}

plan_of <- function(run, log) {
  list(dir = log, caches = run$caches, first = run$number + 1L, generation = run$generation, seed = (run$seed * 10000 + run$number) %% 2147483647, format = run$format)
}

new_log <- function(run) {
  log <- file.path(run$dir, "log")
  unlink(log, recursive = TRUE)
  dir.create(log)
  log
}

# A saver that says what it died of, if it was not SIGKILL.
start_saver <- function(run, plan, how = save_for_ever) {
  force(plan)
  fork(watched(plan$dir, how(plan)))
}

watched <- function(log, code) {
  say <- function(...) cat(..., "\n", sep = "", file = file.path(log, "wrong"), append = TRUE)
  tryCatch(
    withCallingHandlers(code, warning = function(w) {
      say("warning: ", conditionMessage(w))
      invokeRestart("muffleWarning")
    }),
    error = function(e) say(class(e)[[1L]], ": ", conditionMessage(e))
  )
}

# One kill at a random moment. Half of them come when a Save has just begun.
kill_round <- function(run, patience) {
  log <- new_log(run)
  pid <- start_saver(run, plan_of(run, log))
  wait_until(function() file.exists(file.path(log, "ready")) || !is_alive(pid))
  if (stats::runif(1) < 0.5) {
    Sys.sleep(stats::runif(1, 0, patience))
  } else {
    saves <- 1L + sample.int(5L, 1L)
    begun <- function() length(list.files(log, "^[ab]-[0-9]+$")) >= saves
    wait_until(function() begun() || !is_alive(pid))
    Sys.sleep(stats::runif(1, 0, patience / 10))
  }
  if (!is_alive(pid)) wrong(run, "the saver died by itself")
  kill_hard(pid)
  after_death(run, log)
}

# What the saver logged, and what is there.
after_death <- function(run, log, tell = "") {
  said <- file.path(log, "wrong")
  if (file.exists(said)) wrong(run, tell, paste(readLines(said), collapse = " | "))
  moved <- saved <- character()
  for (cache in names(run$caches)) {
    numbers <- as.integer(sub("^[ab]-", "", list.files(log, paste0("^", cache, "-[0-9]+$"))))
    done <- as.integer(sub("^[ab]-([0-9]+)[.]done$", "\\1", list.files(log, paste0("^", cache, "-[0-9]+[.]done$"))))
    state <- function(number) get_object(file.path(log, paste0(cache, "-", number)))
    last <- if (length(done) > 0L) state(max(done))$state else run$states[[cache]]
    going_on <- setdiff(numbers, done)
    allowed <- c(list(last), lapply(going_on, function(number) state(number)$state))
    saved <- c(saved, names(last))
    moved <- c(moved, unlist(lapply(going_on, function(number) state(number)$moved)))
    for (number in numbers) {
      run$generation <- max(run$generation, state(number)$generation)
      run$number <- max(run$number, number)
    }
    add(run, "saves", length(done))
    if (length(going_on) > 0L) add(run, "killed amid Save or move")
    found <- look(run, cache)
    if (is.null(found)) next
    at <- which(vapply(allowed, identical, NA, found))
    if (length(at) == 0L) {
      wrong(run, tell, "cache ", cache, " holds ", describe(found), ", and not ", paste(vapply(allowed, describe, ""), collapse = " or "))
    } else if (length(allowed) == 2L && !identical(allowed[[1L]], allowed[[2L]])) {
      add(run, if (at[[1L]] == 1L) "the state before" else "the state after")
    }
    run$states[[cache]] <- found
  }
  if (length(moved) > 0L) add(run, "killed amid move")
  # What was never saved may go with whoever had it.
  nowhere <- setdiff(intersect(moved, saved), unlist(lapply(run$states, names)))
  if (length(nowhere) > 0L) wrong(run, tell, "moved, and in neither cache: ", nowhere)
}

# A new process reads a cache, saves it after a change, and looks for what is left; the state it found, NULL if it could not.
look <- function(run, cache) {
  dir <- run$caches[[cache]]
  path <- file.path(run$dir, "found")
  unlink(path)
  pid <- fork({
    found <- list(wrong = character())
    note <- function(c) found$wrong <<- c(found$wrong, paste0(class(c)[[1L]], ": ", conditionMessage(c)))
    tryCatch(withCallingHandlers({
      e <- open_cache(dir)
      found$state <- state_of(e)
      e$looked <- stats::runif(1)
      cowshed::Save.pos(e)
      found$left <- leftovers(dir, e)
      rm("looked", envir = e)
      cowshed::Save.pos(e)
    }, warning = note), error = note)
    put_object(found, path)
  })
  if (!wait_until(function() file.exists(path) || !is_alive(pid))) {
    kill_hard(pid)
    wrong(run, "whoever opened cache ", cache, " hangs")
    return()
  }
  wait_until(function() !is_alive(pid))
  if (!file.exists(path)) {
    wrong(run, "whoever opened cache ", cache, " died")
    return()
  }
  found <- get_object(path)
  for (text in found$wrong) wrong(run, "opening cache ", cache, ": ", text)
  if (length(found$left) > 0L) wrong(run, "left in cache ", cache, ": ", toString(found$left))
  found$state
}
