# The C door: cowshed.h, used by packages that are built and installed as a third party's.

skip_on_os("windows")
skip_without_processes()

# Values of the example's class.
sparse <- function() {
  m <- matrix(0, 200, 100)
  at <- seq(1, 20000, 7)
  m[at] <- at + 0.5
  list(m = m, x = asNamespace("cdoor")$csc(m))
}

test_that("a class of a C package is shared whole, in a list, and twice", {
  with_package("cdoor", cdoor_library(), with_new_store({
    x <- sparse()$x
    s <- share(x)
    expect_identical(s, x)
    listed <- sharePlugins()
    expect_identical(as.character(listed[listed$package == "cdoor", c("door", "package")][1, ]), c("C", "cdoor"))
    # The dimensions are too short to be a view.
    expect_identical(vapply(unclass(s), is.shared, NA), c(rows = TRUE, begins = TRUE, values = TRUE, dim = FALSE))
    ids <- vapply(unclass(s)[1:3], cowshed:::data_id, "")
    expect_length(unique(sub(":.*", "", ids)), 1L)
    expect_identical(share(s), x)
    plain <- unshare(s)
    expect_identical(plain, x)
    expect_false(any(vapply(unclass(plain), is.shared, NA)))
    inside <- share(list(a = x, b = list(x, 1:10)))
    expect_identical(inside, list(a = x, b = list(x, 1:10)))
    # One object met twice is one node.
    expect_identical(cowshed:::data_id(inside$a$rows), cowshed:::data_id(inside$b[[1]]$rows))
    # What is shared already stays where it is in a list, and is written again where the package opens it.
    y <- x
    y$values <- share(x$values)
    expect_identical(share(list(y$values, y, y$values)), list(x$values, x, x$values))
    live <- share(x, copyOnWrite = FALSE)
    expect_identical(live, x)
    # Sub-vectors of a part are of that part.
    expect_identical(share(x, sharedSubset = TRUE)$begins[11:90], x$begins[11:90])
    changed <- s
    changed$values[2] <- -1
    expect_identical(s, x)
    expect_identical(asNamespace("cdoor")$csc_multiply(s, rep(1, 100)), rowSums(sparse()$m))
    rm(s, inside, live, changed, plain, y)
    gc()
    expect_clean_store(ledgers = 1L)
  }))
})

test_that("another process reads the same memory, and makes the object again with the package", {
  library <- cdoor_library()
  with_package("cdoor", library, with_new_store({
    dir <- scratch()
    value <- sparse()
    s <- share(value$x)
    put_in(dir, s, "s")
    expect_lt(file.size(file.path(dir, "s")), 1500)
    put_in(dir, share(list(k = 1:10, x = value$x)), "inside")
    got <- run_r({
      .libPaths(c(library, .libPaths()))
      s <- take("s")
      shared <- vapply(unclass(s)[1:3], cowshed::is.shared, NA)
      kb <- private_kb()
      opened <- cowshed:::open_segment(s$begins)
      inside <- cowshed:::open_segment(take("inside")$x$values)
      answer(list(all(shared), s, opened, inside, as.matrix(opened), cowshed:::data_id(opened$rows) == cowshed:::data_id(s$rows)))
    }, library = library, dir = dir)
    expect_ended_well(got)
    expect_true(got$answer[[1]])
    for (i in 2:3) expect_identical(got$answer[[i]], value$x)
    expect_identical(got$answer[[4]], list(k = 1:10, x = value$x))
    expect_identical(got$answer[[5]], value$m)
    expect_true(got$answer[[6]])
    rm(s)
    gc()
    expect_clean_store(ledgers = 1L)
  }))
})

test_that("a worker without the package has the data, and is told what to install where it needs the package", {
  library <- cdoor_library()
  with_package("cdoor", library, with_new_store({
    dir <- scratch()
    x <- sparse()$x
    s <- share(x)
    put_in(dir, s, "s")
    got <- run_r({
      s <- take("s")
      values <- s$values
      answer(list(unclass(s), condition_of(cowshed:::open_segment(values)), sum(values)))
    }, dir = dir)
    expect_ended_well(got)
    expect_identical(got$answer[[1]], unclass(x))
    expect_condition_class(got$answer[[2]], "plugin")
    expect_match(got$answer[[2]]$message, "'cdoor.csc' of the package 'cdoor'.*no package called.*install the package 'cdoor'")
    expect_identical(got$answer[[3]], sum(x$values))
  }))
})

