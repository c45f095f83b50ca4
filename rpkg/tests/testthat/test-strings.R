# Character vectors: what is in them, how they lie in the segment, and what R does with them.

latin1 <- function(...) { x <- c(...); Encoding(x) <- "latin1"; x }
bytes <- function(...) { x <- c(...); Encoding(x) <- "bytes"; x }
mb <- function(letter) strrep(letter, 2^20)
few <- function(n, of) paste0("s", rep_len(seq_len(of), n))

texts <- function() list(
  ascii = c("a", "b", "a", "", "zz top", "NA"),
  missing = c(NA, "NA", "", NA),
  only_missing = rep(NA_character_, 5),
  only_empty = character(7),
  utf8 = c("\u00e4", "\u4e2d\u6587", "\U1f600", "e\u0301", "\u00e4"),
  latin1 = latin1("\xe4", "\xff", "a", "\xe4"),
  bytes = bytes("\xe4", "\xff\xfe", "a"),
  mixed = c("\u00e4", latin1("\xe4"), bytes("\xc3\xa4"), "a", NA, ""),
  control = c("a\nb", "\t", "\\", "\"", "\001"),
  large = c(mb("a"), "", mb("b"), NA, mb("\u00e4")),
  distinct = as.character(1:5000),
  one_byte = few(5000, 256),
  two_bytes = few(5000, 257),
  named = c(a = "x", b = NA, a = "y"),
  matrix = matrix(letters[1:6], 2, dimnames = list(NULL, c("u", "v", "w"))),
  dated = structure(c("u", "v", "u"), class = "label", note = c("p", "q", "r"))
)

# What is done with strings beside what is done with any vector.
strings_read <- function() operations(
  nchar(x, "bytes"), nchar(x, allowNA = TRUE), toupper(x), tolower(x), substr(x, 1, 2), substring(x, 2), strsplit(x, ""), grepl("a", x),
  grep("[ab]", x, value = TRUE), sub("a", "b", x), gsub("", "-", x), regmatches(x, regexpr("a", x)), startsWith(x, "a"), endsWith(x, "a"),
  paste(x, x), paste(x, collapse = "|"), sprintf("%5s", x), sprintf(x), format(x, width = 9), formatC(x, width = 9), trimws(x), rev(x),
  unique(x), duplicated(x), match(x, rev(x)), match("a", x), x %in% c("a", NA), sort(x, method = "radix"), sort(x, method = "shell"),
  order(x, method = "radix"), order(x, decreasing = TRUE), rank(x), table(x), tabulate(factor(x)), factor(x), as.factor(x),
  levels(factor(x)), split(seq_along(x), x), split(x, x), tapply(seq_along(x), as.vector(x), sum), append(x, "z", 1), c(x, "z", NA),
  union(x, "q"), setdiff(x, "a"), merge(data.frame(k = as.vector(x)), data.frame(k = "a", v = 1)), outer(x, x, paste), make.names(x),
  make.unique(as.vector(x)), abbreviate(x), as.integer(x), as.numeric(x), as.logical(x), as.complex(x), as.Date(x, optional = TRUE),
  is.na(x), anyNA(x), x == "a", x < "b", x > rev(x), max(x, na.rm = TRUE), min(x), range(x), ifelse(is.na(x), "none", x),
  rle(as.vector(x)), which(x == "a"), nchar(enc2utf8(x)), enc2native(x), iconv(x, "UTF-8", "UTF-16LE", toRaw = TRUE), validUTF8(x),
  Encoding(x), utf8ToInt(x[1]), chartr("ab", "xy", x), casefold(x, upper = TRUE), shQuote(x), dQuote(x, FALSE), noquote(x), toString(x),
  strtoi(x, 36), rapply(list(x), toupper, how = "list"), vapply(x, nchar, 1L), Reduce(paste0, x), do.call(paste, as.list(x)), mapply(identical, x, x),
  expand.grid(x, 1:2), stack(list(a = as.vector(x))), basename(x), file.path("a", x), is.element("a", x), agrepl("a", x), rawToChar(charToRaw(x[1])),
  as.name(x[1]), get0(x[1], emptyenv()), switch(x[1], a = 1, 2), {l <- list(); l[x[1]] <- 1; l}, {e <- list(a = 1, b = 2); e[x]},
  stats::setNames(seq_along(x), x), stats::setNames(seq_along(x), x)["a"], array(x, c(2, 2)), t(x), rowsum(seq_along(x), as.vector(x)),
  identical(x, x), identical(rev(rev(x)), x), all.equal(x, rev(x)), serialize(x[], NULL), strtrim(x, 2), formatC(x, flag = "-"), rev(strsplit(x, "")),
  data.frame(x, stringsAsFactors = TRUE), type.convert(as.vector(x), as.is = TRUE), scan(text = x[1], what = "", quiet = TRUE), encodeString(x, quote = '"')
)

