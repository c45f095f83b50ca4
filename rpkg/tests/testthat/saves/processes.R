# Forks that are killed, and what they pass one another through files. Sourced by model.R's users: test-mlazy-kills.R and tests/reliability/saves.R.

# Forks a process that does `code` and no more.
fork <- function(code) {
  job <- parallel:::mcfork(TRUE)
  if (inherits(job, "masterProcess")) {
    # An error must not let it go on as its parent.
    tryCatch(code, error = function(e) message("a forked process: ", conditionMessage(e)))
    parallel:::mcexit(0L)
  }
  job$pid
}

# A zombie is dead.
is_alive <- function(pid) {
  stat <- tryCatch(suppressWarnings(readLines(sprintf("/proc/%d/stat", pid))), error = function(e) "")
  any(grepl("\\) [^ZX] ", stat))
}

kill_hard <- function(pid) {
  tools::pskill(pid, tools::SIGKILL)
  wait_until(function() !is_alive(pid))
}

# Polls; FALSE if it did not happen in time.
wait_until <- function(happened, seconds = 30) {
  end <- proc.time()[[3]] + seconds
  while (!happened()) {
    if (proc.time()[[3]] > end) return(FALSE)
    Sys.sleep(5e-4)
  }
  TRUE
}

# Whole or not at all, for whoever reads it.
put_object <- function(x, path) {
  part <- paste0(path, ".part")
  writeBin(serialize(x, NULL), part)
  invisible(file.rename(part, path))
}
get_object <- function(path) unserialize(readBin(path, "raw", file.size(path)))
mark <- function(path) invisible(file.create(path))