test_that("unloading a package removes its strategies; views live on, and its code stays", {
  library <- cdoor_library()
  with_new_store({
    loadNamespace("cdoor", lib.loc = library)
    expect_true("cdoor.csc" %in% cowshed:::strategies())
    x <- sparse()$x
    s <- share(x)
    unloadNamespace("cdoor")
    expect_false("cdoor.csc" %in% cowshed:::strategies())
    expect_identical(s, x)
    expect_identical(unserialize(serialize(s, NULL)), x)
    # Now it is a list like any other.
    expect_identical(share(x), x)
    expect_error(cowshed:::open_segment(s$rows), "install the package 'cdoor'", class = "cowshed_error_plugin")
    if (file.exists("/proc/self/maps")) expect_true(any(grepl("/cdoor/libs/cdoor[.]so", readLines("/proc/self/maps"))))
    # Loaded again, by the segment that needs it.
    old <- .libPaths()
    .libPaths(c(library, old))
    on.exit(.libPaths(old))
    expect_identical(cowshed:::open_segment(s$rows), x)
    expect_true("cdoor.csc" %in% cowshed:::strategies())
    unloadNamespace("cdoor")
  })
})

test_that("a list of what plugins registered says where it came from", {
  with_package("cdoor", cdoor_library(), {
    all <- .Call(cowshed:::cs_plugins)
    expect_identical(all, list(name = "cdoor.csc", package = "cdoor", door = "C", kinds = "list", abi = 1))
  })
  expect_length(.Call(cowshed:::cs_plugins)$name, 0L)
})

test_that("sharing survives gctorture", {
  library <- cdoor_library()
  with_new_store({
    got <- run_r({
      .libPaths(c(library, .libPaths()))
      library(cowshed)
      x <- cdoor::csc(diag(5))
      bytes <- withSharedSerialization(serialize(share(x), NULL))
      gctorture(TRUE)
      s <- share(x)
      inside <- share(list(x, 1:5))
      o <- cowshed:::open_segment(s$values)
      failed <- tryCatch(share(structure(list(1, 2), class = "csc")), error = function(e) class(e)[1])
      gctorture(FALSE)
      answer(list(identical(s, x), identical(inside, list(x, 1:5)), identical(o, x), failed))
    }, library = library, timeout = 200)
    expect_ended_well(got)
    expect_identical(got$answer, list(TRUE, TRUE, TRUE, "cowshed_error_plugin"))
  })
})

# A package of C and C++ whose strategies are registered one by one, each with a fault of its own.
faults_library <- function() {
  skip_without_compiler()
  if (is.null(doors$faults)) {
    source <- file.path(scratch(), "faults")
    dir.create(file.path(source, "src"), recursive = TRUE)
    writeLines(c(
      "Package: faults", "Version: 1.0", "Title: Goes Wrong", "Description: Goes wrong.", "Author: Nobody", "License: MIT",
      "Maintainer: Nobody <nobody@cowshed.example>", "LinkingTo: cowshed"
    ), file.path(source, "DESCRIPTION"))
    writeLines("useDynLib(faults, faults_register, faults_unregister)", file.path(source, "NAMESPACE"))
    writeLines(c("PKG_CFLAGS = -Wall -Wextra -Werror", "PKG_CXXFLAGS = -Wall -Wextra -Werror"), file.path(source, "src", "Makevars"))
    file.copy(test_path("door-faults.c"), file.path(source, "src", "faults.c"))
    # The header is C++ as well, alone and after R's own.
    writeLines(c("#include <cowshed.h>", "#include <vector>", "std::vector<cowshed_node> length;"), file.path(source, "src", "alone.cpp"))
    writeLines(c("#include <R.h>", "#include <Rinternals.h>", "#include <cowshed.h>"), file.path(source, "src", "after.cpp"))
    doors$faults <- install_into_library(source)
  }
  doors$faults
}

