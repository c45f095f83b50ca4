# Vectors made by generators, beside plain vectors made the base R way.

skip_on_os("windows")

# That a virtual vector is what a plain one is, wherever one looks, before and after it has a pointer.
expect_same <- function(x, plain, info = NULL) {
  testthat::expect_true(.Call(cowshed:::cs_is_virtual, x), info = info)
  testthat::expect_identical(typeof(x), typeof(plain), info = info)
  testthat::expect_identical(length(x), length(plain), info = info)
  n <- length(plain)
  places <- unique(c(1, 2, n %/% 2, n - 1, n))
  places <- places[places >= 1 & places <= n]
  for (i in places) testthat::expect_identical(x[[i]], plain[[i]], info = paste(info, "element", i))
  indices <- list(seq_len(n), rev(seq_len(n)), places, c(NA, 1L, n + 1L), integer(), rep(places, 2), seq_len(n)[c(TRUE, FALSE)], -1L)
  for (i in indices) testthat::expect_identical(x[i], plain[i], info = info)
  if (!is.raw(x)) {
    testthat::expect_identical(is.na(x), is.na(plain), info = info)
    testthat::expect_identical(anyNA(x), anyNA(plain), info = info)
  }
  if (is.numeric(x) || is.logical(x)) {
    testthat::expect_equal(sum(x), sum(plain), info = info)
    for (f in if (n > 0) c("min", "max", "range", "is.unsorted")) testthat::expect_identical(match.fun(f)(x), match.fun(f)(plain), info = paste(info, f))
    testthat::expect_identical(x + 1, plain + 1, info = info)
  }
  testthat::expect_identical(x, plain, info = info)
  testthat::expect_identical(unserialize(serialize(x, NULL)), plain, info = info)
  # A change is private.
  if (n > 0) {
    y <- x
    y[n] <- y[1]
    changed <- plain
    changed[n] <- changed[1]
    testthat::expect_identical(y, changed, info = info)
  }
  testthat::expect_identical(x, plain, info = info)
}

expect_refused <- function(code, regexp) testthat::expect_error(code, regexp, class = "cowshed_error_argument")

test_that("a sequence is what seq() gives", {
  for (n in c(0, 1, 2, 5, 1000, 70000)) {
    for (by in c(0.1, -3, 0, 1e300)) expect_same(virtualSequence(2.5, by, n), 2.5 + by * (seq_len(n) - 1), info = paste(n, by))
    for (by in c(7L, -2L, 0L)) expect_same(virtualSequence(-3L, by, n), as.integer(-3 + by * (seq_len(n) - 1)), info = paste(n, by))
  }
  expect_identical(typeof(virtualSequence(1, 1, 3, "integer")), "integer")
  expect_identical(typeof(virtualSequence(1L, 1L, 3, "double")), "double")
  expect_same(virtualSequence(-.Machine$integer.max, 1, 5, "integer"), -.Machine$integer.max + 0:4)
  expect_same(virtualSequence(5L, .Machine$integer.max, 1), 5L)
  expect_identical(virtualSequence(length = 3), c(1, 2, 3))
})

test_that("a wrong sequence is refused", {
  expect_refused(virtualSequence(1, 1), "`length`")
  for (length in list(-1, 1.5, NA, Inf, 2^53, "1", 1:2, NULL)) expect_refused(virtualSequence(1, 1, length), "`length`")
  for (from in list(NA_real_, NaN, Inf, "1", 1:2, NULL)) {
    expect_refused(virtualSequence(from, 1, 3, "double"), "`from`")
    expect_refused(virtualSequence(1, from, 3, "double"), "`by`")
  }
  expect_refused(virtualSequence(1.5, 1, 3, "integer"), "`from`")
  expect_refused(virtualSequence(1, 2^31, 2, "integer"), "use type = \"double\"")
  expect_refused(virtualSequence(-2^31, 1, 2, "integer"), "use type")
  expect_refused(virtualSequence(1, 1, 3, "raw"), "`type`")
})

