inspected <- function(x) paste(capture.output(.Internal(inspect(x))), collapse = "\n")

test_that("share(x) is x, for every type, class and attribute, and so is what comes back from it", {
  for (label in names(samples())) {
    plain <- samples()[[label]]
    x <- share(plain)
    expect_true(is.shared(x), label)
    expect_true(same(x, plain), label)
    expect_identical(attributes(x), attributes(plain), info = label)
    expect_identical(c(is.object(x), isS4(x)), c(is.object(plain), isS4(plain)), info = label)
    expect_true(same(unshare(x), plain), label)
    expect_false(is.shared(unshare(x)), label)
    expect_true(same(elsewhere(x), plain), label)
    expect_true(is.shared(elsewhere(x)), label)
    # And the source is what it was.
    expect_false(is.shared(plain), label)
    expect_true(same(plain, samples()[[label]]), label)
  }
})

test_that("large vectors too", {
  values <- c(large_samples(), list(million = as.double(1:1e6) / 7, raw = as.raw(rep(0:255, 4000))))
  for (label in names(values)) {
    plain <- values[[label]]
    x <- share(plain)
    expect_true(same(x, plain), label)
    expect_true(same(elsewhere(x), plain), label)
    expect_true(same(unshare(x), plain), label)
  }
})

test_that("share() is idempotent: the same segment, at no cost", {
  local_store()
  for (plain in samples()) {
    x <- share(plain)
    id <- data_id(x)
    n <- nrow(listSharedObjects())
    y <- share(share(x))
    expect_identical(data_id(y), id)
    expect_identical(data_id(share(elsewhere(x))), id)
    # Fewer, if what an earlier round made went meanwhile.
    expect_lte(nrow(listSharedObjects()), n)
    expect_true(same(y, plain))
  }
})

test_that("the elements' bits are kept: NA, NaN payloads, the sign of zero, subnormals", {
  bits <- function(x) writeBin(x, raw())
  plain <- c(NA, NaN, -NaN, odd_nan(1), odd_nan(255), -odd_nan(9), 0, -0, Inf, -Inf, 5e-324, .Machine$double.xmax)
  x <- share(plain)
  expect_identical(bits(x), bits(plain))
  expect_identical(serialize(unshare(x), NULL), serialize(plain, NULL))
  expect_identical(is.na(x) & !is.nan(x), c(TRUE, rep(FALSE, 11)))
  expect_identical(1 / x[7:8], c(Inf, -Inf))
  for (i in seq_along(plain)) expect_identical(bits(x[[i]]), bits(plain[[i]]))
  z <- complex(real = plain, imaginary = rev(plain))
  expect_identical(bits(share(z)), bits(z))
})

test_that("logical vectors keep what is neither TRUE, FALSE nor NA out, and integers their limits", {
  expect_identical(share(c(TRUE, FALSE, NA)), c(TRUE, FALSE, NA))
  x <- share(c(.Machine$integer.max, -.Machine$integer.max, NA))
  expect_identical(sum(x[2:3], na.rm = TRUE), -.Machine$integer.max)
  expect_identical(as.double(x), c(2147483647, -2147483647, NA))
  expect_identical(x + 1, c(2147483648, -2147483646, NA))
  expect_identical(as.double(share(c(TRUE, NA, FALSE))), c(1, NA, 0))
})

test_that("lengths 0, 1, 2 and 3: minLength decides what is shared", {
  for (type in c("raw", "logical", "integer", "double", "complex")) {
    for (n in 0:3) {
      plain <- vector(type, n)
      expect_identical(is.shared(share(plain)), n >= 3)
      expect_identical(share(plain), plain)
      for (cow in c(TRUE, FALSE)) {
        x <- share(plain, minLength = 0, copyOnWrite = cow)
        expect_true(is.shared(x))
        expect_identical(x, plain)
        expect_identical(unshare(x), plain)
        expect_identical(x[seq_len(n)], plain)
        expect_identical(sum(as.double(x)), 0)
        y <- x
        y[n + 1L] <- plain[NA][1]
        expect_length(y, n + 1L)
        expect_identical(x, plain)
        expect_identical(elsewhere(x), plain)
        expect_identical(rev(x), plain)
        expect_identical(cumsum(as.double(x)), cumsum(as.double(plain)))
      }
    }
  }
  expect_false(is.shared(share(1:9, minLength = 10)))
  expect_true(is.shared(share(1:10, minLength = 10)))
  expect_false(is.shared(share(1:9 + 0, minLength = 1e12)))
})

test_that("minLength comes from options()", {
  local_options(cowshed.minLength = 5)
  expect_false(is.shared(share(1:4)))
  expect_true(is.shared(share(1:5)))
  expect_true(is.shared(share(1:4, minLength = 2)))
})

test_that("empty vectors keep their attributes", {
  for (plain in list(factor(character()), as.Date(character()), matrix(0, 0, 3, dimnames = list(NULL, letters[1:3])),
                     structure(integer(), a = list(1)), array(TRUE, c(2, 0, 3)), structure(numeric(), names = character()))) {
    x <- share(plain, minLength = 0)
    expect_true(is.shared(x))
    expect_true(same(x, plain))
    expect_true(same(elsewhere(x), plain))
  }
})

