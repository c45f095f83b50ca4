# R expands `a:b` before it hands it to the subset hook, so no range was ever recognised and every shared subset was a new segment.

test_that("a contiguous range of a shared vector is a window on the same segment", {
  x <- share(as.double(1:1e5), sharedSubset = TRUE)
  segment <- function(x) sub(":.*", "", data_id(x))
  expect_identical(segment(x[10001:90000]), segment(x))
  expect_identical(segment(x[c(seq(10001, 90000))]), segment(x))
  expect_identical(x[10001:90000], as.double(10001:90000))
  expect_false(identical(segment(x[c(10001:90000, 5L)]), segment(x)))
})
