bytes_of <- function(x) {
  plain <- unclass(unshare(x))
  attributes(plain) <- NULL
  if (is.logical(plain)) plain <- as.integer(plain)
  writeBin(plain, raw())
}

# writeBin() does not write S4 objects.
vectors <- function() Filter(Negate(isS4), c(samples(), large_samples()))

types <- function() large_samples()[c("raw", "logical", "integer", "double", "complex")]
few <- function() lapply(types(), function(x) x[1:10])

test_that("every pointer and element function reads what is there, and copies nothing", {
  api <- c_functions()
  values <- vectors()
  for (cow in c(TRUE, FALSE)) for (label in names(values)) {
    plain <- values[[label]]
    x <- share(plain, copyOnWrite = cow)
    expected <- bytes_of(plain)
    for (how in c(1, 2, 3, 0, 1, 2, 3)) expect_identical(api$t_read(x, how), expected, info = paste(label, how))
    expect_identical(api$t_elt_sum(x), api$t_elt_sum(plain), info = label)
    expect_identical(api$t_region_sum(x), api$t_region_sum(plain), info = label)
    expect_true(is.shared(x), label)
    expect_true(same(x, plain), label)
    if (length(expected) >= 65536) expect_identical(private_bytes(x), 0, info = label)
  }
})

test_that("empty vectors have pointers, or none, that are never followed", {
  api <- c_functions()
  for (plain in list(raw(), logical(), integer(), double(), complex())) for (cow in c(TRUE, FALSE)) {
    x <- share(plain, minLength = 0, copyOnWrite = cow)
    expect_true(is.shared(x))
    expect_identical(api$t_read(x, 0), raw())
    expect_identical(api$t_read(x, 2), raw())
    expect_identical(api$t_elt_sum(x), 0)
    expect_identical(api$t_region_sum(x), 0)
    expect_identical(api$t_duplicate(x), plain)
    expect_identical(api$t_shallow_duplicate(x), plain)
  }
})

test_that("a read-only pointer of two views of one segment is one address; the writable ones are not", {
  api <- c_functions()
  x <- share(as.double(1:20000))
  y <- elsewhere(x)
  expect_identical(api$t_pointers(x, y), c(TRUE, FALSE))
  x <- share(as.double(1:20000), copyOnWrite = FALSE)
  y <- elsewhere(x)
  expect_identical(api$t_pointers(x, y), c(TRUE, TRUE))
})

test_that("copyOnWrite = TRUE: duplicates are equal, and written by nobody but their owner", {
  api <- c_functions()
  for (plain in c(types(), few())) {
    for (duplicate in api[c("t_duplicate", "t_shallow_duplicate")]) {
      x <- share(plain)
      y <- duplicate(x)
      expect_false(api$t_same_object(x, y))
      expect_true(same(y, plain))
      # In place: nobody else has it.
      expect_false(api$t_maybe_shared(duplicate(x)))
      api$t_write(y, 0, 1)
      expected <- plain
      expected[1] <- plain[2]
      expect_true(same(y, expected))
      expect_true(same(elsewhere(y), expected))
      expect_true(same(x, plain))
      expect_true(is.shared(x))
    }
  }
})

test_that("copyOnWrite = TRUE: writing through the pointer of a view is seen in that view alone, which says so", {
  api <- c_functions()
  for (plain in c(types(), few())) {
    x <- share(plain)
    other <- elsewhere(x)
    flagged <- share(x, sharedSubset = TRUE)
    sent <- serialize(x, NULL)
    api$t_write(x, 0, 1)
    expected <- plain
    expected[1] <- plain[2]
    expect_true(same(x, expected))
    expect_false(is.shared(x))
    expect_gt(private_bytes(x), 0)
    expect_true(same(elsewhere(x), expected))
    expect_false(is.shared(elsewhere(x)))
    for (still in list(other, flagged, unserialize(sent))) {
      expect_true(same(still, plain))
      expect_true(is.shared(still))
    }
    # Changed views are duplicated with what was written to them.
    y <- x
    y[3] <- plain[1]
    expected[3] <- plain[1]
    expect_true(same(y, expected))
    expect_true(same(api$t_duplicate(x), unshare(x)))
    expect_true(same(x[1:3], unshare(x)[1:3]))
  }
})

