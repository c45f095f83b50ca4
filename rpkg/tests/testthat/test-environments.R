# Environments are shared where they are: what is bound in them becomes shared, and they stay the same objects.

test_that("an environment is shared in place, and returned", {
  v <- c(1.5, NA, 3)
  e <- environment_of(v = v, s = c("a", "b", NA), l = list(1:5, list(6:9)), short = 1, none = NULL)
  before <- as.list(e, sorted = TRUE)
  expect_itself(share(e), e)
  expect_identical(as.list(e, sorted = TRUE), before)
  expect_identical(
    is.shared(e, depth = 1), list(l = TRUE, none = FALSE, s = TRUE, short = FALSE, v = TRUE)
  )
  expect_false(is.shared(v))
})

test_that("all of an environment is in one segment, and what is in it twice there once", {
  local_store()
  v <- as.double(1:5000)
  e <- environment_of(a = v, b = v, l = list(v, environment_of(c = v)))
  share(e)
  expect_identical(nrow(listSharedObjects()), 1L)
  expect_identical(data_id(e$a), data_id(e$b))
  expect_identical(data_id(e$a), data_id(e$l[[1]]))
  expect_identical(data_id(e$a), data_id(e$l[[2]]$c))
})

test_that("environments that contain themselves and one another are shared once, and stay what they are", {
  e <- environment_of(v = 1:10)
  e$itself <- e
  e$list <- list(e, list(e, 1:5))
  other <- environment_of(back = e, w = c(1, 2, 3))
  e$other <- other
  x <- share(list(e, other, e))
  expect_true(identical(x[[1]], e) && identical(x[[2]], other) && identical(x[[3]], e))
  expect_true(identical(e$itself, e) && identical(e$list[[1]], e) && identical(e$list[[2]][[1]], e) && identical(other$back, e))
  expect_true(is.shared(e$v) && is.shared(e$list[[2]][[2]]) && is.shared(other$w))
  expect_identical(list(e$v, other$w, e$list[[2]][[2]]), list(1:10, c(1, 2, 3), 1:5))

  back <- elsewhere(x)
  expect_true(identical(back[[1]], back[[3]]) && identical(back[[1]]$itself, back[[1]]) && identical(back[[2]]$back, back[[1]]))
  expect_false(identical(back[[1]], e))
  expect_true(is.shared(back[[1]]$v))

  expect_itself(unshare(e), e)
  expect_false(is.shared(e))
  expect_false(is.shared(other$w))
  expect_identical(list(e$v, other$w, e$list[[2]][[2]]), list(1:10, c(1, 2, 3), 1:5))
  expect_true(identical(e$list[[2]][[1]], e))
})

test_that("a chain of environments is as long as you like", {
  first <- last <- environment_of(v = 1:3)
  for (i in 1:20000) last <- environment_of(of = last)
  expect_itself(share(last), last)
  expect_true(is.shared(first$v))
  expect_true(is.shared(last))
  unshare(last)
  expect_false(is.shared(first$v))
})

test_that("sharing an environment again makes nothing new, and something new in it alone is written", {
  local_store()
  e <- environment_of(v = as.double(1:5000), l = list(1:5, letters))
  e$itself <- e
  share(e)
  id <- data_id(e$v)
  expect_itself(share(e), e)
  expect_itself(share(e, copyOnWrite = TRUE), e)
  expect_identical(nrow(listSharedObjects()), 1L)
  e$w <- as.double(1:4000)
  share(e)
  expect_true(is.shared(e$w))
  expect_identical(data_id(e$v), id)
  expect_identical(nrow(listSharedObjects()), 2L)
  expect_lt(min(listSharedObjects()$size), 40000)
})

test_that("flags that are asked for reach what is shared already", {
  e <- share(environment_of(v = 1:10, s = letters))
  expect_warning(share(e, copyOnWrite = FALSE), NA)
  expect_false(getCopyOnWrite(e$v))
  expect_true(getCopyOnWrite(e$s))
  share(e)
  expect_false(getCopyOnWrite(e$v))
  e$v[2] <- 20L
  expect_identical(elsewhere(e)$v, c(1L, 20L, 3:10))
  expect_warning(share(environment_of(s = letters), copyOnWrite = FALSE), class = "cowshed_warning_strings")
})

test_that("locks stay as they were, and do not hinder", {
  e <- environment_of(a = 1:10, b = 11:20)
  lockBinding("a", e)
  lockEnvironment(e)
  share(e)
  expect_true(is.shared(e$a) && is.shared(e$b))
  expect_true(bindingIsLocked("a", e) && environmentIsLocked(e))
  expect_false(bindingIsLocked("b", e))
  expect_error(assign("a", 1, e), "locked")
  expect_error(assign("c", 1, e), "cannot add")
  unshare(e)
  expect_false(is.shared(e))
  expect_true(bindingIsLocked("a", e) && environmentIsLocked(e))
  expect_identical(list(e$a, e$b), list(1:10, 11:20))
})

