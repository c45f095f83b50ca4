setClass("Reading", contains = "numeric", slots = c(unit = "character", log = "list"))
setClass("Box", slots = c(b = "numeric", a = "numeric"))

test_that("numeric vectors have SharedObject's properties, of its types, in its order", {
  types <- list(raw = as.raw(1:9), logical = c(TRUE, NA, FALSE), integer = 1:9, double = c(1, 2, 3, 4), complex = 1:5 + 1i)
  numbers <- c(raw = 24L, logical = 10L, integer = 13L, double = 14L, complex = 15L)
  sizes <- c(raw = 1, logical = 4, integer = 4, double = 8, complex = 16)
  for (type in names(types)) {
    x <- share(types[[type]])
    n <- as.numeric(length(x))
    expect_identical(sharedObjectProperties(x), list(
      dataId = data_id(x), length = n, totalSize = n * sizes[[type]], dataType = numbers[[type]], ownData = TRUE, copyOnWrite = TRUE,
      sharedSubset = FALSE, sharedCopy = FALSE
    ))
  }
})

test_that("one property is its value, several are a list, and an unknown one an empty list", {
  x <- share(matrix(1:9, 3))
  expect_identical(sharedObjectProperties(x, length), 9)
  expect_identical(sharedObjectProperties(x, "length"), 9)
  expect_identical(sharedObjectProperties(x, length, copyOnWrite), list(length = 9, copyOnWrite = TRUE))
  expect_identical(sharedObjectProperties(x, "copyOnWrite", length), list(copyOnWrite = TRUE, length = 9))
  expect_identical(sharedObjectProperties(x, c("length", "dataType")), list(length = 9, dataType = 13L))
  expect_identical(sharedObjectProperties(x, zzz), list())
  expect_identical(sharedObjectProperties(x, "zzz", yyy), list())
  expect_identical(sharedObjectProperties(x, length, zzz), list(length = 9))
  # A variable of a property's name does not get in the way.
  length <- "dataType"
  expect_identical(sharedObjectProperties(x, length), 9)
  expect_identical(sharedObjectProperties(x, length, literal = FALSE), 13L)
  wanted <- c("length", "totalSize")
  expect_identical(sharedObjectProperties(x, wanted, literal = FALSE), list(length = 9, totalSize = 36))
  via <- function(...) sharedObjectProperties(x, ...)
  expect_identical(via(totalSize), 36)
  expect_identical(via("totalSize"), 36)
  expect_identical(do.call(sharedObjectProperties, list(x, "totalSize")), 36)
})

test_that("name = value sets, returns the old value invisibly, and works on the object itself", {
  x <- share(as.double(1:5))
  expect_identical(withVisible(sharedObjectProperties(x, sharedSubset = TRUE)), list(value = FALSE, visible = FALSE))
  expect_true(getSharedSubset(x))
  expect_true(is.shared(x[1:4]))
  old <- sharedObjectProperties(x, sharedSubset = FALSE, sharedCopy = TRUE)
  expect_identical(old, list(sharedSubset = TRUE, sharedCopy = FALSE))
  expect_identical(sharedObjectProperties(x, sharedSubset, sharedCopy), list(sharedSubset = FALSE, sharedCopy = TRUE))
  value <- FALSE
  sharedObjectProperties(x, sharedCopy = value)
  expect_false(getSharedCopy(x))
  sharedObjectProperties(x, sharedCopy = !value, literal = FALSE)
  expect_true(getSharedCopy(x))
  do.call(sharedObjectProperties, c(list(x), old))
  expect_identical(sharedObjectProperties(x, sharedSubset, sharedCopy), old)
  id <- sharedObjectProperties(x, dataId)
  expect_true(sharedObjectProperties(x, copyOnWrite = FALSE))
  expect_false(sharedObjectProperties(x, copyOnWrite))
  expect_false(identical(sharedObjectProperties(x, dataId), id))
  y <- x
  y[1] <- 9
  expect_identical(x[1], 9)
})

test_that("what cannot be set, or asked for, is an error, and then nothing was set", {
  x <- share(as.double(1:5))
  expect_snapshot({
    refusal(sharedObjectProperties(x, length, copyOnWrite = FALSE))
    refusal(sharedObjectProperties(x, zzz = 1))
    refusal(sharedObjectProperties(x, length = 99))
    refusal(sharedObjectProperties(x, copyOnWrite = NA))
    refusal(sharedObjectProperties(x, copyOnWrite = NULL))
    refusal(sharedObjectProperties(x, 1))
    refusal(sharedObjectProperties(x, literal = NA))
    refusal(setSharedObjectProperty(x, "sharedCopy", "yes"))
  })
  for (name in c("dataId", "length", "totalSize", "dataType", "ownData", "unitSize", "uniqueChar")) {
    expect_error(setSharedObjectProperty(x, name, 1), "read-only", class = "cowshed_error_argument")
    expect_error(setSharedObjectProperty(5, name, 1), class = "cowshed_error_argument")
  }
  expect_length(x, 5)
  expect_error(sharedObjectProperties(x, sharedCopy = TRUE, sharedSubset = "a"), class = "cowshed_error_argument")
  expect_error(sharedObjectProperties(x, sharedCopy = TRUE, zzz = TRUE), class = "cowshed_error_argument")
  expect_false(getSharedCopy(x))
})