# Content and marks.
expect_same_text <- function(x, plain, info = NULL) {
  expect_true(same(x, plain), info)
  expect_identical(Encoding(x), Encoding(plain), info = info)
}

test_that("every kind of string comes back as it was, here and elsewhere, with its encoding", {
  for (label in names(texts())) {
    plain <- texts()[[label]]
    x <- share(plain)
    expect_true(is.shared(x), label)
    expect_same_text(x, plain, label)
    expect_same_text(elsewhere(x), plain, label)
    expect_true(is.shared(elsewhere(x)), label)
    expect_same_text(unshare(x), plain, label)
    expect_false(is.shared(unshare(x)), label)
    expect_same_text(x[seq_along(x)], unname(plain[seq_along(plain)]) |> structure(names = names(plain)), label)
    expect_true(is.shared(x), label)
    expect_identical(data_id(share(x)), data_id(x))
  }
})

test_that("lengths 0, 1, 2 and 3: minLength decides what is shared", {
  for (n in 0:3) {
    plain <- as.character(seq_len(n))
    expect_identical(is.shared(share(plain)), n >= 3)
    x <- share(plain, minLength = 0)
    expect_true(is.shared(x))
    expect_identical(x, plain)
    expect_identical(elsewhere(x), plain)
    expect_true(is.shared(elsewhere(x)))
    expect_identical(unshare(x), plain)
    expect_identical(rev(x), rev(plain))
    expect_identical(x[NA], plain[NA])
    expect_identical(sort(x), sort(plain))
    y <- x
    y[n + 1L] <- "new"
    expect_identical(y, c(plain, "new"))
    expect_identical(x, plain)
  }
})

test_that("dictionaries of every width, and offset tables, at their borders", {
  for (of in c(1, 255, 256, 257, 65535, 65536, 65537)) {
    plain <- few(max(2 * of, 1000), of)
    x <- elsewhere(share(plain))
    expect_identical(x[length(x)], plain[length(plain)])
    expect_identical(x, plain)
    expect_identical(sharedObjectProperties(x, uniqueChar), as.numeric(of))
    with_na <- replace(plain, 3, NA)
    expect_identical(elsewhere(share(with_na)), with_na)
  }
  # A dictionary was chosen by the sample, and the rest is all different.
  plain <- c(rep("same", 3000), as.character(1:100000))
  expect_identical(elsewhere(share(plain)), plain)
  plain <- c(as.character(1:100000), rep("same", 200000))
  expect_identical(elsewhere(share(plain)), plain)
})

test_that("a source that is no plain vector is shared as well", {
  sources <- list(as.character(1:1e5), as.character(c(1.5, 2, NA, 1:2000)), share(as.character(1:5000)), share(letters)[2:20])
  for (source in sources) {
    plain <- unshare(source)[seq_along(source)]
    x <- share(source)
    expect_true(is.shared(x))
    expect_identical(x, plain)
    expect_identical(elsewhere(x), plain)
  }
})

