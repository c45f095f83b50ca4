# Segments whose bytes are not what a writer leaves, built by docs/format.md, attached by a process that has nothing of them mapped.

skip_on_os("windows")
skip_without_processes()

# A segment nobody has mapped, kept in the store by a reference in flight: its file and its reference.
orphan <- function(dir, n = 20L, attributes = TRUE, ...) {
  made <- run_r({
    library(cowshed)
    x <- as.numeric(seq_len(n))
    if (attributes) x <- structure(x, extra = as.numeric(1:10), class = "thing")
    x <- do.call(share, c(list(x), more))
    put(x, "x")
    answer(c(cowshed:::data_id(x), cowshed:::store_path()))
  }, n = n, attributes = attributes, more = list(...), dir = dir)
  expect_ended_well(made)
  file <- file.path(made$answer[2], "segments", sub(":.*", "", made$answer[1]))
  list(file = file, data = read_file(file), bytes = bytes_in(dir, "x"), n = n)
}

# What attaching gives for each of many damaged versions of a segment, all tried in one process that must survive.
outcomes <- function(segment, damages, dir) {
  got <- run_r({
    # Loading sweeps, and what has no control block is nobody's.
    loadNamespace("cowshed")
    result <- vapply(damages, function(d) {
      bytes <- good
      if (!is.null(d$at)) bytes[d$at + seq_along(d$put)] <- d$put
      if (!is.null(d$cut)) bytes <- bytes[seq_len(d$cut)]
      if (!is.null(d$more)) bytes <- c(bytes, raw(d$more))
      # A new file each time: nothing of the one before can be in use.
      unlink(file)
      writeBin(bytes, file)
      x <- unserialize(reference)
      if (length(x) != n) return("wrong length")
      value <- tryCatch({ s <- sum(unclass(x)); if (identical(s, sum(as.numeric(seq_len(n))))) "right" else "wrong value" },
        error = function(e) class(e)[1], warning = function(w) "warning")
      rm(x)
      gc(full = FALSE)
      value
    }, "")
    unlink(file)
    writeBin(good, file)
    answer(list(result = unname(result), after = sum(unclass(unserialize(reference)))))
  }, file = segment$file, reference = segment$bytes, n = segment$n, good = segment$data, damages = damages, dir = dir, timeout = 120)
  expect_ended_well(got)
  # The undamaged bytes still attach, in the same process.
  expect_identical(got$answer$after, sum(as.numeric(seq_len(segment$n))))
  got$answer$result
}

flips <- function(bytes, places, masks = c(1, 128)) {
  unlist(lapply(places, function(at) lapply(masks, function(mask) list(at = at, put = xor(bytes[at + 1L], as.raw(mask))))), FALSE)
}

test_that("any flipped bit of the header is found", {
  with_new_store({
    dir <- scratch()
    segment <- orphan(dir)
    bytes <- segment$data
    expect_identical(rawToChar(bytes[1:8]), "cowshed\n")
    got <- outcomes(segment, flips(bytes, 0:127, c(1, 2, 4, 8, 16, 32, 64, 128)), dir)
    expect_length(got, 1024L)
    expect_setequal(got, c("cowshed_error_corrupt", "cowshed_error_version"))
    # The version is told from damage where it is one.
    expect_true("cowshed_error_version" %in% got[8 * 8 + 1:32])
  })
})

test_that("any flipped bit of the node table is found, in small segments and in mapped ones", {
  with_new_store({
    for (n in c(20L, 5000L)) {
      dir <- scratch()
      segment <- orphan(dir, n)
      bytes <- segment$data
      table <- u64(bytes, 40)
      expect_identical(u64(bytes, 32), as.numeric(length(bytes)))
      places <- seq(table, length(bytes) - 1)
      got <- outcomes(segment, flips(bytes, places), dir)
      expect_length(got, 2L * length(places))
      expect_setequal(got, "cowshed_error_corrupt")
      unlink(segment$file)
    }
  })
})