test_that("what is not shared has none, nor has what was changed", {
  for (x in list(NULL, 1:10, "a", mean, sum, quote(a), globalenv())) {
    expect_null(sharedObjectProperties(x))
    expect_null(sharedObjectProperties(x, length))
    expect_null(sharedObjectProperties(x, copyOnWrite = TRUE))
    expect_null(getSharedObjectProperty(x))
    expect_null(setSharedObjectProperty(x, "copyOnWrite", TRUE))
  }
  x <- share(as.double(1:20000))
  x[1] <- 9
  expect_null(sharedObjectProperties(x))
})

# SharedObject dropped what was not shared, and the names moved up.
test_that("a list has a list of properties per element, NULL where not shared, with its names", {
  x <- list(a = share(1:4), b = 5, c = share(c("u", "v", "u")), d = list(e = share(c(1, 2, 3)), NULL), f = NULL)
  expect_identical(sharedObjectProperties(x, length), list(a = 4, b = NULL, c = 3, d = list(e = 3, NULL), f = NULL))
  all <- sharedObjectProperties(x)
  expect_named(all, c("a", "b", "c", "d", "f"))
  expect_identical(all$a, sharedObjectProperties(x$a))
  expect_identical(all$c, sharedObjectProperties(x$c))
  expect_null(all$b)
  expect_identical(sharedObjectProperties(list()), list())
  expect_identical(sharedObjectProperties(unname(x)[1:2], length), list(4, NULL))
  expect_identical(sharedObjectProperties(pairlist(a = x$a, b = 1), length), list(a = 4, b = NULL))
  d <- share(data.frame(k = 1:4, v = letters[1:4]))
  expect_identical(sharedObjectProperties(d, length), list(k = 4, v = 4))
  # Parts of one segment.
  ids <- unlist(sharedObjectProperties(d, dataId))
  expect_match(ids, ":[0-9]+$")
  expect_length(unique(sub(":.*", "", ids)), 1)
  old <- sharedObjectProperties(x["a"], sharedCopy = TRUE)
  expect_identical(old, list(a = FALSE))
  expect_true(getSharedCopy(x$a))
  setSharedObjectProperty(x, c("sharedCopy", "sharedSubset"), c(FALSE, TRUE))
  expect_identical(sharedObjectProperties(x$d$e, sharedCopy, sharedSubset), list(sharedCopy = FALSE, sharedSubset = TRUE))
})

test_that("an S4 object has them by slot, in the order of slotNames()", {
  x <- share(new("Reading", c(1, 2, 3), unit = letters, log = list(1:5, "a")))
  found <- sharedObjectProperties(x, length)
  expect_identical(found, list(.Data = 3, unit = 26, log = list(5, NULL)))
  expect_named(sharedObjectProperties(x), methods::slotNames(x))
  box <- new("Box", a = share(c(1, 2, 3)), b = 4)
  expect_identical(sharedObjectProperties(box, length), list(b = NULL, a = 3))
  sharedObjectProperties(box, sharedSubset = TRUE)
  expect_true(getSharedSubset(box@a))
})

test_that("objects with classes of lists are looked into as lists", {
  p <- structure(list(x = share(1:9)), class = "person")
  length.person <- function(x) 99L
  registerS3method("length", "person", length.person)
  expect_identical(sharedObjectProperties(p, length), list(x = 9))
  expect_identical(is.shared(p, depth = 1), list(x = TRUE))
  lt <- as.POSIXlt("2024-01-01", tz = "UTC")
  expect_type(sharedObjectProperties(lt), "list")
})

test_that("ownData is TRUE in the process that made it only", {
  skip_without_processes()
  with_new_store({
    x <- share(as.double(1:100))
    dir <- put_in(scratch(), x, "x")
    got <- run_r({
      x <- take("x")
      y <- cowshed::share(c(1, 2, 3))
      answer(c(cowshed::sharedObjectProperties(x, ownData), cowshed::sharedObjectProperties(y, ownData)))
    }, dir = dir)
    expect_identical(got$answer, c(FALSE, TRUE))
    expect_true(sharedObjectProperties(x, ownData))
    expect_true(sharedObjectProperties(elsewhere(x), ownData))
  })
})

