# Objects found by name: what comes back, who owns a name, and what is left when processes end in whatever way.

skip_on_os("windows")

released_gone <- function() {
  gc()
  pruneSharedObjects()
  nrow(listSharedObjects()) == 0L && length(cards()) == 0L
}

all_sorts <- function() {
  e <- list2env(list(v = 1:100, w = "text"), envir = new.env(parent = emptyenv()))
  values <- list(
    double = as.numeric(1:1000), matrix = matrix(as.numeric(1:6), 2, dimnames = list(NULL, c("a", "b", "c"))), array = array(1:24, 2:4),
    names = c(a = 1, b = 2), scalar = 3, flag = NA, none = numeric(), null = NULL, strings = c("grüße", NA, "x"), one = "x",
    factor = factor(c("u", "v", "u")), frame = data.frame(a = 1:5, b = letters[1:5]), list = list(1:10, list(a = "b", c = NULL)), empty = list(),
    closure = as.function(alist(x = , x + 1), globalenv()), primitive = sum, symbol = quote(a), call = quote(a + b), formula = y ~ x, date = as.Date("2024-02-29") + 0:5,
    posix = as.POSIXlt("2024-02-29", tz = "UTC"), raw = as.raw(0:255), complex = complex(real = 1:4, imaginary = 2), environment = e,
    within = list(e, function() v), nested = lapply(1:200, function(i) as.numeric(i + 1:5)), pairs = pairlist(a = 1:5, b = "c"),
    sequence = 1:1e6
  )
  environment(values$within[[2]]) <- e
  environment(values$formula) <- globalenv()
  if (requireNamespace("Matrix", quietly = TRUE)) values$sparse <- Matrix::sparseMatrix(i = 1:5, j = 5:1, x = as.numeric(1:5))
  values
}

test_that("every sort of object is retrieved as it was registered, here and in another process", {
  skip_without_processes()
  with_new_store({
    values <- all_sorts()
    registerVariables("all", values)
    views <- retrieveViews("all", names(values))
    same <- function(a, b) isTRUE(all.equal(a, b, check.environment = FALSE)) && identical(attributes(a), attributes(b)) && typeof(a) == typeof(b)
    for (name in setdiff(names(values), c("environment", "within"))) {
      expect_true(if (is.function(values[[name]])) same(views[[name]], values[[name]]) else identical(views[[name]], values[[name]]), info = name)
    }
    expect_identical(names(views), names(values))
    got <- run_r({
      library(cowshed)
      views <- retrieveViews("all", names)
      # unshare() works on environments in place.
      shared <- vapply(views, is.shared, NA)
      answer(list(views = lapply(views, unshare), shared = shared, bound = views$within[[2]]()))
    }, names = names(values))
    expect_ended_well(got)
    for (name in setdiff(names(values), c("environment", "within"))) {
      expect_true(same(got$answer$views[[name]], values[[name]]), info = name)
    }
    expect_identical(as.list(got$answer$views$environment, sorted = TRUE), as.list(values$environment, sorted = TRUE))
    expect_identical(got$answer$bound, 1:100)
    # The parts of the last one are shorter than 3.
    plain <- c("none", "null", "empty", "closure", "primitive", "symbol", "call", "formula", "posix")
        expect_setequal(names(which(!got$answer$shared)), plain)
    # What was registered is as it was.
    expect_false(is.shared(values))
    expect_false(is.shared(values$environment))
    rm(views, got)
    memshare_gc("all")
    expect_true(released_gone())
  })
})

test_that("a long vector is registered and retrieved without a copy", {
  skip_if_not(identical(Sys.getenv("COWSHED_LONG_TESTS"), "1"), "COWSHED_LONG_TESTS is not 1: it needs 3 GB")
  local_store()
  x <- SharedObject("raw", 2^31 + 10)
  registerVariables("long", list(x = x))
  expect_identical(retrieveMetadata("long", "x"), list(type = "vector", n = 2^31 + 10))
  expect_identical(length(retrieveViews("long", "x")$x), 2^31 + 10)
  memshare_gc("long")
})

