# Several sessions, and forks of one, that have the same cache open.

skip_on_os("windows")
skip_without_processes()

test_that("sessions that save a cache at once leave what one of them saved, whole, and what each has loaded can be read", {
  for (sessions in c(2L, 4L)) {
    log <- scratch()
    got <- saves_in(
      answer(crowd(at, log, sessions, seconds = 4, format = format, slowly = sessions == 4L && can_inject())),
      at = cache_dir(), log = log, sessions = sessions, format = if (sessions == 2L) "rda" else "segment"
    )
    expect_false(got$hung)
    expect_no_problems(got$wrong)
    expect_no_problems(got$strange)
    expect_no_problems(got$left)
    # They did get into each other's way.
    expect_gt(got$announced, 10)
    expect_gt(got$found, 2)
    expect_gt(got$warnings, 0)
  }
})

# Loads the cache in an R of its own, does `change` to the attached environment `e`, saves; the classes of the warnings.
saved_by_another <- function(dir, change) {
  got <- eval(substitute(run_r({
    library(cowshed)
    attach.mlazy(at, pos = 2, name = "cache")
    e <- as.environment("cache")
    told <- character()
    withCallingHandlers({
      change
      Save.pos(2)
    }, warning = function(w) {
      told <<- c(told, class(w)[[1]])
      invokeRestart("muffleWarning")
    })
    answer(told)
  }, at = dir), list(change = substitute(change))))
  expect_ended_well(got)
  got$answer
}

test_that("who saves what another has saved meanwhile is warned, once, and wins", {
  dir <- cache_dir()
  e <- opened(dir)
  e$x <- "old"
  e$y <- 1
  mlazy(x, y, envir = e)
  Save.pos(e)
  theirs <- saved_by_another(dir, {
    e$x <- "theirs"
    rm("y", envir = e)
    e$z <- 3
  })
  expect_identical(theirs, character())
  expect_same_objects(contents_of(opened(dir)), list(x = "theirs", z = 3))

  # What it had is as it was.
  expect_same_objects(contents_of(e), list(x = "old", y = 1))
  e$y <- 2
  expect_warning(Save.pos(e), class = "cowshed_warning_saved_elsewhere")
  expect_same_objects(contents_of(opened(dir)), list(x = "old", y = 2))
  e$y <- 3
  expect_silent(Save.pos(e))
  gc()
  e$y <- 4
  Save.pos(e)
  expect_same_objects(contents_of(opened(dir)), list(x = "old", y = 4))
})

test_that("what a session has loaded stays readable while others save, demlazy and tidy", {
  dir <- cache_dir()
  e <- opened(dir)
  e$x <- as.numeric(1:1000)
  e$y <- letters
  mlazy(x, y, envir = e)
  Save.pos(e)
  rm(e)
  gc()
  waiting <- opened(dir)
  expect_identical(unique(mcachees(waiting, details = TRUE)$state), "on disk")
  saved_by_another(dir, {
    e$x <- 0
    demlazy(y, envir = e)
  })
  saved_by_another(dir, {
    rm("y", envir = e)
    e$x <- -1
  })
  expect_identical(waiting$x, as.numeric(1:1000))
  expect_identical(waiting$y, letters)
  expect_same_objects(contents_of(opened(dir)), list(x = -1))
})

test_that("a forked child reads, changes and saves; the parent goes on with what it has", {
  got <- run_r({
    library(cowshed)
    attach.mlazy(at, pos = 2, name = "cache")
    e <- as.environment("cache")
    e$touched <- 1
    e$untouched <- as.numeric(1:500)
    e$ordinary <- "o"
    mlazy(touched, untouched, envir = 2)
    Save.pos(2)
    mtidy(envir = 2)
    e$touched
    child <- parallel::mccollect(parallel::mcparallel({
      before <- list(e$touched, sum(e$untouched))
      e$touched <- "the child's"
      e$childs <- 1:3
      mlazy(childs, envir = 2)
      Save.pos(2)
      # Another round: its first files are in the way of none.
      e$touched <- "the child's second"
      mtidy(envir = 2)
      Save.pos(2)
      list(before = before, touched = e$touched, left = sort(mcachees(2)))
    }))[[1]]
    look <- function() {
      n <- new.env()
      attr(n, "path") <- at
      load.refdb(envir = n)
      mget(sort(ls(n)), n)
    }
    after_child <- look()
    parents <- list(e$touched, sum(e$untouched), e$ordinary)
    e$untouched[1] <- 100
    told <- tryCatch(withCallingHandlers({ Save.pos(2); "nothing" }, warning = function(w) {
      assign("seen", class(w)[[1]], globalenv())
      invokeRestart("muffleWarning")
    }), error = function(e) conditionMessage(e))
    answer(list(child = child, after_child = after_child, parents = parents, told = told, seen = get0("seen"), after_parent = look()))
  }, at = cache_dir())
  expect_ended_well(got)
  got <- got$answer
  untouched <- as.numeric(1:500)
  expect_identical(got$child, list(before = list(1, sum(untouched)), touched = "the child's second", left = c("childs", "touched", "untouched")))
  expect_identical(got$after_child, list(childs = 1:3, ordinary = "o", touched = "the child's second", untouched = untouched))
  expect_identical(got$parents, list(1, sum(untouched), "o"))
  expect_identical(got$told, "nothing")
  expect_identical(got$seen, "cowshed_warning_saved_elsewhere")
  untouched[1] <- 100
  expect_identical(got$after_parent, list(ordinary = "o", touched = 1, untouched = untouched))
})

test_that("a forked child that ends takes nothing from its parent", {
  for (end in c("return", "quit", "kill")) {
    got <- run_r({
      library(cowshed)
      attach.mlazy(at, pos = 2, name = "cache")
      e <- as.environment("cache")
      e$x <- as.numeric(1:500)
      e$y <- "y"
      mlazy(x, y, envir = 2)
      mtidy(envir = 2)
      # Not saved: only the parent's ledger has these files.
      child <- parallel::mcparallel({
        e$x
        if (end == "quit") quit("no")
        if (end == "kill") tools::pskill(Sys.getpid(), tools::SIGKILL)
        1
      })
      suppressWarnings(parallel::mccollect(child))
      n <- new.env()
      attr(n, "path") <- at
      load.refdb(envir = n)
      n$other <- 1
      Save.pos(n)
      answer(list(sum(e$x), e$y))
    }, at = cache_dir(), end = end)
    expect_ended_well(got)
    expect_identical(got$answer, list(sum(as.numeric(1:500)), "y"), info = end)
  }
})