test_that("names, levels and dimnames of large vectors are kept, and levels are plain", {
  n <- 5000
  named <- stats::setNames(seq_len(n), paste0("n\u00e4me", seq_len(n)))
  expect_identical(elsewhere(share(named)), named)
  expect_identical(share(named)[["n\u00e4me77"]], 77L)
  f <- factor(few(n, 300))
  x <- elsewhere(share(f))
  expect_identical(x, f)
  expect_identical(table(x), table(f, dnn = "x"))
  expect_false(is.shared(levels(share(f))))
  d <- data.frame(k = few(n, 10), v = seq_len(n), row.names = as.character(n + seq_len(n)))
  x <- elsewhere(share(d))
  expect_identical(x, d)
  expect_identical(x["5003", "v"], 3L)
  expect_identical(aggregate(v ~ k, x, sum), aggregate(v ~ k, d, sum))
})

test_that("subscripts of every kind select what they select of a plain vector", {
  values <- texts()[c("ascii", "missing", "utf8", "mixed", "distinct", "one_byte", "named", "matrix", "dated")]
  expect_no_difference(available(subscripts()), values)
  expect_no_difference(available(subscripts()), values, share = function(x) share(x, sharedSubset = TRUE))
})

test_that("every form of assignment changes the one and not the other", {
  values <- texts()[c("ascii", "missing", "mixed", "distinct", "named", "matrix", "dated")]
  for (share_so in list(share, function(x) share(x, sharedCopy = TRUE), function(x) suppressWarnings(share(x, copyOnWrite = FALSE)))) {
    expect_no_difference(available(assignments()), values, share = share_so)
  }
})

test_that("what base R reads of strings is the same", {
  values <- texts()[c("ascii", "missing", "utf8", "latin1", "mixed", "named", "matrix", "one_byte")]
  # data.table damages memory on some of these, plain ones.
  expect_no_difference(readings()[!grepl("data.table::", names(readings()), fixed = TRUE)], values)
  expect_no_difference(strings_read(), values)
})

test_that("an assignment is private, and the object is no longer shared, also elsewhere", {
  for (plain in texts()[c("distinct", "one_byte", "mixed")]) {
    x <- share(plain)
    far <- elsewhere(x)
    y <- x
    y[2] <- "changed"
    expect_identical(y, replace(plain, 2, "changed"))
    expect_false(is.shared(y))
    expect_true(is.shared(x))
    expect_same_text(x, plain)
    expect_same_text(far, plain)
    expect_identical(elsewhere(y), y)
    far[[1]] <- NA
    expect_same_text(x, plain)
    expect_same_text(far, replace(plain, 1, NA))
  }
})

test_that("copyOnWrite = FALSE warns, each time it is asked for, and stays TRUE", {
  expect_warning(x <- share(letters, copyOnWrite = FALSE), class = "cowshed_warning_strings")
  expect_true(getCopyOnWrite(x))
  expect_warning(setCopyOnWrite(x, FALSE), class = "cowshed_warning_strings")
  expect_warning(sharedObjectProperties(x, copyOnWrite = FALSE), class = "cowshed_warning_strings")
  expect_warning(setSharedObjectProperty(x, "copyOnWrite", FALSE), class = "cowshed_warning_strings")
  expect_warning(share(x, copyOnWrite = FALSE), class = "cowshed_warning_strings")
  expect_warning(share(list(1:3, letters), copyOnWrite = FALSE), class = "cowshed_warning_strings")
  expect_true(getCopyOnWrite(x))
  y <- x
  y[1] <- "Z"
  expect_identical(x, letters)
  # What is not asked for is no reason to warn.
  expect_no_warning(share(1:10, copyOnWrite = FALSE))
  expect_no_warning(share(factor(letters), copyOnWrite = FALSE))
  expect_no_warning(share("a", copyOnWrite = FALSE))
  local_options(cowshed.copyOnWrite = FALSE)
  w <- expect_warning(x <- share(letters), class = "cowshed_warning_strings")
  expect_s3_class(w, "cowshed_warning")
  expect_snapshot(cat(conditionMessage(w)))
})

