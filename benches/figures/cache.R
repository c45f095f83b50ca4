# Cached objects: opening a cache of many, touching a large one, saving after a change of one.
#
# The physical limit of touching an object that is mapped is to open its file and map it (three times: header, table and payload). What it is for is told by load()
# of the same object. The limit of Save() is to write the one object that has changed, and `.RData`.

run <- function(group) {
  many(group)
  large(group)
}

many <- function(group, n = 1000L) {
  home <- new_home()
  e <- opened(home)
  for (i in seq_len(n)) e[[paste0("object", i)]] <- as.numeric(i + 0:999)
  for (i in 1:10) e[[paste0("ordinary", i)]] <- as.numeric(i + 0:999)
  mlazy(what = paste0("object", seq_len(n)), envir = e)
  Save.pos(e)
  image <- file.path(home, ".RData")
  opens <- list(
    `load()` = function() load(image, new.env()),
    cowshed = function() {
      attach.mlazy(home, name = "benchmarked")
      detach("benchmarked")
    }
  )
  if (has_mvbutils()) opens$mvbutils <- function() mvbutils::load.refdb(image, new.env(), home)
  ratios(group, paste("attach.mlazy(),", n, "objects"), times(opens, rounds = 11L))

  x <- e$object500
  file <- file.path(home, "one.rda")
  saves <- list(
    `save() of one` = function() save(x, file = file),
    cowshed = prepared(function() e$object500 <- e$object500 + 1, function(changed) Save.pos(e))
  )
  if (has_mvbutils()) {
    theirs <- new.env()
    attr(theirs, "path") <- new_home()
    file.copy(c(image, file.path(home, "mlazy")), attr(theirs, "path"), recursive = TRUE)
    mvbutils::load.refdb(envir = theirs)
    saves$mvbutils <- prepared(function() theirs$object500 <- theirs$object500 + 1, function(changed) mvbutils:::save.refdb(envir = theirs))
  }
  ratios(group, paste("Save() of one changed object in", n), times(saves, rounds = 11L))

  unlink(file)
  e$object500[1] <- 0
  before <- inodes(home)
  bytes <- bytes_written()
  Save.pos(e)
  figure(group, paste("written by Save(), one changed in", n), "bytes", list(cowshed = bytes_written() - bytes))
  figure(group, paste("files made by Save(), one changed in", n), "files", list(cowshed = length(setdiff(inodes(home), before))), wanted = 2)
  bytes <- bytes_written()
  Save.pos(e)
  figure(group, paste("written by Save(), none changed in", n), "bytes", list(cowshed = bytes_written() - bytes))
  unlink(home, recursive = TRUE)
}

large <- function(group, mb = 800) {
  x <- rnorm(1e6) + numeric(mb * 1e6 / 8)
  home <- new_home()
  plain <- file.path(home, "plain.rda")
  gzipped <- file.path(home, "gzipped.rda")
  save(x, file = plain, compress = FALSE)
  save(x, file = gzipped)
  e <- opened(home)
  e$x <- x
  mlazy(x, envir = e, format = "segment")
  Save.pos(e)
  rm(x, e)
  file <- list.files(file.path(home, "mlazy"), "^obj", full.names = TRUE)
  first <- function(path) {
    n <- new.env()
    load(path, n)
    n$x[[1]]
  }
  touches <- list(
    `load(), gzip` = function() first(gzipped), `load(), no compression` = function() first(plain), `3 x mmap()` = function() limits$map_thrice(file),
    cowshed = prepared(function() opened(home), function(e) e$x[[1]])
  )
  what <- paste("first touch of a segment,", mb, "MB")
  ratios(group, what, times(touches, rounds = 5L), against = names(touches)[1:3])
  unlink(home, recursive = TRUE)
}

new_home <- function() {
  home <- tempfile("cache-")
  dir.create(home)
  home
}

opened <- function(home) {
  e <- new.env()
  attr(e, "path") <- home
  load.refdb(envir = e)
  e
}

has_mvbutils <- function() suppressWarnings(suppressMessages(requireNamespace("mvbutils", quietly = TRUE)))

# Of the image and of objects; each with its time.
inodes <- function(home) {
  files <- c(file.path(home, ".RData"), list.files(file.path(home, "mlazy"), "^obj", full.names = TRUE))
  paste(system2("stat", c("-c", "%i", files), stdout = TRUE), file.mtime(files))
}

# By this process, to files and elsewhere.
bytes_written <- function() as.numeric(sub("\\D+", "", grep("^wchar", readLines("/proc/self/io"), value = TRUE)))