test_that("metadata are numbers, of every kind, and nothing is opened for them", {
  local_store()
  registerVariables("meta", all_sorts())
  expect_identical(retrieveMetadata("meta", "matrix"), list(type = "matrix", nrow = 2, ncol = 3))
  expect_identical(retrieveMetadata("meta", "double"), list(type = "vector", n = 1000))
  expect_identical(retrieveMetadata("meta", c("list", "frame")), list(list = list(type = "list", n = 2), frame = list(type = "list", n = 2)))
  expect_identical(retrieveMetadata("meta", character()), stats::setNames(list(), character()))
  types <- vapply(retrieveMetadata("meta", names(all_sorts())), function(about) about$type, "")
  expect_identical(
    types[c("array", "strings", "null", "closure", "environment", "formula", "symbol")],
    c(array = "vector", strings = "vector", null = "NULL", closure = "closure", environment = "environment", formula = "language", symbol = "symbol")
  )
  if ("sparse" %in% names(types)) expect_identical(retrieveMetadata("meta", "sparse"), list(type = "matrix", nrow = 5, ncol = 5))
  expect_identical(viewList(), list())
  # The segments are not needed.
  for (id in listSharedObjects()$Id) freeSharedMemory(id)
  expect_identical(retrieveMetadata("meta", "matrix")$nrow, 2)
  expect_error(retrieveMetadata("meta", "nothing"), "The requested variable was not registered!", class = "cowshed_error_gone")
  # A class whose methods fail.
  registerS3method("dim", "cowshed_bad", function(x) stop("no"))
  registerS3method("length", "cowshed_bad", function(x) stop("no"))
  registerVariables("meta", list(bad = structure(1:5, class = "cowshed_bad")))
  expect_identical(retrieveMetadata("meta", "bad"), list(type = "vector", n = NA_real_))
  memshare_gc("meta")
})

test_that("lists of what is registered and retrieved are in order, and empty ones are list()", {
  local_store()
  expect_identical(pageList(), list())
  expect_identical(viewList(), list())
  expect_identical(retrieveViews("ns", character()), list())
  expect_invisible(registerVariables("ns", list(b = 1, a = 2)))
  registerVariables("a", list(z = 3))
  expect_identical(pageList(), list("ns.b", "ns.a", "a.z"))
  retrieveViews("a", "z")
  retrieveViews("ns", "b")
  expect_identical(viewList(), list("a.z", "ns.b"))
  expect_invisible(releaseViews("a", "z"))
  expect_identical(viewList(), list("ns.b"))
  expect_invisible(releaseVariables("ns", c("b", "a", "b")))
  expect_identical(pageList(), list("a.z"))
  expect_invisible(memshare_gc("ns"))
  expect_identical(viewList(), list())
  expect_identical(pageList(), list("a.z"))
  expect_null(releaseVariables("a", character()))
  expect_null(memshare_gc("a"))
  expect_identical(pageList(), list())
  expect_true(released_gone())
})

test_that("names of any text are kept apart", {
  local_store()
  texts <- c("a.b", "a", "b", "..", ".", "../../etc/passwd", "grüße", "\u65e5\u672c", "with space", "a/b", ".new", strrep("long", 1250), "\\", "'")
  values <- stats::setNames(as.list(seq_along(texts)), texts)
  for (i in seq_along(texts)) registerVariables(texts[i], lapply(values, function(v) v + 100 * i))
  for (i in seq_along(texts)) expect_identical(retrieveViews(texts[i], texts), lapply(values, function(v) v + 100 * i))
  registerVariables("ns", list(a.b = 1))
  registerVariables("ns.a", list(b = 2))
  expect_identical(c(retrieveViews("ns", "a.b")[[1]], retrieveViews("ns.a", "b")[[1]]), c(1, 2))
  latin <- iconv("gr\u00fc\u00dfe", "UTF-8", "latin1")
  expect_identical(retrieveViews(latin, latin)[[1]], retrieveViews("grüße", "grüße")[[1]])
  for (ns in c(texts, "ns", "ns.a")) memshare_gc(ns)
  expect_identical(pageList(), list())
  expect_true(released_gone())
})

test_that("what is taken is an error that names it, and of several variables none is registered", {
  local_store()
  registerVariables("ns", list(x = 1:10))
  for (again in list(list(x = 1), list(y = 1:100, x = 2, z = 3))) {
    error <- expect_error(registerVariables("ns", again), "Variable was already registered!", class = "cowshed_error_exists")
    expect_s3_class(error, "cowshed_error")
    expect_match(conditionMessage(error), "'x' in the namespace 'ns'")
    expect_match(conditionMessage(error), "releaseVariables()", fixed = TRUE)
  }
  expect_identical(pageList(), list("ns.x"))
  expect_identical(retrieveViews("ns", "x")$x, 1:10)
  # One that fails in the midst.
  local_options(warn = 2)
  expect_error(registerVariables("ns", list(p = 1:100, q = letters, r = 2), copyOnWrite = FALSE), "cannot be written through")
  expect_identical(pageList(), list("ns.x"))
  expect_length(cards(), 1L)
  memshare_gc("ns")
  expect_true(released_gone())
})

