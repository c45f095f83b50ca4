# mvbutils and cowshed at the same caches, in turn: Rscript --vanilla tests/interop/mvbutils.R
#
# Each step is an R of its own with one of the two packages: it attaches the cache, checks that it finds what the step before left, changes it, saves.
# No test of the package's: it needs mvbutils. What mvbutils wrote once and for all is read by rpkg/tests/testthat/test-mlazy-golden.R.

if (!requireNamespace("mvbutils", quietly = TRUE) || !requireNamespace("cowshed", quietly = TRUE)) {
  stop("needs mvbutils and cowshed, both installed")
}

failures <- 0L
expected <- list()

# In an R of its own; `e` is the cache at `dir`, `expected` what it must hold before. The code may change both.
step <- function(package, what, dir, code, options = list()) {
  state <- tempfile()
  saveRDS(list(expected = expected, options = options), state)
  script <- tempfile()
  writeLines(deparse(bquote({
    suppressPackageStartupMessages(suppressWarnings(library(.(package), character.only = TRUE)))
    library(methods)
    state <- readRDS(.(state))
    base::options(state$options)
    expected <- state$expected
    attach.mlazy(.(dir), pos = 2, name = "the cache")
    e <- as.environment(2)
    same <- function(a, b) identical(a, b, num.eq = FALSE, single.NA = FALSE)
    found <- sort(ls(e, all.names = TRUE))
    if (!identical(found, sort(as.character(names(expected))))) stop("there are ", toString(found), " and not ", toString(sort(names(expected))))
    for (name in found) if (!same(e[[name]], expected[[name]])) stop(name, " is ", paste(utils::head(deparse(e[[name]]), 3), collapse = " "))
    .(substitute(code))
    Save.pos(2)
    saveRDS(expected, .(state))
  })), script)
  # There, for mvbutils writes its index into the working directory's mlazy/.
  said <- suppressWarnings(system(sprintf("cd %s && %s --vanilla %s 2>&1", dir, file.path(R.home("bin"), "Rscript"), script), intern = TRUE))
  ended <- attr(said, "status")
  loud <- grep("warning", said, ignore.case = TRUE, value = TRUE)
  good <- is.null(ended) && length(loud) == 0L
  cat(sprintf("%-9s %-70s %s\n", package, what, if (good) "ok" else "FAILED"))
  if (!good) {
    failures <<- failures + 1L
    cat(said, sep = "\n")
  }
  if (is.null(ended)) expected <<- readRDS(state)
}

change <- quote({
  # Every kind of change, drawn anew: the same code for both packages.
  set.seed(number)
  for (name in sample(names(expected), 2L)) e[[name]] <- expected[[name]] <- list(number, rnorm(5), name)
  new <- paste0("new", number)
  e[[new]] <- expected[[new]] <- seq_len(number)
  mlazy(what = new, envir = 2)
  e[[paste0("plain", number)]] <- expected[[paste0("plain", number)]] <- letters[number]
  # Not what was just changed: mvbutils gives such an object the file obj-<N>.rda when it is made again.
  if (number %% 3L == 0L) {
    gone <- setdiff(sort(names(expected)), c(new, mcachees(2)))[1]
    rm(list = gone, envir = e)
    expected[[gone]] <- NULL
  }
  if (number %% 4L == 0L) demlazy(what = mcachees(2)[1], envir = 2)
  if (number %% 5L == 0L) mtidy(what = mcachees(2)[1:2], envir = 2)
})

begin <- quote({
  e$numbers <- expected$numbers <- c(a = 1.5, b = NA, c = -0)
  e$text <- expected$text <- c("x", NA, "\u00fc")
  e$frame <- expected$frame <- data.frame(x = 1:3, f = factor(c("u", "v", "u")))
  e$`two words` <- expected$`two words` <- quote(a + b)
  assign("none", NULL, e)
  expected["none"] <- list(NULL)
  e$.hidden <- expected$.hidden <- list(1L, y ~ x)
  e$ordinary <- expected$ordinary <- "not cached"
  mlazy(what = c("numbers", "text", "frame", "two words", "none", ".hidden"), envir = 2)
})

for (options in list(list(), list(mvbutils.compress = "xz", mlazy.index = TRUE), list(mvbutils.compress = FALSE), list(mlazy.subdir = FALSE))) {
  for (first in c("cowshed", "mvbutils")) {
    told <- paste(names(options), unlist(options), sep = " = ", collapse = ", ")
    cat("\n", first, " begins", if (nzchar(told)) paste0("; ", told), "\n", sep = "")
    dir <- tempfile("interop-")
    dir.create(dir)
    expected <- list()
    packages <- c(first, setdiff(c("cowshed", "mvbutils"), first))
    eval(bquote(step(packages[1], "makes a cache", dir, .(begin), options)))
    for (number in 1:12) {
      eval(bquote(step(packages[1 + number %% 2], "finds it, changes it, saves it", dir, .({
        number <- number
        bquote({ number <- .(number); .(change) })
      }), options)))
    }
    objects <- list.files(dir, "^obj[0-9]+[.]rda$", recursive = TRUE)
    image <- new.env()
    load(file.path(dir, ".RData"), image)
    references <- get(grep("^[.]mcache", ls(image, all.names = TRUE), value = TRUE), image)
    good <- length(objects) == length(references)
    if (!good) failures <- failures + 1L
    cat(sprintf("%-80s %s\n", paste(length(references), "cached objects,", length(objects), "files"), if (good) "ok" else "FAILED"))
    unlink(dir, recursive = TRUE)
  }
}

cat("\n", failures, " failures\n", sep = "")
quit("no", status = if (failures > 0L) 1L else 0L)
