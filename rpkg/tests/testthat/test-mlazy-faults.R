# Full disks, directories that cannot be written or are gone, files that are damaged, interrupts, collections at every allocation.

skip_on_os("windows")
skip_without_processes()

# Within a script: what an attempt came to.
attempts <- quote({
  library(cowshed)
  attempt <- function(code) {
    told <- character()
    tryCatch(
      withCallingHandlers({ force(code); list(how = "done", told = told) }, warning = function(w) {
        told <<- c(told, class(w)[[1]])
        invokeRestart("muffleWarning")
      }),
      error = function(e) list(how = class(e), message = conditionMessage(e), told = told)
    )
  }
  open_cache <- function(dir) {
    e <- new.env()
    attr(e, "path") <- dir
    load.refdb(envir = e)
    e
  }
  contents_of <- function(e) mget(sort(ls(e, all.names = TRUE)), e)
  # What another process finds; plain, for a view keeps the room of a file that is gone.
  found_in <- function(dir) {
    parallel::mccollect(parallel::mcparallel(tryCatch({ e <- open_cache(dir); lapply(contents_of(e), unshare) }, error = conditionMessage)))[[1]]
  }
})

# Not compressible: what goes to the disk is as large as what is in memory.
noise <- quote(noise <- function(kb, seed) {
  set.seed(seed)
  writeBin(as.raw(sample.int(256L, kb * 1024L, TRUE) - 1L), raw())
})

test_that("a disk that is full at any point of Save is an error with a class, and loses neither what was saved nor what was not", {
  skip_without_mounts()
  at <- mount_point()
  for (compress in list(TRUE, FALSE, "bzip2", "segment")) {
    got <- run_r({
      eval(attempts)
      eval(noise)
      if (identical(compress, "segment")) options(mlazy.format = "segment") else options(mvbutils.compress = compress)
      home <- file.path(at, "cache")
      dir.create(home)
      e <- open_cache(home)
      fill <- function(generation) {
        for (i in 1:3) e[[paste0("big", i)]] <- noise(24, generation * 10 + i)
        e$small <- paste("generation", generation)
        e$ordinary <- noise(40, generation)
      }
      fill(1)
      mlazy(big1, big2, big3, small, envir = e)
      Save.pos(e)
      old <- contents_of(e)
      filler <- file.path(at, "filler")
      free_kb <- function() as.numeric(strsplit(system2("df", c("-Pk", at), stdout = TRUE)[2], " +")[[1]][4])
      wrong <- character()
      counts <- c(failed = 0, done = 0)
      # From no room at all to more than is needed, page by page where the last file ends.
      for (room in c(0, 4, 8, 20, 24, 28, 32, 40, 52, 56, 60, 64, 76, 80, 84, 88, 92, 100, 108, 116, 120, 124, 128, 132, 140, 200, 280, 360)) {
        fill(room + 2)
        new <- contents_of(e)
        writeBin(raw(max(0, free_kb() - room) * 1024), filler)
        first <- attempt(Save.pos(e))
        counts[[if (identical(first$how, "done")) "done" else "failed"]] <- counts[[if (identical(first$how, "done")) "done" else "failed"]] + 1
        there <- found_in(home)
        expected <- if (identical(first$how, "done")) new else old
        if (!identical(there, expected)) wrong <- c(wrong, paste("room", room, "found:", paste(format(utils::head(there, 1)), collapse = " "), toString(first)))
        if (!identical(first$how, "done") && !"cowshed_error" %in% first$how) wrong <- c(wrong, paste("room", room, toString(first)))
        if (!identical(first$how, "done") && !any(grepl(home, first$message, fixed = TRUE))) wrong <- c(wrong, paste("room", room, "names no directory:", first$message))
        if (!identical(contents_of(e), new)) wrong <- c(wrong, paste("room", room, "not in memory any more"))
        unlink(filler)
        # Nothing else than room was needed.
        second <- attempt(Save.pos(e))
        if (!identical(second$how, "done")) wrong <- c(wrong, paste("room", room, "again:", toString(second)))
        if (!identical(found_in(home), new)) wrong <- c(wrong, paste("room", room, "again: not what was saved"))
        old <- new
      }
      left <- grep("^[.]new", list.files(file.path(home, "mlazy"), all.files = TRUE), value = TRUE)
      answer(list(wrong = wrong, counts = counts, left = left, objects = length(list.files(file.path(home, "mlazy"), "^obj"))))
    }, at = at, compress = compress, attempts = attempts, noise = noise, under = in_tmpfs(at, "size=1m,mode=0700"))
    expect_ended_well(got)
    expect_no_problems(got$answer$wrong, format(compress))
    expect_gt(got$answer$counts[["failed"]], 5)
    expect_gt(got$answer$counts[["done"]], 0)
    expect_identical(got$answer$left, character())
    expect_identical(got$answer$objects, 4L)
  }
})