test_that("copyOnWrite = FALSE: writing through the pointer of a view, or of its alias, is seen by the others", {
  api <- c_functions()
  for (plain in c(types(), few())) {
    x <- share(plain, copyOnWrite = FALSE)
    other <- elsewhere(x)
    api$t_write(x, 0, 1)
    expected <- plain
    expected[1] <- plain[2]
    expect_true(same(other, expected))
    expect_true(is.shared(x))
    alias <- api$t_shallow_duplicate(x)
    api$t_write(alias, 2, 0)
    expected[3] <- expected[1]
    expect_true(same(other, expected))
    expect_true(same(x, expected))
  }
})

test_that("copyOnWrite = FALSE: a deep duplicate is plain", {
  api <- c_functions()
  for (plain in c(types(), few())) {
    x <- share(plain, copyOnWrite = FALSE)
    y <- api$t_duplicate(x)
    expect_true(same(y, plain))
    expect_false(is.shared(y))
    api$t_write(y, 0, 1)
    expect_true(same(x, plain))
    expect_true(same(elsewhere(x), plain))
  }
})

test_that("a view of live memory with copyOnWrite = TRUE, written through its pointer, is private from then on", {
  api <- c_functions()
  for (plain in list(as.double(1:20000), as.double(1:10))) {
    live <- share(plain, copyOnWrite = FALSE)
    x <- share(live, copyOnWrite = TRUE)
    api$t_write(x, 0, 2)
    expect_false(is.shared(x))
    live[2] <- 99
    live[length(plain)] <- 98
    expect_identical(x, c(3, plain[-1]))
    expect_identical(elsewhere(x), c(3, plain[-1]))
    expect_identical(live[1], 1)
  }
})

test_that("a lazy duplicate is the object itself until it is written, and then a duplicate", {
  api <- c_functions()
  x <- share(as.double(1:20000))
  y <- api$t_lazy_duplicate(x)
  expect_identical(y, x)
  y[1] <- 0
  expect_identical(x, as.double(1:20000))
  expect_identical(y[1], 0)
})

test_that("element setters obey the flags", {
  api <- c_functions()
  for (plain in types()[c("logical", "integer", "double")]) {
    x <- share(plain)
    other <- elsewhere(x)
    api$t_write_elt(x, 1, 0L)
    expect_equal(as.double(x[2]), 0)
    expect_true(same(other, plain))
    expect_false(is.shared(x))
    live <- share(plain, copyOnWrite = FALSE)
    far <- elsewhere(live)
    api$t_write_elt(live, 1, 0L)
    expect_equal(as.double(far[2]), 0)
  }
})

test_that("a shared object given to C, or kept in a list, counts as shared: R duplicates before it writes", {
  api <- c_functions()
  expect_true(api$t_maybe_shared(share(c(1, 2, 3))))
  expect_true(api$t_maybe_shared(elsewhere(share(c(1, 2, 3)))))
  expect_true(api$t_maybe_shared(share(c(1, 2, 3), copyOnWrite = FALSE)))
})

test_that("coercion gives R's result, warnings included, and leaves x", {
  api <- c_functions()
  types <- c(logical = 10, integer = 13, double = 14, complex = 15, character = 16, list = 19, raw = 24)
  values <- vectors()
  for (label in names(values)) {
    plain <- values[[label]]
    for (cow in c(TRUE, FALSE)) {
      x <- share(plain, copyOnWrite = cow)
      for (type in types) {
        # Thousands of strings or list elements take long.
        if (type %in% c(16, 19) && length(plain) > 1000) next
        coerce <- function(v) api$t_coerce(v, type)
        expect_true(same(outcome(coerce, x), outcome(coerce, plain)), paste(label, type))
      }
      expect_true(same(x, plain), label)
    }
  }
})

