# Shared data frames in the hands of the packages that people use them with. What copies is docs/data-frames.md's table.

table_of <- function(n = 2000L) {
  set.seed(1)
  data.frame(
    k = rep_len(1:100, n), g = factor(rep_len(c("a", "b", "c"), n)), v = rnorm(n), d = as.Date("2020-01-01") + seq_len(n),
    t = as.POSIXct("2020-01-01", tz = "UTC") + seq_len(n), s = rep_len(letters, n), l = I(rep_len(list(1, "x", NULL), n))
  )
}

# Whether each column is in shared memory.
columns <- function(x) vapply(x[setdiff(names(x), "l")], is.shared, NA)
shared_in <- function(x) names(which(columns(x)))

# What `use` gives of a shared table, in a process that attached it, is what it gives of a plain one; and nobody else's has changed.
expect_same_use <- function(make, use) {
  plain <- make(table_of())
  expected <- use(make(table_of()))
  shared <- share(plain)
  attached <- unserialize(serialize(shared, NULL))
  expect_equal(use(attached), expected)
  expect_equal(use(share(make(table_of()))), expected)
  expect_equal(as.data.frame(shared), as.data.frame(plain))
}

test_that("a data frame is the same data frame, and what is done to it", {
  with_new_store({
    for (use in list(
      identity, summary, function(x) aggregate(v ~ g, x, mean), function(x) x[order(x$v), ], function(x) merge(x[1:5], data.frame(k = 1:10, z = 10:1)), function(x) table(x$g, x$k),
      function(x) { x$v[3] <- 0; x }, function(x) { x[2, "g"] <- "c"; x }, function(x) transform(x, w = v * 2), function(x) within(x, rm(d)), function(x) split(x$v, x$g),
      function(x) rbind(x, x), function(x) cbind(x, z = 1), function(x) do.call(rbind, lapply(split(x, x$g), utils::head, 2)), function(x) tapply(x$v, x$g, sum), function(x) unique(x[c("k", "g")]),
      function(x) format(utils::head(x, 3)), function(x) x[x$d > as.Date("2020-02-01") & x$t < as.POSIXct("2020-01-01 00:20", tz = "UTC"), ], function(x) levels(droplevels(x[x$g != "a", ])$g),
      function(x) seq(x$d[1], by = "month", length.out = 3), function(x) difftime(x$t[2], x$t[1]), function(x) cut(x$d[1:50], "month"), function(x) stats::predict(stats::lm(v ~ k + g, x), x[1:5, ]),
      function(x) stats::coef(stats::glm(I(v > 0) ~ k, binomial, x)), function(x) stats::reshape(x[1:6, c("k", "v")], direction = "long", varying = "v", v.names = "y", idvar = "k")
    )) expect_same_use(identity, use)
    s <- share(table_of())
    t <- s
    t$v[1] <- 0
    expect_setequal(shared_in(t), c("k", "g", "d", "t", "s"))
    expect_setequal(shared_in(s[c("k", "v")]), c("k", "v"))
    expect_setequal(shared_in(transform(s, w = v * 2)), names(s)[1:6])
    expect_length(shared_in(s[s$k > 0, ]), 0L)
  })
})

test_that("a tibble is one, and dplyr's verbs do what they do", {
  skip_if_not_installed("dplyr")
  skip_if_not_installed("tibble")
  with_new_store({
    make <- function(x) tibble::as_tibble(x)
    more <- tibble::tibble(k = 1:10, z = letters[1:10])
    for (use in list(
      identity, function(x) dplyr::filter(x, k > 50, g == "a"), function(x) dplyr::mutate(x, w = v * 2, v = NULL), function(x) dplyr::select(x, k, v), function(x) dplyr::arrange(x, g, -v),
      function(x) dplyr::summarise(dplyr::group_by(x, g), m = mean(v), n = dplyr::n()), function(x) dplyr::left_join(x, more, by = "k"), function(x) dplyr::count(x, g, k), function(x) dplyr::distinct(x, g),
      function(x) dplyr::inner_join(x, more, by = "k"), function(x) dplyr::anti_join(x, more, by = "k"), function(x) dplyr::bind_rows(x, x), function(x) dplyr::slice_max(x, v, n = 3), function(x) dplyr::pull(x, s),
      function(x) dplyr::rename(x, q = k), function(x) dplyr::relocate(x, v), function(x) dplyr::mutate(dplyr::group_by(x, g), r = dplyr::row_number()), function(x) dplyr::transmute(x, a = d + 1),
      function(x) dplyr::across(x, 1) |> tryCatch(error = function(e) "error"), function(x) dplyr::nest_by(x, g)$g, function(x) tibble::add_column(x, new = 1), function(x) print(x, n = 3) |> capture.output(),
      function(x) { x$v[2] <- 1; x }, function(x) { x[["k"]] <- NULL; x }
    )) expect_same_use(make, use)
    s <- share(make(table_of()))
    expect_s3_class(s, c("tbl_df", "tbl", "data.frame"), exact = TRUE)
    for (kept in list(dplyr::mutate(s, w = 1), dplyr::rename(s, q = k), dplyr::group_by(s, g), dplyr::relocate(s, v))) expect_length(shared_in(kept), 6L)
    expect_setequal(shared_in(dplyr::select(s, k, v)), c("k", "v"))
    expect_length(shared_in(dplyr::filter(s, k > 0)), 0L)
  })
})

