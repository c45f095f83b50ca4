# Forked children (mclapply): each test in an R of its own, because what breaks here hangs or crashes.

skip_on_os("windows")
skip_without_processes()

test_that("forked children read shared objects and return shared results", {
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- share(as.numeric(1:1e5))
      small <- share(1:10)
      back <- parallel::mclapply(1:4, function(i) share(c(sum(x), sum(small), i, x[1:997])), mc.cores = 2)
      gc()
      pruneSharedObjects()
      answer(list(
        value = lapply(back, function(v) v[1:3]), shared = vapply(back, is.shared, NA), x = c(is.shared(x), is.shared(small)),
        sum = sum(x), size = size_of(x)
      ))
    })
    expect_ended_well(got)
    expect_identical(got$answer$value, lapply(1:4, function(i) c(sum(as.numeric(1:1e5)), 55, i)))
    expect_identical(got$answer$shared, rep(TRUE, 4))
    expect_identical(got$answer$x, c(TRUE, TRUE))
    expect_identical(got$answer$sum, sum(as.numeric(1:1e5)))
    expect_lt(got$answer$size, 300)
    expect_clean_store()
  })
})

# Forks a child that does `code` and ends as `how` says, and waits for it.
fork_and_end <- quote(fork_child <- function(code, how) {
  job <- parallel::mcparallel({
    force(code)
    rm(list = ls(globalenv()), envir = globalenv())
    gc()
    if (how == "quit") quit("no")
    if (how == "kill") tools::pskill(Sys.getpid(), tools::SIGKILL)
    NULL
  }, silent = TRUE)
  # NULL from a child that ended without an answer.
  invisible(suppressWarnings(parallel::mccollect(job)))
})

test_that("however a forked child ends, the parent's objects stay, and can be sent", {
  with_new_store({
    for (how in c("return", "quit", "kill")) {
      dir <- scratch()
      got <- run_r({
        eval(fork_child_code)
        library(cowshed)
        x <- share(as.numeric(1:3e5))
        small <- share(1:100)
        live <- share(numeric(1e5), copyOnWrite = FALSE)
        objects <- list(x = x, small = small, live = live)
        ids <- vapply(objects, cowshed:::data_id, "")
        fork_child({ live[1] <- 42; sum(x) }, how)
        gc()
        pruneSharedObjects()
        files <- list.files(file.path(cowshed:::store_path(), "segments"))
        put(list(x, small, live), "sent")
        answer(list(
          there = all(ids %in% files), shared = vapply(objects, is.shared, NA), value = list(sum(x), sum(small), live[1:2]),
          size = vapply(objects, function(o) size_of(o), 0L)
        ))
      }, how = how, fork_child_code = fork_and_end, dir = dir)
      expect_ended_well(got, how)
      expect_true(got$answer$there, info = how)
      expect_identical(unname(got$answer$shared), rep(TRUE, 3), info = how)
      expect_identical(got$answer$value, list(sum(as.numeric(1:3e5)), 5050L, c(42, 0)), info = how)
      expect_true(all(got$answer$size < 300), info = how)
      # What was sent arrives after everybody went.
      after <- run_r(answer(lapply(take("sent"), sum)), dir = dir)
      expect_identical(after$answer, list(sum(as.numeric(1:3e5)), 5050L, 42))
      expect_clean_store()
    }
  })
})

test_that("a child that drops what it inherited gives up nothing of the parent's, nor of its siblings'", {
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- share(as.numeric(1:3e5))
      id <- cowshed:::data_id(x)
      # All children drop it and sweep, the last one still reads.
      jobs <- lapply(1:3, function(i) parallel::mcparallel({
        if (i < 3) {
          rm(x, envir = globalenv())
          gc()
          pruneSharedObjects()
          mark(paste0("dropped", i))
          TRUE
        } else {
          wait_for("dropped1")
          wait_for("dropped2")
          sum(x)
        }
      }))
      children <- parallel::mccollect(jobs)
      pruneSharedObjects()
      there <- file.exists(file.path(cowshed:::store_path(), "segments", id))
      answer(list(children = unname(children), there = there, sum = sum(x)))
    })
    expect_ended_well(got)
    expect_identical(got$answer$children, list(TRUE, TRUE, sum(as.numeric(1:3e5))))
    expect_true(got$answer$there)
    expect_identical(got$answer$sum, sum(as.numeric(1:3e5)))
    expect_clean_store()
  })
})

