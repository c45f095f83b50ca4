# sharedMemoryReport(): what sharing costs and saves.

skip_on_os("windows")
skip_without_processes()

# Bytes of a reference, as the report takes them.
reference <- 200

lazy_lists <- getRversion() >= "4.3"

row_of <- function(type) {
  objects <- sharedMemoryReport()$objects
  as.list(objects[objects$type %in% type, ])
}

# One made by hand: `n` objects and processes.
made_up <- function(n) {
  i <- seq_len(n)
  objects <- data.frame(
    Id = sprintf("%032x", i), type = rep("double", n), length = 128 * 2^i, size = 1024 * 2^i, views = rep(1L, n), holders = rep(3L, n),
    sent = rep(2, n), saved = 2048 * 2^i, copied = rep(4096, n)
  )
  processes <- data.frame(
    pid = 100L + i, name = rep("R", n), objects = rep(n, n), pss = 1e6 * i, private = rep(4096, n), rss = rep(1e8, n), total = rep(9e7, n)
  )
  memory_report(objects, processes)
}
memory_report <- cowshed:::memory_report

test_that("a row for each object, with what reads it here and what it takes", {
  with_new_store({
    old <- options(cowshed.grace = 0)
    on.exit(options(old))
    x <- share(as.numeric(1:5000))
    l <- share(list(1:1000, as.numeric(1:3000)))
    s <- share(as.character(1:5000))
    id <- allocateNamedSharedMemory("a name", 100)
    report <- sharedMemoryReport()
    expect_s3_class(report, "sharedMemoryReport", exact = TRUE)
    expect_named(report, c("objects", "processes", "totals"))
    objects <- report$objects
    expect_named(objects, c("Id", "type", "length", "size", "views", "holders", "sent", "saved", "copied"))
    other <- sharedObjectReport()
    shared <- c("Id", "type", "length", "size", "holders")
    expect_identical(objects[shared], other[shared])
    expect_identical(as.data.frame(report), objects)
    expect_true("a name" %in% objects$Id)
    views <- setNames(objects$views, objects$type)
    # A list that is opened late is one view; else its elements are.
    expect_identical(views[c("double", "list", "character", "raw")], c(double = 1L, list = if (lazy_lists) 1L else 2L, character = 1L, raw = 0L))
    expect_identical(unique(objects$sent), 0)
    expect_identical(unique(objects$saved), 0)
    expect_identical(unique(objects$copied), 0)
    sum(l[[1]]) + sum(l[[2]])
    expect_identical(row_of("list")$views, if (lazy_lists) 3L else 2L)
    again <- unserialize(serialize(x, NULL))
    expect_identical(row_of("double")$views, 2L)
    rm(again)
    gc()
    expect_identical(row_of("double")$views, 1L)
    expect_identical(report$totals[["stored"]], sum(objects$size))
    expect_identical(report$totals[["copies"]], sum(objects$size * objects$holders))
    freeSharedMemory(id)
  })
})

test_that("an empty store is reported, printed and drawn", {
  with_new_store({
    report <- sharedMemoryReport()
    expect_identical(dim(report$objects), c(0L, 9L))
    expect_identical(dim(report$processes), c(0L, 7L))
    expect_identical(report$totals, c(stored = 0, copies = 0, sent = 0, saved = 0, copied = 0))
    expect_identical(format(report), "Nothing is in shared memory.")
    expect_output(print(report), "^Nothing is in shared memory[.]$")
  })
})

test_that("a page that is written counts as copied, and no other", {
  with_new_store({
    x <- share(as.numeric(1:1e6))
    y <- x
    y[c(1, 2, 513, 5000, 1e6)] <- 0
    expect_identical(row_of("double")$copied, 4 * 4096)
    z <- x
    z[1] <- 0
    report <- sharedMemoryReport()
    expect_identical(report$objects$copied, 5 * 4096)
    expect_identical(report$totals[["copied"]], 5 * 4096)
    expect_identical(report$processes$private, 5 * 4096)
    rm(y)
    gc()
    expect_identical(row_of("double")$copied, 4096)
    expect_identical(z[2], 2)
    rm(z)
    gc()
    expect_identical(row_of("double")$copied, 0)
  })
})

