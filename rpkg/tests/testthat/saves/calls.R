# A Save that is killed, or whose system calls fail, at each of its system calls in turn: strace's fault injection.

saving_calls <- c(
  "openat", "open", "creat", "write", "pwrite64", "writev", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "fsync", "fdatasync",
  "ftruncate", "fallocate", "flock", "mkdir", "mkdirat", "close"
)

# Attaching to a process that is none of strace's own is not allowed everywhere.
can_inject <- function() {
  if (!nzchar(Sys.which("strace"))) return(FALSE)
  pid <- fork(Sys.sleep(20))
  on.exit(kill_hard(pid))
  out <- tempfile()
  system2("strace", c("-f", "-o", out, "-e", "trace=unlink", "-e", "inject=unlink:signal=KILL:when=1", "-p", pid), wait = FALSE, stdout = FALSE, stderr = FALSE)
  is_traced <- wait_until(function() traced(pid) || !is_alive(pid), 5)
  is_traced && is_alive(pid)
}

traced <- function(pid) {
  status <- tryCatch(suppressWarnings(readLines(sprintf("/proc/%d/status", pid))), error = function(e) "")
  any(grepl("^TracerPid:\\s*[1-9]", status))
}

# A saver with something to save, that waits to be traced, saves, and when that was an error saves again.
save_traced <- function(plan) {
  begin_saver(plan)
  e <- saver$caches$a
  for (name in object_names[1:3]) set("a", e, name)
  for (name in object_names[4:9]) {
    set("a", e, name)
    cowshed::mlazy(what = name, envir = e)
  }
  save_one("a")
  # What it is about: changed, removed, new, tidied, demlazied.
  for (name in object_names[4:6]) set("a", e, name)
  drop("a", e, object_names[[7L]])
  cowshed::demlazy(what = object_names[[8L]], envir = e)
  set("a", e, object_names[[9L]])
  cowshed::mtidy(what = object_names[[9L]], envir = e)
  set("a", e, object_names[[10L]])
  cowshed::mlazy(what = object_names[[10L]], envir = e, save.now = FALSE)
  set("a", e, object_names[[1L]])
  in_log <- function(name) file.path(plan$dir, name)
  path <- announce("a")
  mark(in_log("tried"))
  mark(in_log("ready"))
  wait_until(function() file.exists(in_log("go")))
  first <- tryCatch({ cowshed::Save.pos(e); "saved" }, error = identity)
  # Told by a call that is not among those that may fail, and the rest once none does.
  Sys.chmod(in_log("tried"), "0700")
  wait_until(function() file.exists(in_log("untraced")))
  if (identical(first, "saved")) {
    mark(paste0(path, ".done"))
    return(mark(in_log("over")))
  }
  cat(class(first)[[1L]], ": ", conditionMessage(first), sep = "", file = in_log("failed"))
  if (!inherits(first, "cowshed_error")) stop("an error without a class: ", conditionMessage(first))
  wait_until(function() file.exists(in_log("again")))
  # All that it had is there, and is saved now that nothing fails.
  steps$read("a", e)
  cowshed::Save.pos(e)
  steps$read("a", e)
  mark(paste0(path, ".done"))
  mark(in_log("over"))
}

# How often Save makes each call.
count_calls <- function(run) {
  traced_round(run, "", function(log) {
    trace <- readLines(file.path(run$dir, "trace"))
    table(factor(sub("^[0-9]+ +([a-z0-9]+)[(].*$", "\\1", trace), saving_calls))
  })
}

