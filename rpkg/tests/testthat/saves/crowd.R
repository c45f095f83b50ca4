# Several sessions that save one cache at once, and one that opens it all the time.
#
# Each puts the state it is about to save into announced-<who>-<n>, and each state that it found into found-<who>-<n>; what it stumbles over goes to wrong-<who>.

# With `slowly`, strace delays what they do to the directory, so that they meet in the middle of it.

crowd <- function(dir, log, sessions, seconds, format = "rda", slowly = FALSE) {
  options(mlazy.format = format)
  first <- open_cache(dir)
  for (name in object_names[1:12]) first[[name]] <- value_of(name, 1L)
  cowshed::mlazy(what = object_names[1:10], envir = first)
  put_object(state_of(first), file.path(log, "announced-first-1"))
  cowshed::Save.pos(first)
  rm(first)
  gc()
  ends <- proc.time()[[3]] + seconds
  pids <- vapply(seq_len(sessions), function(who) fork(one_session(dir, log, who, ends)), 1L)
  pids <- c(pids, fork(one_reader(dir, log, ends)))
  if (slowly) for (pid in pids) delay_calls(pid)
  hung <- !wait_until(function() !any(vapply(pids, is_alive, NA)), seconds + 30)
  if (hung) for (pid in pids) kill_hard(pid)

  all_of <- function(what) lapply(list.files(log, paste0("^", what, "-[^.]*$"), full.names = TRUE), get_object)
  announced <- vapply(all_of("announced"), describe, "")
  found <- vapply(all_of("found"), describe, "")
  last <- open_cache(dir)
  found <- c(found, describe(state_of(last)))
  last$last <- 1
  cowshed::Save.pos(last)
  list(
    hung = hung, wrong = unlist(lapply(list.files(log, "^wrong-", full.names = TRUE), readLines)), announced = length(announced), found = length(unique(found)),
    strange = setdiff(found, announced), warnings = sum(file.size(list.files(log, "^warned-", full.names = TRUE))), left = leftovers(dir, last)
  )
}

in_crowd <- function(log, who, code) {
  in_log <- function(what) file.path(log, paste0(what, "-", who))
  tryCatch(
    withCallingHandlers(code, warning = function(w) {
      if (inherits(w, "cowshed_warning_saved_elsewhere")) cat(".", file = in_log("warned"), append = TRUE)
      else cat("warning: ", conditionMessage(w), "\n", sep = "", file = in_log("wrong"), append = TRUE)
      invokeRestart("muffleWarning")
    }),
    error = function(e) cat(class(e)[[1L]], ": ", conditionMessage(e), "\n", sep = "", file = in_log("wrong"), append = TRUE)
  )
}

delay_calls <- function(pid) {
  words <- c("-f", "-o", "/dev/null", "-e", shQuote("trace=?linkat,?rename,?unlink,?pwrite64,?getdents64"))
  delayed <- "inject=?linkat,?rename,?unlink,?pwrite64,?getdents64:delay_exit=4000"
  system2("strace", c(words, "-e", shQuote(delayed), "-p", pid), wait = FALSE, stdout = FALSE, stderr = FALSE)
  wait_until(function() traced(pid) || !is_alive(pid), 5)
}

one_session <- function(dir, log, who, ends) in_crowd(log, who, {
  set.seed(who)
  n <- 0L
  open <- function() {
    e <- open_cache(dir)
    saver$caches <- list(a = e)
    saver$states <- list(a = state_of(e))
    put_object(saver$states$a, file.path(log, paste0("found-", who, "-", n)))
  }
  open()
  saver$plan <- list()
  saver$generation <- who * 1000000L
  these <- c("change", "change", "patch", "add", "cache", "remove", "remake", "demlazy", "tidy", "tidy_all", "read")
  while (proc.time()[[3]] < ends) {
    for (step in sample(these, 4L)) steps[[step]]("a", saver$caches$a)
    n <- n + 1L
    put_object(saver$states$a, file.path(log, paste0("announced-", who, "-", n)))
    cowshed::Save.pos(saver$caches$a)
    if (n %% 7L == 0L) {
      steps$read("a", saver$caches$a)
      saver$caches <- NULL
      gc()
      open()
    }
  }
})

# What was there when it was opened is read, however late.
one_reader <- function(dir, log, ends) in_crowd(log, "reader", {
  set.seed(99)
  n <- 0L
  while (proc.time()[[3]] < ends) {
    n <- n + 1L
    e <- open_cache(dir)
    Sys.sleep(stats::runif(1, 0, 0.3))
    put_object(state_of(e), file.path(log, paste0("found-reader-", n)))
    rm(e)
    gc()
  }
})
