# Other R processes for the tests, each under a watchdog, and stores that only one test uses.
#
# - run_r(code) runs code in an R of its own and waits; start_r(code) does not wait. Values named in `...` are there by their names.
# - Within it: answer(x) is what run_r() gives back; put(x, "name") and take("name") pass a serialized value through a file; mark() and
#   wait_for() are for order; interrupt_after() is Ctrl-C.
# - A process that takes longer than its time is killed, which its status tells.

skip_without_processes <- function() {
  skip_on_os("windows")
  skip_if_not_installed("callr")
}

# Runs code with a store of its own, in shared memory unless said otherwise.
with_new_store <- function(code, where = if (dir.exists("/dev/shm")) "/dev/shm" else tempdir()) {
  base <- tempfile("cowshed-test-", where)
  dir.create(base, mode = "0700")
  old <- options(cowshed.store = base)
  on.exit({
    options(old)
    unlink(base, recursive = TRUE)
  })
  force(code)
}

store_base <- function() getOption("cowshed.store")
store_dir <- function(base = store_base()) list.files(base, "^cowshed-", full.names = TRUE)
files_in <- function(part, base = store_base()) {
  list.files(file.path(store_dir(base), part), all.files = TRUE, no.. = TRUE, full.names = TRUE)
}
segments <- function(base = store_base()) files_in("segments", base)
ledgers <- function(base = store_base()) files_in("ledgers", base)
cards <- function(base = store_base()) files_in("names", base)

# A process that holds nothing cleans; then nothing is there: no segment, and no ledger or card of the dead.
expect_clean_store <- function(base = store_base(), ledgers = 0L) {
  swept <- run_r({
    library(cowshed)
    pruneSharedObjects()
  }, store = base)
  expect_ended_well(swept)
  expect_identical(basename(segments(base)), character())
  expect_identical(basename(cards(base)), character())
  expect_length(ledgers(base), ledgers)
}

# A folder for scripts and for what processes pass to one another.
scratch <- function() {
  dir <- tempfile("processes-")
  dir.create(dir)
  dir
}

# What every script begins with.
script_preamble <- quote({
  answer <- function(x) {
    force(x) # not within saveRDS(), where shared objects are data
    saveRDS(x, file.path(scratch_dir, script_answer))
  }
  in_scratch <- function(name) file.path(scratch_dir, name)
  put <- function(x, name) put_bytes(serialize(x, NULL), name)
  put_bytes <- function(bytes, name) {
    writeBin(bytes, in_scratch(paste0(name, ".part")))
    invisible(file.rename(in_scratch(paste0(name, ".part")), in_scratch(name)))
  }
  # Bytes that sending would take. With no grace: a reference that nobody claims would keep its segment.
  size_of <- function(x) {
    old <- options(cowshed.grace = 0)
    on.exit(options(old))
    length(serialize(x, NULL))
  }
  mark <- function(name) put_bytes(raw(1), name)
  bytes_of <- function(name) {
    wait_for(name)
    readBin(in_scratch(name), "raw", file.size(in_scratch(name)))
  }
  take <- function(name) unserialize(bytes_of(name))
  wait_for <- function(name, seconds = 60) {
    end <- Sys.time() + seconds
    while (!file.exists(in_scratch(name))) {
      if (Sys.time() > end) stop("waited in vain for ", name)
      Sys.sleep(0.01)
    }
  }
  # Interrupts this process so many seconds later, then again after each further time. Not by system(): until that returns, interrupts are ignored.
  senders <- list()
  interrupt_after <- function(...) {
    senders[[length(senders) + 1L]] <<- pipe(paste(sprintf("sleep %.3f; kill -INT %d", c(...), Sys.getpid()), collapse = ";"), "w")
  }
  condition_of <- function(code) {
    tryCatch({ force(code); NULL }, error = function(e) list(class = class(e), message = conditionMessage(e)))
  }
  # What no file and no other process stands behind: copies are in it, mapped segments are not.
  private_kb <- function() {
    line <- grep("^Anonymous", readLines("/proc/self/smaps_rollup"), value = TRUE)
    as.numeric(sub("\\D+(\\d+) kB", "\\1", line))
  }
})
eval(script_preamble)

write_script <- function(code, vars, store, dir) {
  name <- basename(tempfile("script-", dir))
  vars$scratch_dir <- dir
  vars$script_answer <- paste0(name, ".answer")
  saveRDS(vars, file.path(dir, paste0(name, ".vars")))
  path <- file.path(dir, paste0(name, ".R"))
  writeLines(c(
    sprintf("list2env(readRDS(%s), globalenv())", deparse(file.path(dir, paste0(name, ".vars")))),
    if (!is.null(store)) sprintf("options(cowshed.store = %s)", deparse(store)),
    deparse(script_preamble), deparse(code)
  ), path)
  path
}