# What a Save does to the files of its cache, in order: `did` is sync, name (a file gets the name `path`), or remove. A link that is synced under another name of its
# file is told by `from`.
order_of_calls <- function(run) {
  traced_round(run, "", function(log) {
    trace <- readLines(file.path(run$dir, "trace"))
    calls <- sub("^[0-9]+ +", "", trace[!grepl("= -1 ", trace)])
    quoted <- lapply(regmatches(calls, gregexpr('"[^"]*"', calls)), function(found) gsub('"', "", found))
    at <- function(k) vapply(quoted, function(paths) if (length(paths) >= k) paths[[k]] else NA_character_, "")
    last <- vapply(quoted, function(paths) if (length(paths) > 0L) paths[[length(paths)]] else NA_character_, "")
    synced <- grepl("^f(data)?sync[(]", calls)
    named <- grepl("^(rename|link)", calls)
    removed <- grepl("^unlink", calls)
    what <- data.frame(did = ifelse(synced, "sync", ifelse(named, "name", "remove")), path = last, from = at(1L))
    what$path[synced] <- sub("^[a-z]+[(][0-9]+<(.*)>[)].*$", "\\1", calls[synced])
    what <- what[synced | named | removed, ]
    # Names that are relative to a directory's descriptor.
    what$path <- basename(what$path)
    what$from <- basename(what$from)
    what
  })
}

# `injected` is strace's: "rename:signal=KILL:when=1", "write:error=ENOSPC:when=3+".
traced_round <- function(run, injected, use = function(log) NULL) {
  for (cache in names(run$caches)) {
    unlink(run$caches[[cache]], recursive = TRUE)
    dir.create(run$caches[[cache]])
    run$states[[cache]] <- as_state(integer())
  }
  log <- new_log(run)
  plan <- plan_of(run, log)
  plan$caches <- plan$caches["a"]
  pid <- start_saver(run, plan, save_traced)
  wait_until(function() file.exists(file.path(log, "ready")) || !is_alive(pid))
  trace <- file.path(run$dir, "trace")
  unlink(trace)
  calls <- paste0("trace=", paste0("?", saving_calls, collapse = ","))
  words <- c("-f", "-y", "-o", trace, "-e", shQuote(calls), if (nzchar(injected)) c("-e", paste0("inject=", injected)), "-p", pid)
  system2("strace", words, wait = FALSE, stdout = FALSE, stderr = FALSE)
  if (!wait_until(function() traced(pid), 10)) {
    wrong(run, injected, ": strace does not attach")
    kill_hard(pid)
    return()
  }
  Sys.sleep(0.01)
  mark(file.path(log, "go"))
  there <- function(name) file.exists(file.path(log, name))
  tried <- function() file.info(file.path(log, "tried"))$mode == as.octmode("0700")
  wait_until(function() tried() || !is_alive(pid))
  killed <- !is_alive(pid)
  if (!killed) {
    end_strace(pid)
    mark(file.path(log, "untraced"))
    wait_until(function() there("over") || there("failed") || !is_alive(pid))
  }
  if (there("failed")) {
    said <- paste(readLines(file.path(log, "failed"), warn = FALSE), collapse = " ")
    add(run, paste0("error ", sub(":.*", "", said)))
    check_failed(run, log, injected)
    mark(file.path(log, "again"))
    wait_until(function() there("over") || !is_alive(pid))
    if (!there("over")) wrong(run, injected, ": no second Save after ", said)
  }
  if (!wait_until(function() !is_alive(pid), 10)) kill_hard(pid)
  add(run, if (killed) "killed at a call" else if (there("failed")) "failed at a call" else "went on")
  got <- use(log)
  after_death(run, log, paste0(injected, ": "))
  got
}

end_strace <- function(pid) {
  status <- readLines(sprintf("/proc/%d/status", pid))
  tracer <- as.integer(sub("\\D+", "", grep("^TracerPid", status, value = TRUE)))
  if (tracer > 0L) tools::pskill(tracer, tools::SIGINT)
  wait_until(function() !traced(pid))
}

# While the one whose Save failed lives on: what others find is one of the two states, and whole.
check_failed <- function(run, log, injected) {
  last <- max(as.integer(sub("^a-", "", list.files(log, "^a-[0-9]+$"))))
  allowed <- lapply(c(last - 1L, last), function(number) get_object(file.path(log, paste0("a-", number)))$state)
  path <- file.path(run$dir, "seen")
  unlink(path)
  dir <- run$caches[["a"]]
  pid <- fork(put_object(tryCatch(state_of(open_cache(dir)), error = conditionMessage), path))
  wait_until(function() !is_alive(pid))
  found <- if (file.exists(path)) get_object(path)
  if (!any(vapply(allowed, identical, NA, found))) wrong(run, injected, ": after the error there is ", paste(format(found), collapse = " "))
}
