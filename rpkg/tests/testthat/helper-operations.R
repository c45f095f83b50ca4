# Base R's operations, as functions of a vector: run on a shared vector and on a plain one, they must give the same.
#
# An operation that makes no sense for a type is run all the same: the error must be the same too.

# Each `{ }` is a function of x, named by its code.
operations <- function(...) {
  code <- as.list(substitute(list(...)))[-1]
  functions <- lapply(code, function(body) as.function(list(x = quote(expr = ), body), envir = new.env(parent = globalenv())))
  labels <- vapply(code, function(body) paste(trimws(deparse(body, 500)), collapse = " "), "")
  given <- names(code)
  stats::setNames(functions, if (is.null(given)) labels else ifelse(given == "", labels, given))
}

subscripts <- function() operations(
  x[], x[1], x[2:3], x[c(3, 1, 2)], x[c(1L, 1L, 3L)], x[c(1.9, 2.1)], x[0], x[c(0, 2)], x[NULL], x[integer()], x[-1],
  x[-(1:2)], x[c(-1, 0)], x[-length(x)], x[-1e9], x[c(-1, 1)], x[-c(1, 1, 2)], x[NA], x[NA_integer_], x[NA_real_],
  x[c(1, NA)], x[c(2L, NA, 1L)], x[c(-1, NA)], x[NaN], x[Inf], x[-Inf], x[length(x) + 1], x[c(1, 99999999)],
  x[c(2L, 99999999L, NA)], x[(length(x) - 1):(length(x) + 3)], x[2^31], x[c(1, 2^31 + 1)], x[c(1, 2^52)], x[-2^31],
  x[2^31 + 0:2], x[TRUE], x[FALSE], x[c(TRUE, FALSE)], x[c(TRUE, NA, FALSE)],
  x[c(FALSE, TRUE, rep(FALSE, length(x)), TRUE)], x[logical()], x["a"], x[c("a", "zz", NA)], x[""], x[character()],
  x[factor("b")], x[1:length(x)], x[2:length(x)], x[length(x):1], x[seq(1, length(x), by = 2)], x[seq_along(x)],
  x[as.numeric(seq_along(x))], x[cbind(1, 1)], x[cbind(c(1, 2), c(2, 1))], x[cbind(NA, 1)], x[rbind(c("r1", "c2"))],
  x[cbind(1, 2, 1)], x[cbind(9, 9)], x[1, ], x[, 2], x[1, , drop = FALSE], x[-1, 2:1], x[c(NA, 1), ], x["r2", ],
  x["nope", ], x[5, 5], x[1, 2, 1], x[, , 2], x[TRUE, c(TRUE, FALSE)], x[0, ], x[, 0], x[is.na(x)], x[!is.na(x)],
  x[x == x[1]], x[which(x != x[1])], x[1i], x[list(1)], x[1, drop = FALSE], x[, 1, drop = TRUE], x[matrix(TRUE, 3, 3)],
  x[[1]], x[[2L]], x[[length(x)]], x[[1.9]], x[[0]], x[[-1]], x[[NA]], x[[NA_integer_]], x[[length(x) + 1]], x[[2^31]],
  x[[c(1, 2)]], x[["a"]], x[["zz"]], x[[1, 2]], x[["r1", "c3"]], x[[1, 2, 1]], x[[9, 9]], x[[TRUE]], x[[NULL]],
  x[["a", exact = FALSE]], head(x), head(x, 2), head(x, -2), tail(x), tail(x, 2), tail(x, -1), rev(x), rev(rev(x)), x$a,
  x@unit, getElement(x, 1), subset(x, TRUE)
)

