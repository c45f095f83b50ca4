# Who holds a segment, and what remains when processes end or are killed.

skip_without_processes()

test_that("SIGKILL of the maker at any point leaves nothing that a fresh session does not clean", {
  with_new_store({
    # Where it dies: amid sharing, holding much, having sent without grace, amid dropping.
    for (point in c("sharing", "holding", "sent", "dropping", "writing")) {
      dir <- scratch()
      owner <- start_r({
        library(cowshed)
        options(cowshed.grace = 0)
        kept <- list()
        live <- share(numeric(1e5), copyOnWrite = FALSE)
        if (point == "holding") for (i in 1:300) kept[[i]] <- share(as.numeric(i + 1:100))
        if (point == "sent") for (i in 1:50) kept[[i]] <- { x <- share(as.numeric(1:5000)); serialize(x, NULL); x }
        mark("ready")
        repeat {
          if (point == "sharing") kept[[1 + length(kept) %% 100]] <- share(as.numeric(1:2e5))
          if (point == "dropping") { kept <- lapply(1:20, function(i) share(as.numeric(1:3e5))); kept <- NULL; gc() }
          if (point == "writing") live[sample(1e5, 100)] <- 1
          if (point %in% c("holding", "sent")) Sys.sleep(0.1)
        }
      }, point = point, dir = dir)
      wait_in(dir, "ready")
      Sys.sleep(0.1)
      kill_hard(owner)
      expect_gt(length(ledgers()), 0L)
      expect_clean_store()
    }
  })
})

test_that("library(cowshed) alone cleans up after the dead", {
  with_new_store({
    dir <- scratch()
    owner <- start_r({
      library(cowshed)
      x <- lapply(1:5, function(i) share(as.numeric(1:5000)))
      mark("ready")
      Sys.sleep(600)
    }, dir = dir)
    wait_in(dir, "ready")
    expect_length(segments(), 5L)
    kill_hard(owner)
    run_r(library(cowshed))
    expect_length(segments(), 0L)
    expect_length(ledgers(), 0L)
  })
})

test_that("when a worker is killed what it held goes, and what others hold stays", {
  with_new_store({
    x <- share(as.numeric(1:3e5))
    id <- cowshed:::data_id(x)
    dir <- put_in(scratch(), x, "x")
    worker <- start_r({
      library(cowshed)
      x <- take("x")
      own <- lapply(1:10, function(i) share(x + i))
      mark("ready")
      Sys.sleep(600)
    }, dir = dir)
    wait_in(dir, "ready")
    expect_length(segments(), 11L)
    kill_hard(worker)
    pruneSharedObjects()
    expect_identical(basename(segments()), id)
    expect_length(ledgers(), 1L)
    expect_identical(sum(x), sum(as.numeric(1:3e5)))
    expect_lt(length(serialize(x, NULL)), 300)
  })
})

test_that("an attacher keeps a segment alive without its maker, and takes it along at its end", {
  with_new_store({
    dir <- scratch()
    maker <- start_r({
      library(cowshed)
      x <- share(as.numeric(1:3e5))
      put(x, "x")
      mark("made")
      wait_for("attached")
    }, dir = dir)
    holder <- start_r({
      x <- take("x")
      mark("attached")
      wait_for("end")
      answer <- sum(x)
      saveRDS(answer, in_scratch("sum"))
    }, dir = dir)
    expect_equal(finish(maker), 0L)
    run_r({ library(cowshed); pruneSharedObjects() })
    expect_length(segments(), 1L)
    writeBin(raw(1), file.path(dir, "end"))
    expect_equal(finish(holder), 0L)
    expect_identical(readRDS(file.path(dir, "sum")), sum(as.numeric(1:3e5)))
    # The holder swept as it ended.
    expect_length(segments(), 0L)
  })
})

