# memApply() and memLapply() when FUN fails, workers die, the user interrupts.

skip_on_os("windows")

caught <- function(code) tryCatch({ force(code); NULL }, error = identity)

test_that("an error in FUN is an R error that names the element, with the calls that led there", {
  with_cluster(2, function(cl) {
    x <- matrix(1:6, 2, dimnames = list(NULL, c("a", "b", "c")))
    deep <- function(v) if (v[1] == 3) deeper(v) else v
    deeper <- function(v) stop("not this one")
    e <- caught(memApply(x, 2, deep, CLUSTER = cl))
    expect_s3_class(e, c("cowshed_error_task", "cowshed_error", "error", "condition"), exact = TRUE)
    expect_match(conditionMessage(e), "column 2 (\"b\"): not this one\n  calls in the worker:\n  1: FUN(v)\n  2: deeper(v)", fixed = TRUE)
    expect_identical(e$index, 2)
    expect_identical(e$name, "b")
    expect_identical(conditionMessage(e$parent), "not this one")
    expect_identical(e$calls, c("FUN(v)", "deeper(v)"))
    expect_match(conditionMessage(caught(memApply(x, 1, function(v) log("a"), CLUSTER = cl))), "^row 1: non-numeric argument")
    expect_match(conditionMessage(caught(memLapply(list(1, p = 2), function(v) if (v == 2) stop("no"), CLUSTER = cl))), "^element 2 \\(\"p\"\\): no")
  })
})

test_that("conditions of any class keep it, also one that holds much", {
  with_cluster(1, function(cl) {
    e <- caught(memLapply(1, function(v) stop(errorCondition("mine", class = "my_error", data = 7)), CLUSTER = cl))
    expect_s3_class(e$parent, "my_error")
    expect_identical(e$parent$data, 7)
    e <- caught(memLapply(1, function(v) stop(errorCondition("heavy", class = "my_error", data = rnorm(1e5))), CLUSTER = cl))
    expect_s3_class(e$parent, "my_error")
    expect_identical(conditionMessage(e$parent), "heavy")
    expect_null(e$parent$data)
  })
})

# They ended the worker, and the error was that workers die before they begin.
test_that("what goes to the top level is a failure of its element, also with a condition that is no error", {
  with_cluster(1, function(cl) {
    stopped <- function(i) if (i == 2) stop(structure(class = c("mine", "condition"), list(message = "enough", call = NULL)))
    e <- caught(memLapply(1:3, stopped, CLUSTER = cl))
    expect_match(conditionMessage(e), "^element 2: enough")
    expect_s3_class(e$parent, c("mine", "condition"), exact = TRUE)
    e <- caught(memLapply(1:3, function(i) if (i == 2) invokeRestart("abort"), CLUSTER = cl))
    expect_match(conditionMessage(e), "^element 2: FUN went back to the top level")
    got <- suppressWarnings(memLapply(1:3, function(i) if (i == 2) invokeRestart("abort") else i, CLUSTER = cl, errors = "collect"))
    expect_identical(got[c(1, 3)], list(1L, 3L))
  })
})

test_that("an error without a message still says where it was", {
  with_cluster(1, function(cl) {
    nothing <- function(i) stop(structure(class = c("mine", "error", "condition"), list()))
    expect_match(conditionMessage(caught(memLapply(1:3, nothing, CLUSTER = cl))), "^element 1: ")
  })
})

test_that("where FUN makes warnings errors, they are", {
  with_cluster(1, function(cl) {
    strict <- function(i) {
      old <- options(warn = 2)
      on.exit(options(old))
      as.integer("a")
    }
    expect_error(memLapply(1:3, strict, CLUSTER = cl), "element 1: .converted from warning", class = "cowshed_error_task")
  })
})

test_that("of several errors it is that of the first element, whoever is sooner", {
  with_cluster(2, function(cl) {
    for (k in 1:10) {
      e <- caught(memLapply(1:40, function(i) if (i %in% c(7, 12, 30)) stop("at ", i) else if (i < 7) Sys.sleep(0.005), CLUSTER = cl, chunk = 1 + k %% 5))
      expect_identical(e$index, 7)
    }
  })
})

test_that("after an error nobody waits for long elements after it", {
  with_cluster(2, function(cl) {
    start <- Sys.time()
    e <- caught(memLapply(1:4, function(i) if (i == 1) stop("at once") else Sys.sleep(30), CLUSTER = cl, chunk = 1))
    expect_identical(e$index, 1)
    expect_lt(as.numeric(Sys.time() - start, units = "secs"), 10)
    expect_identical(parallel::clusterEvalQ(cl, 1 + 1), list(2, 2))
  })
})

