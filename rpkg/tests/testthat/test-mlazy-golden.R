# Caches that mvbutils wrote (caches/README.md): cowshed reads them, changes and saves them, and R's own load() reads what it saved.

source(test_path("caches", "values.R"), local = TRUE)
setClass("Weighed", contains = "numeric", slots = c(unit = "character"), where = globalenv())

# Not every name can be written in every locale.
golden_values <- function(name) {
  if (name == "names") skip_if_not(l10n_info()[["UTF-8"]], "a name that is not ASCII")
  cache_values()[[name]]
}

golden_names <- c("plain", "beside", "index", "names", "kinds", "own", "lived")

for (name in golden_names) {
  test_that(paste0("what mvbutils wrote is read: ", name), {
    values <- golden_values(name)
    dir <- golden_cache(name)
    with_attached(dir, function(e) {
      expect_setequal(mcachees(e), names(values$cached))
      expect_identical(attr(e, "path"), dir)
      # Looked at, none of it is in memory yet.
      expect_identical(unique(mcachees(e, details = TRUE)$state), "on disk")
      expect_same_objects(contents_of(e), c(values$cached, values$ordinary))
      expect_identical(unique(mcachees(e, details = TRUE)$state), "in memory")
    })
    e <- opened(dir)
    expect_same_objects(contents_of(e), c(values$cached, values$ordinary))
  })

  test_that(paste0("what mvbutils wrote is read, changed, saved and read again: ", name), {
    values <- golden_values(name)
    dir <- golden_cache(name)
    cached <- names(values$cached)
    with_attached(dir, function(e) {
      # The first goes, the last is changed; of the ordinary ones the last is cached from now on, and another is new.
      gone <- cached[[1]]
      rm(list = gone, envir = e)
      values$cached[[gone]] <<- NULL
      changed <- cached[[length(cached)]]
      e[[changed]] <- values$cached[[changed]] <<- list("changed", 1:3)
      moved <- names(values$ordinary)[[length(values$ordinary)]]
      mlazy(what = moved, envir = e)
      values$cached[moved] <<- values$ordinary[moved]
      values$ordinary[[moved]] <<- NULL
      e$new <- values$ordinary$new <<- c(a = 1)
      Save.pos(e)
      expect_same_objects(contents_of(e), c(values$cached, values$ordinary))
    })
    gc()
    expect_same_objects(contents_of(opened(dir)), c(values$cached, values$ordinary))
    expect_whole_on_disk(dir, values$cached, values$ordinary)
  })
}

test_that("saving what mvbutils wrote, unchanged, changes no file", {
  for (name in c("plain", "index", "own")) {
    dir <- golden_cache(name)
    before <- tools::md5sum(file.path(dir, cache_files(dir)))
    e <- opened(dir)
    contents_of(e)
    Save.pos(e)
    expect_identical(names(tools::md5sum(file.path(dir, cache_files(dir)))), names(before))
    objects <- grep("obj", names(before), value = TRUE)
    expect_identical(tools::md5sum(objects), before[objects])
  }
})

test_that("files beside .RData are moved to mlazy/, and stay where they are with mlazy.subdir = FALSE", {
  dir <- golden_cache("beside")
  values <- cache_values()$beside
  e <- opened(dir)
  expect_identical(cache_files(dir), c(".RData", "mlazy/obj1.rda", "mlazy/obj2.rda"))
  expect_identical(e$first, values$cached$first)

  local_options(mlazy.subdir = FALSE)
  dir <- golden_cache("beside")
  e <- opened(dir)
  expect_identical(grep("rda$", cache_files(dir), value = TRUE), c("obj1.rda", "obj2.rda"))
  expect_same_objects(contents_of(e), c(values$cached, values$ordinary))
  e$first[1] <- 100L
  Save.pos(e)
  values$cached$first[1] <- 100L
  expect_whole_on_disk(dir, values$cached, values$ordinary, subdir = ".")
})

test_that("an index of mvbutils's is kept in line", {
  local_options(mlazy.index = TRUE)
  dir <- golden_cache("index")
  e <- opened(dir)
  rm("pear", envir = e)
  e$apple <- "new"
  e$quince <- 1
  mlazy(quince, envir = e)
  Save.pos(e)
  index <- utils::read.table(file.path(dir, "mlazy", "obj.ind"), sep = "\t", col.names = c("name", "number"))
  expect_setequal(index$name, c("apple", "plum", "quince"))
  numbers <- on_disk(dir)$numbers
  expect_equal(index$number, as.vector(numbers[index$name]))
  expect_false(file.exists("obj.ind") || file.exists("mlazy"))
})

test_that("a user's own object whose name looks like mvbutils's survives, with a cache and without", {
  e <- opened(dir <- golden_cache("own"))
  expect_identical(e$.mcache0, c(mine = 1))
  demlazy(what = mcachees(e), envir = e)
  Save.pos(e)
  expect_same_objects(contents_of(opened(dir)), list(.mcache0 = c(mine = 1), three = 3, one = 1, two = 2))

  dir <- cache_dir()
  e <- opened(dir)
  e$.mcache00 <- c(mine = 2)
  e$.mcache7 <- "text"
  e$x <- 1:3
  Save.pos(e)
  expect_same_objects(contents_of(opened(dir)), list(.mcache00 = c(mine = 2), .mcache7 = "text", x = 1:3))
  mlazy(x, envir = e)
  Save.pos(e)
  expect_same_objects(contents_of(opened(dir)), list(.mcache00 = c(mine = 2), .mcache7 = "text", x = 1:3))
})

removeClass("Weighed", where = globalenv())
