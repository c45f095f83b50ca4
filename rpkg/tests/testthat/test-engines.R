# Engines for parallel work other than package parallel: what is shared arrives by reference, and results come back.
#
# Each in an R of its own, whose workers do not attach cowshed.

skip_without_processes()

# Runs `code` in an R that has the shared objects `objects` (a vector, a matrix, strings, a list), `live`, which is written through, and
# `probe(i, objects, live, store)`, which is for a worker. Its value is the list of what probe(1), probe(2), ... gave; the workers have ended
# by then.
run_engine <- function(code, package = NULL) {
  dir <- scratch()
  script <- bquote({
    library(cowshed)
    store <- getOption("cowshed.store")
    objects <- list(
      vector = share(as.numeric(1:20000)), matrix = share(matrix(as.numeric(1:2e4), 100, dimnames = list(NULL, paste0("c", 1:200)))),
      character = share(rep(c("a", "\u00e4\u00f6", NA, "b"), 5000)), list = share(list(a = 1:20000 + 0L, b = as.character(1:20000)))
    )
    live <- share(numeric(4), copyOnWrite = FALSE)
    values <- unshare(objects)
    # How the tests name what each of them reads.
    leaves <- function(objects) c(objects[1:3], objects$list)
    sent <- lapply(leaves(objects), cowshed:::data_id)
    size <- size_of(objects)
    probe <- function(i, objects, live, store) {
      options(cowshed.store = store)
      all <- c(objects[1:3], objects$list)
      totals <- lapply(all, function(x) if (is.character(x)) table(x, useNA = "always")[1:3] else sum(x, rowSums(as.matrix(x)), cumsum(x)))
      live[i] <- live[i] + i
      list(
        i = i, pid = Sys.getpid(), ids = lapply(all, cowshed:::data_id), shared = vapply(all, cowshed::is.shared, NA), totals = totals,
        private = vapply(c(all, list(live)), cowshed:::private_bytes, 0), attached = "package:cowshed" %in% search(),
        back = cowshed::share(objects$vector * i), strings = rev(objects$character), same = objects$matrix
      )
    }
    here <- probe(4L, objects, live, store)
    results <- .(substitute(code))
    summary <- lapply(results, function(r) list(
      other = r$pid != Sys.getpid(), ids = identical(r$ids, sent), shared = all(r$shared), totals = identical(r$totals, here$totals),
      private = sum(r$private), attached = r$attached, right = identical(r$back, values$vector * r$i) &&
        identical(r$strings, rev(values$character)) && identical(r$same, values$matrix),
      back = is.shared(r$back), same = identical(cowshed:::data_id(r$same), sent$matrix)
    ))
    written <- live[]
    rm(objects, live, results, here)
    # Workers that were told to stop may take a moment.
    until <- Sys.time() + 20
    repeat {
      gc()
      pruneSharedObjects()
      left <- nrow(listSharedObjects())
      if (left == 0L || Sys.time() > until) break
      Sys.sleep(0.05)
    }
    answer(list(summary = summary, size = size, written = written, left = left))
  })
  got <- do.call(run_r, list(script, dir = dir, timeout = 120))
  expect_ended_well(got)
  got$answer
}

# `back`: whether results are sent by reference. `fork`: workers have what the parent has, package included.
expect_by_reference <- function(got, n, back = TRUE, fork = FALSE) {
  expect_length(got$summary, n)
  for (worker in got$summary) {
    wanted <- list(other = TRUE, ids = TRUE, shared = TRUE, totals = TRUE, private = 0, attached = fork, right = TRUE, back = back, same = back)
    expect_identical(worker, wanted)
  }
  # 5 references, names, and the attributes of the matrix.
  expect_lt(got$size, 4500)
  expect_identical(got$written, c(as.numeric(seq_len(n)), numeric(3 - n), 4))
  expect_identical(got$left, 0L)
  expect_clean_store()
}

test_that("callr::r(): by reference into the child, results as data", {
  with_new_store({
    got <- run_engine(lapply(1:2, function(i) callr::r(probe, list(i, objects, live, store))))
    expect_by_reference(got, 2, back = FALSE)
  })
})

test_that("callr::r_bg()", {
  with_new_store({
    got <- run_engine({
      children <- lapply(1:2, function(i) callr::r_bg(probe, list(i, objects, live, store)))
      results <- lapply(children, function(child) {
        child$wait(60000)
        child$get_result()
      })
      rm(children) # a callr process keeps what it was sent
      results
    })
    expect_by_reference(got, 2, back = FALSE)
  })
})

test_that("callr::r_session, which lives on from one call to the next", {
  with_new_store({
    got <- run_engine({
      session <- callr::r_session$new()
      results <- lapply(1:2, function(i) session$run(probe, list(i, objects, live, store)))
      session$close()
      rm(session)
      results
    })
    expect_by_reference(got, 2, back = FALSE)
  })
})

test_that("callr: what is saved on purpose while arguments are sent is data", {
  with_new_store({
    x <- share(as.numeric(1:5000))
    rds <- tempfile()
    callr::r(function(x, rds) saveRDS(x, rds), list(x, rds))
    expect_false(is.shared(readRDS(rds)))
    expect_identical(readRDS(rds), as.numeric(1:5000))
  })
})