test_that("errors can be collected: all other values are there", {
  with_cluster(2, function(cl) {
    f <- function(i) if (i %% 4 == 0) stop("no ", i) else i
    expect_warning(got <- memLapply(setNames(1:10, letters[1:10]), f, errors = "collect", CLUSTER = cl),
                   "2 of 10 elements failed; each has its error as its value: 4, 8", class = "cowshed_warning_task")
    expect_named(got, letters[1:10])
    expect_identical(unname(unlist(got[-c(4, 8)])), (1:10)[-c(4, 8)])
    expect_s3_class(got$h, "cowshed_error_task")
    expect_identical(got$h$index, 8)
    expect_silent(memLapply(1:3, identity, errors = "collect", CLUSTER = cl))
  })
})

test_that("warnings of FUN are warnings here, as they were", {
  with_cluster(2, function(cl) {
    said <- character()
    got <- withCallingHandlers(
      memLapply(1:3, function(i) { warning("hm ", i); i }, CLUSTER = cl),
      warning = function(w) { said <<- c(said, conditionMessage(w)); tryInvokeRestart("muffleWarning") }
    )
    expect_identical(got, list(1L, 2L, 3L))
    expect_setequal(said, c("hm 1", "hm 2", "hm 3"))
    many <- 0
    withCallingHandlers(memLapply(1, function(i) for (k in 1:1000) warning("again"), CLUSTER = cl), warning = function(w) {
      many <<- many + 1
      tryInvokeRestart("muffleWarning")
    })
    expect_identical(many, 50)
  })
})

test_that("a worker of ours that dies is replaced, its work done again, and the element it dies at reported", {
  with_new_store({
  ended <- run_r({
    library(cowshed)
    options(cowshed.grace = 0)
    once <- tempfile()
    answer(list(
      # dies the first time only
      again = unlist(memLapply(1:20, function(i, once) {
        if (i == 7 && !file.exists(once)) { file.create(once); tools::pskill(Sys.getpid(), tools::SIGKILL) }
        i * 2
      }, VARS = list(once = once), MAX.CORES = 2)),
      twice = condition_of(memLapply(1:20, function(i) if (i == 7) quit("no") else i, MAX.CORES = 2)),
      collected = suppressWarnings(memLapply(1:20, function(i) if (i %in% c(7, 15)) tools::pskill(Sys.getpid(), tools::SIGKILL) else i, MAX.CORES = 2, errors = "collect")),
      after = unlist(memLapply(1:5, function(i) i, MAX.CORES = 2))
    ))
    gc()
  })
  expect_ended_well(ended)
  expect_identical(ended$answer$again, (1:20) * 2)
  expect_identical(ended$answer$twice$class[[1]], "cowshed_error_task")
  expect_match(ended$answer$twice$message, "element 7: the worker died there, and so did the one that tried again")
  expect_identical(unlist(ended$answer$collected[-c(7, 15)]), (1:20)[-c(7, 15)])
  expect_s3_class(ended$answer$collected[[15]]$parent, "cowshed_error_worker")
  expect_identical(ended$answer$after, 1:5)
  expect_clean_store()
  })
})

test_that("of a cluster that was passed in, the others do the work of one that dies; when all are dead that is an error", {
  cl <- parallel::makePSOCKcluster(3, timeout = 60)
  on.exit(suppressWarnings(try(parallel::stopCluster(cl), silent = TRUE)))
  once <- tempfile()
  got <- memLapply(1:30, function(i, once) {
    if (i == 7 && !file.exists(once)) {
      file.create(once)
      tools::pskill(Sys.getpid(), tools::SIGKILL)
    }
    i
  }, VARS = list(once = once), CLUSTER = cl)
  expect_identical(unlist(got), 1:30)
  expect_error(memLapply(1:3, identity, CLUSTER = cl), "a worker of the cluster cannot be used: it is gone", class = "cowshed_error_worker")
  # The connections are the owner's: what stops the others comes past that of the dead.
  for (node in cl) expect_true(isOpen(node$con))
  rest <- parallel::makePSOCKcluster(2, timeout = 60)
  expect_error(memLapply(1:9, function(i) quit("no"), CLUSTER = rest), class = "cowshed_error_worker")
})

