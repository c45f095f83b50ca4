# Kills amid Save, the short form of tests/reliability/saves.R; and what remains of a cache then.

skip_on_os("windows")
skip_without_processes()

test_that("a cache whose saver is killed at any moment holds the state of the last Save or of the one going on, and no file too many", {
  for (format in c("rda", "segment")) {
    got <- saves_in({
      set.seed(seed)
      run <- new_run(at, seed, format)
      for (number in 1:8) {
        run$seed <- seed * 1000L + number
        kill_round(run, patience = 0.3)
      }
      answer(list(problems = run$problems, counts = run$counts, generation = run$generation))
    }, at = cache_dir(), seed = as.integer(Sys.time()) %% 10000L, format = format)
    expect_identical(got$problems, character())
    # They did save.
    expect_gt(got$counts[["saves"]], 5)
    expect_gt(got$generation, 50L)
  }
})

test_that("Save() is killed at, and stands an error of, its system calls", {
  got <- saves_in({
    if (!can_inject()) {
      answer("no strace")
      quit("no")
    }
    set.seed(1)
    run <- new_run(at, 1L)
    counted <- count_calls(run)
    counted <- counted[counted > 0L]
    some <- function(n) unique(round(c(1, n / 2, n)))
    calls <- intersect(c("write", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "fsync", "fdatasync", "flock"), names(counted))
    for (call in calls) for (n in some(counted[[call]])) traced_round(run, sprintf("%s:signal=KILL:when=%d", call, n))
    errors <- c(write = "ENOSPC", fsync = "EIO", rename = "EIO", renameat = "EIO", renameat2 = "EIO")
    for (call in intersect(names(errors), calls)) for (n in some(counted[[call]])) {
      traced_round(run, sprintf("%s:error=%s:when=%d+", call, errors[[call]], n))
    }
    answer(list(problems = run$problems, counts = run$counts, calls = counted))
  }, at = cache_dir())
  skip_if(identical(got, "no strace"), "no strace that may attach to processes")
  expect_identical(got$problems, character())
  expect_gt(got$counts[["killed at a call"]], 5)
  expect_gt(got$counts[["failed at a call"]], 2)
  # A Save without them can lose what it saved when the power goes.
  expect_gt(sum(got$calls[c("fsync", "fdatasync")[c("fsync", "fdatasync") %in% names(got$calls)]]), 2)
})