test_that("what a reference saves is counted each time it is sent, and never where data are written", {
  with_new_store({
    old <- options(cowshed.grace = 0)
    on.exit(options(old))
    x <- share(as.numeric(1:1e5))
    for (k in c(1, 2, 3)) {
      serialize(x, NULL)
      expect_identical(row_of("double")[c("sent", "saved")], list(sent = k, saved = k * (8e5 - reference)))
    }
    file <- tempfile()
    saveRDS(x, file)
    withSharedSerialization(serialize(x, NULL), by = "value")
    y <- x
    y[1] <- 0
    serialize(y, NULL)
    if (requireNamespace("parallelly", quietly = TRUE) && "serializedSize" %in% getNamespaceExports("parallelly")) parallelly::serializedSize(x)
    expect_identical(row_of("double")$sent, 3)
    # So small that a reference is larger.
    tiny <- share(1:3)
    serialize(tiny, NULL)
    expect_identical(row_of("integer")[c("sent", "saved")], list(sent = 1, saved = 0))
    s <- share(as.character(1:1e5))
    serialize(s, NULL)
    text <- row_of("character")
    expect_true(text$saved > 1e5 && text$saved < text$size)
  })
})

test_that("a part counts as what it is", {
  with_new_store({
    old <- options(cowshed.grace = 0)
    on.exit(options(old))
    l <- share(list(a = as.numeric(1:1e4), b = list(as.numeric(1:2e4), as.numeric(1:3e4))))
    saved <- function(of) {
      before <- row_of("list")$saved
      serialize(of, NULL)
      row_of("list")$saved - before
    }
    expect_identical(saved(l$a), 8e4 - reference)
    expect_identical(saved(l$b[[2]]), 24e4 - reference)
    # One reference, or two.
    expect_identical(saved(l$b), 40e4 - reference * if (lazy_lists) 1 else 2)
    whole <- saved(l)
    # With its names, which are not shared for themselves, and gaps to the next page.
    expect_true(whole > 48e4 - 5 * reference && whole < 48e4 + 5 * 4096, info = whole)
    w <- share(as.numeric(1:1e5), sharedSubset = TRUE)
    serialize(w[1:5e4], NULL)
    expect_identical(row_of("double")$saved, 4e5 - reference)
    s <- share(as.character(1e5 + 1:1e5), sharedSubset = TRUE)
    serialize(s, NULL)
    before <- row_of("character")$saved
    serialize(s[1:5e4], NULL)
    expect_equal(sum(sharedMemoryReport()$objects$saved[sharedMemoryReport()$objects$type == "character"]) - before, before / 2, tolerance = 0.01)
  })
})

test_that("every reference of a message counts, however many there are", {
  with_new_store({
    old <- options(cowshed.grace = 0)
    on.exit(options(old))
    n <- 1000
    l <- share(lapply(1:n, function(i) as.numeric(1:100)))
    parts <- lapply(l, identity)
    serialize(parts, NULL)
    expect_identical(row_of("list")[c("sent", "saved")], list(sent = n, saved = n * (800 - reference)))
    serialize(parts[1:10], NULL)
    expect_identical(row_of("list")$sent, n + 10)
    # The same twice in a message is another reference.
    serialize(parts[c(1, 1)], NULL)
    expect_identical(row_of("list")$sent, n + 12)
  })
})