test_that("mlazy() and mtidy() on a full disk keep the object, and say so; a directory that takes no file is the same", {
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    eval(attempts)
    eval(noise)
    home <- file.path(at, "cache")
    dir.create(home)
    e <- open_cache(home)
    e$x <- 1
    mlazy(x, envir = e)
    Save.pos(e)
    free <- as.numeric(strsplit(system2("df", c("-Pk", at), stdout = TRUE)[2], " +")[[1]][4])
    writeBin(raw((free - 20) * 1024), file.path(at, "filler"))
    e$big <- big <- noise(60, 1)
    cached <- attempt(mlazy(big, envir = e))
    kept <- identical(e$big, big)
    e$x <- big
    tidied <- attempt(mtidy(x, envir = e))
    kept <- c(kept, identical(e$x, big), identical(found_in(home), list(x = 1)))
    unlink(file.path(at, "filler"))
    again <- list(attempt(mtidy(big, x, envir = e)), attempt(Save.pos(e)))
    kept <- c(kept, identical(e$big, big), identical(e$x, big), identical(found_in(home), list(big = big, x = big)))
    # No more files: what is there can be read, and changed in memory.
    made <- 0
    while (suppressWarnings(file.create(file.path(at, paste0("file", made))))) made <- made + 1
    e$x <- 2
    full <- attempt(Save.pos(e))
    kept <- c(kept, e$x == 2, identical(found_in(home), list(big = big, x = big)))
    unlink(file.path(at, paste0("file", 0:9)))
    again <- c(again, list(attempt(Save.pos(e))))
    kept <- c(kept, identical(found_in(home), list(big = big, x = 2)))
    answer(list(cached = cached, tidied = tidied, full = full, again = lapply(again, `[[`, "how"), kept = kept))
  }, at = at, attempts = attempts, noise = noise, under = in_tmpfs(at, "size=1m,mode=0700,nr_inodes=40"))
  expect_ended_well(got)
  for (part in c("cached", "tidied", "full")) {
    expect_true("cowshed_error" %in% got$answer[[part]]$how, info = paste(part, toString(got$answer[[part]])))
    expect_match(got$answer[[part]]$message, file.path(at, "cache"), fixed = TRUE, info = part)
  }
  expect_match(got$answer$cached$message, "big")
  expect_identical(got$answer$again, list("done", "done", "done"))
  expect_identical(got$answer$kept, rep(TRUE, length(got$answer$kept)))
})

test_that("a directory that cannot be written is read; saving there is an error that names it, and loses nothing", {
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    eval(attempts)
    home <- file.path(at, "cache")
    dir.create(home)
    e <- open_cache(home)
    e$x <- 1:10
    e$y <- "y"
    mlazy(x, y, envir = e)
    Save.pos(e)
    mtidy(envir = e)
    # Over it, for files are open in it.
    system2("mount", c("--bind", at, at))
    system2("mount", c("-o", "remount,bind,ro", at))
    stopifnot(!suppressWarnings(file.create(file.path(home, "new"))))
    here <- list(x = e$x, new = attempt(read <- contents_of(open_cache(home)))$how, read = read)
    e$x[1] <- 100L
    failed <- attempt(Save.pos(e))
    nothing <- attempt(Save.pos(open_cache(home)))
    kept <- e$x
    system2("umount", c("--lazy", at))
    again <- attempt(Save.pos(e))
    answer(list(here = here, failed = failed, nothing = nothing$how, kept = kept, again = again$how, there = found_in(home)))
  }, at = at, attempts = attempts, under = in_tmpfs(at, "size=1m,mode=0700"))
  expect_ended_well(got)
  got <- got$answer
  expect_identical(got$here, list(x = 1:10, new = "done", read = list(x = 1:10, y = "y")))
  expect_true("cowshed_error" %in% got$failed$how, info = toString(got$failed))
  expect_match(got$failed$message, file.path(at, "cache"), fixed = TRUE)
  # Nothing changed: nothing is written.
  expect_identical(got$nothing, "done")
  changed <- c(100L, 2:10)
  expect_identical(got$kept, changed)
  expect_identical(got$again, "done")
  expect_identical(got$there, list(x = changed, y = "y"))
})