test_that("a flipped bit of the control block harms nobody: the value is right", {
  with_new_store({
    dir <- scratch()
    segment <- orphan(dir)
    got <- outcomes(segment, flips(segment$data, 128:1215, 2), dir)
    expect_length(got, 1088L)
    expect_setequal(got, "right")
    # And nothing of it keeps the segment for ever: a time that cannot be is not believed.
    bytes <- segment$data
    bytes[128 + 1:1088] <- as.raw(255)
    writeBin(bytes, segment$file)
    expect_clean_store()
  })
})

test_that("a segment cut anywhere, or too long, is corrupt; an empty one too", {
  with_new_store({
    for (n in c(20L, 5000L)) {
      dir <- scratch()
      segment <- orphan(dir, n)
      bytes <- segment$data
      sizes <- unique(c(0:10, 60:70, 120:135, 1210:1220, u64(bytes, 40) + -1:60, length(bytes) - 70:1, seq(0, length(bytes) - 1, 997)))
      sizes <- sizes[sizes < length(bytes)]
      got <- outcomes(segment, lapply(sizes, function(n) list(cut = n)), dir)
      expect_setequal(got, "cowshed_error_corrupt")
      got <- outcomes(segment, lapply(c(1, 64, 4096), function(n) list(more = n)), dir)
      expect_setequal(got, "cowshed_error_corrupt")
      unlink(segment$file)
    }
  })
})

test_that("what was overwritten is an error of the right class whose message names the segment and the remedy", {
  with_new_store({
    for (n in c(20L, 1e5L)) {
      dir <- scratch()
      segment <- orphan(dir, n, attributes = FALSE)
      bytes <- segment$data
      broken <- function(change) {
        now <- change(bytes)
        unlink(segment$file)
        if (!is.null(now)) writeBin(now, segment$file)
        x <- unserialize(segment$bytes)
        expect_length(x, n)
        tryCatch(x[[1]], cowshed_error = function(e) e)
      }
      first <- function(b, with) { b[seq_len(min(4096L, length(b)))] <- with(min(4096L, length(b))); b }
      cases <- list(
        zero = list("corrupt", function(b) first(b, raw)), ones = list("corrupt", function(b) first(b, function(n) rep(as.raw(255), n))),
        noise = list("corrupt", function(b) first(b, function(n) as.raw(rep_len(c(7, 99, 250, 3), n)))),
        empty = list("corrupt", function(b) raw()), gone = list("gone", function(b) NULL)
      )
      for (case in cases) {
        e <- broken(case[[2]])
        expect_s3_class(e, paste0("cowshed_error_", case[[1]]))
        expect_match(conditionMessage(e), basename(segment$file), fixed = TRUE)
        expect_match(conditionMessage(e), if (case[[1]] == "gone") "keep the shared object alive" else "share the object again")
      }
      unlink(segment$file)
      dir.create(segment$file)
      x <- unserialize(segment$bytes)
      expect_error(x[1], class = "cowshed_error")
      unlink(segment$file, recursive = TRUE)
      file.symlink("/etc/passwd", segment$file)
      x <- unserialize(segment$bytes)
      expect_error(x[1], class = "cowshed_error")
      unlink(segment$file)
    }
  })
})

test_that("a segment under another's name, or from another type, is refused", {
  with_new_store({
    dir <- scratch()
    a <- orphan(dir, 20L)
    b <- orphan(scratch(), 30L)
    file.copy(b$file, a$file, overwrite = TRUE)
    x <- unserialize(a$bytes)
    e <- expect_error(x[1], class = "cowshed_error_corrupt")
    expect_match(conditionMessage(e), "names another segment", fixed = TRUE)
    # A reference that says double to a segment of integers: the class name within the stream changed.
    y <- share(1:1000)
    stream <- serialize(y, NULL)
    shown <- rawToChar(replace(stream, stream == 0 | stream > 126, as.raw(46)))
    at <- regexpr("cowshed_integer", shown, fixed = TRUE)
    expect_gt(at, 1)
    # Its length is the byte before it.
    expect_identical(as.integer(stream[at - 1L]), 15L)
    changed <- c(stream[seq_len(at - 2L)], as.raw(14), charToRaw("cowshed_double"), stream[-seq_len(at + 14L)])
    z <- suppressWarnings(unserialize(changed)) # R's own: the type does not fit the class
    expect_length(z, 1000L)
    expect_type(z, "double")
    e <- expect_error(z[1], class = "cowshed_error_corrupt")
    expect_match(conditionMessage(e), sub(":.*", "", cowshed:::data_id(y)), fixed = TRUE)
  })
})

