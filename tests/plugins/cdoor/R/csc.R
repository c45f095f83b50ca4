# A sparse matrix in compressed columns: row numbers and values of what is not zero, column after column, and where each column begins. All
# are counted from 0.

csc <- function(m) {
  at <- which(m != 0, arr.ind = TRUE)
  structure(
    list(rows = at[, 1] - 1L, begins = as.integer(c(0, cumsum(tabulate(at[, 2], ncol(m))))), values = as.double(m[m != 0]), dim = dim(m)),
    class = "csc"
  )
}

dim.csc <- function(x) .subset2(x, "dim")

as.matrix.csc <- function(x, ...) {
  x <- unclass(x)
  m <- matrix(0, x$dim[1], x$dim[2])
  m[cbind(x$rows + 1L, rep(seq_len(x$dim[2]), diff(x$begins)))] <- x$values
  m
}

# x %*% v
csc_multiply <- function(x, v) .Call(C_multiply, x, as.double(v))

.onUnload <- function(libpath) library.dynam.unload("cdoor", libpath)
