# Save(), Save.pos(): what is written, and what is not.

test_that("an image has the ordinary objects and tells of the cached; each file loads with load()", {
  e <- a_cache()
  e$x <- 1:10
  e$y <- "ordinary"
  e$.z <- TRUE
  mlazy(x, envir = e)
  expect_null(expect_invisible(Save.pos(e)))
  n <- new.env()
  load(file.path(attr(e, "path"), ".RData"), n)
  expect_identical(ls(n, all.names = TRUE), c(".mcache00", ".z", "y"))
  expect_identical(as.vector(n$.mcache00), 1)
  expect_identical(names(n$.mcache00), "x")
  expect_identical(attr(n$.mcache00, "info")$x$length, 10L)
  expect_identical(load(file.path(attr(e, "path"), "mlazy", "obj1.rda"), n), "x")
  expect_identical(n$x, 1:10)
})

test_that("only what has changed is written, and nothing when nothing has", {
  e <- a_cache()
  for (name in letters) e[[name]] <- name
  mlazy(what = letters, envir = e)
  Save.pos(e)
  about <- function() {
    files <- list.files(attr(e, "path"), "RData$|^obj", all.files = TRUE, recursive = TRUE, full.names = TRUE)
    file.info(files, extra_cols = FALSE)[c("size", "mtime")]
  }
  before <- about()
  Sys.sleep(0.05)
  Save.pos(e)
  expect_identical(about(), before)
  e$c <- "changed"
  Save.pos(e)
  after <- about()
  expect_identical(setdiff(rownames(after), rownames(before)), file.path(attr(e, "path"), "mlazy", "obj27.rda"))
  expect_identical(setdiff(rownames(before), rownames(after)), file.path(attr(e, "path"), "mlazy", "obj3.rda"))
  unchanged <- grep("obj", intersect(rownames(after), rownames(before)), value = TRUE)
  expect_identical(after[unchanged, ], before[unchanged, ])
  # The lowest number that is free.
  e$d <- "changed too"
  Save.pos(e)
  expect_true("obj3.rda" %in% object_files(e))
})

test_that("an object that was removed and made again is the new one, and an ordinary one", {
  e <- a_cache()
  e$x <- "old"
  e$y <- "old"
  mlazy(x, y, envir = e)
  Save.pos(e)
  rm("x", "y", envir = e)
  e$x <- "new"
  e$y <- "new"
  mlazy(y, envir = e)
  Save.pos(e)
  again <- reopened(e)
  expect_identical(again$x, "new")
  expect_identical(again$y, "new")
  expect_identical(mcachees(again), "y")
  expect_length(object_files(e), 1L)
})

test_that("files of removed objects go", {
  e <- a_cache()
  e$x <- 1
  e$y <- 2
  mlazy(x, y, envir = e)
  Save.pos(e)
  rm("x", envir = e)
  Save.pos(e)
  expect_identical(object_files(e), "obj2.rda")
  expect_identical(mcachees(e), "y")
})

test_that("a copy is whole, and the cache itself is as it was", {
  e <- a_cache()
  e$x <- 1:10
  e$y <- "y"
  e$z <- "ordinary"
  mlazy(x, y, envir = e)
  Save.pos(e)
  mtidy(y, envir = e)
  e$x <- "changed"
  copy <- tempfile("copy-")
  Save.pos(e, copy)
  there <- reopened(dir = copy)
  expect_identical(mget(c("x", "y", "z"), there), list(x = "changed", y = "y", z = "ordinary"))
  expect_true(is_on_disk("y", e))
  expect_identical(attr(e, "mcache")[["x"]], -1)
  expect_identical(reopened(e)$x, 1:10)
  unlink(copy, recursive = TRUE)
  Save.pos(e)
  expect_identical(reopened(e)$x, "changed")
  # A file beside the image: what it refers to stays.
  Save.pos(e, file.path(attr(e, "path"), "before.RData"))
  e$x <- "later"
  Save.pos(e)
  before <- new.env()
  load.refdb(file.path(attr(e, "path"), "before.RData"), before, fpath = attr(e, "path"))
  expect_identical(before$x, "changed")
})

test_that("a name of ours that the user has is kept for him", {
  e <- a_cache()
  e$.mcache00 <- c(mine = 17)
  e$x <- 1
  Save.pos(e)
  expect_identical(reopened(e)$.mcache00, c(mine = 17))
  mlazy(x, envir = e)
  Save.pos(e)
  again <- reopened(e)
  expect_identical(again$.mcache00, c(mine = 17))
  expect_identical(again$x, 1)
})

test_that("what is not to be saved is not", {
  e <- a_cache()
  e$last.warning <- 1
  e$x <- 1
  Save.pos(e)
  expect_identical(ls(reopened(e)), "x")
  old <- options(dont.Save = "x")
  on.exit(options(old))
  Save.pos(e)
  expect_identical(ls(reopened(e)), "last.warning")
})