test_that("what workers send is counted too, and stays counted when they end", {
  with_new_store({
    dir <- scratch()
    x <- share(as.numeric(1:1e5))
    parts <- lapply(share(list(as.numeric(1:1e4), as.numeric(1:1e4))), identity)
    put_in(dir, list(x, parts), "x")
    worker <- run_r({
      library(cowshed)
      got <- take("x")
      put(got[[1]], "back")
      put(got[[2]], "parts")
    }, dir = dir)
    expect_ended_well(worker)
    expect_identical(row_of("double")[c("sent", "saved")], list(sent = 2, saved = 2 * (8e5 - reference)))
    expect_identical(row_of("list")[c("sent", "saved")], list(sent = 4, saved = 4 * (8e4 - reference)))
    expect_identical(unserialize(bytes_in(dir, "back")), x)
  })
})

test_that("a page that three processes read is a third of each; a process that is killed is gone", {
  with_new_store({
    dir <- scratch()
    x <- share(as.numeric(1:2e6))
    put_in(dir, x, "1")
    put_in(dir, x, "2")
    reader <- function(n) {
      start_r({
        library(cowshed)
        x <- take(n)
        sum(x)
        y <- x
        y[1] <- 0
        mark(paste0("ready", n))
        wait_for("go")
      }, n = n, dir = dir)
    }
    workers <- list(reader("1"), reader("2"))
    wait_in(dir, "ready1")
    wait_in(dir, "ready2")
    sum(x)
    report <- sharedMemoryReport()
    expect_identical(report$objects$holders, 3L)
    expect_identical(report$totals[["copies"]], 3 * report$objects$size)
    expect_identical(report$objects$copied, 0)
    processes <- report$processes
    pids <- vapply(workers, function(worker) worker$get_pid(), 1L)
    expect_named(processes, c("pid", "name", "objects", "pss", "private", "rss", "total"))
    expect_identical(processes$pid, sort(c(Sys.getpid(), pids)))
    expect_identical(processes$name, rep("R", 3))
    expect_identical(processes$objects, rep(1L, 3))
    own <- processes$pid == Sys.getpid()
    expect_identical(processes$private, ifelse(own, 0, 4096))
    # The kernel tells whole KiB of each mapping; a page that was written is another one.
    expect_equal(sum(processes$pss), 1.6e7, tolerance = 0.01)
    expect_equal(processes$pss, rep(1.6e7 / 3, 3), tolerance = 0.01)
    expect_true(all(processes$rss >= processes$total & processes$total > processes$pss))
    kill_hard(workers[[1]])
    left <- sharedMemoryReport()
    expect_identical(left$processes$pid, sort(c(Sys.getpid(), pids[2])))
    expect_identical(left$objects$holders, 2L)
    expect_equal(left$processes$pss, rep(8e6, 2), tolerance = 0.01)
    kill_hard(workers[[2]])
    expect_identical(sharedMemoryReport()$processes$pid, Sys.getpid())
  })
})

test_that("a forked child is a process of its own, and counts what it sends once", {
  with_new_store({
    old <- options(cowshed.grace = 0)
    on.exit(options(old))
    dir <- scratch()
    parts <- lapply(share(list(as.numeric(1:1e4), as.numeric(1:1e4))), identity)
    # The second reference is not in the control block yet when the child is made.
    serialize(parts, NULL)
    child <- parallel::mcparallel({
      serialize(parts, NULL)
      sharedMemoryReport()
      file.create(file.path(dir, "ready"))
      wait_in(dir, "go")
      NULL
    })
    wait_in(dir, "ready")
    report <- sharedMemoryReport()
    expect_identical(report$processes$pid, sort(c(Sys.getpid(), child$pid)))
    expect_identical(report$objects$holders, 2L)
    expect_identical(report$objects$sent, 4)
    file.create(file.path(dir, "go"))
    parallel::mccollect(child)
    # It has answered, and is about to end.
    end <- Sys.time() + 30
    while (pid_is_alive(child$pid) && Sys.time() < end) Sys.sleep(0.01)
    expect_identical(sharedMemoryReport()$processes$pid, Sys.getpid())
  })
})