test_that("a long sequence is read in parts", {
  n <- 2^33
  x <- virtualSequence(10, 0.5, n)
  expect_identical(length(x), n)
  expect_identical(x[n], 10 + 0.5 * (n - 1))
  expect_identical(x[c(1, n %/% 2, NA, n + 1)], c(10, 10 + 0.5 * (n / 2 - 1), NA, NA))
  expect_identical(sum(x[seq(n - 1e5 + 1, n)]), sum(10 + 0.5 * seq(n - 1e5, n - 1)))
  expect_false(is.unsorted(x))
  expect_false(anyNA(x))
  y <- x[seq(1, 1e6, by = 3)]
  expect_lt(length(serialize(y, NULL)), 2000)
  expect_identical(y, 10 + 0.5 * (seq(1, 1e6, by = 3) - 1))
})

test_that("a constant is what rep() gives", {
  for (value in list(as.raw(7), NA, TRUE, 5L, NA_integer_, 1.5, NA_real_, NaN, -Inf, 2+3i, NA_complex_)) {
    for (n in c(0, 1, 3, 5000)) expect_same(virtualConstant(value, n), rep(value, n), info = paste(value, n))
  }
  expect_identical(length(virtualConstant(1, 2^52)), 2^52)
  expect_identical(virtualConstant(1i, 2^40)[2^40], 1i)
  expect_refused(virtualConstant(1:2, 3), "`value`")
  expect_refused(virtualConstant("a", 3), "`value`")
  expect_refused(virtualConstant(NULL, 3), "`value`")
  expect_refused(virtualConstant(factor("a"), 3), "no class")
  expect_refused(virtualConstant(1), "`length`")
})

test_that("runs are what inverse.rle() gives", {
  set.seed(1)
  lengths <- c(1, 0, 3, 1, 1000, 1, 0, 2000, 7)
  n <- length(lengths)
  all <- list(as.raw(1:n), c(TRUE, NA, FALSE)[rep(1:3, 3)], c(5L, NA, 1:7), c(NaN, NA, -Inf, Inf, 1:5), complex(real = 1:n, imaginary = c(NA, 2:n)), 1:n)
  for (values in all) {
    expect_same(virtualRuns(lengths, values), rep(values, lengths))
    expect_same(virtualRuns(rep(1L, n), values), values[seq_len(n)])
    expect_same(virtualRuns(share(lengths), share(values)), rep(values, lengths))
  }
  expect_same(virtualRuns(integer(), double()), double())
  expect_same(virtualRuns(c(0L, 0L), c(1, 2)), double())
  x <- rep(sample(5L, 300, TRUE), sample(0:40, 300, TRUE))
  expect_same(virtualRuns(rle(x)), x)
  expect_same(virtualRuns(rle(x > 2)), x > 2)
  expect_same(virtualRuns(1:3, c(a = 1, b = 2, c = 3)), c(1, 2, 2, 3, 3, 3))
})

test_that("runs know whether they are sorted, but for those without elements", {
  expect_false(is.unsorted(virtualRuns(c(2, 0, 3), c(1, NA, 2))))
  expect_false(anyNA(virtualRuns(c(2, 0, 3), c(1, NA, 2))))
  expect_true(is.unsorted(virtualRuns(c(2, 1, 3), c(1, 5, 2))))
  expect_true(anyNA(virtualRuns(c(2, 1, 3), c(1L, NA, 2L))))
  expect_identical(sort(virtualRuns(c(1, 2), c(1, 2))), c(1, 2, 2))
  expect_identical(sort(virtualRuns(c(1, 2), c(2L, 1L))), c(1L, 1L, 2L))
})