# Registers a strategy of the package.
enrol <- function(fault, name = "faults.it", class = "faulty", package = "faults", abi = 1L, kinds = bitwShiftL(1L, 19L), incomplete = FALSE) {
  native <- asNamespace("faults")
  .Call(native$faults_register, name, package, class, fault, abi, kinds, incomplete)
}
faulty <- function(...) structure(list(...), class = "faulty")

test_that("what goes wrong in a strategy is an error that names package and strategy, and leaves nothing behind", {
  with_package("faults", faults_library(), with_new_store({
    says <- c(
      "status" = "failed to share an object: it returned 3", "message" = "failed to share an object: it does not want to",
      "error" = "failed to share an object: wrote 7 bytes too much", "R error" = "failed to share an object: in R",
      "protects" = "protected 2 objects more than it unprotected", "no node" = "gave no node that it has added",
      "wrong node" = "gave no node that it has added", "payload" = "a payload that it has not written", "child" = "a node that it has not added",
      "claim error" = "failed to say whether an object is its own: asked for too much", "no value" = "it gave no value",
      "open error" = "failed to make an object again: opened too much", "list" = "type 19, which has no views"
    )
    for (fault in names(says)) {
      enrol(fault)
      e <- expect_error(share(faulty(1)), class = "cowshed_error_plugin", info = fault)
      expect_identical(class(e)[1:2], c("cowshed_error_plugin", "cowshed_error"))
      expect_match(conditionMessage(e), says[[fault]], fixed = TRUE, info = fault)
      expect_error(share(list(1:10, list(faulty(1)))), class = "cowshed_error_plugin", info = fault)
    }
    enrol("error")
    expect_error(share(faulty(1)), "the package 'faults' (sharing strategy 'faults.it')", fixed = TRUE)
    for (fault in c("corrupt", "no child", "beyond", "overflow", "askew", "foreign node")) {
      enrol(fault)
      expect_error(share(faulty(1)), "segment [0-9a-f]{32} is corrupt", class = "cowshed_error_corrupt", info = fault)
    }
    enrol("stale")
    share(faulty(1))
    expect_error(share(faulty(1)), "an encoder that is not the one of its callback", class = "cowshed_error_plugin")
    # What the value within does is its own: the error is not renamed.
    enrol("inner")
    old <- options(cowshed.mustWork = TRUE)
    expect_error(share(faulty(quote(a))), class = "cowshed_error_unshareable")
    options(old)
    # An error handled in between is no obstacle.
    enrol("")
    expect_identical(tryCatch(share(faulty(1)), error = identity), faulty(raw(1048576)))
    gc()
    expect_clean_store(ledgers = 1L)
  }))
})

test_that("errors of cowshed's own and interrupts pass a strategy unchanged", {
  with_package("faults", faults_library(), with_new_store({
    enrol("")
    expect_error(share(faulty(1), store = "/nowhere/at/all"), class = "cowshed_error_store")
    skip_without_mounts()
    at <- mount_point()
    library <- faults_library()
    got <- run_r({
      .libPaths(c(library, .libPaths()))
      options(cowshed.store = at)
      native <- loadNamespace("faults")
      .Call(native$faults_register, "faults.it", "faults", "faulty", "", 1L, bitwShiftL(1L, 19L), FALSE)
      answer(list(condition_of(cowshed::share(structure(list(1), class = "faulty"))), list.files(at, recursive = TRUE, pattern = "^[0-9a-f]{32}$")))
    }, at = at, library = library, under = in_tmpfs(at, "size=400k"))
    expect_ended_well(got)
    expect_condition_class(got$answer[[1]], "full")
  }))
})

