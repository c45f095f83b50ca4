# When a shared object travels as its data: where somebody keeps what is written.

skip_without_processes()

test_that("serialize() gives a reference, saveRDS() and save() give data", {
  with_new_store({
    x <- share(as.numeric(1:5000))
    expect_lt(length(serialize(x, NULL)), 300L)
    rds <- tempfile(fileext = ".rds")
    rda <- tempfile(fileext = ".rda")
    for (compress in list(TRUE, FALSE, "xz")) {
      saveRDS(x, rds, compress = compress)
      expect_false(is.shared(readRDS(rds)))
      expect_identical(readRDS(rds), as.numeric(1:5000))
    }
    saveRDS(x, rds, ascii = TRUE)
    expect_false(is.shared(readRDS(rds)))
    save(x, file = rda)
    loaded <- new.env()
    load(rda, loaded)
    expect_false(is.shared(loaded$x))
    expect_identical(loaded$x, as.numeric(1:5000))
    save(x, file = rda, ascii = TRUE)
    load(rda, loaded)
    expect_false(is.shared(loaded$x))
    con <- gzfile(rds, "wb")
    saveRDS(x, con)
    close(con)
    expect_false(is.shared(readRDS(rds)))
    # Called by any other name, within containers, and as an attribute.
    lapply(list(list(a = x, b = list(x))), saveRDS, rds)
    expect_false(is.shared(readRDS(rds)))
    do.call("saveRDS", list(structure(1, extra = x), rds))
    expect_false(is.shared(attr(readRDS(rds), "extra")))
    e <- new.env()
    e$x <- x
    saveRDS(e, rds)
    expect_false(is.shared(readRDS(rds)$x))
    saveRDS(function() x, rds)
    expect_identical(is.shared(x), TRUE)
    unlink(c(rds, rda))
  })
})

test_that("what saveRDS() and save() wrote is readable where there is no cowshed, with no store at all", {
  with_new_store({
    dir <- scratch()
    values <- c(five_types(), list(factor = factor(c("a", "b", NA, "a")), matrix = matrix(as.numeric(1:6), 2)))
    shared <- lapply(values, share)
    live <- share(c(1, 2, 3), copyOnWrite = FALSE)
    saveRDS(shared, file.path(dir, "shared.rds"))
    save(shared, live, file = file.path(dir, "shared.rda"))
    got <- run_r(
      {
        .libPaths(in_scratch("no-library"))
        rds <- readRDS(in_scratch("shared.rds"))
        load(in_scratch("shared.rda"))
        answer(list(rds = rds, rda = shared, live = live, loaded = "cowshed" %in% loadedNamespaces()))
      },
      dir = dir, store = NULL, env = c("R_LIBS=", "R_LIBS_USER=", "R_LIBS_SITE=")
    )
    expect_ended_well(got)
    expect_false(got$answer$loaded)
    expect_identical(got$answer$rds, values)
    expect_identical(got$answer$rda, values)
    expect_identical(got$answer$live, c(1, 2, 3))
  })
})

test_that("what is sent while saveRDS() waits for its argument goes by reference", {
  # saveRDS() anywhere on the call stack made everything travel by value, also what parLapply() sent while its argument was evaluated: a
  # worker that wrote through copyOnWrite = FALSE then wrote into a copy.
  with_new_store({
    x <- share(as.numeric(1:5000))
    rds <- tempfile(fileext = ".rds")
    saveRDS(length(serialize(x, NULL)), rds)
    expect_lt(readRDS(rds), 300)
    live <- share(numeric(1000), copyOnWrite = FALSE)
    with_cluster(1, function(cl) {
      saveRDS(parallel::clusterApply(cl, list(live), function(v) { v[1] <- 42; v[1:3] }), rds)
    })
    expect_identical(readRDS(rds), list(c(42, 0, 0)))
    expect_identical(live[1], 42)
    unlink(rds)
  })
})

