# wrap_altrep() and virtualVector(): what is read, what is written, what travels.

# Not of this file's environment, which share() would share along with the function.
count_on <- eval(quote(function(offset, length) as.double(offset + seq_len(length))), baseenv())
numbers <- function(length) virtualVector(length, "double", count_on)
caught <- function(code) tryCatch({ force(code); NULL }, error = identity)

shapes <- list(
  double = c(1.5, NA, NaN, Inf, -0.0, 1e308, 7:3000 / 8),
  integer = c(3L, NA, -5L, 7:3000),
  logical = rep(c(TRUE, NA, FALSE, TRUE), 600),
  sequence = 1:5000, `descending` = 5000:1, `double sequence` = as.double(-20:4000),
  named = c(a = 1, b = 2, c = 3), matrix = matrix(1:2400 / 7, 40, dimnames = list(NULL, letters[rep(1:26, 3)][1:60])),
  factor = factor(rep(c("u", "v", "w"), 500)), date = as.Date("2026-01-01") + 0:2000,
  empty = numeric(), none = logical(), one = 5L, `time series` = ts(rnorm(300), start = 1990, frequency = 12)
)

test_that("a wrapped vector is the vector, with its attributes", {
  for (name in names(shapes)) {
    x <- shapes[[name]]
    v <- wrap_altrep(x)
    expect_true(is.virtual(v), info = name)
    expect_false(is.virtual(x), info = name)
    expect_identical(typeof(v), typeof(x), info = name)
    expect_identical(length(v), length(x), info = name)
    expect_identical(attributes(v), attributes(x), info = name)
    expect_identical(v, x, info = name)
    # Again, as it now has a pointer.
    expect_identical(v, x, info = name)
    expect_identical(wrap_altrep(v), x, info = name)
  }
})

uses <- list(
  sum = sum, sum_na = function(x) sum(x, na.rm = TRUE), min = function(x) suppressWarnings(min(x)), max = function(x) suppressWarnings(max(x, na.rm = TRUE)), range = function(x) suppressWarnings(range(x)),
  mean = mean, any = function(x) any(x > 2), elements = function(x) unlist(lapply(seq_along(x), function(i) x[[i]])),
  head = function(x) head(unclass(x)), tail = function(x) tail(as.vector(x), 3), rev = function(x) rev(as.vector(x)), every_third = function(x) as.vector(x)[seq(1, max(1, length(x)), by = 3)],
  backwards = function(x) as.vector(x)[rev(seq_along(x))], negative = function(x) as.vector(x)[-1], logical = function(x) as.vector(x)[c(TRUE, FALSE)],
  beyond = function(x) as.vector(x)[c(NA, 1, length(x) + 5, 0, 2)], beyond_double = function(x) as.vector(x)[c(NA, 1e10, 2.9)], plus = function(x) as.vector(x) + 0.5, times = function(x) as.vector(x) * 2L,
  compare = function(x) as.vector(x) > 2, is.na = function(x) is.na(x), which = function(x) which(as.vector(x) > 3), sort = function(x) sort(as.vector(x)), order = function(x) order(x),
  cumsum = function(x) cumsum(as.vector(x)), unique = function(x) unique(as.vector(x)), table = function(x) table(as.vector(x)), character = function(x) as.character(as.vector(x)), double = function(x) as.double(x),
  as_integer = function(x) suppressWarnings(as.integer(x)), as_logical = function(x) as.logical(as.vector(x)), complex = function(x) as.complex(as.vector(x)), combine = function(x) c(as.vector(x), as.vector(x)), vapply = function(x) vapply(as.vector(x), function(e) e, as.vector(x)[1][rep(1, 1)]),
  ifelse = function(x) ifelse(as.vector(x) > 2, 1, 0), match = function(x) match(c(3, NA), as.vector(x)), paste = function(x) paste(as.vector(x)[1:2]), var = function(x) suppressWarnings(var(as.double(x)))
)