test_that("nonsense with right checksums is refused too: offsets, lengths and counts at their extremes", {
  skip_if_not_installed("digest")
  with_new_store({
    for (through in c(FALSE, TRUE)) {
      dir <- scratch()
      segment <- orphan(dir, 3000L, attributes = FALSE, copyOnWrite = !through)
      good <- segment$data
      table <- u64(good, 40)
      # The checksums are those of the documented layout.
      expect_identical(resealed(good), good)
      put <- function(at, bytes) { good[at + seq_along(bytes)] <- bytes; list(at = 0, put = resealed(good)) }
      le <- function(number, size) as.raw((number %/% 256^(0:(size - 1))) %% 256)
      all_ones <- function(size) as.raw(rep(255, size))
      bad <- list()
      # Of the header: lengths, offsets, counts, root, order, mode (which is another segment's business, so not here).
      for (field in list(c(32, 8), c(40, 8), c(48, 4), c(52, 4), c(56, 4), c(60, 4), c(12, 1))) {
        for (value in list(all_ones(field[2]), le(7, field[2]), le(128, field[2]), c(raw(field[2] - 1), as.raw(128)))) {
          bad <- c(bad, list(put(field[1], value)))
        }
      }
      # Of the one node: strategy, attributes, length, payload, children.
      for (field in list(c(0, 2), c(4, 4), c(8, 8), c(16, 8), c(24, 8), c(32, 4), c(36, 4))) {
        for (value in list(all_ones(field[2]), le(5, field[2]), le(length(good), field[2]), c(raw(field[2] - 1), as.raw(128)), raw(field[2]))) {
          if (!identical(value, good[table + field[1] + seq_len(field[2])])) bad <- c(bad, list(put(table + field[1], value)))
        }
      }
      # Of the names: their length.
      names_at <- table + 48 * u32(good, 48) + 4 * u32(good, 52)
      bad <- c(bad, list(put(names_at, all_ones(2)), put(names_at, le(1, 2)), put(names_at + 2, charToRaw("x.")), put(names_at + 2, as.raw(c(255, 254)))))
      got <- outcomes(segment, bad, dir)
      expect_length(got, length(bad))
      expect_setequal(got, "cowshed_error_corrupt")
    }
  })
})

test_that("write-through segments are checked like frozen ones", {
  with_new_store({
    dir <- scratch()
    segment <- orphan(dir, 2000L, attributes = FALSE, copyOnWrite = FALSE)
    bytes <- segment$data
    table <- u64(bytes, 40)
    got <- outcomes(segment, c(flips(bytes, c(0:127, seq(table, length(bytes) - 1))), list(list(cut = 5000), list(cut = 0))), dir)
    expect_setequal(got, c("cowshed_error_corrupt", "cowshed_error_version"))
  })
})

test_that("sweeps and listings take damaged segments for what they are: nobody's", {
  with_new_store({
    held <- share(as.numeric(1:5000))
    for (i in 1:4) {
      id <- paste(rep(as.character(i), 32), collapse = "")
      writeBin(list(raw(), raw(100), as.raw(rep(255, 5000)), raw(5000))[[i]], file.path(store_dir(), "segments", id))
    }
    expect_s3_class(listSharedObjects(), "data.frame")
    pruneSharedObjects()
    expect_identical(basename(segments()), sub(":.*", "", cowshed:::data_id(held)))
    # A ledger that is nonsense belongs to nobody either.
    writeBin(as.raw(rep(255, 100)), file.path(store_dir(), "ledgers", paste(rep("f", 32), collapse = "")))
    writeBin(raw(), file.path(store_dir(), "ledgers", paste(rep("e", 32), collapse = "")))
    pruneSharedObjects()
    expect_length(ledgers(), 1L)
    expect_identical(sum(held), sum(as.numeric(1:5000)))
  })
})

