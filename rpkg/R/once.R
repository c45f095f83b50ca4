# Objects made once per machine. Files, lock and waiting are in the library (altrep/src/once.rs); here is what is said, and to whom.

#' Make an object once per machine
#'
#' `shareCache()` gives the object that goes by an id on this machine. The first process that asks makes it, all others wait for that, or find it, and
#' everybody reads one copy in shared memory. Python's packages \pkg{cowshed} and \pkg{sharearray} see the same arrays under the same ids, and R sees theirs.
#'
#' Vectors, matrices and arrays of numbers, without attributes but `dim`, are in a file as numpy has them,
#' `<shm_path>/<prefix><id>.npy`; logical ones too, if none is `NA`. All other objects (with names or classes, data frames, lists, strings) are in
#' `<shm_path>/<prefix><id>.cow`, which [openSharedFile()] opens as well. Either is written once, and complete when it gets its name. It stays until
#' `shareCacheFree()` removes it or the machine is started anew; who has the object keeps it all the same.
#'
#' What is given is a view that costs no memory of its own: `copyOnWrite` is `TRUE`, so a change to it is private and copies the pages it falls on. Sent to other
#' processes it travels as the file's path. Arrays of types that R has not are converted, and are copies, as are those of two or more extents in the order of C; a message says so.
#'
#' | numpy | R |
#' |---|---|
#' | `f8`, `i4`, `u1`, `c16`, in Fortran order or of one extent | double, integer, raw, complex: a view |
#' | the same in C's order | a copy |
#' | `b1`; `i1`, `i2`, `u2`; `f2`, `f4`, `u4`, `i8`, `u8`; `c8`; `U`, `S` | converted to logical; integer; double; complex; character. Beyond 2^53 a whole number is an error |
#' | others | an error |
#'
#' The smallest `i4` is R's `NA`. R's matrices are in Fortran order, so numpy sees the same rows and columns.
#'
#' A maker that fails, is interrupted or killed leaves nothing: one of those who wait makes the object. Waiting takes no
#' processor time to speak of. A lock that \pkg{sharearray} left is honoured until it goes, or `timeout` has passed: `shareCacheFree()` removes it.
#'
#' `shareMemo(id, ...)` gives a function that wraps another one: the wrapped function makes the object of this id, on the first call on this machine, and returns it always.
#'
#' Ids are the whole machine's, all users' included: have the name of your project in them. Files can be read by whom your umask lets; an
#' object of another user that holds more than data (functions, environments, S4 objects) is not opened.
#'
#' @param id A string of letters, digits and any of `=+._-`.
#' @param array_or_callback The object, or a function without arguments that makes it. Left out: only what is there, or is being made, is given.
#' @param shm_path The directory, in memory.
#' @param prefix What the files' names begin with.
#' @param timeout Seconds to wait for another process that is making the object, or a part of one; negative: as long as it takes.
#' @param verbose Whether to say what happens.
#' @param log_func A function of one string that is told, in place of [message()].
#' @param ... Other arguments of `shareCache()`.
#' @return `shareCache()`: the object. `shareMemo()`: a function of one argument, a function without arguments; that gives one like `shareCache(id, that function, ...)`.
#'   `shareCacheFree()`: the files that were removed, invisibly. `shareCacheList()`: a data frame with a row for each id: `id`, `type` ("array" or "object"), `bytes`, `modified`, `user`,
#'   `state` ("ready", "being made", "its maker died", "locked by sharearray"), the `pid` of the maker at work, and `file`. `validId()`: `TRUE` or `FALSE`.
#' @section Errors: `cowshed_error_argument`: an invalid id, or the function asks for its own id. `cowshed_error_timeout`: `timeout` has passed. `cowshed_error_gone`: there is
#'   none, and nothing to make it of. `cowshed_error_full`: no room. `cowshed_error_corrupt`: the file is no array or object, or was cut: `shareCacheFree()` removes it. `cowshed_error_unshareable`: an array that R
#'   has no type for. `cowshed_error_store`: the directory cannot be used. An error of the function is passed on.
#' @section Warnings: `shareCacheFree()`: "lock still exists", if the object was being made, which it removes as well.
#' @seealso [share()], [openSharedFile()] for files that stay
#' @examples
#' m <- shareCache("example_squares", function() outer(1:100, 1:100), shm_path = tempdir())
#' m[2, 3]
#' # now, and in every other process, this function is not called again
#' again <- shareCache("example_squares", function() stop("never"), shm_path = tempdir())
#' shareCacheList(shm_path = tempdir())
#' shareCacheFree("example_squares", shm_path = tempdir())
#'
#' get_training_data <- shareMemo("example_data", verbose = FALSE, shm_path = tempdir())(function() {
#'   data.frame(x = rnorm(100), y = letters[1:4])
#' })
#' str(get_training_data())
#' shareCacheFree("example_data", shm_path = tempdir())
#' @export
shareCache <- function(id, array_or_callback, shm_path = "/dev/shm", prefix = "sharearray_", timeout = -1, verbose = TRUE, log_func = NULL) {
  check_id(id)
  say <- teller(verbose, log_func)
  make <- if (!missing(array_or_callback)) function() {
    say("'", id, "' doesn't exist yet. Locking and creating...")
    if (is.function(array_or_callback)) array_or_callback() else array_or_callback
  }
  waiting <- function() {
    how_long <- if (timeout < 0) "Waiting indefinitely... (timeout < 0)" else paste0("Waiting up to ", format(timeout), " seconds...")
    say("'", id, "' is being created by another process. ", how_long)
  }
  found <- .Call(cs_once, id, shm_path, prefix, timeout, make, waiting)
  if (found[[2L]]) say("'", id, "': written.")
  say("'", id, "': returning memmapped view.")
  if (!is.null(found[[3L]])) say("'", id, "': this is a copy: ", found[[3L]], ".")
  found[[1L]]
}