test_that("an interrupt stops the workers, ours and those of others, which can be used again", {
  for (given in c(FALSE, TRUE)) with_new_store({
    ended <- run_r({
      library(cowshed)
      cl <- if (given) parallel::makePSOCKcluster(2)
      memLapply(1:2, identity, CLUSTER = cl, MAX.CORES = 2)
      interrupt_after(1)
      start <- Sys.time()
      how <- tryCatch(memLapply(1:8, function(i) Sys.sleep(40), CLUSTER = cl, MAX.CORES = 2), interrupt = function(e) "interrupted")
      took <- as.numeric(Sys.time() - start, units = "secs")
      answer(list(how = how, took = took, after = unlist(memLapply(1:4, function(i) i, CLUSTER = cl, MAX.CORES = 2)), busy = nrow(listSharedObjects())))
    }, given = given)
    expect_ended_well(ended)
    expect_identical(ended$answer$how, "interrupted")
    expect_lt(ended$answer$took, 15)
    expect_identical(ended$answer$after, 1:4)
    expect_clean_store()
  })
})

# The worker went on to wait for the next call, and we for the answer to this one.
test_that("an interrupt that reaches a worker when FUN is over is forgotten, and one amid FUN is a failure", {
  ended <- run_r(timeout = 30, {
    library(cowshed)
    late <- function(i) if (i == 6) tools::pskill(Sys.getpid(), tools::SIGINT) else i
    # From R 4.5 on PSOCK workers heed interrupts only while they wait.
    interrupted <- function() {
      sender <- pipe(sprintf("sleep 0.3; kill -INT %d", Sys.getpid()), "w")
      on.exit(close(sender))
      Sys.sleep(5)
    }
    amid <- function(i, interrupted) if (i == 3) interrupted() else i
    answer(lapply(list(NULL, parallel::makePSOCKcluster(1)), function(cl) list(
      late = memLapply(1:6, late, CLUSTER = cl, MAX.CORES = 1)[-6],
      amid = condition_of(memLapply(1:6, amid, CLUSTER = cl, MAX.CORES = 1, VARS = list(interrupted = interrupted)))$message,
      after = memLapply(1:6, identity, CLUSTER = cl, MAX.CORES = 1),
      # What it is left in: interrupts are heeded again.
      given = if (!is.null(cl)) parallel::clusterCall(cl, function(f) tryCatch(f(), interrupt = function(e) "heeded"), interrupted)
    )))
  })
  expect_ended_well(ended)
  for (got in ended$answer) {
    expect_identical(got$late, as.list(1:5))
    expect_match(got$amid, "element 3: the worker was interrupted")
    expect_identical(got$after, as.list(1:6))
  }
  expect_identical(ended$answer[[2]]$given, list("heeded"))
})

# Answers that nobody heard were taken for those to the next call, or half of one was left in the connection.
test_that("interrupts at any moment leave a cluster in step, and nothing in the store", {
  with_new_store({
    ended <- run_r(timeout = 120, {
      library(cowshed)
      cl <- parallel::makePSOCKcluster(2)
      x <- matrix(rnorm(1e5), 100)
      long <- eval(quote(function(v) rep(v, 50)), globalenv())
      rounds <- vapply(1:20, function(k) {
        how <- tryCatch({
          interrupt_after(0.2 + k * 0.017)
          repeat memApply(x, 2, long, CLUSTER = cl)
        }, interrupt = function(e) "interrupted")
        identical(how, "interrupted") && identical(memLapply(1:4, identity, CLUSTER = cl), as.list(1:4)) &&
          identical(parallel::clusterEvalQ(cl, 1 + 1), list(2, 2))
      }, TRUE)
      # Of little, workers let go when they collect.
      parallel::clusterEvalQ(cl, { gc(); NULL })
      gc()
      answer(list(rounds = rounds, left = nrow(listSharedObjects())))
    })
    expect_ended_well(ended)
    expect_identical(ended$answer$rounds, rep(TRUE, 20))
    expect_identical(ended$answer$left, 0L)
  })
})

test_that("a master that is killed leaves no worker and nothing in the store", {
  with_new_store({
    dir <- scratch()
    master <- start_r({
      library(cowshed)
      x <- matrix(rnorm(1e6), 1000)
      memApply(x, 2, function(v) {
        file.create(file.path(dirname(tempdir()), paste0("none")))
        Sys.sleep(0.02)
        sum(v)
      }, CLUSTER = {
        cl <- parallel::makePSOCKcluster(2)
        put(unlist(parallel::clusterEvalQ(cl, Sys.getpid())), "pids")
        cl
      })
    }, dir = dir)
    wait_in(dir, "pids")
    pids <- unserialize(bytes_in(dir, "pids"))
    Sys.sleep(0.5)
    kill_hard(master)
    until <- Sys.time() + 20
    while (any(vapply(pids, pid_is_alive, TRUE)) && Sys.time() < until) Sys.sleep(0.2)
    expect_false(any(vapply(pids, pid_is_alive, TRUE)))
    expect_clean_store()
  })
})