test_that("what R does with a vector it does with a virtual one", {
  for (name in names(shapes)) for (use in names(uses)) {
    x <- shapes[[name]]
    if (name %in% c("factor", "date", "time series")) x <- as.vector(unclass(x))
    result <- function(x) tryCatch(uses[[use]](x), error = function(e) conditionMessage(e))
    expect_identical(result(wrap_altrep(x)), result(x), info = paste(name, use))
  }
})

test_that("subscripts that are missing, zero, beyond the end or names are R's", {
  x <- c(a = 10, b = 20, c = 30)
  v <- wrap_altrep(x)
  for (i in list(NA, NA_integer_, NA_real_, 0, 4, 2.9, -1, c(1, NA), "b", "z", TRUE, integer(), c(-1, -2), 2^40, 1e300)) expect_identical(v[i], x[i], info = deparse(i))
  for (i in list(NA, 0, 4, -1, "z")) expect_identical(conditionMessage(caught(v[[i]])) , conditionMessage(caught(x[[i]])), info = deparse(i))
  expect_error(v[c(-1, 1)], conditionMessage(caught(x[c(-1, 1)])), fixed = TRUE)
  long <- wrap_altrep(1:2^40)
  expect_identical(long[c(NA, 1, 2^40, 2^40 + 1, 2^33)], c(NA, 1, 2^40, NA, 2^33))
})

test_that("a vector longer than memory is read, written and copied", {
  x <- 1:(64 * 2^30)
  y <- wrap_altrep(x)
  expect_identical(y[1:10], as.double(1:10))
  y[1] <- 10
  expect_identical(y[1:10], c(10, 2:10))
  expect_identical(x[1:3], c(1, 2, 3))
  places <- c(2, 2^20, 2^33 + 1, length(y))
  y[places] <- -places
  expect_identical(y[places], -places)
  expect_identical(y[places - 1], c(10, places[-1] - 1))
  z <- y
  z[2] <- 5
  expect_identical(c(y[2], z[2], z[1], z[2^20]), c(-2, 5, 10, -2^20))
  y[3] <- 6
  expect_identical(c(y[3], z[3]), c(6, 3))
  expect_identical(length(z), x[length(x)])
})

test_that("several of 512 GB are there at once", {
  all <- lapply(1:20, function(k) {
    v <- wrap_altrep(1:(64 * 2^30))
    v[k] <- -k
    v
  })
  expect_identical(vapply(seq_along(all), function(k) sum(all[[k]][1:20]), 0), sum(1:20) - 2 * as.double(1:20))
})

test_that("what is written belongs to one vector", {
  for (name in c("double", "integer", "logical", "matrix", "sequence")) {
    x <- y <- shapes[[name]]
    before <- x
    v <- w <- wrap_altrep(x)
    value <- x[[length(x)]]
    w[2] <- y[2] <- value
    expect_identical(w, y, info = name)
    expect_identical(v, before, info = name)
    expect_identical(x, before, info = name)
    f <- function(v) {
      v[[3]] <- value
      v
    }
    y[[3]] <- value
    expect_identical(f(w), y, info = name)
    expect_false(identical(w, y), info = name)
    l <- list(w)
    l[[1]][3] <- value
    expect_identical(l[[1]], y, info = name)
    expect_identical(v, before, info = name)
  }
})

