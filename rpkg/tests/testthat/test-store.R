# The directory that segments live in: full, wrong, wiped, on disk.

skip_on_os("windows")
skip_without_processes()

test_that("a full store is cowshed_error_full with sizes and remedy, leaves nothing, and small objects still fit", {
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    used <- function() as.numeric(system2("df", c("-k", "--output=used", at), stdout = TRUE)[2])
    empty <- { share(1:3); gc(); pruneSharedObjects(); used() }
    big <- condition_of(share(numeric(1e6)))
    compact <- condition_of(share(as.double(1:1e6)))
    # Too big only after some of it was written.
    parts <- condition_of(share(lapply(1:200, function(i) numeric(4000))))
    through <- condition_of(share(numeric(1e6), copyOnWrite = FALSE))
    after <- used()
    files <- nrow(listSharedObjects())
    small <- share(as.numeric(1:1000))
    fits <- share(numeric(3e5))
    rm(fits)
    gc()
    # What was dropped makes room for as much again.
    again <- share(numeric(3e5) + 1)
    answer(list(
      big = big, compact = compact, parts = parts, through = through, grown = after - empty, files = files,
      small = sum(small), shared = is.shared(small), again = sum(again), size = size_of(small)
    ))
  }, at = at, store = at, under = in_tmpfs(at, "size=4m,mode=0700"))
  expect_ended_well(got)
  for (error in got$answer[c("big", "compact", "parts", "through")]) {
    expect_condition_class(error, "full")
    expect_match(error$message, at, fixed = TRUE)
    expect_match(error$message, "cowshed.store", fixed = TRUE)
    expect_match(error$message, "no room for [0-9]+ bytes")
    expect_match(error$message, "[0-9]+ bytes are free")
  }
  expect_match(got$answer$big$message, "8000000")
  expect_identical(got$answer$grown, 0)
  expect_identical(got$answer$files, 0L)
  expect_identical(got$answer$small, sum(as.numeric(1:1000)))
  expect_true(got$answer$shared)
  expect_identical(got$answer$again, 3e5)
  expect_lt(got$answer$size, 300)
})

test_that("drafts and private changes meet a full store with an error or with the right value", {
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    x <- share(as.numeric(1:3e5), sharedCopy = TRUE) # 2.4 MB of 4
    y <- NULL
    copy <- condition_of({ y <- x; y[1] <- 0 })
    z <- share(as.numeric(1:1e4), sharedSubset = TRUE)
    subset <- condition_of(w <- x[-1])
    thaw <- condition_of(setCopyOnWrite(x, FALSE))
    answer(list(copy = copy, y = y[1], subset = subset, thaw = thaw, x = c(sum(x), is.shared(x), getCopyOnWrite(x)), z = sum(z)))
  }, at = at, store = at, under = in_tmpfs(at, "size=4m,mode=0700"))
  expect_ended_well(got)
  expect_condition_class(got$answer$copy, "full")
  expect_condition_class(got$answer$thaw, "full")
  expect_null(got$answer$subset)
  expect_identical(got$answer$x, c(sum(as.numeric(1:3e5)), 1, 1))
  expect_identical(got$answer$z, sum(as.numeric(1:1e4)))
})

