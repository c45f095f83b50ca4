modes <- list(raw = raw(), logical = logical(), integer = integer(), numeric = numeric(), complex = complex())

test_that("it is a shared vector of zeros of each mode, whatever its length", {
  for (mode in names(modes)) for (n in c(0, 1, 2, 3, 10, 5000, 100000)) for (cow in c(TRUE, FALSE)) {
    x <- SharedObject(mode, n, copyOnWrite = cow)
    plain <- vector(mode, n)
    expect_true(is.shared(x))
    expect_identical(x, plain)
    expect_identical(getCopyOnWrite(x), cow)
    far <- elsewhere(x)
    expect_true(is.shared(far))
    expect_identical(far, plain)
    expect_identical(sharedObjectProperties(far, dataId), sharedObjectProperties(x, dataId))
    expect_identical(unshare(x), plain)
  }
  expect_identical(SharedObject(length = 2), raw(2))
})

test_that("filled in place it stays shared, and is sealed when it is first sent", {
  for (mode in names(modes)) {
    one <- if (mode == "raw") as.raw(1) else as.vector(1, mode)
    x <- SharedObject(mode, 20000)
    id <- sharedObjectProperties(x, dataId)
    x[7] <- one
    x[[9]] <- one
    for (i in 100:120) x[i] <- one
    x[20000] <- one
    expect_true(is.shared(x))
    expect_identical(sharedObjectProperties(x, dataId), id)
    expect_identical(private_bytes(x), 0)
    expected <- vector(mode, 20000)
    expected[c(7, 9, 100:120, 20000)] <- one
    expect_identical(x, expected)
    far <- elsewhere(x)
    expect_identical(sharedObjectProperties(far, dataId), id)
    expect_identical(far, expected)
    # From here on a change is private.
    x[1] <- one
    expect_false(is.shared(x))
    expect_identical(far, expected)
    expect_identical(x[1:2], c(one, vector(mode, 1)))
  }
})

# Whoever keeps a reference to it makes R duplicate it before the next assignment.
test_that("looking at it does not end the filling", {
  x <- SharedObject("numeric", 20000)
  for (look in expression(
    is.shared(x), is.shared(x, depth = 1), is.shared(x, showAttributes = TRUE), sharedObjectProperties(x), sharedObjectProperties(x, length),
    sharedObjectProperties(x, "dataId"), sharedObjectProperties(x, sharedSubset = TRUE), getSharedObjectProperty(x, "length"),
    setSharedObjectProperty(x, "sharedSubset", FALSE), getCopyOnWrite(x), setSharedCopy(x, FALSE), is.altrep(x), data_id(x), sum(x), mean(x),
    length(x), x[5], head(x), unshare(x)
  )) {
    eval(look)
    x[3] <- x[3] + 1
    expect_true(is.shared(x), deparse(look))
  }
  expect_identical(x[3], 19)
})

test_that("a copy of a draft is a plain vector, or, with sharedCopy, another draft", {
  x <- SharedObject("numeric", 20000)
  y <- x
  y[1] <- 5
  expect_false(is.shared(y))
  expect_identical(c(x[1], y[1]), c(0, 5))
  expect_true(is.shared(x))
  x <- SharedObject("numeric", 20000, sharedCopy = TRUE)
  y <- x
  y[1] <- 5
  expect_true(is.shared(y))
  expect_false(identical(sharedObjectProperties(y, dataId), sharedObjectProperties(x, dataId)))
  expect_identical(c(elsewhere(x)[1], elsewhere(y)[1]), c(0, 5))
})

test_that("copyOnWrite = FALSE writes through, from other processes too", {
  skip_without_processes()
  with_new_store({
    x <- SharedObject("integer", 10, copyOnWrite = FALSE)
    dir <- put_in(scratch(), x, "x")
    x[1] <- 1L
    ended <- run_r({
      x <- take("x")
      seen <- x[1]
      x[10] <- 99L
      answer(list(seen, cowshed::sharedObjectProperties(x, copyOnWrite, ownData)))
    }, dir = dir)
    expect_ended_well(ended)
    expect_identical(ended$answer, list(1L, list(copyOnWrite = FALSE, ownData = FALSE)))
    expect_identical(x, c(1L, rep(0L, 8), 99L))
  })
})

test_that("attributes are given, in whatever order, and one that does not fit is R's error", {
  x <- SharedObject("numeric", 6, attrib = list(dimnames = list(c("a", "b"), NULL), class = "grid", dim = 2:3, note = "n"))
  expect_identical(attributes(x)[c("dim", "dimnames", "class", "note")], list(dim = 2:3, dimnames = list(c("a", "b"), NULL), class = "grid", note = "n"))
  expect_true(is.object(x))
  expect_identical(elsewhere(x), x)
  x <- SharedObject("integer", 3, list(names = c("a", "b", "c")))
  x[2] <- 5L
  expect_true(is.shared(x))
  expect_identical(x, c(a = 0L, b = 5L, c = 0L))
  # By name, R assigns to a copy, of a plain vector too.
  x["b"] <- 6L
  expect_false(is.shared(x))
  expect_identical(x, c(a = 0L, b = 6L, c = 0L))
  f <- SharedObject("integer", 3, list(levels = "u", class = "factor"), copyOnWrite = FALSE)
  f[2] <- "u"
  expect_identical(as.integer(f), c(0L, 1L, 0L))
  local_store()
  expect_error(SharedObject("raw", 6, list(dim = c(4, 4)), copyOnWrite = FALSE))
  expect_error(SharedObject("raw", 6, list(names = 1:9)))
  gc()
  pruneSharedObjects()
  expect_identical(nrow(listSharedObjects()), 0L)
  expect_identical(SharedObject("raw", 3, NULL), raw(3))
})