test_that("long runs are read in parts, and wrong ones are refused", {
  x <- virtualRuns(c(2^33, 1, 2^34), c(1L, NA, 3L))
  expect_identical(length(x), 2^33 + 1 + 2^34)
  expect_identical(x[2^33 + 0:2], c(1L, NA, 3L))
  expect_identical(x[c(1, length(x), length(x) + 1)], c(1L, 3L, NA))
  expect_refused(virtualRuns(c(1, -1), 1:2), "`lengths`.*element 2")
  expect_refused(virtualRuns(c(NA, 1L), 1:2), "element 1 is NA")
  expect_refused(virtualRuns(c(0.5, 1), 1:2), "`lengths`")
  expect_refused(virtualRuns(c(2^52, 1), 1:2), "2\\^52")
  expect_refused(virtualRuns(1:3, 1:2), "`values`")
  expect_refused(virtualRuns(1:2, c("a", "b")), "`values`")
  expect_refused(virtualRuns("1", 1), "`lengths`")
  expect_refused(virtualRuns(1:2), "`values`")
  expect_refused(virtualRuns(rle(1:2), 1:2), "`values`")
  expect_refused(virtualRuns(rle(c("a", "b"))), "`values`")
  expect_refused(virtualRuns(1:2, factor(1:2)), "no class")
})

test_that("what runs are made of can be changed afterwards", {
  values <- c(1, 2, 3)
  lengths <- c(1, 2, 3)
  x <- virtualRuns(lengths, values)
  values[1] <- 9
  lengths[1] <- 5
  expect_identical(x, c(1, 2, 2, 3, 3, 3))
  expect_identical(values, c(9, 2, 3))
})

test_that("a linear function is a * x + b", {
  all <- list(c(TRUE, NA, FALSE), c(3L, NA, -5L), c(1.5, NA, NaN, Inf), double(), seq(0, 1, length.out = 5000), 1:5000, share(1:5000 / 7), share(c(1L, NA, 3L)),
              virtualSequence(1, 2, 3000), virtualConstant(NA, 5), virtualLinear(1:3000, 2, 1))
  for (x in all) {
    for (ab in list(c(2, 1), c(-0.5, 0), c(0, 3), c(1e308, 1))) {
      expect_same(virtualLinear(x, ab[1], ab[2]), ab[1] * as.double(unshare(x)) + ab[2])
    }
  }
  m <- matrix(1:6, 2, dimnames = list(c("a", "b"), NULL))
  expect_identical(virtualLinear(m, 2, 1), 2 * m + 1)
  expect_identical(virtualLinear(c(a = 1, b = 2), 2), 2 * c(a = 1, b = 2))
  t <- ts(1:5, start = 2000)
  expect_identical(virtualLinear(t, 2, 1), 2 * t + 1)
  x <- c(1, 2, 3)
  y <- virtualLinear(x, 2)
  x[1] <- 100
  expect_identical(y, c(2, 4, 6))
  z <- virtualLinear(virtualSequence(0, 1, 2^40), 2, 1)
  expect_identical(z[2^40], 2 * (2^40 - 1) + 1)
  for (wrong in list("a", 1i, as.raw(1), NULL, list(1))) expect_refused(virtualLinear(wrong), "`x`")
  expect_refused(virtualLinear(factor("a")), "no class")
  expect_refused(virtualLinear(Sys.Date()), "no class")
  expect_refused(virtualLinear(1, NA_real_), "`a`")
  expect_refused(virtualLinear(1, 1, c(1, 2)), "`b`")
})

test_that("an error of the vector behind is an error of the linear function, and R goes on", {
  path <- tempfile()
  writeBin(as.double(1:100000), path)
  x <- virtualFile(path)
  y <- virtualLinear(x, 2)
  expect_identical(y[100000], 200000)
  writeBin(1, path)
  expect_error(y[100000], "shorter than it was", class = "cowshed_error_generator")
  expect_error(sum(y), "shorter than it was", class = "cowshed_error_generator")
  expect_identical(y[1], 2)
})

