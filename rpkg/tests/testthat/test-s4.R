# S4 objects are shared by their slots.

setClass("Series", slots = c(values = "numeric", labels = "character", more = "ANY", none = "NULL", names = "character"))
setClass("Held", contains = "list", slots = c(note = "numeric"))
setClass("Keeper", slots = c(env = "environment", f = "function"))
Account <- setRefClass("Account", fields = list(balance = "numeric", any = "ANY"), methods = list(
  total = function() sum(balance),
  deposit = function(x) balance[1] <<- balance[1] + x
), where = globalenv())

series <- function() {
  new("Series", values = as.double(1:1000), labels = letters, more = list(1:10, NULL, new("Series", values = c(1, 2, 3))), names = c("p", "q", "r"))
}

test_that("an S4 object is shared by its slots and stays the same", {
  plain <- series()
  x <- share(plain)
  expect_identical(x, plain)
  expect_true(validObject(x))
  expect_identical(
    is.shared(x, depth = 1), list(values = TRUE, labels = TRUE, more = TRUE, none = FALSE, names = TRUE)
  )
  expect_true(is.shared(x@more[[3]]@values))
  expect_identical(share(plain, mustWork = TRUE), plain)
  expect_false(is.shared(plain))
})

test_that("setting a slot changes nobody else's", {
  plain <- series()
  x <- share(plain)
  y <- x
  y@values[1] <- 0
  y@labels <- "z"
  expect_identical(x, plain)
  expect_true(is.shared(x@values))
  expect_false(is.shared(y@values))
})

test_that("sharing an S4 object again gives it back, and unshare() a plain one", {
  local_store()
  x <- share(series())
  y <- share(x)
  expect_identical(data_id(y@values), data_id(x@values))
  expect_identical(nrow(listSharedObjects()), 1L)
  plain <- unshare(x)
  expect_identical(plain, series())
  expect_false(is.shared(plain))
  expect_true(is.shared(x))
})

test_that("an S4 object that is a list or numbers keeps .Data and slots", {
  plain <- new("Held", list(1:10, letters), note = c(1, 2, 3))
  x <- share(plain)
  expect_identical(x, plain)
  expect_true(is.shared(x[[1]]))
  expect_true(is.shared(x@note))
  expect_identical(x@.Data, plain@.Data)
  expect_identical(unshare(x), plain)
  expect_false(is.shared(unshare(x)))
  numbers <- new("Measured", as.double(1:10), unit = c("a", "b", "c"))
  y <- share(numbers)
  expect_identical(y, numbers)
  expect_true(is.shared(y) && is.shared(y@unit))
})

test_that("slots may hold environments and functions", {
  e <- environment_of(v = 1:10)
  f <- apart({w <- as.double(1:20); function() w})
  x <- new("Keeper", env = e, f = f)
  expect_identical(share(x), x)
  expect_itself(share(x)@env, e)
  expect_true(is.shared(e$v) && is.shared(environment(f)$w) && is.shared(x))
  expect_error(share(new("Keeper", env = emptyenv(), f = f), mustWork = TRUE), class = "cowshed_error_unshareable")
  unshare(x)
  expect_false(is.shared(e) || is.shared(f))
})

test_that("minLength and sharedAttributes: slots are parts, not attributes", {
  x <- share(series(), sharedAttributes = FALSE, minLength = 100)
  expect_true(is.shared(x@values))
  expect_false(is.shared(x@labels))
})

test_that("a reference object is shared in place, and its methods work on it", {
  x <- Account$new(balance = as.double(1:1e4), any = letters)
  total <- x$total()
  y <- share(x, mustWork = TRUE)
  expect_true(is.shared(x$balance) && is.shared(x$any))
  expect_identical(x$total(), total)
  y$deposit(10)
  expect_identical(x$balance[1], 11)
  expect_false(is.shared(x$balance))
  share(x)
  expect_identical(elsewhere(x)$total(), total + 10)
  expect_lt(size_of(x), size_of(Account$new(balance = 1, any = "")) + 60000)
  unshare(x)
  expect_false(is.shared(x))
  expect_identical(x$total(), total + 10)
})

test_that("definitions of classes and generic functions are left alone", {
  for (x in list(getClass("Series"), getClass("Account"), Account$def, methods::show, getGeneric("share"))) {
    expect_identical(share(x), x)
    expect_false(is.shared(x))
    expect_error(share(x, mustWork = TRUE), class = "cowshed_error_unshareable")
  }
  x <- Account$new(balance = c(1, 2, 3))
  share(x)
  expect_false(is.shared(Account$def))
  expect_false(is.shared(attr(x, ".xData")$.refClassDef))
})

