# memApply() and memLapply(): what they give, compared with apply() and lapply().

skip_on_os("windows")

workers <- parallel::makePSOCKcluster(2, timeout = 60)

# As a list, which apply() gives only if it must.
apply_list <- function(X, MARGIN, FUN, ...) lapply(apply(X, MARGIN, function(v) list(FUN(v, ...))), `[[`, 1L)

on_workers <- function(...) memApply(..., CLUSTER = workers)

test_that("rows and columns of a matrix of any type are those that apply() gives, with their names", {
  whole <- list(
    double = matrix(c(1.5, NA, NaN, -Inf, 5:12), 4), integer = matrix(c(NA, 1:11), 4), logical = matrix(rep(c(TRUE, NA, FALSE), 4), 4),
    character = matrix(c(NA, letters[1:11]), 4), complex = matrix(complex(real = 1:12, imaginary = -1), 4), raw = matrix(as.raw(1:12), 4)
  )
  names <- list(NULL, list(letters[1:4], LETTERS[1:3]), list(NULL, LETTERS[1:3]), list(letters[1:4], NULL))
  for (type in names(whole)) {
    for (given in names) {
      x <- whole[[type]]
      dimnames(x) <- given
      for (part in list(x, x[, 1, drop = FALSE], x[2, , drop = FALSE], share(x, minLength = 1))) {
        for (margin in 1:2) expect_identical(on_workers(part, margin, identity), apply_list(part, margin, identity), info = paste(type, margin))
      }
    }
  }
})

test_that("a large matrix gives the same, whole or shared before, and rows in blocks", {
  x <- matrix(rnorm(3e5), 1000, dimnames = list(paste0("r", 1:1000), NULL))
  y <- rnorm(1000)
  expected <- apply_list(x, 2, function(v, y) cor(v, y), y)
  expect_identical(on_workers(x, 2, function(v, y) cor(v, y), VARS = list(y = y)), expected)
  expect_identical(on_workers(share(x), 2, function(v, y) cor(v, y), VARS = list(y = share(y))), expected)
  expect_identical(on_workers(x, 1, function(v) v[c(1, 300)], chunk = 7), apply_list(x, 1, function(v) v[c(1, 300)]))
  wide <- matrix(rnorm(2e6), 2)
  expect_identical(on_workers(wide, 1, sum), apply_list(wide, 1, sum))
})

test_that("what has no rows or no columns gives what there is", {
  expect_identical(on_workers(matrix(0, 5, 0), 2, sum), list())
  expect_identical(on_workers(matrix(0, 0, 3), 2, length), list(0L, 0L, 0L))
  expect_identical(on_workers(matrix(0, 3, 0), 1, identity), list(numeric(), numeric(), numeric()))
  expect_identical(on_workers(data.frame(a = 1:2)[, 0], 1, length), list(0L, 0L))
  expect_identical(memLapply(list(), sum), list())
  expect_identical(memLapply(setNames(list(), character()), sum), setNames(list(), character()))
})

test_that("data frames: columns of one plain type as they are, others as as.matrix() makes them", {
  uniform <- data.frame(a = 1:3 + 0.5, b = c(4, NA, 6))
  mixed <- data.frame(a = 1:3, b = c("x", "y", "z"), f = factor(c("u", "v", "u")), row.names = c("p", "q", "r"))
  numbers <- data.frame(a = 1:3, b = c(0.5, 1, 2))
  for (x in list(uniform, mixed, numbers, data.frame(d = as.Date("2024-01-01") + 0:2))) {
    for (margin in 1:2) expect_identical(on_workers(x, margin, identity), apply_list(x, margin, identity))
  }
  row.names(uniform) <- c("p", "q", "r")
  expect_identical(on_workers(uniform, 2, identity), apply_list(uniform, 2, identity))
})

# They gave NULL for each row or column.
test_that("rows and columns of a matrix of lists, and of a data frame with a list in it", {
  lists <- matrix(list(1, "a", NULL, 2, 3:4, mean), 2, dimnames = list(NULL, c("a", "b", "c")))
  frame <- data.frame(a = 1:2, l = I(list(1, "x")))
  for (x in list(lists, lists[, 1, drop = FALSE], frame)) {
    for (margin in 1:2) expect_identical(on_workers(x, margin, identity), apply_list(x, margin, identity))
  }
})