test_that("a file has its elements", {
  path <- tempfile()
  all <- list(as.raw(0:255), c(TRUE, NA, FALSE), c(1:5000, NA), c(NA, NaN, -Inf, 1:5000 / 3), complex(real = 1:9, imaginary = 9:1))
  for (x in all) {
    writeBin(x, path)
    size <- file.size(path) / length(x)
    expect_same(virtualFile(path, typeof(x)), x)
    expect_same(virtualFile(path, typeof(x), length = 2, offset = size), x[2:3])
    expect_same(virtualFile(path, typeof(x), length = 0), x[0])
    expect_same(virtualFile(path, typeof(x), offset = file.size(path)), x[0])
  }
  # Elements need not lie where memory would have them.
  writeBin(as.raw(9), path)
  con <- file(path, "ab")
  writeBin(c(1.5, 2.5), con)
  close(con)
  expect_same(virtualFile(path, offset = 1), c(1.5, 2.5))
  # A change is not one of the file.
  x <- virtualFile(path, offset = 1)
  x[1] <- 0
  expect_identical(readBin(path, "raw", 1), as.raw(9))
  expect_identical(virtualFile(path, offset = 1), c(1.5, 2.5))
})

test_that("a file larger than memory is read in parts", {
  path <- tempfile()
  con <- file(path, "wb")
  seek(con, 2^36 - 8, rw = "write")
  worked <- tryCatch({ writeBin(pi, con); TRUE }, error = function(e) FALSE)
  close(con)
  on.exit(unlink(path))
  skip_if(!worked || !isTRUE(file.size(path) == 2^36), "no sparse files here")
  x <- virtualFile(path)
  expect_identical(length(x), 2^33)
  expect_identical(x[c(1, 2^33)], c(0, pi))
})

test_that("a file that cannot be read is refused", {
  path <- tempfile()
  expect_refused(virtualFile(path), "cannot be read.*No such file")
  expect_refused(virtualFile(tempdir()), "no regular file")
  writeBin(as.raw(1:13), path)
  expect_refused(virtualFile(path), "13 bytes.*give `length`")
  expect_refused(virtualFile(path, length = 2), "room for 1 elements")
  expect_refused(virtualFile(path, "raw", offset = 14), "`offset`")
  expect_refused(virtualFile(path, "raw", offset = -1), "`offset`")
  expect_refused(virtualFile(path, "raw", length = NA), "`length`")
  expect_refused(virtualFile(path, "character"), "`type`")
  expect_refused(virtualFile(1), "`path`")
  expect_refused(virtualFile(c(path, path)), "`path`")
  if (Sys.info()[["effective_user"]] != "root") {
    Sys.chmod(path, "000")
    expect_refused(virtualFile(path), "denied")
  }
})

test_that("a file that is cut while there is a vector of it is an error when it is read", {
  path <- tempfile()
  writeBin(as.double(1:100000), path)
  x <- virtualFile(path)
  expect_identical(x[100000], 100000)
  writeBin(as.double(1:10), path)
  expect_error(x[100000], "shorter than it was", class = "cowshed_error_generator")
  expect_error(sum(x), "shorter than it was", class = "cowshed_error_generator")
  expect_identical(x[10], 10)
})

# As numpy.save() writes a file.
write_npy <- function(path, descr, shape, bytes, fortran = FALSE, version = 1L, header = NULL) {
  if (is.null(header)) {
    shape <- if (length(shape) == 1) sprintf("(%s,)", shape) else sprintf("(%s)", paste(shape, collapse = ", "))
    header <- sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, if (fortran) "True" else "False", shape)
  }
  before <- if (version == 1L) 10L else 12L
  width <- ceiling((before + nchar(header) + 1) / 64) * 64 - before
  text <- charToRaw(paste0(formatC(header, width = -(width - 1)), "\n"))
  length <- writeBin(as.integer(width), raw(), endian = "little")[seq_len(before - 8L)]
  writeBin(c(as.raw(0x93), charToRaw("NUMPY"), as.raw(c(version, 0)), length, text, bytes), path)
}

little <- function(x, ...) writeBin(x, raw(), endian = "little", ...)