# Cuts the file of a segment under this process's mapping.
cut_file <- function(x, to) {
  file <- file.path(cowshed:::store_path(), "segments", sub(":.*", "", cowshed:::data_id(x)))
  stopifnot(system2("truncate", c("-s", to, file)) == 0)
}

test_that("a file cut under its readers gives NA to who reads it at that moment, then errors, and R lives on", {
  skip_if(Sys.which("truncate") == "")
  with_new_store({
    vectors <- list(
      double = as.numeric(1:1e6), integer = 1:1e6 + 0L, logical = rep(TRUE, 1e6), complex = complex(real = 1:1e6), raw = as.raw(rep(1L, 1e6)),
      strings = as.character(1:1e5), few = rep_len(c("a", "b"), 2e5)
    )
    tried <- run_r({
      library(cowshed)
      class_of <- function(code) tryCatch({ force(code); "none" }, error = function(e) class(e)[1])
      lost <- function(v, copyOnWrite) {
        x <- share(v, copyOnWrite = copyOnWrite)
        y <- x
        cut_file(x, 8192)
        if (is.double(v) && copyOnWrite) stopifnot(is.na(sum(x)))
        results <- c(
          sum = class_of(if (is.character(x)) nchar(x) else range(as.numeric(x))), element = class_of(x[[length(x)]]), subset = class_of(x[5]),
          assign = class_of(x[2] <- x[3]), send = class_of(serialize(x, NULL)), copy = class_of(unshare(y)), compare = class_of(identical(y, v)),
          again = class_of(share(y)), through = class_of({ y[1] <- v[1] })
        )
        c(results, still = is.shared(x) || length(x) != length(v))
      }
      kinds <- lapply(vectors, lost, copyOnWrite = TRUE)
      kinds <- c(kinds, lapply(vectors[c("double", "integer")], lost, copyOnWrite = FALSE))
      # A frame's columns, one segment.
      d <- share(data.frame(a = as.numeric(1:1e5), b = as.character(1:1e5)))
      cut_file(d$a, 4096)
      frame <- c(class_of(print(d$a[1:2])), class_of(paste(d$b)), class_of(d[1, ]))
      l <- share(lapply(1:10000, function(i) as.numeric(1:10)))
      cut_file(l[[1]], 4096)
      list <- c(class_of(sum(unlist(l))), class_of(l[[9000]] + 0))
      # One that was written privately loses what was written: the kernel takes those pages too.
      p <- share(as.numeric(1:1e6))
      q <- p
      q[1] <- 0
      cut_file(p, 4096)
      private <- class_of({ stopifnot(is.na(sum(q))); sum(q) })
      # All others are as they were.
      z <- share(as.numeric(1:1e6))
      answer(list(kinds = kinds, frame = frame, list = list, private = private, whole = identical(sum(z), sum(as.numeric(1:1e6)))))
    }, vectors = vectors, cut_file = cut_file)
    expect_ended_well(tried)
    for (kind in names(tried$answer$kinds)) {
      got <- tried$answer$kinds[[kind]]
      expect_identical(unname(got[setdiff(names(got), "still")]), rep("cowshed_error_corrupt", 9), info = paste(kind, toString(got)))
      expect_identical(got[["still"]], "FALSE", info = kind)
    }
    expect_identical(unique(tried$answer$frame), "cowshed_error_corrupt")
    expect_identical(unique(tried$answer$list), "cowshed_error_corrupt")
    expect_identical(tried$answer$private, "cowshed_error_corrupt")
    expect_true(tried$answer$whole)
  })
})

test_that("the error of a cut file names the segment and the remedy", {
  skip_if(Sys.which("truncate") == "")
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- share(as.numeric(1:1e5))
      id <- sub(":.*", "", cowshed:::data_id(x))
      cut_file(x, 0)
      answer(list(id = id, error = condition_of(x[1:10])))
    }, cut_file = cut_file)
    expect_condition_class(got$answer$error, "corrupt")
    expect_match(got$answer$error$message, got$answer$id, fixed = TRUE)
    expect_match(got$answer$error$message, "was cut short while this process had it open.*share the object again")
  })
})
