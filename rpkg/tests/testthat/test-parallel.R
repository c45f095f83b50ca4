# PSOCK workers of package parallel, which do not attach cowshed.

skip_without_processes()

test_that("workers that never attached the package receive references and send results back by reference", {
  with_new_store({
    with_cluster(2, function(cl) {
      x <- share(as.numeric(1:3e5))
      m <- share(matrix(as.numeric(1:4e4), 200))
      parallel::clusterExport(cl, c("x", "m"), envir = environment())
      expect_identical(parallel::clusterEvalQ(cl, "package:cowshed" %in% search()), list(FALSE, FALSE))
      expect_identical(parallel::clusterEvalQ(cl, sum(x)), rep(list(sum(as.numeric(1:3e5))), 2))
      expect_identical(unlist(parallel::clusterEvalQ(cl, cowshed:::data_id(x))), rep(cowshed:::data_id(x), 2))
      expect_identical(parallel::parLapply(cl, 1:4, function(i, m) sum(m[i, ]), m), lapply(1:4, function(i) sum(m[i, ])))
      expect_identical(
        parallel::clusterApply(cl, list(share(1:10), share(11:20)), function(v) rev(v)), list(10:1, 20:11)
      )
      back <- parallel::clusterEvalQ(cl, cowshed::share(x * 2))
      expect_identical(vapply(back, is.shared, NA), c(TRUE, TRUE))
      expect_identical(back[[1]], as.numeric(1:3e5) * 2)
    })
    # The workers are gone; what they made and sent is held here.
    gc()
    pruneSharedObjects()
    expect_length(ledgers(), 1L)
  })
})

test_that("a result survives its worker, who quits or is killed, until it is claimed and after", {
  with_new_store({
    for (how in c("quit", "kill")) {
      dir <- scratch()
      worker <- start_r({
        put(cowshed::share(as.numeric(1:3e5)), "result")
        if (how == "quit") quit("no") else Sys.sleep(600)
      }, how = how, dir = dir)
      wait_in(dir, "result")
      if (how == "kill") kill_hard(worker) else expect_equal(finish(worker), 0L)
      # Strangers clean meanwhile.
      run_r(library(cowshed))
      run_r({ library(cowshed); pruneSharedObjects() })
      x <- unserialize(bytes_in(dir, "result"))
      run_r({ library(cowshed); pruneSharedObjects() })
      expect_identical(sum(x), sum(as.numeric(1:3e5)))
      expect_length(segments(), 1L)
      rm(x)
      gc()
      expect_clean_store(ledgers = 1L)
    }
  })
})

test_that("reading in a worker makes no private copy: also where R's C code asks for a writable pointer", {
  skip_if_not(file.exists("/proc/self/smaps_rollup"))
  with_new_store({
    x <- share(as.numeric(seq_len(8e6))) # 64 MB
    m <- share(matrix(x, 2e6, 4))
    dir <- put_in(put_in(scratch(), x, "x"), m, "m")
    got <- run_r({
      x <- take("x")
      m <- take("m")
      y <- c(1, 2, 3, 4)
      gc(full = TRUE)
      read <- function(code) {
        gc(full = TRUE)
        before <- private_kb()
        force(code)
        gc(full = TRUE)
        private_kb() - before
      }
      invisible(m[1:2, ] %*% y)
      grown <- c(
        sum = read(sum(x)), max = read(max(x)), product = read(m %*% y), range = read(range(x)), anyNA = read(anyNA(x)),
        cumsum = read({ cumsum(x); NULL }), mean = read(mean(x)), pick = read(x[c(1, 5e6)]), identical = read(identical(x, x)),
        elements = read(for (i in seq(1, 8e6, 4096)) x[[i]])
      )
      answer(list(
        grown = grown, private = c(cowshed:::private_bytes(x), cowshed:::private_bytes(m)),
        shared = c(cowshed::is.shared(x), cowshed::is.shared(m))
      ))
    }, dir = dir)
    expect_ended_well(got)
    # A copy would be 62,500 kB. R's heap keeps some of what cumsum() and %*% gave back.
    expect_true(all(got$answer$grown < 20000), info = paste(names(got$answer$grown), got$answer$grown, collapse = ", "))
    expect_identical(got$answer$private, c(0, 0))
    expect_identical(got$answer$shared, c(TRUE, TRUE))
  })
})

test_that("a worker's write stays private and costs pages", {
  with_new_store({
    x <- share(as.numeric(seq_len(1e6)))
    with_cluster(1, function(cl) {
      parallel::clusterExport(cl, "x", envir = environment())
      got <- parallel::clusterEvalQ(cl, {
        y <- x
        y[10] <- -1
        list(x[10], y[10], cowshed::is.shared(x), cowshed::is.shared(y), cowshed:::private_bytes(y))
      })[[1]]
      expect_identical(got[1:4], list(10, -1, TRUE, FALSE))
      expect_gt(got[[5]], 0)
      expect_lte(got[[5]], 16384)
      # The changed one travels by value with its change.
      y <- parallel::clusterEvalQ(cl, y)[[1]]
      expect_false(is.shared(y))
      expect_identical(y, replace(as.numeric(seq_len(1e6)), 10, -1))
    })
    expect_identical(x[10], 10)
  })
})

