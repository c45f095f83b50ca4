# shareCache(): one maker a machine, files that numpy reads, waiting, makers that fail or die. What numpy wrote: test-once-numpy.R.

test_that("an array is made once, is a view, and lies in the file as numpy has it", {
  dir <- new_shm()
  arrays <- list(
    double = rnorm(100), integer = c(NA, 1:99), raw = as.raw(0:99), complex = complex(real = 1:100, imaginary = -1), logical = rep(c(TRUE, FALSE), 50),
    matrix = matrix(rnorm(60), 12), cube = array(1:24, 2:4), empty = double(), none = matrix(0, 0, 3), sequence = 1:1000, of_bytes = matrix(as.raw(1:6), 2)
  )
  descr <- c(double = "<f8", integer = "<i4", raw = "|u1", complex = "<c16", logical = "|b1", matrix = "<f8", cube = "<i4", empty = "<f8", none = "<f8", sequence = "<i4", of_bytes = "|u1")
  for (name in names(arrays)) {
    x <- arrays[[name]]
    made <- quietly(name, function() x, shm_path = dir)
    expect_identical(made, x, info = name)
    found <- quietly(name, never, shm_path = dir)
    expect_identical(found, x, info = name)
    if (length(x) >= 3L) expect_identical(is.shared(found), name != "logical", info = name)
    file <- file.path(dir, paste0("sharearray_", name, ".npy"))
    bytes <- readBin(file, "raw", file.size(file))
    expect_identical(bytes[1:8], as.raw(c(0x93, utf8ToInt("NUMPY"), 1, 0)))
    end <- 10L + readBin(bytes[9:10], "integer", size = 2L)
    expect_identical(end %% 64L, 0L)
    shape <- if (is.null(dim(x))) paste0(length(x), ",") else paste(dim(x), collapse = ", ")
    header <- sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }", descr[[name]], if (is.null(dim(x))) "False" else "True", shape)
    expect_identical(sub(" *\n$", "", rawToChar(bytes[11:end])), header)
    data <- bytes[-seq_len(end)]
    expected <- if (is.logical(x)) as.raw(x) else if (is.raw(x)) as.vector(x) else writeBin(as.vector(x), raw())
    expect_identical(data, expected, info = name)
  }
  expect_setequal(left_in(dir), paste0("sharearray_", names(arrays), ".npy"))
})

test_that("any other object is made once too, and is the same everywhere", {
  skip_without_processes()
  dir <- new_shm()
  add <- function(n) { force(n); function(v) v + n }
  objects <- list(
    names = c(a = 1, b = 2, c = 3), factor = factor(c("x", "y", "x")), frame = data.frame(n = 1:100, s = letters[1:4], stringsAsFactors = TRUE),
    missing = c(TRUE, NA, FALSE), strings = c("a", NA, "\u00e9"), list = list(1:10, list(x = letters, y = NULL)), null = NULL, dates = Sys.Date() + 0:9,
    one_extent = array(1:5, 5), dimnames = matrix(1:4, 2, dimnames = list(c("a", "b"), NULL)), fun = add(2), call = quote(a + b), formula = stats::as.formula("y ~ x", globalenv())
  )
  for (name in names(objects)) {
    made <- quietly(name, function() objects[[name]], shm_path = dir)
    if (name == "fun") expect_identical(made(1), 3) else expect_equal(made, objects[[name]], info = name)
    expect_true(file.exists(file.path(dir, paste0("sharearray_", name, ".cow"))), info = name)
  }
  plain <- setdiff(names(objects), "fun")
  for (name in plain) expect_identical(quietly(name, never, shm_path = dir), objects[[name]], info = name)
  elsewhere <- run_r({
    library(cowshed)
    answer(lapply(stats::setNames(nm = plain), function(name) shareCache(name, shm_path = shm, verbose = FALSE)))
  }, plain = plain, shm = dir)
  expect_ended_well(elsewhere)
  expect_identical(elsewhere$answer, objects[plain])
})

