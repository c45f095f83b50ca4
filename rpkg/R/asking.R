# What `...` of sharedObjectProperties() and sharedObjectPkgOptions() asks for: a list of `get`, names, and `set`, a named list of values.
#
# `expressions` are those of `...`, which comes along for their values. Literally, a symbol stands for itself. No closure is made here: one
# would keep the caller's object referenced, and the next assignment to it would be made to a copy.
asked_for <- function(expressions, literal, ...) {
  literal <- check_flag("literal", literal)
  names <- names(expressions)
  get <- character()
  set <- list()
  for (i in seq_along(expressions)) {
    if (!is.null(names) && names[[i]] != "") {
      set[names[[i]]] <- list(...elt(i))
    } else if (literal && is.symbol(expressions[[i]])) {
      get <- c(get, as.character(expressions[[i]]))
    } else {
      get <- c(get, check_names(...elt(i), "..."))
    }
  }
  list(get = if (length(get) > 0L) get, set = set)
}

check_names <- function(x, what) {
  if (is.null(x) || is.character(x) && !anyNA(x)) return(x)
  refuse(sprintf("`%s` must be names, not %s", what, if (is.character(x)) "NA" else paste("an object of class", class(x)[[1L]])))
}

# A whole number of at least 0, or an error that names the argument.
check_count <- function(name, value) {
  if (is.null(value)) refuse(sprintf("`%s` must be one whole number of 0 or more, not NULL", name))
  .Call(cs_check_count, name, value)
}

# TRUE or FALSE, or an error that names the argument.
check_flag <- function(name, value) {
  if (is.null(value)) refuse(sprintf("`%s` must be TRUE or FALSE, not NULL", name))
  .Call(cs_check_flag, name, value)
}

# An error of an argument, in the name of the exported function that was called.
refuse <- function(message) {
  stop(errorCondition(message, class = c("cowshed_error_argument", "cowshed_error")))
}
