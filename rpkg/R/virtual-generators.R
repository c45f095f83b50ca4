#' Vectors whose elements are made when they are read
#'
#' Each of these functions returns at once, whatever the length: an ordinary R vector that takes no memory, because its elements are computed,
#' or read from a file, where they are used. Sums, subsets and loops over it work block by block.
#'
#' - `virtualSequence()`: `from`, `from + by`, `from + 2 * by`, ...
#' - `virtualConstant()`: one value, `length` times.
#' - `virtualRuns()`: each of `values` as often as `lengths` says; `inverse.rle()` of what [rle()] gives, without its memory.
#' - `virtualLinear()`: `a * x + b`, computed where it is read.
#' - `virtualFile()`: the bytes of a file, as [writeBin()] writes them in the machine's own order.
#' - `virtualNpy()`: the array in a `.npy` file, as numpy's `save()` writes it. `x[i, j]` is numpy's `x[i-1, j-1]`, in whichever order the file has
#'   them.
#'
#' @section Changing them: The vector can be assigned to as any other. What is written is its own: neither a file nor `x` is changed by that.
#' @section Other processes: Sent to another process on the machine, shared with [share()] or not, a vector that was not written to travels as what
#'   makes it (some hundred bytes), and is computed there: `x`, `lengths` and `values` by reference if they are shared, files by their absolute path.
#'   A file that was changed since is an error there, as it is told by its size and time of change; so is one that cannot be read. Saved to
#'   a file ([saveRDS()]) they are plain data.
#' @section Pointers: Code that wants a pointer to all elements gets one, where the elements are made as they are touched; of a file whose elements are
#'   R's (all of `virtualFile()` if `offset` is a multiple of their size; `<f8`, `<i4`, `|u1` and `<c16` in Fortran's order or with one dimension) it is one
#'   to the file's own pages. With `virtualLinear()`
#'   of a vector that does not lie in memory (a virtual one, `1:1e9`) all have to be made for that, which the option `cowshed.materialize` limits.
#'
#' @section Types in .npy files: `<f8`, `<f4`: double. `<i4`, `<i2`, `|i1`, `<u2`: integer (numpy's -2147483648 is R's `NA`). `|b1`: logical. `|u1`:
#'   raw. `<c16`, `<c8`: complex. `<i8`, `<u8`, `<u4`: double; an element beyond 2^53, which a double may not hold, is an error that says which, when it is
#'   read. Big-endian files (`>f8`) too. Anything else (strings, records, objects, half and long doubles) is an error.
#'
#'   An array in numpy's usual order (C) is turned while it is read. Of a large one with long rows read rows, `x[i, ]`, rather than columns:
#'   the elements of a column lie far apart in the file, and each costs a system call.
#' @param from,by The first element and the distance, one number each.
#' @param length How many elements, up to 2^52. For `virtualFile()`, `NULL`: all to the end of the file.
#' @param type For sequences `"double"` or `"integer"`; for files `"raw"`, `"logical"`, `"integer"`, `"double"` or `"complex"`: elements of 1, 4, 4, 8 and 16
#'   bytes.
#' @param value One raw, logical, integer, double or complex value, without a class.
#' @param lengths Whole numbers of 0 or more; or an object of class `rle`, which has `values` too.
#' @param values As many values as there are lengths: a raw, logical, integer, double or complex vector without a class.
#' @param x A logical, integer or double vector; its attributes (dimensions, names) are those of the result. It must have no class other than `ts`.
#' @param a,b One number each.
#' @param path A file. It must not change while there are vectors of it: they show what is there when they are read, and an error if
#'   it has become shorter (where it is read through a pointer, elements that are gone are NA once; then every use is that error).
#' @param offset Where in the file the first element is, in bytes.
#' @return A vector of that length; of type double from `virtualLinear()`, with dimensions from `virtualNpy()` unless the array has one or none.
#' @section Errors: `cowshed_error_argument`: an argument is wrong; integers beyond R's; a file that cannot be read, has fewer elements than asked for, or is
#'   no `.npy` file that R can hold. `cowshed_error_generator`, when elements are read: the file has become shorter; a number that a
#'   double cannot hold.
#' @examples
#' x <- virtualSequence(0, 0.5, 1e10)
#' x[1e9]
#' sum(x[1:1e5])
#'
#' virtualConstant(NA, 5)
#' virtualRuns(c(2, 3), c("a" = 1.5, "b" = 2.5))
#' r <- rle(c(TRUE, TRUE, FALSE))
#' virtualRuns(r)
#'
#' m <- virtualLinear(matrix(1:4, 2), a = 10, b = 1)
#' m
#'
#' file <- tempfile()
#' writeBin(c(1.5, 2.5, 3.5), file)
#' virtualFile(file, "double")
#' virtualFile(file, "double", length = 1, offset = 8)
#'
#' # As numpy.save(file, [[1, 2, 3], [4, 5, 6]]) would write it
#' header <- "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }"
#' header <- paste0(formatC(header, width = -117), "\n")
#' con <- file(file, "wb")
#' writeBin(c(as.raw(0x93), charToRaw("NUMPY"), as.raw(c(1, 0, 118, 0)), charToRaw(header)), con)
#' writeBin(1:6, con, endian = "little")
#' close(con)
#' virtualNpy(file)
#' unlink(file)
#' @name virtualGenerators
NULL