test_that("when the parent drops what it forked with, the child still reads it and can send it", {
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- share(as.numeric(1:3e5))
      id <- cowshed:::data_id(x)
      job <- parallel::mcparallel({
        wait_for("dropped")
        pruneSharedObjects()
        list(sum(x), size_of(x), x)
      })
      rm(x)
      gc()
      pruneSharedObjects()
      held <- file.exists(file.path(cowshed:::store_path(), "segments", id))
      mark("dropped")
      child <- parallel::mccollect(job)[[1]]
      answer(list(held = held, sum = child[[1]], size = child[[2]], same = identical(cowshed:::data_id(child[[3]]), id)))
    })
    expect_ended_well(got)
    expect_true(got$answer$held)
    expect_identical(got$answer$sum, sum(as.numeric(1:3e5)))
    expect_lt(got$answer$size, 300)
    expect_true(got$answer$same)
    expect_clean_store()
  })
})

test_that("a child goes on, shares and sends after its parent was killed", {
  with_new_store({
    dir <- scratch()
    parent <- start_r({
      library(cowshed)
      x <- share(as.numeric(1:3e5))
      child <- parallel::mcparallel({
        wait_for("killed")
        pruneSharedObjects()
        y <- share(x + 1)
        put(list(x, y, cowshed:::data_id(x)), "sent")
        done <- c(sum(x), size_of(x))
        saveRDS(done, in_scratch("done"))
        mark("finished")
        wait_for("read")
        mark("ends")
        quit("no")
      })
      saveRDS(child$pid, in_scratch("pid"))
      mark("forked")
      Sys.sleep(600)
    }, dir = dir)
    wait_in(dir, "forked")
    kill_hard(parent)
    # A stranger cleans: the dead parent's ledger goes, the child's objects stay.
    run_r(library(cowshed))
    run_r({ library(cowshed); pruneSharedObjects() })
    writeBin(raw(1), file.path(dir, "killed"))
    wait_in(dir, "finished")
    done <- readRDS(file.path(dir, "done"))
    expect_identical(done[1], sum(as.numeric(1:3e5)))
    expect_lt(done[2], 300)
    sent <- unserialize(bytes_in(dir, "sent"))
    expect_identical(sum(sent[[1]]), sum(as.numeric(1:3e5)))
    expect_identical(sum(sent[[2]]), sum(as.numeric(1:3e5) + 1))
    expect_identical(cowshed:::data_id(sent[[1]]), sent[[3]])
    expect_false(cowshed:::data_id(sent[[2]]) == sent[[3]])
    writeBin(raw(1), file.path(dir, "read"))
    wait_in(dir, "ends")
    pid <- readRDS(file.path(dir, "pid"))
    for (i in 1:1000) if (pid_is_alive(pid)) Sys.sleep(0.01)
    expect_false(pid_is_alive(pid))
    rm(sent)
    gc()
    expect_clean_store(ledgers = 1L)
  })
})

test_that("children of children: a grandchild reads when both its ancestors were killed", {
  with_new_store({
    dir <- scratch()
    parent <- start_r({
      library(cowshed)
      x <- share(as.numeric(1:3e5))
      small <- share(1:10)
      child <- parallel::mcparallel({
        grandchild <- parallel::mcparallel({
          wait_for("killed")
          pruneSharedObjects()
          put(list(x, small), "sent")
          mark("finished")
          quit("no")
        })
        saveRDS(c(Sys.getpid(), grandchild$pid), in_scratch("pids"))
        mark("forked")
        Sys.sleep(600)
      })
      Sys.sleep(600)
    }, dir = dir)
    wait_in(dir, "forked")
    pids <- readRDS(file.path(dir, "pids"))
    kill_hard(parent)
    tools::pskill(pids[1], tools::SIGKILL)
    run_r({ library(cowshed); pruneSharedObjects() })
    expect_length(segments(), 2L)
    writeBin(raw(1), file.path(dir, "killed"))
    wait_in(dir, "finished")
    sent <- unserialize(bytes_in(dir, "sent"))
    expect_identical(lapply(sent, sum), list(sum(as.numeric(1:3e5)), 55L))
  })
})