test_that("every way to compress is written and read; another is refused", {
  old <- options(mvbutils.compress = NULL, mvbutils.compression_level = NULL)
  on.exit(options(old))
  value <- rep(letters, 1000)
  sizes <- vapply(list(TRUE, "gzip", FALSE, "bzip2", "xz"), function(compress) {
    options(mvbutils.compress = compress)
    e <- a_cache()
    e$x <- value
    e$y <- value
    mlazy(x, envir = e)
    Save.pos(e)
    again <- reopened(e)
    expect_identical(again$x, value)
    expect_identical(again$y, value)
    file.size(file.path(attr(e, "path"), "mlazy", "obj1.rda"))
  }, 0)
  expect_identical(sizes[[1]], sizes[[2]])
  expect_gt(sizes[[3]], 10 * sizes[[1]])
  options(mvbutils.compress = TRUE, mvbutils.compression_level = 0)
  e <- a_cache()
  e$x <- value
  mlazy(x, envir = e)
  expect_gt(file.size(file.path(attr(e, "path"), "mlazy", "obj1.rda")), 10 * sizes[[1]])
  options(mvbutils.compress = "zip", mvbutils.compression_level = NULL)
  expect_error(Save.pos(e), "mvbutils.compress", class = "cowshed_error_argument")
  options(mvbutils.compress = TRUE)
  Save.pos(e, ascii = TRUE)
  expect_identical(reopened(e)$x, value)
})

test_that("an error while saving leaves what was saved, and Save() can be called again", {
  e <- a_cache()
  e$x <- 1
  e$y <- 2
  mlazy(x, y, envir = e)
  Save.pos(e)
  before <- object_files(e)
  e$x <- 10
  makeActiveBinding("z", function() stop("not now"), e)
  expect_error(Save.pos(e), "not now")
  expect_identical(object_files(e), before)
  expect_identical(list.files(attr(e, "path"), "new", all.files = TRUE, recursive = TRUE), character())
  expect_identical(reopened(e)$x, 1)
  expect_identical(attr(e, "mcache")[["x"]], -1)
  rm("z", envir = e)
  Save.pos(e)
  expect_identical(reopened(e)$x, 10)
})

test_that("an object whose file somebody removed is saved from memory", {
  e <- a_cache()
  e$x <- 1:10
  mlazy(x, envir = e)
  Save.pos(e)
  unlink(file.path(attr(e, "path"), "mlazy", "obj1.rda"))
  Save.pos(e)
  expect_identical(reopened(e)$x, 1:10)
})

test_that("options(mlazy.subdir = FALSE) puts files beside the image, and touches no others", {
  old <- options(mlazy.subdir = FALSE)
  on.exit(options(old))
  e <- a_cache()
  dir <- attr(e, "path")
  mine <- file.path(dir, "obj1.rda")
  writeLines("the user's", mine)
  e$x <- 1
  e$y <- 2
  mlazy(x, y, envir = e)
  Save.pos(e)
  expect_setequal(list.files(dir), c("obj1.rda", "obj2.rda", "obj3.rda"))
  expect_identical(abs(lsize(e)[["x"]]), file.size(file.path(dir, "obj2.rda")))
  e$x <- 10
  rm("y", envir = e)
  Save.pos(e)
  expect_setequal(list.files(dir), c("obj1.rda", "obj4.rda"))
  expect_identical(readLines(mine), "the user's")
  options(mlazy.subdir = TRUE)
  again <- reopened(e)
  expect_setequal(list.files(dir), c("obj1.rda", "mlazy"))
  expect_identical(again$x, 10)
  expect_identical(e$x, 10)
})

test_that("a session that finds another one's image says so, and replaces it", {
  e <- a_cache()
  e$x <- 1
  mlazy(x, envir = e)
  Save.pos(e)
  other <- reopened(e)
  other$x <- 2
  other$more <- "more"
  Save.pos(other)
  e$x <- 3
  expect_warning(Save.pos(e), class = "cowshed_warning_saved_elsewhere")
  expect_silent(Save.pos(e))
  expect_identical(as.list(reopened(e)), list(x = 3))
  # What another one still may read stays.
  expect_identical(other$x, 2)
})

test_that("Save() saves the workspace where the package was loaded, whatever the directory is now", {
  skip_without_processes()
  dir <- tempfile("workspace-")
  dir.create(dir)
  got <- run_r({
    setwd(home)
    library(cowshed)
    setwd(tempdir())
    assign("x", 1:10, envir = .GlobalEnv)
    assign("y", "ordinary", envir = .GlobalEnv)
    mlazy(x)
    Save()
    answer(list(path = attr(.GlobalEnv, "path"), here = list.files(all.files = TRUE, no.. = TRUE)))
  }, home = dir)
  expect_ended_well(got)
  expect_identical(normalizePath(got$answer$path), normalizePath(dir))
  expect_false(any(c(".RData", "mlazy") %in% got$answer$here))
  again <- reopened(dir = dir)
  expect_identical(again$x, 1:10)
  expect_identical(again$y, "ordinary")
})