test_that("a .npy file has its elements, by type", {
  path <- tempfile()
  doubles <- c(1.5, NaN, -Inf, 1:300)
  integers <- c(-5L, 300L, 1:300)
  n <- length(doubles)
  of <- function(descr, bytes, length = n, ...) {
    write_npy(path, descr, length, bytes, ...)
    virtualNpy(path)
  }
  expect_same(of("<f8", little(doubles)), doubles)
  expect_same(of(">f8", writeBin(doubles, raw(), endian = "big")), doubles)
  expect_same(of("<f4", little(doubles, size = 4)), doubles)
  expect_same(of("<i4", little(integers), 302), integers)
  expect_same(of(">i4", writeBin(integers, raw(), endian = "big"), 302), integers)
  expect_same(of("<i2", little(integers, size = 2), 302), integers)
  expect_same(of(">i2", writeBin(integers, raw(), endian = "big", size = 2), 302), integers)
  expect_same(of("<u2", little(c(65535L, 1L), size = 2), 2), c(65535L, 1L))
  expect_same(of("|i1", as.raw(c(255, 128, 5)), 3), c(-1L, -128L, 5L))
  expect_same(of("|u1", as.raw(0:255), 256), as.raw(0:255))
  expect_same(of("|b1", as.raw(c(1, 0, 5)), 3), c(TRUE, FALSE, TRUE))
  expect_same(of("<u4", little(c(-1L, 7L)), 2), c(2^32 - 1, 7))
  expect_same(of("<c16", little(c(1+2i, -3i)), 2), c(1+2i, -3i))
  expect_same(of("<c8", little(c(1, 2, 0, -3), size = 4), 2), c(1+2i, -3i))
  expect_same(of("<i8", little(c(5L, 0L, -5L, -1L, 0L, bitwShiftL(1L, 21L))), 3), c(5, -5, 2^53), info = "i8")
  expect_same(of("<f8", little(doubles), version = 2L), doubles)
  expect_same(of("<f8", little(doubles), version = 3L), doubles)
  expect_same(of("<f8", raw(), 0), double())
  # What follows is another array's.
  expect_same(of("<f8", little(c(1, 2, 3)), 2), c(1, 2))
  write_npy(path, bytes = little(7), header = "{'descr': '<f8', 'fortran_order': False, 'shape': ()}")
  expect_same(virtualNpy(path), 7)
})

test_that("whole numbers that no double holds are an error that says which", {
  path <- tempfile()
  # 2^53 and 2^53 + 1, little-endian.
  write_npy(path, "<i8", 3, c(little(c(1L, 0L)), little(c(0L, bitwShiftL(1L, 21L))), little(c(1L, bitwShiftL(1L, 21L)))))
  x <- virtualNpy(path)
  expect_identical(x[1:2], c(1, 2^53))
  expect_error(x[3], "element 3 is 9007199254740993.*double", class = "cowshed_error_generator")
  expect_error(sum(x), "9007199254740993", class = "cowshed_error_generator")
  expect_identical(x[2], 2^53)
})

test_that("an array has numpy's subscripts in either order", {
  path <- tempfile()
  for (dim in list(c(3, 4), c(1, 5), c(5, 1), c(2, 3, 4), c(2, 1, 3, 2), c(100, 70), c(3, 50000), c(50000, 3), c(0, 3), c(3, 0))) {
    x <- array(as.double(seq_len(prod(dim))), dim)
    write_npy(path, "<f8", dim, little(as.vector(x)), fortran = TRUE)
    expect_same(virtualNpy(path), x, info = paste(dim, collapse = " "))
    # The last subscript is the fastest.
    write_npy(path, "<f8", dim, little(as.vector(aperm(x))))
    y <- virtualNpy(path)
    expect_same(y, x, info = paste(dim, collapse = " "))
    write_npy(path, ">i2", dim, writeBin(as.integer(aperm(x) %% 30000), raw(), size = 2, endian = "big"))
    expect_identical(virtualNpy(path), array(as.integer(x %% 30000), dim))
  }
})