test_that("a process that cannot be looked at is told as unknown, and one of the same number is not taken for it", {
  with_new_store({
    x <- share(as.numeric(1:1e5))
    sum(x)
    expect_identical(sharedMemoryReport()$processes$name, "R")
    for (pid in c(1L, .Machine$integer.max)) {
      con <- file(ledgers(), "r+b")
      seek(con, 8, rw = "write")
      writeBin(pid, con, endian = "little")
      close(con)
      report <- sharedMemoryReport()
      expect_identical(report$processes[1:3], data.frame(pid = pid, name = NA_character_, objects = 1L))
      expect_true(all(is.na(report$processes[4:7])))
      expect_match(tail(format(report), 1), "NA +1 +NA +NA +NA +NA$")
      pdf(NULL)
      expect_silent(plot(report))
      dev.off()
    }
  })
})

test_that("what was freed, and a damaged file, are told without what nobody can know", {
  with_new_store({
    x <- share(as.numeric(1:1e5))
    bytes <- serialize(x, NULL)
    y <- share(as.numeric(1:2e5))
    before <- sharedMemoryReport()
    con <- file(file.path(store_dir(), "segments", cowshed:::data_id(y)), "r+b")
    seek(con, 40, rw = "write")
    writeBin(as.raw(rep(255, 8)), con)
    close(con)
    freeSharedMemory(cowshed:::data_id(x))
    report <- sharedMemoryReport()
    expect_identical(sort(report$objects$size), sort(before$objects$size))
    expect_identical(report$objects$type, c(NA_character_, NA))
    expect_identical(report$objects$sent, c(NA_real_, NA))
    expect_identical(report$objects$views, c(1L, 1L))
    expect_identical(report$totals[["saved"]], 0)
    # Mapped by a file that has no name any more.
    sum(x)
    expect_true(sharedMemoryReport()$processes$pss >= 8e5)
    expect_match(format(report)[4], "NA")
  })
})

test_that("it is printed for people: largest first, so much of it, in 80 columns", {
  expect_identical(format(made_up(2)), c(
    "2 objects in shared memory, 6.00 KiB, held by 2 processes. A copy for each",
    "holder would take 18.0 KiB. 4 references were sent in place of 12.0 KiB of",
    "data. This process copied 8.00 KiB.",
    "",
    "Id        type    length      size  views  holders  sent     saved    copied",
    "00000000  double     512  4.00 KiB      1        3     2  8.00 KiB  4.00 KiB",
    "00000000  double     256  2.00 KiB      1        3     2  4.00 KiB  4.00 KiB",
    "",
    "pid  name  objects       pss   private       rss     total",
    "102  R           2  1.91 MiB  4.00 KiB  95.4 MiB  85.8 MiB",
    "101  R           2   977 KiB  4.00 KiB  95.4 MiB  85.8 MiB"
  ))
  lines <- format(made_up(30))
  expect_identical(grep("^and ", lines, value = TRUE), c("and 20 more, of 2.00 GiB", "and 20 more, of 200 MiB"))
  expect_length(format(made_up(30), n = 3), length(lines) - 14)
  one <- made_up(1)
  one$objects[c("holders", "saved", "copied")] <- list(1L, 0, 0)
  expect_identical(format(memory_report(one$objects, one$processes))[1:2], c("1 object in shared memory, 2.00 KiB, held by 1 process.", ""))
  expect_output(expect_invisible(print(made_up(1))), "^1 object in shared memory, 2.00 KiB, held by 1 process[.]")
  wide <- made_up(3)
  wide$objects$Id[2:3] <- c("a very long name indeed", "a\nname of \u00e4")
  wide$objects$type[2] <- "somepackage.something"
  wide$objects$length <- c(9999999, 2^52, NA)
  wide$objects$size <- c(1023, 1023.5 * 1024, 999.4 * 1024^3)
  wide$objects$views <- c(99999L, 100000L, 2e9L)
  wide$objects$sent <- c(NA, 1e15, 99999)
  wide$objects$saved <- c(NA, 1e18, 0)
  wide$processes$name[2] <- "fifteen letters"
  wide$processes$pid <- c(4194304L, 1L, NA)
  lines <- format(wide)
  expect_true(all(nchar(lines, "width") <= 80), info = paste(lines, collapse = "\n"))
  expect_match(lines[5:8], "a very l[.][.] +somepack[.][.]", all = FALSE)
  expect_match(lines[5:8], "9,999,999 +1023 B|9,999,999 +0[.]999 KiB|9,999,999 +1[.]00 KiB", all = FALSE)
  expect_match(lines[5:8], "4500T +1[.]00 MiB|4500T +0[.]999 MiB", all = FALSE)
})

