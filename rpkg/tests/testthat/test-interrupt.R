# Ctrl-C (SIGINT) amid share().

skip_on_os("windows")
skip_without_processes()

free_mb <- function(dir) {
  free <- suppressWarnings(system2("df", c("-Pk", dir), stdout = TRUE))
  if (length(free) < 2L) 0 else as.numeric(strsplit(free[2], " +")[[1]][4]) / 1024
}

test_that("Ctrl-C during share() of something big is R's interrupt: nothing stays in the store, and R goes on", {
  where <- if (free_mb("/dev/shm") > 3000) "/dev/shm" else tempdir()
  skip_if(free_mb(where) < 3000, "less than 3 GB free")
  with_new_store({
    dir <- scratch()
    victim <- start_r({
      library(cowshed)
      pid <- Sys.getpid()
      caught <- logical()
      used <- numeric()
      # Files with a name, and those without that this process has open or mapped: other processes use the same file system.
      files <- function() {
        store <- getOption("cowshed.store")
        open <- Sys.readlink(list.files("/proc/self/fd", full.names = TRUE))
        mapped <- grep(paste0(store, ".*/segments/"), readLines("/proc/self/maps"), value = TRUE)
        c(list.files(store, "^[0-9a-f]{32}$", recursive = TRUE), grep(paste0(store, ".*[(]deleted[)]"), open, value = TRUE), mapped)
      }
      source <- as.double(1:1.25e8) # compact: 1 GB once written
      for (delay in c(0.005, 0.02, 0.05, 0.08)) {
        interrupt_after(delay)
        outcome <- tryCatch(
          {
            x <- share(source)
            # share() was done before the signal came: it may come now.
            for (i in 1:200) Sys.sleep(0.01)
            "never"
          },
          interrupt = function(i) if (exists("x", inherits = FALSE)) "after" else "amid"
        )
        caught <- c(caught, outcome)
        if (exists("x")) rm(x)
        gc()
        # The ledger is one.
        used <- c(used, length(files()))
      }
      small <- share(as.numeric(1:1000))
      answer <- list(
        caught = caught, used = used, files = nrow(listSharedObjects()), small = sum(small), private = private_kb(),
        mapped = length(grep("cowshed", readLines("/proc/self/maps"))), fds = length(list.files("/proc/self/fd"))
      )
      saveRDS(answer, in_scratch("answer"))
    }, dir = dir)
    expect_equal(finish(victim), 0L)
    got <- readRDS(file.path(dir, "answer"))
    expect_true(all(got$caught %in% c("amid", "after")), info = paste(got$caught, collapse = " "))
    expect_true("amid" %in% got$caught)
    expect_true(all(got$used <= 1), info = paste(got$used, collapse = " "))
    expect_identical(got$files, 1L)
    expect_identical(got$small, sum(as.numeric(1:1000)))
    expect_lt(got$private, 200000)
    expect_lt(got$fds, 16L)
    expect_clean_store()
  }, where)
})

test_that("Ctrl-C at random moments of sharing, reading, sending and dropping loses and leaves nothing", {
  with_new_store({
    dir <- scratch()
    victim <- start_r({
      library(cowshed)
      options(cowshed.grace = 0)
      held <- share(as.numeric(1:1e5))
      rounds <- 0
      caught <- 0
      right <- TRUE
      mark("ready")
      # Outside of tryCatch() a signal waits.
      suspendInterrupts(while (!file.exists(in_scratch("stop"))) {
        tryCatch(
          allowInterrupts({
            repeat {
              x <- share(as.numeric(1:3e5))
              y <- unserialize(serialize(x, NULL))
              right <- right && identical(y[3e5], 3e5)
              z <- x
              z[1] <- 0
              w <- share(lapply(1:20, function(i) as.numeric(1:100)))
              setCopyOnWrite(x, FALSE)
              rm(x, y, z, w)
              gc()
              rounds <- rounds + 1
              if (file.exists(in_scratch("stop"))) break
            }
          }),
          interrupt = function(i) caught <<- caught + 1
        )
      })
      rm(list = intersect(c("x", "y", "z", "w"), ls()))
      gc()
      pruneSharedObjects()
      answer <- list(
        caught = caught, rounds = rounds, right = right, held = sum(held), shared = is.shared(held), files = nrow(listSharedObjects()),
        size = size_of(held), fds = length(list.files("/proc/self/fd"))
      )
      saveRDS(answer, in_scratch("end"))
    }, dir = dir)
    wait_in(dir, "ready")
    set.seed(1)
    for (i in 1:30) {
      Sys.sleep(runif(1, 0.005, 0.06))
      tools::pskill(victim$get_pid(), tools::SIGINT)
    }
    Sys.sleep(0.2)
    writeBin(raw(1), file.path(dir, "stop"))
    expect_equal(finish(victim), 0L)
    got <- readRDS(file.path(dir, "end"))
    expect_gt(got$caught, 5)
    expect_true(got$right)
    expect_identical(got$held, sum(as.numeric(1:1e5)))
    expect_true(got$shared)
    expect_identical(got$files, 1L)
    expect_lt(got$size, 300)
    expect_lt(got$fds, 16L)
    expect_clean_store()
  })
})

# From R 4.5 on a collection ends by heeding interrupts. The jump was lost, and what was to be collected was not.
test_that("an interrupt that comes while R collects to make room is heard, and there is room", {
  with_new_store({
    ended <- run_r({
      library(cowshed)
      # Room for two: each third takes a collection, and with so much to look at that is where the time goes.
      options(cowshed.maxStore = 5e6)
      heap <- lapply(1:3e5, as.character)
      x <- as.numeric(1:250000)
      heard <- vapply(1:20, function(k) {
        until <- Sys.time() + 10
        tryCatch({
          interrupt_after(0.02 + k * 0.003)
          while (Sys.time() < until) {
            y <- share(x)
            Sys.sleep(0)
          }
          FALSE
        }, interrupt = function(e) TRUE)
      }, NA)
      answer(heard)
    })
    expect_ended_well(ended)
    expect_identical(ended$answer, rep(TRUE, 20))
  })
})

# SIGINT was put off for good if it came just before what puts it off.
test_that("an interrupt that comes as interrupts are put off leaves them as they were", {
  ended <- run_r({
    library(cowshed)
    undisturbed <- getFromNamespace("undisturbed", "cowshed")
    is_blocked <- function() {
      mask <- sub("^SigBlk:\\s*", "", grep("^SigBlk", readLines("/proc/self/status"), value = TRUE))
      bitwAnd(strtoi(substring(mask, nchar(mask) - 1L), 16L), 2L) != 0L
    }
    heard <- vapply(1:100, function(k) {
      until <- Sys.time() + 10
      tryCatch({
        interrupt_after(0)
        while (Sys.time() < until) for (i in 1:100) undisturbed(NULL)
        FALSE
      }, interrupt = function(e) TRUE)
    }, NA)
    answer(list(heard = heard, blocked = is_blocked()))
  })
  expect_ended_well(ended)
  expect_true(all(ended$answer$heard))
  expect_false(ended$answer$blocked)
})