test_that("sharedCopy: a changed copy is shared, and travels by reference", {
  for (plain in texts()[c("ascii", "distinct", "one_byte", "mixed")]) {
    x <- share(plain, sharedCopy = TRUE)
    y <- x
    y[2] <- "changed"
    expect_true(is.shared(y))
    expect_identical(y, replace(plain, 2, "changed"))
    expect_same_text(x, plain)
    far <- elsewhere(y)
    expect_true(is.shared(far))
    expect_identical(far, y)
    expect_false(identical(data_id(far), data_id(x)))
    # Sent, so sealed: the next change is another copy.
    y[3] <- "again"
    expect_true(is.shared(y))
    expect_identical(far, replace(plain, 2, "changed"))
    expect_identical(elsewhere(y), replace(plain, 2:3, c("changed", "again")))
  }
})

test_that("sharedCopy holds for what is shorter than minLength", {
  x <- share(c("a", "b"), minLength = 0, sharedCopy = TRUE)
  y <- x
  y[1] <- "z"
  expect_true(is.shared(y))
  expect_identical(elsewhere(y), c("z", "b"))
  expect_true(is.shared(elsewhere(y)))
})

test_that("sharedSubset: a range is a window, anything else a new segment; too little of it is a copy", {
  plain <- as.character(1:5000)
  x <- share(plain, sharedSubset = TRUE)
  window <- x[1001:3000]
  expect_true(is.shared(window))
  expect_identical(data_id(window), data_id(x))
  expect_identical(window, plain[1001:3000])
  expect_identical(sharedObjectProperties(window, uniqueChar), 2000)
  far <- elsewhere(window)
  expect_identical(far, plain[1001:3000])
  expect_identical(far[500:501], plain[1500:1501])
  picked <- x[c(5, 1, 9, NA)]
  expect_true(is.shared(picked))
  expect_false(identical(data_id(picked), data_id(x)))
  expect_identical(elsewhere(picked), c("5", "1", "9", NA))
  expect_false(identical(data_id(x[1:10]), data_id(x)))
  expect_false(is.shared(x[1:2]))
  beyond <- x[4990:5010]
  expect_identical(beyond, plain[4990:5010])
  inner <- window[101:1900]
  expect_identical(data_id(inner), data_id(x))
  expect_identical(inner, plain[1101:2900])
  y <- window
  y[1] <- "changed"
  expect_identical(window, plain[1001:3000])
  expect_identical(y, c("changed", plain[1002:3000]))
  of_few <- share(few(5000, 100), sharedSubset = TRUE)[11:1010]
  expect_identical(elsewhere(of_few), few(5000, 100)[11:1010])
  expect_identical(sharedObjectProperties(of_few[1:10 + 500], uniqueChar), 10)
})

test_that("properties are SharedObject's", {
  properties <- function(x) sharedObjectProperties(share(x, minLength = 0))
  expect_identical(properties(character()),
    list(length = 0, unitSize = 1, totalSize = 0, dataType = 16L, uniqueChar = 0, copyOnWrite = TRUE))
  expect_identical(properties(character(1000))[c("unitSize", "totalSize", "uniqueChar")], list(unitSize = 1, totalSize = 1000, uniqueChar = 1))
  for (n in c(1, 256, 257, 65536, 65537)) {
    unit <- if (n <= 256) 1 else if (n <= 65536) 2 else 4
    expect_identical(properties(as.character(seq_len(n)))[c("length", "unitSize", "totalSize", "uniqueChar")],
      list(length = n, unitSize = unit, totalSize = n * unit, uniqueChar = n))
  }
  # An offset table, in which strings repeat.
  expect_identical(properties(c(as.character(1:90), 1:10))$uniqueChar, 90)
  expect_identical(properties(c("a", NA, "NA", "a"))$uniqueChar, 3)
  x <- share(letters, sharedCopy = TRUE)
  expect_identical(sharedObjectProperties(x, sharedCopy), TRUE)
  expect_identical(sharedObjectProperties(x, dataId), data_id(x))
  x[1] <- "b"
  expect_identical(sharedObjectProperties(x)$uniqueChar, 25)
  expect_identical(sharedObjectProperties(x, dataId), NA_character_)
})

