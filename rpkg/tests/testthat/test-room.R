# How much of a store is taken: budgets, references in flight under pressure, what R does not know it holds.

skip_on_os("windows")
skip_without_processes()

bytes_in_store <- function() sum(file.size(segments()))

test_that("options(cowshed.maxStore = ) is a classed error with the sizes and the remedy, and leaves nothing", {
  with_new_store({
    old <- options(cowshed.maxStore = 3e6)
    on.exit(options(old))
    x <- as.numeric(1:125000) + 0
    a <- share(x)
    b <- share(x)
    error <- tryCatch(share(x), cowshed_error_full = function(e) e)
    expect_s3_class(error, c("cowshed_error_full", "cowshed_error"))
    expect_match(conditionMessage(error), "no room for [0-9]+ bytes")
    expect_match(conditionMessage(error), "it holds 200[0-9]{4} of the 3000000 bytes that options")
    expect_match(conditionMessage(error), "options(cowshed.maxStore = ) allows", fixed = TRUE)
    expect_length(segments(), 2L)
    # However it is asked for.
    expect_error(share(x, copyOnWrite = FALSE), class = "cowshed_error_full")
    expect_error(share(lapply(1:200, function(i) x[1:1000 + i])), class = "cowshed_error_full")
    expect_error(share(data.frame(x, x)), class = "cowshed_error_full")
    expect_error(allocateSharedMemory(2e6), class = "cowshed_error_full")
    expect_error(SharedObject("numeric", 2e5), class = "cowshed_error_full")
    expect_length(segments(), 2L)
    expect_identical(a, x)
    # What was dropped makes room, without a gc() of the user's.
    rm(b)
    b <- share(x)
    # All processes of the user together.
    worker <- run_r({
      library(cowshed)
      options(cowshed.maxStore = 3e6)
      answer(condition_of(share(as.numeric(1:125000))))
    })
    expect_condition_class(worker$answer, "full")
    options(cowshed.maxStore = NULL)
    expect_identical(share(x), x)
  })
})

test_that("a budget that is no number of bytes is an error that names the option", {
  for (bad in list("much", -1, NA_real_, c(1, 2), TRUE)) {
    old <- options(cowshed.maxStore = bad)
    expect_error(share(as.numeric(1:10)), "cowshed.maxStore", class = "cowshed_error_argument")
    options(old)
  }
})

test_that("references that nobody claims give way in a full store, the oldest first, and are told from what is held", {
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    x <- as.numeric(1:125000) + 0 # 1 MB
    send <- function(i) serialize(share(x + i), NULL)
    held <- share(x)
    kept <- serialize(held, NULL)
    sent <- lapply(1:12, send)
    arrived <- lapply(sent, function(bytes) {
      y <- unserialize(bytes)
      condition_of(sum(y))
    })
    report <- sharedObjectReport()
    answer(list(
      gone = vapply(arrived, function(a) if (is.null(a)) "" else a$class[1], ""), message = arrived[[1]]$message,
      sum = sum(unserialize(kept)), held = sum(report$state == "held")
    ))
  }, at = at, store = at, under = in_tmpfs(at, "size=8m,mode=0700"))
  expect_ended_well(got)
  gone <- got$answer$gone != ""
  expect_true(all(got$answer$gone[gone] == "cowshed_error_gone"))
  # Those that went are the first ones, and as few as it took.
  expect_identical(gone, seq_along(gone) <= sum(gone))
  expect_true(sum(gone) %in% 5:6)
  expect_match(got$answer$message, "give way in a full store")
  expect_identical(got$answer$sum, sum(as.numeric(1:125000)))
})

# `n` objects of 8 MB, one after the other, each shared, sent by `one` and dropped, in a store of 200 MB: what the store held at the most, in objects.
most_held <- function(n, prepare, one) {
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    eval(prepare)
    x <- as.numeric(1:1e6) + 0
    dir <- file.path(dirname(cowshed:::store_path()), basename(cowshed:::store_path()), "segments")
    most <- 0
    for (i in seq_len(n)) {
      y <- share(x)
      stopifnot(identical(eval(one), sum(x)))
      rm(y)
      most <- max(most, length(list.files(dir)))
    }
    if (exists("cl")) parallel::stopCluster(cl)
    answer(most)
  }, n = n, prepare = prepare, one = one, store = at, under = in_tmpfs(at, "size=200m,mode=0700"), timeout = 120)
  expect_ended_well(got)
  got$answer
}

