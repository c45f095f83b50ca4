#' Shared objects in files
#'
#' `share(x, store = )` and `SharedObject(..., store = )` put an object into a file that stays. `openSharedFile()` gives it back, in any session and process,
#' now or later: nothing is read but what is looked at, so an object larger than memory opens in milliseconds, and all processes that have it open share the pages.
#'
#' @details
#' `store` is a directory, where the file gets a name of its own (`sharedFile()` tells it), or the name of a file in one, which ends with `.cowshed`. Nobody
#' but you removes it, with `freeSharedFile()` or as any other file; whoever has it open keeps it. A file that is there already is never overwritten. It may
#' be moved and copied, also to another machine of the same byte order.
#'
#' What was shared with `copyOnWrite = TRUE` (the usual case) never changes in the file: a change to the object copies the pages it falls on, and is private. What
#' was shared with `copyOnWrite = FALSE`, or made by [SharedObject()], is written through: assignments, by whichever process, are in the file. Opened with
#' `copyOnWrite = TRUE` such a file shows what others write until the first change of one's own.
#'
#' Sent to another process, an object of a file travels as the file's path, so the file must be there, and seen by that process.
#'
#' Vectors, and what is made of them (lists, data frames, S4 objects), are opened lazily. What holds an environment, a function (formulas hold one, so many
#' fitted models do) or a pointer is stored whole, as R's serialization: such a file is read when it is opened, and `share()` gives such an
#' object back as it is. A \link[=virtual]{virtual vector} is stored as what makes its elements, which the process that opens it must have, too.
#'
#' An array that numpy stored (`.npy`) is opened in the same way, never written through; [shareCache()] has a table of types, and what Python and R make of one another's.
#'
#' `verifySharedFile()` reads the file and compares it with its checksums; opening checks only what says where things are.
#'
#' Open files of others only if you trust them, as with [load()].
#'
#' @param path The file. For `verifySharedFile()` and `freeSharedFile()` also an object that was opened from it.
#' @param copyOnWrite,sharedSubset,sharedCopy As in [share()]. `copyOnWrite` is what the object was shared with, unless it is said to be `TRUE`.
#' @param x An object.
#' @return
#' `openSharedFile()`: the object. `sharedFile()`: the files that `x`, or what is in it, reads, as a character vector, empty if it reads none.
#' `verifySharedFile()`: `TRUE` if every byte is as it was stored, `NA` if that cannot be told, because the file is written through, or numpy's (the rest of it was
#' checked); invisibly. `freeSharedFile()`: nothing.
#' @section Errors: `cowshed_error_gone`: there is no such file, or it has become another one. `cowshed_error_corrupt`: it is no shared object's file, or is damaged.
#'   `cowshed_error_version`: written by another version, or on a machine of another byte order. `cowshed_error_store`: the system does not let you.
#'   `cowshed_error_argument`: `copyOnWrite = FALSE` of what never changes.
#' @examples
#' file <- file.path(tempdir(), "m.cowshed")
#' m <- share(matrix(rnorm(1e4), 100), store = file)
#' sharedFile(m)
#'
#' # in this or another session
#' again <- openSharedFile(file)
#' identical(again, m)
#' verifySharedFile(file)
#' freeSharedFile(file)
#'
#' # a matrix on disk, filled piece by piece
#' big <- SharedObject("numeric", 1e6, attrib = list(dim = c(1000, 1000)), store = tempdir())
#' for (j in 1:3) big[, j] <- j
#' same <- openSharedFile(sharedFile(big))
#' same[1, 1:4]
#' freeSharedFile(big)
#' @export
openSharedFile <- function(path, copyOnWrite = NULL, sharedSubset = NULL, sharedCopy = NULL) {
  .Call(cs_open_stored, path, copyOnWrite, sharedSubset, sharedCopy)
}

#' @rdname openSharedFile
#' @export
sharedFile <- function(x) .Call(cs_stored_files, x)

#' @rdname openSharedFile
#' @export
verifySharedFile <- function(path) {
  checked <- vapply(stored_files(path), function(file) .Call(cs_verify_stored, file), NA)
  invisible(if (all(checked)) TRUE else NA)
}

#' @rdname openSharedFile
#' @export
freeSharedFile <- function(path) {
  for (file in stored_files(path)) .Call(cs_remove_stored, file)
  invisible(NULL)
}

stored_files <- function(path) {
  files <- sharedFile(path)
  if (length(files) > 0L) return(files)
  if (is.character(path) && length(path) == 1L && !is.na(path)) return(path)
  refuse("`path` must be one file's name, or an object that is in a file")
}

# One object in a file of its own that nobody changes.
write_segment <- function(x, path) .Call(cs_write_segment, x, path)

# Whether two files have the same object: what it was made by, and when, does not matter.
same_segment <- function(a, b) .Call(cs_same_segment, a, b)

# The object, lazily mapped.
read_segment <- function(path) .Call(cs_read_segment, path)
