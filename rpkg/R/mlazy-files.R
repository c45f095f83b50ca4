# One object, one file: writing it so that it is known to be whole, and reading it back.

# Writes `value` into a new file, which is complete and checked when this returns.
write_object <- function(value, name, file, format, dir) {
  e <- new.env(hash = FALSE, parent = emptyenv())
  if (format == "segment") {
    tryCatch(write_segment(value, file), cowshed_error = function(e) fail_of(e, paste0("the object '", name, "' cannot be written")))
  } else {
    assign(name, value, envir = e)
    save_checked(name, e, file, dir = dir, what = paste0("the object '", name, "'"))
  }
  file
}

# save(), of which R does not report that its last bytes found no room.
#
# - gzip: the last four bytes are how many went in.
# - Others, which do not tell: what went in is counted by writing it once more, to nowhere, and what is in the file by reading it back.
save_checked <- function(list, envir, file, ascii = FALSE, dir, what) {
  compress <- compression()
  incomplete <- function(why) {
    unlink(file)
    fail("full", paste0(
      "no room in '", dir, "' for ", what, " (", why, "); make room there and try again: nothing that was saved before has changed, and what is in memory is still there"
    ))
  }
  con <- open_for_writing(compress, file, dir, what)
  on.exit(if (!is.null(con)) close(con))
  tryCatch(
    save(list = list, envir = envir, file = con, ascii = ascii),
    error = function(e) if (is_of_writing(e)) incomplete(conditionMessage(e)) else stop(e)
  )
  written <- if (compress$type == "gzip") seek(con)
  # Before it is closed there is no last byte.
  open <- con
  con <- NULL
  close(open)
  whole <- switch(compress$type,
    gzip = identical(gzip_length(file), written %% 2^32),
    none = file.size(file) == bytes_of(list, envir, ascii),
    read_back(file) == bytes_of(list, envir, ascii)
  )
  if (!isTRUE(whole)) incomplete("its last bytes could not be written")
  invisible(file)
}

# What saving means by its options: a type, and how to open a file for it.
compression <- function() {
  compress <- getOption("mvbutils.compress", TRUE)
  level <- getOption("mvbutils.compression_level")
  if (is.logical(compress) && length(compress) == 1L && !is.na(compress)) compress <- if (compress) "gzip" else "none"
  if (!is.character(compress) || length(compress) != 1L || !compress %in% c("gzip", "none", "bzip2", "xz")) {
    refuse("options(mvbutils.compress = ) must be TRUE, FALSE, \"gzip\", \"bzip2\" or \"xz\"")
  }
  if (!is.null(level)) level <- check_count("options(mvbutils.compression_level = )", level)
  open <- switch(compress,
    gzip = function(file) gzfile(file, "wb", compression = if (is.null(level)) 6 else level),
    bzip2 = function(file) bzfile(file, "wb", compression = if (is.null(level)) 9 else level),
    xz = function(file) xzfile(file, "wb", compression = if (is.null(level)) 9 else level),
    none = function(file) file(file, "wb")
  )
  list(type = compress, open = open)
}

open_for_writing <- function(compress, file, dir, what) {
  why <- NULL
  tryCatch(
    withCallingHandlers(compress$open(file), warning = function(w) {
      why <<- conditionMessage(w)
      invokeRestart("muffleWarning")
    }),
    error = function(e) {
      fail("store", paste0("the cache in '", dir, "' cannot be written (", what, ": ", c(why, conditionMessage(e))[[1L]], "); see that the directory is there and can be written"))
    }
  )
}

is_of_writing <- function(e) grepl(paste0("error writing to connection|", gettext("error writing to connection", domain = "R")), conditionMessage(e))

# Modulo 2^32.
gzip_length <- function(file) {
  size <- file.size(file)
  if (is.na(size) || size < 18) return(NaN)
  con <- file(file, "rb")
  on.exit(close(con))
  seek(con, size - 4)
  last <- as.numeric(readBin(con, "raw", 4L))
  sum(last * 256^(0:3))
}

bytes_of <- function(list, envir, ascii) {
  con <- gzfile(nullfile(), "wb", compression = 0)
  on.exit(close(con))
  save(list = list, envir = envir, file = con, ascii = ascii)
  seek(con)
}

read_back <- function(file) {
  con <- gzfile(file, "rb")
  on.exit(close(con))
  total <- 0
  repeat {
    n <- length(suppressWarnings(readBin(con, "raw", 1e6)))
    if (n == 0L) return(total)
    total <- total + n
  }
}

# The object of that name in a file; an error that says what is wrong with it.
read_object <- function(file, name) {
  damaged <- function(why) {
    fail("corrupt", paste0(
      "the cached object '", name, "' cannot be read: its file '", file, "' is damaged (", why,
      "); put back a good copy of the file and use the object again, or remove the object (rm())"
    ))
  }
  tryCatch(
    if (format_of(file) == "segment") read_segment(file) else load_object(file, name),
    error = function(e) {
      if (inherits(e, "cowshed_error")) fail_of(e, paste0("the cached object '", name, "' cannot be read"))
      if (is_of_memory(e)) stop(e)
      damaged(conditionMessage(e))
    },
    warning = function(w) damaged(conditionMessage(w))
  )
}

# The same error, which says of what.
fail_of <- function(e, what) fail(sub("^cowshed_error_", "", class(e)[[1L]]), paste0(what, ": ", conditionMessage(e)))

load_object <- function(file, name) {
  e <- new.env(hash = FALSE, parent = emptyenv())
  con <- gzfile(file, "rb")
  on.exit(close(con))
  load(con, envir = e)
  # The checksum at the end of the file is looked at when that is reached.
  readBin(con, "raw", 1L)
  if (!exists(name, envir = e, inherits = FALSE)) {
    stop("it holds ", paste0("'", ls(e, all.names = TRUE), "'", collapse = ", "))
  }
  .subset2(e, name)
}

is_of_memory <- function(e) grepl("cannot allocate|memory exhausted|C stack usage|infinite recursion", conditionMessage(e))

format_of <- function(file) if (endsWith(file, ".seg")) "segment" else "rda"

kind_of <- function(format) if (format == "segment") "seg" else "rda"
