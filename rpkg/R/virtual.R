#' Vectors whose elements are made when they are read
#'
#' A virtual vector is an R vector of which only the length and a way to make the elements are in memory. It can be longer than memory: what is
#' read is made, and forgotten again. Everything that reads or writes vectors works on it, C code that takes its pointer included.
#'
#' `wrap_altrep()` makes one of another vector, such as `1:n`, which R cannot write to if it is longer than memory. `virtualVector()` makes one of an R
#' function. Ready-made ones are in [virtualSequence()]; packages make their own in C, C++ or Rust.
#'
#' @section Reading: `x[[i]]`, `x[a:b]`, `sum()`, `min()`, `max()`, `mean()`, loops, comparisons: the elements in question are made, and no pointer. A subset at
#'   regular steps (`x[seq(1, n, by = 2)]`) and the same elements as another type (`x + 0.5` for integers) are virtual again.
#' @section The pointer: Code that asks for a pointer, and every assignment (`x[i] <- v`), gets one whose pages are made on first touch (Linux's
#'   userfaultfd; no root needed). `options(cowshed.cleanPages = )` bytes of pages are in memory at a time, 64 MB from the start. Pages that were
#'   written are kept, and go to a file in `options(cowshed.spill = )` beyond `options(cowshed.writtenPages = )`; see \link{cowshed-options}. Any thread may
#'   read and write (BLAS, OpenMP), and a forked child has its own pages.
#'
#'   Elements that an R function makes, or another package's ALTREP, are made on R's thread only. They get a pointer to a copy of all elements, as
#'   do all virtual vectors where there is no userfaultfd (in most containers), up to `options(cowshed.materialize = )` bytes, 1 GiB from the start.
#'   Larger ones give an error of class `cowshed_error_pointer`. Vectors of up to 64 KB are copied at once.
#'
#'   Where userfaultfd is given to user code only (to ordinary users on most systems), C code that hands the pointer to a system call gets an
#'   error (`EFAULT`) for pages that nobody has touched. What R itself writes (`writeBin()`, `saveRDS()`) is right.
#' @section Writing: What is written belongs to this one vector. It shows everywhere the vector is read, and in its duplicates, subsets and other
#'   types, but not in the vector it was made of.
#' @section Other processes: A worker that gets a virtual vector which nobody has written to gets what makes it, not its elements; so it is with [share()],
#'   which also shares what the recipe holds. One that was written to, and one that is saved, is sent as its elements.
#' @param x A logical, integer or double vector, with any attributes; they are kept.
#' @param length Number of elements: a whole number, at most 2^52.
#' @param type `"double"`, `"integer"`, `"logical"`, `"complex"` or `"raw"`.
#' @param get_region `function(offset, length)` that gives the `length` elements after the first `offset` (so from element `offset + 1` on), as a
#'   vector of the type, or of one that fits into it. It is asked for elements within the vector, in any order and as often as they are read.
#' @return `wrap_altrep()`, `virtualVector()`: the vector. `is.virtual()`: `TRUE` or `FALSE`.
#' @section Errors: `cowshed_error_argument`: an argument is not what it must be. When elements are read: `cowshed_error_generator`, where the function gives another
#'   number or type of elements than it was asked for; an error of its own comes through as it is. C code that has the pointer finds NA
#'   where elements could not be made, and the error comes when R next uses the vector.
#' @source `wrap_altrep()` is the package Travel's.
#' @seealso [virtualSequence()], [share()], \link{cowshed-options}
#' @examples
#' # 512 GB
#' y <- wrap_altrep(1:(64 * 2^30))
#' y[1:10]
#'
#' squares <- virtualVector(1e12, "double", function(offset, length) (offset + seq_len(length))^2)
#' squares[c(1, 1000, 1e12)]
#' sum(squares[1:1000])
#' is.virtual(squares)
#' @name virtual
NULL

#' @rdname virtual
#' @export
wrap_altrep <- function(x) .Call(cs_wrap_altrep, x)

#' @rdname virtual
#' @export
virtualVector <- function(length, type = c("double", "integer", "logical", "complex", "raw"), get_region) {
  types <- c("double", "integer", "logical", "complex", "raw")
  # R's other word for it.
  type <- if (missing(type) || identical(type, "numeric")) "double" else check_choice("type", type, types)
  if (!is.function(get_region)) refuse(sprintf("`get_region` must be a function(offset, length), not %s", shape_of(get_region)))
  # A primitive's arguments are its own.
  if (is.primitive(get_region)) {
    primitive <- get_region
    get_region <- function(offset, length) primitive(offset, length)
  }
  .Call(cs_virtual_vector, length, type, get_region)
}

#' @rdname virtual
#' @export
is.virtual <- function(x) .Call(cs_is_virtual, x)
