#' Put an object into shared memory
#'
#' `share()` copies `x` into shared memory once and returns an object that is used like `x` itself. Sent to another process on the
#' same machine (by [parallel::clusterExport()] or any other way of serializing it), it arrives as a reference of about 200 bytes,
#' and the other process reads the same memory.
#'
#' Sharing an object that is shared already, with the same flags, returns it and costs nothing. Sharing a list shares its elements;
#' the list itself stays a plain one. Sharing an environment or a function changes it in place, see below.
#'
#' @details
#' An argument that is `NULL` (the default) takes its value from the option of the same name, `options(cowshed.copyOnWrite = )` and so
#' on (see [sharedObjectPkgOptions()]). Without one they are, in order, `TRUE`, `FALSE`, `FALSE`, `TRUE`, `FALSE`, 3, and memory. The
#' flags of an object that is shared already stay as they are unless an argument says otherwise.
#'
#' @section Environments and functions: An environment is shared where it is: what is bound in it is replaced by its shared stand-in, and the same
#'   environment is returned. So it is with all environments that are found in `x`: as elements, slots or attributes, behind R6 and reference
#'   class objects, as those of functions (what these captured, with the parents) and of formulas. What they hold is in one segment, once. An
#'   error leaves all of them as they were.
#'
#'   - The workspace, the base and empty environments, namespaces, packages and whatever else is attached are never touched; they travel by name.
#'   - The parent of an environment is no part of it. Of a function's environment it is.
#'   - Locks are no hindrance and stay. Active bindings are never called and promises never forced; both stay what they are. A promise that was
#'     forced, such as an argument that was used, is replaced by its shared value: `substitute()` then gives that, and `missing()` of one that
#'     took its default `FALSE`.
#'   - Definitions of classes, generic functions, and the source text of functions are left alone.
#'
#'   In another process an environment or function arrives as R sends it, a new one, with a reference for each shared vector in it.
#' @param x The object: a raw, logical, integer, double, complex or character vector of any length (matrices, arrays, factors, dates and
#'   other classes on top of them included), or what holds such vectors: a list, a pairlist, an S4 object, an environment, a function. What cannot
#'   be shared (symbols, calls, pointers) is returned as it is, unless `mustWork` is `TRUE`.
#' @param ... For methods: `share()`, [is.shared()], [unshare()] and [sharedObjectProperties()] are generic functions, for which packages
#'   may have S4 and S3 methods (see [share_proxy()]). `share(x, ...)` refuses arguments it does not know.
#' @param copyOnWrite `TRUE`: a change made to the object is seen by nobody else. `FALSE`: every assignment to it changes the shared
#'   memory, for every process that has it. Character vectors are always copy-on-write; for them `FALSE` gives a warning of class
#'   `cowshed_warning_strings`.
#' @param sharedSubset `TRUE`: `x[i]` is shared too. A contiguous range is a window on the same memory, without a copy.
#' @param sharedCopy `TRUE`: what R makes when it duplicates the object (as before the first assignment to a copy) is a new shared object.
#'   Has a meaning only together with `copyOnWrite = TRUE`.
#' @param sharedAttributes Whether attributes are shared too. `class`, `dim` and `tsp` never are;
#'   `names`, `row.names`, `levels` and `dimnames` are from 1,000 elements on. The slots of an S4 object that is no vector are no attributes.
#' @param mustWork `TRUE`: an object that cannot be shared is an error, also as an element, a slot, or bound in an environment. A function can be
#'   shared if its environments hold something that can.
#' @param minLength Vectors with fewer elements are not shared.
#' @param store A directory, or a file in one whose name ends with `.cowshed`: the object is put into a file there, in place of memory, and stays: see
#'   [openSharedFile()]. `NULL`: memory, or where `options(cowshed.store = )` says.
#' @return The shared object; an environment or function itself.
#' @section Errors: All inherit from `cowshed_error`. `cowshed_error_full`: no room in the store, or in the machine's or the container's
#'   memory, or in the budget of `options(cowshed.maxStore = )`; the message says how much was asked for and how much there is. `cowshed_error_store`: the store cannot be used. `cowshed_error_unshareable`: under `mustWork`.
#'   `cowshed_error_exists`: with `store`, the file is there already. `cowshed_error_argument`: an argument, or an option that stands for one, is wrong. Nothing is left behind, also after an interrupt.
#' @examples
#' x <- share(matrix(rnorm(1e4), 100))
#' identical(x, unshare(x))
#' is.shared(x)
#'
#' # a change is private ...
#' y <- x
#' y[1] <- 0
#' is.shared(y)
#' x[1] == y[1]
#'
#' # ... unless you want it to be seen by everybody
#' counter <- share(numeric(3), copyOnWrite = FALSE)
#' counter[2] <- 1
#' counter
#'
#' # what a function captured is shared where it is
#' total <- local({
#'   big <- rnorm(1e4)
#'   function() sum(big)
#' })
#' share(total)
#' is.shared(environment(total)$big)
#' length(serialize(total, NULL))
#'
#' \donttest{
#' # workers receive a reference
#' cl <- parallel::makeCluster(2)
#' parallel::clusterExport(cl, "x")
#' parallel::clusterEvalQ(cl, sum(x))
#' parallel::stopCluster(cl)
#' }
#' @export
setGeneric("share", function(x, ...) standardGeneric("share"), useAsDefault = function(x, ...) {
  if (!is.object(x)) return(share.default(x, ...))
  if (length(s3_table) > length(generics)) refresh_methods(x, "share")
  UseMethod("share")
})

