# mlazy(), mtidy(), demlazy(), mcachees(): what an object is and does once it is cached.

test_that("a cached object is what it was, whatever its name, type and value", {
  values <- list(
    x = 1:10, value = "a", cell = list(1, "b"), loaded = NULL, envir = pi, mc = c(a = 1), file = letters, home = TRUE, `a b` = 1i, `a/b` = as.raw(1:3),
    .hidden = factor("q"), `if` = quote(a + b), `...x` = character(), f = function(x) x + 1, s4 = methods::new("numeric"),
    df = data.frame(a = 1:3, b = letters[1:3]), formula = y ~ x, matrix = matrix(1:6, 2), missing = 0L, `TRUE ` = NA
  )
  # This function's frame would come along.
  environment(values$f) <- attr(values$formula, ".Environment") <- globalenv()
  values[["\u00fc \u4e2d"]] <- "\u00fc"
  e <- a_cache()
  list2env(values, e)
  expect_null(mlazy(what = names(values), envir = e))
  expect_identical(mcachees(e), names(values))
  for (name in names(values)) {
    expect_true(bindingIsActive(as.name(name), e))
    expect_identical(e[[name]], values[[name]], info = name)
  }
  expect_identical(mtidy(envir = e), names(values))
  for (name in names(values)) {
    expect_true(is_on_disk(name, e))
    expect_identical(get(name, e), values[[name]], info = name)
  }
})

test_that("the missing argument, promises and other active bindings can be cached", {
  e <- a_cache()
  e$absent <- quote(expr = )
  delayedAssign("promised", 6 * 7, assign.env = e)
  makeActiveBinding("made", function() "by a function", e)
  mtidy(absent, promised, made, envir = e)
  expect_identical(e[["absent"]], quote(expr = ))
  expect_identical(e$promised, 42)
  expect_identical(e$made, "by a function")
  demlazy(envir = e)
  expect_identical(e[["absent"]], quote(expr = ))
  expect_false(bindingIsActive("made", e))
})

test_that("names come without quotes, as strings, or as `what`; anything else is refused", {
  e <- a_cache()
  e$a <- 1
  e$b <- 2
  e$`c d` <- 3
  mlazy(a, "b", `c d`, envir = e)
  expect_identical(mcachees(e), c("a", "b", "c d"))
  expect_error(mlazy(c("a", "b"), envir = e), class = "cowshed_error_argument")
  expect_error(mlazy(what = 1, envir = e), class = "cowshed_error_argument")
  expect_error(mlazy(a, envir = "no such place"), class = "cowshed_error_argument")
  expect_error(mlazy(a, envir = e, save.now = NA), class = "cowshed_error_argument")
  expect_error(mlazy(a, envir = e, format = "zip"), class = "cowshed_error_argument")
  expect_null(mlazy(envir = e))
})

test_that("what does not exist is a warning, and the others are cached", {
  e <- a_cache()
  expect_warning(expect_null(mlazy(nowhere_at_all, envir = e)), "^nothing exists to be mlazyed$")
  e$a <- 1
  expect_warning(mlazy(a, nowhere_at_all, envir = e), "nothing exists to be mlazyed: \"nowhere_at_all\"", class = "cowshed_warning_missing")
  expect_identical(mcachees(e), "a")
})

test_that("an environment without a directory is refused, and nothing has changed", {
  e <- new.env()
  e$a <- 1
  expect_error(mlazy(a, envir = e), "path", class = "cowshed_error_argument")
  expect_error(mtidy(a, envir = e), "path", class = "cowshed_error_argument")
  expect_false(bindingIsActive("a", e))
})

test_that("an object that is somewhere else is moved to the cache first; packages keep theirs", {
  e <- a_cache()
  f <- function() {
    inner <- 1:3
    mlazy(inner, envir = e)
    exists("inner", inherits = FALSE)
  }
  expect_false(f())
  expect_identical(e$inner, 1:3)
  expect_warning(mlazy(letters, envir = e), "nothing exists")
  expect_false(exists("letters", e, inherits = FALSE))
})

test_that("an assignment marks the object and says what it is now", {
  e <- a_cache()
  e$x <- 1:3
  e$y <- 1
  mlazy(x, y, envir = e)
  expect_identical(as.vector(attr(e, "mcache")), c(1, 2))
  e$x[[2]] <- 7.5
  mcache <- attr(e, "mcache")
  expect_identical(c(mcache), c(x = -1, y = 2), ignore_attr = "info")
  expect_identical(attr(mcache, "info")$x$class, "numeric")
  e$x <- matrix(1:6, 2)
  expect_identical(attr(attr(e, "mcache"), "info")$x$dim, 2:3)
  expect_identical(names(attr(attr(e, "mcache"), "info")$x), c("mode", "class", "dim", "length", "object.size"))
})