test_that("sparse matrices compute as before, here and elsewhere", {
  skip_if_not_installed("Matrix")
  loadNamespace("Matrix")
  set.seed(2)
  dense <- matrix(ifelse(runif(2500) < 0.2, round(rnorm(2500), 2), 0), 50, dimnames = list(NULL, paste0("c", 1:50)))
  plain <- list(c = as(dense, "CsparseMatrix"), t = as(as(dense, "CsparseMatrix"), "TsparseMatrix"))
  shared <- share(plain)
  expect_identical(shared, plain)
  for (type in names(plain)) {
    a <- plain[[type]]
    b <- shared[[type]]
    expect_true(is.shared(b@x) && is.shared(b@i))
    for (f in list(
      function(m) t(m), function(m) m %*% m, function(m) crossprod(m), function(m) m + m, function(m) m * 2, function(m) m > 0,
      function(m) m[3:9, "c5"], function(m) colSums(m), function(m) rowMeans(m), function(m) diag(m), function(m) as.matrix(m),
      function(m) summary(m), function(m) solve(m + Diagonal(50)), function(m) {m[1, 1] <- 5; m}, function(m) m %*% (1:50)
    )) {
      # As if Matrix were attached, which would change what `head()` is to other tests.
      environment(f) <- asNamespace("Matrix")
      expect_equal(f(b), f(a))
    }
    expect_identical(b, a)
  }
  skip_without_processes()
  with_new_store({
    m <- share(unshare(shared$c))
    got <- run_r({
      m <- take("m")
      library(Matrix)
      answer(list(as.matrix(Matrix::crossprod(m)), cowshed::is.shared(m)))
    }, dir = put_in(scratch(), m, "m"))
    expect_ended_well(got)
    expect_equal(got$answer, list(as.matrix(Matrix::crossprod(plain$c)), TRUE))
  })
})

test_that("properties and flags go by slot, through environments", {
  e <- environment_of(v = 1:10)
  e$itself <- new("Keeper", env = e, f = mean)
  x <- share(new("Keeper", env = e, f = mean))
  expect_identical(
    sharedObjectProperties(x, length), list(env = list(itself = list(env = NULL, f = NULL), v = 10), f = NULL)
  )
  sharedObjectProperties(x, sharedSubset = TRUE)
  expect_true(getSharedSubset(e$v))
})

test_that("a SummarizedExperiment is shared, assays, annotations and all, and works where it arrives", {
  skip_if_not_installed("SummarizedExperiment")
  with_new_store({
    made <- run_r({
      suppressPackageStartupMessages({
        library(cowshed)
        library(SummarizedExperiment)
      })
      counts <- matrix(as.integer(seq_len(20000) %% 17), 2000, dimnames = list(paste0("g", 1:2000), paste0("s", 1:10)))
      se <- SummarizedExperiment(
        list(counts = counts, logged = log1p(counts)), colData = DataFrame(group = rep(c("a", "b"), 5)),
        rowRanges = GenomicRanges::GRanges("chr1", IRanges::IRanges(1:2000, width = 100))
      )
      s <- share(se)
      put(s, "s")
      stopifnot(identical(s, se), validObject(s))
      answer(c(size_of(s), size_of(se)))
    }, dir = dir <- scratch())
    expect_ended_well(made)
    expect_lt(made$answer[1], made$answer[2] / 20)
    got <- run_r({
      s <- take("s")
      suppressPackageStartupMessages(library(SummarizedExperiment))
      part <- s[11:20, s$group == "a"]
      hit <- subsetByOverlaps(s, GenomicRanges::GRanges("chr1", IRanges::IRanges(50, 60)))
      shared <- c(cowshed::is.shared(assay(s)), cowshed::is.shared(assay(s, "logged")))
      s$n <- 1:10
      assay(s)[1, 1] <- 99L
      answer(list(shared = shared, dim = dim(part), sum = sum(assay(part)), hit = dim(hit), own = assay(s)[1, 1], valid = validObject(s)))
    }, dir = dir)
    expect_ended_well(got)
    counts <- matrix(seq_len(20000) %% 17, 2000)
    expect_identical(got$answer, list(shared = c(TRUE, TRUE), dim = c(10L, 5L), sum = as.integer(sum(counts[11:20, c(1, 3, 5, 7, 9)])), hit = c(60L, 10L), own = 99L, valid = TRUE))
  })
})

test_that("an S4 vector in a list is one when the list is opened elsewhere", {
  # R sets the bit of a duplicate where an object may not be changed in place: it was lost.
  measured <- new("Measured", c(1, 2, 3.5), unit = "kg")
  for (x in list(elsewhere(share(list(a = measured, b = 1:3)))$a, cowshed:::open_segment(share(measured)))) {
    expect_true(isS4(x))
    expect_true(same(x, measured))
  }
})