test_that("subsets and other types are virtual, and stay as they were", {
  v <- wrap_altrep(1:1e6)
  part <- v[seq(11, 1e6, by = 7)]
  back <- v[1e6:1]
  double <- as.double(v)
  other <- as.logical(v)
  expect_true(all(vapply(list(part, back, double, other), is.virtual, TRUE)))
  v[11] <- 0L
  v[1e6] <- 0L
  expect_identical(part, seq(11L, 1000000L, by = 7L))
  expect_identical(back, 1000000:1)
  expect_identical(double, as.double(1:1e6))
  expect_identical(unique(other), TRUE)
  # Of one that was written to, with what was written.
  expect_identical(v[c(1:10, 11:2000)], c(1:10, 0L, 12:2000))
  part <- v[1:5000]
  expect_true(is.virtual(part))
  expect_identical(part, c(1:10, 0L, 12:5000))
  double <- v + 0.5
  expect_identical(double[c(10, 11, 12, 1e6)], c(10.5, 0.5, 12.5, 0.5))
  double <- as.double(v)
  expect_identical(double[9:12], c(9, 10, 0, 12))
  # Of parts of parts.
  expect_identical(part[seq(5000, 1, by = -2)][seq(1, 2500, by = 2)][1:3], c(5000L, 4996L, 4992L))
  x <- c(TRUE, FALSE, NA)[1 + (0:9999) %% 3]
  w <- wrap_altrep(x)
  expect_identical(as.integer(w), as.integer(x))
  expect_identical(as.double(w), as.double(x))
  d <- wrap_altrep(c(0, NA, NaN, 2)[1 + (0:9999) %% 4])
  expect_identical(as.logical(d), c(FALSE, NA, NA, TRUE)[1 + (0:9999) %% 4])
  m <- wrap_altrep(matrix(1:10000, 100))
  expect_identical(m + 0.5, matrix(1:10000, 100) + 0.5)
  storage.mode(m) <- "double"
  expect_identical(dim(m), c(100L, 100L))
})

test_that("an R function makes elements of every type", {
  for (type in c("double", "integer", "logical", "complex", "raw")) {
    whole <- switch(type, double = sqrt(1:5000), integer = 5000:1, logical = rep(c(TRUE, NA), 2500), complex = complex(real = 1:5000, imaginary = -1), raw = as.raw(1:5000 %% 256))
    asked <- 0
    v <- virtualVector(5000, type, function(offset, length) {
      asked <<- asked + 1
      stopifnot(length >= 1, offset >= 0, offset + length <= 5000)
      whole[offset + seq_len(length)]
    })
    expect_identical(asked, 0)
    expect_identical(v[4000:4003], whole[4000:4003], info = type)
    expect_identical(asked, 1, info = type)
    expect_identical(v[[17]], whole[[17]], info = type)
    expect_identical(v[seq(1, 5000, 5)], whole[seq(1, 5000, 5)], info = type)
    expect_identical(v, whole, info = type)
    v[3] <- whole[3]
    expect_identical(v, whole, info = type)
  }
  expect_identical(virtualVector(3, "numeric", function(offset, length) offset + seq_len(length))[], c(1, 2, 3))
  # A type that fits.
  expect_identical(virtualVector(3, "double", function(offset, length) rep(TRUE, length))[1:3], c(1, 1, 1))
  expect_identical(virtualVector(2, "complex", function(offset, length) 1:2)[], c(1 + 0i, 2 + 0i))
  expect_identical(virtualVector(0, "integer", function(offset, length) stop("never"))[], integer())
  # Primitives.
  expect_identical(virtualVector(1, "double", `+`)[1], 1)
})

test_that("a function that fails is an R error, every time, and R goes on", {
  v <- virtualVector(1e5, "double", function(offset, length) {
    if (offset + length > 50000) stop("no such place")
    as.double(offset + seq_len(length))
  })
  for (k in 1:2) {
    expect_error(v[60000], "no such place", fixed = TRUE)
    expect_error(sum(v), "no such place", fixed = TRUE)
    expect_error(v[[99999]], "no such place", fixed = TRUE)
    expect_error(v[1] <- 1, "no such place", fixed = TRUE)
    expect_identical(v[49999:50000], c(49999, 50000))
  }
  short <- virtualVector(100, "double", function(offset, length) numeric(max(0, length - 1)))
  e <- caught(short[1:50])
  expect_s3_class(e, c("cowshed_error_generator", "cowshed_error", "error", "condition"), exact = TRUE)
  expect_match(conditionMessage(e), "elements 1 to 50 of a virtual vector (an R function) cannot all be made: get_region() gave 49 elements where 50 were asked for", fixed = TRUE)
  e <- caught(short[[7]])
  expect_match(conditionMessage(e), "element 7 of a virtual vector (an R function) cannot be made: get_region() gave 0 elements where 1 were", fixed = TRUE)
  for (bad in list(NULL, "a", 1i, list(1), sum)) {
    e <- caught(virtualVector(5, "integer", function(offset, length) bad)[2])
    expect_s3_class(e, "cowshed_error_generator")
  }
  # One that reads itself ends as any endless recursion.
  self <- virtualVector(5, "double", function(offset, length) self[1])
  expect_s3_class(caught(self[1]), "error")
  expect_identical(1 + 1, 2)
})