r_binary <- function() file.path(R.home("bin"), "Rscript")

# Runs code in a new R. `under` is a command that runs it ("bash -c", mount namespaces): words before R's own.
run_r <- function(code, ..., store = store_base(), dir = scratch(), under = NULL, env = character(), timeout = 60) {
  path <- write_script(substitute(code), list(...), store, dir)
  out <- paste0(path, ".out")
  command <- c("timeout", "--kill-after=5", timeout, under, r_binary(), "--vanilla", path)
  status <- system2("env", shQuote(c(env, command)), stdout = out, stderr = out)
  answered <- sub("[.]R$", ".answer", path)
  list(
    status = status,
    answer = if (file.exists(answered)) readRDS(answered),
    out = readLines(out, warn = FALSE)
  )
}

# Begins to run code in a new R; a callr process, with `dir`, the scratch folder. It dies with the test process at the latest.
start_r <- function(code, ..., store = store_base(), dir = scratch()) {
  path <- write_script(substitute(code), list(...), store, dir)
  out <- paste0(path, ".out")
  callr::rscript_process$new(callr::rscript_process_options(
    script = path, stdout = out, stderr = out, libpath = .libPaths(), env = c(callr::rcmd_safe_env(), R_LIBS = Sys.getenv("R_LIBS"))
  ))
}

# Waits for the end of a process; kills what does not end. Its exit status, NULL if it had to be killed.
finish <- function(process, seconds = 60) {
  process$wait(seconds * 1000)
  if (process$is_alive()) {
    process$kill()
    return(NULL)
  }
  process$get_exit_status()
}

# SIGKILL, and until it is dead.
kill_hard <- function(process) {
  tools::pskill(process$get_pid(), tools::SIGKILL)
  process$wait(30000)
}

# Runs code with a PSOCK cluster `cl`; a socket that stays silent is an error and not a hang.
with_cluster <- function(n, use, ...) {
  cl <- parallel::makePSOCKcluster(n, timeout = 60, ...)
  on.exit(parallel::stopCluster(cl))
  use(cl)
}

pid_is_alive <- function(pid) {
  # A zombie is dead.
  status <- tryCatch(readLines(sprintf("/proc/%d/stat", pid), warn = FALSE), error = function(e) "", warning = function(w) "")
  grepl("\\) [^ZX] ", status)
}

expect_ended_well <- function(ended, info = NULL) {
  expect_equal(ended$status, 0L, info = paste(c(info, tail(ended$out, 20)), collapse = "\n"))
}

expect_condition_class <- function(caught, word) {
  expect_identical(caught$class[1:2], c(paste0("cowshed_error_", word), "cowshed_error"))
}

five_types <- function(n = 1000L) {
  list(
    raw = as.raw(seq_len(n) %% 256L), logical = rep_len(c(TRUE, NA, FALSE), n), integer = c(NA, seq_len(n - 1L)),
    double = c(NA, NaN, -Inf, seq_len(n - 3L) + 0.5), complex = complex(real = seq_len(n), imaginary = -1)
  )
}

# The test process's own side of put() and take().
put_in <- function(dir, x, name) {
  writeBin(serialize(x, NULL), file.path(dir, name))
  invisible(dir)
}
bytes_in <- function(dir, name) readBin(file.path(dir, name), "raw", file.size(file.path(dir, name)))
wait_in <- function(dir, name, seconds = 60) {
  end <- Sys.time() + seconds
  while (!file.exists(file.path(dir, name))) {
    if (Sys.time() > end) stop("waited in vain for ", name)
    Sys.sleep(0.01)
  }
}

# A process in a mount namespace of its own, in which `at` is a tmpfs with these options: nothing can stay mounted.
in_tmpfs <- function(at, options) {
  c("unshare", new_namespace(), "bash", "-c", sprintf("mount -t tmpfs -o %s tmpfs %s && exec \"$0\" \"$@\"", options, at))
}

# How to make one whose mounts nobody else sees; NULL where we may not. A chroot's root is no mount, so its propagation cannot be set:
# there nothing must be shared in the first place.
new_namespace <- function() {
  works <- function(words) suppressWarnings(system2("unshare", c(words, "true"), stdout = FALSE, stderr = FALSE)) == 0
  private <- c("--mount", "--propagation", "private")
  as_it_is <- c("--mount", "--propagation", "unchanged")
  if (works(private)) return(private)
  shared <- tryCatch(any(grepl(" shared:", readLines("/proc/self/mountinfo"))), error = function(e) TRUE)
  if (!shared && works(as_it_is)) as_it_is
}

skip_without_mounts <- function() skip_if(is.null(new_namespace()), "no mount namespaces for us here")

# A folder that in_tmpfs() covers.
mount_point <- function() {
  dir <- tempfile("mount-")
  dir.create(dir, mode = "0700")
  dir
}
