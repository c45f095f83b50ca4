# Too slow, or too large, on a vector of many elements; small ones show the same.
costly <- c(
  "diag(x)", "tcrossprod(x)", "solve(x)", "interaction(x, x)", "eigen(x)$values", "det(x)", "chol(x)", "rank(x)",
  "convolve(x, x, type = \"o\")", "mapply(function(a, b) identical(a, b), x, x)", "mapply(identical, x, x)",
  "Map(function(a, b) a, x, x)[1:2]", "vctrs::vec_cast(x, double())", "prettyNum(x)", "capture.output(cat(x))",
  "capture.output(write(x, stdout()))", "capture.output(dput(x))", "deparse(x)",
  "digest::sha1(as.numeric(x))", "make.unique(as.character(x))", "nchar(format(x))", "rev(as.list(x))[[1]]", "mode(as.list(x))"
)

test_that("base R reads a shared vector as it reads a plain one", {
  expect_no_difference(readings(), samples())
})

test_that("base R reads a shared vector as it reads a plain one, with sharedSubset and sharedCopy set", {
  expect_no_difference(readings(), samples(), with_all_flags)
})

test_that("reading a large vector copies none of its pages", {
  local_options(max.print = 50)
  # 64 KiB of raw are too many elements for lapply() and the like; the subscripts and pointers are tried on them elsewhere.
  values <- large_samples()[c("logical", "integer", "double", "complex", "matrix", "factor")]
  expect_no_difference(readings(), values, after = untouched, exempt = costly)
  vectorised <- c("sort(x)", "order(x)", "unique(x)", "match(x, x)", "c(x, x)", "rev(x)", "as.integer(x)", "x == x", "table(x)", "!x")
  expect_no_difference(readings()[vectorised], large_samples()[c("raw", "Date", "named")], after = untouched)
})

test_that("reading a write-through vector leaves it as it is", {
  # These assign to elements of their argument inside, or (`!`) duplicate it the way assignments do: R does not tell which.
  writes <- c("pmin(x, x[1])", "pmax(x, x[2])", "ifelse(x, 1, 2)", "-x", "!x", "formatC(x)", "Negate(is.na)(x)")
  expect_no_difference(readings(), samples(), writing_through, exempt = writes)
  numbers <- samples()[c("integer", "double", "complex", "named", "matrix", "Date", "factor")]
  expect_no_difference(readings()["-x"], numbers, writing_through)
})

test_that("assignments to a shared vector give what they give on a plain one, and x stays", {
  expect_no_difference(assignments(), samples())
})

test_that("assignments give the same with sharedSubset and sharedCopy set, and x stays", {
  expect_no_difference(assignments(), samples(), with_all_flags)
})

test_that("assignments to a large shared vector give what they give on a plain one, and x stays", {
  expect_no_difference(assignments(), large_samples(), after = untouched)
})

test_that("assignments to a large shared vector with sharedCopy give what they give on a plain one, and x stays", {
  values <- large_samples()[c("raw", "integer", "double", "matrix", "named")]
  expect_no_difference(assignments(), values, with_all_flags, after = untouched)
})

test_that("a hash of the value is that of the plain value", {
  skip_if_not_installed("rlang")
  skip_if_not_installed("digest")
  for (x in c(samples(), large_samples())) {
    # A copy that R holds no compact form of, which it would hash as such.
    x[] <- x
    expect_identical(rlang::hash(share(x)), rlang::hash(x))
    expect_identical(digest::digest(share(x)), digest::digest(x))
  }
})

test_that("for, while and recursion over a shared vector end", {
  x <- share(c(3, 1, 2))
  seen <- c()
  for (e in x) {
    x[1] <- x[1] + 1
    seen <- c(seen, e)
  }
  expect_identical(seen, c(3, 1, 2))
  expect_identical(x, c(6, 1, 2))
})

test_that("two shared vectors in one operation are both left as they are", {
  for (live in c(TRUE, FALSE)) {
    a <- share(as.double(1:9000), copyOnWrite = !live)
    b <- share(as.double(9000:1), copyOnWrite = !live)
    expect_identical(a + b, rep(9001, 9000))
    expect_identical(a %*% b, unshare(a) %*% unshare(b))
    expect_identical(cbind(a, b)[2, ], c(a = 2, b = 8999))
    expect_identical(a[b][1:3], c(9000, 8999, 8998))
    expect_identical(sum(a * b > a), sum(unshare(a) * unshare(b) > unshare(a)))
    expect_identical(merge(data.frame(k = a), data.frame(k = b[1:2]))$k, c(8999, 9000))
    expect_identical(a, as.double(1:9000))
    expect_identical(b, as.double(9000:1))
  }
})

test_that("models and matrix algebra on shared data give what they give on plain data", {
  set.seed(9)
  m <- matrix(rnorm(10000 * 3), ncol = 3)
  y <- m %*% c(1, 2, 3) + rnorm(10000)
  sm <- share(m)
  sy <- share(y)
  expect_identical(coef(lm(sy ~ sm)), stats::setNames(coef(lm(y ~ m)), c("(Intercept)", "sm1", "sm2", "sm3")))
  expect_identical(lm.fit(sm, sy)$coefficients, lm.fit(m, y)$coefficients)
  expect_identical(coef(glm.fit(sm, sy > 0, family = binomial())), coef(glm.fit(m, y > 0, family = binomial())))
  expect_identical(prcomp(sm)$sdev, prcomp(m)$sdev)
  distance <- function(p) sum((p - 1:3)^2)
  expect_identical(optim(share(c(-1.2, 1, 1)), distance)$par, optim(c(-1.2, 1, 1), distance)$par)
  expect_identical(sm, m)
  expect_identical(sy, y)
  expect_true(is.shared(sm))
})