test_that("what is not there is an error that names it, and nothing is retrieved or released", {
  local_store()
  registerVariables("ns", list(x = 1:10))
  error <- expect_error(retrieveViews("ns", c("x", "y")), "The requested variable was not registered!", class = "cowshed_error_gone")
  expect_match(conditionMessage(error), "'y' in the namespace 'ns'")
  expect_identical(viewList(), list())
  retrieveViews("ns", "x")
  error <- expect_error(releaseViews("ns", c("x", "y")), "not previously allocated", class = "cowshed_error_gone")
  expect_match(conditionMessage(error), "'y' in the namespace 'ns'")
  expect_identical(viewList(), list("ns.x"))
  error <- expect_error(releaseVariables("ns", c("x", "y")), "not previously allocated", class = "cowshed_error_gone")
  expect_match(conditionMessage(error), "'y' in the namespace 'ns'")
  expect_identical(pageList(), list("ns.x"))
  releaseViews("ns", "x")
  expect_error(releaseViews("ns", "x"), "not previously allocated", class = "cowshed_error_gone")
  releaseVariables("ns", "x")
  expect_error(releaseVariables("ns", "x"), "not previously allocated", class = "cowshed_error_gone")
})

test_that("bad arguments are errors that name them", {
  local_store()
  refused <- function(code, text) expect_error(code, text, class = "cowshed_error_argument")
  verbs <- list(
    function(ns) registerVariables(ns, list(x = 1)), function(ns) retrieveViews(ns, "x"), function(ns) releaseViews(ns, "x"),
    function(ns) releaseVariables(ns, "x"), function(ns) retrieveMetadata(ns, "x"), function(ns) memshare_gc(ns)
  )
  for (verb in verbs) {
    for (ns in list(c("a", "b"), character(), 1, NULL, NA, NA_character_, list("a"))) refused(verb(ns), "`namespace` has to be a single string")
    refused(verb(""), "`namespace` is empty")
    refused(verb(`Encoding<-`("\xff\xfe", "UTF-8")), "`namespace` must be text")
  }
  for (bad in list(1:3, "x", NULL, quote(x), function() 1)) refused(registerVariables("ns", bad), "`variableList` must be a list")
  refused(registerVariables("ns", list()), "`variableList` is empty")
  refused(registerVariables("ns", list(a = 1, b = 2, a = 3)), "several objects of one name \\('a'\\)")
  refused(registerVariables("ns", list(a = 1), copyOnWrite = NA), "`copyOnWrite` must be TRUE or FALSE")
  for (bad in list(1, NULL, list("x"), NA_character_)) {
    refused(retrieveViews("ns", bad), "`variableNames` must be a character vector")
    refused(releaseViews("ns", bad), "`variableNames` must be a character vector")
    refused(releaseVariables("ns", bad), "`variableNames` must be a character vector")
    refused(retrieveMetadata("ns", bad), "`variableName` must be a character vector")
  }
  refused(memshare_gc("ns", 2), "`cluster` must be a cluster")
  expect_length(cards(), 0L)
})

test_that("missing names become L1 to LN, with a warning, and take no name that was given", {
  local_store()
  expect_warning(registerVariables("ns", list(1, 2, 3)), "variableList is not named, setting names to L1 to LN.", fixed = TRUE, class = "cowshed_warning_names")
  expect_identical(pageList(), list("ns.L1", "ns.L2", "ns.L3"))
  expect_warning(registerVariables("some", list(L1 = 1, 2, b = 3, 4)), "setting their names to L2, L3.", fixed = TRUE, class = "cowshed_warning_names")
  expect_identical(retrieveViews("some", c("L1", "L2", "b", "L3")), list(L1 = 1, L2 = 2, b = 3, L3 = 4))
  # A data frame is a list of its columns.
  registerVariables("columns", data.frame(u = 1:5, v = letters[1:5]))
  expect_identical(retrieveViews("columns", "v")$v, letters[1:5])
  lapply(c("ns", "some", "columns"), memshare_gc)
})