test_that("R's wrapper around a shared vector hides nothing", {
  x <- share(as.double(1:20000))
  id <- data_id(x)
  names(x) <- seq_along(x)
  expect_identical(sharedObjectProperties(x, dataId, length), list(dataId = id, length = 20000))
  sharedObjectProperties(x, sharedCopy = TRUE)
  expect_true(getSharedCopy(x))
})

test_that("the old spellings do the same", {
  x <- share(1:9)
  expect_identical(getSharedObjectProperty(x), sharedObjectProperties(x))
  expect_identical(getSharedObjectProperty(x, NULL), sharedObjectProperties(x))
  expect_identical(getSharedObjectProperty(x, "length"), 9)
  expect_identical(getSharedObjectProperty(x, c("length", "sharedCopy")), list(length = 9, sharedCopy = FALSE))
  expect_identical(withVisible(setSharedObjectProperty(x, "sharedCopy", TRUE)), list(value = FALSE, visible = FALSE))
  expect_true(getSharedObjectProperty(x, "sharedCopy"))
  expect_error(setSharedObjectProperty(x, "zzz", 1), "The property 'zzz' is not found")
  expect_identical(getSharedObjectProperty(x, "zzz"), list())
})

test_that("is.shared() looks as deep as it is told", {
  x <- share(list(a = 1:3, b = as.symbol("x"), c = list(d = letters, e = 1)))
  expect_true(is.shared(x))
  expect_identical(is.shared(x, depth = 1), list(a = TRUE, b = FALSE, c = TRUE))
  expect_identical(is.shared(x, depth = 2), list(a = TRUE, b = FALSE, c = list(d = TRUE, e = FALSE)))
  expect_identical(is.shared(x, depth = 9), is.shared(x, depth = 2))
  expect_identical(is.shared(x$a, depth = 5), TRUE)
  for (nothing in list(list(), NULL, mean, sum, quote(a), new.env(), character())) {
    expect_false(is.shared(nothing))
    expect_identical(is.shared(nothing, depth = 1), FALSE)
  }
  expect_identical(is.shared(list(list()), depth = 2), list(FALSE))
  expect_snapshot({
    refusal(is.shared(x, depth = -1))
    refusal(is.shared(x, depth = NULL))
    refusal(is.shared(x, showAttributes = NA))
    refusal(is.shared(x, recursive = TRUE))
  })
})

test_that("is.shared() of an S4 object goes by slot, .Data included, and anything in it counts", {
  x <- share(new("Reading", c(1, 2, 3), unit = letters, log = list(1:5, "a")))
  expect_true(is.shared(x))
  expect_identical(is.shared(x, depth = 1), list(.Data = TRUE, unit = TRUE, log = TRUE))
  expect_identical(is.shared(x, depth = 2), list(.Data = TRUE, unit = TRUE, log = list(TRUE, FALSE)))
  x[1] <- 9
  expect_identical(is.shared(x, depth = 1)$.Data, FALSE)
  box <- new("Box", a = share(c(1, 2, 3)), b = 4)
  expect_true(is.shared(box))
  expect_identical(is.shared(box, depth = 1), list(b = FALSE, a = TRUE))
  expect_false(is.shared(new("Box", a = 1, b = 4)))
})

test_that("showAttributes tells of attributes beside the answer", {
  x <- share(structure(c(1, 2, 3), weights = c(4, 5, 6), note = "n", names = c("a", "b", "c"), l = list(1:9, 2)))
  expect_identical(is.shared(x, showAttributes = TRUE),
    structure(TRUE, weightsShared = TRUE, noteShared = FALSE, namesShared = FALSE, lShared = TRUE))
  expect_identical(attr(is.shared(x, depth = 2, showAttributes = TRUE), "lShared"), list(TRUE, FALSE))
  expect_identical(is.shared(share(1:3), showAttributes = TRUE), TRUE)
  l <- is.shared(share(list(a = 1:3)), depth = 1, showAttributes = TRUE)
  expect_identical(l, structure(list(a = TRUE), namesShared = FALSE))
})

test_that("is.altrep() tells of every ALTREP", {
  expect_true(is.altrep(share(c(1, 2, 3))))
  expect_true(is.altrep(1:10))
  expect_false(is.altrep(c(1, 2, 3)))
  expect_false(is.altrep(NULL))
  # From R 4.3 on shared lists are, too.
  expect_identical(is.altrep(share(list(1:3))), getRversion() >= "4.3")
})
