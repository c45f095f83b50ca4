# What kills.R and applies.R have in common: a round's store, its processes, and what is wrong with them. They define `here`, the checkout, and `base`,
# a folder in memory.
#
# A round is an environment with its `number`, its `dir`, which all its processes have as theirs, and `failed`, what went wrong in it.

new_dir <- function(...) {
  path <- file.path(base, ...)
  dir.create(path, mode = "0700", recursive = TRUE)
  path
}
in_dir <- function(round, ...) file.path(round$dir, paste0(...))

# The store's files ---------------------------------------------------------------------------------------------------------------------

files_of <- function(store, part) {
  list.files(file.path(list.files(store, "^cowshed-", full.names = TRUE), part), all.files = TRUE, no.. = TRUE)
}

# Results -------------------------------------------------------------------------------------------------------------------------------

problems <- character()

note <- function(round, what, ...) {
  text <- sprintf("round %d: %s: %s", round$number, what, paste0(...))
  problems <<- c(problems, text)
  cat(text, "\n")
  round$failed <- unique(c(round$failed, what))
}

# Waits; what does not happen in time is a hang, of which it is shown where everybody is.
expect_soon <- function(round, what, happened, seconds = 20) {
  if (wait_until(happened, seconds)) return(TRUE)
  note(round, "hung", what)
  for (path in list.files(round$dir, "^wrong-", full.names = TRUE)) cat(readLines(path), sep = "\n")
  for (pid in family(round)) {
    cat("process", pid, ":", tryCatch(readLines(sprintf("/proc/%d/wchan", pid), warn = FALSE), error = function(e) "gone"), "\n")
    if (nzchar(Sys.which("gdb"))) system(sprintf("timeout 20 gdb -p %d -batch -ex bt 2>/dev/null | grep '^#' | head -40", pid))
  }
  FALSE
}

# Processes -----------------------------------------------------------------------------------------------------------------------------

# All that live of a round, forked children of actors too: they have its directory as theirs.
family <- function(round) {
  where <- Sys.readlink(paths <- Sys.glob("/proc/[0-9]*/cwd"))
  pids <- as.integer(sub("^/proc/([0-9]+)/cwd$", "\\1", paths[where == round$dir]))
  pids[vapply(pids, is_alive, NA)]
}

kill_hard <- function(pids) tools::pskill(pids, tools::SIGKILL)

# An R of its own, whose program is one of this folder.
start_r <- function(round, plan, name, program = "actors.R") {
  file <- file.path(round$dir, paste0("plan-", name, ".rds"))
  saveRDS(plan, file)
  script <- sprintf("cd %s && echo $$ >spawned-%s && cd %s && exec Rscript --vanilla tests/reliability/%s %s", round$dir, name, here, program, file)
  system2("sh", c("-c", shQuote(script)), wait = FALSE, stdout = file.path(round$dir, paste0("out-", name)), stderr = file.path(round$dir, paste0("out-", name)))
  spawned <- file.path(round$dir, paste0("spawned-", name))
  wait_until(function() file.exists(spawned) && file.size(spawned) > 1)
  as.integer(readLines(spawned))
}

# A process that came after all others has one call, after which its store must be clean.
run_newcomer <- function(round, store, call) {
  pid <- if (call == "library") start_r(round, list(store = store, call = call), "newcomer") else fork({
    setwd(round$dir)
    newcomer(store, call)
  })
  if (!expect_soon(round, paste("a newcomer's", call), function() !is_alive(pid))) kill_hard(pid)
}

out_of <- function(round, role) {
  out <- in_dir(round, "out-", role)
  if (file.exists(out)) paste(utils::tail(readLines(out), 5), collapse = " | ") else ""
}