test_that("system() and other programs started amid it all inherit nothing", {
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- share(as.numeric(1:3e5))
      fds <- system("ls -l /proc/self/fd", intern = TRUE)
      system("exec sleep 20 &")
      child <- system2(file.path(R.home("bin"), "Rscript"), c("-e", shQuote("cat(1)")), stdout = TRUE)
      store <- cowshed:::store_path()
      answer(list(fds = grep(store, fds, fixed = TRUE, value = TRUE), ledgers = length(list.files(file.path(store, "ledgers")))))
    })
    expect_ended_well(got)
    expect_identical(got$answer$fds, character())
    expect_identical(got$answer$ledgers, 1L)
    # `sleep` lives still: it keeps nothing alive.
    expect_clean_store()
  })
})

test_that("a vector being filled (sharedCopy) is not written by forked children, and each can send its own", {
  # The memory of a duplicate not yet sent was shared with forked children: a child's assignment changed the parent's vector, and
  # both sealed the same file.
  with_new_store({
    for (n in c(10L, 1e5L)) {
      dir <- scratch()
      got <- run_r({
        library(cowshed)
        x <- share(as.numeric(seq_len(n)), sharedCopy = TRUE)
        y <- x
        y[1] <- 0
        child <- parallel::mcparallel({
          y[2] <- -2
          mark("child wrote")
          wait_for("parent wrote")
          list(seen = y[1:4], y = y)
        })
        wait_for("child wrote")
        seen <- y[1:4]
        y[3] <- -3
        mark("parent wrote")
        child <- parallel::mccollect(child)[[1]]
        put(y, "parents")
        y[4] <- -4
        put(y, "again")
        answer(list(parent = seen, child = child$seen, sent = child$y[1:4], shared = is.shared(child$y), now = y[1:4], x = x[1:4]))
      }, n = n, dir = dir)
      expect_ended_well(got)
      expect_identical(got$answer$parent, c(0, 2, 3, 4))
      expect_identical(got$answer$child, c(0, -2, 3, 4))
      expect_identical(got$answer$sent, c(0, -2, 3, 4))
      expect_true(got$answer$shared)
      expect_identical(got$answer$now, c(0, 2, -3, -4))
      expect_identical(got$answer$x, c(1, 2, 3, 4))
      sent <- run_r(answer(list(take("parents")[1:4], take("again")[1:4], sum(take("parents")))), dir = dir)
      expect_identical(sent$answer, list(c(0, 2, -3, 4), c(0, 2, -3, -4), sum(as.numeric(seq_len(n))) - 1 - 6))
    }
  })
})

test_that("private changes made before a fork are private to both sides after it", {
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- share(as.numeric(1:1e5))
      x[1] <- -1
      job <- parallel::mcparallel({
        x[2] <- -2
        mark("child wrote")
        wait_for("parent wrote")
        list(x[1:4], is.shared(x))
      })
      wait_for("child wrote")
      x[3] <- -3
      mark("parent wrote")
      child <- parallel::mccollect(job)[[1]]
      answer(list(parent = x[1:4], child = child))
    })
    expect_ended_well(got)
    expect_identical(got$answer$parent, c(-1, 2, -3, 4))
    expect_identical(got$answer$child, list(c(-1, -2, 3, 4), FALSE))
  })
})

test_that("many forks at once, each sharing, dropping and sweeping, lose nothing and leave nothing", {
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- lapply(1:20, function(i) share(as.numeric(i + 1:2000)))
      back <- parallel::mclapply(1:40, function(i) {
        y <- share(x[[1 + i %% 20]] + i)
        if (i %% 3 == 0) pruneSharedObjects()
        if (i %% 5 == 0) { rm(x, envir = globalenv()); gc() }
        y
      }, mc.cores = 4, mc.preschedule = FALSE)
      right <- vapply(1:40, function(i) identical(back[[i]], as.numeric((1 + i %% 20) + 1:2000) + i), NA)
      answer(list(right = all(right), shared = all(vapply(back, is.shared, NA)), x = all(vapply(x, is.shared, NA))))
    })
    expect_ended_well(got)
    expect_identical(got$answer, list(right = TRUE, shared = TRUE, x = TRUE))
    expect_clean_store()
  })
})