test_that("a warning, a message and a jump of the function go where they should", {
  v <- virtualVector(10, "double", function(offset, length) {
    warning("hm")
    as.double(offset + seq_len(length))
  })
  expect_warning(expect_identical(v[2:3], c(2, 3)), "hm")
  out <- virtualVector(10, "double", function(offset, length) invokeRestart("leave", "left"))
  expect_identical(withRestarts(sum(out), leave = identity), "left")
  got <- (function() {
    jumps <- virtualVector(10, "double", function(offset, length) callCC(function(k) k(as.double(seq_len(length)))))
    jumps[1:3]
  })()
  expect_identical(got, c(1, 2, 3))
})

test_that("wrong arguments are errors that name them", {
  good <- function(offset, length) numeric(length)
  for (length in list(-1, NA, 1.5, "a", c(1, 2), NULL, Inf, 2^53, list(1))) {
    expect_error(virtualVector(length, "double", good), class = "cowshed_error_argument")
  }
  expect_error(virtualVector(2^52 + 1, "double", good), "2^52", fixed = TRUE, class = "cowshed_error_argument")
  expect_identical(length(virtualVector(2^52, "double", good)), 2^52)
  for (type in list("character", "list", 1, NA_character_, c("double", "raw"), NULL)) {
    expect_error(virtualVector(5, type, good), "`type` must be one of", class = "cowshed_error_argument")
  }
  expect_error(virtualVector(5, "double", "mean"), "`get_region` must be a function", class = "cowshed_error_argument")
  for (x in list("a", 1i, raw(2), list(1), NULL, quote(a), mean, new.env())) {
    expect_error(wrap_altrep(x), "must be a logical, integer or double vector, not <", class = "cowshed_error_argument")
  }
})

test_that("a pointer that cannot be had is an error that says what to do, and one that can be copied is copied", {
  v <- numbers(1e6)
  local({
    old <- options(cowshed.materialize = 1e6)
    on.exit(options(old))
    e <- caught(v[5] <- 1)
    expect_s3_class(e, "cowshed_error_pointer")
    expect_match(conditionMessage(e), "a virtual vector of 7.6 MiB (an R function) was asked for a pointer, and cannot give one: what makes its elements runs on R's own thread only; it is larger than what is made whole instead (976.6 KiB: set options(cowshed.materialize = )", fixed = TRUE)
    expect_identical(sum(v), sum(as.double(1:1e6)))
  })
  v[5] <- 1
  expect_identical(v[4:6], c(4, 1, 6))
  w <- wrap_altrep(1:1e6)
  local({
    old <- options(cowshed.userfaultfd = FALSE)
    on.exit(options(old))
    w[5] <- 1L
    expect_identical(w[4:6], c(4L, 1L, 6L))
    long <- wrap_altrep(1:2^33)
    expect_error(long[1] <- 1, "options(cowshed.userfaultfd = FALSE) forbids", fixed = TRUE, class = "cowshed_error_pointer")
    expect_identical(long[2^33], 2^33)
  })
})