test_that("a view is private unless it was registered to be written, a scalar too", {
  local_store()
  registerVariables("own", list(x = as.numeric(1:10), s = 1))
  view <- retrieveViews("own", c("x", "s"))
  view$x[1] <- 100
  view$s[1] <- 100
  expect_identical(retrieveViews("own", c("x", "s")), list(x = as.numeric(1:10), s = 1))
  registerVariables("live", list(x = as.numeric(1:10), s = 1, m = matrix(0, 2, 2), l = list(a = as.numeric(1:5))), copyOnWrite = FALSE)
  view <- retrieveViews("live", c("x", "s", "m", "l"))
  view$x[1] <- 100
  view$s[1] <- 200
  view$m[2, 2] <- 300
  releaseViews("live", c("x", "s", "m", "l"))
  far <- retrieveViews("live", c("x", "s", "m", "l"))
  expect_identical(c(far$x[1], far$s, far$m[2, 2]), c(100, 200, 300))
  expect_false(getCopyOnWrite(far$l$a))
  expect_warning(registerVariables("live", list(t = letters), copyOnWrite = FALSE), class = "cowshed_warning_strings")
  lapply(c("own", "live"), memshare_gc)
})

test_that("retrieving twice gives one object, and after a release and a new registration the new one", {
  local_store()
  registerVariables("ns", list(x = as.numeric(1:1000)))
  first <- retrieveViews("ns", "x")$x
  expect_identical(cowshed:::data_id(retrieveViews("ns", "x")$x), cowshed:::data_id(first))
  releaseVariables("ns", "x")
  expect_error(retrieveViews("ns", "x"), class = "cowshed_error_gone")
  expect_identical(viewList(), list("ns.x"))
  registerVariables("ns", list(x = as.numeric(1001:2000)))
  expect_identical(retrieveViews("ns", "x")$x, as.numeric(1001:2000))
  expect_identical(first, as.numeric(1:1000))
  memshare_gc("ns")
  expect_identical(sum(first), 500500)
  rm(first)
  expect_true(released_gone())
})

test_that("registering what is shared already takes no memory", {
  local_store()
  x <- share(as.numeric(1:1e5))
  before <- listSharedObjects()
  registerVariables("ns", list(x = x, l = list(a = 1, x = x)))
  expect_identical(sum(listSharedObjects()$size >= 8e5), 1L)
  expect_identical(cowshed:::data_id(retrieveViews("ns", "x")$x), cowshed:::data_id(x))
  # Whatever becomes of the object.
  setCopyOnWrite(x, FALSE)
  x[1] <- -1
  rm(x)
  gc()
  expect_identical(retrieveViews("ns", "x")$x[1:2], c(1, 2))
  expect_identical(retrieveViews("ns", "l")$l$x[1:2], c(1, 2))
  memshare_gc("ns")
  # One that nobody could find.
  y <- share(as.numeric(1:1e5))
  freeSharedMemory(listSharedObjects()$Id[1])
  expect_error(registerVariables("ns", list(y = y)), "was freed", class = "cowshed_error_gone")
  expect_identical(pageList(), list())
})

test_that("parts of a list that were shared before, small ones too, are held and found elsewhere", {
  skip_without_processes()
  with_new_store({
    parts <- list(small = share(1:10), large = share(as.numeric(1:1e5)), live = share(c(1, 2, 3), copyOnWrite = FALSE))
    registerVariables("ns", list(l = list(new = as.numeric(1:100), parts = parts), e = list2env(parts, envir = new.env())))
    rm(parts)
    gc()
    pruneSharedObjects()
    got <- run_r({
      library(cowshed)
      view <- retrieveViews("ns", c("l", "e"))
      shared <- c(vapply(view$l$parts, is.shared, NA), vapply(as.list(view$e), is.shared, NA))
      # Views are private, of what was to be written too.
      view$l$parts$live[1] <- 10
      answer(list(shared = shared, values = unshare(view$l)))
    })
    expect_ended_well(got)
    expect_true(all(got$answer$shared))
    parts <- list(small = 1:10, large = as.numeric(1:1e5), live = c(10, 2, 3))
    expect_identical(got$answer$values, list(new = as.numeric(1:100), parts = parts))
    expect_identical(retrieveViews("ns", "l")$l$parts$live, c(1, 2, 3))
    memshare_gc("ns")
    expect_clean_store(ledgers = 1L)
  })
})

test_that("an environment is registered as it is, and later changes of it are not seen", {
  local_store()
  e <- list2env(list(a = as.numeric(1:1000), b = list(1:10)), envir = new.env())
  e$self <- e
  registerVariables("ns", list(e = e, f = local({ big <- as.numeric(1:1000); function() sum(big) })))
  expect_false(is.shared(e))
  e$a <- NULL
  rm(list = "b", envir = e)
  gc()
  view <- retrieveViews("ns", c("e", "f"))
  expect_identical(view$e$a, as.numeric(1:1000))
  expect_identical(view$e$self, view$e)
  expect_true(is.shared(view$e$a) && is.shared(view$f))
  expect_identical(view$f(), 500500)
  memshare_gc("ns")
})