test_that("a directory that is gone is an error that names it, or made anew, and the objects in memory are saved there", {
  dir <- cache_dir()
  e <- opened(dir)
  e$x <- 1:10
  mlazy(x, envir = e)
  Save.pos(e)
  e$x[2] <- 20L
  unlink(dir, recursive = TRUE)
  caught <- tryCatch({ Save.pos(e); NULL }, error = identity)
  if (!is.null(caught)) {
    expect_s3_class(caught, "cowshed_error")
    expect_match(conditionMessage(caught), dir, fixed = TRUE)
    dir.create(dir)
    Save.pos(e)
  }
  expect_same_objects(contents_of(opened(dir)), list(x = c(1L, 20L, 3:10)))
})

# A cache of `bad`, whose file `damage(path)` changes, and `good`.
damaged_cache <- function(damage, format = "rda") {
  local_options(mlazy.format = format)
  dir <- cache_dir()
  e <- opened(dir)
  e$bad <- as.numeric(1:5000)
  e$good <- letters
  mlazy(bad, good, envir = e)
  Save.pos(e)
  files <- list.files(file.path(dir, "mlazy"), "^obj", full.names = TRUE)
  damage(files[[1]], files[[2]])
  dir
}

damages <- list(
  truncated = function(path, other) writeBin(readBin(path, "raw", file.size(path) %/% 2), path),
  `cut by a byte` = function(path, other) writeBin(readBin(path, "raw", file.size(path) - 1L), path),
  empty = function(path, other) close(file(path, "wb")),
  garbage = function(path, other) writeBin(as.raw(rep_len(c(7, 99, 200, 13), 4000)), path),
  `with another byte` = function(path, other) {
    bytes <- readBin(path, "raw", file.size(path))
    at <- length(bytes) %/% 2
    bytes[at] <- xor(bytes[at], as.raw(255))
    writeBin(bytes, path)
  },
  `another object's` = function(path, other) file.copy(other, path, overwrite = TRUE),
  `a directory` = function(path, other) {
    unlink(path)
    dir.create(path)
  },
  unreadable = function(path, other) {
    unlink(path)
    file.symlink(path, path)
  }
)

for (format in c("rda", "segment")) for (how in names(damages)) {
  # A segment has no name in it, and the checksum of what it holds is looked at on request.
  if (format == "segment" && how %in% c("another object's", "with another byte")) next
  test_that(sprintf("an object's file (%s) that is %s is an error that names the object, and no other object's loss", format, how), {
    dir <- damaged_cache(damages[[how]], format)
    told <- character()
    e <- withCallingHandlers(opened(dir), warning = function(w) {
      told <<- c(told, conditionMessage(w))
      invokeRestart("muffleWarning")
    })
    expect_identical(e$good, letters)
    if (length(told) > 0L) {
      # Found out at once: said, and the object is not there.
      expect_match(told, "bad", all = FALSE)
      expect_false(exists("bad", e, inherits = FALSE))
    } else {
      caught <- tryCatch(e$bad, error = identity)
      # What is at the end of a compressed file may be of no consequence.
      if (identical(caught, as.numeric(1:5000)) && how %in% c("cut by a byte", "with another byte")) return(succeed())
      if (format == "segment" && how == "with another byte") {
        # What is mapped is not read to be checked; on request it is.
        expect_error(verifySharedFile(e$bad), class = "cowshed_error_corrupt")
        return(invisible())
      }
      expect_s3_class(caught, "cowshed_error")
      expect_match(conditionMessage(caught), "bad")
      expect_match(conditionMessage(caught), dir, fixed = TRUE)
      # The same at the second attempt: not a promise that is being evaluated.
      expect_identical(conditionMessage(tryCatch(e$bad, error = identity)), conditionMessage(caught))
    }
    # Another value in its place is saved and read.
    e$bad <- "mended"
    Save.pos(e)
    expect_same_objects(contents_of(opened(dir)), list(bad = "mended", good = letters))
  })
}

test_that("an object's file that is gone is a warning that names file and object", {
  dir <- damaged_cache(function(path, other) unlink(path))
  expect_warning(e <- opened(dir), "Can't find file \".*obj1[.]rda\"; deleting object \"bad\"")
  expect_same_objects(contents_of(e), list(good = letters))
})

test_that("saving, with an object that cannot be read, keeps its file", {
  dir <- damaged_cache(damages$garbage)
  before <- tools::md5sum(list.files(file.path(dir, "mlazy"), "obj", full.names = TRUE))
  e <- opened(dir)
  e$good <- "other"
  Save.pos(e)
  expect_true(before[[1]] %in% tools::md5sum(list.files(file.path(dir, "mlazy"), "^obj", full.names = TRUE)))
  expect_identical(opened(dir)$good, "other")
  expect_error(opened(dir)$bad, class = "cowshed_error")
})

