local_dir <- function(.frame = parent.frame()) {
  dir <- normalizePath(tempfile("stored-"), mustWork = FALSE)
  dir.create(dir)
  do.call(on.exit, list(bquote(unlink(.(dir), recursive = TRUE)), add = TRUE), envir = .frame)
  dir
}

# What is not made of vectors alone.
others <- function() {
  e <- environment_of(v = c(1, 2, 3), l = list("a", NULL))
  list(
    null = NULL, one = "a", empty = numeric(), nothing = list(), symbol = quote(a), call = quote(f(x, y = 1)), builtin = sum, formula = eval(quote(y ~ x), globalenv()),
    closure = in_global, strings = c("u", NA, "\u00e4", "u"), latin = iconv("\u00e4", "UTF-8", "latin1"), list = list(1:3, list("a", NULL), quote(b)),
    frame = data.frame(a = 1:3, b = c("u", "v", "w")), pairlist = pairlist(a = 1:5, 2), fit = eval(quote(lm(dist ~ speed, cars)), globalenv()), expression = expression(a + b, 1:3),
    with_environment = list(e, c(1, 2, 3)), with_function = list(f = in_global, x = c(1, 2, 3)), dated = as.POSIXlt("2024-03-31", tz = "UTC")
  )
}

test_that("what is stored is the same when it is opened, in this and another process, and nothing is in memory's store", {
  with_new_store({
    dir <- local_dir()
    all <- c(samples(), stats::setNames(large_samples(), paste0("large_", names(large_samples()))), others())
    for (name in names(all)) {
      file <- file.path(dir, paste0(name, ".cowshed"))
      x <- share(all[[name]], store = file)
      expect_equal(x, all[[name]], info = name)
      expect_true(is.na(verifySharedFile(file)) || verifySharedFile(file), info = name)
      again <- openSharedFile(file)
      # Environments are made anew.
      if (name == "with_environment") expect_equal(again, all[[name]], info = name) else expect_true(same(again, all[[name]]), info = name)
      vector <- typeof(all[[name]]) %in% c("raw", "logical", "integer", "double", "complex", "character")
      many <- length(all[[name]]) >= 3
      expect_identical(is.shared(again), vector && many || name %in% c("list", "frame", "pairlist", "fit", "with_function"), info = name)
      if (vector && many) expect_identical(sharedFile(again), file, info = name)
    }
    expect_identical(segments(), character())
    got <- run_r({
      library(cowshed)
      files <- list.files(where, full.names = TRUE)
      answer(lapply(setNames(files, sub("[.]cowshed$", "", basename(files))), function(file) unshare(openSharedFile(file))))
    }, where = dir)
    expect_ended_well(got)
    expect_setequal(names(got$answer), names(all))
    for (name in names(all)) expect_equal(got$answer[[name]], all[[name]], info = name)
  })
})

test_that("a directory gives the file a name, and a file that is there is never overwritten", {
  dir <- local_dir()
  x <- share(1:10, store = dir)
  y <- share(1:10, store = paste0(dir, "/"))
  expect_setequal(c(sharedFile(x), sharedFile(y)), list.files(dir, full.names = TRUE))
  expect_match(basename(sharedFile(x)), "^[0-9a-f]{32}[.]cowshed$")
  before <- read_file(sharedFile(x))
  expect_error(share(1:3, store = sharedFile(x)), "already", class = "cowshed_error_exists")
  expect_error(SharedObject("raw", 3, store = sharedFile(x)), class = "cowshed_error_exists")
  expect_identical(read_file(sharedFile(x)), before)
  expect_identical(sharedFile(list(x, y, x, 1:3)), c(sharedFile(x), sharedFile(y)))
  expect_identical(sharedFile(1:3), character())
})

test_that("a relative path means what it means when it is given", {
  dir <- local_dir()
  old <- setwd(dir)
  on.exit(setwd(old))
  x <- share(c(1, 2, 3), store = "x.cowshed")
  setwd(old)
  expect_identical(sharedFile(x), file.path(dir, "x.cowshed"))
  expect_identical(elsewhere(x), c(1, 2, 3))
})

