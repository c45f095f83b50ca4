# R collects at allocations: what the library has not protected is gone, and a finalizer may run anywhere.

# The whole surface, on vectors small enough to be quick.
exercise <- function(store) {
  old <- options(cowshed.store = store)
  on.exit(options(old))
  plain <- c(1.5, NA, 3, 4, 5, 6)
  x <- share(plain)
  y <- x
  y[2] <- 2
  d <- share(structure(1:6, dim = 2:3, dimnames = list(c("a", "b"), NULL), a = list(4:6, "s")))
  l <- share(list(a = plain, b = 6:1, c = "text", d = list(plain)))
  f <- share(factor(c("u", "v", "u")))
  live <- share(plain, copyOnWrite = FALSE)
  far <- unserialize(serialize(live, NULL))
  live[1] <- 10
  far[[2]] <- 20
  drafted <- share(plain, sharedCopy = TRUE)
  drafted[3] <- 33
  part <- share(plain, sharedSubset = TRUE)[2:5]
  setSharedSubset(x, TRUE)
  setCopyOnWrite(x, FALSE)
  setCopyOnWrite(x, TRUE)
  wrapped <- share(as.double(1:9000))
  dim(wrapped) <- c(90, 100)
  setSharedCopy(wrapped, TRUE)
  refused <- tryCatch(share(1:3, copyOnWrite = NA), cowshed_error_argument = function(e) conditionMessage(e))
  unshareable <- tryCatch(share(list(plain, quote(a)), mustWork = TRUE), cowshed_error = function(e) class(e)[1])
  e <- list2env(list(v = plain, l = list(1:5, plain), m = quote(a + b)), envir = new.env(parent = emptyenv()))
  e$itself <- e
  e$f <- as.function(list(quote(v)), envir = e)
  e$p <- pairlist(a = plain, b = list(plain))
  e$o <- structure(list(e), env = e, data = plain)
  delayedAssign("forced", c(plain, 1), assign.env = e)
  e$forced
  lockBinding("v", e)
  share(list(e, e$f))
  among <- elsewhere_and_back(e)
  e$new <- plain * 2
  share(e)
  in_place <- list(e$v, e$l, e$p, e$forced, e$new, is.shared(e$new), attr(e$o, "data"), e$f(), identical(e$itself, e), is.shared(e, depth = 1))
  unshare(e)
  in_place <- c(in_place, among, list(e$v, e$l, e$p, is.shared(e)))
  fit <- share(lm(dist ~ speed, cars))
  fitted <- list(coef(fit), is.shared(fit), fit$call)
  lost <- unserialize(serialize(d, NULL))
  list(
    x, y, d, l, f, live, far, drafted, part, unserialize(serialize(drafted, NULL)), unserialize(serialize(y, NULL)),
    x[c(1, NA, 9)], d[2, ], in_place, fitted, unshare(l), unshare(wrapped)[90, 2], is.shared(l), getSharedCopy(wrapped), wrapped[[9, 9]],
    as.double(f), d + x, cumsum(x), sort(part), lost, refused, unshareable, share(x, sharedCopy = TRUE)
  )
}

elsewhere_and_back <- function(e) {
  far <- unserialize(serialize(e, NULL))
  list(far$v, far$p, far$f(), identical(far$itself, far), is.shared(far))
}

# In a process of its own, whose heap is small, so that collecting is quick; and which may crash.
tortured <- function(...) {
  script <- tempfile(fileext = ".R")
  dump(c("exercise", "elsewhere_and_back"), script, envir = environment(tortured))
  writeLines(c(
    paste0(".libPaths(", paste(deparse(.libPaths()), collapse = ""), ")"), "library(cowshed)", readLines(script),
    "store <- commandArgs(TRUE)", "expected <- exercise(store)", "stopifnot(identical(exercise(store), expected))", ...,
    "cat('all is well')"
  ), script)
  output <- suppressWarnings(system2(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", script, local_store()), stdout = TRUE, stderr = TRUE, timeout = 120
  ))
  paste(output, collapse = "\n")
}

test_that("nothing is lost when R collects at every allocation", {
  expect_identical(tortured(
    "gctorture(TRUE)",
    "result <- exercise(store)",
    "gctorture(FALSE)",
    "stopifnot(identical(result, expected))"
  ), "all is well")
})

test_that("nothing is lost when R collects now and then, at ever different places", {
  expect_identical(tortured(
    "for (step in c(7, 23, 53)) {",
    "  gctorture2(step)",
    "  result <- list(exercise(store), exercise(store))",
    "  gctorture2(0)",
    "  stopifnot(identical(result, list(expected, expected)))",
    "}"
  ), "all is well")
})

test_that("nothing is lost while memory that was let go of is not used again", {
  expect_identical(tortured(
    "invisible(gctorture2(17, inhibit_release = TRUE))",
    "result <- exercise(store)",
    "invisible(gctorture2(0))",
    "stopifnot(identical(result, expected))"
  ), "all is well")
})

descriptors <- function() length(list.files("/proc/self/fd"))
mappings <- function() length(readLines("/proc/self/maps"))
# In MB, by R's count.
used <- function() sum(gc()[, 2])

test_that("errors from below leak neither memory nor descriptors, mappings nor segments", {
  skip_if_not(dir.exists("/proc/self/fd"))
  store <- local_store()
  x <- share(as.double(1:20000))
  fail <- function(n) {
    for (i in seq_len(n)) {
      tryCatch(share(x, copyOnWrite = NA), error = identity)
      tryCatch(setCopyOnWrite(x, c(TRUE, FALSE)), error = identity)
      tryCatch(share(1:3, minLength = -1), error = identity)
      tryCatch(share(1:3, unknown = 1), error = identity)
      tryCatch(x[[30000]], error = identity)
    }
    for (i in seq_len(n / 10)) {
      tryCatch(share(list(1:300, quote(a)), mustWork = TRUE), error = identity)
      tryCatch(share(1:300, store = "/nonexistent/store"), error = identity)
    }
  }
  fail(200)
  before <- c(used(), descriptors(), mappings(), nrow(listSharedObjects()))
  fail(2000)
  after <- c(used(), descriptors(), mappings(), nrow(listSharedObjects()))
  expect_lt(after[1] - before[1], 2)
  expect_lte(after[2], before[2])
  # The allocator may have taken an arena or two.
  expect_lt(after[3] - before[3], 10)
  expect_identical(after[4], 1)
  expect_identical(x, as.double(1:20000))
})

test_that("sharing, writing, sending and dropping for long leaves nothing", {
  skip_if_not(dir.exists("/proc/self/fd"))
  local_store()
  round <- function(n) {
    for (i in seq_len(n)) {
      x <- share(as.double(1:20000), sharedSubset = TRUE)
      y <- x
      y[1] <- 0
      cumsum(x)
      part <- x[1:15000]
      far <- elsewhere(x)
      live <- share(x, copyOnWrite = FALSE)
      live[1] <- 5
      drafted <- share(x, sharedCopy = TRUE)
      drafted[2] <- 3
      small <- share(list(1:3, 4:6))
      unshare(small)
    }
  }
  count <- function() {
    gc()
    pruneSharedObjects()
    c(used(), descriptors(), mappings(), nrow(listSharedObjects()))
  }
  round(50)
  before <- count()
  round(150)
  after <- count()
  expect_lt(after[1] - before[1], 2)
  expect_lte(after[2], before[2])
  expect_lt(after[3] - before[3], 10)
  expect_identical(after[4], 0)
})