test_that("bytes and counts are told with three digits", {
  bytes <- cowshed:::bytes_text(c(0, 1, 999, 1000, 1024, 10239, 102348, 1023487, 1048576, 2^40, 2^50 * 5, NA))
  expect_identical(bytes, c(
    "0", "1 B", "999 B", "0.98 KiB", "1.00 KiB", "10.0 KiB", "99.9 KiB", "999 KiB", "1.00 MiB", "1.00 TiB", "5.00 PiB", "NA"
  ))
  expect_identical(cowshed:::count_text(c(0, 5, 99999, 1e5, 1234567, 2.5e9, NA)), c("0", "5", "99,999", "100K", "1.23M", "2.5G", "NA"))
})

test_that("it prints in any locale", {
  printed <- run_r({
    library(cowshed)
    x <- share(as.numeric(1:1e4))
    id <- allocateNamedSharedMemory(paste(intToUtf8(c(228, 20013)), "name"), 1e5)
    answer(capture.output(print(sharedMemoryReport())))
    pdf(NULL)
    plot(sharedMemoryReport())
    freeSharedMemory(id)
  }, store = scratch(), env = c("LC_ALL=C", "LANGUAGE=en"))
  expect_ended_well(printed)
  expect_match(printed$answer[1], "^2 objects in shared memory")
  # However R of this version escapes a letter that the locale lacks.
  row <- grep("00[Ee]4", printed$answer, value = TRUE)
  expect_length(row, 1L)
  expect_identical(regexpr("raw", row)[1], regexpr("type", printed$answer[3])[1])
  expect_false(any(grepl("[^ -~]", printed$answer)))
})

test_that("it is drawn with no, one and a hundred objects, and the device is as it was", {
  pdf(NULL)
  on.exit(dev.off())
  par(mar = c(1, 2, 3, 4), las = 2)
  kept <- c("mar", "mgp", "las", "cex", "xpd", "mfrow")
  before <- par(kept)
  for (n in c(0, 1, 100)) {
    report <- made_up(n)
    expect_identical(expect_invisible(plot(report)), report)
    expect_identical(par(kept), before)
  }
  bars <- cowshed:::top_and_rest(rbind(1:20, 2 * (1:20)), 1:20, 15, letters[1:20])
  expect_identical(ncol(bars$bars), 16L)
  expect_identical(bars$bars[, c(1, 16)], cbind(c(20L, 40L), c(15, 30)))
  expect_identical(bars$labels[c(1, 16)], c("t", "5 more"))
})

test_that("nothing is lost when R collects at every allocation of it", {
  tortured <- run_r({
    library(cowshed)
    x <- share(as.numeric(1:2e4))
    y <- x
    y[1] <- 0
    l <- share(list(1:10, "a", 5))
    before <- sharedMemoryReport()
    gctorture(TRUE)
    report <- sharedMemoryReport()
    gctorture(FALSE)
    answer(list(before, report))
  }, store = scratch(), timeout = 120)
  expect_ended_well(tortured)
  known <- c("objects", "totals")
  expect_identical(tortured$answer[[2]][known], tortured$answer[[1]][known])
  expect_identical(tortured$answer[[2]]$processes[1:3], tortured$answer[[1]]$processes[1:3])
})
