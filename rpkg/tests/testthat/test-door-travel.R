# Travel/Travel.h: virtual vectors of a C++ package, built and installed as a third party's. Its first file is Travel's own example, unchanged.

skip_on_os("windows")
skip_without_processes()

travel_library <- function() {
  skip_without_compiler("CXX")
  skip_if_not_installed("Rcpp")
  example_library("travel")
}

# Runs code with the package's functions in reach; whatever was made is gone in the end.
with_travel <- function(code) {
  code <- substitute(code)
  env <- new.env(parent = parent.frame())
  with_package("travel", travel_library(), {
    ns <- asNamespace("travel")
    for (name in c("full_vector", "full_calls", "full_fault", "full_living", "make_squares", "make_nothing", "pointer_sum", "pointer_write", "region_into",
                   "make_sequence_altrep")) assign(name, ns[[name]], env)
    env$every <- ns$every_operation
    on.exit(ns$full_fault(""))
    ns$full_calls()
    eval(code, env)
    rm(list = ls(env), envir = env)
    gc()
    expect_identical(ns$full_living(), 0L)
  })
}

# Whether pointers are to pages that are made on first touch. Where they are not, nobody knows which elements of a vector with a pointer were written:
# values are the same, but fewer functions of its author's are asked.
has_pages <- function() {
  y <- wrap_altrep(1:2^40)
  tryCatch({ y[1] <- 0; TRUE }, cowshed_error_pointer = function(e) FALSE)
}

skip_without_pages <- function() skip_if_not(has_pages(), "there are no pages that are made on first touch")

test_that("Travel's example prints what its page says", {
  library <- travel_library()
  skip_without_pages()
  got <- run_r({
    .libPaths(c(library, .libPaths()))
    make_sequence_altrep <- travel::make_sequence_altrep
    printed <- utils::capture.output({
      x <- make_sequence_altrep(n = 1024*1024*1024*64, start = 1, step = 2)
      print(length(x))
      print(x[1:10])
      x[1] <- 100
      print(x[1:10])
      cat("rm\n")
      rm(x)
      invisible(gc())
      cat("gc\n")
      invisible(gc())
    })
    answer(printed)
  }, library = library)
  expect_ended_well(got)
  expect_identical(got$answer, c(
    "[1] 68719476736", " [1]  1  3  5  7  9 11 13 15 17 19", " [1] 100   3   5   7   9  11  13  15  17  19", "rm", "I am called from GC", "gc"
  ))
})

test_that("what a vector was made of goes when the last vector of it does, once", {
  library <- travel_library()
  for (keep in c("duplicate", "part", "other", "none")) {
    got <- run_r({
      .libPaths(c(library, .libPaths()))
      printed <- utils::capture.output({
        x <- travel::make_sequence_altrep(n = 1e6, start = 1, step = 2)
        y <- switch(keep,
          duplicate = { y <- x; y[1] <- 5; y },
          part = x[seq(2, 1e6, by = 2)],
          other = as.logical(x),
          none = travel::make_sequence_altrep(n = 10, start = 1, step = 2)
        )
        rm(x)
        invisible(gc())
        cat("first\n")
        values <- y[c(2, length(y))]
        rm(y)
        invisible(gc())
        cat("second\n")
      })
      answer(list(printed, values))
    }, library = library, keep = keep)
    expect_ended_well(got, keep)
    said <- "I am called from GC"
    expect_identical(got$answer[[1]], if (keep == "none") c(said, "first", said, "second") else c("first", said, "second"), info = keep)
    expected <- list(duplicate = c(3, 1999999), part = c(7, 1999999), other = c(TRUE, TRUE), none = c(3, 19))[[keep]]
    expect_identical(got$answer[[2]], expected, info = keep)
  }
  # It goes too when R quits.
  got <- run_r({
    .libPaths(c(library, .libPaths()))
    x <- travel::make_sequence_altrep(n = 1e6, start = 1, step = 2)
    x[5] <- 1
    answer(x[4:6])
  }, library = library)
  expect_ended_well(got)
  expect_identical(got$answer, c(7, 1, 11))
})