test_that("a data.table is one, here and where it arrives: groups, joins, keys", {
  skip_if_not_installed("data.table")
  with_new_store({
    make <- function(x) data.table::as.data.table(x[1:6])
    more <- data.table::data.table(k = 1:10, z = letters[1:10])
    # data.table looks for `data.table` in the imports of whoever calls; here that is nobody.
    in_table <- function(code) eval(substitute(function(x) code), list2env(list(more = more, .datatable.aware = TRUE), parent = asNamespace("data.table")))
    for (use in list(
      identity, in_table(x[, .(m = mean(v), n = .N), by = g]), in_table(x[k == 5L]), in_table(x[more, on = "k"]), in_table(merge(x, more, by = "k")), in_table(x[order(-v)][1:5]), in_table(x[.N]),
      in_table(dcast(x, k ~ g, value.var = "v", fun.aggregate = length)), in_table(melt(x, id.vars = "k", measure.vars = "v")), in_table(x[, lapply(.SD, mean), by = g, .SDcols = "v"]), in_table(unique(x, by = "g")),
      in_table({ setkey(x, k); x[J(3L)] }), in_table({ setkeyv(x, c("g", "d")); key(x) }), in_table({ x[1:3, v := 0]; x }), in_table({ set(x, 1L, "v", 9); x }), in_table({ setnames(x, "k", "q"); x }),
      in_table({ setindex(x, k); x[k == 7L] }), in_table({ y <- copy(x); y[, v := NULL]; list(x, y) }), in_table(rbindlist(list(x, x))), in_table(split(x, by = "g")), in_table({ setorder(x, v); x[1] }),
      in_table(suppressWarnings({ x[, w := v * 2]; x })), in_table(suppressWarnings({ x[, c("a", "b") := .(1L, s), by = g]; x })), in_table({ x <- as.data.frame(x); setDT(x); x[, w := .N, by = g]; x })
    )) expect_same_use(make, use)
    s <- share(make(table_of()))
    expect_s3_class(s, c("data.table", "data.frame"), exact = TRUE)
    expect_length(shared_in(s), 6L)
    # By reference, as data.table does it, and yet nobody else's: the shared bytes are not written.
    expect_silent(in_table(set(x, 1L, "v", 9))(s))
    expect_identical(s$v[1], 9)
    expect_setequal(shared_in(s), c("k", "g", "d", "t", "s"))
  })
})

test_that("setDT() and := work on what arrived in a worker, without a word", {
  skip_if_not_installed("data.table")
  with_new_store({
    x <- table_of()[1:6]
    got <- run_r({
      suppressPackageStartupMessages(library(data.table))
      x <- take("x")
      said <- NULL
      withCallingHandlers({
        setDT(x)
        x[, w := mean(v), by = g]
        setkey(x, k, g)
      }, condition = function(c) said <<- c(said, conditionMessage(c)))
      answer(list(class = class(x), w = x[J(3L), sum(w)], key = key(x), said = said))
    }, dir = put_in(scratch(), share(x), "x"))
    expect_ended_well(got)
    means <- tapply(x$v, x$g, mean)
    expect_identical(got$answer[c("class", "key", "said")], list(class = c("data.table", "data.frame"), key = c("k", "g"), said = NULL))
    expect_equal(got$answer$w, sum(means[x$g[x$k == 3L]]))
  })
})