# Rows and columns had the class, which apply() does not give them.
test_that("a matrix with a class, or other attributes, gives what apply() makes of it", {
  numbers <- matrix(c(1, 2, 3, 4, 5, 6), 2)
  things <- list(
    structure(numbers, class = "Date"), structure(numbers, class = c("POSIXct", "POSIXt")), structure(numbers, class = "difftime", units = "secs"),
    structure(factor(letters[1:6]), dim = 2:3), noquote(matrix(letters[1:6], 2)), ts(t(numbers), start = 2000), table(mtcars$cyl, mtcars$gear),
    structure(numbers, class = "other", more = 1), structure(numbers, more = 1), share(structure(numbers, class = "Date"))
  )
  for (x in things) for (margin in 1:2) expect_identical(on_workers(x, margin, identity), apply_list(x, margin, identity), info = class(x)[1])
})

test_that("columns of data frames have names if the rows were given some, and no attributes", {
  sorted <- data.frame(a = 1:3, b = 4:6)[c(3, 1), ]
  labelled <- data.frame(a = 1:2, b = 3:4)
  attr(labelled$a, "label") <- "first"
  for (x in list(sorted, labelled, data.frame(a = as.raw(1:2)), share(sorted))) {
    for (margin in 1:2) expect_identical(on_workers(x, margin, identity), apply_list(x, margin, identity))
  }
})

test_that("sparse matrices are not made dense as a whole, and give what dense ones give", {
  skip_if_not_installed("Matrix")
  set.seed(1)
  x <- Matrix::rsparsematrix(300, 200, 0.05, dimnames = list(NULL, paste0("c", 1:200)))
  for (margin in 1:2) expect_identical(on_workers(x, margin, identity), apply_list(as.matrix(x), margin, identity))
  expect_identical(on_workers(share(x), 2, sum), apply_list(as.matrix(x), 2, sum))
})

test_that("memLapply() takes what lapply() takes, with its names", {
  e <- list2env(list(a = 1, b = "x"))
  things <- list(
    list(a = 1, b = "x", 3), 1:10, c(x = 1.5, y = 2), as.Date("2024-01-01") + 0:2, factor(c("u", "v")), data.frame(a = 1:2, b = c("x", "y")),
    list(NULL, list(), list(list(1))), matrix(1:4, 2), expression(a + b, c), list(share(rnorm(1e4)), mean, quote(x))
  )
  for (x in things) expect_identical(memLapply(x, identity, CLUSTER = workers), lapply(x, identity))
  expect_mapequal(memLapply(e, identity, CLUSTER = workers), as.list(e))
  expect_identical(memLapply(1:5, function(x) if (x > 2) x, CLUSTER = workers), lapply(1:5, function(x) if (x > 2) x))
})

test_that("FUN is a closure, a primitive, a name or a lambda of several lines; its first argument is filled by position", {
  x <- list(c(4, 9), 16)
  expect_identical(memLapply(x, sqrt, CLUSTER = workers), lapply(x, sqrt))
  expect_identical(memLapply(x, "sum", CLUSTER = workers), lapply(x, "sum"))
  expect_identical(memLapply(x, `[`, CLUSTER = workers, VARS = list(1)) |> tryCatch(error = class), c("cowshed_error_argument", "cowshed_error", "error", "condition"))
  expect_identical(memLapply(x, sum, VARS = list(na.rm = TRUE), CLUSTER = workers), lapply(x, sum))
  expect_identical(memLapply(x, function(anything, k = 2) {
    twice <- anything * k
    twice + 1
  }, CLUSTER = workers), list(c(9, 19), 33))
  expect_identical(memLapply(x, function(...) length(list(...)), VARS = list(a = 1, b = 2), CLUSTER = workers), list(3L, 3L))
  expect_error(memLapply(x, "no such function"), "no such function")
})

test_that("what FUN captures is the element, not a later one", {
  made <- memLapply(1:4, function(v) function() v, CLUSTER = workers)
  expect_identical(lapply(made, function(f) f()), as.list(1:4))
})

test_that("VARS come by their names, whatever these are", {
  expect_identical(memLapply(1:2, function(x, FUN, v, i) c(x, FUN, v, i), VARS = list(v = 3, FUN = 2, i = 4), CLUSTER = workers), list(c(1, 2, 3, 4), c(2, 2, 3, 4)))
  expect_identical(memLapply(1:2, function(x, f) f(x), VARS = list(f = function(z) z + 1), CLUSTER = workers), list(2, 3))
  expect_identical(memLapply(1:2, function(x, a) is.null(a), VARS = list(a = NULL), CLUSTER = workers), list(TRUE, TRUE))
  expect_error(memLapply(1:2, function(x) x, VARS = list(b = 1), CLUSTER = workers), "element 1: unused argument", class = "cowshed_error_task")
})

