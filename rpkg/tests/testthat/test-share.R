test_that("what cannot be shared is returned as it is", {
  e <- new.env()
  for (x in list(NULL, "a", mean, sum, e, quote(a), quote(a + b), y ~ z, expression(a), list(), list("a", NULL))) {
    expect_identical(share(x), x)
    expect_false(is.shared(share(x)))
    expect_identical(unshare(x), x)
  }
})

test_that("under mustWork what cannot be shared is an error, with the text of old", {
  expect_snapshot({
    refusal(share(quote(a), mustWork = TRUE))
    refusal(share(list(A = 1:3, B = as.symbol("x")), mustWork = TRUE))
  })
  expect_error(share(mean, mustWork = TRUE), class = "cowshed_error_unshareable")
  expect_null(share(NULL, mustWork = TRUE))
  expect_identical(share(c(1, 2, 3), mustWork = TRUE), c(1, 2, 3))
  local_options(cowshed.mustWork = TRUE)
  expect_error(share(quote(a)), class = "cowshed_error_unshareable")
  expect_identical(share(quote(a), mustWork = FALSE), quote(a))
})

test_that("mustWork concerns x, not its attributes", {
  plain <- structure(c(1, 2, 3), f = function() 1, s = as.symbol("a"), e = globalenv())
  x <- share(plain, mustWork = TRUE)
  expect_true(is.shared(x))
  expect_identical(attributes(x), attributes(plain))
})

test_that("arguments that share() does not know are refused", {
  expect_snapshot({
    refusal(share(1:3, copyonwrite = TRUE))
    refusal(share(1:3, TRUE))
    refusal(share(1:3, TRUE, copy = FALSE))
  })
  expect_error(share())
})

test_that("an error that share() meets half way leaves nothing behind", {
  local_store()
  for (i in 1:20) {
    expect_error(share(list(rnorm(5000), as.symbol("x")), mustWork = TRUE), class = "cowshed_error_unshareable")
  }
  expect_identical(nrow(listSharedObjects()), 0L)
})

test_that("a store that cannot be used is a classed error", {
  skip_on_os("windows")
  expect_error(share(c(1, 2, 3), store = "/nonexistent/for/sure"), class = "cowshed_error_store")
  expect_error(share(c(1, 2, 3), store = NA_character_), class = "cowshed_error")
  expect_error(share(c(1, 2, 3), store = c("/tmp", "/var")), class = "cowshed_error")
  expect_error(share(c(1, 2, 3), store = 5), class = "cowshed_error")
  file <- tempfile()
  writeLines("", file)
  expect_error(share(c(1, 2, 3), store = file), class = "cowshed_error_store")
})

test_that("unshare() gives plain objects all the way down, and x itself where nothing is shared", {
  x <- share(list(a = c(1, 2, 3), b = list(c = 4:6, d = "e"), f = mean))
  expect_true(is.shared(x))
  plain <- unshare(x)
  expect_identical(plain, list(a = c(1, 2, 3), b = list(c = 4:6, d = "e"), f = mean))
  expect_false(is.shared(plain))
  expect_false(is.shared(plain$b$c))
  expect_true(is.shared(x$b$c))
  y <- share(as.double(1:20000))
  changed <- y
  changed[1] <- 0
  expect_identical(unshare(changed), c(0, 2:20000))
  expect_true(is.nan(private_bytes(unshare(changed))))
  expect_true(is.nan(private_bytes(unshare(list(changed))[[1]])))
})

# Only attributes that were themselves shared vectors were looked at.
test_that("unshare() finds what is shared in lists in attributes, and in attributes of attributes", {
  deep <- structure(c(1, 2, 3), a = list(1:10, list(b = structure(1:20, c = list(4:9)))))
  x <- share(deep)
  expect_true(is.shared(attr(x, "a")))
  plain <- unshare(x)
  expect_identical(plain, deep)
  expect_false(is.shared(attr(plain, "a")))
  expect_false(is.shared(attr(attr(plain, "a")[[2]]$b, "c")))
  expect_true(is.nan(private_bytes(attr(plain, "a")[[2]]$b)))
})

test_that("what unshare() gives is written by its owner alone", {
  x <- share(c(1, 2, 3), copyOnWrite = FALSE)
  y <- unshare(x)
  y[1] <- 9
  expect_identical(x, c(1, 2, 3))
  x[2] <- 8
  expect_identical(y, c(9, 2, 3))
})

test_that("is.shared() of a list says whether anything in it is", {
  expect_true(is.shared(list(a = "a", b = share(1:10))))
  expect_true(is.shared(list(1, list(2, list(share(1:3))))))
  expect_false(is.shared(list(1, list(2, list(1:3)))))
  expect_false(is.shared(list()))
  expect_false(is.shared(NULL))
  changed <- share(1:3)
  changed[1] <- 5L
  expect_false(is.shared(list(changed)))
})

test_that("a list is shared as its elements; replacing one changes nobody else's", {
  plain <- list(a = c(1, 2, 3), b = 1:5, c = "x", d = NULL, e = list(4:9), f = 7)
  x <- share(plain)
  expect_identical(x, plain)
  expect_identical(vapply(x, is.shared, NA), c(a = TRUE, b = TRUE, c = FALSE, d = FALSE, e = TRUE, f = FALSE))
  y <- x
  y$a <- 0
  y$b[2] <- 9L
  expect_identical(x, plain)
  expect_identical(y$b, c(1L, 9L, 3:5))
  expect_true(is.shared(x$b))
  expect_false(is.shared(y$b))
})

test_that("sharing one vector twice in a list gives one memory", {
  v <- as.double(1:5000)
  x <- share(list(v, v, list(v)))
  expect_identical(x, list(v, v, list(v)))
  expect_identical(data_id(x[[1]]), data_id(x[[2]]))
  expect_identical(data_id(x[[1]]), data_id(x[[3]][[1]]))
})

test_that("segments go when the last object goes", {
  local_store()
  x <- lapply(1:20, function(i) share(as.double(1:10000) + i))
  y <- x[[20]]
  expect_identical(nrow(listSharedObjects()), 20L)
  rm(x)
  gc()
  expect_identical(nrow(listSharedObjects()), 1L)
  expect_identical(y[1:2], c(21, 22))
  y[1] <- 0
  rm(y)
  gc()
  expect_identical(nrow(listSharedObjects()), 0L)
})

test_that("listSharedObjects() has its columns also when there is nothing", {
  local_store()
  expect_identical(listSharedObjects(), data.frame(Id = character(), size = numeric()))
  x <- share(as.double(1:10000))
  listed <- listSharedObjects()
  expect_identical(listed$Id, data_id(x))
  expect_gte(listed$size, 80000)
})