test_that("get_region() is asked for what is read, and for no more", {
  with_travel({
    x <- full_vector(10, 1, 1e6)
    expect_identical(x[[3]], 12)
    expect_identical(x[11:20], 20:29 + 0)
    expect_identical(full_calls(), c("get_region 2 1", "get_region 10 10"))
    expect_identical(c(x[c(1, NA, 1e6, 1e6 + 1)]), c(10, NA, 1000009, NA))
    expect_identical(full_calls(), c("get_region 0 1", "get_region 999999 1"))
    expect_identical(sum(x), sum(10 + 0:999999))
    # Together, every element once.
    asked <- do.call(rbind, lapply(strsplit(full_calls(), " "), function(call) as.numeric(call[2:3])))
    expect_identical(sum(asked[, 2]), 1e6)
    expect_identical(asked[-1, 1], head(cumsum(asked[, 2]), -1))
    for (type in c("logical", "integer", "double", "complex", "raw")) {
      x <- full_vector(0, 1, 200, type)
      plain <- as.vector(0:199, type)
      expect_identical(x, plain, info = type)
      expect_identical(x[c(2, 5, 200)], plain[c(2, 5, 200)], info = type)
      expect_identical(rev(x)[7:9], rev(plain)[7:9], info = type)
    }
    expect_identical(make_squares(1e12)[c(1, 3, 1e12)], c(0, 4, (1e12 - 1)^2))
  })
})

test_that("read_blocks() is enough, and reads what is at regular distances", {
  with_travel({
    x <- full_vector(0, 1, 1e5, operations = "read_blocks")
    expect_identical(x[5:8], c(4, 5, 6, 7))
    expect_identical(full_calls(), "read_blocks 4 4 1")
    part <- x[seq(10, 1e5, by = 3)]
    expect_true(is.virtual(part))
    expect_identical(part[2:4], c(12, 15, 18))
    expect_identical(full_calls(), "read_blocks 12 3 3")
    back <- x[seq(1e5, 5, by = -5)]
    expect_identical(back[1:3], c(99999, 99994, 99989))
    expect_identical(full_calls(), "read_blocks 99989 3 5")
    expect_identical(back[[2]], 99994)
    expect_identical(full_calls(), "read_blocks 99994 1 1")
    expect_identical(sum(back), sum(seq(1e5, 5, by = -5) - 1))
    both <- full_vector(0, 1, 1e5, operations = c("get_region", "read_blocks"))
    full_calls()
    expect_identical(both[5:8], c(4, 5, 6, 7))
    expect_identical(both[seq(2, 1e5, by = 2)][1:2], c(1, 3))
    expect_identical(full_calls(), c("get_region 4 4", "read_blocks 1 2 2"))
    # What was written is between the blocks.
    both[4] <- -1
    expect_identical(both[seq(2, 1e5, by = 2)][1:3], c(1, -1, 5))
  })
})

test_that("functions that fail, throw, or give less than asked for are errors of their class", {
  with_travel({
    x <- full_vector(0, 1, 5000)
    says <- function(code) conditionMessage(expect_error(code, class = "cowshed_error_generator"))
    full_fault("short")
    expect_match(says(x[1:10]), "elements 1 to 10 of a virtual vector (made by Travel_make_altrep()) cannot all be made: get_region() gave 5 of 10 elements",
                 fixed = TRUE)
    expect_match(says(x[[7]]), "element 7 .* get_region\\(\\) gave 0 of 1 elements")
    expect_match(says(sum(x)), "get_region() gave", fixed = TRUE)
    full_fault("throw")
    expect_match(says(x[1:10]), "get_region(): no luck", fixed = TRUE)
    full_fault("throw 5")
    expect_match(says(x[1:10]), "get_region() threw an exception", fixed = TRUE)
    full_fault("")
    expect_identical(x[1:3], c(0, 1, 2))
    blocks <- full_vector(0, 1, 5000, operations = "read_blocks")
    full_fault("short")
    expect_match(says(blocks[1:10]), "read_blocks() gave 0 of 10 elements", fixed = TRUE)
    full_fault("throw")
    all <- full_vector(0, 1, 5000, operations = every)
    e <- expect_error({ all2 <- all; all2[1] <- 5 }, class = "cowshed_error_plugin")
    expect_match(conditionMessage(e), "duplicate(): no luck", fixed = TRUE)
    full_fault("length")
    e <- expect_error(all[1:10], class = "cowshed_error_plugin")
    expect_match(conditionMessage(e), "extract_subset() gave 1 elements of type double, not 10 of type double", fixed = TRUE)
    full_fault("error")
    expect_error(all[1:10], "an error of R's", fixed = TRUE)
    full_fault("")
    expect_identical(all[1:3], c(0, 1, 2))
    expect_error(make_nothing(), "a vector needs get_region() or read_blocks()", fixed = TRUE, class = "cowshed_error_plugin")
    expect_error(full_vector(0, 1, 10, 16L), class = "cowshed_error_argument")
    expect_error(full_vector(0, 1, 2^53), "2^52", fixed = TRUE, class = "cowshed_error_argument")
    expect_warning(full_vector(0, 1, 10, operations = c("get_region", "serialize")), "serialize without unserialize")
    rm(all2)
  })
})