#' @rdname shareCache
#' @export
shareMemo <- function(id, ...) {
  check_id(id)
  force(list(...))
  function(callback) {
    callback <- match.fun(callback)
    function() shareCache(id, callback, ...)
  }
}

#' @rdname shareCache
#' @export
shareCacheFree <- function(id, shm_path = "/dev/shm", prefix = "sharearray_") {
  check_id(id)
  freed <- .Call(cs_once_free, id, shm_path, prefix)
  if (freed[[1L]]) warning("lock still exists")
  invisible(freed[[2L]])
}

#' @rdname shareCache
#' @export
shareCacheList <- function(shm_path = "/dev/shm", prefix = "sharearray_") {
  found <- .Call(cs_once_list, shm_path, prefix)
  data.frame(
    id = found$id,
    type = c(npy = "array", cow = "object")[tools::file_ext(found$file)],
    bytes = found$bytes,
    modified = structure(found$modified, class = c("POSIXct", "POSIXt")),
    user = found$user,
    state = found$state,
    pid = found$pid,
    file = ifelse(nzchar(found$file), found$file, NA_character_),
    row.names = NULL
  )
}

#' @rdname shareCache
#' @export
validId <- function(id) is.character(id) && length(id) == 1L && !is.na(id) && .Call(cs_valid_id, id)

check_id <- function(id) {
  if (!validId(id)) refuse(paste0("invalid id: ", paste(format(id), collapse = " "), "; it must be one string of letters, digits and any of =+._-"))
}

teller <- function(verbose, log_func) {
  if (!isTRUE(verbose) && !isFALSE(verbose)) refuse("`verbose` must be TRUE or FALSE")
  if (!is.null(log_func) && !is.function(log_func)) refuse("`log_func` must be a function of one string, or NULL")
  function(...) if (verbose) (if (is.null(log_func)) message else log_func)(paste0(...))
}
