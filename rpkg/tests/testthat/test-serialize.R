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

# Bytes written for a shared object: a reference or data.
by <- function(bytes) if (length(bytes) < 1000L) "reference" else "value"

test_that("save.image() and quit(save) keep data", {
  with_new_store({
    dir <- scratch()
    run_r({
      library(cowshed)
      kept <- share(as.numeric(1:5000))
      strings <- share(rep(c("a", NA, "\u00e4"), 1000))
      save.image(in_scratch("image.RData"))
      setwd(in_scratch("."))
      quit("yes")
    }, dir = dir)
    for (file in c("image.RData", ".RData")) {
      got <- run_r({
        .libPaths(in_scratch("no-library"))
        e <- new.env()
        load(in_scratch(file), e)
        answer(list(e$kept, e$strings, "cowshed" %in% loadedNamespaces()))
      }, file = file, dir = dir, store = NULL, env = c("R_LIBS=", "R_LIBS_USER=", "R_LIBS_SITE="))
      expect_identical(got$answer, list(as.numeric(1:5000), rep(c("a", NA, "\u00e4"), 1000), FALSE))
    }
  })
})

test_that("serialize() to a file, through a pipe or compressed keeps data; to a socket, a FIFO or memory it sends", {
  with_new_store({
    x <- share(list(as.numeric(1:5000), b = 1:2000))
    value <- lapply(x, unshare)
    file <- tempfile()
    for (open in list(base::file, gzfile, bzfile, xzfile, function(f, mode) pipe(paste("cat >", shQuote(f)), mode))) {
      con <- open(file, "wb")
      serialize(x, con)
      close(con)
      con <- gzfile(file, "rb")
      back <- unserialize(con)
      close(con)
      expect_false(is.shared(back))
      expect_identical(back, value)
    }
    con <- rawConnection(raw(), "wb")
    serialize(x, con)
    expect_identical(by(rawConnectionValue(con)), "reference")
    close(con)
    if (capabilities("fifo")) {
      name <- tempfile()
      system2("mkfifo", name)
      con <- base::fifo(name, "w+b", blocking = FALSE)
      serialize(x, con)
      back <- unserialize(con)
      close(con)
      expect_true(is.shared(back))
    }
  })
})

test_that("caches of knitr hold data, and load where there is no cowshed", {
  skip_if_not_installed("knitr")
  with_new_store({
    dir <- scratch()
    document <- c("```{r chunk, cache=TRUE}", "x <- cowshed::share(as.numeric(1:5000))", "l <- list(a = cowshed::share(1:999 + 0L), b = x)",
                  "e <- new.env()", "e$x <- x", "```")
    writeLines(document, file.path(dir, "document.Rmd"))
    knitted <- run_r({
      setwd(in_scratch("."))
      knitr::knit("document.Rmd", quiet = TRUE)
    }, dir = dir)
    expect_ended_well(knitted)
    got <- run_r({
      .libPaths(in_scratch("no-library"))
      base <- sub("[.]rdb$", "", list.files(in_scratch("cache"), "[.]rdb$", full.names = TRUE))
      e <- new.env()
      lazyLoad(base, e)
      answer(list(e$x, e$l, e$e$x, "cowshed" %in% loadedNamespaces()))
    }, dir = dir, store = NULL, env = c("R_LIBS=", "R_LIBS_USER=", "R_LIBS_SITE="))
    x <- as.numeric(1:5000)
    expect_identical(got$answer, list(x, list(a = 1:999, b = x), x, FALSE))
    # By hand, from an environment and from a list.
    for (from in list(list2env(list(x = share(x))), list(x = share(x)))) {
      tools:::makeLazyLoadDB(from, file.path(dir, "by-hand"))
      loaded <- new.env()
      lazyLoad(file.path(dir, "by-hand"), loaded)
      expect_false(is.shared(loaded$x))
      expect_identical(loaded$x, x)
    }
  })
})

test_that("digest() of a shared object is that of its value, by any algorithm and version of the format", {
  skip_if_not_installed("digest")
  with_new_store({
    plain <- c(five_types(), list(character = rep(c("a", NA), 100)))
    for (x in plain) {
      shared <- share(x)
      for (algo in c("md5", "xxhash64", "spookyhash")) {
        expect_identical(digest::digest(shared, algo), digest::digest(x, algo))
      }
      # R writes its own compact sequences and wrappers in forms of their own in version 3; a copy has none.
      expect_identical(digest::digest(shared, serializeVersion = 3L), digest::digest(x[seq_along(x)], serializeVersion = 3L))
    }

  })
})

test_that("what only measures makes a reference that keeps nothing", {
  # parallelly::serializedSize() exists from 1.37 on. A function of the same kind in a namespace of the same name stands in for it.
  with_new_store({
    dir <- scratch()
    got <- run_r({
      library(cowshed)
      x <- share(as.numeric(1:5000))
      ns <- new.env(parent = baseenv())
      ns$.packageName <- "parallelly"
      ns$serializedSize <- eval(quote(function(x) length(.Internal(serialize(x, NULL, 0L, 3L, NULL)))), ns)
      environment(ns$serializedSize) <- ns
      size <- ns$serializedSize(list(x, x))
      real <- if ("serializedSize" %in% getNamespaceExports("parallelly")) parallelly::serializedSize(list(x, x))
      rm(x)
      gc()
      pruneSharedObjects()
      answer(list(size = size, real = real, left = nrow(listSharedObjects())))
    }, dir = dir)
    expect_ended_well(got)
    expect_lt(got$answer$size, 600)
    if (!is.null(got$answer$real)) expect_lt(got$answer$real, 600)
    expect_identical(got$answer$left, 0L)
  })
})