test_that("quitting with live objects leaves a clean store, however R quits", {
  with_new_store({
    quits <- list(
      end = quote(NULL), quit = quote(quit("no")), status = quote(quit("no", status = 3)),
      error = quote(stop("on purpose")), last = quote({ .Last <- function() sum(x); quit("no") }),
      finalizer = quote({ reg.finalizer(globalenv(), function(e) sum(e$x), onexit = TRUE); quit("no") })
    )
    for (how in names(quits)) {
      got <- run_r({
        library(cowshed)
        x <- share(as.numeric(1:3e5))
        small <- share(1:10)
        live <- share(numeric(1e5), copyOnWrite = FALSE)
        y <- x
        y[1] <- 0
        draft <- share(1:1e5, sharedCopy = TRUE)
        draft[1] <- 0L
        eval(ending)
      }, ending = quits[[how]])
      expect_equal(got$status, switch(how, status = 3L, error = 1L, 0L), info = how)
      expect_identical(grep("caught|segfault|panic|abort", got$out, value = TRUE), character(), info = how)
      expect_identical(segments(), character(), info = how)
      expect_identical(ledgers(), character(), info = how)
    }
  })
})

test_that("unloading the package with live objects does not crash, and they are readable until it ends", {
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- share(as.numeric(1:3e5))
      y <- share(1:10)
      detach("package:cowshed")
      unloadNamespace("cowshed")
      gc()
      before <- c(sum(x), sum(y))
      y <- NULL
      gc()
      loadNamespace("cowshed")
      z <- cowshed::share(as.numeric(1:5000))
      answer(list(before = before, after = c(sum(x), sum(z)), shared = cowshed::is.shared(z)))
      rm(x, z)
      gc()
    })
    expect_ended_well(got)
    expect_identical(got$answer$before, c(sum(as.numeric(1:3e5)), 55))
    expect_identical(got$answer$after, c(sum(as.numeric(1:3e5)), sum(as.numeric(1:5000))))
    expect_true(got$answer$shared)
    expect_clean_store()
  })
})

test_that("thousands of live objects need no descriptor each", {
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- lapply(1:2000, function(i) share(as.numeric(i + 1:(if (i %% 10 == 0) 5000 else 10))))
      bytes <- lapply(x, function(v) serialize(v, NULL))
      sums <- vapply(x, sum, 0)
      y <- lapply(x, function(v) { v[1] <- 0; v })
      saveRDS(bytes, in_scratch("bytes"))
      again <- lapply(bytes, unserialize)
      answer(list(
        sums = sums, right = identical(x, again), shared = all(vapply(x, is.shared, NA)),
        files = nrow(listSharedObjects()), open = length(list.files("/proc/self/fd")), limit = system("ulimit -n", intern = TRUE)
      ))
    }, under = c("bash", "-c", "ulimit -n 256; exec \"$0\" \"$@\""))
    expect_ended_well(got)
    expect_identical(got$answer$limit, "256")
    expect_identical(got$answer$sums, vapply(1:2000, function(i) sum(as.numeric(i + 1:(if (i %% 10 == 0) 5000 else 10))), 0))
    expect_true(got$answer$right)
    expect_true(got$answer$shared)
    expect_identical(got$answer$files, 2000L)
    expect_lt(got$answer$open, 32L)
    expect_clean_store()
  })
})

test_that("a colleague's sweep never takes what a stopped process holds", {
  with_new_store({
    dir <- scratch()
    holder <- start_r({
      library(cowshed)
      x <- share(as.numeric(1:3e5))
      mark("ready")
      wait_for("go")
      sum <- sum(x)
      size <- size_of(x)
      saveRDS(c(sum, size), in_scratch("sum"))
    }, dir = dir)
    wait_in(dir, "ready")
    tools::pskill(holder$get_pid(), tools::SIGSTOP)
    run_r({ library(cowshed); pruneSharedObjects() })
    expect_length(segments(), 1L)
    expect_length(ledgers(), 1L)
    tools::pskill(holder$get_pid(), tools::SIGCONT)
    writeBin(raw(1), file.path(dir, "go"))
    expect_equal(finish(holder), 0L)
    got <- readRDS(file.path(dir, "sum"))
    expect_identical(got[1], sum(as.numeric(1:3e5)))
    expect_lt(got[2], 300)
    expect_clean_store()
  })
})