test_that("strings that are not ASCII and not marked mean the same in a process of another locale", {
  skip_without_processes()
  locales <- system2("locale", "-a", stdout = TRUE)
  here <- c("\u00e4", "\u4e2d", "a", latin1("\xe4"))
  with_new_store({
    dir <- scratch()
    x <- share(enc2native(here))
    put_in(dir, x, "x")
    for (there in c("C", intersect(c("C.utf8", "C.UTF-8", "en_US.utf8", "de_DE.iso88591", "en_US.iso88591"), locales))) {
      got <- run_r({
        x <- take("x")
        answer(list(x = lapply(enc2utf8(x), charToRaw), info = l10n_info()[2:3], same = identical(x, here), unshared = x[]))
      }, here = here, dir = dir, env = c(paste0("LC_ALL=", there), "LANG="))
      expect_ended_well(got, there)
      expect_identical(got$answer$x, lapply(enc2utf8(here), charToRaw), info = there)
      expect_true(got$answer$same, there)
    }
    # And the other way.
    for (there in c("C", intersect(c("de_DE.iso88591", "en_US.iso88591"), locales))) {
      dir <- scratch()
      got <- run_r({
        library(cowshed)
        native <- rawToChar(as.raw(c(0x61, 0xe4)))
        x <- share(c("a", native, "b", native))
        put(x, "x")
        answer(list(shared = is.shared(x), kept = identical(x, c("a", native, "b", native)), bytes = lapply(x, charToRaw)))
      }, dir = dir, env = c(paste0("LC_ALL=", there), "LANG="))
      expect_ended_well(got, there)
      expect_true(got$answer$shared)
      expect_true(got$answer$kept)
      expect_identical(got$answer$bytes[[2]], as.raw(c(0x61, 0xe4)))
      x <- unserialize(bytes_in(dir, "x"))
      expect_identical(x[c(1, 3)], c("a", "b"))
      if (there != "C") expect_identical(x[2], "a\u00e4")
    }
  })
})

test_that("they arrive in another process as references, and changes there stay there", {
  skip_without_processes()
  values <- texts()
  values$large <- c(mb("a"), NA, mb("\u00e4"))
  with_new_store({
    shared <- lapply(values, share)
    dir <- put_in(scratch(), shared, "values")
    expect_lt(length(bytes_in(dir, "values")), 8000)
    got <- run_r({
      values <- take("values")
      changed <- lapply(values, function(x) { x[1] <- "changed there"; x })
      answer(list(
        shared = vapply(values, cowshed::is.shared, NA), plain = lapply(values, cowshed::unshare), sum = sum(nchar(values$distinct)),
        changed = vapply(changed, function(x) x[[1]], "")
      ))
    }, dir = dir)
    expect_ended_well(got)
    expect_true(all(got$answer$shared))
    for (label in names(values)) expect_same_text(got$answer$plain[[label]], values[[label]], label)
    expect_true(all(got$answer$changed == "changed there"))
    for (label in names(values)) expect_same_text(shared[[label]], values[[label]], label)
  })
})