test_that("other options of share() do not change what is registered", {
  local_store()
  local_options(cowshed.mustWork = TRUE, cowshed.minLength = 1e6, cowshed.copyOnWrite = FALSE, cowshed.serialize = "value", cowshed.grace = 100)
  registerVariables("ns", list(f = sum, s = 1, x = 1:100))
  view <- retrieveViews("ns", c("f", "s", "x"))
  expect_true(is.shared(view$s) && is.shared(view$x))
  expect_true(getCopyOnWrite(view$x))
  expect_identical(getOption("cowshed.grace"), 100)
  rm(view)
  memshare_gc("ns")
  expect_true(released_gone())
})

test_that("damaged cards are errors that name the variable, and can be released", {
  local_store()
  damages <- list(
    cut = function(b) b[1:100], crc = function(b) replace(b, 100, xor(b[100], as.raw(1))), empty = function(b) raw(),
    magic = function(b) replace(b, 1, as.raw(0)), longer = function(b) c(b, raw(5))
  )
  for (how in names(damages)) {
    registerVariables("ns", list(x = as.numeric(1:100)))
    file <- cards()
    writeBin(damages[[how]](readBin(file, "raw", 1e5)), file)
    for (verb in list(retrieveViews, retrieveMetadata)) {
      error <- expect_error(verb("ns", "x"), class = "cowshed_error_corrupt")
      expect_match(conditionMessage(error), "'x' in the namespace 'ns'", info = how)
    }
    # Whose it is can be told, or it is nobody's.
    if (how %in% c("empty", "magic")) {
      registerVariables("ns", list(x = 2))
    } else {
      expect_error(registerVariables("ns", list(y = 1, x = 2)), class = "cowshed_error_corrupt")
    }
    releaseVariables("ns", "x")
    expect_length(cards(), 0L)
    expect_identical(pageList(), list(), info = how)
  }
})

# A card by docs/format.md, from this process, which must live.
write_card <- function(namespace, name, about, value) {
  number <- function(x, n) as.raw(x %/% 256^(0:(n - 1)) %% 256)
  texts <- list(charToRaw(namespace), charToRaw(name), about, value)
  registerVariables(namespace, stats::setNames(list(1), name))
  file <- grep("[.]new$", cards(), value = TRUE, invert = TRUE)
  good <- readBin(file, "raw", 1e5)
  rest <- c(good[33:48], unlist(lapply(texts, function(t) number(length(t), 8))), unlist(texts))
  writeBin(c(good[1:28], crc_of(rest), rest), file)
}

crc_of <- function(bytes) {
  crc <- bitwNot(0L)
  for (byte in as.integer(bytes)) {
    crc <- bitwXor(crc, byte)
    for (i in 1:8) crc <- bitwXor(bitwShiftR(crc, 1L) |> as_int(), if (bitwAnd(crc, 1L) == 1L) as_int(0xedb88320) else 0L)
  }
  crc <- as.numeric(bitwNot(crc)) %% 2^32
  as.raw(crc %/% 256^(0:3) %% 256)
}
as_int <- function(x) as.integer(if (x >= 2^31) x - 2^32 else x)

test_that("a whole card with nonsense in it is an error, and a reference in it makes nothing outside the store", {
  local_store()
  nowhere <- tempfile("nowhere-")
  x <- share(as.numeric(1:1000))
  bytes <- serialize(x, NULL, xdr = FALSE)
  good <- serialize(list(type = "vector", n = 1), NULL)
  # The control: the same road with good bytes.
  write_card("ns", "x", good, bytes)
  expect_identical(retrieveViews("ns", "x")$x, as.numeric(1:1000))
  memshare_gc("ns")
  for (nonsense in list(raw(), as.raw(1:50), bytes[1:60])) {
    write_card("ns", "x", nonsense, nonsense)
    expect_error(retrieveViews("ns", "x"), "'x' in the namespace 'ns' cannot be read", class = "cowshed_error_corrupt")
    expect_error(retrieveMetadata("ns", "x"), class = "cowshed_error_corrupt")
    memshare_gc("ns")
  }
  # The store's directory in a reference is its last part.
  path <- charToRaw(store_dir())
  at <- which(vapply(seq_len(length(bytes) - length(path) + 1L), function(i) identical(bytes[i - 1L + seq_along(path)], path), NA))
  hostile <- charToRaw(substr(paste0(nowhere, strrep("/x", length(path))), 1, length(path)))
  bytes[at - 1L + seq_along(path)] <- hostile
  write_card("ns", "x", good, bytes)
  expect_error(retrieveViews("ns", "x"), class = "cowshed_error_gone")
  expect_false(any(file.exists(c(nowhere, dirname(rawToChar(hostile)), rawToChar(hostile)))))
  memshare_gc("ns")
})