test_that("either way can be forced, by a call and by an option", {
  with_new_store({
    x <- share(as.numeric(1:5000))
    l <- share(list(as.numeric(1:2000), rep("a", 5000)))
    rds <- tempfile()
    for (object in list(x, l)) {
      withSharedSerialization(saveRDS(object, rds), by = "reference")
      expect_lt(file.size(rds), 600)
      expect_true(is.shared(readRDS(rds)))
      expect_identical(readRDS(rds), unshare(object))
      expect_identical(by(withSharedSerialization(serialize(object, NULL), by = "value")), "value")
      # Over when the call is over.
      expect_identical(by(serialize(object, NULL)), "reference")
      saveRDS(object, rds)
      expect_false(is.shared(readRDS(rds)))
    }
    local_options(cowshed.serialize = "value")
    expect_identical(by(serialize(x, NULL)), "value")
    expect_identical(by(withSharedSerialization(serialize(x, NULL))), "reference")
    options(cowshed.serialize = "reference")
    expect_identical(by(serialize(x, NULL)), "reference")
    con <- file(rds, "wb")
    serialize(x, con)
    close(con)
    expect_lt(file.size(rds), 300)
    save(x, file = rds, compress = FALSE)
    expect_lt(file.size(rds), 400)
    # A hash is of the value all the same, and what was changed has no reference.
    if (requireNamespace("rlang", quietly = TRUE)) expect_identical(rlang::hash(x), rlang::hash(x + 0))
    y <- x
    y[1] <- 0
    expect_identical(by(serialize(y, NULL)), "value")
    options(cowshed.serialize = "auto")
    expect_identical(by(serialize(x, NULL)), "reference")
    saveRDS(x, rds)
    expect_false(is.shared(readRDS(rds)))
  })
})

test_that("a forced serialization gives back what its expression does, after an error too", {
  expect_identical(withVisible(withSharedSerialization(invisible(1)))$visible, FALSE)
  expect_null(getOption("cowshed.serialize"))
  expect_error(withSharedSerialization(stop("no"), by = "value"), "no")
  expect_null(getOption("cowshed.serialize"))
  expect_error(withSharedSerialization(1, by = "mail"), class = "cowshed_error_argument")
  with_new_store({
    x <- share(1:100)
    local_options(cowshed.serialize = NULL)
    for (wrong in list("References", NA, 1, c("value", "auto"), character())) {
      options(cowshed.serialize = wrong)
      expect_error(serialize(x, NULL), class = "cowshed_error_argument")
    }
  })
})

test_that("no serialize call sees what was found out for another one", {
  with_new_store({
    x <- share(as.numeric(1:5000))
    l <- list(x, x)
    rds <- tempfile()
    kept <- function() {
      saveRDS(l, rds, compress = FALSE)
      by(raw(file.size(rds)))
    }
    sends <- function() by(serialize(l, NULL))
    for (i in 1:50) {
      expect_identical(c(sends(), kept()), c("reference", "value"))
      expect_identical(c(kept(), sends()), c("value", "reference"))
      if (i %% 10 == 0) gc()
    }
    # One within the other: a hook for environments is called in the midst of it.
    inner <- NULL
    e <- new.env()
    hook <- function(obj) {
      if (!identical(obj, e)) return(NULL)
      inner <<- c(inner, sends())
      "e"
    }
    saveRDS(list(x, e, x), rds, refhook = hook, compress = FALSE)
    expect_gt(file.size(rds), 2 * 40000)
    hook <- function(obj) {
      if (!identical(obj, e)) return(NULL)
      inner <<- c(inner, kept())
      "e"
    }
    expect_lt(length(serialize(list(x, e, x), NULL, refhook = hook)), 1000L)
    expect_identical(inner, c("reference", "value"))
    # A finalizer that runs in the midst of it.
    inner <- NULL
    for (i in 1:20) reg.finalizer(new.env(), function(e) inner <<- c(inner, kept()))
    expect_lt(length(serialize(rep(list(x, new.env()), 1000), NULL)), 1e6)
    gc()
    expect_identical(inner, rep("value", 20))
  })
})

test_that("whichever frame is where another one was, each call gets its own answer", {
  # Frames come and go at the same addresses. Collecting at every tenth allocation, they do so at once.
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- share(as.numeric(1:200))
      gctorture2(10)
      sizes <- vapply(1:6, function(i) {
        if (i %% 2 == 0) {
          saveRDS(x, in_scratch("x.rds"), compress = FALSE)
          file.size(in_scratch("x.rds"))
        } else {
          as.numeric(length(serialize(x, NULL)))
        }
      }, 0)
      gctorture2(0)
      answer(sizes)
    })
    expect_ended_well(got)
    expect_identical(got$answer > 1600, rep(c(FALSE, TRUE), 3))
  })
})

test_that("who only looks like a saver sends, and saveRDS() by any other name keeps", {
  with_new_store({
    x <- share(as.numeric(1:5000))
    saveRDS <- function(object, file) length(serialize(object, NULL))
    expect_lt(saveRDS(x, "nowhere"), 300)
    rds <- tempfile()
    other_name <- base::saveRDS
    other_name(x, rds)
    expect_false(is.shared(readRDS(rds)))
    suppressMessages(trace(base::saveRDS, quote(NULL), print = FALSE, where = baseenv()))
    on.exit(suppressMessages(untrace(base::saveRDS, where = baseenv())))
    base::saveRDS(x, rds)
    expect_false(is.shared(readRDS(rds)))
  })
})
