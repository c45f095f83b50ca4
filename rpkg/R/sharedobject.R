#' Make a shared vector to be filled
#'
#' `SharedObject()` makes a vector of zeros in shared memory, without a plain vector of the same size beside it.
#'
#' @details
#' With `copyOnWrite = TRUE` (the default) the vector is yours alone until it is first sent to another process: assignments to it fill the
#' shared memory in place, whatever its size. From then on it is like any other shared object, and a change is private. Where R duplicates a
#' vector before it assigns (another name has it too, an element is assigned by name), the duplicate is a plain vector, as of any shared
#' object: `copyOnWrite = FALSE` is the way to fill whatever way it is done.
#'
#' With `copyOnWrite = FALSE` every process that has it writes the same memory: workers can put their results into it.
#'
#' With `store` the vector is a file on disk (see [openSharedFile()]), which may be larger than memory: its space is reserved at once, `copyOnWrite` is
#' `FALSE`, and what is assigned to it, piece by piece and by whichever process, is in the file, with its attributes.
#'
#' @param mode The type of the vector.
#' @param length Its length, in elements; 0 is fine.
#' @param attrib A named list of its attributes: `list(dim = c(10, 3))`.
#' @param ... `copyOnWrite`, `sharedSubset`, `sharedCopy` and `store`, as in [share()].
#' @return The shared vector. It is shared whatever its length.
#' @section Errors: As of [share()]. Attributes that do not fit are R's own error.
#' @examples
#' x <- SharedObject("integer", 6, attrib = list(dim = 2:3))
#' x[2, ] <- 7:9
#' x
#' is.shared(x)
#'
#' \donttest{
#' # workers write their results straight into it
#' result <- SharedObject("numeric", 4, copyOnWrite = FALSE)
#' cl <- parallel::makeCluster(2)
#' parallel::clusterExport(cl, "result")
#' invisible(parallel::parLapply(cl, 1:4, function(i) {
#'   result[i] <<- i^2
#'   NULL
#' }))
#' parallel::stopCluster(cl)
#' result
#' }
#' @export
SharedObject <- function(mode = c("raw", "logical", "integer", "numeric", "complex"), length, attrib = list(), ...) {
  blank(match.arg(mode), length, attrib, ...)
}

blank <- function(mode, length, attrib, ..., copyOnWrite = NULL, sharedSubset = NULL, sharedCopy = NULL, store = NULL) {
  if (...length() > 0L) unknown_arguments(...names2(...), "SharedObject")
  .Call(cs_blank, mode, length, attrib, copyOnWrite, sharedSubset, sharedCopy, store)
}

#' Is an object an alternative representation?
#'
#' @param x An object.
#' @return `TRUE` if R keeps `x` as an ALTREP, which every shared vector is, and some others are as well; else `FALSE`.
#' @examples
#' is.altrep(share(c(1, 2, 3)))
#' is.altrep(c(1, 2, 3))
#' @export
is.altrep <- function(x) .Call(cs_is_altrep, x)