test_that("bad arguments are errors that name them", {
  x <- matrix(1:4, 2)
  expect_error(memApply(x, 3, sum), "MARGIN has to be either 1 (row-wise) or 2 (column-wise)!", fixed = TRUE, class = "cowshed_error_argument")
  expect_error(memApply(x, NA, sum), "MARGIN has to be", class = "cowshed_error_argument")
  expect_error(memApply(x, "2", sum), "MARGIN has to be", class = "cowshed_error_argument")
  expect_error(memApply(1:4, 2, sum), "Unknown input format for parameter \"X\"!", class = "cowshed_error_argument")
  expect_error(memApply(array(1:8, c(2, 2, 2)), 2, sum), "Unknown input format for parameter \"X\"!", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, VARS = 1:3), "Unknown input format for parameter \"VARS\"!", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, VARS = list(1)), "Unknown input format for parameter \"VARS\"!", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, VARS = list(a = 1, a = 2)), "more than one `a`", class = "cowshed_error_argument")
  expect_error(memApply("x", 2, sum), "namespace field has to be set explicitly!", class = "cowshed_error_argument")
  expect_error(memApply(c("x", "y"), 2, sum, NAMESPACE = "n"), "has to be a single string", class = "cowshed_error_argument")
  expect_error(memLapply(c("a.csv", "b.csv"), identity), "as.list(X)", fixed = TRUE, class = "cowshed_error_argument")
  expect_error(memLapply("a.csv", identity), "as.list(X)", fixed = TRUE, class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, VARS = "y"), "namespace field has to be set explicitly!", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, CLUSTER = "fast"), "\"psock\", \"fork\", \"future\" or \"mirai\", not \"fast\"", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, CLUSTER = 2), "not an object of class numeric", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, MAX.CORES = 0), "`MAX.CORES`", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, chunk = -1), "`chunk`", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, seed = "a"), "`seed`", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, simplify = NA), "`simplify`", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, out = numeric(2)), "copyOnWrite = FALSE", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, sum, out = share(numeric(3), copyOnWrite = FALSE)), "room for 3 values, and there are 2 columns", class = "cowshed_error_argument")
  expect_error(memApply(x, 2, 5), "not a function")
})

test_that("simplify = TRUE gives what sapply() gives", {
  named <- list(a = 1:3, b = 4:6)
  for (f in list(sum, range, function(x) x[x > 2], function(x) "s")) {
    expect_identical(memLapply(named, f, simplify = TRUE, CLUSTER = workers), sapply(named, f))
  }
})

test_that("out is written in place, by every worker, and returned", {
  out <- share(numeric(6), copyOnWrite = FALSE)
  back <- memLapply(1:6, function(i) i^2, out = out, CLUSTER = workers)
  expect_identical(out[1:6], (1:6)^2)
  expect_true(is.shared(back))
  expect_invisible(memLapply(1:6, identity, out = out, CLUSTER = workers))
  columns <- share(matrix(0L, 2, 5), copyOnWrite = FALSE)
  memLapply(1:5, function(i) c(i, -i), out = columns, CLUSTER = workers)
  expect_identical(columns[1:2, ], rbind(1:5, -(1:5)))
  expect_error(memLapply(1:6, function(i) "a", out = out, CLUSTER = workers), "1 element of type character, which `out`, of type double", class = "cowshed_error_task")
  expect_error(memLapply(1:6, function(i) 1:2, out = out, CLUSTER = workers), "gave 2 elements of type integer, and `out` has room for 1", class = "cowshed_error_task")
  expect_identical(out[1:6], as.double(1:6))
})

test_that("large results arrive shared, small ones plain, and outlive the workers", {
  own <- parallel::makePSOCKcluster(2)
  made <- memLapply(1:4, function(i) if (i == 2) 2 else rep(i, 1e4), CLUSTER = own)
  tables <- memLapply(1:2, function(i) data.frame(a = rep(i, 1e4), b = 1:1e4), CLUSTER = own)
  parallel::stopCluster(own)
  gc()
  expect_identical(vapply(made, is.shared, TRUE), c(TRUE, FALSE, TRUE, TRUE))
  expect_identical(made, list(rep(1L, 1e4), 2, rep(3L, 1e4), rep(4L, 1e4)))
  expect_identical(tables, lapply(1:2, function(i) data.frame(a = rep(i, 1e4), b = 1:1e4)))
  expect_true(is.shared(tables[[1]]$a))
})

test_that("what FUN was made in comes along, and is shared once with what it is applied to", {
  big <- NULL
  in_frame <- function() {
    big <<- matrix(rnorm(1e5), 100)
    base <- 10
    captured <- big
    memApply(captured, 2, function(v) sum(v) + base + captured[1], CLUSTER = workers)
  }
  expect_equal(unlist(in_frame()), colSums(big) + 10 + big[1])
})

