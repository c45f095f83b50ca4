# Virtual vectors of a Rust package.

skip_on_os("windows")
skip_without_processes()

troubled <- function(...) asNamespace("rustdoor")$troubled(...)

test_that("a virtual vector of a Rust package is read without a pointer, in parts and whole", {
  with_package("rustdoor", rustdoor_library(), {
    values <- c(1.5, NA, 3, -Inf, 1.5, 0)
    plain <- rep(values, 1:6 * 1000)
    x <- asNamespace("rustdoor")$expanded(asNamespace("rustdoor")$runs(plain))
    expect_true(is.altrep(x))
    expect_identical(length(x), length(plain))
    expect_identical(sum(x), sum(plain))
    expect_identical(sum(x, na.rm = TRUE), sum(plain, na.rm = TRUE))
    for (i in list(1, 1000, 1001, c(5, NA, 30000, 1), 999:1001, 21000:1, -1)) expect_identical(x[i], plain[i])
    out <- capture.output(.Internal(inspect(x)))
    expect_match(out[1], "runs, 21000 elements, no pointer")
    expect_identical(x, plain)
    none <- asNamespace("rustdoor")$runs(double())
    expect_identical(asNamespace("rustdoor")$expanded(none), double())
    expect_error(asNamespace("rustdoor")$expanded(list(values = 1, ends = -1L)), "not what runs", class = "cowshed_error_argument")
  })
})

test_that("a worker makes it with the package, which is loaded for that, and is told if it lacks it", {
  library <- rustdoor_library()
  with_package("rustdoor", library, with_new_store({
    dir <- scratch()
    plain <- rep(c(1.5, NA, 3), c(2000, 1, 3000))
    x <- asNamespace("rustdoor")$expanded(share(asNamespace("rustdoor")$runs(plain)))
    expect_lt(length(serialize(x, NULL)), 1500)
    put_in(dir, x, "sent")
    put_in(dir, share(x), "shared")
    read <- quote({
      if (length(library)) .libPaths(c(library, .libPaths()))
      answer(lapply(c("sent", "shared"), function(name) {
        x <- take(name)
        list(length(x), condition_of(x[1]), tryCatch(x + 0, error = function(e) NULL), isNamespaceLoaded("rustdoor"))
      }))
    })
    got <- eval(bquote(run_r(.(read), library = library, dir = dir)))
    expect_ended_well(got)
    for (one in got$answer) expect_identical(one, list(5001L, NULL, plain, TRUE))
    put_in(dir, x, "sent")
    put_in(dir, share(x), "shared")
    got <- eval(bquote(run_r(.(read), library = character(), dir = dir)))
    expect_ended_well(got)
    for (one in got$answer) {
      expect_identical(one[c(1, 3, 4)], list(5001L, NULL, FALSE))
      expect_match(one[[2]]$message, "rustdoor.expanded.*install the package 'rustdoor'")
    }
    # What was written to is sent as it is.
    x[2] <- 9
    put_in(dir, x, "sent")
    put_in(dir, x, "shared")
    got <- eval(bquote(run_r(.(read), library = character(), dir = dir)))
    for (one in got$answer) expect_identical(one[[3]], c(1.5, 9, plain[-(1:2)]))
  }))
})

test_that("an error or a panic is an R error with the reason, and R goes on", {
  with_package("rustdoor", rustdoor_library(), {
    why <- c(fail = "it does not want to", panic = "it panicked: made too much", rfail = "it does not want to", rpanic = "it panicked: made too much")
    for (trouble in names(why)) {
      x <- troubled(trouble)
      for (k in 1:20) {
        expect_error(x[4001], why[[trouble]], fixed = TRUE, class = "cowshed_error_generator", info = trouble)
        expect_error(sum(x), "a troubled one", class = "cowshed_error_generator", info = trouble)
      }
      expect_identical(x[1:4000], as.double(1:4000), info = trouble)
      expect_identical(sum(x[1:2000]), sum(as.double(1:2000)), info = trouble)
    }
    x <- troubled("rstop")
    for (k in 1:20) expect_error(x[4001], "vector is too large|cannot allocate")
    expect_identical(x[4000], 4000)
    x <- troubled("subset")
    expect_error(x[1:3], "it panicked: too many subscripts")
    expect_identical(x[[3]], 3)
    expect_identical(troubled("half")[1:3], 0.5)
    expect_match(capture.output(.Internal(inspect(troubled("none"))))[2], "its trouble is none")
  })
})

