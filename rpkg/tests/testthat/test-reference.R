# What travels between processes in place of the data.

skip_without_processes()

test_that("a reference is at most 200 bytes, whatever the type and size, and grows by its store's name only", {
  sizes <- c(3L, 1000L, 1e6L)
  # Nobody claims these.
  old <- options(cowshed.store = NULL, cowshed.grace = 0)
  on.exit(options(old))
  for (n in sizes) for (x in five_types(n)) {
    expect_lte(length(serialize(share(x), NULL)), 200L)
  }
  expect_lte(length(serialize(share(numeric(), minLength = 0), NULL)), 200L)
  expect_lte(length(serialize(share(x, copyOnWrite = FALSE), NULL)), 200L)
  usual <- length(serialize(share(x), NULL))
  with_new_store({
    path <- cowshed:::store_path()
    expect_identical(length(serialize(share(x), NULL)), usual + nchar(path))
  })
})

test_that("a reference arrives in another process with value, attributes and flags", {
  with_new_store({
    values <- c(five_types(), list(
      matrix = matrix(1:6, 2, dimnames = list(NULL, c("a", "b", "c"))), factor = factor(c("u", "v", NA)),
      date = as.Date("2024-02-29") + 0:9, empty = numeric()
    ))
    shared <- lapply(values, share, minLength = 0)
    live <- share(c(1, 2, 3), copyOnWrite = FALSE, sharedSubset = TRUE)
    dir <- scratch()
    put_in(dir, shared, "shared")
    put_in(dir, live, "live")
    got <- run_r({
      shared <- take("shared")
      live <- take("live")
      answer(list(
        values = shared, is = sapply(shared, cowshed::is.shared), attached = "package:cowshed" %in% search(),
        flags = c(cowshed::getCopyOnWrite(live), cowshed::getSharedSubset(live), cowshed::getSharedCopy(live)),
        same = identical(vapply(shared, cowshed:::data_id, ""), take("ids"))
      ))
    }, dir = put_in(dir, vapply(shared, cowshed:::data_id, ""), "ids"))
    expect_ended_well(got)
    expect_identical(got$answer$values, values)
    expect_true(all(got$answer$is))
    expect_false(got$answer$attached)
    expect_identical(got$answer$flags, c(FALSE, TRUE, FALSE))
    expect_true(got$answer$same)
  })
})

test_that("attaching a reference twice claims it once", {
  with_new_store({
    dir <- scratch()
    maker <- run_r({
      library(cowshed)
      options(cowshed.grace = 600)
      x <- share(as.numeric(1:5000))
      put(x, "first")
      put(x, "second")
    }, dir = dir)
    expect_ended_well(maker)
    expect_length(segments(), 1L)
    # The first reference attached three times, by two processes: the second is still in flight.
    for (i in 1:2) {
      got <- run_r({
        a <- take("first")
        b <- take("first")
        answer(c(sum(a), sum(b)))
      }, dir = dir)
      expect_identical(got$answer, rep(sum(as.numeric(1:5000)), 2))
      expect_length(segments(), 1L)
    }
    got <- run_r(answer(sum(take("second"))), dir = dir)
    expect_identical(got$answer, sum(as.numeric(1:5000)))
    # Both claimed: nothing is in flight.
    expect_clean_store()
  })
})

test_that("a process that received a reference can pass it on, and the maker need not live", {
  with_new_store({
    dir <- scratch()
    run_r({
      library(cowshed)
      put(share(as.numeric(1:5000)), "first")
    }, dir = dir)
    passed <- run_r({
      x <- take("first")
      put(x, "second")
      answer(length(serialize(x, NULL)))
    }, dir = dir)
    expect_lt(passed$answer, 300)
    got <- run_r({
      x <- take("second")
      answer(list(sum = sum(x), shared = cowshed::is.shared(x)))
    }, dir = dir)
    expect_identical(got$answer, list(sum = sum(as.numeric(1:5000)), shared = TRUE))
  })
})

test_that("a reference outlives an object that its maker drops", {
  with_new_store({
    x <- share(as.numeric(1:2e5))
    reference <- serialize(x, NULL)
    rm(x)
    gc()
    pruneSharedObjects()
    x <- unserialize(reference)
    expect_identical(sum(x), sum(as.numeric(1:2e5)))
    rm(x)
    gc()
    pruneSharedObjects()
    expect_identical(segments(), character())
  })
})