test_that("a .RData that is damaged is an error that names it, and nobody tidies the files that it may have referred to", {
  for (damage in damages[c("truncated", "empty", "garbage", "a directory")]) {
    dir <- damaged_cache(function(path, other) NULL)
    files <- cache_files(dir)
    damage(file.path(dir, ".RData"))
    caught <- tryCatch(opened(dir), error = identity)
    expect_s3_class(caught, "cowshed_error")
    expect_match(conditionMessage(caught), file.path(dir, ".RData"), fixed = TRUE)
    expect_true(all(grep("obj", files, value = TRUE) %in% cache_files(dir)))
    expect_error(attach.mlazy(dir, name = "damaged"), class = "cowshed_error")
    expect_false("damaged" %in% search())
  }
})

test_that("interrupts at any moment of Save() and mtidy() lose nothing, in memory or on disk", {
  dir <- scratch()
  home <- cache_dir()
  victim <- start_r({
    eval(attempts)
    e <- open_cache(home)
    names <- paste0("x", 1:12)
    for (name in names) e[[name]] <- as.numeric(seq_len(4000))
    mlazy(what = names[1:9], envir = e)
    Save.pos(e)
    caught <- rounds <- 0
    wrong <- character()
    mark("ready")
    suspendInterrupts(while (!file.exists(in_scratch("stop"))) {
      rounds <- rounds + 1
      for (name in sample(names, 4)) e[[name]] <- c(rounds, seq_len(4000))
      model <- contents_of(e)
      tryCatch(allowInterrupts({
        Save.pos(e)
        mtidy(envir = e)
      }), interrupt = function(i) caught <<- caught + 1)
      now <- tryCatch(contents_of(e), error = conditionMessage)
      if (!identical(now, model)) wrong <- c(wrong, paste("round", rounds, if (is.character(now)) now else toString(names(now))))
    })
    done <- attempt(Save.pos(e))
    answer(list(caught = caught, rounds = rounds, wrong = wrong, done = done, same = identical(found_in(home), contents_of(e)),
      files = length(list.files(file.path(home, "mlazy"), "^obj")), left = list.files(file.path(home, "mlazy"), "^[.](new|obj)", all.files = TRUE)))
  }, dir = dir, home = home, attempts = attempts)
  wait_in(dir, "ready")
  set.seed(1)
  for (i in 1:40) {
    Sys.sleep(runif(1, 0.005, 0.06))
    tools::pskill(victim$get_pid(), tools::SIGINT)
  }
  Sys.sleep(0.2)
  writeBin(raw(1), file.path(dir, "stop"))
  expect_equal(finish(victim), 0L)
  got <- readRDS(list.files(dir, "[.]answer$", full.names = TRUE))
  expect_gt(got$caught, 5)
  expect_no_problems(got$wrong)
  expect_identical(got$done, list(how = "done", told = character()))
  expect_true(got$same)
  expect_identical(got$files, 9L)
  expect_identical(got$left, character())
})

test_that("collecting all the time changes nothing of a round of caching", {
  got <- run_r({
    library(cowshed)
    round <- function(home, format) {
      e <- new.env()
      attr(e, "path") <- home
      e$x <- c(1, 2, 3)
      e$f <- factor(c("a", "b"))
      e$o <- "ordinary"
      mlazy(x, f, envir = e, format = format)
      Save.pos(e)
      e$x[2] <- 20
      mtidy(envir = e)
      e$f[1] <- "b"
      Save.pos(e)
      demlazy(f, envir = e)
      Save.pos(e)
      n <- new.env()
      attr(n, "path") <- home
      load.refdb(envir = n)
      list(mcachees(n), mget(c("f", "o", "x"), n), names(lsize(n)))
    }
    homes <- file.path(at, 1:4)
    for (home in homes) dir.create(home)
    expected <- list(round(homes[1], "rda"), round(homes[2], "segment"))
    # At ever different places.
    gctorture2(5)
    rda <- round(homes[3], "rda")
    gctorture2(7)
    segment <- round(homes[4], "segment")
    gctorture2(0)
    answer(list(expected = expected, tortured = list(rda, segment)))
  }, at = cache_dir(), timeout = 120)
  expect_ended_well(got)
  expect_identical(got$answer$tortured, got$answer$expected)
  expect_identical(got$answer$expected[[1]][1:2], list("x", list(f = factor(c("b", "b"), levels = c("a", "b")), o = "ordinary", x = c(1, 20, 3))))
})