test_that("code that has the pointer finds NA where nothing can be made, and R then says so", {
  skip_without_pages()
  with_travel({
    x <- full_vector(0, 1, 1e6)
    expect_identical(pointer_sum(x, 10), 45)
    y <- full_vector(0, 1, 1e6)
    full_fault("short")
    expect_true(is.na(pointer_sum(y, 10)))
    full_fault("")
    expect_error(y[1:10], "get_region() gave", fixed = TRUE, class = "cowshed_error_generator")
    expect_identical(y[1:3], c(0, 1, 2))
  })
})

test_that("set_region() takes what is written, and duplicates have their own", {
  pages <- has_pages()
  with_travel({
    for (n in c(3000, 1e6)) for (type in c("double", "integer")) {
      x <- full_vector(0, 1, n, type, every)
      plain <- as.vector(seq_len(n) - 1, type)
      x[c(2, n)] <- plain[c(2, n)] <- as.vector(c(-5, -6), type)
      full_calls()
      expect_identical(x[c(1, 2, n)], plain[c(1, 2, n)])
      calls <- grep("^set_region", full_calls(), value = TRUE)
      taken <- do.call(rbind, lapply(strsplit(calls, " "), function(call) as.numeric(call[2:3])))
      covers <- function(i) any(taken[, 1] < i & i <= taken[, 1] + taken[, 2])
      expect_true(covers(2) && covers(n), info = paste(n, type))
      # It gives them from now on: the vector holds nothing itself, and what is asked of vectors as they were made is asked of it.
      expect_identical(x[11:12], plain[11:12])
      if (pages) expect_identical(grep("^set_region", full_calls()), integer())
      y <- x
      y[3] <- as.vector(-7, type)
      if (pages) expect_true("duplicate" %in% full_calls())
      expect_identical(x, plain, info = paste(n, type))
      expect_identical(y, replace(plain, 3, as.vector(-7, type)), info = paste(n, type))
      x[4] <- plain[4] <- as.vector(-8, type)
      expect_identical(x, plain)
      expect_identical(y[3:4], as.vector(c(-7, 3), type))
    }
    # What it does not take stays with the vector.
    full_fault("refuse")
    z <- full_vector(0, 1, 1e5, operations = every)
    z[5] <- -1
    expect_identical(z[4:6], c(3, -1, 5))
    expect_true(any(grepl("^set_region [04] ", full_calls())))
    expect_identical(as.integer(z)[4:6], c(3L, -1L, 5L))
    expect_identical(z[seq(1, 1e5, by = 2)][1:4], c(0, 2, -1, 6))
    full_fault("")
    # Without duplicate(), two vectors have one and the same source: it takes nothing that the other would see.
    a <- full_vector(0, 1, 1e5, operations = c("get_region", "set_region"))
    b <- a
    b[5] <- -1
    a[6] <- -2
    part <- a[seq(1, 1e5, by = 2)]
    a[1] <- -3
    expect_identical(a[1:6], c(-3, 1, 2, 3, 4, -2))
    expect_identical(b[1:6], c(0, 1, 2, 3, -1, 5))
    expect_identical(part[1:3], c(0, 2, 4))
  })
})

