test_that("two objects over one write-through segment never share private bytes", {
  # They had one view: what one got privately, for a writable pointer or a write, the other then read, and wrote to in place of the segment.
  x <- share(as.double(1:20000), copyOnWrite = FALSE)
  y <- share(x, copyOnWrite = TRUE)
  cumsum(y)
  x[2] <- -5
  # Only read, so still live.
  expect_identical(y[2], -5)
  expect_identical(unserialize(serialize(x, NULL))[2], -5)

  a <- share(as.double(1:20000), copyOnWrite = FALSE)
  b <- a
  b[1] <- -1
  setCopyOnWrite(b, TRUE)
  cumsum(b)
  a[3] <- 77
  expect_identical(c(a[3], b[3], unserialize(serialize(a, NULL))[3]), c(77, 77, 77))
  expect_false(getCopyOnWrite(a))
  b[5] <- 0
  expect_identical(a[5], 5)
})

test_that("a draft and what was shared from it under another flag are two vectors", {
  x <- share(as.double(1:10), sharedCopy = TRUE)
  y <- x
  y[1] <- 100
  z <- share(y, sharedSubset = TRUE)
  y[2] <- 200
  expect_identical(z[1:2], c(100, 2))
})

test_that("a write-through vector is assigned to in place, and never computed in", {
  # R computes in a value that no variable has: `f(x) + 1` would have written to what `x` is an alias of.
  for (n in c(10, 1000, 20000)) {
    x <- share(as.double(seq_len(n)), copyOnWrite = FALSE)
    f <- function(x) {
      for (i in 1:4) x[[i]] <- -i
      x[5:6] <- c(-5, -6)
      x
    }
    results <- list(f(x) + 1, 1 + f(x), -f(x), sqrt(abs(f(x))), f(x) * f(x), exp(f(x)), f(x) %/% 2, round(f(x)), f(x)^2)
    expect_identical(x[1:7], c(-1, -2, -3, -4, -5, -6, 7), info = n)
    expect_identical(results[[1]][1:7], c(0, -1, -2, -3, -4, -5, 8), info = n)
    expect_identical(unserialize(serialize(x, NULL))[1:7], x[1:7])
    expect_true(is.shared(x))
    y <- f(x) + 1
    z <- y
    z[1] <- 100
    expect_identical(c(x[1], y[1], z[1]), c(-1, 0, 100), info = n)
  }
  i <- share(1:100, copyOnWrite = FALSE)
  g <- function(x) {
    x[1] <- 7L
    x
  }
  expect_identical((g(i) + 1L)[1], 8L)
  expect_identical(i[1:2], c(7L, 2L))
})

test_that("an alias obeys a flag from the moment it is set, and has names of its own", {
  x <- share(as.double(1:1000), copyOnWrite = FALSE)
  f <- function(x) {
    x[1] <- -1
    setCopyOnWrite(x, TRUE)
    x[2] <- -2
    x
  }
  y <- f(x)
  expect_identical(list(x[1:2], y[1:2]), list(c(-1, 2), c(-1, -2)))
  a <- x
  a[3] <- -3
  b <- a
  names(b) <- seq_along(b)
  b[4] <- -4
  expect_identical(x[3:4], c(-3, -4))
  expect_null(names(a))
  expect_null(names(x))
})
