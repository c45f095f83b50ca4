# Pairlists are shared as lists are. Symbols, calls and pointers are never shared, and stay what they are wherever they are.

test_that("a pairlist is shared by its elements, and stays one", {
  plain <- pairlist(a = as.double(1:100), 2, b = letters, a = list(1:10, NULL), e = NULL)
  x <- share(plain)
  expect_identical(x, plain)
  expect_true(is.pairlist(x))
  expect_identical(vapply(x, is.shared, NA), c(a = TRUE, FALSE, b = TRUE, a = TRUE, e = FALSE))
  expect_true(is.shared(x))
  x$a[1] <- 0
  expect_identical(plain$a[1], 1)
  expect_identical(unshare(share(list(plain)))[[1]], plain)
  expect_false(is.shared(unshare(share(plain))))
  expect_identical(share(pairlist(quote(a), 1:2)), pairlist(quote(a), 1:2))
  expect_error(share(pairlist(1:3, quote(a)), mustWork = TRUE), "<name>", class = "cowshed_error_unshareable")
  noted <- structure(pairlist(1:3), note = as.double(1:10))
  expect_identical(share(noted), noted)
  expect_true(is.shared(attr(share(noted), "note")))
})

test_that("arguments without a default are elements like any other", {
  plain <- list(formals(stats::lm), c(alist(a = ), list(b = as.double(1:10))), as.pairlist(alist(x = , y = c(1, 2, 3))))
  expect_identical(share(plain), plain)
  expect_true(is.shared(share(plain)[[2]]$b))
})

test_that("symbols, calls, expressions and pointers are returned, and are not shared", {
  pointer <- methods::new("externalptr")
  data <- as.double(1:100)
  for (x in list(quote(a), quote(a + b), expression(a, b + 1, 2), bquote(f(.(data))), pointer, y ~ x, as.call(list(mean, 1:10)))) {
    expect_identical(share(x), x)
    expect_false(is.shared(share(x)))
    expect_identical(unshare(x), x)
    expect_error(share(x, mustWork = TRUE), class = "cowshed_error_unshareable")
    both <- share(list(x, 1:10))
    expect_identical(both, list(x, 1:10))
    expect_identical(is.shared(both, depth = 1), list(FALSE, TRUE))
    expect_identical(unshare(both), list(x, 1:10))
  }
  expect_error(share(pointer, mustWork = TRUE), "<externalptr>", class = "cowshed_error_unshareable")
})

test_that("what is in a call with a function in it is not taken apart", {
  f <- apart({v <- as.double(1:100); function() v})
  x <- share(list(as.call(list(f)), 1:3))
  expect_identical(x[[1]][[1]], f)
  expect_true(is.shared(environment(f)$v))
})

test_that("lists of a thousand levels are shared, and deeper ones than can be are an error with a class", {
  nested <- function(depth, within) {
    for (i in seq_len(depth)) within <- list(within, i)
    within
  }
  plain <- nested(1000, as.double(1:10))
  x <- share(plain)
  expect_identical(x, plain)
  expect_true(is.shared(x))
  expect_false(is.shared(unshare(x)))
  expect_error(share(nested(1500, as.double(1:10))), class = "cowshed_error")
  pairs <- as.double(1:10)
  for (i in 1:1000) pairs <- pairlist(pairs)
  expect_identical(share(pairs), pairs)
  expect_true(is.shared(share(pairs)))
})