test_that("what cannot be is a classed error that names the file, and leaves nothing", {
  dir <- local_dir()
  text <- file.path(dir, "text.cowshed")
  writeLines("mine", text)
  for (bad in list(5, NA_character_, NA, c("/a", "/b"), character(), "", list("/tmp"), TRUE)) {
    expect_error(share(1:3, store = bad), "`store`", class = "cowshed_error_argument")
    expect_error(SharedObject("raw", 3, store = bad), "`store`", class = "cowshed_error_argument")
    expect_error(openSharedFile(bad), "`path`", class = "cowshed_error_argument")
    if (!is.character(bad) || length(bad) != 1) expect_error(freeSharedFile(bad), "`path`", class = "cowshed_error_argument")
  }
  for (bad in c("here", "/nonexistent/for/sure", "/nonexistent/x.cowshed", file.path(dir, "sub", "x.cowshed"), file.path(dir, "x.txt"))) {
    expect_error(share(1:3, store = bad), "no directory", class = "cowshed_error_store", info = bad)
  }
  expect_error(openSharedFile(file.path(dir, "absent.cowshed")), "absent.cowshed", class = "cowshed_error_gone")
  expect_error(freeSharedFile(file.path(dir, "absent.cowshed")), class = "cowshed_error_gone")
  expect_error(openSharedFile(text), "text.cowshed", class = "cowshed_error_corrupt")
  expect_error(verifySharedFile(text), class = "cowshed_error_corrupt")
  expect_error(freeSharedFile(text), class = "cowshed_error_corrupt")
  expect_error(openSharedFile(dir), class = "cowshed_error_store")
  x <- share(c(1, 2, 3), store = file.path(dir, "x.cowshed"))
  expect_error(openSharedFile(sharedFile(x), copyOnWrite = FALSE), class = "cowshed_error_argument")
  expect_error(openSharedFile(sharedFile(x), copyOnWrite = NA), class = "cowshed_error_argument")
  expect_error(SharedObject("raw", 3, store = dir, copyOnWrite = TRUE), class = "cowshed_error_argument")
  expect_error(SharedObject("raw", 3, list(dim = 7), store = dir))
  expect_error(share(list(globalenv()), store = dir, mustWork = TRUE), class = "cowshed_error_unshareable")
  expect_setequal(list.files(dir), c("text.cowshed", "x.cowshed"))
})

test_that("a change is private, and costs pages", {
  dir <- local_dir()
  plain <- as.numeric(1:1e6)
  x <- share(plain, store = dir)
  file <- sharedFile(x)
  y <- openSharedFile(file)
  y[5e5] <- 0
  expect_false(is.shared(y))
  expect_lt(cowshed:::private_bytes(y), 1e5)
  expect_identical(openSharedFile(file)[5e5], 5e5)
  expect_true(verifySharedFile(file))
  expect_identical(x, plain)
  expect_identical(elsewhere(y)[5e5], 0)
})

test_that("flags are obeyed", {
  dir <- local_dir()
  x <- share(as.numeric(1:1e5), store = dir, sharedSubset = TRUE, sharedCopy = TRUE)
  expect_true(is.shared(x[1:5e4]))
  expect_identical(sharedFile(x[1:5e4]), sharedFile(x))
  y <- openSharedFile(sharedFile(x))
  expect_false(is.shared(y[1:5e4]))
  y <- openSharedFile(sharedFile(x), sharedSubset = TRUE)
  expect_true(is.shared(y[1:5e4]))
  z <- x
  z[1] <- 0
  expect_true(is.shared(z))
  expect_identical(sharedFile(z), character())
  setCopyOnWrite(x, FALSE)
  x[1] <- 7
  expect_true(is.shared(x))
  expect_identical(y[1], 1)
})