test_that("a full store is an error and leaves nothing", {
  skip_without_processes()
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    files <- function() list.files(file.path(cowshed:::store_path(), c("segments", "names")), all.files = TRUE, no.. = TRUE)
    registerVariables("ns", list(small = 1:10))
    before <- files()
    large <- condition_of(registerVariables("ns", list(a = 1:10, b = "x", large = as.numeric(1:1e6))))
    live <- condition_of(registerVariables("ns", list(a = 1, large = as.numeric(1:1e6)), copyOnWrite = FALSE))
    gc()
    pruneSharedObjects()
    after <- files()
    # Not a page is left, for small objects that have no file yet, and for cards.
    filler <- file.path(at, "filler")
    suppressWarnings(try(writeBin(raw(3e6), filler), silent = TRUE))
    tiny <- lapply(list(1:10, NULL, sum, c(1, 2)), function(x) condition_of(registerVariables("ns", list(x = x))))
    pages <- pageList()
    unlink(filler)
    registerVariables("ns", list(x = 1))
    answer(list(large = large, live = live, same = setequal(before, after), tiny = tiny, pages = pages, value = retrieveViews("ns", c("small", "x"))))
  }, at = at, store = at, under = in_tmpfs(at, "size=2m,mode=0700"))
  expect_ended_well(got)
  for (error in c(list(got$answer$large, got$answer$live), got$answer$tiny)) expect_condition_class(error, "full")
  expect_true(got$answer$same)
  expect_identical(got$answer$pages, list("ns.small"))
  expect_identical(got$answer$value, list(small = 1:10, x = 1))
})

test_that("a wiped store works again", {
  local_store()
  registerVariables("ns", list(x = as.numeric(1:1000)))
  view <- retrieveViews("ns", "x")$x
  unlink(store_dir(), recursive = TRUE)
  expect_error(retrieveViews("ns", "x"), class = "cowshed_error_gone")
  expect_identical(pageList(), list())
  registerVariables("ns", list(x = as.numeric(1001:2000)))
  expect_identical(retrieveViews("ns", "x")$x, as.numeric(1001:2000))
  expect_identical(view, as.numeric(1:1000))
  rm(view)
  memshare_gc("ns")
  expect_true(released_gone())
})

test_that("unloading the package releases what was registered", {
  skip_without_processes()
  with_new_store({
    got <- run_r({
      cowshed::registerVariables("ns", list(x = 1:100))
      unloadNamespace("cowshed")
      answer(list.files(file.path(Sys.glob(file.path(getOption("cowshed.store"), "cowshed-*")), c("names", "segments"))))
    })
    expect_ended_well(got)
    expect_identical(got$answer, character())
  })
})

# Other processes ----------------------------------------------------------------------------------------------------

test_that("a killed owner's names are free at once, and a worker that has a view reads on", {
  skip_without_processes()
  with_new_store({
    for (how in c("kill", "quit")) {
      dir <- scratch()
      owner <- start_r({
        library(cowshed)
        registerVariables("ns", list(x = as.numeric(1:1e5), y = "y"))
        mark("registered")
        wait_for("end")
      }, dir = dir)
      wait_in(dir, "registered")
      view <- retrieveViews("ns", "x")$x
      expect_error(registerVariables("ns", list(x = 1)), class = "cowshed_error_exists")
      if (how == "kill") kill_hard(owner)
      put_in(dir, 1, "end")
      finish(owner)
      expect_error(retrieveViews("ns", "x"), class = "cowshed_error_gone")
      registerVariables("ns", list(x = as.numeric(1:10)))
      expect_identical(retrieveViews("ns", "x")$x, as.numeric(1:10))
      expect_identical(sum(view), sum(as.numeric(1:1e5)))
      rm(view)
      memshare_gc("ns")
      expect_clean_store(ledgers = 1L)
    }
  })
})

test_that("a variable is released by anybody, and its owner lets go of it", {
  skip_without_processes()
  with_new_store({
    registerVariables("ns", list(x = as.numeric(1:1e5), y = 1))
    worker <- run_r({
      library(cowshed)
      x <- retrieveViews("ns", "x")$x
      releaseVariables("ns", "x")
      missing <- condition_of(retrieveViews("ns", "x"))
      registerVariables("ns", list(x = "mine"))
      answer(list(sum = sum(x), missing = missing, pages = pageList(), value = retrieveViews("ns", "x")$x))
    })
    expect_ended_well(worker)
    expect_identical(worker$answer$sum, sum(as.numeric(1:1e5)))
    expect_condition_class(worker$answer$missing, "gone")
    expect_identical(worker$answer$pages, list("ns.x"))
    expect_identical(worker$answer$value, "mine")
    expect_identical(pageList(), list("ns.y"))
    gc()
    pruneSharedObjects()
    expect_true(all(listSharedObjects()$size < 8e5))
    registerVariables("ns", list(x = 2))
    memshare_gc("ns")
    expect_clean_store(ledgers = 1L)
  })
})

