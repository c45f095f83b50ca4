# copyOnWrite = FALSE. `far` is a view of the same memory, as another process would have one.
pair <- function(plain) {
  x <- share(plain, copyOnWrite = FALSE)
  list(x = x, far = elsewhere(x))
}

lengths <- list(few = c(1, 2, 3, 4, 5, 6), many = as.double(1:20000))

test_that("every form of assignment writes through", {
  forms <- list(
    one = function(x, v) { x[1] <- v; x },
    element = function(x, v) { x[[1]] <- v; x },
    double_index = function(x, v) { x[1.7] <- v; x },
    logical = function(x, v) { x[c(TRUE, rep(FALSE, length(x) - 1))] <- v; x },
    negative = function(x, v) { x[-(2:length(x))] <- v; x },
    call = function(x, v) { x <- `[<-`(x, 1, value = v); x },
    call_element = function(x, v) `[[<-`(x, 1, v),
    replace = function(x, v) replace(x, 1, v),
    head = function(x, v) { head(x, 1)[1]; x[1:1] <- v; x },
    na_then_value = function(x, v) { is.na(x) <- 1; x[is.na(x)] <- v; x },
    in_function = function(x, v) { f <- function(y) y[1] <- v; f(x); x },
    in_loop = function(x, v) { for (i in 3:1) x[i] <- if (i == 1) v else x[i]; x },
    in_apply = function(x, v) { lapply(1, function(i) x[i] <<- v); x },
    do_call = function(x, v) do.call("[<-", list(x, 1, v)),
    second_name = function(x, v) { y <- x; y[1] <- v; x },
    list_element = function(x, v) { l <- list(a = x); l$a[1] <- v; x },
    list_element_2 = function(x, v) { l <- list(x, x); l[[2]][[1]] <- v; x },
    column = function(x, v) { d <- data.frame(i = seq_along(x)); d$k <- x; d$k[1] <- v; x },
    environment = function(x, v) { e <- new.env(); e$k <- x; e$k[1] <- v; x },
    attribute = function(x, v) { z <- structure(1, k = x); attr(z, "k")[1] <- v; x },
    wrapped = function(x, v) { y <- x; attr(y, "note") <- 1; y[1] <- v; x },
    integer_value = function(x, v) { x[1] <- as.integer(v); x },
    slot = function(x, v) { m <- new("Measured", x, unit = "kg"); m[1] <- v; x }
  )
  for (plain in lengths) for (form in names(forms)) {
    p <- pair(plain)
    id <- data_id(p$x)
    result <- forms[[form]](p$x, 77)
    expect_identical(p$far, c(77, plain[-1]), info = form)
    expect_identical(p$x, p$far, info = form)
    expect_true(is.shared(p$x), form)
    expect_identical(result[1], 77, info = form)
    expect_identical(data_id(p$x), id, info = form)
  }
})

test_that("assignments of many elements write through", {
  for (plain in lengths) {
    p <- pair(plain)
    x <- p$x
    x[] <- 0
    expect_identical(p$far, 0 * plain)
    x[] <- rev(plain)
    expect_identical(p$far, rev(plain))
    x[x > 3] <- -1
    expect_identical(p$far, ifelse(rev(plain) > 3, -1, rev(plain)))
    x[2:3] <- c(7, 8)
    expect_identical(p$far[2:3], c(7, 8))
    is.na(x) <- 1
    expect_identical(p$far[1], NA_real_)
  }
})

test_that("every type writes through", {
  values <- c(samples()[c("raw", "logical", "integer", "double", "complex", "factor", "Date", "S4", "ts", "named")], large_samples())
  for (label in names(values)) {
    plain <- values[[label]]
    p <- pair(plain)
    x <- p$x
    x[1] <- plain[2]
    expected <- plain
    expected[1] <- plain[2]
    expect_true(same(p$far, expected), label)
    expect_true(same(p$x, expected), label)
    expect_true(is.shared(x), label)
  }
})

test_that("a matrix writes through by row, column and element", {
  plain <- matrix(as.double(1:12), 3)
  p <- pair(plain)
  x <- p$x
  x[1, 2] <- 0
  x[2, ] <- 9
  x[, 4] <- x[, 4] * 2
  x[[3, 1]] <- -1
  x[cbind(3, 2)] <- 55
  diag(x) <- 100
  expected <- plain
  expected[1, 2] <- 0
  expected[2, ] <- 9
  expected[, 4] <- expected[, 4] * 2
  expected[[3, 1]] <- -1
  expected[cbind(3, 2)] <- 55
  diag(expected) <- 100
  expect_identical(p$far, expected)
})

test_that("data frames write through, column by column", {
  d <- share(data.frame(a = as.double(1:5), b = 5:1), copyOnWrite = FALSE)
  far <- elsewhere(d)
  d$a[2] <- 22
  d[3, "b"] <- 33L
  d[["a"]][4] <- 44
  expect_identical(far, data.frame(a = c(1, 22, 3, 44, 5), b = c(5L, 4L, 33L, 2L, 1L)))
  d$c <- 1
  expect_named(far, c("a", "b"))
  d$a <- 0
  expect_identical(far$a, c(1, 22, 3, 44, 5))
})