test_that("when not a page is left, ledgers cannot grow and forks get none: errors are classed, and nothing held is lost", {
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    held <- share(as.numeric(1:2000))
    kept <- list()
    error <- NULL
    # Each takes a page or two (write-through ones have a file from the beginning); the ledger has 126 places in its first page, then must grow.
    for (i in 1:2000) {
      error <- condition_of(kept[[i]] <- share(as.numeric(i + 1:10), copyOnWrite = FALSE))
      if (!is.null(error)) break
    }
    n <- length(kept)
    filler <- file.path(at, "filler")
    try(writeBin(raw(4e6), filler), silent = TRUE)
    full <- condition_of(share(as.numeric(1:100), copyOnWrite = FALSE))
    right <- all(vapply(seq_len(n), function(i) identical(kept[[i]][10], i + 10), NA))
    forked <- parallel::mclapply(1:2, function(i) c(sum(held), sum(kept[[1]]), tryCatch(length(serialize(held, NULL)), error = function(e) -1)))
    sent <- size_of(held)
    unlink(filler)
    kept <- NULL
    gc()
    pruneSharedObjects()
    answer(list(
      error = error, full = full, n = n, right = right, forked = forked, sent = sent, held = sum(held),
      later = is.shared(share(1:100)), files = nrow(listSharedObjects())
    ))
  }, at = at, store = at, under = in_tmpfs(at, "size=2m,mode=0700"))
  expect_ended_well(got)
  expect_gt(got$answer$n, 126L)
  expect_condition_class(got$answer$error, "full")
  expect_condition_class(got$answer$full, "full")
  expect_match(got$answer$full$message, "cowshed.store", fixed = TRUE)
  expect_true(got$answer$right)
  for (child in got$answer$forked) expect_identical(child[1:2], c(sum(as.numeric(1:2000)), sum(as.numeric(1 + 1:10))))
  expect_lt(got$answer$sent, 300)
  expect_identical(got$answer$held, sum(as.numeric(1:2000)))
  expect_true(got$answer$later)
  expect_lte(got$answer$files, 2L)
})

test_that("a store with no files left to make is a classed error", {
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    kept <- list()
    error <- NULL
    for (i in 1:50) if (!is.null(error <- condition_of(kept[[i]] <- share(as.numeric(1:10), copyOnWrite = FALSE)))) break
    n <- length(kept)
    kept <- kept[1]
    gc()
    pruneSharedObjects()
    answer(list(n = n, error = error, again = is.shared(share(1:10)), kept = sum(kept[[1]])))
  }, store = at, under = in_tmpfs(at, "size=4m,mode=0700,nr_inodes=20"))
  expect_ended_well(got)
  expect_lt(got$answer$n, 20L)
  expect_true(got$answer$error$class[1] %in% c("cowshed_error_full", "cowshed_error_store"))
  expect_true(got$answer$again)
  expect_identical(got$answer$kept, 55)
})

test_that("the file size limit of a process (ulimit -f) is an error, not a signal that kills", {
  with_new_store({
    got <- run_r({
      library(cowshed)
      big <- condition_of(share(numeric(1e6)))
      files <- nrow(listSharedObjects())
      answer(list(big = big, files = files, small = is.shared(share(as.numeric(1:1000)))))
    }, under = c("bash", "-c", "ulimit -f 1024; exec \"$0\" \"$@\""))
    expect_ended_well(got)
    expect_condition_class(got$answer$big, "full")
    expect_identical(got$answer$files, 0L)
    expect_true(got$answer$small)
    expect_clean_store()
  })
})

test_that("a file size limit that not even a ledger fits, or cannot grow under, is an error too", {
  # Only segments were written with the signal ignored: a small limit killed R at its first share(), or at its 253rd.
  for (limit in c(1, 3, 5)) with_new_store({
    # Made by another: attaching needs a ledger, and a mark in the segment.
    x <- share(as.numeric(1:5000))
    got <- run_r({
      library(cowshed)
      kept <- list()
      error <- NULL
      for (i in 1:600) if (!is.null(error <- condition_of(kept[[i]] <- share(1:10 + i, copyOnWrite = FALSE)))) break
      right <- all(vapply(seq_along(kept), function(i) kept[[i]][1] == i + 1, NA))
      y <- take("x")
      kept_some <- length(kept)
      read <- condition_of(stopifnot(identical(sum(y), sum(as.numeric(1:5000)))))
      # What answer() writes is larger than the smallest limit.
      cat("class", error$class[1], kept_some, right, if (is.null(read)) "read" else read$class[1], "\n")
    }, dir = put_in(scratch(), x, "x"), under = c("bash", "-c", paste("ulimit -f", limit, "; exec \"$0\" \"$@\"")))
    expect_ended_well(got, limit)
    words <- strsplit(grep("^class", got$out, value = TRUE), " ")[[1]]
    expect_true(words[2] %in% c("cowshed_error_full", "cowshed_error_store"), info = limit)
    expect_identical(words[3], c("0", "0", "126")[match(limit, c(1, 3, 5))])
    expect_identical(words[4], "TRUE")
    expect_true(words[5] %in% c("read", "cowshed_error_store"), info = limit)
    expect_identical(sum(x), sum(as.numeric(1:5000)))
  })
})

