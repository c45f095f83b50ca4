#' What a shared object says of itself
#'
#' `sharedObjectProperties()` reads properties of a shared object and sets its flags. Without any property it gives all of them.
#'
#' @details
#' The properties of a raw, logical, integer, double or complex vector:
#'
#' - `dataId`: the name of its shared memory, as in [listSharedObjects()]. What is a part of something larger that was shared as a whole has
#'   a `:` and a number behind it.
#' - `length`: in elements.
#' - `totalSize`: in bytes.
#' - `dataType`: R's number of its type, an integer (10 logical, 13 integer, 14 double, 15 complex, 16 character, 24 raw).
#' - `ownData`: whether this process put it into shared memory.
#' - `copyOnWrite`, `sharedSubset`, `sharedCopy`: the flags, see [share()].
#'
#' A character vector has `length`, `unitSize`, `totalSize`, `dataType`, `uniqueChar` and `copyOnWrite`: `uniqueChar` is how many different
#' strings there are (`NA` is one of them), `unitSize` is 1 if they are at most 256, 2 if they are at most 65,536, and else 4,
#' and `totalSize` is `length * unitSize`. `dataId`, `ownData` and the other flags are there when asked for by name.
#'
#' Of a list the answer is a list with the answer for each element, `NULL` for one that is not shared; of an S4 object, for each slot in the
#' order of [methods::slotNames()]; of an environment, for each binding, sorted, with `NULL` for an environment within itself and for those
#' that [share()] leaves alone. Setting sets it for each of them.
#'
#' @param x An object.
#' @param ... Names of properties to read, as they are or as strings; or `name = value` to set. One call does either.
#' @param literal `FALSE`: names of properties are in variables, whose values are looked up.
#' @param property A character vector, or `NULL` for all.
#' @param value `TRUE` or `FALSE`, one, or one for each property.
#' @return
#' Reading one property gives its value, reading several a named list; a name that is no property's gives an empty list. Setting gives the
#' old value, or a named list of several, invisibly. What is not shared gives `NULL`.
#' @section Errors: All are `cowshed_error_argument`: reading and setting in one call, setting what is no property or is read-only (all
#'   but the flags), and values other than `TRUE` and `FALSE`.
#' @seealso [getCopyOnWrite()] and the like for single flags.
#' @examples
#' x <- share(1:10)
#' sharedObjectProperties(x)
#' sharedObjectProperties(x, length)
#' sharedObjectProperties(x, "length", "copyOnWrite")
#' wanted <- c("dataType", "totalSize")
#' sharedObjectProperties(x, wanted, literal = FALSE)
#'
#' sharedObjectProperties(x, sharedSubset = TRUE)
#' is.shared(x[2:6])
#'
#' sharedObjectProperties(list(a = x, b = 5), length)
#' sharedObjectProperties(share(c("u", "v", "u", "v")))
#' @export
setGeneric("sharedObjectProperties", function(x, ...) standardGeneric("sharedObjectProperties"), useAsDefault = function(x, ...) {
  if (!is.object(x)) return(sharedObjectProperties.default(x, ...))
  if (length(s3_table) > length(generics)) refresh_methods(x, "sharedObjectProperties")
  UseMethod("sharedObjectProperties")
})

#' @rdname sharedObjectProperties
#' @method sharedObjectProperties default
#' @export
sharedObjectProperties.default <- function(x, ..., literal = TRUE) {
  asked <- asked_for(as.list(substitute(list(...)))[-1L], literal, ...)
  if (length(asked$get) > 0L && length(asked$set) > 0L) {
    refuse("You cannot get and set the properties of a shared object at the same time")
  }
  x <- stand_in(x)
  if (length(asked$set) > 0L) {
    check_settable(asked$set)
    invisible(of_vectors(x, set_properties, asked$set))
  } else {
    of_vectors(x, get_properties, asked$get)
  }
}

#' @rdname sharedObjectProperties
#' @export
getSharedObjectProperty <- function(x, property = NULL) {
  if (!is.null(property)) check_names(property, "property")
  of_vectors(x, get_properties, property)
}

#' @rdname sharedObjectProperties
#' @export
setSharedObjectProperty <- function(x, property, value) {
  check_names(property, "property")
  values <- stats::setNames(rep_len(as.list(value), length(property)), property)
  check_settable(values)
  invisible(of_vectors(x, set_properties, values))
}

# `f(x, argument)` of a vector; of a list, environment or S4 object, what `f` says of all that is in it. `within` are the environments that
# `x` was found in: what contains itself is looked into once.
of_vectors <- function(x, f, argument, within = list()) {
  if (has_parts(x)) of_vectors_in(x, f, argument, within) else f(x, argument)
}

of_vectors_in <- function(x, f, argument, within) {
  if (typeof(x) == "environment") {
    for (outer in within) if (identical(x, outer)) return(NULL)
    within <- c(within, x)
  }
  of_parts(x, function(part) of_vectors(part, f, argument, within), function(data) f(data, argument))
}

properties <- function(x) .Call(cs_properties, x)

# A character vector's, when nobody asks for a special one.
summary_of_strings <- c("length", "unitSize", "totalSize", "dataType", "uniqueChar", "copyOnWrite")

get_properties <- function(x, names) {
  found <- properties(x)
  if (is.null(found)) return(NULL)
  if (is.null(names)) return(if (typeof(x) == "character") found[summary_of_strings] else found)
  known <- found[names[names %in% names(found)]]
  if (length(names) == 1L && length(known) == 1L) return(known[[1L]])
  if (length(known) == 0L) list() else known
}

set_properties <- function(x, values) {
  if (is.null(properties(x))) return(NULL)
  # A loop: a closure would keep `x` referenced, as in asked_for().
  old <- values
  for (name in names(values)) old[[name]] <- set_flag(x, flag_bits[[name]], values[[name]])
  if (length(old) == 1L) old[[1L]] else old
}

read_only <- c("dataId", "length", "unitSize", "totalSize", "dataType", "uniqueChar", "ownData")

check_settable <- function(values) {
  for (name in names(values)) {
    if (name %in% read_only) refuse(sprintf("The property '%s' is read-only; only flags can be set: %s", name, toString(names(flag_bits))))
    if (!name %in% names(flag_bits)) refuse(sprintf("The property '%s' is not found", name))
    check_flag(name, values[[name]])
  }
}
