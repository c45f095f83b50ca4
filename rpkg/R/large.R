# What is large enough to be shared, on its way to a worker and back; and values that are written in place.

# A list with its large elements in shared memory, in one segment.
share_large <- function(values) {
  large <- are_large(values)
  if (any(large)) values[large] <- share_now(values[large])
  values
}

are_large <- function(values) {
  large <- lengths(values) >= large_length | vapply(values, is.recursive, TRUE)
  large[large] <- vapply(values[large], weighs, TRUE, large_length)
  large
}

# Elements of the large ones.
large_elements <- function(values) sum(vapply(values[are_large(values)], elements_in, 0, Inf))

# Elements from which on an object is sent as a reference.
large_length <- 2048

# A list with all in it shared. What is shared already keeps its flags, which arguments of share() would change, also where a function captured it.
share_now <- function(list) {
  old <- options(cowshed.copyOnWrite = TRUE, cowshed.sharedSubset = FALSE, cowshed.sharedCopy = FALSE, cowshed.sharedAttributes = TRUE,
                 cowshed.mustWork = FALSE, cowshed.minLength = 3)
  on.exit(options(old))
  shared <- share(list)
  for (i in seq_along(list)) if (!is.null(list[[i]])) list[[i]] <- shared[[i]]
  list
}

# Whether so many elements are in `x`, at any depth.
weighs <- function(x, enough) elements_in(x, enough) >= enough

elements_in <- function(x, enough) {
  if (is.function(x) || is.environment(x)) return(0)
  if (isS4(x)) x <- attributes(x)
  if (!is.list(x)) return(length(x))
  n <- 0
  for (part in x) {
    n <- n + elements_in(part, enough - n)
    if (n >= enough) break
  }
  n
}

# Writes through: `out` is a shared vector, with an element for each value, or a matrix with a column.
put_value <- function(out, i, value) {
  columns <- length(dim(out)) == 2L
  room <- if (columns) nrow(out) else 1L
  if (!is.atomic(value) || length(value) != room) {
    stop(sprintf("FUN gave %s, and `out` has room for %s here", shape_of(value), shape_of(out[seq_len(room)])))
  }
  if (match(typeof(value), ranks, 99L) > match(typeof(out), ranks)) {
    stop(sprintf("FUN gave %s, which `out`, of type %s, cannot hold", shape_of(value), typeof(out)))
  }
  if (columns) out[, i] <- value else out[[i]] <- value
  out
}

# R turns `out` into the type of what is assigned if that is of a later one.
ranks <- c("raw", "logical", "integer", "double", "complex", "character")

shape_of <- function(x) {
  if (!is.atomic(x)) return(paste("an object of class", class(x)[[1L]]))
  sprintf("%d element%s of type %s", length(x), if (length(x) == 1L) "" else "s", typeof(x))
}