readings <- function() operations(
  length(x), names(x), dim(x), dimnames(x), attributes(x), class(x), oldClass(x), levels(x), typeof(x), mode(x),
  inherits(x, "factor"), is.numeric(x), is.vector(x), is.object(x), isS4(x), is.list(x), nrow(x), NCOL(x), lengths(x),
  object.size(x), sort(x), sort(x, decreasing = TRUE), sort(x, na.last = TRUE), sort(x, method = "quick"),
  sort(x, method = "radix"), sort(x, partial = 2), order(x), order(x, decreasing = TRUE, method = "radix"),
  order(x, method = "shell"), sort.list(x), rank(x), is.unsorted(x), xtfrm(x), unique(x), duplicated(x), anyDuplicated(x),
  duplicated(x, fromLast = TRUE), match(x, x), match(x, unique(x)), match(x[1:2], x), x %in% x[2], is.element(x[1], x),
  union(x, x[1]), setdiff(x, x[1]), intersect(x, x[2:3]), unique(x, incomparables = x[1]), tabulate(x, 9),
  split(x, rep(1:2, length.out = length(x))), split(seq_along(x), x),
  unsplit(split(x, rep(1:2, length.out = length(x))), rep(1:2, length.out = length(x))), rbind(x, x), cbind(x, 1),
  cbind(a = x, b = x), rbind(x), c(x, x), c(x, 1), c(x, "a"), c(x, NULL), c(list(), x), append(x, x[1], 2), rep(x, 2),
  rep(x, each = 2), rep_len(x, 7), apply(x, 1, sum), apply(x, 2, range), apply(x, c(1, 2), identity), unlist(list(x, x)),
  unlist(list(a = x)), sapply(x, identity), sapply(x, is.na), lapply(x, function(e) e),
  vapply(x, function(e) length(e), 1L), Map(function(a, b) a, x, x)[1:2], mapply(function(a, b) identical(a, b), x, x),
  Reduce(function(a, b) b, x), Filter(function(e) !is.na(e), x), do.call(c, list(x, x)), do.call("range", list(x)),
  tapply(x, rep(1:2, length.out = length(x)), function(v) v[1]), by(x, rep(1, NROW(x)), length), rapply(list(x), identity),
  aggregate(x, list(rep(1:2, length.out = length(x))), length), outer(x[1:3], x[1:3]), outer(x[1:3], 1:2, "=="), table(x),
  table(x, useNA = "always"), cut(x, 3), cut(x, c(-Inf, 0, 2, Inf)), findInterval(2, x), rle(as.vector(x)),
  inverse.rle(rle(as.vector(x))), diff(x), diff(x, lag = 2), cumsum(x), cumprod(x), cummax(x), cummin(x), range(x),
  range(x, na.rm = TRUE), min(x), max(x), min(x, na.rm = TRUE), max(x, na.rm = TRUE), pmin(x, x[1]), pmax(x, x[2]), sum(x),
  sum(x, na.rm = TRUE), prod(x), mean(x), mean(x, na.rm = TRUE), median(x), var(x), var(x, na.rm = TRUE), sd(x),
  quantile(x), quantile(x, 0.3, na.rm = TRUE), fivenum(x), mad(x), cor(x, x), any(x), all(x), any(x, na.rm = TRUE),
  which(x), which(x == x[1]), which(is.na(x)), which.max(x), which.min(x), which(x > 1, arr.ind = TRUE), rev(x), nchar(x),
  zapsmall(x), ifelse(is.na(x), 0, x), ifelse(x, 1, 2), is.na(x), anyNA(x), is.nan(x), is.finite(x), is.infinite(x),
  complete.cases(x), na.omit(x), x + 1, x + x, 1 - x, x * 2L, x / 3, x ^ 2, x %% 2, x %/% 2, -x, +x, !x, x == x, x < x[1],
  x != 1, x & TRUE, x | FALSE, xor(x, TRUE), isTRUE(x), sqrt(x), exp(x), log(x), abs(x), round(x, 1), signif(x, 2),
  floor(x), trunc(x), sign(x), sin(x), Re(x), Im(x), Mod(x), Arg(x), Conj(x), gamma(x), bitwAnd(x, 1L), xor(x, x),
  rawToChar(x), rawToBits(x), rawShift(x, 1), packBits(rawToBits(x), "integer"), utf8ToInt(x), chartr("a", "b", x),
  strtoi(x), as.hexmode(x), months(x), weekdays(x), julian(x), units(x), as.POSIXlt(x), trunc(x, "days"),
  seq(x[1], x[2], length.out = 3), nlevels(x), droplevels(x), relevel(x, "b"), as.integer(as.character(x)), addNA(x),
  interaction(x, x), time(x), window(x, 2020.5), lag(x), cycle(x), format(x), format(x, digits = 3),
  prettyNum(x), formatC(x), toString(x), capture.output(print(x)), capture.output(str(x)), noquote(x),
  capture.output(cat(x)), capture.output(write(x, stdout())), capture.output(dput(x)), deparse(x),
  capture.output(print(summary(x))), summary(x), encodeString(x), sprintf("%s", x), paste(x),
  paste0("a", x, collapse = "-"), as.character(x), as.integer(x), as.numeric(x), as.logical(x), as.complex(x), as.list(x),
  as.vector(x), as.vector(x, "list"), as.vector(x, "character"), as.vector(x, "integer"), as.factor(x), as.matrix(x),
  as.array(x), as.raw(x), as.Date(x), as.POSIXct(x), as.data.frame(x), as.table(x), as.ts(x), unclass(x), unname(x),
  data.frame(v = I(x)), data.frame(x), as.name(x), is.na(unlist(list(x))), `storage.mode<-`(x, "double"),
  `mode<-`(x, "complex"), is(x, "numeric"), as(x, "numeric"), methods::slotNames(x), isVirtualClass("Measured"), x %*% x,
  crossprod(x), tcrossprod(x), crossprod(x, x), solve(x), det(x), t(x), aperm(x), aperm(x, c(2, 1, 3)), rowSums(x),
  colMeans(x), rowMeans(x), colSums(x, na.rm = TRUE), sweep(x, 1, 1), scale(x), qr.R(qr(x)), svd(x)$d, diag(x),
  x[upper.tri(x)], row(x), col(x), max.col(x, "first"), kronecker(x, x[1]), eigen(x)$values, chol(x), prop.table(x),
  proportions(x), addmargins(x), margin.table(x, 1), array(x, c(2, 2)), matrix(x, 2), matrix(x, 3, byrow = TRUE),
  rowsum(x, rep(1:2, length.out = NROW(x))), {set.seed(3); sample(x)}, {set.seed(3); sample(x, 2)},
  {set.seed(3); sample(x, 9, TRUE)}, merge(data.frame(k = x), data.frame(k = x[1:2], v = 1:2)), data.frame(k = x)[2, ],
  data.frame(k = x, j = rev(x))[["j"]], data.frame(k = x)[order(seq_along(x), decreasing = TRUE), , drop = FALSE],
  within(data.frame(k = x), j <- 1), stack(list(a = x)), mapply(identical, x, x), vapply(x, is.na, NA), Position(is.na, x),
  Find(function(e) !is.na(e), x), switch(2, 1, x), (function(y) y)(x), {y <- 0; for (e in x) y <- e; y},
  {n <- 0; for (i in seq_along(x)) n <- n + length(x[[i]]); n}, {f <- function(v = x) v; f()}, local({y <- x; y}),
  identity(x), invisible(x), force(x), list(x)[[1]], setNames(x, NULL), identical(x, x), all.equal(x, x),
  all.equal(x, rev(x)), isTRUE(all.equal(x, x[-1])), identical(c(x), x), identical(list(x), list(x)), Negate(is.na)(x),
  nlevels(factor(x)), approx(seq_along(x), x, xout = 1.5), spline(x, n = 4), convolve(x, x, type = "o"), fft(x),
  filter(x, c(1, 1)), embed(x, 2), cov(x, x), ecdf(x)(1), weighted.mean(x, x), dist(x[1:3]), cor(x, rev(x)),
  serialize(unshare(x), NULL), bitwXor(x, 3L), trimws(x), make.unique(as.character(x)), rev(as.list(x))[[1]],
  mode(as.list(x)), array(x), is.array(x), nchar(format(x)), rowsum(c(x), rep(1, length(x))), rapply(list(x), f = length),
  digest::digest(x), digest::digest(x, "md5", serialize = FALSE), digest::sha1(as.numeric(x)), rlang::hash(x),
  rlang::is_double(x), rlang::obj_address(1), vctrs::vec_slice(x, 2:3), vctrs::vec_c(x, x), vctrs::vec_unique(x),
  vctrs::vec_order(x), vctrs::vec_rep(x, 2), vctrs::vec_match(x, x), vctrs::vec_equal(x, x), vctrs::vec_cast(x, double()),
  vctrs::vec_group_loc(x), vctrs::vec_slice(x, integer()), vctrs::vec_detect_complete(x), vctrs::vec_ptype(x),
  vctrs::vec_chop(x, list(1, 2:3)), {d <- data.table::data.table(k = as.vector(x)); d[, list(n = .N), by = k]},
  data.table::frank(as.vector(x)), data.table::shift(as.vector(x)), data.table::uniqueN(as.vector(x)),
  {d <- data.table::data.table(k = as.vector(x)); d[, k := rev(k)]; d$k},
  {d <- data.table::data.table(k = as.vector(x)); data.table::setorder(d, k); d$k},
  data.table::rbindlist(list(list(x), list(x))), data.table::between(as.vector(x), 1, 3),
  data.table::fifelse(is.na(as.vector(x)), as.vector(x), as.vector(x)), data.table::rleid(as.vector(x))
)