test_that("arguments are checked", {
  expect_error(SharedObject("character", 5), "should be one of")
  expect_error(SharedObject("list", 5), "should be one of")
  expect_error(SharedObject("raw"))
  expect_snapshot({
    refusal(SharedObject("raw", -1))
    refusal(SharedObject("raw", NA))
    refusal(SharedObject("raw", NULL))
    refusal(SharedObject("raw", 2.5))
    refusal(SharedObject("raw", 1:2))
    refusal(SharedObject("raw", 5, list(1)))
    refusal(SharedObject("raw", 5, 1))
    refusal(SharedObject("raw", 5, copyOnWrite = NA))
    refusal(SharedObject("raw", 5, copyonwrite = TRUE))
  })
  expect_error(SharedObject("complex", 1e14), class = "cowshed_error_full")
  expect_error(SharedObject("raw", 5, store = "/nonexistent/for/sure"), class = "cowshed_error_store")
})

test_that("flags and the store are taken from arguments and options", {
  x <- SharedObject("raw", 5, sharedSubset = TRUE, sharedCopy = TRUE)
  expect_identical(sharedObjectProperties(x, copyOnWrite, sharedSubset, sharedCopy), list(copyOnWrite = TRUE, sharedSubset = TRUE, sharedCopy = TRUE))
  local_options(cowshed.copyOnWrite = FALSE, cowshed.minLength = 100)
  expect_false(getCopyOnWrite(SharedObject("raw", 5)))
  expect_true(is.shared(SharedObject("raw", 0)))
  base <- local_store()
  x <- SharedObject("raw", 5)
  expect_identical(sharedObjectProperties(x, dataId), listSharedObjects()$Id)
})

test_that("it goes when nobody has it any more, sent or not", {
  local_store()
  for (cow in c(TRUE, FALSE)) {
    x <- SharedObject("numeric", 1000, copyOnWrite = cow)
    y <- SharedObject("numeric", 1000, copyOnWrite = cow)
    local_options(cowshed.grace = 0)
    elsewhere(y)
    rm(x, y)
    gc()
    pruneSharedObjects()
    expect_identical(nrow(listSharedObjects()), 0L)
  }
})

test_that("nothing of it, of properties and options is lost when R collects at every allocation", {
  exercise <- function(store) {
    options(cowshed.store = store)
    x <- SharedObject("numeric", 50, list(dim = c(5, 10), dimnames = list(letters[1:5], NULL), note = list(1:3, "a")))
    x[2, 3] <- 7
    far <- unserialize(serialize(x, NULL))
    w <- SharedObject("integer", 5, list(names = letters[1:5]), copyOnWrite = FALSE)
    w["c"] <- 3L
    empty <- SharedObject("complex", 0)
    l <- list(a = x, b = share(c("u", "v", "u", NA)), c = list(w, NULL))
    old <- sharedObjectPkgOptions(minLength = 2, sharedSubset = TRUE)
    old2 <- do.call(sharedObjectPkgOptions, old)
    refused <- vapply(expression(
      sharedObjectProperties(x, length = 2), sharedObjectProperties(x, zzz = 2), sharedObjectPkgOptions(mustWork = 5), SharedObject("raw", 3, list(1)),
      SharedObject("raw", 3, list(dim = 7)), is.shared(x, depth = "a")
    ), function(e) tryCatch(eval(e), error = conditionMessage), "")
    no_ids <- function(p) if (is.list(p)) lapply(p[setdiff(names(p), "dataId")], no_ids) else p
    list(
      unshare(x), far, unshare(w), empty, no_ids(sharedObjectProperties(x)), sharedObjectProperties(l, length), sharedObjectProperties(l$b),
      sharedObjectProperties(l, sharedCopy = TRUE), is.shared(l, depth = 3), is.shared(x, showAttributes = TRUE), getSharedObjectOptions(), old, old2,
      refused, nchar(sharedObjectProperties(w, dataId)), is.altrep(x)
    )
  }
  script <- tempfile(fileext = ".R")
  dump("exercise", script, envir = environment())
  writeLines(c(
    paste0(".libPaths(", paste(deparse(.libPaths()), collapse = ""), ")"), "library(cowshed)", readLines(script),
    "store <- commandArgs(TRUE)", "expected <- exercise(store)", "for (step in c(1, 7, 23)) {", "  gctorture2(step)",
    "  result <- exercise(store)", "  gctorture2(0)", "  stopifnot(identical(result, expected))", "}", "cat('all is well')"
  ), script)
  output <- suppressWarnings(system2(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", script, local_store()), stdout = TRUE, stderr = TRUE, timeout = 120
  ))
  expect_identical(paste(output, collapse = "\n"), "all is well")
})