test_that("what is said is what sharearray says, to whom it is to be said", {
  dir <- new_shm()
  heard <- character()
  log <- function(text) heard <<- c(heard, text)
  made <- "'x' doesn't exist yet. Locking and creating..."
  written <- "'x': written."
  view <- "'x': returning memmapped view."
  shareCache("x", 1:5, shm_path = dir, log_func = log)
  expect_identical(heard, c(made, written, view))
  heard <- character()
  shareCache("x", 1:5, shm_path = dir, log_func = log)
  expect_identical(heard, view)
  expect_message(shareCache("x", 1:5, shm_path = dir), view, fixed = TRUE)
  expect_silent(shareCache("x", 1:5, shm_path = dir, verbose = FALSE, log_func = function(text) stop("not silent")))
  file.create(file.path(dir, "sharearray_y.npy.lock"))
  heard <- character()
  expect_error(shareCache("y", 1, shm_path = dir, timeout = 0.25, log_func = log), "timed out waiting for y to unlock (be created)", fixed = TRUE)
  expect_identical(heard, "'y' is being created by another process. Waiting up to 0.25 seconds...")
})

test_that("wrong arguments are errors that name them, and leave nothing", {
  dir <- new_shm()
  for (id in list("", "a/b", "a\n", "a b", NA_character_, 1, c("a", "b"), NULL, "\u00e9")) {
    expect_false(validId(id))
    expect_error(quietly(id, 1, shm_path = dir), "invalid id", class = "cowshed_error_argument")
    expect_error(shareMemo(id), class = "cowshed_error_argument")
    expect_error(shareCacheFree(id, shm_path = dir), class = "cowshed_error_argument")
  }
  expect_true(validId("A-9=+._"))
  expect_error(shareCache("a", 1, shm_path = dir, prefix = "../"), "prefix", class = "cowshed_error_argument")
  expect_error(shareCache("a", 1, shm_path = dir, timeout = "long"), "`timeout`", class = "cowshed_error_argument")
  expect_error(shareCache("a", 1, shm_path = dir, verbose = NA), "`verbose`", class = "cowshed_error_argument")
  expect_error(shareCache("a", 1, shm_path = dir, log_func = "f"), "`log_func`", class = "cowshed_error_argument")
  expect_error(quietly("a", 1, shm_path = file.path(dir, "none")), "none/sharearray_a", class = "cowshed_error_store")
  expect_error(quietly("a", shm_path = dir), "'a': there is none", class = "cowshed_error_gone")
  expect_error(quietly("a", function() quietly("a", 1, shm_path = dir), shm_path = dir), "would wait for itself", class = "cowshed_error_argument")
  expect_identical(left_in(dir), character())
})

test_that("a function that fails leaves nothing, and is called again", {
  dir <- new_shm()
  expect_error(quietly("x", function() stop("not today"), shm_path = dir), "^not today$")
  expect_identical(left_in(dir), character())
  skipped <- withRestarts(quietly("x", function() invokeRestart("away"), shm_path = dir), away = function() "away")
  expect_identical(skipped, "away")
  expect_identical(left_in(dir), character())
  expect_identical(quietly("x", function() quietly("inner", 2, shm_path = dir) + 1, shm_path = dir), 3)
})

test_that("shareMemo() wraps a function", {
  dir <- new_shm()
  calls <- 0
  f <- shareMemo("memo", verbose = FALSE, shm_path = dir)(function() {
    calls <<- calls + 1
    data.frame(a = 1:3)
  })
  expect_identical(f(), data.frame(a = 1:3))
  expect_identical(f(), f())
  expect_identical(calls, 1)
})

test_that("freeing removes both files, and the lock with a warning; who has the object keeps it", {
  dir <- new_shm()
  x <- quietly("x", matrix(1:6 + 0, 2), shm_path = dir)
  expect_identical(shareCacheFree("x", shm_path = dir), file.path(dir, "sharearray_x.npy"))
  expect_identical(shareCacheFree("x", shm_path = dir), character())
  expect_identical(x, matrix(1:6 + 0, 2))
  file.create(file.path(dir, "sharearray_x.npy.lock"))
  expect_warning(shareCacheFree("x", shm_path = dir), "lock still exists")
  expect_identical(left_in(dir), character())
  # Sent by value: nobody would find its file.
  expect_identical(unserialize(serialize(x, NULL)), x)
})

test_that("a list tells what there is", {
  dir <- new_shm()
  expect_identical(nrow(shareCacheList(dir)), 0L)
  quietly("a", 1:1000, shm_path = dir)
  quietly("b", list(1), shm_path = dir)
  file.create(file.path(dir, c("sharearray_c.npy.lock", "another.npy", "sharearray_d e.npy")))
  writeLines("999999", file.path(dir, "sharearray_e.npy.lock"))
  found <- shareCacheList(dir)
  expect_identical(found$id, c("a", "b", "c", "e"))
  expect_identical(found$type, c("array", "object", NA, NA))
  expect_identical(found$state, c("ready", "ready", "locked by sharearray", "its maker died"))
  expect_identical(found$bytes[[1L]], 4128)
  expect_lt(abs(as.numeric(Sys.time() - found$modified[[1L]], units = "secs")), 60)
})

