# SIGKILL, and system calls that fail, amid Save: Rscript tests/reliability/saves.R [ROUNDS [SEED]]
#
# - ROUNDS kills at random moments of a process that has two caches open, changes, adds, removes, makes anew, caches, demlazies, tidies and moves their
#   objects, and saves now one, now the other (rpkg/tests/testthat/saves/saver.R).
# - One Save, killed at each of its system calls, and with each of them failing once and for good (strace's fault injection; said if there is no strace).
#
# - Two, four and eight sessions that save one cache at once, for 15 seconds each, and one that opens it all the time (crowd.R).
#
# After each kill or fault, a new process must find each cache in the state of the last Save that returned, or of the one that was going on: nothing mixed, lost or torn; a Save
# later, no file is left that nobody needs. An error must be classed, leave in memory what was there, and be followed by a Save that succeeds.
#
# What a round does depends on SEED and its number; when it is killed does not.

for (part in c("processes.R", "model.R", "saver.R", "rounds.R", "calls.R", "crowd.R")) source(file.path("rpkg/tests/testthat/saves", part))
arguments <- suppressWarnings(as.integer(commandArgs(TRUE)))
rounds <- if (length(arguments) >= 1L) arguments[[1]] else 200L
seed <- if (length(arguments) >= 2L) arguments[[2]] else 1L

library(cowshed)
base <- tempfile("cowshed-saves-")
begun <- Sys.time()
cat(sprintf("saves: %d rounds, seed %d, R %s\n", rounds, seed, getRversion()))
set.seed(seed)

runs <- list()
for (format in c("rda", "segment")) {
  run <- new_run(file.path(base, format), seed, format)
  for (number in seq_len(ceiling(rounds / 2))) {
    # No two savers of a run do the same.
    run$seed <- seed * 1000L + number
    kill_round(run, patience = 0.5)
    if (number %% 50L == 0L) cat(sprintf("%s: %d kills, %.0f s\n", format, number, difftime(Sys.time(), begun, units = "secs")))
  }
  runs[[paste("killed at random,", format)]] <- run
}

# Every call up to the tenth of its kind, then fewer and fewer.
moments <- function(n, most) if (n <= 10L) seq_len(n) else unique(c(1:10, round(seq(11, n, length.out = most - 10L))))

if (can_inject()) {
  for (format in c("rda", "segment")) {
    run <- new_run(file.path(base, paste0("calls-", format)), seed, format)
    counted <- count_calls(run)
    counted <- counted[counted > 0L]
    cat(format, ": a Save makes ", paste(names(counted), counted, collapse = ", "), "\n", sep = "")
    for (call in names(counted)) {
      for (n in moments(counted[[call]], 25L)) traced_round(run, sprintf("%s:signal=KILL:when=%d", call, n))
    }
    # Not openat: R reads its own code with it. A directory that takes no new file: test-mlazy-faults.R.
    errors <- c(write = "ENOSPC", pwrite64 = "ENOSPC", writev = "ENOSPC", rename = "EIO", renameat = "EIO", renameat2 = "EIO", link = "EIO",
      linkat = "EIO", unlink = "EACCES", unlinkat = "EACCES", fsync = "EIO", fdatasync = "EIO", ftruncate = "ENOSPC", fallocate = "ENOSPC", flock = "ENOLCK", mkdir = "ENOSPC")
    for (call in intersect(names(counted), names(errors))) for (n in moments(counted[[call]], 15L)) {
      traced_round(run, sprintf("%s:error=%s:when=%d", call, errors[[call]], n))
      # From then on, as on a full disk.
      traced_round(run, sprintf("%s:error=%s:when=%d+", call, errors[[call]], n))
    }
    runs[[paste("at each system call,", format)]] <- run
  }
} else {
  cat("system calls: skipped, there is no strace that may attach to processes\n")
}

crowds <- data.frame()
for (format in c("rda", "segment")) for (sessions in c(2L, 4L, 8L)) {
  name <- paste0("crowd-", format, "-", sessions)
  dirs <- file.path(base, name, c("cache", "log"))
  for (dir in dirs) dir.create(dir, recursive = TRUE)
  got <- crowd(dirs[[1]], dirs[[2]], sessions, 15, format, slowly = format == "rda" && can_inject())
  bad <- c(if (got$hung) "hung", got$wrong, got$strange, got$left)
  crowds <- rbind(crowds, data.frame(format, sessions, saves = got$announced, found = got$found, warnings = got$warnings, problems = length(bad)))
  run <- new.env()
  run$counts <- c(saves = got$announced)
  run$problems <- bad
  for (problem in bad) cat(problem, "\n")
  runs[[paste(sessions, "sessions,", format)]] <- run
}

# What happened ----------------------------------------------------------------------------------------------------------------------------

cat("\n")
print(crowds, row.names = FALSE)
cat("\n")
problems <- character()
for (name in names(runs)) {
  run <- runs[[name]]
  cat(name, ": ", paste(run$counts, names(run$counts), collapse = ", "), "; ", length(run$problems), " problems\n", sep = "")
  problems <- c(problems, run$problems)
}
cat(sprintf("\nseed %d, %.0f s: %d problems\n", seed, difftime(Sys.time(), begun, units = "secs"), length(problems)))
if (length(problems) == 0L) unlink(base, recursive = TRUE) else cat("what is left is in", base, "\n")
quit("no", status = if (length(problems) > 0L) 1L else 0L)