test_that("arithmetic, sorting and temporaries never write through", {
  f <- function(v) v
  expressions <- operations(
    -x, x + 1, 1 - x, x * x, x / 2, sqrt(x), exp(x), abs(x), f(x) + 1, sqrt(f(x)), -f(x), f(x) * f(x), abs(-x), sort(x),
    rev(x), order(x), sort(x, decreasing = TRUE), (function() x)() + 1, sqrt(list(x)[[1]]), -list(x)[[1]],
    identity(x) - 1, cumsum(x), x %*% x, crossprod(x), round(x), floor(f(x)), scale(x), sapply(x, function(v) -v),
    vapply(x, sqrt, 1), mapply(`+`, x, x), Reduce(`+`, x), outer(x[1:3], x[1:3]), x ^ 2, x %% 2, x == 1, x > 2 & TRUE,
    is.na(x), ifelse(x > 2, x, 0), pmin(x, 2), pmax(x, 2), unique(x), c(x, 1), as.integer(x), as.vector(x),
    as.numeric(x), unlist(list(x)), matrix(x, 2), t(x), cbind(x, x), apply(cbind(x, x), 1, sum),
    sweep(cbind(x, x), 1, x), diff(x), tapply(x, rep(1:2, length.out = length(x)), sum), quantile(x), median(x), var(x),
    rank(x), cut(x, 3), table(x > 2), sample(x), rle(x), fft(x), {y <- x + 0; y[1] <- 99; y}, {y <- x * 1; y[] <- 0; y},
    {y <- unshare(x); y[1] <- 99; y}, {y <- x[]; y}, {y <- x[1:3]; y[1] <- 99; y}, {y <- c(x); y[1] <- 99; y},
    {y <- rev(x); y[1] <- 99; y}, {y <- as.integer(x); y[1] <- 9L; y}, {y <- x; y <- y + 1; y[1] <- 99; y},
    {for (e in x) e <- 0; 1}, {y <- sort(x); y[1] <- 99; y}, {l <- lapply(x, function(v) v); l[[1]] <- 99; l},
    {set.seed(1); sample(x)}, if (x[1] > 0) x else -x, quote(x), substitute(x), deparse(x),
    {g <- function(a, b = -a) b; g(x)}, local(-x), tryCatch(-x), withVisible(-x)$value, eval(quote(-x)),
    {-x + x - x * 2}, lm.fit(cbind(1, unshare(x)), unshare(x))$rank, {y <- x; length(y) <- 3; y[1] <- 99; y},
    {y <- x; storage.mode(y) <- "integer"; y[1] <- 9L; y}
  )
  for (plain in lengths) for (operation in names(expressions)) {
    if (length(plain) > 100 && grepl("outer|x %*% x|table|rank", operation)) next
    p <- pair(plain)
    environment(expressions[[operation]]) <- list2env(list(f = f), parent = globalenv())
    expressions[[operation]](p$x)
    expect_identical(p$far, plain, info = operation)
    expect_identical(p$x, plain, info = operation)
  }
})

test_that("assigning another type, or beyond the end, makes a plain copy", {
  for (plain in lengths) {
    p <- pair(plain)
    y <- p$x
    y[1] <- "a"
    z <- p$x
    z[length(plain) + 1] <- 0
    w <- p$x
    w[1] <- 1i
    expect_identical(p$far, plain)
    expect_false(is.shared(y))
    expect_false(is.shared(z))
    expect_false(is.shared(w))
  }
})

test_that("what is written is seen from both sides", {
  p <- pair(as.double(1:20000))
  x <- p$x
  far <- p$far
  for (i in 1:50) {
    x[i] <- -i
    far[i + 100] <- i
  }
  expect_identical(x, far)
  expect_identical(x[c(1, 50, 101, 150)], c(-1, -50, 1, 50))
  third <- elsewhere(far)
  third[1] <- 1e6
  expect_identical(c(x[1], far[1]), c(1e6, 1e6))
})

test_that("an assignment costs no memory and makes no segment", {
  local_store()
  p <- pair(as.double(1:1e6))
  x <- p$x
  for (i in 1:100) x[i * 1000] <- 0
  expect_identical(private_bytes(x), 0)
  expect_identical(nrow(listSharedObjects()), 1L)
  expect_identical(sum(p$far == 0), 100L)
})

test_that("a copyOnWrite = TRUE view of write-through memory keeps its changes to itself", {
  for (plain in lengths) {
    p <- pair(plain)
    own <- share(p$x, copyOnWrite = TRUE)
    own[1] <- 99
    expect_identical(p$far, plain)
    expect_identical(p$x, plain)
    p$far[2] <- 55
    expect_identical(own, c(99, plain[-1]))
    expect_identical(elsewhere(own), c(99, plain[-1]))
    expect_identical(p$x[2], 55)
  }
})

test_that("element-wise reading inside a loop that writes sees the writes", {
  x <- share(as.double(1:10), copyOnWrite = FALSE)
  for (i in 2:10) x[i] <- x[i - 1] + x[i]
  expect_identical(x, cumsum(as.double(1:10)))
})