test_that("of many processes that ask at once one makes it, and all have the same", {
  skip_on_os("windows")
  dir <- new_shm()
  log <- tempfile()
  got <- parallel::mclapply(1:50, function(i) {
    x <- quietly("x", function() {
      cat(i, "\n", file = log, append = TRUE)
      Sys.sleep(0.3)
      as.numeric(1:1e5)
    }, shm_path = dir)
    c(sum(x), is.shared(x))
  }, mc.cores = 50)
  expect_length(readLines(log), 1L)
  expect_identical(got, rep(list(c(sum(1:1e5 + 0), 1)), 50))
  expect_identical(left_in(dir), "sharearray_x.npy")
})

test_that("a maker that is killed leaves the work to one who waits, whom that costs no processor time", {
  skip_on_os("windows")
  skip_without_processes()
  dir <- new_shm()
  files <- scratch()
  maker <- start_r({
    library(cowshed)
    shareCache("x", function() {
      mark("begun")
      # Workers of its own, which outlive it for a while, do not keep the lock. At its end one would wait for its parent for ever.
      parallel::mcparallel({
        Sys.sleep(10)
        tools::pskill(Sys.getpid(), tools::SIGKILL)
      })
      Sys.sleep(60)
    }, shm_path = shm)
  }, dir = files, shm = dir)
  wait_in(files, "begun")
  waiter <- start_r({
    library(cowshed)
    before <- sum(proc.time()[1:2])
    x <- shareCache("x", function() sum(proc.time()[1:2]) - before, shm_path = shm, log_func = function(text) put(text, "said"))
    put(x, "took")
  }, dir = files, shm = dir)
  wait_in(files, "said")
  expect_match(unserialize(bytes_in(files, "said")), "is being created by another process. Waiting indefinitely... (timeout < 0)", fixed = TRUE)
  Sys.sleep(2)
  expect_true(waiter$is_alive())
  expect_identical(shareCacheList(dir)$state, "being made")
  expect_identical(shareCacheList(dir)$pid, as.numeric(maker$get_pid()))
  kill_hard(maker)
  expect_identical(finish(waiter), 0L)
  expect_lt(unserialize(bytes_in(files, "took")), 0.3)
  expect_identical(left_in(dir), "sharearray_x.npy")
})

test_that("makers that are killed at any moment leave no lock that lasts, and no part of an object", {
  skip_on_os("windows")
  skip_without_processes()
  dir <- new_shm()
  x <- as.numeric(1:2e6)
  files <- scratch()
  for (k in 1:8) {
    maker <- start_r({
      library(cowshed)
      x <- as.numeric(1:2e6)
      kinds <- list(x, list(x))
      put(1, paste0("ready", k))
      repeat for (kind in kinds) {
        suppressWarnings(shareCacheFree("x", shm_path = shm))
        shareCache("x", kind, shm_path = shm, verbose = FALSE)
      }
    }, dir = files, shm = dir, k = k)
    wait_in(files, paste0("ready", k))
    Sys.sleep(k * 0.023)
    kill_hard(maker)
    got <- quietly("x", x, shm_path = dir, timeout = 10)
    expect_true(identical(got, x) || identical(got, list(x)))
    expect_match(left_in(dir), "^sharearray_x[.](npy|cow)$")
    shareCacheFree("x", shm_path = dir)
  }
})

test_that("an interrupt ends making and waiting, and leaves nothing", {
  skip_on_os("windows")
  skip_without_processes()
  dir <- new_shm()
  ended <- run_r({
    library(cowshed)
    how <- function(code) {
      interrupt_after(0.3)
      tryCatch(code, interrupt = function(e) "interrupted")
    }
    making <- how(shareCache("x", function() Sys.sleep(20), shm_path = shm))
    file.create(file.path(shm, "sharearray_y.npy.lock"))
    answer(list(making, how(shareCache("y", 1, shm_path = shm))))
  }, shm = dir)
  expect_ended_well(ended)
  expect_identical(ended$answer, list("interrupted", "interrupted"))
  expect_identical(left_in(dir), "sharearray_y.npy.lock")
})