test_that("it travels as its path, and as data when its file is gone", {
  with_new_store({
    dir <- local_dir()
    plain <- list(a = as.numeric(1:1e5), b = c("u", "v", NA))
    x <- share(plain, store = file.path(dir, "x.cowshed"))
    bytes <- serialize(x$a, NULL)
    expect_lt(length(bytes), 1000)
    got <- run_r({
      library(cowshed)
      x <- unserialize(bytes)
      answer(list(is.shared(x), sharedFile(x), sum(x)))
    }, bytes = bytes)
    expect_ended_well(got)
    expect_identical(got$answer, list(TRUE, sharedFile(x$a), sum(plain$a)))
    # Written and read as data.
    saved <- file.path(dir, "saved.rds")
    saveRDS(x, saved, compress = FALSE)
    expect_gt(file.size(saved), 8e5)
    # Another object by that name is not taken for it, whatever its inode.
    for (n in c(3, 1e5)) {
      small <- share(as.numeric(seq_len(n)), store = file.path(dir, "small.cowshed"))
      sent <- serialize(small, NULL)
      file.remove(sharedFile(small))
      expect_identical(elsewhere(small), as.numeric(seq_len(n)))
      other <- share(-as.numeric(seq_len(n)), store = file.path(dir, "small.cowshed"))
      expect_identical(elsewhere(small), as.numeric(seq_len(n)))
      rm(small)
      gc()
      expect_error(sum(unserialize(sent)), "another object", class = "cowshed_error_gone")
      freeSharedFile(other)
      expect_error(sum(unserialize(sent)), "small.cowshed", class = "cowshed_error_gone")
    }
    file.rename(file.path(dir, "x.cowshed"), file.path(dir, "y.cowshed"))
    expect_gt(length(serialize(x$a, NULL)), 8e5)
    expect_identical(openSharedFile(file.path(dir, "y.cowshed")), plain)
    expect_identical(segments(), character())
  })
})

test_that("SharedObject(store = ) is filled piece by piece, by several processes, and is there afterwards", {
  with_new_store({
    dir <- local_dir()
    file <- file.path(dir, "m.cowshed")
    x <- SharedObject("numeric", 6e4, attrib = list(dim = c(300, 200), dimnames = list(NULL, paste0("c", 1:200))), store = file)
    expect_true(is.shared(x))
    expect_identical(getCopyOnWrite(x), FALSE)
    x[, 1] <- 1
    x[2, "c2"] <- 2
    fill <- function() {
      run_r({
        library(cowshed)
        x <- openSharedFile(file)
        x[, 3] <- 3
        answer(list(x[[1, 1]], dim(x), getCopyOnWrite(x)))
      }, file = file)
    }
    got <- fill()
    expect_ended_well(got)
    expect_identical(got$answer, list(1, c(300L, 200L), FALSE))
    expect_identical(x[[300, 3]], 3)
    rm(x)
    gc()
    y <- openSharedFile(file)
    expect_identical(sum(y), 300 + 2 + 900)
    expect_identical(colnames(y)[200], "c200")
    expect_identical(verifySharedFile(file), NA)
    # One's own changes, others' seen until then.
    z <- openSharedFile(file, copyOnWrite = TRUE)
    y[7, 7] <- 7
    expect_identical(z[[7, 7]], 7)
    z[7, 7] <- 8
    expect_identical(y[[7, 7]], 7)
    for (mode in c("raw", "logical", "integer", "complex")) for (n in c(0, 3, 1e5)) {
      x <- SharedObject(mode, n, list(note = "kept"), store = dir)
      expect_identical(x, structure(vector(mode, n), note = "kept"), info = paste(mode, n))
      expect_identical(openSharedFile(sharedFile(x)), structure(vector(mode, n), note = "kept"), info = paste(mode, n))
    }
  })
})

test_that("a virtual vector is stored as what makes its elements", {
  dir <- local_dir()
  x <- share(virtualSequence(length = 1e15), store = file.path(dir, "x.cowshed"))
  expect_lt(file.size(file.path(dir, "x.cowshed")), 1e4)
  y <- openSharedFile(file.path(dir, "x.cowshed"))
  expect_true(is.virtual(y))
  expect_identical(y[c(1, 1e15)], c(1, 1e15))
})

test_that("it is registered under a name, and applied over in workers, as its file", {
  skip_on_os("windows")
  with_new_store({
    dir <- local_dir()
    on.exit(memStopCluster(), add = TRUE)
    x <- share(matrix(as.double(1:2e5), 1000), store = dir)
    registerVariables("stored", list(X = x))
    expect_identical(sharedFile(retrieveViews("stored", "X")$X), sharedFile(x))
    releaseViews("stored", "X")
    releaseVariables("stored", "X")
    files <- memApply(x, 2, function(v) sum(v), MAX.CORES = 2)
    expect_equal(unlist(files), colSums(x))
    lost <- share(as.double(1:2e5), store = file.path(dir, "lost.cowshed"))
    file.remove(sharedFile(lost))
    expect_error(registerVariables("stored", list(X = lost)), class = "cowshed_error_gone")
  })
})

