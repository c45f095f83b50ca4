# Shared lists: from R 4.3 on ALTREP objects that open their elements when they are looked at, before plain lists of views.

lazy <- function() getRversion() >= "4.3"

# The value and what was printed; environments by what they hold.
capture <- function(expr) {
  out <- utils::capture.output(value <- expr)
  list(out, if (is.environment(value)) as.list(value) else value)
}

sample_list <- function() {
  list(
    a = as.numeric(1:1000), b = c("u", "v", NA), c = NULL, a = list(1:10, list(d = c(TRUE, NA, FALSE))), quote(x + y), as.symbol("s"), 1L, character(),
    factor(c("l", "m", "l")), structure(list(p = 1:5, q = letters[1:5]), class = "data.frame", row.names = c(NA, -5L))
  )
}

test_that("a shared list is the same list, here and elsewhere, for every function that looks at it", {
  with_new_store({
    l <- sample_list()
    s <- share(l)
    expect_identical(s, l)
    expect_identical(is.altrep(s), lazy())
    back <- unserialize(serialize(s, NULL))
    expect_identical(back, l)
    got <- run_r(answer(take("s")), dir = put_in(scratch(), s, "s"))
    expect_ended_well(got)
    expect_identical(got$answer, l)
    for (look in list(
      length, names, function(x) x[2:4], function(x) x$b, function(x) x[["a"]][3], function(x) rev(x), function(x) lapply(x, length), function(x) unlist(x[1:2]),
      function(x) c(x, 1), function(x) rapply(x, mean, "numeric", how = "replace"), function(x) Filter(is.numeric, x), str, function(x) mapply(identical, x, l),
      function(x) do.call(list, x, quote = TRUE), function(x) for (e in x) e, function(x) unclass(x), function(x) x[-1], function(x) x[["c"]],
      function(x) is.list(x), function(x) vapply(x, typeof, ""), function(x) rbind(x, x), function(x) stack(x[1]), function(x) as.environment(x[1]), function(x) utils::head(x, 2)
    )) {
      expect_identical(suppressWarnings(capture(look(back))), suppressWarnings(capture(look(l))))
    }
  })
})

test_that("a list of thousands is one segment and one short reference", {
  with_new_store({
    l <- lapply(1:10000, function(i) i + as.numeric(1:10))
    s <- share(l)
    if (lazy()) expect_lt(size_of(s), 300)
    expect_identical(unserialize(serialize(s, NULL)), l)
    expect_length(segments(), 1L)
    # An element travels as a path into it.
    expect_lt(size_of(s[[77]]), 300)
    expect_identical(unserialize(serialize(s[[77]], NULL)), l[[77]])
    expect_length(segments(), 1L)
    back <- unserialize(serialize(s, NULL))
    expect_true(is.shared(back[[9]]))
  })
})

test_that("what is taken out of a list lives on without it", {
  with_new_store({
    s <- share(list(a = as.numeric(1:1e5), b = list(c = c("x", "y", "z"))))
    a <- s$a
    c <- s$b$c
    rm(s)
    for (i in 1:3) gc()
    expect_identical(a, as.numeric(1:1e5))
    expect_identical(c, c("x", "y", "z"))
    expect_true(is.shared(a))
  })
})

test_that("a change is the changer's alone, and is not lost when the list is sent", {
  with_new_store({
    l <- sample_list()
    s <- share(l)
    for (change in list(
      function(x) { x$a[2] <- -1; x }, function(x) { x[[4]][[2]]$d <- "new"; x }, function(x) { x$b <- NULL; x }, function(x) { x[["z"]] <- 1:3; x },
      function(x) { x["c"] <- list(5); x }, function(x) { names(x)[1] <- "first"; x }, function(x) { x[[7]] <- 2L; x[[7]] <- 3L; x }, function(x) { attr(x, "k") <- 1:5; x },
      function(x) { class(x) <- "foo"; x }, function(x) { x[3:4] <- NULL; x }, function(x) modifyList(x, list(b = "w")), function(x) { x[[10]]$p[2] <- 9L; x }
    )) {
      expect_identical(change(s), change(l))
      expect_identical(unserialize(serialize(change(s), NULL)), change(l))
      expect_identical(s, l)
      back <- unserialize(serialize(s, NULL))
      changed <- change(back)
      expect_identical(changed, change(l))
      expect_identical(back, l)
    }
  })
})

test_that("C code that writes into a list or into an element of it changes only what is sent by value then", {
  with_new_store({
    s <- unserialize(serialize(share(list(a = as.numeric(1:20000), b = 1:5)), NULL))
    # A writable pointer that is not written to leaves it as it is.
    invisible(cumsum(s$a))
    expect_lt(size_of(s), if (lazy()) 300 else 600)
    expect_true(is.shared(s))
  })
})

test_that("lists that hold an environment or a function, however deep, stay plain lists of views", {
  with_new_store({
    e <- new.env()
    s <- share(list(as.numeric(1:100), list(list(e))))
    expect_false(is.altrep(s))
    expect_identical(s[[2]][[1]][[1]], e)
    expect_true(is.shared(s[[1]]))
    t <- share(list(x = 1:100, f = function(y) y))
    expect_identical(unserialize(serialize(t, NULL))$x, 1:100)
    expect_true(is.shared(t$x))
  })
})