test_that("mtidy() writes changes to a new file, and frees the memory", {
  e <- a_cache()
  e$x <- 1:10
  mlazy(x, envir = e)
  e$x[1] <- 100L
  expect_identical(mcachees(e, details = TRUE)$state, "changed")
  expect_identical(mtidy(x, envir = e), "x")
  expect_true(is_on_disk("x", e))
  # No saved image knew the first.
  expect_identical(object_files(e), "obj2.rda")
  expect_identical(e$x, c(100L, 2:10))
  expect_identical(mtidy(what = character(), envir = e), character())
  expect_identical(mtidy(envir = a_cache()), character())
})

test_that("with save.now = FALSE the file is written by the next Save", {
  e <- a_cache()
  e$x <- 1
  mlazy(x, envir = e, save.now = FALSE)
  expect_identical(object_files(e), character())
  expect_true(attr(e, "mcache")[["x"]] < 0)
  Save.pos(e)
  expect_identical(object_files(e), "obj1.rda")
  expect_identical(reopened(e)$x, 1)
})

test_that("demlazy() makes ordinary objects, and their files go", {
  e <- a_cache()
  e$x <- 1:3
  e$y <- "y"
  e$z <- "z"
  mtidy(x, y, envir = e)
  expect_null(demlazy(x, z, envir = e))
  expect_identical(mcachees(e), "y")
  expect_false(bindingIsActive("x", e))
  expect_identical(e$x, 1:3)
  expect_identical(object_files(e), "obj2.rda")
  expect_null(demlazy(envir = e))
  expect_identical(mcachees(e), character())
  expect_identical(object_files(e), character())
})

test_that("a file that demlazy() takes away is there as long as the saved image refers to it", {
  e <- a_cache()
  e$x <- 1:3
  mlazy(x, envir = e)
  Save.pos(e)
  demlazy(x, envir = e)
  expect_identical(object_files(e), ".obj1.rda")
  # A session that finds the old image puts it back.
  again <- reopened(e)
  expect_identical(again$x, 1:3)
  expect_identical(object_files(e), "obj1.rda")
  rm(again)
  Save.pos(e)
  expect_identical(object_files(e), character())
})

test_that("locks of bindings stay, and a locked environment is refused before anything happens", {
  e <- a_cache()
  e$x <- 1
  lockBinding("x", e)
  mlazy(x, envir = e)
  expect_error(assign("x", 2, envir = e), "locked")
  expect_identical(e$x, 1)
  demlazy(x, envir = e)
  expect_true(bindingIsLocked("x", e))
  lockEnvironment(e)
  expect_error(mlazy(x, envir = e), "locked", class = "cowshed_error_argument")
  expect_identical(object_files(e), character())
})

test_that("a file that is gone or damaged is an error that names it, each time, until it is back", {
  e <- a_cache()
  e$x <- sqrt(1:1000)
  mtidy(x, envir = e)
  file <- file.path(attr(e, "path"), "mlazy", "obj1.rda")
  bytes <- readBin(file, "raw", 1e5)
  unlink(file)
  for (i in 1:2) {
    caught <- expect_error(e$x, class = "cowshed_error_gone")
    expect_match(conditionMessage(caught), file, fixed = TRUE)
    expect_match(conditionMessage(caught), "'x'", fixed = TRUE)
  }
  for (bad in list(raw(), bytes[1:100], head(bytes, -1), as.raw(1:200), replace(bytes, 500, xor(bytes[500], as.raw(1))))) {
    writeBin(bad, file)
    caught <- expect_error(e$x, class = "cowshed_error_corrupt")
    expect_match(conditionMessage(caught), file, fixed = TRUE)
  }
  other <- 1
  save(other, file = file)
  expect_error(e$x, "it holds 'other'", class = "cowshed_error_corrupt")
  writeBin(bytes, file)
  expect_identical(e$x, sqrt(1:1000))
})

