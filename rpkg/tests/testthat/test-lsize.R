test_that("sizes increase, those of cached objects are minus their files', and nothing is read", {
  e <- a_cache()
  e$small <- 1L
  e$large <- as.numeric(1:1e4)
  e$cached <- as.numeric(1:1e3)
  e$.hidden <- 1:100
  mtidy(cached, envir = e)
  sizes <- lsize(e)
  expect_setequal(names(sizes), c("small", "large", "cached", ".hidden"))
  expect_identical(sizes[["large"]], as.numeric(object.size(e$large)))
  expect_identical(sizes[["cached"]], -file.size(file.path(attr(e, "path"), "mlazy", "obj1.rda")))
  expect_false(is.unsorted(abs(unclass(sizes))))
  expect_true(is_on_disk("cached", e))
})

test_that("it is a number like any, but for printing", {
  e <- a_cache()
  e$x <- as.numeric(1:1e4)
  e$y <- 1
  mtidy(x, envir = e)
  sizes <- lsize(e)
  expect_true(is.numeric(sizes))
  expect_s3_class(sizes, "lsize")
  expect_identical(sum(sizes), sum(unclass(sizes)))
  expect_identical(sizes * 2, unclass(sizes) * 2)
  expect_identical(-sizes, -unclass(sizes))
  expect_identical(sizes < 0, unclass(sizes) < 0)
  expect_s3_class(sizes["y"], "lsize")
  expect_identical(unclass(sort(sizes)), sort(unclass(sizes)))
  expect_output(print(sizes), "x +[0-9.]+ [KM]?B  cached")
  expect_output(print(lsize(new.env())), "no objects")
})

test_that("what has no file yet is as large as it is in memory; missing arguments have a size", {
  e <- a_cache()
  e$x <- as.numeric(1:100)
  mlazy(x, envir = e, save.now = FALSE)
  expect_identical(lsize(e)[["x"]], as.numeric(object.size(e$x)))
  f <- function(..., a, b) lsize(sys.frame(sys.nframe()))
  expect_setequal(names(f()), c("...", "a", "b"))
  expect_true(all(f() > 0))
  expect_error(lsize("no such place"), class = "cowshed_error_argument")
  expect_identical(unclass(lsize(new.env())), stats::setNames(numeric(), character()))
})
