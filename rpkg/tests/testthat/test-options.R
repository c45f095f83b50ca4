defaults <- list(
  mustWork = FALSE, sharedAttributes = TRUE, copyOnWrite = TRUE, sharedSubset = FALSE, sharedCopy = FALSE, minLength = 3L
)
# None is set, until the calling test is over.
unset <- function(.frame = parent.frame()) {
  none <- stats::setNames(rep(list(NULL), 6), paste0("cowshed.", names(defaults)))
  do.call(local_options, c(none, list(.frame = .frame)))
}

test_that("options are read by name, all or some", {
  unset()
  expect_identical(sharedObjectPkgOptions(), defaults)
  expect_identical(sharedObjectPkgOptions(minLength), 3L)
  expect_identical(sharedObjectPkgOptions("mustWork"), FALSE)
  expect_identical(sharedObjectPkgOptions(mustWork, "minLength"), list(mustWork = FALSE, minLength = 3L))
  expect_null(sharedObjectPkgOptions(zzz))
  wanted <- c("copyOnWrite", "sharedCopy")
  expect_identical(sharedObjectPkgOptions(wanted, literal = FALSE), defaults[wanted])
  mustWork <- "minLength"
  expect_identical(sharedObjectPkgOptions(mustWork), FALSE)
  expect_identical(sharedObjectPkgOptions(mustWork, literal = FALSE), 3L)
})

test_that("setting one gives the old value with its name, setting several a list, both invisible", {
  unset()
  expect_identical(withVisible(sharedObjectPkgOptions(mustWork = TRUE)), list(value = c(mustWork = FALSE), visible = FALSE))
  expect_identical(withVisible(sharedObjectPkgOptions(mustWork = FALSE, minLength = 5)),
    list(value = list(mustWork = TRUE, minLength = 3L), visible = FALSE))
  old <- sharedObjectPkgOptions(minLength = 4, sharedCopy = TRUE, sharedSubset = TRUE)
  expect_identical(old, list(minLength = 5, sharedCopy = FALSE, sharedSubset = FALSE))
  do.call(sharedObjectPkgOptions, old)
  expect_identical(sharedObjectPkgOptions(minLength, sharedCopy, sharedSubset), old)
  sharedObjectPkgOptions(minLength = NULL)
  expect_identical(sharedObjectPkgOptions(), defaults)
})

test_that("they are R's options, both ways, and share() obeys them", {
  unset()
  sharedObjectPkgOptions(copyOnWrite = FALSE, sharedSubset = TRUE, sharedCopy = TRUE)
  expect_identical(options("cowshed.copyOnWrite", "cowshed.sharedSubset"), list(cowshed.copyOnWrite = FALSE, cowshed.sharedSubset = TRUE))
  x <- share(1:9)
  expect_identical(sharedObjectProperties(x, copyOnWrite, sharedSubset, sharedCopy),
    list(copyOnWrite = FALSE, sharedSubset = TRUE, sharedCopy = TRUE))
  expect_true(getCopyOnWrite(share(1:9, copyOnWrite = TRUE)))
  options(cowshed.copyOnWrite = TRUE, cowshed.minLength = 10L)
  expect_identical(sharedObjectPkgOptions(copyOnWrite, minLength), list(copyOnWrite = TRUE, minLength = 10L))
  expect_false(is.shared(share(1:9)))
  expect_true(is.shared(share(1:9, minLength = 2)))
  sharedObjectPkgOptions(mustWork = TRUE, minLength = 0)
  expect_error(share(quote(a)), class = "cowshed_error_unshareable")
  expect_true(is.shared(share(integer())))
  sharedObjectPkgOptions(mustWork = FALSE, sharedAttributes = FALSE)
  expect_false(is.shared(attr(share(structure(1:3, a = 4:6)), "a")))
})

test_that("what cannot be is an error or a warning, and then nothing was set", {
  unset()
  expect_snapshot({
    refusal(sharedObjectPkgOptions(mustWork, copyOnWrite = FALSE))
    refusal(sharedObjectPkgOptions(copyOnWrite = NA))
    refusal(sharedObjectPkgOptions(minLength = -1))
    refusal(sharedObjectPkgOptions(sharedCopy = TRUE, minLength = "a"))
    refusal(sharedObjectPkgOptions(5))
    refusal(setSharedObjectOptions("mustWork"))
  })
  expect_warning(old <- sharedObjectPkgOptions(zzz = 1, mustWork = TRUE), "The option `zzz` does not exist", class = "cowshed_warning_option")
  expect_identical(old, c(mustWork = FALSE))
  sharedObjectPkgOptions(mustWork = FALSE)
  expect_identical(sharedObjectPkgOptions(), defaults)
})

test_that("the old spellings know the options of their time", {
  unset()
  expect_identical(getSharedObjectOptions(), defaults[c("mustWork", "copyOnWrite", "sharedSubset", "sharedCopy")])
  expect_identical(withVisible(setSharedObjectOptions(mustWork = TRUE)), list(value = c(mustWork = FALSE), visible = FALSE))
  name <- "mustWork"
  expect_identical(getSharedObjectOptions(name), TRUE)
  expect_identical(getSharedObjectOptions("mustWork", "minLength"), list(mustWork = TRUE, minLength = 3L))
  setSharedObjectOptions(mustWork = FALSE, minLength = 7)
  expect_identical(getSharedObjectOptions("minLength"), 7)
  expect_null(setSharedObjectOptions())
})

# They were taken for options that are not set.
test_that("share() refuses an option with a value that it cannot have, and names it", {
  unset()
  bad <- list(NA, "no", 1, c(TRUE, FALSE), logical(), list(TRUE))
  for (name in setdiff(names(defaults), "minLength")) for (value in bad) {
    local({
      do.call(local_options, stats::setNames(list(value), paste0("cowshed.", name)))
      e <- expect_error(share(1:9), paste0("`cowshed.", name, "`"), fixed = TRUE, class = "cowshed_error_argument")
      expect_s3_class(e, "cowshed_error")
    })
  }
  for (name in c("minLength", "grace")) for (value in list(NA, "no", -1, c(1, 2), TRUE, NaN, Inf)) {
    local({
      do.call(local_options, stats::setNames(list(value), paste0("cowshed.", name)))
      expect_error(share(1:9), paste0("`cowshed.", name, "`"), fixed = TRUE, class = "cowshed_error_argument")
      expect_error(SharedObject("raw", 9), paste0("`cowshed.", name, "`"), fixed = TRUE, class = "cowshed_error_argument")
    })
  }
  local_options(cowshed.minLength = 2.5)
  expect_snapshot(refusal(share(1:9)))
})

test_that("a bad option harms nobody who only uses what is shared", {
  x <- share(1:100, sharedSubset = TRUE, sharedCopy = TRUE)
  s <- share(as.character(1:100), sharedSubset = TRUE, sharedCopy = TRUE)
  local_options(cowshed.minLength = "a", cowshed.copyOnWrite = NA, cowshed.grace = "b")
  expect_identical(x[11:20], 11:20)
  expect_identical(x[c(1, 9, 5)], c(1L, 9L, 5L))
  expect_identical(s[c(1, 9, 5)], c("1", "9", "5"))
  y <- x
  y[1] <- 0L
  expect_true(is.shared(y))
  expect_identical(elsewhere(y), y)
  expect_identical(elsewhere(s), s)
  expect_identical(unshare(x), 1:100)
})