#' @rdname share
#' @method share default
#' @export
share.default <- function(x, ..., copyOnWrite = NULL, sharedSubset = NULL, sharedCopy = NULL, sharedAttributes = NULL, mustWork = NULL,
                          minLength = NULL, store = NULL) {
  if (...length() > 0L) unknown_arguments(...names2(...), "share")
  .Call(cs_share, x, copyOnWrite, sharedSubset, sharedCopy, sharedAttributes, mustWork, minLength, store)
}

#' Turn a shared object into a plain one
#'
#' @param x An object.
#' @param ... For methods; `unshare()` refuses arguments it does not know.
#' @return The same value with nothing shared in it: a copy of what was shared, `x` itself if nothing was. Lists, pairlists, attributes and slots are
#'   unshared all the way down. Environments, also those of functions, are unshared in place; those that [share()] leaves alone are left alone.
#' @seealso [share()], [is.shared()]
#' @examples
#' x <- share(1:10)
#' y <- unshare(x)
#' is.shared(y)
#' identical(x, y)
#' @export
setGeneric("unshare", function(x, ...) standardGeneric("unshare"), useAsDefault = function(x, ...) {
  if (!is.object(x)) return(unshare.default(x, ...))
  if (length(s3_table) > length(generics)) refresh_methods(x, "unshare")
  UseMethod("unshare")
})

#' @rdname unshare
#' @method unshare default
#' @export
unshare.default <- function(x, ...) {
  if (...length() > 0L) unknown_arguments(...names2(...), "unshare")
  if (has_proxy(x)) return(unshare_by_proxy(x))
  .Call(cs_unshare, x)
}

#' Is an object shared?
#'
#' @param x An object.
#' @param ... For methods; `is.shared()` refuses arguments it does not know.
#' @param depth How far to look into lists, environments and S4 objects: 0 gives one answer, 1 one for each element, binding or slot, 2 also those of
#'   its elements, bindings and slots, and so on.
#' @param showAttributes Whether the answer has, for each attribute `name` of `x`, an attribute `nameShared`. (The slots of an S4 object are
#'   seen with `depth`.)
#' @return `TRUE` if `x` is in shared memory and unchanged, or, for a list, environment, function or S4 object, if anything in it is; else `FALSE`. An
#'   object that was changed under `copyOnWrite = TRUE` is not shared any more. Environments that [share()] leaves alone (the workspace, packages) are
#'   not looked into, active bindings not called and promises not forced. With a `depth` of 1 or more, lists, environments and S4 objects
#'   give a list with the names of their elements, bindings (sorted) or slots; the data of an S4 object that is a vector are its slot `.Data`.
#' @seealso [share()]
#' @examples
#' is.shared(1:10)
#' x <- share(1:10)
#' is.shared(x)
#' x[2] <- 0L
#' is.shared(x)
#'
#' l <- share(list(a = 1:3, b = as.symbol("x"), c = list(d = c("u", "v", "w"))))
#' is.shared(l)
#' is.shared(l, depth = 1)
#' is.shared(l, depth = 2)
#' is.shared(share(structure(1:3, note = 4:6)), showAttributes = TRUE)
#' @export
setGeneric("is.shared", function(x, ...) standardGeneric("is.shared"), useAsDefault = function(x, ...) {
  if (!is.object(x)) return(is.shared.default(x, ...))
  if (length(s3_table) > length(generics)) refresh_methods(x, "is.shared")
  UseMethod("is.shared")
})

#' @rdname is.shared
#' @method is.shared default
#' @export
is.shared.default <- function(x, ..., depth = 0, showAttributes = FALSE) {
  if (...length() > 0L) unknown_arguments(...names2(...), "is.shared")
  depth <- check_count("depth", depth)
  x <- stand_in(x)
  answer <- shared_parts(x, depth)
  if (check_flag("showAttributes", showAttributes) && !isS4(x)) {
    given <- attributes(x)
    for (name in names(given)) attr(answer, paste0(name, "Shared")) <- shared_parts(given[[name]], max(depth - 1, 0))
  }
  answer
}

shared_parts <- function(x, depth) {
  if (depth > 0) x <- stand_in(x)
  if (depth == 0 || !has_parts(x) || !isS4(x) && length(x) == 0L) return(.Call(cs_is_shared, x))
  shared_in(x, depth - 1)
}

shared_in <- function(x, depth) {
  of_parts(x, function(part) shared_parts(part, depth), function(data) !is.null(getCopyOnWrite(data)))
}

...names2 <- function(...) {
  given <- names(list(...))
  if (is.null(given)) rep("", ...length()) else given
}

unknown_arguments <- function(given, function_name) {
  given[given == ""] <- "(unnamed)"
  stop(errorCondition(
    paste0(function_name, "() does not know the argument", if (length(given) > 1L) "s", " ", paste0("`", given, "`", collapse = ", "),
           "; see ?", function_name, " for those it knows"),
    class = c("cowshed_error_argument", "cowshed_error"), call = sys.call(-2L)
  ))
}
