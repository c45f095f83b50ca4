# The Rust door: a package with a library of its own, built with cargo and installed as a third party's.

skip_on_os("windows")
skip_without_processes()

long_runs <- function() {
  values <- rep(c(1.5, NA, 3, -Inf, 1.5, 0), 1:6 * 1000)
  list(plain = values, x = asNamespace("rustdoor")$runs(values))
}

test_that("a class of a Rust package is shared whole, in a list, and twice", {
  with_package("rustdoor", rustdoor_library(), with_new_store({
    value <- long_runs()
    x <- value$x
    s <- share(x)
    expect_identical(s, x)
    expect_identical(vapply(unclass(s), is.shared, NA), c(values = TRUE, ends = TRUE))
    expect_identical(share(s), x)
    expect_identical(share(structure(x, note = 1:2000, class = c("mine", "runs"))), structure(x, note = 1:2000, class = c("mine", "runs")))
    inside <- share(list(a = x, b = list(x, 1:10)))
    expect_identical(inside, list(a = x, b = list(x, 1:10)))
    expect_identical(cowshed:::data_id(inside$a$ends), cowshed:::data_id(inside$b[[1]]$ends))
    expect_identical(as.double(s), value$plain)
    expect_identical(share(x, copyOnWrite = FALSE), x)
    expect_identical(unshare(s), x)
    # Nothing at all is something too.
    none <- asNamespace("rustdoor")$runs(double())
    expect_identical(share(none), none)
    changed <- s
    changed$values[1] <- 9
    expect_identical(s, x)
    rm(s, inside, changed)
    gc()
    expect_clean_store(ledgers = 1L)
  }))
})

test_that("another process reads the same memory, and makes the object again with the package", {
  library <- rustdoor_library()
  with_package("rustdoor", library, with_new_store({
    dir <- scratch()
    value <- long_runs()
    s <- share(value$x)
    put_in(dir, s, "s")
    put_in(dir, share(list(k = 1:10, x = value$x)), "inside")
    got <- run_r({
      .libPaths(c(library, .libPaths()))
      s <- take("s")
      opened <- cowshed:::open_segment(s$ends)
      inside <- cowshed:::open_segment(take("inside")$x$values)
      answer(list(vapply(unclass(s), cowshed::is.shared, NA), s, opened, inside, as.double(opened)))
    }, library = library, dir = dir)
    expect_ended_well(got)
    expect_true(all(got$answer[[1]]))
    for (i in 2:3) expect_identical(got$answer[[i]], value$x)
    expect_identical(got$answer[[4]], list(k = 1:10, x = value$x))
    expect_identical(got$answer[[5]], value$plain)
    rm(s)
    gc()
    expect_clean_store(ledgers = 1L)
  }))
})

test_that("a worker without the package has the data, and is told what to install where it needs the package", {
  library <- rustdoor_library()
  with_package("rustdoor", library, with_new_store({
    dir <- scratch()
    value <- long_runs()
    s <- share(value$x)
    put_in(dir, s, "s")
    got <- run_r({
      s <- take("s")
      answer(list(unclass(s), condition_of(cowshed:::open_segment(s$values))))
    }, dir = dir)
    expect_ended_well(got)
    expect_identical(got$answer[[1]], unclass(value$x))
    expect_condition_class(got$answer[[2]], "plugin")
    expect_match(got$answer[[2]]$message, "'rustdoor.runs' of the package 'rustdoor'.*install the package 'rustdoor'")
  }))
})

test_that("an error or a panic is an error that names package and strategy, and leaves nothing behind", {
  with_package("rustdoor", rustdoor_library(), with_new_store({
    says <- c(
      panics = "failed to share an object: it panicked: wrote too much", claim = "failed to say whether an object is its own: it panicked",
      fails = "failed to share an object: it does not want to", open = "failed to make an object again: it panicked: opened too much",
      stops = "failed to share an object: vector is too large", invents = "gave a node an aux of 2^56 or more"
    )
    for (fault in names(says)) {
      x <- structure(list(1), class = paste0("rustdoor_", fault))
      for (i in 1:20) e <- expect_error(share(x), class = "cowshed_error_plugin", info = fault)
      expect_match(conditionMessage(e), says[[fault]], fixed = TRUE)
      expect_match(conditionMessage(e), paste0("sharing strategy 'rustdoor.", fault, "'"), fixed = TRUE)
      expect_error(share(list(1:10, list(x))), class = "cowshed_error_plugin", info = fault)
    }
    expect_error(share(structure(list("a", 1L), class = "runs")), "not what runs() makes", fixed = TRUE, class = "cowshed_error_plugin")
    expect_error(share(structure(list(), class = "runs")), "it panicked", fixed = TRUE, class = "cowshed_error_plugin")
    gc()
    expect_clean_store(ledgers = 1L)
  }))
})

test_that("a panic in a plugin is not seen on the terminal, and R goes on", {
  library <- rustdoor_library()
  with_new_store({
    got <- run_r({
      loadNamespace("rustdoor", lib.loc = library)
      caught <- condition_of(cowshed::share(structure(list(1), class = "rustdoor_panics")))
      x <- rustdoor::runs(c(1, 1, 2))
      answer(list(caught$class[1], identical(cowshed::share(x), x)))
    }, library = library)
    expect_ended_well(got)
    expect_identical(got$answer, list("cowshed_error_plugin", TRUE))
    expect_false(any(grepl("panicked", got$out)))
  })
})

test_that("unloading removes the strategies; views live on, and its code stays", {
  library <- rustdoor_library()
  with_new_store({
    loadNamespace("rustdoor", lib.loc = library)
    expect_identical(subset(as.data.frame(.Call(cowshed:::cs_plugins)), name == "rustdoor.runs")$door, "Rust")
    value <- long_runs()
    s <- share(value$x)
    unloadNamespace("rustdoor")
    expect_length(.Call(cowshed:::cs_plugins)$name, 0L)
    expect_identical(s, value$x)
    expect_identical(unserialize(serialize(s, NULL)), value$x)
    expect_identical(share(value$x), value$x)
    expect_error(cowshed:::open_segment(s$ends), "install the package 'rustdoor'", class = "cowshed_error_plugin")
    if (file.exists("/proc/self/maps")) expect_true(any(grepl("/rustdoor/libs/rustdoor[.]so", readLines("/proc/self/maps"))))
    # And again.
    with_package("rustdoor", library, expect_identical(cowshed:::open_segment(s$ends), value$x))
    expect_length(.Call(cowshed:::cs_plugins)$name, 0L)
  })
})

test_that("sharing survives gctorture", {
  library <- rustdoor_library()
  with_new_store({
    got <- run_r({
      .libPaths(c(library, .libPaths()))
      library(cowshed)
      x <- rustdoor::runs(rep(c(1, 2, 1, 3), 1:4))
      share(x) # dispatch is made ready once
      gctorture(TRUE)
      s <- share(x)
      inside <- share(list(x, 1:5))
      o <- cowshed:::open_segment(s$values)
      failed <- tryCatch(share(structure(list(1), class = "rustdoor_panics")), error = function(e) class(e)[1])
      stopped <- tryCatch(share(structure(list(1), class = "rustdoor_stops")), error = function(e) class(e)[1])
      gctorture(FALSE)
      answer(list(identical(s, x), identical(inside, list(x, 1:5)), identical(o, x), failed, stopped))
    }, library = library, timeout = 200)
    expect_ended_well(got)
    expect_identical(got$answer, list(TRUE, TRUE, TRUE, "cowshed_error_plugin", "cowshed_error_plugin"))
  })
})