test_that("a compact source is shared without being expanded", {
  sources <- list(1:1e6, 1e6:1, as.double(1:1e5), seq_len(70000), 2L:5L, seq(1, 1e5))
  for (source in sources) {
    before <- inspected(source)
    expect_match(before, "compact")
    x <- share(source)
    expect_match(inspected(source), "compact")
    expect_true(is.shared(x))
    expect_identical(x, source[seq_along(source)])
    expect_identical(range(x), range(source[c(1, length(source))]))
  }
})

test_that("R's wrappers around plain vectors are shared", {
  for (plain in list(as.double(1:100) + 0, rep(c(TRUE, NA), 50), complex(100))) {
    wrapped <- plain
    attr(wrapped, "note") <- "wrapped"
    x <- share(wrapped)
    expect_true(is.shared(x))
    expect_identical(x, structure(plain, note = "wrapped"))
    wrapped[1] <- plain[2]
    expect_identical(x, structure(plain, note = "wrapped"))
  }
  sorted <- sort(c(3, 1, 2, 5, 4) + rep(0, 100))
  expect_identical(share(sorted), sorted[seq_along(sorted)])
})

test_that("what is known of a sorted source is right of the shared vector, and forgotten once it changes", {
  up <- share(1:20000)
  down <- share(20000:1)
  expect_false(is.unsorted(up))
  expect_identical(c(min(up), max(up), min(down), max(down)), c(1L, 20000L, 1L, 20000L))
  expect_identical(order(down), 20000:1)
  expect_identical(sort(down), 1:20000)
  y <- up
  y[10] <- -5L
  expect_true(is.unsorted(y))
  expect_identical(min(y), -5L)
  expect_identical(sort(y)[1:2], c(-5L, 1L))
  y[11] <- NA
  expect_true(anyNA(y))
  expect_identical(sum(y), NA_integer_)
  expect_identical(max(y, na.rm = TRUE), 20000L)
  live <- share(1:20000, copyOnWrite = FALSE)
  live[1] <- 30000L
  live[2] <- NA
  expect_identical(max(live, na.rm = TRUE), 30000L)
  expect_true(anyNA(live))
  expect_identical(sort(live, decreasing = TRUE)[1], 30000L)
  descending <- share(as.double(5:1))
  expect_identical(c(min(descending), max(descending)), c(1, 5))
})

test_that("sums are R's, to the last bit, and of R's type", {
  top <- .Machine$integer.max
  integers <- list(
    c(top, top, 1L), c(top, -top, 5L), c(NA, 1L, 2L), c(-top, 0L, 0L), c(-top, -1L, 0L), c(-top, -2L, 0L), c(top, 1L, NA)
  )
  for (x in c(integers, large_samples()[c("logical", "integer", "double", "complex", "matrix")])) {
    expect_true(same(sum(share(x)), sum(x)))
    expect_true(same(sum(share(x), na.rm = TRUE), sum(x, na.rm = TRUE)))
    expect_true(same(sum(share(x), 1L, share(x)), sum(x, 1L, x)))
    expect_true(same(mean(share(x), na.rm = TRUE), mean(x, na.rm = TRUE)))
  }
})

test_that("subscripts beyond 2^31 of a short vector find nothing", {
  x <- share(as.raw(1:9))
  expect_identical(x[2^31 + 1:3], raw(3))
  expect_error(x[[2^31]], "subscript out of bounds")
  x <- share(1:9)
  expect_identical(x[c(2^32 + 1, 3)], c(NA, 3L))
})

test_that("a vector of more than 2^31 elements", {
  skip_if_not(identical(Sys.getenv("COWSHED_LONG_TESTS"), "1"), "COWSHED_LONG_TESTS is not 1: it needs 9 GB")
  n <- 2^31 + 1000
  plain <- raw(n)
  plain[c(1, 2^31, n)] <- as.raw(c(1, 2, 3))
  x <- share(plain, sharedSubset = TRUE)
  rm(plain)
  gc()
  expect_identical(length(x), n)
  expect_identical(x[c(1, 2^31, n, n + 1, 2)], as.raw(c(1, 2, 3, 0, 0)))
  expect_identical(x[[n]], as.raw(3))
  expect_identical(tail(x, 2), as.raw(c(0, 3)))
  start <- n - 2e8
  window <- x[start:n]
  expect_identical(data_id(window), data_id(x))
  expect_identical(window[length(window)], as.raw(3))
  far <- elsewhere(window)
  expect_identical(far[[2^31 - start + 1]], as.raw(2))
  y <- x
  y[n] <- as.raw(9)
  expect_lte(private_bytes(y), 8192)
  expect_identical(c(y[n], x[n]), as.raw(c(9, 3)))
  y[[2^31 + 5]] <- as.raw(7)
  expect_identical(y[2^31 + 5], as.raw(7))
  live <- share(x, copyOnWrite = FALSE)
  rm(x, y, window, far)
  gc()
  live[n] <- as.raw(8)
  expect_identical(elsewhere(live)[n], as.raw(8))
})