test_that("growing and shrinking from C gives plain vectors and leaves x", {
  api <- c_functions()
  for (plain in types()) for (n in c(3, length(plain) + 5)) {
    x <- share(plain)
    expect_true(same(api$t_lengthgets(x, n), api$t_lengthgets(plain, n)))
    expect_true(same(x, plain))
  }
  x <- share(structure(c(1, 2, 3), a = 1, class = "k"))
  expect_identical(api$t_copy_most(x, c(4, 5, 6)), structure(c(4, 5, 6), a = 1, class = "k"))
})

test_that("a writable pointer to a draft writes the draft", {
  api <- c_functions()
  x <- share(as.double(1:20000), sharedCopy = TRUE)
  y <- api$t_duplicate(x)
  expect_true(is.shared(y))
  api$t_write(y, 0, 9)
  expect_identical(y[1], 10)
  far <- elsewhere(y)
  expect_true(is.shared(far))
  expect_identical(far[1], 10)
  # Sealed now: bad manners are this view's own affair.
  api$t_write(y, 1, 9)
  expect_identical(y[1:2], c(10, 10))
  expect_identical(far[1:2], c(10, 2))
  expect_identical(elsewhere(y)[1:2], c(10, 10))
  expect_identical(x, as.double(1:20000))
})

test_that("writing through a wrapper's pointer leaves what it wraps", {
  api <- c_functions()
  x <- share(as.double(1:20000))
  y <- x
  attr(y, "note") <- "wrapped"
  expect_true(is.shared(y))
  api$t_write(y, 0, 9)
  expect_identical(y[1], 10)
  expect_false(is.shared(y))
  expect_identical(elsewhere(y)[1], 10)
  expect_identical(x, as.double(1:20000))
  expect_true(is.shared(x))
})

test_that("Rcpp code that reads a vector copies nothing", {
  skip_if_not_installed("Rcpp")
  code <- '
    double read_all(Rcpp::NumericVector v) { double s = 0; for (double e : v) s += e; return s; }
    double read_const(const Rcpp::NumericVector& v) { return std::accumulate(v.begin(), v.end(), 0.0); }
    double read_matrix(Rcpp::NumericMatrix m) { return m(1, 1) + m.ncol(); }
    int read_ints(Rcpp::IntegerVector v) { return v[v.size() - 1]; }
    Rcpp::NumericVector clone_it(Rcpp::NumericVector v) { Rcpp::NumericVector w = Rcpp::clone(v); w[0] = -1; return w; }
    void write_it(Rcpp::NumericVector v) { v[0] = -1; }
  '
  source <- paste0("#include <Rcpp.h>\n#include <numeric>\n", gsub("\n    (\\w)", "\n// [[Rcpp::export]]\n\\1", code))
  f <- new.env()
  Rcpp::sourceCpp(code = source, env = f, cacheDir = tempfile("cowshed-rcpp-"))
  plain <- matrix(as.double(1:20000), 100)
  x <- share(plain)
  i <- share(1:20000)
  expect_identical(f$read_all(x), sum(plain))
  expect_identical(f$read_const(x), sum(plain))
  expect_identical(f$read_matrix(x), plain[2, 2] + 200)
  expect_identical(f$read_ints(i), 20000L)
  expect_identical(private_bytes(x), 0)
  expect_identical(private_bytes(i), 0)
  expect_true(is.shared(x))
  y <- f$clone_it(x)
  expect_identical(c(y[1], x[1]), c(-1, 1))
  far <- elsewhere(x)
  f$write_it(x)
  expect_identical(c(x[1], far[1], elsewhere(x)[1]), c(-1, 1, -1))
  expect_lte(private_bytes(x), 8192)
  live <- share(plain, copyOnWrite = FALSE)
  far <- elsewhere(live)
  f$write_it(live)
  expect_identical(far[1], -1)
})