test_that("the workspace's variables and attached packages that FUN names reach workers of ours, and not those of others", {
  ended <- run_r({
    library(cowshed)
    library(splines)
    scale_by <- 3
    twice <- function(x) thrice(x) - x
    thrice <- function(x) x * scale_by
    makeActiveBinding("active", function() stop("called"), globalenv())
    answer(list(
      plain = memLapply(1:3, function(x) twice(x), MAX.CORES = 2),
      nested = (function(k) memLapply(1:3, function(x) twice(x) + k, MAX.CORES = 2))(100),
      attached = memLapply(1:2, function(x) dim(bs(1:10)), MAX.CORES = 2),
      left = memLapply(1:2, function(x) exists("scale_by", globalenv()), MAX.CORES = 2),
      given = condition_of(memLapply(1:3, function(x) twice(x), CLUSTER = parallel::makePSOCKcluster(1)))
    ))
  })
  expect_ended_well(ended)
  expect_identical(ended$answer$plain, list(2, 4, 6))
  expect_identical(ended$answer$nested, list(102, 104, 106))
  expect_identical(ended$answer$attached, list(c(10L, 3L), c(10L, 3L)))
  expect_identical(ended$answer$left, list(FALSE, FALSE))
  expect_match(ended$answer$given$message, "could not find function \"twice\"")
})

# All of these failed in the worker, or gave something else there.
test_that("what FUN needs reaches workers of ours: through captured functions, VARS, arguments not yet evaluated, S3 methods, and if FUN changes it", {
  ended <- run_r({
    library(cowshed)
    M <- function(...) memLapply(..., MAX.CORES = 2)
    offset <- 10
    weights <- c(1, 2, 3)
    helper <- function(x) x + offset
    through <- function(x, f) M(x, function(v) f(v))
    plus <- function(x, by) M(x, function(v) v + by)
    sums <- function(x, ...) M(x, function(v) sum(v, ...))
    summary.mine <- function(object, ...) helper(unclass(object))
    tools <- list(add = function(x) helper(x))
    answer(list(
      captured = through(1:2, function(x) helper(x)),
      named = through(1:2, helper),
      late = plus(1:2, offset * 2),
      dots = sums(1:2, offset),
      vars = M(1:2, function(x, f) f(x), VARS = list(f = function(z) helper(z))),
      s3 = M(list(structure(1, class = "mine")), summary),
      in_list = M(1:2, function(x) tools$add(x)),
      changed = M(1:2, function(x) { weights[x] <- 0; sum(weights) }),
      local = M(1:2, function(x) { offset <- x; offset }),
      given = condition_of(plus2 <- (function(by, cl) memLapply(1:2, function(v) v + by, CLUSTER = cl))(offset, parallel::makePSOCKcluster(1))),
      unused = (function(p) M(1:2, function(v) if (v > 5) p else v))(stop("not asked for")),
      after = {
        rm(summary.mine)
        M(1:2, function(x) ls(globalenv(), all.names = TRUE), seed = FALSE)
      }
    ))
  })
  expect_ended_well(ended)
  got <- ended$answer
  for (name in c("captured", "named", "vars", "in_list")) expect_identical(got[[name]], list(11, 12), info = name)
  expect_identical(got$dots, list(11, 12))
  expect_identical(got$late, list(21, 22))
  expect_identical(got$s3, list(11))
  expect_identical(got$changed, list(5, 4))
  expect_identical(got[c("local", "unused")], list(local = list(1L, 2L), unused = list(1L, 2L)))
  expect_null(got$given)
  expect_false(any(c("offset", "tools", "helper") %in% unlist(got$after)))
  expect_identical(grep("incorrect context", ended$out, value = TRUE), character())
})

test_that("names that a function reads before it assigns them", {
  reads <- cowshed:::read_first
  expect_setequal(reads(function(a) { x[1] <- a; y <- 1; y + z }), c("x", "z"))
  expect_setequal(reads(function(a, b = k) for (i in a) { k[i, ] <- i; s <- s + 1 }), c("k", "s"))
  expect_setequal(reads(function(a) { if (a) u <- 1 else w <- 2; c(u, w) }), c("u", "w"))
  expect_setequal(reads(function(a) { x$b[i]$c <- a; names(q) <- "n"; p <<- 1; f <- function(v) v + p2; quote(no) }), c("x", "i", "q", "p", "p2"))
  expect_setequal(reads(function(a) { x <- a; x[2] <- 3; a$no; ~no; g(1)(x) }), character())
})