test_that("an answer to an earlier call is not taken for one to this", {
  # An interrupt between a question and its answer, or a second one while the first is dealt with, left it to the next call.
  late <- eval(quote(function(seconds) {
    Sys.sleep(seconds)
    serialize(list(values = list("of an earlier call"), to = 1, failures = list(), warnings = list(), drawn = FALSE), NULL)
  }), globalenv())
  question <- function(seconds) {
    list(type = "EXEC", data = list(fun = late, args = list(seconds), return = TRUE, tag = NULL), tag = NULL)
  }
  ones <- function(...) memLapply(1:6, function(i) i, ..., MAX.CORES = 2)
  cl <- parallel::makePSOCKcluster(2, timeout = 60)
  on.exit(parallel::stopCluster(cl))
  for (node in cl) serialize(question(0.3), node$con)
  expect_identical(ones(CLUSTER = cl), as.list(1:6))
  for (type in c("psock", "fork")) {
    ones(CLUSTER = type)
    for (worker in cowshed:::own$workers[[type]]) {
      cowshed:::settle(worker)
      serialize(question(0.3), worker$con)
    }
    expect_identical(ones(CLUSTER = type), as.list(1:6))
    expect_identical(ones(CLUSTER = type), as.list(1:6))
  }
})

test_that("a second interrupt, while the first is dealt with, leaves nothing that the next call meets", {
  with_new_store({
    ended <- run_r({
      library(cowshed)
      memLapply(1:2, identity, MAX.CORES = 2)
      interrupt_after(0.7, 0.1)
      how <- tryCatch(memLapply(1:8, function(i) Sys.sleep(40), MAX.CORES = 2), interrupt = function(e) "interrupted")
      start <- Sys.time()
      after <- memLapply(1:4, function(i) i, MAX.CORES = 2)
      answer(list(how = how, after = after, took = as.numeric(Sys.time() - start, units = "secs")))
    })
    expect_ended_well(ended)
    expect_identical(ended$answer$how, "interrupted")
    expect_identical(ended$answer$after, as.list(1:4))
    # Nobody waits for what was interrupted.
    expect_lt(ended$answer$took, 20)
    expect_clean_store()
  })
})

test_that("workers are started whoever waits for others at the port that R has drawn", {
  # Forks of one process have the same.
  with_new_store({
    ended <- run_r({
      library(cowshed)
      drawn <- parallel:::getClusterOption("port")
      taken <- serverSocket(drawn)
      answer(list(psock = memLapply(1:2, identity, MAX.CORES = 1), fork = memLapply(1:2, identity, CLUSTER = "fork", MAX.CORES = 1)))
      close(taken)
    })
    expect_ended_well(ended)
    expect_identical(ended$answer, list(psock = list(1L, 2L), fork = list(1L, 2L)))
  })
  make <- cowshed:::at_some_port
  expect_identical(names(make(list)), "port")
  expect_error(make(function(...) stop("no memory")), "workers could not be started \\(no memory\\)", class = "cowshed_error_worker")
  before <- Sys.getenv("R_PARALLEL_PORT", NA)
  on.exit(if (is.na(before)) Sys.unsetenv("R_PARALLEL_PORT") else Sys.setenv(R_PARALLEL_PORT = before))
  Sys.setenv(R_PARALLEL_PORT = "13579")
  expect_identical(make(list), list())
})

test_that("a worker that was disconnected has nothing to do with the connection that gets its number", {
  # An R that waits for a half-made connection by the number of one that was closed ends at once: it was interrupted when a new worker was started.
  memLapply(1:2, identity, CLUSTER = "fork", MAX.CORES = 1)
  worker <- cowshed:::own$workers$fork[[1L]]
  number <- as.integer(worker$con)
  cowshed:::disconnect(worker)
  others <- list()
  on.exit(lapply(others, close))
  repeat {
    other <- textConnection("a line")
    others <- c(others, list(other))
    if (as.integer(other) >= number) break
  }
  expect_identical(as.integer(other), number)
  cowshed:::disconnect(worker)
  expect_false(cowshed:::settle(worker))
  expect_false(cowshed:::ask(worker, identity, list(1)))
  expect_match(cowshed:::listen(worker)$died, ".")
  expect_identical(readLines(other), "a line")
  expect_identical(memLapply(1:2, identity, CLUSTER = "fork", MAX.CORES = 1), list(1L, 2L))
})
