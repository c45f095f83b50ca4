# Columns and rows of a matrix in memory that is used again, as the workers of memApply() take them.

slice <- function(x, start, length, names = NULL, old = NULL) .Call(cowshed:::cs_slice, x, start, length, names, old)
rows <- function(x, n, first, count, old = NULL) .Call(cowshed:::cs_rows, x, n, first, count, old)

# 30 rows, 40 columns: of each kind, as R has it, copied into memory and mapped.
matrices <- function() {
  plain <- lapply(five_types(1200L), matrix, nrow = 30)
  c(
    plain, lapply(plain, share), lapply(plain, function(x) elsewhere(share(x))),
    lapply(plain[c("integer", "double")], share, copyOnWrite = FALSE),
    list(without_memory(), share(without_memory()), share(matrix(as.double(1:240000), 30)))
  )
}

# 1:1200 with dimensions, whose elements lie nowhere until somebody asks for a pointer.
without_memory <- function() {
  x <- 1:1200
  dim(x) <- c(30, 40)
  x
}

test_that("slices and rows are what subsetting gives, of every type, shared and not", {
  for (x in matrices()) {
    plain <- unshare(x)
    n <- ncol(x)
    for (j in c(1, 7, n)) expect_identical(slice(x, (j - 1) * 30, 30), plain[, j])
    expect_identical(slice(x, 0, length(x)), as.vector(plain))
    expect_identical(slice(x, length(x), 0), as.vector(plain)[0])
    expect_identical(slice(x, 30, 3, c("a", "b", "c")), stats::setNames(plain[1:3, 2], c("a", "b", "c")))
    for (part in list(c(0, 30), c(0, 1), c(29, 1), c(3, 9), c(5, 0), c(30, 0))) {
      expected <- as.vector(t(plain[part[1] + seq_len(part[2]), , drop = FALSE]))
      expect_identical(rows(x, 30, part[1], part[2]), expected)
    }
    expect_false(is.shared(slice(x, 0, 30)))
  }
})

test_that("what nobody else refers to is written again, and what somebody keeps is not", {
  for (x in matrices()) {
    plain <- unshare(x)
    v <- NULL
    kept <- list()
    for (i in 1:10) {
      v <- .Call(cowshed:::cs_slice, x, (i - 1) * 30, 30, NULL, v)
      if (i %% 2L == 0L) kept[[length(kept) + 1L]] <- v
    }
    expect_identical(kept, lapply(2L * 1:5, function(j) as.vector(plain)[30 * (j - 1) + 1:30]))
  }
  # In what a function did with it, and gave back changed, too.
  x <- share(matrix(as.double(1:3000), 30))
  v <- NULL
  sums <- vapply(1:100, function(i) {
    v <<- .Call(cowshed:::cs_slice, x, (i - 1) * 30, 30, NULL, v)
    (function(w) { w[1] <- 0; w <- rev(w); sum(w) })(v)
  }, 0)
  expect_identical(sums, colSums(unshare(x)[-1, ]))
  # Of another type, length or kind it is left alone.
  for (old in list(1:30, as.double(1:29), "a", share(as.double(1:30)), NULL, list(1))) {
    was <- if (is.list(old)) old else unshare(old)
    expect_identical(slice(x, 30, 30, NULL, old), as.double(31:60))
    expect_identical(rows(x, 30, 0, 1, old)[1:2], c(1, 31))
    expect_identical(if (is.list(old)) old else unshare(old), was)
  }
  block <- rows(x, 30, 0, 2)
  kept <- block
  expect_identical(.Call(cowshed:::cs_rows, x, 30, 2, 2, block), as.vector(t(unshare(x)[3:4, ])))
  expect_identical(kept, as.vector(t(unshare(x)[1:2, ])))
})

