#' Flags of a shared object
#'
#' The three flags of a shared object, as explained in [share()], read and set one by one.
#'
#' Setting a flag changes the R object in place, so every name bound to the same object sees it: after `y <- x`, `setCopyOnWrite(y,
#' FALSE)` sets it for `x` too. Setting `copyOnWrite` to `FALSE` on an object that was shared with `TRUE` gives it new shared memory,
#' which can be written; other processes that have the old keep it. Setting it to `TRUE` copies nothing: the object goes on reading
#' the live data until its first change, which is private.
#'
#' @param x An object.
#' @param value `TRUE` or `FALSE`.
#' @return The getters: `TRUE` or `FALSE`, or `NULL` for an object that is not shared. The setters: the same as the getter before,
#'   invisibly.
#' @section Errors: `cowshed_error_argument` if `value` is not `TRUE` or `FALSE`; `cowshed_error_full` if new shared memory is needed
#'   and there is none.
#' @examples
#' x1 <- share(1:4, copyOnWrite = FALSE)
#' x2 <- x1
#' x2[1] <- 0L
#' x1
#'
#' setCopyOnWrite(x2, TRUE)
#' x2[2] <- 0L
#' x1
#' x2
#' @name flags
NULL

#' @rdname flags
#' @export
getCopyOnWrite <- function(x) get_flag(x, flag_bits[["copyOnWrite"]])

#' @rdname flags
#' @export
getSharedSubset <- function(x) get_flag(x, flag_bits[["sharedSubset"]])

#' @rdname flags
#' @export
getSharedCopy <- function(x) get_flag(x, flag_bits[["sharedCopy"]])

#' @rdname flags
#' @export
setCopyOnWrite <- function(x, value) set_flag(x, flag_bits[["copyOnWrite"]], value)

#' @rdname flags
#' @export
setSharedSubset <- function(x, value) set_flag(x, flag_bits[["sharedSubset"]], value)

#' @rdname flags
#' @export
setSharedCopy <- function(x, value) set_flag(x, flag_bits[["sharedCopy"]], value)

# As the library has them.
flag_bits <- c(copyOnWrite = 1, sharedSubset = 2, sharedCopy = 4)

get_flag <- function(x, bit) .Call(cs_get_flag, x, bit)

set_flag <- function(x, bit, value) {
  before <- get_flag(x, bit)
  .Call(cs_set_flag, x, bit, value)
  invisible(before)
}
