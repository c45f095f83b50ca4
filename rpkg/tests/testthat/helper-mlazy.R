# An environment that has a directory of its own; nothing is in it yet.
a_cache <- function(dir = tempfile("cache-")) {
  dir.create(dir, showWarnings = FALSE)
  e <- new.env()
  attr(e, "path") <- dir
  e
}

# Another environment on the same directory, as the next session has it.
reopened <- function(e, dir = attr(e, "path")) {
  again <- new.env()
  load.refdb(envir = again, fpath = dir)
  again
}

# The objects' files, those out of sight too.
object_files <- function(e, dir = attr(e, "path")) {
  sort(list.files(file.path(dir, "mlazy"), "^[.]?obj[0-9]+[.]", all.files = TRUE))
}

# Whether an object is cached and not in memory: only then something happens to its file that it does not know.
is_on_disk <- function(name, e) {
  details <- mcachees(e, details = TRUE)
  identical(details$state[details$object == name], "on disk")
}