test_that("a worker that cannot attach reports a classed error to the master and lives on", {
  with_new_store({
    with_cluster(1, function(cl) {
      old <- options(cowshed.grace = 0)
      on.exit(options(old))
      # Without its name it would travel by value; the reference was made before.
      x <- share(as.numeric(1:6000))
      id <- cowshed:::data_id(x)
      reference <- serialize(x, NULL)
      unlink(segments())
      parallel::clusterExport(cl, "reference", envir = environment())
      parallel::clusterEvalQ(cl, { x <- unserialize(reference); NULL })
      expect_identical(parallel::clusterEvalQ(cl, length(x))[[1]], 6000L)
      e <- expect_error(parallel::clusterEvalQ(cl, sum(x)), id, fixed = TRUE)
      expect_match(conditionMessage(e), "is gone from the store", fixed = TRUE)
      caught <- parallel::clusterEvalQ(cl, tryCatch(x[1], cowshed_error_gone = function(e) class(e)))[[1]]
      expect_identical(caught[1:2], c("cowshed_error_gone", "cowshed_error"))
      expect_identical(parallel::clusterEvalQ(cl, 1 + 1)[[1]], 2)
      # What is broken there comes back as the reference it is; the master, which still holds the data, has them.
      back <- parallel::clusterEvalQ(cl, x)[[1]]
      expect_identical(cowshed:::data_id(back), id)
      expect_identical(back, as.numeric(1:6000))
    })
  })
})

test_that("a reference in an argument that cannot be attached leaves the worker alive", {
  with_new_store({
    with_cluster(1, function(cl) {
      x <- share(as.numeric(1:6000))
      broken <- unserialize({
        bytes <- serialize(x, NULL)
        unlink(store_dir(), recursive = TRUE)
        rm(x)
        gc()
        bytes
      })
      expect_error(parallel::clusterApply(cl, list(broken), function(v) v[1]), "is gone")
      expect_identical(parallel::clusterApply(cl, list(broken), length), list(6000L))
      expect_identical(parallel::clusterEvalQ(cl, 1 + 1)[[1]], 2)
    })
  })
})

test_that("without the package, a worker gets base R's warning and an empty vector, and lives", {
  with_new_store({
    dir <- put_in(scratch(), share(as.numeric(1:5000)), "x")
    # A library path without ours.
    got <- run_r({
      .libPaths(in_scratch("no-library"))
      said <- NULL
      x <- withCallingHandlers(take("x"), warning = function(w) {
        said <<- conditionMessage(w)
        invokeRestart("muffleWarning")
      })
      answer(list(said = said, x = x, loaded = "cowshed" %in% loadedNamespaces()))
    }, dir = dir, env = c("R_LIBS=", "R_LIBS_USER=", "R_LIBS_SITE="))
    skip_if("cowshed" %in% rownames(installed.packages(.Library)), "cowshed is in R's own library")
    expect_ended_well(got)
    expect_match(got$answer$said, "cannot unserialize ALTVEC object of class .* from package 'cowshed'")
    expect_identical(got$answer$x, numeric())
    expect_false(got$answer$loaded)
  })
})

test_that("two processes writing through one vector see each other's writes", {
  with_new_store({
    x <- share(numeric(1e5), copyOnWrite = FALSE)
    dir <- scratch()
    writer <- function(mine, others, base, dir, x) {
      force(x)
      start_r({
        x <- take("x")
        seen <- logical()
        for (round in 1:50) {
          x[mine + round] <- base + round
          x[[mine + 100 + round]] <- base
          mark(paste0("wrote", mine, "-", round))
          wait_for(paste0("wrote", others, "-", round))
          seen[round] <- x[others + round] > 0 && x[[others + 100 + round]] > 0
        }
        saveRDS(list(seen = seen, shared = cowshed::is.shared(x), private = cowshed:::private_bytes(x)), in_scratch(paste0("end", mine)))
      }, mine = mine, others = others, base = base, dir = dir)
    }
    put_in(dir, x, "x")
    a <- writer(1000, 2000, 10, dir, x)
    b <- writer(2000, 1000, 20, dir, x)
    expect_equal(finish(a), 0L)
    expect_equal(finish(b), 0L)
    for (end in c("end1000", "end2000")) {
      got <- readRDS(file.path(dir, end))
      expect_true(all(got$seen))
      expect_true(got$shared)
      expect_identical(got$private, 0)
    }
    # And so does the maker, who did not take part.
    expect_identical(x[1000 + 1:50], 10 + as.numeric(1:50))
    expect_identical(x[2000 + 1:50], 20 + as.numeric(1:50))
    expect_identical(sum(x != 0), 200L)
  })
})

test_that("the store that is used by default serves workers too, and nothing of it stays", {
  skip_if_not(dir.exists("/dev/shm"))
  old <- options(cowshed.store = NULL)
  on.exit(options(old))
  x <- share(as.numeric(1:5000))
  id <- cowshed:::data_id(x)
  expect_identical(cowshed:::store_path(), sprintf("/dev/shm/cowshed-%s", system2("id", "-u", stdout = TRUE)))
  segment <- file.path(cowshed:::store_path(), "segments", id)
  expect_true(file.exists(segment))
  with_cluster(1, function(cl) {
    parallel::clusterExport(cl, "x", envir = environment())
    expect_identical(parallel::clusterEvalQ(cl, cowshed:::data_id(x))[[1]], id)
  })
  rm(x)
  gc()
  pruneSharedObjects()
  expect_false(file.exists(segment))
})