test_that("options that are none are errors that name them", {
  for (bad in list(list(cowshed.cleanPages = "a"), list(cowshed.writtenPages = -1), list(cowshed.spill = 5), list(cowshed.userfaultfd = NA), list(cowshed.materialize = c(1, 2)))) {
    old <- options(bad)
    v <- virtualVector(1e5, "double", function(offset, length) numeric(length))
    w <- wrap_altrep(1:1e6)
    e <- caught(if (names(bad) == "cowshed.materialize") v[1] <- 1 else w[1] <- 1L)
    options(old)
    expect_s3_class(e, "cowshed_error_argument")
    expect_match(conditionMessage(e), names(bad), fixed = TRUE)
  }
})

test_that("writes beyond what memory may hold go to a file and come back", {
  old <- options(cowshed.writtenPages = 2^20, cowshed.cleanPages = 2^20)
  on.exit(options(old))
  v <- wrap_altrep(1:2^36)
  set.seed(1)
  places <- sample(2^36, 5000)
  v[places] <- -places
  expect_identical(v[places], -places)
  expect_identical(v[places + 1] == places + 1 | (places + 1) %in% places, rep(TRUE, 5000))
  w <- v
  w[places[1:100]] <- 0
  expect_identical(v[places], -places)
  expect_identical(w[places], c(numeric(100), -places[-(1:100)]))
  rm(v)
  gc()
  expect_identical(w[places], c(numeric(100), -places[-(1:100)]))
  got <- parallel::mclapply(1:2, function(k) {
    right <- identical(w[places], c(numeric(100), -places[-(1:100)]))
    w[places] <- k
    c(right, all(w[places] == k), w[2^35] == 2^35)
  }, mc.cores = 2)
  expect_identical(got, list(rep(TRUE, 3), rep(TRUE, 3)))
  expect_identical(w[places], c(numeric(100), -places[-(1:100)]))
})

test_that("a place for what is spilled that cannot be used loses nothing", {
  old <- options(cowshed.writtenPages = 2^20, cowshed.spill = file.path(tempdir(), "no", "such"))
  on.exit(options(old))
  v <- wrap_altrep(1:2^33)
  places <- seq(1, 2^33, length.out = 2000) %/% 1
  v[places] <- -1
  expect_true(all(v[places] == -1))
  expect_error({w <- v; w[1] <- 2}, "no/such", class = "cowshed_error_full")
  expect_true(all(v[places] == -1))
})

test_that("forked children have pages of their own", {
  skip_on_os("windows")
  v <- wrap_altrep(1:2^36)
  v[c(5, 2^35)] <- c(-5, -35)
  seen <- sum(v[1:1e5])
  got <- parallel::mclapply(1:4, function(k) {
    before <- c(v[5], v[2^35], v[6], v[2^34], sum(v[1:1e5]))
    v[6] <- k
    inner <- parallel::mclapply(1, function(i) { v[7] <- -7; c(v[6], v[7], v[5], v[2^30]) })[[1]]
    list(before, c(v[6], v[7]), inner)
  }, mc.cores = 2)
  for (k in 1:4) expect_identical(got[[k]], list(c(-5, -35, 6, 2^34, seen), c(k, 7), c(k, -7, -5, 2^30)))
  expect_identical(c(v[6], v[7]), c(6, 7))
})

test_that("a pass through a vector larger than what is kept takes no more memory", {
  skip_on_os(c("mac", "windows"))
  ended <- run_r(timeout = 100, {
    library(cowshed)
    options(cowshed.cleanPages = 2^24)
    most <- function() as.numeric(gsub("[^0-9]", "", grep("^VmHWM:", readLines("/proc/self/status"), value = TRUE)))
    warm <- wrap_altrep(as.double(1:2^20))
    var(warm)
    before <- most()
    v <- wrap_altrep(as.double(1:2^25))
    # var() takes the pointer.
    s <- var(v)
    answer(c(most() - before, s, var(as.double(1:2^25))))
  })
  expect_ended_well(ended)
  expect_lt(ended$answer[[1]], 32 * 1024)
  expect_equal(ended$answer[[2]], ended$answer[[3]])
})