# Each returns x with something assigned.
assignments <- function() operations(
  {x[1] <- x[2]; x}, {x[2:3] <- x[c(3, 1)]; x}, {x[-1] <- x[1]; x}, {x[c(TRUE, FALSE)] <- x[1]; x}, {x[NA] <- x[1]; x},
  {x[c(1, NA)] <- x[2]; x}, {x[c(1, NA)] <- x[1:2]; x}, {x[] <- x[1]; x}, {x[] <- rev(x); x}, {x[length(x) + 2] <- x[1]; x},
  {x["a"] <- x[2]; x}, {x["zz"] <- x[2]; x}, {x[0] <- x[1]; x}, {x[1] <- NA; x}, {x[1] <- TRUE; x}, {x[1] <- 7L; x},
  {x[1] <- 2.5; x}, {x[1] <- 1i; x}, {x[1] <- "s"; x}, {x[1] <- as.raw(1); x}, {x[1] <- list(1); x}, {x[1] <- NULL; x},
  {x[2:3] <- x[1:3]; x}, {x[c(2, 2, 2)] <- x[1:3]; x}, {x[[1]] <- x[[2]]; x}, {x[[2]] <- NA; x}, {x[["a"]] <- x[[3]]; x},
  {x[["new"]] <- x[[1]]; x}, {x[[length(x) + 1]] <- x[[1]]; x}, {x[[1]] <- "s"; x}, {x[[1]] <- list(1); x},
  {x[[0]] <- 1; x}, {x[[1]] <- x[1:2]; x}, {x[1, 2] <- x[2, 1]; x}, {x[1, ] <- x[2, ]; x}, {x[, 2] <- 0L; x},
  {x[cbind(1:2, 2:1)] <- x[1:2]; x}, {x[[2, 1]] <- x[[1, 1]]; x}, {x[1, 2, 1] <- 9; x}, {x["r1", "c2"] <- 9; x},
  {x[x == x[1]] <- x[2]; x}, {x[is.na(x)] <- x[1]; x}, {is.na(x) <- 2; x}, {is.na(x[1]) <- TRUE; x},
  {names(x) <- letters[seq_along(x)]; x}, {names(x) <- NULL; x}, {names(x)[2] <- "second"; x}, {dim(x) <- length(x); x},
  {dim(x) <- c(1, length(x)); x}, {dim(x) <- NULL; x}, {dim(x) <- 99; x}, {dimnames(x) <- NULL; x},
  {dimnames(x)[[1]][1] <- "new"; x}, {rownames(x) <- seq_len(nrow(x)); x}, {attr(x, "note") <- 1:3; x},
  {attr(x, "a") <- NULL; x}, {attributes(x) <- NULL; x}, {attributes(x) <- list(q = 1); x},
  {mostattributes(x) <- list(q = 1); x}, {class(x) <- "other"; x}, {class(x) <- NULL; x}, {oldClass(x) <- c("p", "q"); x},
  {class(x) <- "numeric"; x}, {levels(x) <- c("A", "B", "C", "D"); x}, {levels(x)[1] <- "Z"; x}, {length(x) <- 2; x},
  {length(x) <- length(x) + 2; x}, {length(x) <- length(x); x}, {storage.mode(x) <- "integer"; x},
  {storage.mode(x) <- "complex"; x}, {mode(x) <- "character"; x}, {units(x) <- "mins"; x}, {attr(x, "tzone") <- "UTC"; x},
  {tsp(x) <- NULL; x}, {tsp(x) <- c(1, length(x), 1); x}, {diag(x) <- 0; x}, {x[upper.tri(x)] <- 0; x}, {x@unit <- "g"; x},
  {x@.Data <- c(9, 9, 9); x}, {substr(x, 1, 1) <- "z"; x}, {body(x) <- 1; x}, {x$a <- 1; x}, {x <- x + 1; x[1] <- x[2]; x},
  {y <- x; y[1] <- y[2]; list(x, y)}, {y <- x; x[1] <- x[2]; list(x, y)},
  {f <- function(v) {v[1] <- v[2]; v}; list(f(x), x)}, {l <- list(x); l[[1]][1] <- x[2]; list(l, x)},
  {l <- list(a = x, b = x); l$a[2] <- x[1]; l},
  {d <- data.frame(k = as.vector(x)); d$k[1] <- d$k[2]; d[2, 1] <- d[1, 1]; list(d, x)},
  {e <- new.env(); e$x <- x; e$x[1] <- x[2]; list(e$x, x)}, {replace(x, 1, x[2])}, {for (i in 1:3) x[i] <- x[3]; x},
  {for (i in 1:3) x[[i]] <- x[[1]]; x}, {local({x[1] <- x[2]; x})}, {assign("x", `[<-`(x, 1, x[2])); x},
  {`[<-`(x, 1, x[2]); x}, {`[[<-`(x, 1, x[[2]]); x}, {`names<-`(x, letters[seq_along(x)]); x},
  {within(data.frame(k = as.vector(x)), k[1] <- k[2])}, {transform(data.frame(k = as.vector(x)), k = rev(k))},
  {append(x, x, 1)}, {x[5:1] <- x[1:5]; x}, {x <- rev(x); x[1] <- x[2]; x}, {x <- x[1:3]; x[2] <- x[1]; x},
  {x[2:1] <- x[1:2]; x}, {modifyList(list(a = x), list(b = x))}, {stats::ave(x)},
  {Recall <- x; Recall[1] <- x[3]; list(Recall, x)}, {(x[1] <- x[2]); x}, {x[1] <- x[2] <- x[3]; x}
)