test_that("a strategy that is not sound is refused, in words", {
  with_package("faults", faults_library(), {
    refused <- function(says, ...) {
      e <- expect_error(enrol("", ...), class = "cowshed_error_plugin", info = says)
      expect_match(conditionMessage(e), says, fixed = TRUE)
      expect_length(.Call(cowshed:::cs_plugins)$name, 0L)
    }
    refused("was built for version 7 of cowshed's plugin interface, and this cowshed has version 1; install the newest cowshed", abi = 7L)
    refused("the sharing strategy 'faults.it' of the package 'faults' is refused", abi = 0L)
    refused("its name must be 'faults.' and a name without dots", name = "other.it")
    refused("its name must be 'faults.' and a name without dots", name = "faults.")
    refused("its name must be 'faults.' and a name without dots", name = "faults.a.b")
    refused("neither a class nor claim()", class = NULL)
    refused("names no types", kinds = 0L)
    refused("lacks encode() or open()", incomplete = TRUE)
    refused("the package 'cowshed' has registered that name already", name = "r.list", package = "r")
    enrol("")
    # Again, by the same library: it replaces the first.
    enrol("")
    expect_length(.Call(cowshed:::cs_plugins)$name, 1L)
    expect_identical(.Call(asNamespace("faults")$faults_unregister, "faults"), 1L)
    expect_identical(.Call(asNamespace("faults")$faults_unregister, "faults"), 0L)
  })
})

test_that("a name that another library has registered is an error that names both packages", {
  library <- cdoor_library()
  with_package("cdoor", library, with_package("faults", faults_library(), {
    e <- expect_error(enrol("", name = "cdoor.csc", package = "cdoor"), class = "cowshed_error_plugin")
    expect_match(conditionMessage(e), "the package 'cdoor' has registered that name already.*faults.so.*cdoor.so")
  }))
})

test_that("the most specific strategy has an object, and a tie is an error that names both packages", {
  with_package("faults", faults_library(), with_new_store({
    chosen <- function(x) sub("'.*", "", sub(".*sharing strategy '", "", conditionMessage(expect_error(share(x), class = "cowshed_error_plugin"))))
    enrol("message", "faults.general", class = "general")
    enrol("message", "faults.special", class = "special")
    expect_identical(chosen(structure(list(), class = c("special", "general"))), "faults.special")
    expect_identical(chosen(structure(list(), class = c("general", "special"))), "faults.general")
    expect_identical(chosen(structure(list(), class = c("x", "y", "general"))), "faults.general")
    # A number said by claim().
    enrol("claim 500", "faults.number", class = NULL)
    expect_identical(share(structure(list(), class = c("special", "general")))[[1]], raw(1048576))
    enrol("no claim", "faults.number", class = NULL)
    expect_identical(chosen(structure(list(), class = "general")), "faults.general")
    # Two equal ones.
    enrol("message", "other.general", class = "general", package = "other")
    e <- expect_error(share(structure(list(), class = "general")), class = "cowshed_error_plugin")
    expect_match(conditionMessage(e), "the packages 'faults' (strategy 'faults.general') and 'other' (strategy 'other.general')", fixed = TRUE)
    expect_identical(.Call(asNamespace("faults")$faults_unregister, "other"), 1L)
    # S4: by its own class, or one that it extends.
    where <- environment()
    setClass("s4_base", representation("VIRTUAL"), where = where)
    setClass("s4_own", contains = c("s4_base", "list"), where = where)
    on.exit(for (class in c("s4_own", "s4_base")) removeClass(class, where = where))
    enrol("message", "faults.base", class = "s4_base")
    expect_identical(chosen(new("s4_own", list(1))), "faults.base")
    enrol("message", "faults.own", class = "s4_own")
    expect_identical(chosen(new("s4_own", list(1))), "faults.own")
    # Nobody's: a list.
    expect_identical(share(structure(list(1:5), class = "else")), structure(list(1:5), class = "else"))
    expect_identical(.Call(asNamespace("faults")$faults_unregister, "faults"), 5L)
  }))
})

test_that("a part of a plugin's payload is a view by all rights", {
  library <- faults_library()
  with_package("faults", library, with_new_store({
    enrol("")
    s <- share(faulty(1))
    part <- s[[1]]
    expect_true(is.shared(part))
    expect_identical(length(part), 1048576L)
    dir <- scratch()
    put_in(dir, part, "part")
    got <- run_r({
      part <- take("part")
      shared <- cowshed::is.shared(part)
      part[5] <- as.raw(1)
      answer(list(shared, sum(part == 1), length(part)))
    }, dir = dir)
    expect_ended_well(got)
    expect_identical(got$answer, list(TRUE, 1L, 1048576L))
    # Written through by others too.
    live <- share(faulty(1), copyOnWrite = FALSE)[[1]]
    put_in(dir, live, "live")
    got <- run_r({
      live <- take("live")
      live[7] <- as.raw(9)
      answer(NULL)
    }, dir = dir)
    expect_ended_well(got)
    expect_identical(live[7], as.raw(9))
    expect_identical(part[7], as.raw(0))
  }))
})