test_that("an object that was shared write-through is stored so", {
  dir <- local_dir()
  x <- share(list(a = c(1, 2, 3), b = 1:1e4), copyOnWrite = FALSE, store = file.path(dir, "x.cowshed"))
  y <- openSharedFile(file.path(dir, "x.cowshed"))
  y$a[2] <- 20
  y$b[1e4] <- -1L
  expect_identical(x$a, c(1, 20, 3))
  z <- openSharedFile(file.path(dir, "x.cowshed"))
  expect_identical(z$b[1e4], -1L)
})

test_that("who may not write a write-through file is told so", {
  skip_if(Sys.info()[["user"]] == "root", "root may write everything")
  dir <- local_dir()
  x <- SharedObject("raw", 10, store = dir)
  file <- sharedFile(x)
  rm(x)
  gc()
  Sys.chmod(file, "0400")
  expect_error(openSharedFile(file), class = "cowshed_error_store")
})

test_that("a disk without room is a classed error with the sizes, and leaves nothing", {
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    refused <- lapply(c(TRUE, FALSE), function(cow) tryCatch(share(rnorm(1e6), copyOnWrite = cow, store = at), error = identity))
    refused[[3]] <- tryCatch(SharedObject("numeric", 1e6, store = at), error = identity)
    many <- as.list(1:2000 + 0)
    refused[[4]] <- tryCatch(share(lapply(many, rep, times = 300), store = at), error = identity)
    left <- list.files(at, all.files = TRUE, no.. = TRUE)
    x <- share(rnorm(1e5), store = at)
    answer(list(lapply(refused, class), vapply(refused, conditionMessage, ""), left, verifySharedFile(x)))
  }, at = at, under = in_tmpfs(at, "size=2m,mode=0700"))
  expect_ended_well(got)
  for (class in got$answer[[1]]) expect_identical(class[[1]], "cowshed_error_full")
  expect_match(got$answer[[2]], "bytes are free")
  expect_identical(got$answer[[3]], character())
  expect_true(got$answer[[4]])
})

test_that("damage anywhere is an error or the value, and verifySharedFile() finds what opening does not look at", {
  dir <- local_dir()
  plain <- list(a = as.numeric(1:1000), b = c("u", NA, "longer"), c = quote(a + b))
  file <- file.path(dir, "x.cowshed")
  share(plain, store = file)
  whole <- read_file(file)
  damaged <- file.path(dir, "damaged.cowshed")
  set.seed(1)
  places <- c(sample(128, 40), 1216 + sample(length(whole) - 1216, 200), length(whole))
  for (at in places) {
    bytes <- whole
    bytes[at] <- xor(bytes[at], as.raw(0x11))
    writeBin(bytes, damaged)
    opened <- tryCatch({
      x <- openSharedFile(damaged)
      x <- unshare(x)
    }, cowshed_error = identity)
    if (inherits(opened, "error")) {
      expect_s3_class(opened, c("cowshed_error_corrupt", "cowshed_error_version", "cowshed_error_plugin"))
    }
    expect_error(verifySharedFile(damaged), class = "cowshed_error")
  }
  for (n in c(0, 1, 100, 1216, 5000, length(whole) - 1)) {
    writeBin(whole[seq_len(n)], damaged)
    expect_error(openSharedFile(damaged), class = "cowshed_error_corrupt")
  }
})

test_that("a file that is cut under its reader ends no process", {
  dir <- local_dir()
  x <- share(as.numeric(1:1e6), store = dir)
  file <- sharedFile(x)
  con <- file(file, "r+b")
  seek(con, 4096, rw = "write")
  truncate(con)
  close(con)
  expect_error(sum(x[9e5:1e6]), class = "cowshed_error_corrupt")
  expect_error(openSharedFile(file), class = "cowshed_error_corrupt")
})