# Those whose package is installed.
available <- function(table) {
  needs <- vapply(strsplit(names(table), "::", fixed = TRUE), function(parts) sub(".*[^A-Za-z.]", "", parts[1]), "")
  needs[!grepl("::", names(table), fixed = TRUE)] <- "base"
  table[vapply(needs, requireNamespace, NA, quietly = TRUE)]
}

# Samples for which `f` does something else on a shared vector, or to it, with the reason.
#
# `after(shared, plain)` says what is wrong with the shared one afterwards, as a string, or NULL.
differences <- function(f, values, share, after) {
  wrong <- character()
  for (label in names(values)) {
    plain <- values[[label]]
    shared <- share(plain)
    if (!same(outcome(f, shared), outcome(f, plain))) wrong <- c(wrong, paste(label, "(another result)"))
    note <- after(shared, plain)
    if (!is.null(note)) wrong <- c(wrong, paste0(label, " (", note, ")"))
  }
  wrong
}

# One expectation for each operation: nothing differs for any sample. `exempt`: operations known to.
expect_no_difference <- function(table, values, share = cowshed::share, after = unchanged, exempt = character()) {
  table <- available(table)
  for (operation in setdiff(names(table), exempt)) {
    wrong <- differences(table[[operation]], values, share, after)
    expect(!length(wrong), paste0(operation, " differs for ", paste(wrong, collapse = ", ")))
  }
}

unchanged <- function(shared, plain) {
  if (!same(shared, plain)) "x changed" else if (!is.shared(shared)) "x is not shared any more"
}

# As well, nothing of it was copied: for vectors of 64 KiB and more.
untouched <- function(shared, plain) {
  bytes <- private_bytes(shared)
  if (bytes > 0) paste(bytes, "bytes of x are private") else unchanged(shared, plain)
}

with_all_flags <- function(x) share(x, sharedSubset = TRUE, sharedCopy = TRUE)
writing_through <- function(x) share(x, copyOnWrite = FALSE)