test_that("workers of ours follow the session's directory and libraries", {
  ended <- run_r({
    library(cowshed)
    where <- function() unlist(memLapply(1, function(x) c(getwd(), .libPaths()[1]), MAX.CORES = 1))
    where()
    dir.create(in_scratch("lib"))
    setwd(scratch_dir)
    .libPaths(c(in_scratch("lib"), .libPaths()))
    answer(list(where(), c(getwd(), .libPaths()[1])))
  })
  expect_ended_well(ended)
  expect_identical(ended$answer[[1]], ended$answer[[2]])
})

test_that("what is written through is so in VARS, in an element, in what FUN captured", {
  live <- share(numeric(5000), copyOnWrite = FALSE)
  elements <- list(share(numeric(5000), copyOnWrite = FALSE), 2)
  memLapply(1:2, function(i, w) { w[i] <- i; NULL }, VARS = list(w = live), CLUSTER = workers)
  memLapply(3:4, function(i) { live[i] <- i; NULL }, CLUSTER = workers)
  memLapply(elements, function(w) { w[1] <- 7; NULL }, CLUSTER = workers)
  expect_identical(live[1:5], c(1, 2, 3, 4, 0))
  expect_identical(elements[[1]][1], 7)
})

test_that("a cluster is left as it was: no variable, no attached package, its random numbers where they were", {
  parallel::clusterSetRNGStream(workers, 5)
  before <- parallel::clusterEvalQ(workers, list(ls(globalenv(), all.names = TRUE), search(), .Random.seed))
  memLapply(1:10, function(i) rnorm(1), CLUSTER = workers)
  expect_identical(parallel::clusterEvalQ(workers, list(ls(globalenv(), all.names = TRUE), search(), .Random.seed)), before)
})

test_that("nothing remains in the store", {
  with_new_store({
    x <- matrix(rnorm(1e6), 1000)
    # Not made here: what functions capture is shared where it is, and stays so.
    repeated <- eval(quote(function(v) rep(v, 100)), globalenv())
    failing <- eval(quote(function(v, y) stop("no")), globalenv())
    failing_not <- eval(quote(function(v) sum(v)), globalenv())
    big <- memApply(x, 2, repeated, CLUSTER = workers)
    expect_gt(nrow(listSharedObjects()), 0)
    big <- NULL
    try(memApply(x, 2, failing, VARS = list(y = rnorm(1e6)), CLUSTER = workers), silent = TRUE)
    gc()
    expect_identical(nrow(listSharedObjects()), 0L)
    # Of little, the workers let go when R collects there.
    memApply(x[, 1:5], 2, failing_not, CLUSTER = workers)
    gc()
    parallel::clusterCall(workers, gc)
    expect_identical(nrow(listSharedObjects()), 0L)
  })
})

test_that("a matrix that the store has no room for is an error, and results that it has no room for come by value", {
  with_new_store({
    old <- options(cowshed.maxStore = 1e6)
    on.exit(options(old))
    expect_error(memApply(matrix(0, 1000, 1000), 2, sum, CLUSTER = workers), class = "cowshed_error_full")
    made <- memLapply(1:3, function(i) rep(i, 1e6), CLUSTER = workers)
    expect_identical(lengths(made), rep(1000000L, 3))
    expect_false(any(vapply(made, is.shared, TRUE)))
    expect_identical(nrow(listSharedObjects()), 0L)
  })
})

test_that("two sessions with the same script and namespace do not meet", {
  run <- function(seed) {
    start_r({
      library(cowshed)
      set.seed(seed)
      X <- matrix(rnorm(1e5), 100)
      y <- rnorm(100)
      got <- lapply(1:5, function(k) memApply(X, 2, function(v, y) sum(v * y), NAMESPACE = "same", VARS = list(y = y), MAX.CORES = 2))
      want <- as.list(colSums(X * y))
      quit("no", status = if (all(vapply(got, function(g) isTRUE(all.equal(g, want)), TRUE))) 0L else 3L)
    }, seed = seed)
  }
  both <- list(run(1), run(2))
  expect_identical(lapply(both, finish), list(0L, 0L))
})

parallel::stopCluster(workers)

test_that("rows of a matrix whose elements lie nowhere, as those of 1:n with dimensions", {
  # They came as NULL: 1:n travels as it is, and has no memory to read.
  x <- 1:1000
  dim(x) <- c(10, 100)
  expect_equal(memApply(x, 1, sum, MAX.CORES = 1), as.list(rowSums(x)))
  expect_equal(memApply(x, 2, sum, MAX.CORES = 1), as.list(colSums(x)))
})