test_that("a forked child finds its parent's variables, owns none, and its own end with it", {
  skip_without_processes()
  with_new_store({
    for (how in c("return", "quit", "kill")) {
      got <- run_r({
        library(cowshed)
        registerVariables("ns", list(x = as.numeric(1:1e5)))
        retrieveViews("ns", "x")
        job <- parallel::mcparallel({
          seen <- list(sum = sum(retrieveViews("ns", "x")$x), views = viewList())
          registerVariables("ns", list(child = 1:10))
          seen$pages <- pageList()
          seen$taken <- condition_of(registerVariables("ns", list(x = 1)))
          put(seen, "seen")
          wait_for("go on")
          if (how == "quit") quit("no")
          if (how == "kill") tools::pskill(Sys.getpid(), tools::SIGKILL)
          NULL
        }, silent = TRUE)
        seen <- take("seen")
        childs <- retrieveViews("ns", "child")$child
        mark("go on")
        suppressWarnings(parallel::mccollect(job))
        # Its answer comes before its end.
        end <- Sys.time() + 30
        while (!is.null(condition_of(registerVariables("ns", list(child = "anew")))) && Sys.time() < end) Sys.sleep(0.01)
        pruneSharedObjects()
        answer(list(seen = seen, childs = unshare(childs), pages = pageList(), sum = sum(retrieveViews("ns", "x")$x)))
      }, how = how)
      expect_ended_well(got, how)
      seen <- got$answer$seen
      expect_identical(seen[c("sum", "views", "pages")], list(sum = sum(as.numeric(1:1e5)), views = list("ns.x"), pages = list("ns.child")), info = how)
      expect_condition_class(seen$taken, "exists")
      expect_identical(got$answer[c("childs", "pages")], list(childs = 1:10, pages = list("ns.x", "ns.child")), info = how)
      expect_identical(got$answer$sum, sum(as.numeric(1:1e5)), info = how)
      expect_clean_store()
    }
  })
})

test_that("of processes that register the same names at once exactly one gets each", {
  skip_without_processes()
  with_new_store({
    dir <- scratch()
    racers <- lapply(1:3, function(i) start_r({
      library(cowshed)
      mark(paste0("ready", i))
      wait_for("go")
      got <- vapply(1:60, function(n) {
        is.null(condition_of(registerVariables("race", stats::setNames(list(rep(i, 100)), paste0("x", n)))))
      }, NA)
      mine <- vapply(retrieveViews("race", paste0("x", 1:60)), function(v) v[1] == i, NA)
      put(list(got, unname(mine)), paste0("got", i))
      wait_for("end")
    }, i = i, dir = dir))
    for (i in 1:3) wait_in(dir, paste0("ready", i))
    put_in(dir, 1, "go")
    for (i in 1:3) wait_in(dir, paste0("got", i))
    got <- lapply(1:3, function(i) unserialize(bytes_in(dir, paste0("got", i))))
    expect_identical(Reduce(`+`, lapply(got, function(g) g[[1]])), rep(1L, 60))
    put_in(dir, 1, "end")
    for (racer in racers) expect_identical(finish(racer), 0L)
    expect_clean_store()
  })
})

test_that("a process killed in the midst of registering leaves nothing, and its names are free", {
  skip_without_processes()
  with_new_store({
    for (round in 1:12) {
      dir <- scratch()
      victim <- start_r({
        library(cowshed)
        mark("begun")
        repeat {
          registerVariables("ns", list(x = as.numeric(1:2000), y = list(1:100, "y"), z = sum))
          releaseVariables("ns", c("x", "y", "z"))
        }
      }, dir = dir)
      wait_in(dir, "begun")
      Sys.sleep(round * 0.007)
      kill_hard(victim)
      registerVariables("ns", list(x = round, y = "mine", z = NULL))
      expect_identical(retrieveViews("ns", c("x", "y", "z")), list(x = round, y = "mine", z = NULL))
      memshare_gc("ns")
    }
    expect_clean_store(ledgers = 1L)
  })
})

