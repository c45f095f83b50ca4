test_that("every attribute of a shared vector can be read, replaced, removed and added", {
  for (label in names(samples())) {
    plain <- samples()[[label]]
    for (name in names(attributes(plain))) {
      x <- share(plain)
      expect_identical(attr(x, name), attr(plain, name))
      y <- x
      tried <- tryCatch({ attr(y, name) <- NULL; TRUE }, error = function(e) FALSE)
      if (tried) {
        p <- plain
        attr(p, name) <- NULL
        expect_true(same(y, p))
      }
      expect_true(same(x, plain))
    }
    x <- share(plain)
    attr(x, "new") <- list(1, "b")
    p <- plain
    attr(p, "new") <- list(1, "b")
    expect_true(same(x, p))
    expect_true(same(elsewhere(x), p))
  }
})

test_that("attributes that are vectors are shared too, but for those R looks into all the time", {
  x <- share(structure(c(1, 2, 3, 4), weights = c(5, 6, 7, 8), dim = c(2L, 2L), dimnames = list(c("a", "b"), NULL), l = list(1:9)))
  expect_true(is.shared(attr(x, "weights")))
  expect_true(is.shared(attr(x, "l")))
  expect_false(is.shared(dim(x)))
  expect_false(is.shared(share(factor(c("a", "b", "c", "d")))  |> levels()))
  expect_false(is.shared(attr(share(ts(1:9)), "tsp")))
  x <- share(structure(c(1, 2, 3), weights = c(5, 6, 7)), sharedAttributes = FALSE)
  expect_true(is.shared(x))
  expect_false(is.shared(attr(x, "weights")))
  local_options(cowshed.sharedAttributes = FALSE)
  expect_false(is.shared(attr(share(structure(c(1, 2, 3), weights = c(5, 6, 7))), "weights")))
})

test_that("changing an attribute of one name leaves the other", {
  x <- share(structure(c(1, 2, 3), weights = c(5, 6, 7)))
  y <- x
  attr(y, "weights")[1] <- 99
  expect_identical(attr(x, "weights"), c(5, 6, 7))
  expect_identical(attr(y, "weights"), c(99, 6, 7))
  names(y) <- c("a", "b", "c")
  expect_null(names(x))
  expect_true(is.shared(x))
  levels(y) <- "l"
  class(y) <- "k"
  dim(x) <- c(1, 3)
  expect_identical(y, structure(c(1, 2, 3), weights = c(99, 6, 7), names = c("a", "b", "c"), levels = "l", class = "k"))
  expect_identical(dim(x), c(1L, 3L))
})

test_that("attributes of a write-through vector are each object's own", {
  x <- share(as.double(1:100), copyOnWrite = FALSE)
  far <- elsewhere(x)
  names(x) <- paste0("n", 1:100)
  expect_null(names(far))
  x[1] <- 50
  expect_identical(far[1], 50)
  dim(far) <- c(10, 10)
  far[1, 2] <- -11
  expect_identical(x[[11]], -11)
})

test_that("the source's attributes are not changed by what is done to the shared vector", {
  plain <- structure(c(1, 2, 3), a = list(1:3), class = "k")
  x <- share(plain)
  attr(x, "a")[[1]][1] <- 99L
  attr(x, "b") <- 1
  class(x) <- NULL
  expect_identical(plain, structure(c(1, 2, 3), a = list(1:3), class = "k"))
})

test_that("functions and environments as attributes keep their identity in this process", {
  e <- new.env()
  f <- function(v) v
  x <- share(structure(c(1, 2, 3), e = e, f = f))
  expect_identical(attr(x, "e"), e)
  expect_identical(attr(x, "f"), f)
  e$z <- 5
  expect_identical(attr(x, "e")$z, 5)
})

test_that("an S4 object that contains numbers stays one, and its slots can be set", {
  plain <- new("Measured", as.double(1:100), unit = "kg")
  x <- share(plain)
  expect_true(is.shared(x))
  expect_true(isVirtualClass("Measured") || is(x, "Measured"))
  expect_true(validObject(x))
  expect_identical(x@unit, "kg")
  y <- x
  y@unit <- "g"
  expect_identical(x@unit, "kg")
  expect_identical(y@unit, "g")
  y@.Data[1] <- 55
  expect_identical(x@.Data[1], 1)
  expect_identical(y@.Data[1], 55)
  expect_identical(x, plain)
  expect_identical(elsewhere(x), plain)
})

test_that("methods are dispatched on the class of a shared vector", {
  local({
    print.leaf <- function(x, ...) cat("a leaf of", length(x), "\n")
    length.leaf <- function(x) 77L
    `[.leaf` <- function(x, i) structure(unclass(x)[i] * 10, class = "leaf")
    registerS3method("print", "leaf", print.leaf)
    registerS3method("length", "leaf", length.leaf)
    registerS3method("[", "leaf", `[.leaf`)
  })
  on.exit({
    table <- get(".__S3MethodsTable__.", envir = baseenv())
    suppressWarnings(rm(list = intersect(c("print.leaf", "length.leaf", "[.leaf"), ls(table)), envir = table))
  })
  plain <- structure(c(1, 2, 3, 4), class = "leaf")
  x <- share(plain)
  expect_true(is.shared(x))
  expect_identical(unclass(x), c(1, 2, 3, 4))
  expect_output(print(x), "a leaf of 77")
  expect_identical(unclass(x[2]), 20)
  expect_identical(length(unclass(x)), 4L)
  expect_identical(unclass(unshare(x)), c(1, 2, 3, 4))
  expect_identical(unclass(elsewhere(x)), c(1, 2, 3, 4))
})