test_that("memory is written again: a million columns leave no million vectors", {
  x <- share(matrix(as.double(1:30000), 30))
  v <- NULL
  # Called without a function of R's between, whose argument would refer to it, too.
  places <- vapply(1:20, function(i) {
    v <<- .Call(cowshed:::cs_slice, x, (i - 1) * 30, 30, NULL, v)
    utils::capture.output(print(.Internal(address(v))))
  }, "")
  expect_length(unique(places), 1L)
})

test_that("what lies outside, or is no number, is an error", {
  for (x in matrices()) {
    n <- length(x)
    for (bad in list(c(n, 1), c(n + 1, 0), c(0, n + 1), c(2^52, 2^52), c(2^53, 1), c(n - 1, 2), c(0, 2^60))) {
      expect_error(slice(x, bad[1], bad[2]), class = "cowshed_error_argument")
    }
    for (bad in list(c(-1, 1), c(1, -1), c(NA, 1), c(0, NaN), c(0, Inf), c(0.5, 1), c(0, -Inf))) {
      expect_error(slice(x, bad[1], bad[2]), class = "cowshed_error")
      expect_error(rows(x, 30, bad[1], bad[2]), class = "cowshed_error")
      expect_error(rows(x, bad[2], 0, bad[1]), class = "cowshed_error")
    }
    for (bad in list(c(30, 30, 1), c(30, 29, 2), c(30, 0, 31), c(30, 31, 0), c(30, 2^53, 1), c(30, 1, 2^53), c(n + 1, 0, n + 1), c(2^53, 0, 2^53), c(2^53, 2^52, 2^52))) {
      expect_error(rows(x, bad[1], bad[2], bad[3]), class = "cowshed_error_argument")
    }
    expect_null(rows(x, 0, 0, 0))
    # More rows than there are elements have no columns.
    expect_length(rows(x, n + 5, 0, 3), 0L)
  }
  expect_null(slice(list(1, 2), 0, 1))
  expect_null(slice("a", 0, 1))
  expect_null(slice(NULL, 0, 0))
  expect_null(rows(c("a", "b"), 1, 0, 1))
})

test_that("a file cut under them is an error, and R lives on", {
  skip_on_os("windows")
  skip_if(Sys.which("truncate") == "")
  with_new_store({
    tried <- run_r({
      library(cowshed)
      class_of <- function(code) tryCatch({ force(code); "none" }, error = function(e) class(e)[1])
      got <- lapply(types, function(v) {
        x <- share(matrix(rep(v, 200), 1000))
        file <- file.path(cowshed:::store_path(), "segments", sub(":.*", "", cowshed:::data_id(x)))
        stopifnot(system2("truncate", c("-s", 8192, file)) == 0)
        last <- length(x) - 1000
        c(
          class_of(.Call(cowshed:::cs_slice, x, last, 1000, NULL, NULL)), class_of(.Call(cowshed:::cs_rows, x, 1000, 900, 100, NULL)),
          class_of(.Call(cowshed:::cs_slice, x, last, 1000, NULL, NULL))
        )
      })
      answer(list(got = got, whole = sum(share(as.numeric(1:1e5)))))
    }, types = five_types(1000L))
    expect_ended_well(tried)
    for (got in tried$answer$got) expect_identical(unname(got), rep("cowshed_error_corrupt", 3))
    expect_identical(tried$answer$whole, sum(as.numeric(1:1e5)))
  })
})

test_that("R's collector at every allocation takes nothing away", {
  x <- share(matrix(as.double(1:300), 30, dimnames = list(paste0("r", 1:30), NULL)))
  names <- rownames(x)
  plain <- unshare(x)
  v <- block <- NULL
  got <- list()
  wide <- logical()
  gctorture(TRUE)
  for (i in 1:4) {
    v <- .Call(cowshed:::cs_slice, x, (i - 1) * 30, 30, names, v)
    got[[i]] <- v
    block <- .Call(cowshed:::cs_rows, x, 30, i, 2, block)
    wide[[i]] <- identical(block, as.vector(t(plain[i + 1:2, ])))
  }
  gctorture(FALSE)
  expect_identical(got, lapply(1:4, function(j) plain[, j]))
  expect_true(all(wide))
})
