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
    expect_no_problems(got$problems)
    # They did save.
    expect_gt(got$counts[["saves"]], 5)
    expect_gt(got$generation, 15L)
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
    some <- function(n) unique(ceiling(c(1, n / 2, n)))
    calls <- intersect(c("write", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "fsync", "fdatasync", "flock"), names(counted))
    for (call in calls) for (n in some(counted[[call]])) traced_round(run, sprintf("%s:signal=KILL:when=%d", call, n))
    errors <- c(write = "ENOSPC", fsync = "EIO", rename = "EIO", renameat = "EIO", renameat2 = "EIO")
    for (call in intersect(names(errors), calls)) for (n in some(counted[[call]])) {
      traced_round(run, sprintf("%s:error=%s:when=%d+", call, errors[[call]], n))
    }
    answer(list(problems = run$problems, counts = run$counts, calls = counted))
  }, at = cache_dir())
  skip_if(identical(got, "no strace"), "no strace that may attach to processes")
  expect_no_problems(got$problems)
  expect_gt(got$counts[["killed at a call"]], 5)
  expect_gt(got$counts[["failed at a call"]], 2)
  # A Save without them can lose what it saved when the power goes.
  expect_gt(sum(got$calls[c("fsync", "fdatasync")[c("fsync", "fdatasync") %in% names(got$calls)]]), 2)
})

test_that("Save() syncs what it writes before .RData refers to it, and removes files only after that", {
  got <- saves_in({
    if (!can_inject()) {
      answer("no strace")
      quit("no")
    }
    set.seed(1)
    run <- new_run(at, 1L)
    answer(list(calls = order_of_calls(run), problems = run$problems))
  }, at = cache_dir())
  skip_if(identical(got, "no strace"), "no strace that may attach to processes")
  expect_no_problems(got$problems)
  calls <- got$calls
  at <- function(did, path) which(calls$did == did & grepl(path, calls$path))
  commit <- at("name", "^[.]RData$")
  expect_length(commit, 1L)
  # The bytes of each new file, then its name; those of the new .RData, its name last.
  objects <- at("name", "^obj[0-9]+[.](rda|seg)$")
  objects <- objects[objects < commit]
  expect_gt(length(objects), 2L)
  for (object in c(objects, commit)) {
    synced <- which(calls$did == "sync" & calls$path %in% c(calls$from[object], calls$path[object]))
    expect_true(any(synced < commit), info = calls$path[object])
  }
  expect_true(any(at("sync", "^mlazy$") > max(objects) & at("sync", "^mlazy$") < commit))
  expect_true(any(at("sync", "^a$") > commit))
  expect_true(all(at("remove", "^obj") > commit))
})