test_that("what is no usable directory is a classed error with the remedy, and nothing is made", {
  base <- tempfile("stores-")
  dir.create(base, mode = "0700")
  uid <- system2("id", "-u", stdout = TRUE)
  name <- paste0("cowshed-", uid)
  at <- function(case) {
    dir <- file.path(base, case)
    dir.create(dir, mode = "0700")
    dir
  }
  refused <- function(store, class, word) {
    old <- options(cowshed.store = store)
    on.exit(options(old))
    e <- expect_error(share(as.numeric(1:1000)), class = paste0("cowshed_error_", class))
    expect_s3_class(e, "cowshed_error")
    expect_match(conditionMessage(e), word, fixed = TRUE)
    expect_error(listSharedObjects(), class = paste0("cowshed_error_", class))
    expect_error(pruneSharedObjects(), class = paste0("cowshed_error_", class))
  }
  # NA was a directory of that name, and a relative one was another store after setwd().
  wrong <- list(5, NA_character_, NA, c("/a", "/b"), character(), "", list("/tmp"), TRUE, "here", "./here", "../here")
  for (store in wrong) refused(store, "argument", "store")
  expect_false(any(file.exists("NA", "here", "../here")))

  refused(file.path(base, "absent"), "store", "options(cowshed.store = )")
  expect_false(file.exists(file.path(base, "absent")))

  file <- file.path(base, "file")
  writeLines("mine", file)
  refused(file, "store", "options(cowshed.store = )")
  expect_identical(readLines(file), "mine")

  in_place <- at("file-in-place")
  writeLines("mine", file.path(in_place, name))
  refused(in_place, "store", "it is not a directory")
  expect_identical(readLines(file.path(in_place, name)), "mine")

  linked <- at("symlink")
  elsewhere <- at("elsewhere")
  file.symlink(elsewhere, file.path(linked, name))
  refused(linked, "store", "it is not a directory")
  expect_identical(list.files(elsewhere), character())

  open <- at("open")
  dir.create(file.path(open, name))
  Sys.chmod(file.path(open, name), "0755", use_umask = FALSE)
  refused(open, "store", "700")
  expect_identical(list.files(file.path(open, name)), character())

  inner <- at("inner")
  dir.create(file.path(inner, name), mode = "0700")
  file.symlink(elsewhere, file.path(inner, name, "segments"))
  refused(inner, "store", "it is not a directory")
  expect_identical(list.files(elsewhere), character())

  if (uid == "0") {
    others <- at("others")
    dir.create(file.path(others, name), mode = "0700")
    system2("chown", c("12345", file.path(others, name)))
    refused(others, "store", "12345")
  } else {
    locked <- at("locked")
    Sys.chmod(locked, "0500")
    refused(locked, "store", "Permission denied")
  }
  # After all that the usual store is as good as ever.
  expect_true(is.shared(share(as.numeric(1:1000))))
  unlink(base, recursive = TRUE)
})

test_that("a store that cannot be written is a classed error", {
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    before <- condition_of(share(1:1000))
    answer(list(error = before, files = list.files(at)))
  }, at = at, store = at, under = in_tmpfs(at, "ro,mode=0700"))
  expect_ended_well(got)
  expect_condition_class(got$answer$error, "store")
  expect_match(got$answer$error$message, "options(cowshed.store = )", fixed = TRUE)
  expect_identical(got$answer$files, character())
})