test_that("what R makes has a pointer too: to a copy", {
  with_package("rustdoor", rustdoor_library(), {
    expect_identical(troubled("r", 100000), as.double(1:100000))
    expect_identical(troubled("none", 100000), as.double(1:100000))
    old <- options(cowshed.materialize = 1e5)
    on.exit(options(old))
    x <- troubled("r", 1e5)
    expect_error(identical(x, as.double(1:1e5)), "R's own thread", class = "cowshed_error_pointer")
    expect_identical(sum(x), sum(1:1e5))
  })
})

test_that("what cannot be sent, or made again, is an error that says why", {
  with_package("rustdoor", rustdoor_library(), {
    expect_error(serialize(troubled("recipe"), NULL), "it keeps its recipe")
    expect_error(share(troubled("recipe")), "it keeps its recipe")
    x <- unserialize(serialize(troubled("restore"), NULL))
    expect_identical(length(x), 5000L)
    expect_error(x[1], "it panicked: restored too much", class = "cowshed_error_generator")
    expect_error(share(troubled("restore")), "restored too much")
  })
})

test_that("what was written is stored by one that stores", {
  with_package("rustdoor", rustdoor_library(), {
    x <- troubled("store", 100000)
    expect_identical(x[99999], 99999)
    # Sent as its elements: it has no name.
    expect_identical(unserialize(serialize(x, NULL)), as.double(1:100000))
    x[5] <- -1
    expect_identical(x[4:6], c(4, -1, 6))
  })
})

test_that("data are dropped when R collects the vector, once, and after what was made of it", {
  with_package("rustdoor", rustdoor_library(), {
    gc()
    gc()
    before <- asNamespace("rustdoor")$dropped()
    x <- troubled("none")
    y <- x[1:3000]
    rm(x)
    gc()
    gc()
    expect_identical(asNamespace("rustdoor")$dropped(), before)
    expect_identical(y[3000], 3000)
    rm(y)
    for (k in 1:50) troubled("drop")
    gc()
    gc()
    expect_identical(asNamespace("rustdoor")$dropped(), before + 51)
    # One that R could not have, too.
    expect_error(troubled("none", 2^53), "2\\^52", class = "cowshed_error_argument")
    expect_identical(asNamespace("rustdoor")$dropped(), before + 52)
  })
})

test_that("what another thread lets go of is R's to collect", {
  with_package("rustdoor", rustdoor_library(), {
    gone <- 0
    for (k in 1:3) {
      x <- new.env()
      reg.finalizer(x, function(x) gone <<- gone + 1)
      expect_true(asNamespace("rustdoor")$keep(x))
      rm(x)
    }
    # The next one to be kept takes note of it.
    expect_true(asNamespace("rustdoor")$keep(NULL))
    gc()
    expect_identical(gone, 3)
  })
})

test_that("making, reading and sending survive gctorture", {
  library <- rustdoor_library()
  with_new_store({
    got <- run_r({
      .libPaths(c(library, .libPaths()))
      library(cowshed)
      loadNamespace("rustdoor")
      runs <- rustdoor::runs(rep(c(1, 2, 1, 3), 1:4))
      gctorture(TRUE)
      x <- rustdoor::expanded(runs)
      y <- unserialize(serialize(x, NULL))
      z <- rustdoor:::troubled("r", 10)
      w <- rustdoor:::troubled("rpanic", 5000)
      e <- tryCatch(w[4001], error = function(e) class(e)[1])
      a <- list(x[1:10], y[10:1], z[1:10], e)
      rm(x, z, w)
      b <- y[3]
      gctorture(FALSE)
      answer(list(a, b))
    }, library = library, timeout = 200)
    expect_ended_well(got)
    expanded <- rep(c(1, 2, 1, 3), 1:4)
    expect_identical(got$answer, list(list(expanded, rev(expanded), as.double(1:10), "cowshed_error_generator"), 2))
  })
})
