# Caches for the tests: directories, what load() finds in them, and attaching them for a while.

cache_dir <- function() {
  dir <- tempfile("cache-")
  dir.create(dir)
  normalizePath(dir)
}

# A copy of one that mvbutils wrote.
golden_cache <- function(name) {
  dir <- cache_dir()
  file.copy(list.files(test_path("caches", name), full.names = TRUE), dir, recursive = TRUE)
  file.rename(file.path(dir, "RData"), file.path(dir, ".RData"))
  dir
}

# `use(e)` with the directory attached as `e`.
with_attached <- function(dir, use) {
  name <- basename(tempfile("cache:"))
  attach.mlazy(dir, pos = 2, name = name)
  on.exit(detach(name, character.only = TRUE))
  use(as.environment(name))
}

# An environment that is a cache, attached nowhere.
opened <- function(dir) {
  e <- new.env()
  attr(e, "path") <- dir
  load.refdb(envir = e)
  e
}

# All objects, read.
contents_of <- function(e) mget(sort(ls(e, all.names = TRUE)), e)

# What R's own load() finds in a file.
loaded <- function(...) {
  n <- new.env()
  load(file.path(...), n)
  contents_of(n)
}

# The names of all files but the ledgers and the lock.
cache_files <- function(dir) {
  files <- list.files(dir, all.files = TRUE, no.. = TRUE, recursive = TRUE)
  sort(files[!grepl("(^|/)[.](mlazy[.])?(lock|session-)", files)])
}

# What a cache is for R without cowshed: `ordinary` objects, `numbers` of the cached ones, and what the file of each holds.
on_disk <- function(dir, subdir = "mlazy") {
  image <- loaded(dir, ".RData")
  store <- grep("^[.]mcache[0-9]*0$", names(image), value = TRUE)
  store <- store[which.max(nchar(store))]
  numbers <- if (length(store) == 1L) image[[store]]
  files <- lapply(numbers, function(n) loaded(dir, subdir, paste0("obj", n, ".rda")))
  list(ordinary = image[setdiff(names(image), store)], numbers = numbers, files = files)
}

# Every object has a file with itself and nothing else in it, and there is no other file.
expect_whole_on_disk <- function(dir, cached, ordinary, subdir = "mlazy") {
  found <- on_disk(dir, subdir)
  expect_same_objects(found$ordinary, ordinary)
  expect_setequal(as.character(names(found$numbers)), names(cached))
  for (name in names(found$numbers)) expect_same_objects(found$files[[name]], cached[name])
  expect_true(is.numeric(found$numbers) || length(cached) == 0L)
  expect_true(all(found$numbers > 0))
  expect_identical(anyDuplicated(as.vector(found$numbers)), 0L)
  objects <- if (length(cached) > 0L) file.path(subdir, paste0("obj", found$numbers, ".rda"))
  expect_identical(sub("^[.]/", "", setdiff(cache_files(dir), "mlazy/obj.ind")), sort(sub("^[.]/", "", c(".RData", objects))))
}

# Lists of objects by name, in any order.
expect_same_objects <- function(found, expected) {
  expect_identical(sort(names(found)), sort(as.character(names(expected))))
  for (name in names(expected)) expect_true(same(found[[name]], expected[[name]]), info = name)
}

# Runs code with the savers of saves/ in an R of its own, which forks them: it has cowshed loaded and holds nothing.
saves_in <- function(code, ..., timeout = 100) {
  parts <- normalizePath(file.path(test_path("saves"), c("processes.R", "model.R", "saver.R", "rounds.R", "calls.R", "crowd.R")))
  got <- eval(substitute(run_r({
    for (part in parts) source(part)
    library(cowshed)
    code
  }, parts = parts, timeout = timeout, ...), list(code = substitute(code))))
  expect_ended_well(got)
  got$answer
}

expect_no_problems <- function(problems, info = NULL) {
  expect_true(length(problems) == 0L, info = paste(c(info, utils::head(problems, 10)), collapse = "\n"))
}