test_that("a store on disk works, across processes, and is cleaned", {
  with_new_store(where = tempdir(), {
    x <- share(as.numeric(1:3e5))
    y <- share(1:10, copyOnWrite = FALSE)
    got <- run_r({
      x <- take("x")
      y <- take("y")
      y[1] <- 42L
      answer(list(sum(x), cowshed::is.shared(x), cowshed::share(rev(x))[1]))
    }, dir = put_in(put_in(scratch(), x, "x"), y, "y"))
    expect_identical(got$answer, list(sum(as.numeric(1:3e5)), TRUE, 3e5))
    expect_identical(y[1], 42L)
    rm(x, y)
    gc()
    expect_clean_store(ledgers = 1L)
  })
})

test_that("a store may have any name R can write", {
  with_new_store({
    for (name in c("with space", "d\u00e4mmerung", "quote'\"", strrep("long", 40))) {
      base <- file.path(store_base(), name)
      dir.create(base, mode = "0700")
      old <- options(cowshed.store = base)
      x <- share(as.numeric(1:5000))
      options(old)
      got <- run_r(answer(sum(take("x"))), dir = put_in(scratch(), x, "x"), store = NULL)
      expect_ended_well(got, name)
      expect_identical(got$answer, sum(as.numeric(1:5000)), info = name)
    }
  })
})

test_that("when the store is wiped, reading goes on, serialize() travels by value, and the next share() works", {
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- share(as.numeric(1:3e5))
      small <- share(1:10)
      live <- share(numeric(1e5), copyOnWrite = FALSE)
      y <- x
      y[1] <- 0
      serialize(small, NULL)
      unlink(file.path(cowshed:::store_path()), recursive = TRUE)
      live[2] <- 2
      read <- c(sum(x), sum(small), sum(live), sum(y))
      sizes <- c(size_of(x), size_of(small), size_of(live))
      values <- list(unserialize(serialize(x, NULL)), unserialize(serialize(live, NULL)))
      none <- nrow(listSharedObjects())
      z <- x
      z[1] <- -1
      product <- (matrix(x, 3) %*% rep(1, 1e5))[1]
      new <- share(as.numeric(1:5000))
      again <- share(x + 0)
      files <- listSharedObjects()$Id
      forked <- parallel::mclapply(1:2, function(i) c(sum(x), sum(new)))
      put(new, "new")
      put(again, "again")
      answer(list(
        read = read, sizes = sizes, values = vapply(values, sum, 0), none = none, z = c(z[1], x[1]), product = product,
        listed = setequal(files, c(cowshed:::data_id(new), cowshed:::data_id(again))), size = size_of(new), forked = forked
      ))
      rm(x, y, z, live, small)
      gc()
      mark("done")
    }, dir = (dir <- scratch()))
    expect_ended_well(got)
    a <- got$answer
    total <- sum(as.numeric(1:3e5))
    expect_identical(a$read, c(total, 55, 2, total - 1))
    expect_true(all(a$sizes > c(2.4e6, 40, 8e5)))
    expect_identical(a$values, c(total, 2))
    expect_identical(a$none, 0L)
    expect_identical(a$z, c(-1, 1))
    expect_identical(a$product, sum(as.numeric(seq(1, 3e5, 3))))
    expect_true(a$listed)
    expect_lt(a$size, 300)
    expect_identical(a$forked, rep(list(c(total, sum(as.numeric(1:5000)))), 2))
    after <- run_r(answer(c(sum(take("new")), sum(take("again")))), dir = dir)
    expect_identical(after$answer, c(sum(as.numeric(1:5000)), total))
    expect_clean_store()
  })
})

test_that("a wiped store where only its segments or only its ledgers went is no worse", {
  with_new_store({
    for (part in c("segments", "ledgers")) {
      got <- run_r({
        library(cowshed)
        x <- share(as.numeric(1:3e5))
        unlink(file.path(cowshed:::store_path(), part), recursive = TRUE)
        before <- c(sum(x), sum(unserialize(serialize(x, NULL))))
        new <- share(as.numeric(1:5000))
        answer(list(before = before, new = c(sum(new), size_of(new) < 300, sum(unserialize(serialize(new, NULL)))), x = sum(x)))
      }, part = part)
      expect_ended_well(got, part)
      expect_identical(got$answer$before, rep(sum(as.numeric(1:3e5)), 2), info = part)
      expect_identical(got$answer$new, c(sum(as.numeric(1:5000)), 1, sum(as.numeric(1:5000))), info = part)
    }
  })
})