test_that("what a segment says of its strategy loads no code but a package's", {
  skip_if_not_installed("digest")
  crc <- function(bytes) {
    hex <- formatC(digest::digest(bytes, "crc32", serialize = FALSE), width = 8, flag = "0")
    rev(as.raw(strtoi(substring(gsub(" ", "0", hex), c(1, 3, 5, 7), c(2, 4, 6, 8)), 16L)))
  }
  library <- faults_library()
  with_package("faults", library, with_new_store({
    enrol("")
    s <- share(faulty(1))
    dir <- scratch()
    put_in(dir, s[[1]], "part")
    file <- segments()
    good <- readBin(file, "raw", file.size(file))
    number <- function(at, size) sum(as.integer(good[at + seq_len(size)]) * 256^(seq_len(size) - 1))
    index <- number(40, 8) + 48 * number(48, 4) + 4 * number(52, 4)
    names_at <- max(grepRaw("faults.it", good, all = TRUE, fixed = TRUE))
    for (name in c("../ult.it", "r.faultit", "no-sep.it", "faults it")) {
      bad <- good
      bad[names_at + 0:8] <- charToRaw(name)
      bad[80 + 1:4] <- crc(bad[(index + 1):length(bad)])
      bad[124 + 1:4] <- crc(bad[1:124])
      unlink(file)
      writeBin(bad, file)
      got <- run_r({
        part <- take("part")
        answer(condition_of(cowshed:::open_segment(part)))
      }, dir = dir)
      expect_ended_well(got)
      if (name == "r.faultit") {
        # No part of our own nodes is a view of anything.
        expect_condition_class(got$answer, "corrupt")
      } else {
        expect_condition_class(got$answer, "plugin")
        expect_match(got$answer$message, "that is no name of a package", fixed = TRUE, info = name)
      }
    }
  }))
})

test_that("a virtual vector of a C package is read, written, sent, and outlives the package's namespace", {
  library <- cdoor_library()
  with_new_store({
    got <- run_r({
      .libPaths(c(library, .libPaths()))
      library(cowshed)
      x <- cdoor::powers(2, 1000)
      written <- x
      written[3] <- -1
      ends <- cdoor::endless(0.5)
      part <- ends[seq(1, 4000, by = 2)]
      sent <- unserialize(serialize(part, NULL))
      s <- share(ends)
      cl <- parallel::makePSOCKcluster(1)
      look <- function(x) tryCatch(c(x[c(1, 3)], length(x)), error = conditionMessage)
      without <- parallel::clusterCall(cl, look, ends)[[1]]
      parallel::clusterCall(cl, function(paths) .libPaths(paths), .libPaths())
      there <- parallel::parLapply(cl, list(ends, part), look)
      parallel::stopCluster(cl)
      # R unloads the library too, which stays mapped.
      unloadNamespace("cdoor")
      kept <- list(x[1:4], written[1:4], ends[c(1, 2, 2^52)], length(part), part[2:3], sent[2:3], s[2], sum(x[1:10]), anyNA(ends))
      rm(x, written, ends, part, sent, s)
      gc()
      answer(list(kept, there, without))
    }, library = library)
    expect_ended_well(got)
    expect_identical(got$answer[[1]], list(c(1, 2, 4, 8), c(1, 2, -1, 8), c(1, 0.5, 0), 2000L, c(0.25, 0.0625), c(0.25, 0.0625), 0.5, 1023, FALSE))
    expect_identical(got$answer[[2]], list(c(1, 0.25, 2^52), c(1, 0.0625, 2000)))
    expect_match(got$answer[[3]], "'cdoor.endless' of the package 'cdoor', which this process does not have.*install the package 'cdoor'")
  })
})
