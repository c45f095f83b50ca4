# attach.mlazy(), load.refdb(), setup.mcache(): what was saved is there, and read when it is used.

test_that("attach.mlazy() makes a directory, and attaches what is saved there", {
  dir <- file.path(tempfile("deep-"), "cache")
  e <- attach.mlazy(dir, name = "test:cache")
  on.exit(if ("test:cache" %in% search()) detach("test:cache"))
  expect_true(dir.exists(dir))
  expect_identical(search()[[2]], "test:cache")
  expect_identical(e, as.environment("test:cache"), ignore_attr = TRUE)
  expect_identical(attr(e, "path"), dir)
  assign("x", 1:10, "test:cache")
  mlazy(x, envir = "test:cache")
  Save.pos("test:cache")
  detach("test:cache")
  attach.mlazy(dir, pos = 3, name = "test:cache")
  expect_identical(search()[[3]], "test:cache")
  expect_identical(mcachees(3), "x")
  expect_true(is_on_disk("x", 3))
  expect_identical(get("x", 3), 1:10)
  detach("test:cache")
  attach.mlazy(dir)
  expect_match(search()[[2]], "^data:.*:cache$")
  detach(2)
  for (bad in list(1, character(), NA_character_)) expect_error(attach.mlazy(bad), class = "cowshed_error_argument")
  expect_error(attach.mlazy(dir, pos = 1), class = "cowshed_error_argument")
})

test_that("a directory whose image is damaged is not attached", {
  dir <- tempfile("damaged-")
  dir.create(dir)
  writeLines("no image", file.path(dir, ".RData"))
  before <- search()
  caught <- expect_error(attach.mlazy(dir), class = "cowshed_error_corrupt")
  expect_match(conditionMessage(caught), dir, fixed = TRUE)
  expect_identical(search(), before)
})

test_that("opening reads no object's file", {
  e <- a_cache()
  for (name in letters) e[[name]] <- name
  mlazy(what = letters, envir = e)
  Save.pos(e)
  for (file in object_files(e)) writeLines("none", file.path(attr(e, "path"), "mlazy", file))
  again <- reopened(e)
  expect_identical(ls(again), letters)
  expect_true(all(mcachees(again, details = TRUE)$state == "on disk"))
})

test_that("load.refdb() gives names, or NULL where there is no image", {
  e <- a_cache()
  expect_null(load.refdb(envir = e))
  expect_null(load.refdb(file.path(attr(e, "path"), "none.RData"), e))
  e$x <- 1
  e$.h <- 2
  mlazy(x, envir = e)
  Save.pos(e)
  n <- new.env()
  expect_invisible(names <- load.refdb(envir = n, fpath = attr(e, "path")))
  expect_identical(names, c(".h", "x"))
  expect_identical(attr(n, "path"), attr(e, "path"))
  expect_error(load.refdb(envir = new.env()), class = "cowshed_error_argument")
  # By the file alone.
  n <- new.env()
  load.refdb(file.path(attr(e, "path"), ".RData"), n)
  expect_identical(n$x, 1)
})

test_that("a missing file is a warning that names it and its object, which is left out", {
  e <- a_cache()
  e$x <- 1
  e$y <- 2
  mlazy(x, y, envir = e)
  Save.pos(e)
  file <- file.path(attr(e, "path"), "mlazy", "obj1.rda")
  unlink(file)
  expect_warning(again <- reopened(e), paste0("Can't find file \"", file, "\"; deleting object \"x\""), fixed = TRUE, class = "cowshed_warning_gone")
  expect_identical(ls(again), "y")
  expect_identical(mcachees(again), "y")
})

test_that("files of the old layout go into the directory where they are looked for", {
  e <- a_cache()
  e$x <- 1:3
  e$y <- 4
  mlazy(x, y, envir = e)
  Save.pos(e)
  dir <- attr(e, "path")
  old <- tempfile("old-")
  dir.create(old)
  file.copy(file.path(dir, c(".RData", "mlazy/obj1.rda", "mlazy/obj2.rda")), old)
  writeLines("another file", file.path(old, "obj3.rda"))
  again <- reopened(dir = old)
  expect_identical(again$x, 1:3)
  expect_identical(list.files(old), c("mlazy", "obj3.rda"))
  expect_identical(object_files(dir = old), c("obj1.rda", "obj2.rda"))
})

test_that("setup.mcache() makes cached objects of what load() leaves", {
  e <- a_cache()
  e$x <- 1:3
  e$y <- "y"
  mlazy(x, envir = e)
  Save.pos(e)
  n <- new.env()
  load(file.path(attr(e, "path"), ".RData"), n)
  expect_null(setup.mcache(n, attr(e, "path")))
  expect_identical(ls(n, all.names = TRUE), c("x", "y"))
  expect_identical(n$x, 1:3)
  n$x <- "lost"
  setup.mcache(n, refs = "x")
  expect_identical(n$x, 1:3)
  expect_identical(attr(n, "mcache")[["x"]], 1)
  expect_error(setup.mcache(n, refs = "y"), class = "cowshed_error_argument")
  expect_null(setup.mcache(new.env(), attr(e, "path")))
})

test_that("entries that make no sense are left out, with a warning", {
  e <- a_cache()
  e$x <- 1
  mlazy(x, envir = e)
  Save.pos(e)
  n <- new.env()
  n$.mcache00 <- c(x = -1, a = NA, b = 0.5, c = 0, x = 2)
  expect_warning(setup.mcache(n, attr(e, "path")), class = "cowshed_warning_corrupt")
  expect_identical(mcachees(n), "x")
  expect_identical(n$x, 1)
})

test_that("attaching the package makes cached objects of what R loaded at its start", {
  skip_without_processes()
  e <- a_cache()
  e$x <- 1:10
  mlazy(x, envir = e)
  Save.pos(e)
  got <- run_r({
    setwd(home)
    load(".RData", .GlobalEnv)
    library(cowshed)
    answer(list(names = ls(.GlobalEnv, pattern = "^[.]mcache|^x$", all.names = TRUE), cached = mcachees(), x = get("x", .GlobalEnv)))
  }, home = attr(e, "path"))
  expect_ended_well(got)
  expect_identical(got$answer, list(names = "x", cached = "x", x = 1:10))
  # Started elsewhere: nothing is thrown away.
  got <- run_r({
    load(file.path(home, ".RData"), .GlobalEnv)
    told <- tryCatch(library(cowshed), packageStartupMessage = conditionMessage)
    library(cowshed)
    setup.mcache(.GlobalEnv, home)
    answer(list(told = told, x = get("x", .GlobalEnv)))
  }, home = attr(e, "path"))
  expect_ended_well(got)
  expect_match(got$answer$told, "setup.mcache")
  expect_identical(got$answer$x, 1:10)
})