test_that("a store is for its user alone: 0700 directories and 0600 files, whatever the umask", {
  with_new_store({
    got <- run_r({
      Sys.umask("0000")
      library(cowshed)
      x <- share(as.numeric(1:5000))
      y <- share(1:5000, copyOnWrite = FALSE)
      d <- share(1:10, sharedCopy = TRUE)
      d[1] <- 0L
      serialize(d, NULL)
      path <- cowshed:::store_path()
      files <- list.files(path, recursive = TRUE, full.names = TRUE, all.files = TRUE)
      dirs <- list.dirs(path)
      answer(list(dirs = format(file.mode(dirs)), files = format(file.mode(files))))
    })
    expect_identical(got$answer$dirs, rep("700", 3))
    expect_identical(unique(got$answer$files), "600")
    expect_gte(length(got$answer$files), 4L)
  })
})

test_that("strange files in a store harm nobody, nor keep anything from being cleaned", {
  with_new_store({
    x <- share(as.numeric(1:5000))
    store <- store_dir()
    junk <- file.path(store, c("segments", "ledgers", "segments", "segments"), c("README", "notes", ".hidden", strrep("0", 32)))
    for (file in junk) writeLines("junk", file)
    dir.create(file.path(store, "segments", strrep("a", 32)))
    dir.create(file.path(store, "ledgers", "folder"))
    file.symlink("/etc/passwd", file.path(store, "segments", strrep("b", 32)))
    file.symlink("/nowhere", file.path(store, "ledgers", strrep("b", 32)))
    file <- file.path(store, "ledgers", "fifo")
    system2("mkfifo", file)
    # One that is held, one that is nobody's, though others could have it: so the ledgers are scanned. A link there stopped all scans.
    expect_identical(sum(unserialize(serialize(x, NULL))), sum(as.numeric(1:5000)))
    y <- share(as.numeric(1:3e5))
    expect_identical(sum(unserialize(serialize(y, NULL))), sum(as.numeric(1:3e5)))
    id <- cowshed:::data_id(y)
    rm(y)
    gc()
    pruneSharedObjects()
    expect_false(id %in% basename(segments()))
    expect_true(cowshed:::data_id(x) %in% basename(segments()))
    expect_s3_class(listSharedObjects(), "data.frame")
    expect_true(file.exists("/etc/passwd"))
  })
})

test_that("what R has not collected yet is no reason for a store to be full", {
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    x <- as.numeric(1:125000) + 0 # 1 MB
    sums <- vapply(1:40, function(i) sum(share(x + i)), 0)
    through <- vapply(1:40, function(i) sum(share(x, copyOnWrite = FALSE)[1:2]), 0)
    lists <- vapply(1:40, function(i) length(share(lapply(1:100, function(k) x[1:1000 + k]))), 0L)
    kept <- list()
    error <- condition_of(for (i in 1:10) kept[[i]] <- share(x))
    answer(list(sums = sums, through = through, lists = lists, kept = length(kept), right = all(vapply(kept, identical, NA, x)), error = error))
  }, store = at, under = in_tmpfs(at, "size=4m,mode=0700"))
  expect_ended_well(got)
  expect_identical(got$answer$sums, sum(as.numeric(1:125000)) + 125000 * 1:40)
  expect_identical(got$answer$through, rep(3, 40))
  expect_identical(got$answer$lists, rep(100L, 40))
  # What is in use is not taken away.
  expect_condition_class(got$answer$error, "full")
  expect_true(got$answer$kept >= 3L && got$answer$kept <= 4L)
  expect_true(got$answer$right)
})