#' @rdname virtualGenerators
#' @export
virtualSequence <- function(from = 1, by = 1, length, type = if (is.integer(from) && is.integer(by)) "integer" else "double") {
  if (missing(length)) refuse("`length` must be given")
  .Call(cs_virtual_sequence, from, by, length, check_choice("type", type, c("double", "integer")) == "integer")
}

#' @rdname virtualGenerators
#' @export
virtualConstant <- function(value, length) {
  if (missing(length)) refuse("`length` must be given")
  check_classless("value", value)
  .Call(cs_virtual_constant, value, length)
}

#' @rdname virtualGenerators
#' @export
virtualRuns <- function(lengths, values) {
  if (inherits(lengths, "rle")) {
    if (!missing(values)) refuse("`values` must not be given beside an object of class <rle>, which has its own")
    values <- lengths$values
    lengths <- lengths$lengths
  } else if (missing(values)) {
    refuse("`values` must be given")
  }
  check_classless("lengths", lengths)
  check_classless("values", values)
  .Call(cs_virtual_runs, lengths, values)
}

#' @rdname virtualGenerators
#' @export
virtualLinear <- function(x, a = 1, b = 0) {
  if (!identical(class(x), "ts")) check_classless("x", x)
  y <- .Call(cs_virtual_linear, x, a, b)
  if (!is.null(attributes(x))) attributes(y) <- attributes(x)
  y
}

#' @rdname virtualGenerators
#' @export
virtualFile <- function(path, type = "double", length = NULL, offset = 0) {
  check_choice("type", type, c("raw", "logical", "integer", "double", "complex"))
  .Call(cs_virtual_file, absolute(path), type, length, offset)
}

#' @rdname virtualGenerators
#' @export
virtualNpy <- function(path) {
  array <- .Call(cs_virtual_npy, absolute(path))
  x <- array[[1L]]
  if (!is.null(array[[2L]])) dim(x) <- array[[2L]]
  x
}

# Another process may be in another folder.
absolute <- function(path) {
  if (!is.character(path) || length(path) != 1L || is.na(path)) refuse("`path` must be one string")
  normalizePath(path, mustWork = FALSE)
}

# A class would be lost, and with it what the numbers mean.
check_classless <- function(name, x) {
  if (is.object(x)) refuse(sprintf("`%s` must have no class, not %s", name, paste0("<", paste(class(x), collapse = ", "), ">")))
}

# One of these strings, or an error that names the argument.
check_choice <- function(name, value, choices) {
  if (is.character(value) && length(value) == 1L && value %in% choices) return(value)
  refuse(sprintf("`%s` must be one of %s", name, paste0("\"", choices, "\"", collapse = ", ")))
}