test_that("what is no .npy file, or lies, is refused", {
  path <- tempfile()
  expect_refused(virtualNpy(path), "cannot be read.*No such file")
  expect_refused(virtualNpy(tempdir()), "no regular file")
  write_npy(path, "<f8", 3, little(c(1, 2, 3)))
  good <- readBin(path, "raw", 1e4)
  data <- length(good) - 24L
  for (end in c(0, 1, 5, 6, 7, 8, 9, 10, 50, data - 1)) {
    writeBin(good[seq_len(end)], path)
    expect_refused(virtualNpy(path), "no .npy file that can be read")
  }
  for (end in data + c(0, 8, 23)) {
    writeBin(good[seq_len(end)], path)
    expect_refused(virtualNpy(path), "3 elements, and it has room for")
  }
  changed <- function(at, to) {
    bytes <- good
    bytes[at] <- as.raw(to)
    writeBin(bytes, path)
    virtualNpy(path)
  }
  expect_refused(changed(1, 0), "does not begin as one")
  expect_refused(changed(7, 9), "version 9")
  expect_refused(changed(9:10, c(255, 255)), "ends within its header")
  expect_refused(changed(9:10, c(20, 0)), "header")
  lies <- c(
    "{'descr': '<f8', 'fortran_order': False, 'shape': (4,), }" = "4 elements, and it has room for 3",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }" = "2\\^52",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551615,), }" = "2\\^52",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551616,), }" = "nonsense",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 3000000000), }" = "2\\^31",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }" = "nonsense",
    "{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }" = "'<f2'",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }" = "'\\|O'",
    "{'descr': '<U5', 'fortran_order': False, 'shape': (1,), }" = "'<U5'",
    "{'descr': '', 'fortran_order': False, 'shape': (1,), }" = "no type",
    "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }" = "records",
    "{'descr': '<f8', 'fortran_order': Maybe, 'shape': (1,), }" = "nonsense",
    "{'descr': '<f8', 'shape': (1,), }" = "lacks",
    "__import__('os')" = "nonsense"
  )
  for (header in names(lies)) {
    write_npy(path, bytes = little(c(1, 2, 3)), header = header)
    expect_refused(virtualNpy(path), lies[[header]])
  }
})

# One of each, with what they are made of shared where that can be.
one_of_each <- function(dir) {
  file <- file.path(dir, "binary")
  npy <- file.path(dir, "array.npy")
  writeBin(as.double(1:3000), file)
  write_npy(npy, "<i4", c(30, 100), little(1:3000))
  list(
    double = virtualSequence(1, 0.5, 3000), integer = virtualSequence(1L, -2L, 3000), constant = virtualConstant(2i, 3000),
    logical = virtualConstant(NA, 3000), runs = virtualRuns(share(c(1000, 2000)), share(c(1L, NA))), linear = virtualLinear(share(1:3000), 2, 1),
    matrix = virtualLinear(matrix(1:3000, 30), 2), plain = virtualLinear(1:3000 / 7, 2), nested = virtualLinear(virtualSequence(1, 1, 3000), 2, 1),
    file = virtualFile(file), raw = virtualFile(file, "raw", length = 3000), npy = virtualNpy(npy)
  )
}

# The same as plain vectors.
plain_ones <- function(dir) {
  plain <- lapply(one_of_each(dir), function(x) withSharedSerialization(unserialize(serialize(x, NULL)), "value"))
  for (x in plain) testthat::expect_false(.Call(cowshed:::cs_is_virtual, x))
  plain
}

test_that("a worker makes them for itself", {
  skip_without_processes()
  with_new_store({
    dir <- scratch()
    plain <- plain_ones(dir)
    all <- one_of_each(dir)
    for (name in setdiff(names(all), c("plain", "matrix", "nested"))) expect_lt(length(serialize(all[[name]], NULL)), 1500)
    with_cluster(1, function(cl) {
      parallel::clusterCall(cl, function(paths) .libPaths(paths), .libPaths())
      got <- parallel::clusterCall(cl, function(all) {
        is <- vapply(all, function(x) .Call(cowshed:::cs_is_virtual, x), NA)
        list(is, lapply(all, function(x) x + 0L), lapply(all, function(x) x[2:2999]), all)
      }, all[names(all) != "raw"])[[1]]
      expect_true(all(got[[1]]))
      for (name in setdiff(names(all), "raw")) {
        expect_identical(got[[2]][[name]], plain[[name]] + 0L, info = name)
        expect_identical(got[[3]][[name]], plain[[name]][2:2999], info = name)
        expect_identical(got[[4]][[name]], plain[[name]], info = name)
        expect_identical(all[[name]], plain[[name]], info = name)
      }
      expect_identical(parallel::clusterCall(cl, function(x) x, all$raw)[[1]], plain$raw)
      # What was written to goes as it is.
      x <- virtualSequence(1, 0.5, 3000)
      x[2] <- -1
      expect_identical(parallel::clusterCall(cl, function(x) x[1:3], x)[[1]], c(1, -1, 2))
    })
  })
})