test_that("what is retrieved while it is released and registered again is whole, or an error that says so", {
  skip_without_processes()
  with_new_store({
    dir <- scratch()
    readers <- lapply(1:2, function(i) start_r({
      library(cowshed)
      outcomes <- character()
      mark(paste0("reading", i))
      while (!file.exists(in_scratch("end"))) {
        outcomes <- c(outcomes, tryCatch({
          view <- retrieveViews("ns", "x")$x
          if (length(view) == 5000L && all(view == view[1])) "whole" else "broken"
        }, error = function(e) class(e)[1]))
        if (length(outcomes) %% 50 == 0) gc()
      }
      put(table(outcomes), paste0("outcomes", i))
    }, i = i, dir = dir))
    for (i in 1:2) wait_in(dir, paste0("reading", i))
    end <- Sys.time() + 3
    n <- 0
    while (Sys.time() < end) {
      n <- n + 1
      registerVariables("ns", list(x = rep(as.numeric(n), 5000)))
      # Some are there for a while.
      if (n %% 3 == 0) Sys.sleep(0.003)
      releaseVariables("ns", "x")
      if (n %% 20 == 0) gc()
    }
    put_in(dir, 1, "end")
    for (reader in readers) expect_identical(finish(reader), 0L)
    outcomes <- lapply(1:2, function(i) unserialize(bytes_in(dir, paste0("outcomes", i))))
    expect_true(all(unlist(lapply(outcomes, names)) %in% c("whole", "cowshed_error_gone")))
    expect_gt(sum(unlist(lapply(outcomes, function(o) o["whole"])), na.rm = TRUE), 10)
    gc()
    expect_clean_store(ledgers = 1L)
  })
})

test_that("memshare_gc() cleans the workers of a cluster, which have not attached the package", {
  skip_without_processes()
  with_new_store({
    base <- store_base()
    registerVariables("ns", list(x = as.numeric(1:1e5)))
    with_cluster(2, function(cl) {
      parallel::clusterCall(cl, function(base, lib) {
        .libPaths(lib)
        options(cowshed.store = base)
      }, base, .libPaths())
      sums <- parallel::clusterEvalQ(cl, sum(cowshed::retrieveViews("ns", "x")$x))
      expect_identical(unlist(sums), rep(sum(as.numeric(1:1e5)), 2))
      parallel::clusterApply(cl, 1:2, function(i) cowshed::registerVariables("ns", stats::setNames(list(i), paste0("worker", i))))
      parallel::clusterApply(cl, 1:2, function(i) cowshed::registerVariables("other", stats::setNames(list(i), paste0("worker", i))))
      expect_length(cards(), 5L)
      expect_invisible(memshare_gc("ns", cl))
      expect_identical(parallel::clusterEvalQ(cl, list(cowshed::viewList(), cowshed::pageList())), list(list(list(), list("other.worker1")), list(list(), list("other.worker2"))))
      expect_true(all(listSharedObjects()$size < 8e5))
      expect_length(cards(), 2L)
    })
    expect_clean_store(ledgers = 1L)
  })
})

test_that("the example of memshare's vignette works, under R's collector at every allocation too", {
  skip_without_processes()
  skip_on_cran()
  with_new_store({
    got <- run_r({
      library(cowshed)
      cycle <- function() {
        ns <- "demo"
        registerVariables(ns, list(X = matrix(as.numeric(1:12), 3, dimnames = list(letters[1:3], NULL)), l = list(a = 1:5, "b"), f = sum))
        about <- retrieveMetadata(ns, c("X", "l"))
        vw <- retrieveViews(ns, c("X", "l", "f"))
        m <- mean(vw$X[, 1])
        taken <- condition_of(registerVariables(ns, list(X = 1)))$class[1]
        releaseViews(ns, "X")
        releaseVariables(ns, "X")
        gone <- condition_of(retrieveViews(ns, "X"))$class[1]
        value <- list(about, m, vw$X, unshare(vw$l), taken, gone, pageList(), viewList())
        memshare_gc(ns)
        value
      }
      calm <- cycle()
      gctorture2(7)
      tortured <- cycle()
      gctorture(FALSE)
      answer(list(calm = lapply(calm, unshare), tortured = lapply(tortured, unshare)))
    }, timeout = 300)
    expect_ended_well(got)
    expect_identical(got$answer$tortured, got$answer$calm)
    expect_identical(got$answer$calm[[2]], 2)
    expect_identical(got$answer$calm[5:8], list("cowshed_error_exists", "cowshed_error_gone", list("demo.l", "demo.f"), list("demo.l", "demo.f")))
    expect_clean_store()
  })
})
