# A double vector as runs of equal values: list(values, ends), where ends are the positions of the last element of each run.

runs <- function(x) {
  r <- rle(as.double(x))
  structure(list(values = r$values, ends = cumsum(r$lengths)), class = "runs")
}

# All elements, made when they are read.
expanded <- function(x) .Call(rustdoor_expanded, .subset2(x, "values"), .subset2(x, "ends"))

# Those that go wrong.
troubled <- function(trouble, length = 5000) .Call(rustdoor_troubled, trouble, length)
keep <- function(x) .Call(rustdoor_keep, x)
dropped <- function() .Call(rustdoor_dropped)

length.runs <- function(x) {
  ends <- .subset2(x, "ends")
  if (length(ends) > 0L) ends[[length(ends)]] else 0L
}

as.double.runs <- function(x, ...) rep.int(.subset2(x, "values"), diff(c(0L, .subset2(x, "ends"))))

sum.runs <- function(x, ..., na.rm = FALSE) sum(.subset2(x, "values") * diff(c(0L, .subset2(x, "ends"))), ..., na.rm = na.rm)

.onUnload <- function(libpath) library.dynam.unload("rustdoor", libpath)