test_that("they are shared as what makes them, and saved as data", {
  skip_without_processes()
  with_new_store({
    dir <- scratch()
    plain <- plain_ones(dir)
    all <- one_of_each(dir)
    shared <- lapply(all, share)
    for (name in names(all)) expect_true(is.shared(shared[[name]]), info = name)
    put_in(dir, shared, "shared")
    put_in(dir, share(all), "list")
    saveRDS(all, file.path(dir, "saved"))
    got <- run_r({
      library(cowshed)
      shared <- take("shared")
      list <- take("list")
      is <- function(x) c(is.shared(x), .Call(cowshed:::cs_is_virtual, x))
      answer(list(vapply(shared, is, c(NA, NA)), vapply(list, is, c(NA, NA)), shared, list))
    }, dir = dir)
    expect_ended_well(got)
    expect_true(all(got$answer[[1]]))
    expect_true(all(got$answer[[2]]))
    unlink(file.path(dir, c("binary", "array.npy")))
    saved <- readRDS(file.path(dir, "saved"))
    for (name in names(all)) {
      expect_false(.Call(cowshed:::cs_is_virtual, saved[[name]]))
      # An open file lives as long as it is open.
      for (x in list(got$answer[[3]][[name]], got$answer[[4]][[name]], saved[[name]], shared[[name]], all[[name]])) {
        expect_identical(x, plain[[name]], info = name)
      }
    }
    rm(shared, all, x)
    # Vectors first, then what they were made of.
    gc()
    gc()
    expect_clean_store(ledgers = 1L)
  })
})

test_that("a file that was changed, or is gone, is an error in another process, when it is read", {
  skip_without_processes()
  with_new_store({
    dir <- scratch()
    all <- one_of_each(dir)[c("file", "raw", "npy")]
    put_in(dir, all, "sent")
    put_in(dir, lapply(all, share), "shared")
    binary <- readBin(file.path(dir, "binary"), "raw", 1e5)
    writeBin(rev(binary), file.path(dir, "binary"))
    Sys.setFileTime(file.path(dir, "binary"), Sys.time() + 10)
    unlink(file.path(dir, "array.npy"))
    got <- run_r({
      library(cowshed)
      both <- c(take("sent"), take("shared"))
      answer(list(lengths(both), lapply(both, function(x) condition_of(x[1])), lapply(both, function(x) condition_of(sum(as.integer(x))))))
    }, dir = dir)
    expect_ended_well(got)
    expect_identical(unname(got$answer[[1]]), rep(3000L, 6))
    for (k in 2:3) {
      for (i in 1:6) expect_condition_class(got$answer[[k]][[i]], "generator")
      for (i in c(1, 2, 4, 5)) expect_match(got$answer[[k]][[i]]$message, "not what it was when the vector was made")
      for (i in c(3, 6)) expect_match(got$answer[[k]][[i]]$message, "array.npy' cannot be read: No such file")
    }
  })
})

