# memApply() and memLapply() on every kind of worker; progress.

skip_on_os("windows")

x <- matrix(as.double(1:4000), 100, dimnames = list(NULL, paste0("c", 1:40)))
y <- as.double(100:1)
dot <- eval(quote(function(v, y) sum(v * y)), globalenv())
expected <- setNames(as.list(colSums(x * y)), colnames(x))

same_everywhere <- function(...) {
  expect_equal(memApply(x, 2, dot, VARS = list(y = y), ...), expected)
  expect_identical(memLapply(1:3, function(i) rep(i, 1e4), ...), lapply(1:3, rep, 1e4))
  expect_identical(memLapply(1:5, function(i) rnorm(1), seed = 1, ...), memLapply(1:5, function(i) rnorm(1), seed = 1, MAX.CORES = 1))
  expect_error(memLapply(1:5, function(i) if (i > 2) stop("no ", i), ...), "element 3: no 3", class = "cowshed_error_task")
  expect_length(suppressWarnings(memLapply(1:5, function(i) if (i > 2) stop("no ", i) else i, errors = "collect", ...)), 5L)
}

test_that("workers of ours: PSOCK, and used again", {
  same_everywhere(MAX.CORES = 2)
  pids <- function() sort(unique(unlist(memLapply(1:40, function(i) { Sys.sleep(0.005); Sys.getpid() }, MAX.CORES = 2, chunk = 1))))
  first <- pids()
  expect_length(first, 2L)
  expect_identical(pids(), first)
  memStopCluster()
  until <- Sys.time() + 20
  while (any(vapply(first, pid_is_alive, TRUE)) && Sys.time() < until) Sys.sleep(0.1)
  expect_false(any(vapply(first, pid_is_alive, TRUE)))
  expect_false(any(pids() %in% first))
})

# Each did after each call, and the next call waited: 70 ms instead of 3.
test_that("workers do not collect their garbage after a call that brought nothing large", {
  memStopCluster()
  seen <- tempfile()
  memLapply(1, function(i) {
    reg.finalizer(new.env(), function(e) file.create(seen))
    i
  }, MAX.CORES = 1)
  for (k in 1:3) memLapply(1, identity, MAX.CORES = 1)
  expect_false(file.exists(seen))
  memLapply(1, function(i, big) i, VARS = list(big = rnorm(1e6)), MAX.CORES = 1)
  memLapply(1, identity, MAX.CORES = 1)
  expect_true(file.exists(seen))
})

test_that("forks of this process", {
  on.exit(memStopCluster())
  same_everywhere(CLUSTER = "fork", MAX.CORES = 2)
})

test_that("a forked child has workers of its own", {
  mine <- memLapply(1:2, function(i) Sys.getpid(), MAX.CORES = 2, chunk = 1)
  child <- parallel::mcparallel({
    got <- memLapply(1:2, function(i) Sys.getpid(), MAX.CORES = 2, chunk = 1)
    memStopCluster()
    got
  })
  theirs <- parallel::mccollect(child)[[1]]
  expect_type(theirs, "list")
  expect_false(any(unlist(theirs) %in% unlist(mine)))
  expect_identical(memLapply(1:2, function(i) i, MAX.CORES = 2), list(1L, 2L))
})

# parallel's port is chosen when it is loaded, so children had the same.
test_that("several forked children can have workers at once", {
  memLapply(1:2, identity, MAX.CORES = 2)
  children <- lapply(1:3, function(k) parallel::mcparallel({
    got <- unlist(memLapply(1:2, function(i) i * k, MAX.CORES = 2))
    memStopCluster()
    got
  }))
  expect_identical(unname(parallel::mccollect(children)), lapply(1:3, function(k) 1:2 * k))
})

test_that("a worker that was asked before answers that to nobody; a dead one, or none, is an error, after which the others are in step", {
  cl <- parallel::makePSOCKcluster(2, timeout = 60)
  on.exit(suppressWarnings(try(parallel::stopCluster(cl), silent = TRUE)))
  parallel:::sendCall(cl[[1]], function() "mine", list())
  expect_identical(memLapply(1:3, identity, CLUSTER = cl), list(1L, 2L, 3L))
  expect_identical(parallel::clusterEvalQ(cl, 1 + 1), list(2, 2))
  same_everywhere(CLUSTER = cl)
  tools::pskill(parallel::clusterEvalQ(cl[1], Sys.getpid())[[1]], tools::SIGKILL)
  expect_error(memLapply(1:3, identity, CLUSTER = cl), "it is gone", class = "cowshed_error_worker")
  expect_identical(parallel::clusterEvalQ(cl[2], 1 + 1), list(2))
  expect_error(memLapply(1:3, identity, CLUSTER = cl[0]), "has no workers", class = "cowshed_error_argument")
})

test_that("clusters of parallel: PSOCK with and without XDR, FORK, and fewer workers than there are", {
  for (cl in list(parallel::makePSOCKcluster(2, timeout = 60), parallel::makePSOCKcluster(2, useXDR = FALSE, timeout = 60), parallel::makeForkCluster(2))) {
    same_everywhere(CLUSTER = cl)
    expect_length(unique(unlist(memLapply(1:8, function(i) Sys.getpid(), CLUSTER = cl, MAX.CORES = 1))), 1L)
    parallel::stopCluster(cl)
  }
})

test_that("a future plan", {
  skip_if_not_installed("future")
  old <- future::plan()
  on.exit(future::plan(old))
  for (plan in list(future::sequential, future::multicore)) {
    future::plan(plan)
    same_everywhere(CLUSTER = "future")
  }
  future::plan(future::multisession, workers = 2)
  same_everywhere(CLUSTER = "future")
  expect_error(memLapply(1:4, function(i) if (i == 2) quit("no") else i, CLUSTER = "future"), "worker", class = "cowshed_error")
})

test_that("daemons of mirai", {
  skip_if_not_installed("mirai")
  expect_error(memLapply(1:3, identity, CLUSTER = "mirai"), "mirai::daemons", class = "cowshed_error_argument")
  mirai::daemons(2)
  on.exit(mirai::daemons(0))
  same_everywhere(CLUSTER = "mirai")
})

test_that("options(cowshed.cluster = ) is used where nothing is said", {
  skip_if_not_installed("future")
  old <- options(cowshed.cluster = "future")
  before <- future::plan(future::sequential)
  on.exit({
    options(old)
    future::plan(before)
  })
  expect_identical(memLapply(1:2, function(i) Sys.getpid()), list(Sys.getpid(), Sys.getpid()))
})

test_that("progress goes to progressr if it listens, and adds up", {
  skip_if_not_installed("progressr")
  with_cluster(2, function(cl) {
    amounts <- 0
    count <- function(code) {
      amounts <<- 0
      withCallingHandlers(code, progression = function(p) if (p$type == "update") amounts <<- amounts + p$amount)
    }
    count(progressr::with_progress(memLapply(1:30, function(i) Sys.sleep(0.01), CLUSTER = cl), handlers = progressr::handler_void(), enable = TRUE))
    expect_equal(amounts, 30)
    count(memLapply(1:30, function(i) i, CLUSTER = cl))
    expect_equal(amounts, 0)
    old <- options(cowshed.progress = FALSE)
    on.exit(options(old))
    count(progressr::with_progress(memLapply(1:3, identity, CLUSTER = cl), handlers = progressr::handler_void(), enable = TRUE))
    expect_equal(amounts, 0)
  })
})

test_that("nothing is said where nobody listens", {
  with_cluster(2, function(cl) expect_silent(memLapply(1:10, function(i) i, CLUSTER = cl)))
})

memStopCluster()
