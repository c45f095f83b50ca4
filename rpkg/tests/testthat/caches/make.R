# Writes the caches of this folder with mvbutils, once for each: Rscript --vanilla make.R, here, where mvbutils is installed.
#
# .RData is kept as `RData`, for no file of a source package may be hidden.

suppressPackageStartupMessages(suppressWarnings(library(mvbutils)))
library(methods)
setClass("Weighed", contains = "numeric", slots = c(unit = "character"), where = globalenv())
source("values.R")

# An attached directory of mvbutils's. What is cached gets its number, and its file, one after the other.
make <- function(name, values, ..., compress = NULL) {
  unlink(name, recursive = TRUE)
  home <- tempfile(name)
  dir.create(home)
  old <- options(...)
  on.exit(options(old))
  attach.mlazy(home, pos = 2, name = name)
  cache <- as.environment(2)
  list2env(values$ordinary, cache)
  for (object in names(values$cached)) {
    assign(object, values$cached[[object]], cache)
    before <- options(compress[[object]])
    mlazy(what = object, envir = 2)
    options(before)
  }
  if (name == "lived") live(cache)
  Save.pos(2)
  detach(2)
  file.rename(file.path(home, ".RData"), file.path(home, "RData"))
  dir.create(name)
  stopifnot(file.copy(list.files(home, full.names = TRUE), name, recursive = TRUE))
  # Some of its indexes are written to where R happens to be.
  unlink("obj.ind")
  unlink("mlazy", recursive = TRUE)
}

live <- function(cache) {
  cache$passing <- "gone"
  cache$was.cached <- "demlazied"
  mlazy(what = c("passing", "was.cached"), envir = cache)
  Save.pos(2)
  cache$changed[2] <- 99
  rm("anew", "passing", envir = cache)
  demlazy(what = "was.cached", envir = cache)
  Save.pos(2)
  cache$anew <- "in the place of another"
  mlazy(what = "anew", envir = cache)
  cache$changed[2] <- 99
}

values <- cache_values()
values$lived$cached$changed <- c(1, 2, 3)
values$lived$cached$anew <- "before"
values$lived$ordinary <- list()
make("plain", values$plain)
# R CMD build leaves out what is called "old".
make("beside", values$beside, mlazy.subdir = FALSE, mvbutils.compress = FALSE)
make("index", values$index, mlazy.index = TRUE, mvbutils.compress = "bzip2")
make("names", values$names, mvbutils.compression_level = 1)
make("kinds", values$kinds, mvbutils.compress = "xz", compress = list(
  gzipped = list(mvbutils.compress = "gzip"), plain = list(mvbutils.compress = FALSE), bzipped = list(mvbutils.compress = "bzip2"),
  xzipped = list(mvbutils.compress = "xz"), nested = list(mvbutils.compress = TRUE),
  level1 = list(mvbutils.compress = "gzip", mvbutils.compression_level = 1), level9 = list(mvbutils.compress = "xz", mvbutils.compression_level = 9)
))
make("own", values$own)
make("lived", values$lived)
