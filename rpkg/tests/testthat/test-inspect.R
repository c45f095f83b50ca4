# Looking at a shared object shows what looking at the plain one shows, and makes nothing private.

# What View() and the panes of editors do: a data frame of text, of the first rows.
view_like <- function(x) format(utils::head(as.data.frame(x), 100), digits = 3)

inspections <- list(
  print = function(x) capture.output(print(x, max = 60)),
  str = function(x) capture.output(str(x)),
  format = function(x) format(utils::head(x, 50)),
  summary = function(x) if (!is.raw(x)) list(summary(x), capture.output(print(summary(x)))),
  object.size = object.size,
  head = function(x) list(head(x), head(x, -2), tail(x, 3)),
  toString = function(x) toString(utils::head(x, 20)),
  view = function(x) if (is.null(dim(x)) || is.matrix(x)) view_like(x),
  quantile = function(x) if (is.numeric(x) && !is.object(x)) stats::quantile(x, na.rm = TRUE),
  attributes = function(x) attributes(x)
)

# All vectors in it.
leaves_of <- function(x) if (is.list(x)) unlist(lapply(x, leaves_of), recursive = FALSE) else list(x)

# A small vector has no mapping: C code that asks for a writable pointer (as format() of times does) gets a copy of its few bytes.
expect_untouched <- function(x, info) {
  for (leaf in leaves_of(unclass(x))) {
    private <- cowshed:::private_bytes(leaf)
    if (!is.nan(private)) {
      if (length(leaf) > 1000L) expect_identical(private, 0, info = info) else expect_lte(private, 8 * length(leaf))
      expect_true(is.shared(leaf), info = info)
    }
  }
}

expect_looks_alike <- function(plain, shared, looks, name) {
  for (look in names(looks)) {
    info <- paste(name, look)
    expect_identical(outcome(looks[[look]], shared), outcome(looks[[look]], plain), info = info)
    expect_untouched(shared, info)
  }
}

strings <- function(n) {
  list(
    few = rep(c("a", "\u00e4", NA, "b c"), length.out = n), distinct = as.character(seq_len(n)),
    named = structure(rep(c("x", "y"), length.out = n), names = paste0("n", seq_len(n)))
  )
}

test_that("small vectors of all kinds", {
  local_store()
  for (name in names(samples())) {
    x <- samples()[[name]]
    expect_looks_alike(x, share(x), inspections, name)
  }
  for (name in names(strings(30))) expect_looks_alike(strings(30)[[name]], share(strings(30)[[name]]), inspections, name)
})

test_that("large vectors", {
  local_store()
  for (x in list(large_samples(), strings(20000))) {
    for (name in names(x)) expect_looks_alike(x[[name]], share(x[[name]]), inspections, name)
  }
})

frame <- function(n) {
  data.frame(
    integer = rep(c(1L, NA, 3L), length.out = n), double = seq_len(n) / 7, logical = rep(c(TRUE, FALSE), length.out = n),
    factor = factor(rep(c("u", "v", NA), length.out = n)), date = as.Date("2024-01-01") + rep(0:9, length.out = n),
    time = as.POSIXct("2024-01-01", tz = "UTC") + seq_len(n), character = paste("row", seq_len(n)), row.names = NULL
  )
}

frame_inspections <- list(
  print = function(x) capture.output(print(x, max = 60)),
  print_rows = function(x) capture.output(print(utils::head(x, 7))),
  str = function(x) capture.output(str(x)),
  summary = function(x) capture.output(print(summary(x))),
  object.size = object.size,
  head = function(x) list(head(x), tail(x, 3)),
  view = view_like,
  dim = function(x) list(dim(x), names(x), sapply(x, class)),
  nested = function(x) capture.output(str(list(a = x, b = list(x$double, x$character))))
)

test_that("data frames of shared columns, and lists", {
  local_store()
  for (n in c(30, 20000)) {
    x <- frame(n)
    expect_looks_alike(x, share(x), frame_inspections, n)
    x <- list(a = frame(n), b = list(c = seq_len(n) + 0.5, d = letters), e = "short")
    expect_looks_alike(x, share(x), frame_inspections[c("str", "object.size")], n)
    expect_looks_alike(x, share(x), list(print = function(x) capture.output(print(x, max = 20)), summary = function(x) capture.output(print(summary(x)))), n)
  }
})

test_that("tibbles and data tables", {
  skip_if_not_installed("tibble")
  skip_if_not_installed("data.table")
  local_store()
  for (make in list(tibble::as_tibble, data.table::as.data.table)) {
    x <- frame(20000)
    shared <- share(x)
    for (look in list(function(x) capture.output(print(make(x))), function(x) capture.output(str(make(x))), function(x) capture.output(summary(make(x))))) {
      expect_identical(look(shared), look(x))
      expect_untouched(shared, "")
    }
  }
})

test_that("objects that are written through are looked at where they are", {
  local_store()
  x <- share(frame(20000)[1:6], copyOnWrite = FALSE)
  expect_looks_alike(frame(20000)[1:6], x, frame_inspections, "live")
  x$double[2] <- -1
  expect_match(capture.output(print(head(x, 2)))[3], "-1.0000000")
  expect_identical(head(elsewhere(x)$double, 2), c(1 / 7, -1))
})

test_that("base R's ways of looking make few strings of a long character vector", {
  local_store()
  n <- 2e5
  shared <- share(paste("a string of its own:", seq_len(n)))
  x <- data.frame(i = share(seq_len(n) + 0L), s = shared)
  looks <- list(
    function(x) str(x), function(x) print(x, max = 20), function(x) print(head(x)), function(x) print(tail(x)), function(x) summary(x),
    function(x) str(list(x, list(x))), view_like, function(x) print(x$s, max = 20), function(x) str(x$s), function(x) summary(x$s)
  )
  for (look in looks) {
    # Other vectors' strings are long gone.
    before <- sum(gc(full = TRUE)[, 2])
    capture.output(look(x))
    # All strings are 22 MB. What row names take is no matter of ours.
    expect_lt(sum(gc(full = TRUE)[, 2]) - before, 4)
  }
})

test_that("object.size() is what a plain copy would take, and the segment is what listSharedObjects() says", {
  local_store()
  x <- share(as.numeric(1:1e5))
  expect_identical(object.size(x), object.size(unshare(x)))
  size <- listSharedObjects()$size
  expect_gte(size, 8e5)
  expect_lt(size, 8.2e5)
})

test_that("hooks read an object's fields without asking R, in any session", {
  # R has to be asked if its objects are laid out otherwise. It was asked, too, whenever two objects of the search for the fields lay beside
  # each other in R's heap, which is in most sessions, and each element of a string vector cost twice as much.
  x <- share(as.numeric(1:10))
  expect_match(utils::capture.output(.Internal(inspect(x))), "elements, 0 bytes private$", all = FALSE)
})
