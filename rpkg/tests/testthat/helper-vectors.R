# Values that share() must carry, and how the tests compare a shared value with the plain one.

# Bit by bit: -0 is not 0, and one NaN is not another.
same <- function(a, b) identical(a, b, num.eq = FALSE, single.NA = FALSE, attrib.as.set = FALSE)

# NaN with payload bits, as C code may make them; arithmetic would be free to change the bits.
odd_nan <- function(tail = 5) readBin(as.raw(c(tail, 0, 0, 0, 0, 0, 0xf8, 0x7f)), "double", endian = "little")

setClass("Measured", contains = "numeric", slots = c(unit = "character"))

# A function that is the same wherever it arrives.
in_global <- as.function(alist(x = , x + 1), envir = globalenv())

# Runs code whose environment has nothing but the workspace behind it. What a function made in a test has behind it is the test.
apart <- function(code) eval(substitute(code), new.env(parent = globalenv()))

environment_of <- function(...) list2env(list(...), parent = emptyenv())

# The very same environment, or function with it: expect_identical() is content with an equal one.
expect_itself <- function(x, expected) expect_true(identical(x, expected))

# Of every type and class, all of three elements or more.
samples <- function() {
  dated <- as.Date("2024-02-28") + 0:5
  list(
    raw = as.raw(c(0, 255, 1, 1, 128, 7)),
    logical = c(TRUE, NA, FALSE, TRUE, FALSE, NA),
    integer = c(3L, NA, -7L, .Machine$integer.max, 0L, 3L),
    double = c(1.5, NA, NaN, Inf, -Inf, -0, 0, 1e-310, odd_nan()),
    whole = c(3, 1, 4, 1, 5, 9, 2, 6),
    complex = c(1+2i, NA, 3+0i, -0-1i, 1+2i),
    named = c(a = 1.5, b = 2, a = -3, 4),
    named_integer = c(a = 1L, b = NA, c = 3L, d = 1L),
    matrix = matrix(c(2, 1, 0, 1, 3, 1, 0, 1, 4), 3, dimnames = list(c("r1", "r2", "r3"), c("c1", "c2", "c3"))),
    integer_matrix = matrix(1:12, 3),
    array = array(1:24 / 2, c(2, 3, 4)),
    complex_matrix = matrix(1:4 + 1i, 2),
    logical_matrix = matrix(c(TRUE, FALSE, NA, TRUE), 2),
    table = table(c(1, 1, 2, 5, 5, 5), c("u", "v", "u", "v", "u", "u"), dnn = c("n", "l")),
    factor = factor(c("b", "a", NA, "b", "c"), levels = c("a", "b", "c", "none")),
    ordered = factor(c("lo", "hi", "lo"), levels = c("lo", "hi"), ordered = TRUE),
    Date = dated,
    integer_Date = structure(19000:19004, class = "Date"),
    POSIXct = as.POSIXct("2024-03-31 01:30:00", tz = "Europe/Berlin") + 1800 * 0:4,
    difftime = as.difftime(c(1, 2.5, NA), units = "hours"),
    ts = ts(c(3, 1, 4, 1, 5, 9), start = c(2020, 2), frequency = 4),
    S4 = new("Measured", c(1, 2, 3.5), unit = "kg"),
    S3 = structure(c(1, 2, 3, 4), class = c("leaf", "branch"), note = "S3"),
    attributes = structure(c(1, 2, 3), a = list(1L, list(b = c(5L, 1L, 2L), c = "x")), f = in_global, s = as.name("z")),
    units = structure(c(1L, 5L, 9L), units = "cm", origin = structure(c(1, 2, 3), class = "deep"))
  )
}

# Of every type, 64 KiB and more: from there on a writable pointer is a private mapping, whose written pages are counted.
large_samples <- function() {
  n <- 8200
  set.seed(1)
  list(
    raw = as.raw(seq_len(9 * n) %% 256L),
    logical = rep(c(TRUE, NA, FALSE, TRUE, TRUE), length.out = 2 * n + 10),
    integer = rep(c(5L, -2L, NA, 7L, 0L), length.out = 2 * n + 10),
    double = round(rnorm(n), 2),
    complex = complex(real = rep(1:7, length.out = n), imaginary = rep(3:1, length.out = n)),
    matrix = matrix(round(rnorm(n), 1), n / 10),
    factor = factor(rep(c("b", "a", NA, "c"), length.out = 2 * n + 10)),
    Date = as.Date("2000-01-01") + rep(0:99, length.out = n),
    named = structure(rep(c(1, 2.5, 3), length.out = n), names = rep(c("a", "b", "c", "d"), length.out = n))
  )
}

# What came of `f(x)`: its value, or its error, and its warnings.
outcome <- function(f, x) {
  warnings <- character()
  value <- tryCatch(
    withCallingHandlers(f(x), warning = function(w) {
      warnings <<- c(warnings, conditionMessage(w))
      tryInvokeRestart("muffleWarning")
    }),
    error = function(e) structure(list(conditionMessage(e)), class = "an error instead of a value")
  )
  list(value = value, warnings = warnings)
}

# Until the calling function, or test, is over.
local_options <- function(..., .frame = parent.frame()) {
  old <- options(...)
  do.call(on.exit, list(substitute(options(o), list(o = old)), add = TRUE), envir = .frame)
  invisible(old)
}

# A store of this test's own: what is listed in it is what the test made, whatever else runs on the machine.
local_store <- function(.frame = parent.frame()) {
  parent <- if (dir.exists("/dev/shm")) "/dev/shm" else tempdir()
  path <- tempfile("cowshed-test-", parent)
  dir.create(path, mode = "0700")
  local_options(cowshed.store = path, .frame = .frame)
  do.call(on.exit, list(bquote(unlink(.(path), recursive = TRUE)), add = TRUE), envir = .frame)
  invisible(path)
}

# What another process would see of `x`.
elsewhere <- function(x) unserialize(serialize(x, NULL))

# The class and message of the error that `code` ends in, as text for a snapshot.
refusal <- function(code) {
  e <- tryCatch({
    code
    stop("there was no error")
  }, error = function(e) e)
  cat(paste(class(e), collapse = " / "), conditionMessage(e), sep = "\n")
}