test_that("set_region() has all that was written when the vector goes, and when R quits", {
  library <- travel_library()
  got <- run_r({
    .libPaths(c(library, .libPaths()))
    f <- asNamespace("travel")
    x <- f$full_vector(0, 1, 1e5, "double", f$every_operation)
    x[70000] <- 1
    before <- f$full_calls()
    rm(x)
    invisible(gc())
    answer(list(before, f$full_calls()))
  }, library = library)
  expect_ended_well(got)
  expect_false(any(grepl("set_region", got$answer[[1]])))
  expect_true(any(grepl("set_region", got$answer[[2]])))
})

test_that("extract_subset() makes what it can; other subscripts do not get there", {
  with_travel({
    x <- full_vector(0, 1, 1e6, operations = every)
    part <- x[seq(1, 1e6, by = 1000)]
    expect_identical(full_calls(), "extract_subset 1000")
    expect_true(is.virtual(part))
    expect_identical(c(part[1000]), 999000)
    expect_identical(length(part), 1000L)
    full_calls()
    # It says that it cannot.
    expect_identical(x[c(5, 2, 9)], c(4, 1, 8))
    expect_identical(full_calls()[1], "extract_subset 3")
    for (index in list(c(1, NA), NA_integer_, c(1, 1e6 + 1), integer(), NA, c(2, NaN), c(1L, NA, 3L))) {
      expect_identical(x[index], (seq_len(1e6) - 1)[index], info = deparse(index))
      expect_false(any(grepl("extract_subset", full_calls())), info = deparse(index))
    }
    expect_identical(x[-(1:999998)], c(999998, 999999))
    names <- x[1:2]
    names(names) <- c("a", "b")
    expect_identical(names["b"], c(b = 1))
  })
})

test_that("duplicate() and coerce() are asked, and values and changes are kept with them and without", {
  pages <- has_pages()
  with_travel({
    for (operations in list("get_region", every)) for (n in c(10, 3000)) {
      x <- full_vector(0, 1, n, "double", operations)
      plain <- seq_len(n) - 1
      full_calls()
      y <- x
      y[1] <- 100
      expect_identical("duplicate" %in% full_calls(), length(operations) > 1)
      expect_identical(x, plain)
      expect_identical(y, replace(plain, 1, 100))
      for (type in c("integer", "logical", "complex", "character", "double")) {
        expect_identical(as.vector(x, type), as.vector(plain, type), info = type)
        expect_identical(as.vector(y, type), as.vector(replace(plain, 1, 100), type), info = type)
      }
      if (pages) expect_identical("coerce integer" %in% full_calls(), length(operations) > 1)
      attributes(x) <- list(dim = c(2, n / 2), note = "kept")
      other <- x
      storage.mode(other) <- "integer"
      expect_identical(other, structure(as.integer(plain), dim = as.integer(c(2, n / 2)), note = "kept"))
    }
    # Either may leave it to R, and coerce() may give another type than it was asked for.
    x <- full_vector(0, 1, 3000, "integer", every)
    full_fault("none")
    y <- x
    y[2] <- -1L
    expect_identical(y[1:3], c(0L, -1L, 2L))
    expect_identical(x[1:3], 0:2)
    expect_identical(as.double(x)[1:3], c(0, 1, 2))
    full_fault("own type")
    expect_identical(as.double(x)[2:3], c(1, 2))
    expect_identical(as.character(x)[2:3], c("1", "2"))
  })
})

test_that("serialize() and unserialize() are used where a vector is saved, and where it is sent", {
  library <- travel_library()
  with_travel({
    x <- full_vector(1, 2, 1e9, operations = every)
    file <- tempfile()
    saveRDS(x, file)
    expect_lt(file.size(file), 5000)
    again <- readRDS(file)
    expect_true(is.virtual(again))
    expect_identical(again[c(1, 1e9)], c(1, 1999999999))
    expect_identical(length(again), 1000000000L)
    cl <- parallel::makePSOCKcluster(1)
    on.exit(parallel::stopCluster(cl), add = TRUE)
    parallel::clusterCall(cl, function(paths) .libPaths(paths), c(library, .libPaths()))
    there <- parallel::clusterCall(cl, function(x) list(cowshed::is.virtual(x), x[c(2, 1e9)], x), x)[[1]]
    expect_identical(there[1:2], list(TRUE, c(3, 1999999999)))
    expect_true(is.virtual(there[[3]]))
    expect_identical(there[[3]][1:3], c(1, 3, 5))
    # share() sends the same.
    s <- share(x)
    expect_true(is.shared(s))
    expect_identical(s[1:3], c(1, 3, 5))
    # What was written goes with it, whoever has it.
    x <- full_vector(1, 2, 1e4, operations = every)
    x[3] <- -1
    expect_identical(unserialize(serialize(x, NULL)), replace(seq(1, by = 2, length.out = 1e4), 3, -1))
    y <- full_vector(1, 2, 1e4, operations = setdiff(every, "set_region"))
    y[3] <- -1
    expect_identical(unserialize(serialize(y, NULL)), replace(seq(1, by = 2, length.out = 1e4), 3, -1))
    # Without them, the elements.
    plain <- unserialize(serialize(full_vector(1, 2, 1e4), NULL))
    expect_false(is.virtual(plain))
    expect_identical(plain, seq(1, by = 2, length.out = 1e4))
    rm(s)
  })
})