test_that("an active binding is never called, and stays", {
  calls <- 0
  e <- environment_of(v = 1:10)
  makeActiveBinding("active", function() calls <<- calls + 1, e)
  share(e)
  expect_identical(is.shared(e, depth = 2), list(active = FALSE, v = TRUE))
  expect_identical(sharedObjectProperties(e, length), list(active = NULL, v = 10))
  is.shared(e)
  unshare(e)
  expect_identical(calls, 0)
  expect_true(bindingIsActive("active", e))
})

test_that("an unforced promise stays one, a forced one becomes its value", {
  forced <- 0
  e <- new.env(parent = emptyenv())
  delayedAssign("later", {forced <- forced + 1; 1:10}, assign.env = e)
  delayedAssign("done", {forced <- forced + 1; 11:20}, assign.env = e)
  e$done
  share(e)
  is.shared(e)
  expect_identical(is.shared(e, depth = 1), list(done = TRUE, later = FALSE))
  sharedObjectProperties(e)
  expect_identical(forced, 1)
  expect_identical(e$later, 1:10)
  expect_identical(forced, 2)
  expect_identical(e$done, 11:20)
  share(e)
  expect_true(is.shared(e$later))
})

test_that("environments that R finds by their names are left alone", {
  stats <- asNamespace("stats")
  for (e in list(globalenv(), baseenv(), emptyenv(), topenv(), stats, as.environment("package:stats"), parent.env(stats))) {
    expect_itself(share(e), e)
    expect_false(is.shared(share(e)))
    expect_itself(unshare(e), e)
    expect_error(share(e, mustWork = TRUE), class = "cowshed_error_unshareable")
    expect_false(is.shared(e, depth = 1))
    expect_null(sharedObjectProperties(e))
  }
})

test_that("neither the workspace nor what is attached is touched, whatever refers to them", {
  skip_without_processes()
  got <- run_r({
    library(cowshed)
    big <- runif(1000)
    attached <- list2env(list(held = runif(1000)))
    attach(attached, name = "held")
    model <- lm(dist ~ speed, cars)
    share(list(globalenv(), model, y ~ x, function() big, as.environment("held"), environment(mean), new.env()))
    share(globalenv())
    unshare(list(globalenv(), model))
    x <- share(list(held, globalenv()))
    answer(c(is.shared(big), is.shared(held), is.shared(model), is.shared(x)))
  })
  expect_ended_well(got)
  expect_identical(got$answer, c(FALSE, FALSE, FALSE, TRUE))
})

test_that("what a value has in its attributes is shared, unless attributes are not wanted", {
  of <- function() {
    e <- environment_of(v = 1:10)
    list(e = e, x = structure(c(1, 2, 3), env = e), f = structure(list(4:6), env = e))
  }
  a <- of()
  x <- share(a$x)
  expect_itself(attr(x, "env"), a$e)
  expect_true(is.shared(a$e$v))
  b <- of()
  share(list(b$x, b$f), sharedAttributes = FALSE)
  expect_false(is.shared(b$e$v))
  share(b$f)
  expect_true(is.shared(b$e$v))

  e <- structure(environment_of(v = 1:10), big = 1:20, class = c("k", "l", "m"))
  share(e, sharedAttributes = FALSE)
  expect_true(is.shared(e$v))
  expect_false(is.shared(attr(e, "big")))
  share(e)
  expect_true(is.shared(attr(e, "big")))
  expect_identical(attributes(e), list(big = 1:20, class = c("k", "l", "m")))
  expect_false(is.shared(attr(e, "class")))
  unshare(e)
  expect_false(is.shared(attr(e, "big")))
})

test_that("an environment's parent is not one of its parts; a function's environments are", {
  outer <- environment_of(v = 1:10)
  e <- new.env(parent = outer)
  e$w <- 1:5
  share(e)
  expect_false(is.shared(outer$v))
  e$f <- as.function(list(quote(v)), envir = e)
  expect_true(is.shared(share(e)))
  expect_true(is.shared(outer$v))
  expect_itself(parent.env(e), outer)
})

test_that("minLength is that of what is bound", {
  e <- share(environment_of(a = 1:5, b = 1:50), minLength = 10)
  expect_identical(is.shared(e, depth = 1), list(a = FALSE, b = TRUE))
  share(e)
  expect_identical(is.shared(e, depth = 1), list(a = TRUE, b = TRUE))
})

