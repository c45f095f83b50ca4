# Arrays that numpy wrote, and objects that Python made: what R makes of them, and of files that are none.

test_that("what numpy wrote is a view, or converted, and has its shape", {
  dir <- new_shm()
  said <- NULL
  got <- function(descr, shape, data, ...) {
    write_npy(dir, "x", descr, shape, data, ...)
    said <<- NULL
    shareCache("x", shm_path = dir, log_func = function(text) said <<- c(said, text))
  }
  whole <- c(-3, 0, 7, 100)
  ints <- as.integer(whole)
  as_view <- function(x) is.shared(x) && length(said) == 1L
  x <- got("'<f8'", "4,", bytes_of_each(whole, 8L))
  expect_true(as_view(x))
  expect_identical(x, whole)
  x <- got("'<f8'", "2, 2", bytes_of_each(whole, 8L), fortran = TRUE)
  expect_true(as_view(x))
  expect_identical(x, matrix(whole, 2))
  expect_true(as_view(got("'<f8'", "1, 4", bytes_of_each(whole, 8L))))
  expect_identical(got("'<f8'", "1, 4, 1", bytes_of_each(whole, 8L)), array(whole, c(1, 4, 1)))
  x <- got("'<f8'", "2, 2", bytes_of_each(whole, 8L))
  expect_identical(x, matrix(whole, 2, byrow = TRUE))
  expect_match(said[[2L]], "this is a copy: its order is C's")
  expect_identical(got("'<i4'", "2, 3, 4", bytes_of_each(1:24, 4L)), aperm(array(1:24, 4:2)))
  expect_identical(got("'<i4'", "", bytes_of_each(5L, 4L)), 5L)
  expect_identical(got("'<i4'", "4,", bytes_of_each(c(ints[1:3], NA), 4L)), c(ints[1:3], NA))
  expect_identical(got("'<f8'", "0, 3", raw()), matrix(0, 0, 3))
  expect_identical(got("'<f8'", "4L,", bytes_of_each(whole, 8L), version = 2), whole)
  expect_identical(got("'|u1'", "3,", as.raw(c(0, 7, 255))), as.raw(c(0, 7, 255)))
  expect_identical(got("'<c16'", "2,", bytes_of_each(whole, 8L)), complex(real = whole[c(1, 3)], imaginary = whole[c(2, 4)]))
  converted <- function(expected, descr, data, shape = "4,") {
    expect_identical(got(descr, shape, data), expected, info = descr)
    expect_match(said[[2L]], paste0("this is a copy: converted from dtype ", gsub("'", "", descr)), fixed = TRUE)
  }
  converted(c(TRUE, FALSE, TRUE, TRUE), "'|b1'", as.raw(c(1, 0, 1, 1)))
  converted(matrix(c(TRUE, TRUE, FALSE, TRUE), 2), "'|b1'", as.raw(c(1, 0, 1, 1)), "2, 2")
  converted(ints, "'|i1'", bytes_of_each(ints, 1L))
  converted(ints, "'<i2'", bytes_of_each(ints, 2L))
  converted(c(65535L, 1L), "'<u2'", bytes_of_each(c(-1L, 1L), 2L), "2,")
  converted(c(4294967295, 1), "'<u4'", bytes_of_each(c(-1L, 1L), 4L), "2,")
  converted(whole, "'<f4'", bytes_of_each(whole, 4L))
  converted(c(1, -2, 65504, 2^-24, Inf, NaN), "'<f2'", as.raw(c(0, 0x3c, 0, 0xc0, 0xff, 0x7b, 1, 0, 0, 0x7c, 0, 0x7e)), "6,")
  wide <- function(x) as.vector(rbind(matrix(bytes_of_each(as.integer(x), 4L), 4), matrix(rep(as.raw(if (all(x < 0)) 255 else 0), 4 * length(x)), 4)))
  converted(c(5, 7), "'<i8'", wide(c(5, 7)), "2,")
  converted(c(-5, -7), "'<i8'", wide(c(-5, -7)), "2,")
  converted(c(5, 7), "'<u8'", wide(c(5, 7)), "2,")
  converted(c(-3+0i, 7+100i), "'<c8'", bytes_of_each(whole, 4L), "2,")
  converted(whole, "'>f8'", bytes_of_each(whole, 8L, "big"))
  converted(ints, "'>i4'", bytes_of_each(ints, 4L, "big"))
  converted(c(-3+0i, 7+100i), "'>c16'", bytes_of_each(whole, 8L, "big"), "2,")
  converted(c("a\u00e9", "", "xyz"), "'<U3'", bytes_of_each(c(97L, 0xe9L, 0L, 0L, 0L, 0L, 120:122), 4L), "3,")
  converted(c("ab", "c"), "'|S2'", charToRaw("abc")[1:3] |> c(as.raw(0)), "2,")
})