test_that("they survive gctorture", {
  skip_without_processes()
  path <- tempfile()
  write_npy(path, "<i2", c(3, 4), little(1:12, size = 2))
  got <- run_r({
    library(cowshed)
    gctorture2(11)
    all <- list(
      virtualSequence(1, 2, 4), virtualConstant(TRUE, 4), virtualRuns(c(1, 3), c(2i, 3i)), virtualLinear(1:4, 2, 1),
      virtualLinear(virtualSequence(1L, 2L, 4), 2, 1), virtualNpy(path)
    )
    plain <- lapply(all, function(x) x[seq_along(x)])
    again <- lapply(all, function(x) unserialize(serialize(x, NULL)))
    shared <- lapply(all, share)
    wrong <- tryCatch(virtualRuns(-1, 1), error = function(e) class(e)[1])
    gctorture2(0)
    gc()
    answer(list(plain, identical(again, all), identical(shared, all), wrong))
  }, path = path, timeout = 200)
  expect_ended_well(got)
  expect_identical(got$answer[[1]], list(c(1, 3, 5, 7), rep(TRUE, 4), c(2i, 3i, 3i, 3i), c(3, 5, 7, 9), c(3, 7, 11, 15), c(1L, 5L, 9L, 2L, 6L, 10L, 3L, 7L, 11L, 4L, 8L, 12L)))
  expect_identical(got$answer[-1], list(TRUE, TRUE, "cowshed_error_argument"))
})

test_that("a pointer to a file's elements is one to its own pages, with or without userfaultfd", {
  skip_without_processes()
  path <- tempfile()
  plain <- as.double(1:200000)
  shown <- function(x) capture.output(.Internal(inspect(x)))[1]
  for (userfaultfd in c(TRUE, FALSE)) for (offset in c(0, 24, 5)) {
    old <- options(cowshed.userfaultfd = userfaultfd, cowshed.materialize = if (offset == 5) 1e9 else 0)
    writeBin(c(raw(offset), writeBin(plain, raw())), path)
    x <- virtualFile(path, offset = offset)
    expect_match(shown(x), "no pointer")
    expect_identical(x, plain)
    # A place where no double can be has no mapping.
    if (offset != 5) {
      expect_match(shown(x), "the file's own pages")
      # R's own functions ask for a pointer to write to, and do not.
      expect_lt(length(serialize(x, NULL)), 1500)
      expect_identical(x[2:5], plain[2:5])
    }
    y <- x
    y[c(1, 100000, 200000)] <- -1
    changed <- plain
    changed[c(1, 100000, 200000)] <- -1
    z <- y
    z[2] <- -2
    expect_identical(z[1:3], c(-1, -2, 3))
    expect_identical(y, changed)
    expect_identical(y[c(1:3, 100000)], changed[c(1:3, 100000)])
    expect_identical(sum(y), sum(changed))
    expect_identical(as.integer(y), as.integer(changed))
    expect_identical(unserialize(serialize(y, NULL)), changed)
    changed[2] <- -2
    expect_identical(z, changed)
    expect_identical(x, plain)
    expect_identical(readBin(path, "raw", file.size(path)), c(raw(offset), writeBin(plain, raw())))
    options(old)
  }
  write_npy(path, "<i4", c(500, 400), little(1:200000), fortran = TRUE)
  m <- virtualNpy(path)
  m[500, 400] <- 0L
  expect_match(shown(m), "the file's own pages")
  expect_identical(m, matrix(c(1:199999, 0L), 500))
})

test_that("a file that is cut under a pointer is NA once, then an error, and R goes on", {
  skip_without_processes()
  path <- tempfile()
  got <- run_r({
    library(cowshed)
    writeBin(as.double(1:200000), path)
    x <- virtualFile(path)
    y <- virtualFile(path, "integer")
    same <- identical(x, as.double(1:200000)) && !anyNA(y) && identical(y, readBin(path, "integer", 400000))
    con <- file(path, "r+b")
    truncate(con)
    close(con)
    missing <- list(x[[150000]], y[[300000]])
    errors <- list(condition_of(x[[150000]]), condition_of(x[1:10]), condition_of(y[300000:1]), condition_of(sum(x)), condition_of(identical(x, as.double(1:200000))))
    writeBin(as.double(1:200000), path)
    again <- virtualFile(path)
    answer(list(same, missing, errors, identical(again, as.double(1:200000))))
  }, path = path)
  expect_ended_well(got)
  expect_identical(got$answer[c(1, 2, 4)], list(TRUE, list(NA_real_, NA_integer_), TRUE))
  for (e in got$answer[[3]]) {
    expect_condition_class(e, "generator")
    expect_match(e$message, "shorter")
  }
})