test_that("C code reads and writes strings as of a plain vector", {
  api <- c_functions()
  for (label in c("ascii", "mixed", "distinct", "one_byte", "named")) {
    plain <- texts()[[label]]
    for (how in 0:3) {
      x <- share(plain)
      expect_same_text(api$t_strings(x, how), `attributes<-`(plain, NULL), paste(label, how))
      expect_true(is.shared(x), paste(label, how))
      expect_same_text(x, plain)
    }
    # R forbids it, C code does it: writing in place.
    x <- share(plain)
    far <- elsewhere(x)
    api$t_set_string(x, 2L, "set")
    expect_identical(unname(x[2]), "set")
    expect_false(is.shared(x))
    expect_same_text(far, plain)
    expect_identical(elsewhere(x), replace(plain, 2, "set"))
    # The same string again is no change.
    x <- share(plain)
    api$t_set_string(x, 3L, plain[[3]])
    expect_true(is.shared(x))
    y <- api$t_duplicate(share(plain))
    api$t_set_string(y, 1L, "dup")
    expect_identical(unname(y[1]), "dup")
  }
})

test_that("a full scan makes the strings once, and few looks make few", {
  x <- elsewhere(share(as.character(1:1e5)))
  expect_identical(x[c(1, 99999)], c("1", "99999"))
  expect_identical(sum(nchar(x)), sum(nchar(1:1e5)))
  expect_identical(x, as.character(1:1e5))
  expect_true(is.shared(x))
  rm(x)
  gc()
  x <- elsewhere(share(few(1e5, 100)))
  for (i in 1:3) expect_identical(unique(x), few(100, 100))
})

# A segment of strings nobody has mapped, and where the parts of its payload begin (docs/format.md).
orphan_strings <- function(dir, strings) {
  made <- run_r({
    library(cowshed)
    x <- share(strings)
    put(x, "x")
    answer(file.path(cowshed:::store_path(), "segments", cowshed:::data_id(x)))
  }, strings = strings, dir = dir)
  expect_ended_well(made)
  data <- readBin(made$answer, "raw", file.size(made$answer))
  number <- function(at) sum(as.integer(data[at + 1:4]) * 256^(0:3))
  payload <- number(number(40) + 48 * 0 + 16)
  padded <- function(n) ceiling(n / 8) * 8
  entries <- number(payload)
  ends <- payload + 64
  marks <- ends + padded(entries * as.integer(data[payload + 18]))
  codes <- marks + padded(entries)
  bytes <- codes + padded(length(strings) * as.integer(data[payload + 17]))
  list(file = made$answer, data = data, reference = bytes_in(dir, "x"), places = c(payload = payload, ends = ends, marks = marks, codes = codes, bytes = bytes, end = bytes + number(payload + 8)))
}

# What reading gives for each damage, tried in one process that must survive: every element is a string, or the error is ours.
read_damaged <- function(segment, damages, n, dir) {
  got <- run_r({
    loadNamespace("cowshed")
    result <- vapply(damages, function(d) {
      bytes <- data
      bytes[d$at + seq_along(d$put)] <- d$put
      unlink(file)
      writeBin(bytes, file)
      x <- unserialize(reference)
      ways <- list(
        function() for (i in seq_along(x)) x[[i]], function() x[], function() paste(x), function() sort(x), function() unique(x),
        function() { x[1] <- "a"; x }, function() cowshed::sharedObjectProperties(x)
      )
      outcomes <- vapply(ways, function(f) tryCatch({ f(); "read" }, error = function(e) class(e)[1]), "")
      stopifnot(length(x) == n)
      rm(x, ways)
      # An error within one of R's hooks must leave R able to collect.
      gc(full = FALSE)
      paste(sort(unique(outcomes)), collapse = " ")
    }, "")
    unlink(file)
    writeBin(data, file)
    answer(list(result = unname(result), after = cowshed::unshare(unserialize(reference))))
  }, file = segment$file, reference = segment$reference, data = segment$data, damages = damages, n = n, dir = dir, timeout = 120)
  expect_ended_well(got)
  got$answer
}

