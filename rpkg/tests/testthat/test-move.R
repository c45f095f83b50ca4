# move(): from one directory to another, attached or not; the workspace in test-mlazy-save.R's manner, in a process of its own.

test_that("a cached object moves with its file, and is not read", {
  a <- a_cache()
  b <- tempfile("b-")
  a$x <- 1:10
  a$y <- "y"
  mlazy(x, y, envir = a)
  Save.pos(a)
  mtidy(x, envir = a)
  inode <- function(dir, file) system2("stat", c("-c", "%i", file.path(dir, "mlazy", file)), stdout = TRUE)
  before <- inode(attr(a, "path"), "obj1.rda")
  expect_invisible(moved <- move(x, a, b))
  expect_identical(moved, "x")
  expect_identical(ls(a), "y")
  expect_identical(mcachees(a), "y")
  expect_identical(object_files(a), "obj2.rda")
  expect_identical(inode(b, "obj1.rda"), before)
  expect_identical(ls(reopened(a)), "y")
  there <- reopened(dir = b)
  expect_true(is_on_disk("x", there))
  expect_identical(there$x, 1:10)
})

test_that("several objects, ordinary and changed ones too; what is not there is a warning", {
  a <- a_cache()
  b <- a_cache()
  a$x <- 1
  a$ordinary <- "ordinary"
  mlazy(x, envir = a)
  a$x <- 2
  expect_warning(moved <- move(what = c("x", "ordinary", "none"), a, b), "'none'", class = "cowshed_warning_missing")
  expect_identical(moved, c("x", "ordinary"))
  expect_identical(mget(c("x", "ordinary"), b), list(x = 2, ordinary = "ordinary"))
  expect_identical(mcachees(b), "x")
  expect_identical(ls(a), character())
  expect_identical(mget(c("x", "ordinary"), reopened(b)), list(x = 2, ordinary = "ordinary"))
})

test_that("a copy is a file of its own", {
  a <- a_cache()
  b <- a_cache()
  a$x <- 1:10
  mtidy(x, envir = a)
  Save.pos(a)
  move(x, a, b, copy = TRUE)
  expect_identical(a$x, 1:10)
  expect_identical(b$x, 1:10)
  close(file(file.path(attr(a, "path"), "mlazy", "obj1.rda"), "wb"))
  expect_identical(reopened(b)$x, 1:10)
})

test_that("an object in the way stays, unless it may be replaced", {
  a <- a_cache()
  b <- a_cache()
  for (name in c("cached", "ordinary")) {
    a[[name]] <- "new"
    b[[name]] <- "old"
  }
  mlazy(cached, envir = a)
  mlazy(ordinary, envir = b)
  expect_warning(moved <- move(what = c("cached", "ordinary"), a, b), class = "cowshed_warning_exists")
  expect_identical(moved, character())
  expect_identical(b$cached, "old")
  move(what = c("cached", "ordinary"), a, b, overwrite.by.default = TRUE)
  expect_identical(mget(c("cached", "ordinary"), reopened(b)), list(cached = "new", ordinary = "new"))
  expect_identical(mcachees(b), "cached")
  expect_length(object_files(b), 1L)
})

test_that("places are said with or without quotes, as strings in variables, or as caches", {
  a <- a_cache()
  dir <- tempfile("b-")
  for (name in c("u", "v", "w")) a[[name]] <- name
  home <- attr(a, "path")
  Save.pos(a)
  move("u", home, dir)
  move(what = "v", from = home, to = dir)
  e <- reopened(dir = home)
  move(w, e, to = dir)
  expect_identical(ls(reopened(dir = dir)), c("u", "v", "w"))
  expect_identical(ls(reopened(dir = home)), character())
  expect_error(move(u, dir, dir), "same place", class = "cowshed_error_argument")
  expect_error(move(u, "/no/such/directory", dir), "/no/such/directory", class = "cowshed_error_argument")
  expect_error(move(u, dir, home, home), class = "cowshed_error_argument")
  expect_error(move(), class = "cowshed_error_argument")
})

test_that("what comes into the workspace stays saved where it was until that is saved", {
  skip_without_processes()
  a <- a_cache()
  a$x <- 1:10
  a$y <- "y"
  mlazy(x, envir = a)
  Save.pos(a)
  workspace <- tempfile("workspace-")
  dir.create(workspace)
  got <- run_r({
    setwd(workspace)
    library(cowshed)
    evalq({
      move(x, from, .)
      stayed <- { n <- new.env(); load.refdb(envir = n, fpath = from); ls(n) }
      rm(n)
      x[1] <- 100L
      Save()
      gone <- { n <- new.env(); load.refdb(envir = n, fpath = from); ls(n) }
      dir.create("inside")
      move(x, ., inside)
      Save()
    }, list2env(list(from = from), .GlobalEnv))
    answer(mget(c("stayed", "gone"), .GlobalEnv))
  }, workspace = workspace, from = attr(a, "path"))
  expect_ended_well(got)
  expect_identical(got$answer, list(stayed = c("x", "y"), gone = "y"))
  expect_identical(reopened(dir = file.path(workspace, "inside"))$x, c(100L, 2:10))
  expect_false("x" %in% ls(reopened(dir = workspace)))
})

test_that("an error on the way leaves the object where it was", {
  a <- a_cache()
  a$x <- 1:10
  mtidy(x, envir = a)
  Save.pos(a)
  b <- a_cache()
  makeActiveBinding("trouble", function() stop("not now"), b)
  expect_error(move(x, a, b), "not now")
  expect_identical(a$x, 1:10)
  expect_identical(reopened(a)$x, 1:10)
})