test_that("a changed object travels by value with its changes, and the unchanged one by reference", {
  with_new_store({
    for (n in c(10L, 5000L, 1e5L)) {
      x <- share(as.numeric(seq_len(n)))
      y <- x
      y[2] <- -2
      y[n] <- -n
      expect_false(is.shared(y))
      expect_gt(length(serialize(y, NULL)), 8L * n)
      expect_lt(length(serialize(x, NULL)), 300L)
      dir <- put_in(put_in(scratch(), y, "y"), x, "x")
      got <- run_r({
        x <- take("x")
        y <- take("y")
        answer(list(x = x[c(1, 2, n)], y = y[c(1, 2, n)], sum = sum(y)))
      }, n = n, dir = dir)
      expect_identical(got$answer$x, as.numeric(c(1, 2, n)))
      expect_identical(got$answer$y, as.numeric(c(1, -2, -n)))
      expect_identical(got$answer$sum, sum(as.numeric(seq_len(n))) - 4 - 2 * n)
      # Shared again it goes by reference again.
      expect_lt(length(serialize(share(y), NULL)), 300L)
    }
  })
})

test_that("a change of another than R's own code is not lost either", {
  # A writable pointer was asked for and written to, with the R object's attributes untouched: order of reading and writing.
  with_new_store({
    m <- share(matrix(as.numeric(1:1e5), 100))
    n <- m
    n[3, ] <- 0
    sums <- colSums(n)
    dir <- put_in(scratch(), n, "n")
    got <- run_r({
      n <- take("n")
      answer(list(row = sum(n[3, ]), sums = colSums(n), dim = dim(n)))
    }, dir = dir)
    expect_identical(got$answer, list(row = 0, sums = sums, dim = c(100L, 1000L)))
    expect_identical(m[3, 1], 3)
  })
})

test_that("a live object under copyOnWrite = TRUE that was changed travels by value", {
  with_new_store({
    live <- share(as.numeric(1:1e5), copyOnWrite = FALSE)
    view <- unserialize(serialize(live, NULL))
    setCopyOnWrite(view, TRUE)
    view[1] <- -1
    expect_identical(live[1], 1)
    got <- run_r({
      view <- take("view")
      live <- take("live")
      live[2] <- -2
      answer(c(view[1:2], live[1:2]))
    }, dir = put_in(put_in(scratch(), view, "view"), live, "live"))
    expect_identical(got$answer, c(-1, 2, 1, -2))
    expect_identical(live[1:2], c(1, -2))
    expect_identical(view[1:2], c(-1, 2))
  })
})

test_that("rlang::hash() of a shared object is that of its value", {
  skip_if_not_installed("rlang")
  with_new_store({
    for (x in c(five_types(), list(factor(c("a", "b")), matrix(1:6, 2)))) {
      expect_identical(rlang::hash(share(x, minLength = 0)), rlang::hash(x))
      expect_identical(rlang::hash(list(share(x, minLength = 0))), rlang::hash(list(x)))
    }
  })
  # Whichever of the two is loaded first. Not of 1:1000, which R itself serializes as a compact sequence.
  for (first in c("cowshed", "rlang")) {
    got <- run_r({
      requireNamespace(first)
      requireNamespace("rlang")
      plain <- c(1:999, 7L)
      x <- cowshed::share(plain)
      answer(c(identical(rlang::hash(x), rlang::hash(plain)), cowshed::is.shared(x)))
    }, first = first, store = NULL)
    expect_identical(got$answer, c(TRUE, TRUE))
  }
})

test_that("version 2, and other formats, hold data", {
  with_new_store({
    x <- share(as.numeric(1:5000))
    expect_identical(serialize(x, NULL, version = 2), serialize(as.numeric(1:5000), NULL, version = 2))
    file <- tempfile()
    dput(x, file)
    expect_identical(dget(file), as.numeric(1:5000))
    dump("x", file)
    e <- new.env()
    sys.source(file, e)
    expect_identical(e$x, as.numeric(1:5000))
    write.csv(data.frame(x = x), file, row.names = FALSE)
    expect_identical(as.numeric(read.csv(file)$x), as.numeric(1:5000))
    unlink(file)
  })
})

test_that("saving what cannot be read keeps the reference, and says why on reading", {
  with_new_store({
    dir <- scratch()
    run_r({
      library(cowshed)
      options(cowshed.grace = 0)
      put(share(as.numeric(1:5000)), "late")
    }, dir = dir)
    expect_clean_store()
    x <- unserialize(bytes_in(dir, "late"))
    rds <- tempfile()
    saveRDS(x, rds)
    back <- readRDS(rds)
    expect_length(back, 5000L)
    expect_error(back[1], class = "cowshed_error_gone")
    unlink(rds)
  })
})