test_that("a limit on the address space is an error that says so", {
  skip_on_os(c("mac", "windows"))
  code <- "library(cowshed); v <- wrap_altrep(1:2^38); e <- tryCatch({ v[1] <- 5; 'none' }, error = function(e) c(class(e)[1], conditionMessage(e))); cat(e, v[2^38] == 2^38)"
  said <- system2("bash", c("-c", shQuote(sprintf("ulimit -v 4000000; exec '%s' -e \"%s\"", file.path(R.home("bin"), "Rscript"), code))), stdout = TRUE, stderr = TRUE)
  said <- paste(said, collapse = " ")
  expect_match(said, "cowshed_error_pointer")
  expect_match(said, "ulimit -v")
  expect_match(said, "TRUE$")
})

test_that("a worker gets what makes the elements; what was written, and what is saved, is data", {
  v <- wrap_altrep(1:(64 * 2^30))
  expect_lt(length(serialize(v, NULL)), 2000)
  f <- local({
    k <- 3
    virtualVector(1e6, "integer", function(offset, length) as.integer((offset + seq_len(length)) * k))
  })
  part <- v[seq(2, 2^20, by = 2)]
  type <- as.double(f)
  small <- f[1:20000]
  small[2] <- -1L
  with_cluster(1, function(cl) {
    got <- parallel::clusterCall(cl, function(v, f, part, type, small) {
      list(length(v), v[2^36], cowshed::is.virtual(v), f[1:3], cowshed::is.virtual(f), part[1:3], length(part), type[c(1, 1e6)], typeof(type), cowshed::is.virtual(small), small[1:3])
    }, v, f, part, type, small)[[1]]
    expect_identical(got, list(2^36, 2^36, TRUE, c(3L, 6L, 9L), TRUE, c(2, 4, 6), 524288L, c(3, 3e6), "double", FALSE, c(3L, -1L, 9L)))
    # The worker writes to its own.
    expect_identical(parallel::clusterCall(cl, function(v) { v[1] <- 7; v[1:2] }, v)[[1]], c(7, 2))
    expect_identical(v[1], 1)
    # Attributes go along.
    named <- wrap_altrep(1:1e5)
    names(named) <- paste0("n", 1:1e5)
    expect_identical(parallel::clusterCall(cl, function(x) list(x[3], length(x)), named)[[1]], list(c(n3 = 3L), 100000L))
  })
  file <- tempfile()
  on.exit(unlink(file))
  saveRDS(f, file)
  expect_gt(file.size(file), 1e5)
  back <- readRDS(file)
  expect_false(is.virtual(back))
  expect_identical(back, f)
  saveRDS(small, file)
  expect_identical(readRDS(file), small)
})

test_that("a recipe that cannot be followed is a vector whose every use says why", {
  f <- virtualVector(1e4, "double", function(offset, length) numeric(length))
  bytes <- serialize(f, NULL)
  # The name of what restores it.
  at <- grepRaw(charToRaw("cowshed.function"), bytes)
  bytes[at + 8:15] <- charToRaw("strangex")
  v <- unserialize(bytes)
  expect_identical(length(v), 10000L)
  e <- caught(v[1])
  expect_s3_class(e, "cowshed_error_generator")
  expect_match(conditionMessage(e), "'cowshed.strangex' of the package 'cowshed', which this process does not have", fixed = TRUE)
  expect_error(sum(v), class = "cowshed_error_generator")
  expect_error(v[1] <- 1, class = "cowshed_error_generator")
})