test_that("damaged strings are a classed error or strings, never a crash", {
  skip_without_processes()
  with_new_store({
    for (strings in list(c("one", NA, "\u00e4", "", "one"), rep(c("one", NA, "\u00e4", "two"), 50))) {
      dir <- scratch()
      segment <- orphan_strings(dir, strings)
      at <- segment$places
      expect_identical(unname(at["end"]), at[["bytes"]] + sum(nchar(unique(strings[!is.na(strings)]), "bytes")) + if (length(strings) == 5) 3 else 0)
      places <- c(at[["payload"]] + 0:31, seq(at[["ends"]], at[["end"]] - 1))
      damages <- unlist(lapply(places, function(place) lapply(c(1, 2, 128, 255), function(mask) {
        list(at = place, put = xor(segment$data[place + 1], as.raw(mask)))
      })), FALSE)
      wide <- function(n) as.raw(rep(255, n))
      damages <- c(damages, list(
        list(at = at[["payload"]], put = wide(8)), list(at = at[["payload"]] + 8, put = wide(8)), list(at = at[["ends"]], put = wide(8)),
        list(at = at[["ends"]], put = raw(8)), list(at = at[["marks"]], put = wide(4)), list(at = at[["bytes"]], put = raw(3))
      ))
      got <- read_damaged(segment, damages, length(strings), dir)
      expect_true(all(unlist(strsplit(got$result, " ")) %in% c("read", "cowshed_error_corrupt", "simpleError")))
      # Bytes that are no UTF-8 are for R to refuse; nothing else of an error is R's.
      of_bytes <- vapply(damages, function(d) d$at >= at[["marks"]], NA)
      expect_false(any(grepl("simpleError", got$result[!of_bytes])))
      expect_gt(sum(grepl("cowshed_error_corrupt", got$result)), 20)
      expect_identical(got$after, strings)
      unlink(segment$file)
    }
  })
})

exercise_strings <- function(store) {
  old <- options(cowshed.store = store)
  on.exit(options(old))
  plain <- c("u", NA, "\u00e4", "longer", "", "u")
  x <- share(plain)
  y <- x
  y[2] <- "two"
  few <- share(rep(c("p", "q", "\u00e4"), 40), sharedSubset = TRUE)
  many <- unserialize(serialize(share(as.character(1:300)), NULL))
  copy <- share(plain, sharedCopy = TRUE)
  copy[3] <- paste0("thr", "ee")
  far <- unserialize(serialize(copy, NULL))
  far[[1]] <- NA
  warned <- tryCatch(share(plain, copyOnWrite = FALSE), warning = function(w) class(w)[1])
  named <- share(structure(1:40, names = paste0("n", 1:40), note = as.character(1:9)))
  list(
    x, y, few[11:90], few[c(3, NA, 500)], many[c(299, 1)], unique(many), copy, far, warned, named["n7"], sort(few)[50], unshare(x), toupper(few[1:3]),
    paste(x, collapse = ""), match("q", few), sharedObjectProperties(few)$uniqueChar, sharedObjectProperties(many)$unitSize, rev(many)[1:2],
    factor(few), split(seq_along(x), x), nchar(x), attr(named, "note")[2], unserialize(serialize(far, NULL)), as.list(x), c(few, many)[121], identical(x, plain)
  )
}

test_that("nothing of strings is lost when R collects at every allocation", {
  script <- tempfile(fileext = ".R")
  dump("exercise_strings", script, envir = environment())
  writeLines(c(
    paste0(".libPaths(", paste(deparse(.libPaths()), collapse = ""), ")"), "library(cowshed)", readLines(script),
    "store <- commandArgs(TRUE)", "expected <- exercise_strings(store)", "gctorture(TRUE)", "result <- exercise_strings(store)", "gctorture(FALSE)",
    "stopifnot(identical(result, expected))", "for (step in c(7, 23)) {", "  gctorture2(step, inhibit_release = step == 7)",
    "  result <- exercise_strings(store)", "  gctorture2(0)", "  stopifnot(identical(result, expected))", "}", "cat('all is well')"
  ), script)
  output <- suppressWarnings(system2(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", script, local_store()), stdout = TRUE, stderr = TRUE, timeout = 120
  ))
  expect_identical(paste(output, collapse = "\n"), "all is well")
})