test_that("inspect says what a vector can do, its private size, and what its author prints", {
  with_travel({
    x <- full_vector(1, 2, 10, operations = every)
    printed <- utils::capture.output(.Internal(inspect(x)))
    expect_match(printed[1], "cowshed virtual: made by Travel_make_altrep(), 10 elements", fixed = TRUE)
    expect_match(printed[2], paste(every, collapse = " "), fixed = TRUE)
    expect_match(printed[3], "private data: [0-9]+ bytes")
    expect_identical(printed[4], "  from 1 by 2")
    expect_identical(full_calls(), c("get_private_size", "inspect_private"))
  })
})

test_that("vectors of no elements are vectors like others", {
  with_travel({
    for (operations in list("get_region", "read_blocks", every)) for (type in c("logical", "integer", "double", "complex", "raw")) {
      x <- full_vector(0, 1, 0, type, operations)
      expect_identical(x, vector(type, 0))
      expect_identical(x[1], vector(type, 0)[1])
      expect_identical(x[integer()], vector(type, 0))
      expect_identical(as.vector(x, "double"), double())
      y <- x
      y[2] <- vector(type, 1)
      expect_length(y, 2)
      expect_identical(unserialize(serialize(x, NULL)), vector(type, 0))
    }
    # Nobody is asked for elements that are not there.
    expect_identical(grep("region|blocks|subset", full_calls(), value = TRUE), character())
  })
})

test_that("the functions that make elements never run at once, and reading into another vector's pages does not wait for ever", {
  skip_without_pages()
  with_travel({
    x <- full_vector(0, 1, 2^20)
    y <- full_vector(5, 1, 2^20)
    # Pages of y are made while elements of x are.
    region_into(x, y)
    expect_identical(y[c(1, 2^20)], c(0, 2^20 - 1))
    expect_identical(sum(x), sum(as.numeric(0:(2^20 - 1))))
    expect_false("two at once" %in% full_calls())
  })
})

test_that("the header compiles without a warning, by every standard, with Rcpp and without", {
  skip_without_compiler("CXX")
  headers <- system.file("include", package = "cowshed")
  compiler <- strsplit(system2(file.path(R.home("bin"), "R"), c("CMD", "config", "CXX"), stdout = TRUE), " ")[[1]][1]
  dir <- scratch()
  body <- c("#include \"Travel/Travel.h\"", "SEXP made() { return Travel_make_altrep(Travel_altrep_info()); }")
  files <- list(plain = body, cowshed = c("#include <cowshed.h>", body), unused = "#include \"Travel/Travel.h\"")
  if (requireNamespace("Rcpp", quietly = TRUE)) files$rcpp <- c("#include <Rcpp.h>", body)
  for (name in names(files)) {
    file <- file.path(dir, paste0(name, ".cpp"))
    writeLines(files[[name]], file)
    for (standard in c("c++11", "c++14", "c++17")) {
      options <- c(paste0("-std=", standard), "-fsyntax-only", "-Wall", "-Wextra", "-pedantic", "-Werror", paste0("-I", headers), "-isystem", R.home("include"),
                   if (name == "rcpp") c("-isystem", system.file("include", package = "Rcpp")))
      said <- suppressWarnings(system2(compiler, c(options, file), stdout = TRUE, stderr = TRUE))
      expect_identical(as.character(said), character(), info = paste(name, standard))
    }
  }
})