test_that("a loop that shares, sends and drops large objects never holds more than a few, through parallel", {
  skip_without_mounts()
  held <- most_held(60, quote({
    cl <- parallel::makePSOCKcluster(2, timeout = 60)
    parallel::clusterEvalQ(cl, library(cowshed))
  }), quote(parallel::clusterCall(cl, sum, y)[[2]]))
  # A process may hold a sixteenth of the store (12 MB), or twice what it needs (16 MB), before R is asked.
  expect_lte(held, 8)
})

test_that("a loop that shares, sends and drops large objects never holds more than a few, through future", {
  skip_without_mounts()
  skip_if_not_installed("future")
  for (plan in c("multisession", "multicore", "sequential")) {
    held <- most_held(if (plan == "multisession") 40 else 20, bquote({
      library(future)
      options(parallelly.fork.enable = TRUE)
      plan(.(plan), workers = if (.(plan) != "sequential") 2L)
    }), quote(value(future(sum(y)))))
    expect_lte(held, 8)
  }
})

test_that("digest() and other hashes pin nothing, and are those of a plain object", {
  skip_if_not_installed("digest")
  with_new_store({
    plain <- as.numeric(1:1e5) + 0
    x <- share(plain)
    expect_identical(digest::digest(x), digest::digest(plain))
    expect_identical(digest::digest(list(x)), digest::digest(list(plain)))
    expect_identical(sharedObjectReport()$inFlight, 0L)
  })
})

test_that("a blob on disk keeps its object for the grace time and no longer; attached twice it is claimed once", {
  with_new_store({
    dir <- scratch()
    x <- share(as.numeric(1:1e5))
    old <- options(cowshed.grace = 600)
    put_in(dir, x, "blob")
    options(old)
    rm(x)
    gc()
    report <- sharedObjectReport()
    expect_identical(report[c("state", "holders", "inFlight")], data.frame(state = "in flight", holders = 0L, inFlight = 1L))
    first <- run_r({
      library(cowshed)
      x <- take("blob")
      y <- take("blob")
      answer(list(sum(x), sum(y), sharedObjectReport()$inFlight))
    }, dir = dir)
    expect_identical(first$answer, list(sum(1:1e5), sum(1:1e5), 0L))
    # Claimed, and its last holder has ended.
    second <- run_r({
      library(cowshed)
      x <- take("blob")
      answer(condition_of(sum(x)))
    }, dir = dir)
    expect_condition_class(second$answer, "gone")
    expect_clean_store(ledgers = 1L)
    # Nobody claims it: its time ends.
    x <- share(as.numeric(1:1e5))
    options(cowshed.grace = 0.2)
    put_in(dir, x, "late")
    options(old)
    rm(x)
    gc()
    Sys.sleep(0.3)
    expect_identical(nrow(sharedObjectReport()), 0L)
    late <- run_r({
      library(cowshed)
      answer(condition_of(sum(take("late"))))
    }, dir = dir)
    expect_condition_class(late$answer, "gone")
  })
})

test_that("forty thousand mapped objects leave the kernel's limits room: no descriptor each, and R works on", {
  skip_on_cran()
  skip_if_not(file.exists("/proc/sys/vm/max_map_count"))
  with_new_store({
    got <- run_r({
      library(cowshed)
      n <- 40000L
      x <- lapply(seq_len(n), function(i) share(rep(as.numeric(i), 2100)))
      maps <- length(readLines("/proc/self/maps"))
      sums <- vapply(x, function(v) v[2100], 0)
      some <- lapply(x[1:100 * 400], function(v) unserialize(serialize(v, NULL)))
      last <- x[[n]]
      last[1] <- 0
      child <- parallel::mcparallel(sum(vapply(x, function(v) v[1], 0)))
      plain <- vapply(1:200, function(i) sum(numeric(1e5)), 0)
      library(tools)
      answer(list(
        maps = maps, sums = identical(sums, as.numeric(seq_len(n))), some = identical(some, x[1:100 * 400]), child = parallel::mccollect(child)[[1L]],
        open = length(list.files("/proc/self/fd")), last = c(last[1], x[[n]][1])
      ))
    }, under = c("bash", "-c", "ulimit -n 256; exec \"$0\" \"$@\""), timeout = 180)
    expect_ended_well(got)
    limit <- as.numeric(readLines("/proc/sys/vm/max_map_count"))
    expect_lt(got$answer$maps, limit * 0.9)
    expect_true(got$answer$sums)
    expect_true(got$answer$some)
    expect_identical(got$answer$child, sum(as.numeric(1:40000)))
    expect_lt(got$answer$open, 32L)
    expect_identical(got$answer$last, c(0, 40000))
    expect_clean_store()
  })
})