test_that("functions that share an environment still do when they are opened, and a model of the workspace is opened lazily", {
  dir <- local_dir()
  pair <- apart({
    count <- 0
    list(up = function() count <<- count + 1, get = function() count)
  })
  expect_identical(share(pair, store = file.path(dir, "pair.cowshed")), pair)
  again <- openSharedFile(file.path(dir, "pair.cowshed"))
  again$up()
  expect_identical(again$get(), 1)
  expect_identical(pair$get(), 0)
  frame <- data.frame(x = as.numeric(1:1e4), y = rnorm(1e4))
  fit <- local(lm(y ~ x, frame), list2env(list(frame = frame), parent = globalenv()))
  environment(fit$terms) <- globalenv()
  attr(attr(fit$model, "terms"), ".Environment") <- globalenv()
  share(fit, store = file.path(dir, "fit.cowshed"))
  opened <- openSharedFile(file.path(dir, "fit.cowshed"))
  expect_true(is.shared(opened$residuals))
  expect_identical(predict(opened, data.frame(x = 5)), predict(fit, data.frame(x = 5)))
})

test_that("what R asks of an array all the time is not shared with it", {
  dir <- local_dir()
  share(array(as.numeric(1:24), 2:4), store = file.path(dir, "a.cowshed"))
  x <- openSharedFile(file.path(dir, "a.cowshed"))
  expect_false(is.altrep(attr(x, "dim")))
  expect_identical(x, array(as.numeric(1:24), 2:4))
})

test_that("a file of format version 1 stays readable", {
  golden <- test_path("segments", "stored-1.cowshed")
  expect_true(verifySharedFile(golden))
  expect_identical(openSharedFile(golden), list(
    a = c(1.5, NA, 3), b = factor(c("u", "v", "u")), c = c("x", NA, "\u00e4"), d = list(1:3, NULL, quote(f(x))), e = as.raw(1:3), f = matrix(1:6, 2)
  ))
  expect_identical(cowshed:::read_segment(golden)$a, c(1.5, NA, 3))
})

test_that("a forked child reads, and writes through", {
  skip_on_os("windows")
  dir <- local_dir()
  x <- share(as.numeric(1:1e5), store = dir)
  w <- SharedObject("numeric", 10, store = dir)
  sums <- parallel::mclapply(1:2, function(i) {
    w[i] <<- i
    sum(x) + sum(openSharedFile(sharedFile(x)))
  }, mc.cores = 2)
  expect_identical(unlist(sums), rep(2 * sum(as.numeric(1:1e5)), 2))
  expect_identical(w[1:3], c(1, 2, 0))
})

test_that("nothing of it is lost when R collects at every allocation", {
  exercise <- function(dir) {
    x <- share(list(a = c(1, 2, 3), b = c("u", NA), c = quote(a)), store = file.path(dir, "x.cowshed"))
    w <- SharedObject("integer", 6, list(dim = 2:3, dimnames = list(c("a", "b"), NULL)), store = file.path(dir, "w.cowshed"))
    w["a", 2] <- 5L
    share(list(environment(), function(x) x)[2], store = file.path(dir, "f.cowshed"))
    f <- openSharedFile(file.path(dir, "f.cowshed"))[[1]]
    y <- openSharedFile(file.path(dir, "x.cowshed"), sharedSubset = TRUE)
    far <- unserialize(serialize(y, NULL))
    y$a[2] <- 7
    wrong <- tryCatch(openSharedFile(dir), error = class)
    out <- list(x, y, far, unserialize(serialize(w, NULL)), f(3), sharedFile(far) == sharedFile(x), verifySharedFile(x), wrong)
    out <- unserialize(serialize(lapply(out, unshare), NULL))
    for (file in list.files(dir, full.names = TRUE)) freeSharedFile(file)
    out
  }
  dir <- local_dir()
  script <- tempfile(fileext = ".R")
  dump("exercise", script, envir = environment())
  writeLines(c(
    paste0(".libPaths(", paste(deparse(.libPaths()), collapse = ""), ")"), "library(cowshed)", readLines(script), "dir <- commandArgs(TRUE)",
    "expected <- exercise(dir)", "gctorture(TRUE)", "result <- exercise(dir)", "gctorture(FALSE)", "stopifnot(identical(result, expected))", "cat('all is well')"
  ), script)
  output <- suppressWarnings(system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", script, dir), stdout = TRUE, stderr = TRUE, timeout = 120))
  expect_identical(paste(output, collapse = "\n"), "all is well")
})