test_that("future: multisession", {
  skip_if_not_installed("future")
  with_new_store({
    got <- run_engine({
      future::plan(future::multisession, workers = 2)
      futures <- lapply(1:2, function(i) future::future(probe(i, objects, live, store)))
      results <- lapply(futures, future::value)
      rm(futures)
      future::plan(future::sequential)
      results
    })
    expect_by_reference(got, 2)
  })
})

test_that("future: multicore", {
  skip_if_not_installed("future")
  skip_if_not(future::supportsMulticore())
  with_new_store({
    got <- run_engine({
      future::plan(future::multicore, workers = 2)
      futures <- lapply(1:2, function(i) future::future(probe(i, objects, live, store)))
      results <- lapply(futures, future::value)
      rm(futures)
      future::plan(future::sequential)
      results
    })
    expect_by_reference(got, 2, fork = TRUE)
  })
})

test_that("future.apply, in a multisession", {
  skip_if_not_installed("future.apply")
  with_new_store({
    got <- run_engine({
      future::plan(future::multisession, workers = 2)
      results <- future.apply::future_lapply(1:3, function(i) probe(i, objects, live, store))
      future::plan(future::sequential)
      results
    })
    expect_by_reference(got, 3)
  })
})

test_that("foreach with doParallel: PSOCK", {
  skip_if_not_installed("foreach")
  skip_if_not_installed("doParallel")
  with_new_store({
    got <- run_engine({
      `%dopar%` <- foreach::`%dopar%`
      cl <- parallel::makePSOCKcluster(2, timeout = 60)
      doParallel::registerDoParallel(cl)
      results <- foreach::foreach(i = 1:3) %dopar% probe(i, objects, live, store)
      parallel::stopCluster(cl)
      foreach::registerDoSEQ()
      results
    })
    expect_by_reference(got, 3)
  })
})

test_that("foreach with doParallel: forks", {
  skip_if_not_installed("foreach")
  skip_if_not_installed("doParallel")
  with_new_store({
    got <- run_engine({
      `%dopar%` <- foreach::`%dopar%`
      doParallel::registerDoParallel(cores = 2)
      results <- foreach::foreach(i = 1:3) %dopar% probe(i, objects, live, store)
      doParallel::stopImplicitCluster()
      foreach::registerDoSEQ()
      results
    })
    expect_by_reference(got, 3, fork = TRUE)
  })
})

test_that("BiocParallel: SnowParam", {
  skip_if_not_installed("BiocParallel")
  with_new_store({
    got <- run_engine({
      param <- BiocParallel::SnowParam(2)
      BiocParallel::bplapply(1:3, probe, objects = objects, live = live, store = store, BPPARAM = param)
    })
    expect_by_reference(got, 3)
  })
})

test_that("BiocParallel: MulticoreParam", {
  skip_if_not_installed("BiocParallel")
  with_new_store({
    got <- run_engine({
      param <- BiocParallel::MulticoreParam(2)
      BiocParallel::bplapply(1:3, probe, objects = objects, live = live, store = store, BPPARAM = param)
    })
    expect_by_reference(got, 3, fork = TRUE)
  })
})

test_that("mirai", {
  skip_if_not_installed("mirai")
  with_new_store({
    got <- run_engine({
      mirai <- asNamespace("mirai") # not in Debian, so not suggested
      mirai$daemons(2)
      args <- list(probe = probe, objects = objects, live = live, store = store)
      tasks <- lapply(1:2, function(i) do.call(mirai$mirai, list(quote(probe(i, objects, live, store)), .args = c(i = i, args))))
      results <- lapply(tasks, function(task) mirai$call_mirai(task)$data)
      rm(tasks, args)
      mirai$daemons(0)
      results
    })
    expect_by_reference(got, 2)
  })
})

test_that("mirai: by = \"value\" sends a daemon plain data, and one that cannot attach reports the class", {
  skip_if_not_installed("mirai")
  with_new_store({
    dir <- scratch()
    got <- run_r({
      mirai <- asNamespace("mirai")
      x <- cowshed::share(as.numeric(1:20000))
      send <- function(code, ...) mirai$call_mirai(do.call(mirai$mirai, list(code, .args = list(...))))$data
      probe <- quote(list(tryCatch(sum(x), cowshed_error = class), cowshed::is.shared(x)))
      mirai$daemons(1)
      value <- cowshed::withSharedSerialization(send(probe, x = x), by = "value")
      reference <- send(probe, x = x)
      broken <- send(probe, x = unserialize(bytes_of("elsewhere")))
      alive <- send(quote(1 + 1))
      mirai$daemons(0)
      answer(list(value = value, reference = reference, broken = broken[[1]][1:2], alive = alive))
    }, dir = { writeBin(made_on(serialize(share(as.numeric(1:5000)), NULL)), file.path(dir, "elsewhere")); dir })
    expect_ended_well(got)
    total <- sum(as.numeric(1:20000))
    wanted <- list(value = list(total, FALSE), reference = list(total, TRUE), broken = c("cowshed_error_machine", "cowshed_error"), alive = 2)
    expect_identical(got$answer, wanted)
  })
})