test_that("what changes without an assignment is written again, if it did change", {
  e <- a_cache()
  e$env <- new.env(parent = globalenv())
  e$env$a <- 1
  e$data <- structure(list(1), pointer = methods::new("externalptr"))
  mlazy(env, data, envir = e)
  Save.pos(e)
  before <- object_files(e)
  Save.pos(e)
  expect_identical(object_files(e), before)
  e$env$a <- 2
  Save.pos(e)
  expect_false(identical(object_files(e), before))
  expect_identical(reopened(e)$env$a, 2)
  e$env$a <- 3
  mtidy(envir = e)
  expect_identical(e$env$a, 3)
})

test_that("the format of a cached object is what one says, and mlazy() changes it", {
  e <- a_cache()
  e$x <- as.numeric(1:1000)
  e$y <- "y"
  mlazy(x, envir = e, format = "segment")
  old <- options(mlazy.format = "segment")
  mlazy(y, envir = e)
  options(old)
  expect_identical(object_files(e), c("obj1.seg", "obj2.seg"))
  mtidy(envir = e)
  expect_identical(mcachees(e, details = TRUE)$format, c("segment", "segment"))
  expect_identical(e$x, as.numeric(1:1000))
  e$x[1] <- 5
  mtidy(x, envir = e)
  expect_identical(mcachees(e, details = TRUE)$format[1], "segment")
  mlazy(y, envir = e, format = "rda")
  Save.pos(e)
  again <- reopened(e)
  expect_identical(mcachees(again, details = TRUE)$format, c("segment", "rda"))
  expect_identical(again$x, c(5, 2:1000))
  expect_identical(again$y, "y")
})

test_that("the index is in line with what is cached, also after removals, wherever R is", {
  old <- options(mlazy.index = TRUE)
  on.exit(options(old))
  e <- a_cache()
  index <- file.path(attr(e, "path"), "mlazy", "obj.ind")
  e$x <- 1
  e$`a b` <- 2
  e$z <- 3
  mlazy(x, `a b`, z, envir = e)
  expect_identical(readLines(index), c("x\t1", "a b\t2", "z\t3"))
  demlazy(x, envir = e)
  expect_identical(readLines(index), c("a b\t2", "z\t3"))
  rm("z", envir = e)
  Save.pos(e)
  expect_identical(readLines(index), "a b\t2")
  expect_false(file.exists("obj.ind"))
  demlazy(envir = e)
  expect_identical(readLines(index), character())
  options(mlazy.index = FALSE)
  unlink(index)
  e$x <- 1
  mlazy(x, envir = e)
  expect_false(file.exists(index))
  expect_null(mupdate.mcache.index.if.opt(mlazy.index = TRUE, env = e))
  expect_match(readLines(index), "^x\t[0-9]+$")
})

test_that("mcachees() tells all about them, and reads none", {
  e <- a_cache()
  expect_identical(mcachees(e), character())
  expect_identical(nrow(mcachees(e, details = TRUE)), 0L)
  e$x <- matrix(0, 100, 10)
  e$y <- "y"
  mlazy(x, y, envir = e)
  mtidy(x, envir = e)
  e$y <- "other"
  details <- mcachees(e, details = TRUE)
  expect_s3_class(details, c("mcachees", "data.frame"), exact = TRUE)
  expect_identical(names(details), c("object", "number", "format", "size", "state", "class", "dim"))
  expect_identical(details$state, c("on disk", "changed"))
  expect_identical(details$size[1], file.size(file.path(attr(e, "path"), "mlazy", "obj1.rda")))
  expect_identical(details$dim, c("100 x 10", ""))
  expect_match(details$class[1], "matrix")
  expect_output(print(details), "2 cached objects")
  expect_output(print(details[, c("object", "state")]), "on disk")
  expect_true(is_on_disk("x", e))
})

test_that("going through an environment works as with any; ls(), exists() and share() read nothing", {
  e <- a_cache()
  e$x <- as.numeric(1:100)
  e$y <- "y"
  mtidy(x, y, envir = e)
  expect_identical(ls(e), c("x", "y"))
  expect_true(exists("x", e))
  share(e)
  expect_true(is_on_disk("x", e))
  expect_identical(eapply(e, length)[c("x", "y")], list(x = 100L, y = 1L))
  expect_identical(get0("x", e), as.numeric(1:100))
  expect_identical(with(e, sum(x)), 5050)
  expect_output(str(mget("y", envir = e)), "y: chr \"y\"")
})

test_that("an environment with cached objects can be sent to a worker, which reads their files", {
  skip_without_processes()
  e <- a_cache()
  e$x <- as.numeric(1:100)
  mtidy(x, envir = e)
  got <- run_r(answer(sum(e$x)), e = e)
  expect_ended_well(got)
  expect_identical(got$answer, 5050)
})