test_that("what wraps R's own 1:n is shared and stored as that, however long", {
  # Its elements were written: 512 GB found no room.
  for (x in list(wrap_altrep(1:(64 * 2^30)), wrap_altrep(1:1e6))) {
    for (mustWork in c(FALSE, TRUE)) {
      y <- elsewhere(share(x, mustWork = mustWork))
      expect_true(is.virtual(y))
      expect_identical(y[c(1, length(y))], x[c(1, length(x))])
    }
    file <- tempfile(fileext = ".cowshed")
    share(x, store = file)
    expect_lt(file.size(file), 1e4)
    expect_identical(openSharedFile(file)[length(x)], x[length(x)])
    freeSharedFile(file)
  }
})

test_that("share() sends the recipe, with its parts in shared memory", {
  with_new_store({
    data <- rnorm(1e5)
    v <- wrap_altrep(data)
    s <- share(v)
    expect_true(is.shared(s))
    expect_true(is.virtual(s))
    expect_false(is.shared(v))
    expect_identical(s, v)
    expect_identical(share(s), s)
    expect_lt(size_of(s), 5000)
    n <- share(list(a = numbers(2^33), b = v, c = letters))
    matrix <- numbers(1e4)
    dim(matrix) <- c(100, 100)
    m <- share(matrix)
    with_cluster(1, function(cl) {
      got <- parallel::clusterCall(cl, function(s, n, m) {
        list(s[1:3], cowshed::is.shared(s), length(n$a), n$a[2^33], cowshed::is.virtual(n$a), n$b[5], n$c[3], dim(m), m[5, 7], cowshed::is.virtual(m))
      }, s, n, m)[[1]]
      expect_identical(got, list(data[1:3], TRUE, 2^33, 2^33, TRUE, data[5], "c", c(100L, 100L), 605, TRUE))
    })
    # One that was written to is shared as data; so is one that all are to write to.
    w <- v
    w[1] <- 0
    shared <- share(w)
    expect_false(is.virtual(shared))
    expect_true(is.shared(shared))
    expect_identical(shared, w)
    through <- share(v, copyOnWrite = FALSE)
    expect_false(is.virtual(through))
    expect_identical(through, data)
    for (shared in list(s, share(numbers(1e6)), m)) {
      plain <- unshare(shared)
      expect_false(is.shared(plain))
      expect_true(is.virtual(plain))
      expect_identical(plain[5:9], shared[5:9])
      expect_identical(attributes(plain), attributes(shared))
    }
    expect_false(is.shared(unshare(n)))
    # Written to, the shared one is nobody's but its own.
    s[1] <- 0
    expect_false(is.shared(s))
    expect_identical(s[1:2], c(0, data[2]))
    rm(s, n, m, shared, through, plain)
    gc()
    expect_clean_store(ledgers = 1L)
  })
})

test_that("garbage collections at every moment change nothing", {
  skip_on_cran()
  data <- c(1.5, 2:3000)
  run <- function() {
    v <- wrap_altrep(data)
    f <- virtualVector(3000, "double", function(offset, length) data[offset + seq_len(length)])
    w <- v
    w[2] <- 0
    list(v[1:5], f[seq(1, 3000, 2)][1:3], sum(f), w[1:3], as.logical(f)[3], unserialize(serialize(f, NULL))[4], f[[7]], (wrap_altrep(1:2000) + 0.5)[3], max(v), share(v)[5])
  }
  expected <- run()
  gctorture2(13)
  on.exit(gctorture2(0))
  got <- run()
  gctorture2(0)
  expect_identical(got, expected)
})

test_that("an interrupt ends a long sum and a long function", {
  skip_on_os("windows")
  ended <- run_r(timeout = 60, {
    library(cowshed)
    how <- function(code) {
      interrupt_after(0.5)
      tryCatch(code, interrupt = function(e) "interrupted")
    }
    v <- wrap_altrep(1:2^46)
    f <- virtualVector(2^46, "double", function(offset, length) numeric(length))
    answer(list(how(sum(v)), how(min(f)), how(for (i in 1:1e9) v[[i]]), v[5]))
  })
  expect_ended_well(ended)
  expect_identical(ended$answer, list("interrupted", "interrupted", "interrupted", 5))
})