test_that("dropping objects gives their memory back without waiting for the process's end", {
  with_new_store({
    x <- share(as.numeric(1:3e5))
    expect_length(segments(), 1L)
    rm(x)
    gc()
    expect_length(segments(), 0L)
    for (i in 1:200) {
      small <- share(as.numeric(i + 1:10))
      cowshed:::data_id(small)
    }
    gc()
    # Small ones go in batches, of which one may be waiting.
    expect_lt(length(segments()), 66L)
    pruneSharedObjects()
    expect_length(segments(), 1L)
    expect_identical(small[1], 201)
  })
})

test_that("processes that share, send, attach, drop, sweep and die at random lose nothing that is held", {
  with_new_store({
    dir <- scratch()
    x <- share(as.numeric(1:2e4))
    put_in(dir, x, "x")
    busy <- lapply(1:3, function(i) start_r({
      set.seed(i)
      x <- take("x")
      right <- TRUE
      mine <- list()
      end <- Sys.time() + 3
      while (Sys.time() < end) {
        y <- cowshed::share(x + runif(1))
        bytes <- serialize(y, NULL)
        mine[[1 + sample(10, 1)]] <- y
        first <- y[1]
        rm(y)
        if (runif(1) < 0.3) gc()
        if (runif(1) < 0.3) cowshed::pruneSharedObjects()
        z <- unserialize(bytes)
        right <- right && identical(z[1], first) && cowshed::is.shared(z) && identical(length(z), length(x))
        for (m in mine) right <- right && (is.null(m) || m[2] - m[1] == 1)
      }
      saveRDS(right, in_scratch(paste0("right", i)))
    }, i = i, dir = dir))
    killed <- lapply(1:6, function(i) {
      victim <- start_r({
        x <- take("x")
        mark(paste0("victim", i))
        repeat { y <- cowshed::share(x + 1); serialize(y, NULL); if (runif(1) < 0.2) { gc(); cowshed::pruneSharedObjects() } }
      }, i = i, dir = dir)
      wait_in(dir, paste0("victim", i))
      Sys.sleep(runif(1, 0, 0.2))
      kill_hard(victim)
    })
    expect_identical(vapply(busy, finish, 0L), rep(0L, 3))
    for (i in 1:3) expect_true(readRDS(file.path(dir, paste0("right", i))))
    expect_identical(sum(x), sum(as.numeric(1:2e4)))
    expect_lt(length(serialize(x, NULL)), 300)
  })
})

# On an R without lazy lists, or with an environment in it, a list is as many references as it has parts.
many_parts <- function(n = 200L) c(list(new.env()), lapply(seq_len(n), function(i) i + as.numeric(1:1000)))

test_that("a list of many references leaves nothing behind when both sides have let go of it", {
  with_new_store({
    options(cowshed.grace = 3600)
    s <- share(many_parts())
    dir <- put_in(scratch(), s, "s")
    rm(s)
    gc()
    # In flight: 200 references, and one ticket.
    pruneSharedObjects()
    expect_length(segments(), 1L)
    got <- run_r({
      s <- take("s")
      answer(c(length(s), sum(s[[201]])))
    }, dir = dir)
    expect_ended_well(got)
    expect_identical(got$answer, c(201, sum(200 + as.numeric(1:1000))))
    # Nothing waits for the grace time of an hour.
    pruneSharedObjects()
    expect_length(segments(), 0L)
  })
})

test_that("each message can be attached by itself, also two with the same parts from one function", {
  with_new_store({
    options(cowshed.grace = 3600)
    send <- function(s) list(serialize(s, NULL), serialize(s[2:3], NULL), serialize(s[3:2], NULL), serialize(s[[2]], NULL))
    s <- share(many_parts(4L))
    messages <- send(s)
    rm(s)
    gc()
    for (message in messages) {
      back <- unserialize(message)
      expect_true(is.shared(if (is.list(back)) back[[2]] else back))
      rm(back)
      gc()
    }
    pruneSharedObjects()
    expect_length(segments(), 0L)
  })
})

test_that("an object twice in one message arrives twice", {
  with_new_store({
    x <- share(as.numeric(1:5000))
    e <- new.env()
    back <- unserialize(serialize(list(x, e, x, x[1:10], x), NULL))
    expect_identical(back[-2], list(x, x, x[1:10], x))
    rm(x, back)
    gc()
    pruneSharedObjects()
    expect_length(segments(), 0L)
  })
})