test_that("what is shared already stays where it is", {
  with_new_store({
    x <- share(as.numeric(1:1e5))
    s <- share(list(x, b = 1:5))
    expect_identical(cowshed:::data_id(s[[1]]), cowshed:::data_id(x))
    expect_length(segments(), 1L)
    expect_identical(share(s), s)
    t <- share(share(list(1:10, c(a = 1, b = 2, c = 3))))
    expect_identical(t, list(1:10, c(a = 1, b = 2, c = 3)))
    # Other flags, another store, a changed object: written anew.
    w <- share(list(x), copyOnWrite = FALSE)
    expect_false(identical(cowshed:::data_id(w[[1]]), cowshed:::data_id(x)))
    y <- x
    y[1] <- -1
    z <- share(list(y))
    expect_identical(z[[1]][1:2], c(-1, 2))
    expect_true(is.shared(z[[1]]))
  })
})

# They became copy-on-write, silently.
test_that("what is shared already keeps its flags in a list that is shared without a word on them", {
  live <- share(numeric(1000), copyOnWrite = FALSE)
  windows <- share(as.numeric(1:1000), sharedSubset = TRUE)
  for (wrap in list(function(x) x, function(x) unserialize(serialize(x, NULL)), share)) {
    s <- wrap(share(list(live, list(windows), rnorm(1000))))
    expect_identical(c(getCopyOnWrite(s[[1]]), getSharedSubset(s[[2]][[1]]), getCopyOnWrite(s[[3]])), c(FALSE, TRUE, TRUE))
    expect_identical(cowshed:::data_id(s[[1]]), cowshed:::data_id(live))
  }
  s[[1]][1] <- 5
  expect_identical(live[1], 5)
  local_options(cowshed.copyOnWrite = FALSE)
  expect_true(getCopyOnWrite(share(list(windows))[[1]]))
  expect_true(getCopyOnWrite(share(list(live), copyOnWrite = TRUE)[[1]]))
})

test_that("write-through lists write through, from wherever they were opened", {
  with_new_store({
    s <- share(list(a = as.numeric(1:1000), b = 1:10), copyOnWrite = FALSE)
    back <- unserialize(serialize(s, NULL))
    back$a[1] <- -1
    s$b[2] <- 20L
    expect_identical(c(s$a[1], back$b[2]), c(-1, 20))
  })
})

test_that("minLength is the sharer's wish wherever the list is opened", {
  with_new_store({
    s <- share(list(1:10, 1:50), minLength = 20)
    back <- unserialize(serialize(s, NULL))
    for (l in list(s, back)) expect_identical(c(is.shared(l[[1]]), is.shared(l[[2]])), c(FALSE, TRUE))
    t <- unserialize(serialize(share(list(1L, 1:2, 1:3)), NULL))
    expect_identical(vapply(t, is.shared, NA), c(FALSE, FALSE, TRUE))
  })
})

test_that("a list whose segment is gone is an error at each look, not a crash", {
  with_new_store({
    s <- share(list(a = as.numeric(1:1e5), b = 1:10))
    bytes <- serialize(s, NULL)
    unlink(segments())
    rm(s)
    gc()
    gone <- unserialize(bytes)
    expect_length(gone, 2L)
    expect_error(gone[[1]][1], class = "cowshed_error_gone")
    expect_error(sum(gone$b), class = "cowshed_error_gone")
  })
})

test_that("deep and wide lists hold under the collector's torture", {
  with_new_store({
    l <- list(1:5, list(c("a", "b", "c"), list(as.numeric(1:4), NULL)), n = c(x = 1, y = 2, z = 3))
    gctorture(TRUE)
    s <- share(l)
    back <- unserialize(serialize(s, NULL))
    one <- back[[2]][[2]][[1]]
    back$n[2] <- 5
    gctorture(FALSE)
    expect_identical(s, l)
    expect_identical(one, as.numeric(1:4))
    expect_identical(back$n, c(x = 1, y = 5, z = 3))
  })
})

test_that("a walk, forwards, backwards or here and there, meets every element, whatever lies between", {
  l <- rep(list(as.numeric(1:3), NULL, c(a = 1L, b = 2L), letters, TRUE, list(1, NULL, 2:9), as.raw(1:9), complex(3), numeric(), factor("f")), 40)
  l[100:250] <- lapply(100:250, function(i) i + as.numeric(1:5))
  n <- length(l)
  s <- share(l)
  bytes <- serialize(s, NULL)
  for (order in list(seq_len(n), rev(seq_len(n)), seq(2, n, 2), seq(n, 1, -3), c(1, 2, 1, 2, n, 1:n), sample(n))) {
    back <- unserialize(bytes)
    for (i in order) expect_identical(back[[i]], l[[i]])
    expect_identical(back, l)
    for (i in c(1L, 101L, 102L, 249L)) expect_true(is.shared(back[[i]]))
  }
  back <- unserialize(bytes)
  back[[7]][1] <- as.raw(0)
  expect_identical(back[-7], l[-7])
  expect_identical(s[[7]], l[[7]])
})

test_that("a list that is too short for views here is read as data all the same", {
  back <- unserialize(serialize(share(lapply(1:200, function(i) i + 1:5)), NULL))
  before <- options(cowshed.minLength = 10L)
  on.exit(options(before))
  for (i in 1:200) expect_identical(back[[i]], i + 1:5)
})
