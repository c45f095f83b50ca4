# An S3 class with a method of share(): what share(x) of it means is said with calls of share().

# Values at times. `cache` is where results are remembered, and nothing to share.
series <- function(times, values) {
  structure(list(times = times, values = values, cache = new.env(parent = emptyenv())), class = "series")
}

# The times are few and looked at all the time: only the values are worth it. The new series has a cache of its own.
share.series <- function(x, ...) {
  x$values <- share(x$values, ...)
  x$cache <- new.env(parent = emptyenv())
  x
}

is.shared.series <- function(x, ...) is.shared(x$values, ...)
