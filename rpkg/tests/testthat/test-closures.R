# A function is shared by what is bound in its environments, where it is.

test_that("a function is shared in place with all it captured, and returned", {
  f <- apart({
    big <- as.double(1:5000)
    make <- function(inner) {
      force(inner)
      function(i) big[i] + inner[i]
    }
    make(as.double(5000:1))
  })
  expect_itself(share(f), f)
  expect_true(is.shared(f))
  expect_true(is.shared(environment(f)$inner))
  expect_true(is.shared(parent.env(environment(f))$big))
  expect_identical(f(2), 5001)
  expect_itself(unshare(f), f)
  expect_false(is.shared(f))
  expect_identical(f(2), 5001)
})

test_that("a function that captured nothing is returned as it is, and is not shared", {
  for (f in list(mean, sum, `if`, stats::lm, apart(function(x) x), methods::show, apart(compiler::cmpfun(function(x) x + 1)))) {
    expect_itself(share(f), f)
    expect_false(is.shared(f))
    expect_itself(unshare(f), f)
  }
})

test_that("under mustWork a function counts if its own environments have something to share", {
  expect_snapshot({
    nothing <- apart(function(x) x)
    refusal(share(nothing, mustWork = TRUE))
    refusal(share(mean, mustWork = TRUE))
    refusal(share(sum, mustWork = TRUE))
    refusal(share(list(1:3, nothing), mustWork = TRUE))
  })
  f <- apart({v <- 1:10; function() v})
  expect_itself(share(f, mustWork = TRUE), f)
  expect_itself(share(f, mustWork = TRUE), f)
  expect_identical(share(list(f), mustWork = TRUE), list(f))
})

test_that("an argument that was used is shared, one that was not stays a promise", {
  used <- 0
  make <- function(a, b, ...) {
    force(a)
    list(...)
    function() list(a, b, ...)
  }
  environment(make) <- globalenv()
  f <- make(as.double(1:5000), {used <- used + 1; 4:6}, as.double(5000:1), c("x", "y", "z"))
  share(f)
  is.shared(f)
  expect_identical(used, 0)
  expect_true(is.shared(environment(f)$a))
  expect_identical(is.shared(f(), depth = 1), list(TRUE, FALSE, TRUE, TRUE))
  expect_identical(f(), list(as.double(1:5000), 4:6, as.double(5000:1), c("x", "y", "z")))
  expect_identical(used, 1)
  unshare(f)
  expect_false(is.shared(f))
  expect_identical(f(), list(as.double(1:5000), 4:6, as.double(5000:1), c("x", "y", "z")))
})

test_that("missing arguments stay missing", {
  make <- function(a, b, ...) {
    v <- 1:10
    function() v
  }
  environment(make) <- globalenv()
  f <- share(make(, 2))
  expect_true(is.shared(f))
  expect_identical(eval(quote(c(missing(a), missing(b), ...length())), environment(f)), c(1L, 0L, 0L))
})

test_that("a function's body, source and attributes stay", {
  f <- apart({v <- 1:10; eval(parse(text = "function(x = c(1, 2, 3)) {\n  # kept\n  v[x]\n}", keep.source = TRUE))})
  source <- attributes(f)
  expect_itself(share(f), f)
  expect_identical(attributes(f), source)
  expect_output(print(f), "# kept", fixed = TRUE)
  expect_false(is.shared(attr(f, "srcref")))
  expect_false(is.shared(attr(attr(f, "srcref"), "srcfile")$lines))

  g <- apart({v <- 1:10; structure(function() v, class = "reader", data = as.double(1:100))})
  shared <- share(g)
  expect_identical(shared, g)
  expect_true(is.shared(attr(shared, "data")))
  expect_false(is.shared(attr(g, "data")))
  expect_itself(environment(shared), environment(g))
  expect_itself(share(g, sharedAttributes = FALSE), g)
  expect_false(is.shared(attr(unshare(shared), "data")))
})

test_that("recursive functions and functions that share an environment are one", {
  fs <- apart({
    v <- as.double(1:5000)
    list(get = function() v, set = function(x) v <<- x, itself = function() fs)
  })
  environment(fs$itself)$fs <- fs
  x <- share(fs)
  expect_identical(x, fs)
  expect_true(is.shared(x$get()))
  x$set(1:3)
  expect_identical(fs$get(), 1:3)
  back <- elsewhere(share(fs))
  back$set(4:6)
  expect_identical(back$get(), 4:6)
  expect_identical(fs$get(), 1:3)
})

test_that("a function that captured much is sent as a small message", {
  skip_without_processes()
  with_new_store({
    # Without its source, which is as long as this file.
    f <- utils::removeSource(apart({big <- as.double(1:1e6); function(i) sum(big) + i}))
    share(f)
    got <- run_r({
      f <- take("f")
      answer(list(value = f(1), shared = cowshed::is.shared(environment(f)$big), size = length(bytes_of("f")), again = size_of(f)))
    }, dir = put_in(scratch(), f, "f"))
    expect_ended_well(got)
    expect_identical(got$answer[1:2], list(value = sum(as.double(1:1e6)) + 1, shared = TRUE))
    expect_lt(got$answer$size, 600)
    expect_lt(got$answer$again, 600)
  })
})

test_that("a formula's environment is shared in place; the formula is not", {
  y <- apart({v <- as.double(1:5000); a ~ b + v})
  expect_itself(share(y), y)
  expect_true(is.shared(environment(y)$v))
  expect_false(is.shared(y))
  expect_error(share(y, mustWork = TRUE), "<formula>", class = "cowshed_error_unshareable")
  expect_itself(unshare(y), y)
  expect_false(is.shared(environment(y)$v))
})

test_that("models are shared with what their formulas captured, and predict the same elsewhere", {
  skip_without_processes()
  fit <- function(d) {
    junk <- stats::runif(1e5)
    list(lm = stats::lm(y ~ x + g, d), glm = stats::glm(z ~ x, stats::binomial(), d))
  }
  environment(fit) <- globalenv()
  set.seed(1)
  n <- 2000
  d <- data.frame(x = rnorm(n), g = factor(rep(c("a", "b"), n / 2)))
  d$y <- d$x + rnorm(n)
  d$z <- as.integer(d$x + rnorm(n) > 0)
  new <- data.frame(x = c(-1, 0, 1), g = factor(c("a", "b", "a")))
  plain <- fit(d)
  expected <- list(predict(plain$lm, new), predict(plain$glm, new, type = "response"), coef(summary(plain$lm)))
  before <- size_of(plain)
  shared <- share(plain)
  expect_identical(shared, plain)
  expect_true(is.shared(environment(stats::formula(plain$lm))$junk))
  expect_identical(list(predict(shared$lm, new), predict(shared$glm, new, type = "response"), coef(summary(shared$lm))), expected)
  expect_lt(size_of(shared), before / 20)
  with_new_store({
    shared <- share(unshare(shared))
    got <- run_r({
      fits <- take("fits")
      answer(list(predict(fits$lm, new), predict(fits$glm, new, type = "response"), coef(summary(fits$lm))))
    }, new = new, dir = put_in(scratch(), shared, "fits"))
    expect_ended_well(got)
    expect_identical(got$answer, expected)
  })
})