test_that("an error leaves every environment as it was", {
  local_store()
  inner <- environment_of(v = 1:10, s = quote(a))
  e <- environment_of(v = as.double(1:5000), inner = inner)
  expect_error(share(e, mustWork = TRUE), class = "cowshed_error_unshareable")
  expect_error(share(list(e, quote(a)), mustWork = TRUE), class = "cowshed_error_unshareable")
  expect_error(share(e, store = "/nonexistent/for/sure"), class = "cowshed_error_store")
  deep <- list(1:3)
  for (i in 1:20000) deep <- list(deep)
  inner$s <- deep
  expect_error(share(e), class = "cowshed_error")
  inner$s <- NULL
  expect_false(is.shared(e$v))
  expect_false(is.shared(inner$v))
  expect_false(is.shared(e))
  expect_identical(nrow(listSharedObjects()), 0L)
  expect_itself(share(e, mustWork = TRUE), e)
  expect_true(is.shared(inner$v))
})

test_that("a full store is an error, and leaves every environment as it was", {
  skip_without_processes()
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    e <- list2env(list(small = 1:100, big = runif(1e6)))
    error <- condition_of(share(e))
    answer(list(error = error, shared = is.shared(e), fine = is.shared(e$small), bound = sort(names(e))))
  }, store = at, under = in_tmpfs(at, "size=4m"))
  expect_ended_well(got)
  expect_condition_class(got$answer$error, "full")
  expect_identical(got$answer[-1], list(shared = FALSE, fine = FALSE, bound = c("big", "small")))
})

test_that("under mustWork an environment's bindings have to be shareable, as a list's elements", {
  nothing <- environment_of()
  expect_itself(share(nothing, mustWork = TRUE), nothing)
  expect_error(share(environment_of(s = quote(a)), mustWork = TRUE), "class <name>", class = "cowshed_error_unshareable")
  expect_error(share(list(environment_of(s = y ~ x)), mustWork = TRUE), "class <formula>", class = "cowshed_error_unshareable")
  # Those of a function's environments do not.
  f <- apart({s <- quote(a); v <- 1:10; function() v})
  expect_itself(share(f, mustWork = TRUE), f)
  expect_true(is.shared(environment(f)$v))
})

test_that("an environment arrives in another process with references in it", {
  skip_without_processes()
  with_new_store({
    e <- environment_of(v = as.double(1:1e5), s = rep(c("u", "v"), 5e4))
    e$itself <- e
    share(e)
    got <- run_r({
      e <- take("e")
      answer(list(sum(e$v), table(e$s)[["u"]], cowshed::is.shared(e), identical(e$itself, e), length(bytes_of("e"))))
    }, dir = put_in(scratch(), e, "e"))
    expect_ended_well(got)
    expect_identical(got$answer[1:4], list(sum(1:1e5), 50000L, TRUE, TRUE))
    expect_lt(got$answer[[5]], 1500)
  })
})

test_that("forked children share environments, each for itself", {
  skip_without_processes()
  skip_on_os("windows")
  got <- run_r({
    library(cowshed)
    e <- share(list2env(list(v = as.double(1:1e5))))
    back <- parallel::mclapply(1:2, function(i) {
      e$mine <- as.double(1:1e4) * i
      share(e)
    }, mc.cores = 2)
    answer(list(vapply(back, function(b) sum(b$mine), 0), vapply(back, is.shared, NA), is.shared(e$v), names(e)))
  })
  expect_ended_well(got)
  expect_identical(got$answer, list(sum(1:1e4) * c(1, 2), c(TRUE, TRUE), TRUE, "v"))
})

test_that("an R6 object is shared in place, and its methods work on it", {
  skip_if_not_installed("R6")
  Counted <- R6::R6Class("Counted",
    public = list(
      data = NULL,
      initialize = function(data) {
        self$data <- data
        private$hidden <- data * 2
      },
      total = function() sum(self$data, private$hidden),
      replace = function(data) self$data <- data
    ),
    private = list(hidden = NULL),
    active = list(first = function() stop("active"))
  )
  x <- Counted$new(as.double(1:1e4))
  expect_itself(share(x, mustWork = TRUE), x)
  expect_true(is.shared(x$data))
  expect_true(is.shared(x$.__enclos_env__$private$hidden))
  expect_identical(x$total(), 3 * sum(1:1e4))
  expect_lt(size_of(x), size_of(Counted$new(1)) + 1000)
  expect_identical(elsewhere(x)$total(), 3 * sum(1:1e4))
  copy <- x$clone()
  x$replace(c(1, 2, 3))
  expect_false(is.shared(x$data))
  expect_true(is.shared(copy$data))
  unshare(copy)
  expect_false(is.shared(copy))
  expect_identical(copy$data, as.double(1:1e4))
})