test_that("a reference whose time is over is an error on first access, not before, with the right length", {
  with_new_store({
    dir <- scratch()
    made <- run_r({
      library(cowshed)
      options(cowshed.grace = 0)
      x <- share(as.numeric(1:5000))
      put(x, "late")
      answer(cowshed:::data_id(x))
    }, dir = dir)
    expect_clean_store()
    x <- unserialize(bytes_in(dir, "late"))
    expect_identical(length(x), 5000L)
    expect_false(is.shared(x))
    touches <- list(
      function() x[1], function() x[[7]], function() sum(x), function() x + 1, function() { x[1] <- 0; x }, function() sort(x),
      function() identical(x, numeric(5000)), function() unshare(x), function() share(x), function() max(x), function() as.integer(x),
      function() x[2:10], function() range(x), function() format(x)
    )
    for (touch in touches) {
      e <- expect_error(touch(), class = "cowshed_error_gone")
      expect_s3_class(e, "cowshed_error")
      expect_match(conditionMessage(e), made$answer, fixed = TRUE)
      expect_match(conditionMessage(e), "cowshed.grace", fixed = TRUE)
    }
    # Saving it cannot save data that are not there; passing it on gives the next one the same error.
    again <- unserialize(serialize(x, NULL))
    expect_identical(length(again), 5000L)
    expect_error(again[1], class = "cowshed_error_gone")
    other <- run_r({
      x <- take("again")
      answer(list(length = length(x), error = condition_of(x[1])))
    }, dir = put_in(dir, x, "again"))
    expect_identical(other$answer$length, 5000L)
    expect_condition_class(other$answer$error, "gone")
  })
})

test_that("a reference within its time can be attached though nobody holds it, and a small time ends", {
  with_new_store({
    dir <- scratch()
    run_r({
      library(cowshed)
      put(share(1:5000), "usual")
      options(cowshed.grace = 0.001)
      put(share(1:4000), "short")
    }, dir = dir)
    run_r({
      Sys.sleep(0.05)
      library(cowshed)
      pruneSharedObjects()
    })
    expect_length(segments(), 1L)
    expect_identical(sum(unserialize(bytes_in(dir, "usual"))), sum(1:5000))
    expect_error(sum(unserialize(bytes_in(dir, "short"))), class = "cowshed_error_gone")
  })
})

test_that("more references in flight than a segment has slots for all arrive", {
  with_new_store({
    dir <- scratch()
    run_r({
      library(cowshed)
      x <- share(as.numeric(1:5000))
      saveRDS(lapply(1:200, function(i) serialize(x, NULL)), in_scratch("many"))
    }, dir = dir)
    many <- readRDS(file.path(dir, "many"))
    for (i in c(1:64, 199:200)) expect_identical(sum(unserialize(many[[i]])), sum(as.numeric(1:5000)))
    gc()
    run_r(library(cowshed))
    expect_identical(sum(unserialize(many[[130]])), sum(as.numeric(1:5000)))
  })
})

test_that("a damaged reference is a classed error, the right value, or R's own error: never a crash", {
  with_new_store({
    x <- share(as.numeric(1:5000))
    stream <- serialize(x, NULL)
    state <- state_range(stream)
    expect_gte(length(state), 56L)
    got <- run_r({
      damage <- function(stream, at, how) {
        stream[at] <- xor(stream[at], as.raw(how))
        stream
      }
      outcome <- function(bytes) {
        x <- tryCatch(unserialize(bytes), error = function(e) structure(list(e), class = "at unserialize"))
        if (inherits(x, "at unserialize")) return("error at unserialize")
        n <- length(x)
        tryCatch({
          s <- sum(x)
          if (identical(s, sum(as.numeric(1:5000)))) "right"
          else if (n != 5000 && s <= sum(as.numeric(1:5000))) "a part"
          else "wrong"
        }, error = function(e) class(e)[1])
      }
      library(cowshed)
      bits <- expand.grid(at = state, how = c(1, 4, 16, 64, 255))
      answer(mapply(function(at, how) outcome(damage(stream, at, how)), bits$at, bits$how))
    }, stream = stream, state = state)
    expect_ended_well(got)
    expect_length(got$answer, length(state) * 5L)
    expect_setequal(
      setdiff(got$answer, "a part"),
      c("right", "cowshed_error_version", "cowshed_error_gone", "cowshed_error_machine", "cowshed_error_corrupt")
    )
    expect_length(Sys.glob(paste0(store_base(), "*")), 1L)
  })
})

test_that("a damaged reference makes no directory: attaching looks and does not make", {
  # A store was made wherever a reference pointed: a flipped byte in its path left directories behind.
  with_new_store({
    x <- share(as.numeric(1:5000))
    stream <- serialize(x, NULL)
    path <- state_range(stream)[-(1:56)]
    expect_identical(rawToChar(stream[path]), cowshed:::store_path())
    last <- path[length(path)]
    stream[last] <- charToRaw("x")
    y <- unserialize(stream)
    expect_error(y[1], class = "cowshed_error_gone")
    expect_length(store_dir(), 1L)
  })
})

test_that("a reference cut short or empty is an error of class cowshed_error_version", {
  with_new_store({
    stream <- serialize(share(as.numeric(1:5000)), NULL)
    state <- state_range(stream)
    for (n in c(0L, 1L, 48L, 55L)) {
      # The raw vector's length is the four bytes before it.
      cut <- stream[-state[-seq_len(n)]]
      if (n == 0L) cut <- stream[-state]
      cut[state[1] - 1L] <- as.raw(n)
      x <- unserialize(cut)
      expect_error(x[1], class = "cowshed_error_version")
    }
  })
})

test_that("a reference to what this process still holds attaches though its store was wiped", {
  with_new_store({
    x <- share(as.numeric(1:5000))
    reference <- serialize(x, NULL)
    unlink(store_dir(), recursive = TRUE)
    expect_identical(sum(unserialize(reference)), sum(as.numeric(1:5000)))
  })
})
