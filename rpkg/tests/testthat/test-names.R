test_that("long names travel as references, not with every reference", {
  plain <- stats::setNames(as.double(1:1e5), paste0("name", 1:1e5))
  x <- share(plain)
  expect_identical(x, plain)
  expect_lt(size_of(x), 1000)
  y <- unserialize(serialize(x, NULL))
  expect_identical(y, plain)
  expect_identical(y[["name77"]], 77)
  expect_identical(y[c("name3", "none")], plain[c("name3", "none")])
  names(y)[1] <- "first"
  expect_identical(names(y)[1:2], c("first", "name2"))
  expect_identical(names(x), names(plain))
  expect_identical(unshare(x), plain)
  expect_false(is.shared(names(unshare(x))))

  m <- matrix(0, 2000, 2, dimnames = list(paste0("r", 1:2000), c("a", "b")))
  s <- share(m)
  expect_identical(s, m)
  expect_lt(size_of(s), 1000)
  expect_identical(unserialize(serialize(s, NULL))["r2000", ], m["r2000", ])
})

test_that("short names stay as they are", {
  x <- share(c(a = 1, b = 2, c = 3))
  expect_false(is.shared(names(x)))
})