# Sharearray's makers leave an empty lock for ever if they are killed; nobody can tell them from those at work.
test_that("an empty lock is honoured until it goes, even where a file is already", {
  skip_on_os("windows")
  dir <- new_shm()
  lock <- file.path(dir, "sharearray_x.npy.lock")
  quietly("x", 1:3, shm_path = dir)
  file.create(lock)
  took <- system.time(expect_error(quietly("x", never, shm_path = dir, timeout = 0.5), class = "cowshed_error_timeout"))[[3L]]
  expect_gte(took, 0.5)
  system(sprintf("(sleep 0.5; rm %s) &", lock))
  expect_identical(quietly("x", never, shm_path = dir, timeout = 20), 1:3)
})

test_that("an object travels to other processes by its file, with no copy, and is written to privately", {
  skip_on_os("windows")
  skip_without_processes()
  dir <- new_shm()
  x <- quietly("x", matrix(as.numeric(1:2e6), 1000), shm_path = dir)
  expect_lt(length(serialize(x, NULL)), 500)
  files <- scratch()
  put_in(files, x, "x")
  ended <- run_r({
    library(cowshed)
    x <- take("x")
    before <- private_kb()
    total <- sum(x)
    size <- private_kb() - before
    x[1, 1] <- -1
    answer(list(dim(x), total, size, private_kb() - before, x[1, 1]))
  }, dir = files)
  expect_ended_well(ended)
  expect_identical(ended$answer[c(1, 2, 5)], list(c(1000L, 2000L), sum(as.numeric(1:2e6)), -1))
  expect_lt(ended$answer[[3]], 4000)
  expect_lt(ended$answer[[4]], 4000)
  expect_identical(x[1, 1], 1)
  # Another object by that name is another object.
  bytes <- serialize(x, NULL)
  shareCacheFree("x", shm_path = dir)
  quietly("x", matrix(0, 1000, 2000), shm_path = dir)
  expect_error(sum(unserialize(bytes)), class = "cowshed_error_gone")
})

test_that("no room is an error, and nothing stays", {
  skip_without_processes()
  small <- in_tmpfs("/mnt", "size=1m")
  skip_if(is.null(new_namespace()), "no mount namespaces")
  ended <- run_r({
    library(cowshed)
    big <- function() numeric(1e6)
    one <- condition_of(shareCache("x", big, shm_path = "/mnt"))
    two <- condition_of(shareCache("x", list(1:10, numeric(1e6)), shm_path = "/mnt"))
    answer(list(one, two, list.files("/mnt", all.files = TRUE, no.. = TRUE), shareCache("x", 1:10, shm_path = "/mnt")))
  }, under = small)
  expect_ended_well(ended)
  expect_condition_class(ended$answer[[1]], "full")
  expect_condition_class(ended$answer[[2]], "full")
  expect_identical(ended$answer[3:4], list(character(), 1:10))
})

test_that("of another user's objects data is opened, and nothing else", {
  skip_on_os("windows")
  skip_if_not(identical(Sys.info()[["effective_user"]], "root"), "only root can give files away")
  dir <- new_shm()
  quietly("data", list(a = 1:10, b = letters), shm_path = dir)
  quietly("code", list(a = 1:10, b = sum, c = new.env()), shm_path = dir)
  quietly("array", 1:10, shm_path = dir)
  system2("chown", c("65534", list.files(dir, full.names = TRUE)))
  expect_identical(quietly("data", never, shm_path = dir), list(a = 1:10, b = letters))
  expect_identical(quietly("array", never, shm_path = dir), 1:10)
  expect_error(quietly("code", never, shm_path = dir), "user 65534's", class = "cowshed_error_store")
})

test_that("it stands torture by the collector", {
  dir <- new_shm()
  quietly("x", list(a = 1:10 + 0, b = c("x", "y")), shm_path = dir)
  write_npy(dir, "u", "'<U3'", "2,", bytes_of_each(97:102, 4L))
  gctorture(TRUE)
  on.exit(gctorture(FALSE), add = TRUE)
  got <- list(quietly("x", never, shm_path = dir), quietly("u", shm_path = dir), quietly("m", function() matrix(1:4, 2), shm_path = dir))
  found <- shareCacheList(dir)
  gctorture(FALSE)
  expect_identical(got, list(list(a = 1:10 + 0, b = c("x", "y")), c("abc", "def"), matrix(1:4, 2)))
  expect_identical(found$id, c("m", "u", "x"))
})
