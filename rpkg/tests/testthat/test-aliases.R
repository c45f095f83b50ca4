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
  expect_identical(c(a[3], b[3], unserialize(serialize(a, NULL))[3]), c(77, 3, 77))
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