test_that("numpy's files are files that openSharedFile() and its like take", {
  dir <- new_shm()
  path <- write_npy(dir, "x", "'<f8'", "2, 2", bytes_of_each(1:4 + 0, 8L), fortran = TRUE)
  x <- openSharedFile(path)
  expect_identical(x, matrix(1:4 + 0, 2))
  expect_identical(sharedFile(x), path)
  expect_identical(verifySharedFile(path), NA)
  expect_error(openSharedFile(path, copyOnWrite = FALSE), class = "cowshed_error_argument")
  freeSharedFile(x)
  expect_false(file.exists(path))
  expect_identical(x, matrix(1:4 + 0, 2))
})

test_that("what R has no type for, or cannot hold, is an error that says so", {
  dir <- new_shm()
  refused <- function(descr, shape, data, why) {
    write_npy(dir, "x", descr, shape, data)
    expect_error(quietly("x", shm_path = dir), why, class = "cowshed_error_unshareable", info = descr)
  }
  limit <- as.raw(c(0, 0, 0, 0, 0, 0, 0x20, 0)) # 2^53
  write_npy(dir, "x", "'<i8'", "1,", limit)
  expect_identical(quietly("x", shm_path = dir), 2^53)
  refused("'<i8'", "1,", c(as.raw(1), limit[-1]), "9007199254740993: R's doubles cannot tell it")
  refused("'<u8'", "1,", rep(as.raw(255), 8), "18446744073709551615")
  refused("'<M8[ns]'", "1,", raw(8), "dtype <M8\\[ns\\] has no type in R")
  refused("'|V3'", "1,", raw(3), "no type in R")
  refused("'<f16'", "1,", raw(16), "no type in R")
  refused("[('a', '<f8')]", "1,", raw(8), "no type in R")
  refused("'|S2'", "1,", as.raw(c(0xff, 0xfe)), "not UTF-8")
  refused("'<U1'", "1,", as.raw(c(0, 0xd8, 0, 0)), "not UTF-8")
  refused("'|u1'", "0, 4294967296", raw(), "2\\^31 - 1 at most")
})

test_that("files that are damaged, or none of ours, are errors that name them", {
  dir <- new_shm()
  path <- file.path(dir, "sharearray_x.npy")
  whole <- readBin(write_npy(dir, "x", "'<f8'", "8,", bytes_of_each(1:8 + 0, 8L)), "raw", 1000)
  for (n in c(0, 5, 6, 9, 40, 127, 128, length(whole) - 1)) {
    writeBin(whole[seq_len(n)], path)
    expect_error(quietly("x", shm_path = dir), "sharearray_x.npy", class = "cowshed_error_corrupt", info = n)
  }
  lies <- whole
  lies[[7]] <- as.raw(9)
  writeBin(lies, path)
  expect_error(quietly("x", shm_path = dir), "version of numpy", class = "cowshed_error_corrupt")
  expect_identical(shareCacheFree("x", shm_path = dir), path)
  writeBin(charToRaw("no object"), file.path(dir, "sharearray_x.cow"))
  expect_error(quietly("x", shm_path = dir), "sharearray_x.cow", class = "cowshed_error_corrupt")
  dir.create(path)
  expect_error(quietly("x", shm_path = dir), "sharearray_x.npy", class = "cowshed_error")
})

test_that("what Python wrote with the first version of the format is still read", {
  x <- openSharedFile(test_path("segments", "python-1.cow"))
  expect_identical(x[c("f", "c", "b", "s")], list(
    f = matrix(as.double(0:5), 2, byrow = TRUE), c = matrix(0:5, 2, byrow = TRUE), b = c(TRUE, FALSE), s = c("a", "\u00e4")
  ))
  of_type <- function(x, type) structure(x, python = type)
  expect_identical(x$t[], of_type(list(1, "x", of_type(list(), "None"), of_type(list(2.5), "list")), "tuple")[])
  expect_identical(attr(x$t, "python"), "tuple")
})
