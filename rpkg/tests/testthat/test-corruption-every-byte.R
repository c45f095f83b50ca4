# Every byte of header and node table flipped, every length a file can be cut to: an error or the right value, never a crash.
#
# Some 400,000 attaches, so only with COWSHED_EXHAUSTIVE=true; test-corruption.R tries a part of them each time.

skip_on_os("windows")
skip_without_processes()
skip_if_not(identical(Sys.getenv("COWSHED_EXHAUSTIVE"), "true"), "COWSHED_EXHAUSTIVE is not true")

# The one segment of a store, which only a reference in flight keeps: its file, its bytes, its reference, what is in it.
in_flight <- function(value, ...) {
  dir <- scratch()
  made <- run_r({
    library(cowshed)
    options(cowshed.grace = 86400)
    put(do.call(share, c(list(value), more)), "x")
  }, value = value, more = list(...), dir = dir)
  expect_ended_well(made)
  file <- segments()
  expect_length(file, 1L)
  list(file = file, data = read_file(file), reference = bytes_in(dir, "x"), value = value)
}

# How often each came out of attaching: "right", "wrong", or the class of an error. `flips`: places of bytes, each tried with every bit and
# with all bits flipped; `cuts`: lengths. `reseal`: checksums fit again after each flip. All in one process that must survive.
tries <- function(segment, flips = numeric(), cuts = numeric(), reseal = FALSE) {
  got <- run_r({
    loadNamespace("cowshed")
    list2env(functions, environment())
    outcome <- function(bytes) {
      # A new file each time: nothing of the one before can be in use.
      unlink(file)
      writeBin(bytes, file)
      x <- NULL
      result <- tryCatch({
        # Before R 4.3 a list is sent element by element; opened whole, it has its own node read too.
        x <- if (is.list(value)) cowshed:::open_whole(basename(file)) else unserialize(reference)
        # All of it is looked at, whatever it is by now.
        if (reseal) try(utils::capture.output(utils::str(x)), silent = TRUE)
        if (identical(x, value)) "right" else "wrong"
      }, error = function(e) class(e)[1])
      # Let go of, or the next attach is given this one.
      x <- NULL
      gc(full = FALSE)
      result
    }
    count <- new.env()
    tried <- function(bytes) {
      result <- outcome(bytes)
      count[[result]] <- (if (is.null(count[[result]])) 0 else count[[result]]) + 1
    }
    for (at in flips) {
      for (mask in c(2^(0:7), 255)) {
        bytes <- good
        bytes[at + 1] <- xor(bytes[at + 1], as.raw(mask))
        tried(if (reseal) resealed(bytes) else bytes)
      }
    }
    for (cut in cuts) tried(good[seq_len(cut)])
    answer(list(count = unlist(as.list(count)), after = outcome(good)))
  }, file = segment$file, reference = segment$reference, good = segment$data, value = segment$value,
  flips = flips, cuts = cuts, reseal = reseal,
  functions = list(u64 = u64, u32 = u32, crc = crc, resealed = resealed, resealed_header = resealed_header, blocks_of = blocks_of),
  timeout = 7200)
  expect_ended_well(got)
  # The undamaged bytes still attach, in the same process.
  expect_identical(got$answer$after, "right")
  expect_equal(sum(got$answer$count), 9 * length(flips) + length(cuts))
  got$answer$count
}

# Nothing but these, and not each of them.
expect_only <- function(got, allowed) expect_identical(setdiff(got, allowed), character())

places_of_table <- function(bytes) seq(u64(bytes, 40), length(bytes) - 1)

# What any flipped bit of header and table, and any cut, must come to: those of the version are told from damage.
expect_all_refused <- function(segment) {
  bytes <- segment$data
  version <- 8:11
  expect_setequal(names(tries(segment, version)), "cowshed_error_version")
  expect_setequal(names(tries(segment, setdiff(c(0:127, places_of_table(bytes)), version))), "cowshed_error_corrupt")
  # What has no control block is nobody's: whoever opens it by its id collects it first.
  expect_only(names(tries(segment, cuts = 0:1215)), c("cowshed_error_corrupt", "cowshed_error_gone"))
  expect_setequal(names(tries(segment, cuts = 1216:(length(bytes) - 1))), "cowshed_error_corrupt")
}

text <- c("", NA, "a", "\u00e4", "longer than the others")

test_that("a small segment", {
  with_new_store({
    segment <- in_flight(structure(as.numeric(1:20), extra = as.numeric(1:10), class = "thing"))
    expect_lt(length(segment$data), 16384)
    expect_all_refused(segment)
  })
})

test_that("a mapped segment with a small table", {
  with_new_store({
    segment <- in_flight(structure(as.numeric(1:2500), extra = as.numeric(1:10)))
    expect_gt(length(segment$data), 16384)
    expect_all_refused(segment)
  })
})

test_that("a list with a table that is read where it is looked at", {
  with_new_store({
    segment <- in_flight(lapply(1:350, function(i) c(i, 0, 1)))
    expect_gt(length(places_of_table(segment$data)), 16384)
    expect_all_refused(segment)
  })
})

test_that("a write-through segment", {
  with_new_store({
    segment <- in_flight(as.numeric(1:2100), copyOnWrite = FALSE)
    expect_identical(segment$data[14], as.raw(1))
    expect_all_refused(segment)
  })
})

test_that("a character vector with a dictionary, and one without", {
  for (strings in list(rep(text, 20), c(text, paste("number", 1:40)))) {
    with_new_store({
      segment <- in_flight(strings)
      expect_all_refused(segment)
      # No checksum covers the strings themselves: another string, or an error.
      payload <- seq(1216, u64(segment$data, 40) - 1)
      expect_only(names(tries(segment, payload)), c("right", "wrong", "cowshed_error_corrupt"))
    })
  }
})

test_that("nodes that say something else, with right checksums, are an error or another value", {
  skip_if_not_installed("digest")
  values <- list(
    structure(as.numeric(1:20), extra = as.numeric(1:10), class = "thing"), rep(text, 20), c(text, paste("number", 1:40)),
    list(1:30, as.raw(1:9), c(TRUE, NA), 1i * 1:8, list(a = NULL, b = text), factor(letters)),
    data.frame(x = 1:30 + 0.5, y = rep(c("a", "b"), 15), stringsAsFactors = TRUE)
  )
  for (value in values) {
    with_new_store({
      segment <- in_flight(value)
      expect_identical(resealed(segment$data), segment$data)
      places <- setdiff(c(0:123, places_of_table(segment$data)), c(8:11, 32:39))
      got <- tries(segment, places, reseal = TRUE)
      expect_only(grep("^cowshed_error", names(got), value = TRUE), paste0("cowshed_error_", c("corrupt", "version", "plugin")))
    })
  }
})
