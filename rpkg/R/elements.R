# What FUN is given: rows and columns, one after the other, as apply() gives them, and elements as lapply() does.

# A function of i that gives the element i, for `from` to `to`.
taker <- function(job, from, to, items) {
  if (is.null(job$margin)) return(function(i) items[[i - from + 1]])
  x <- job$X
  if (is.data.frame(x)) return(frame_columns(x))
  plain <- is.atomic(x) && !is.object(x) && !is.character(x) && ncol(x) > 0L
  if (!plain) return(blocks(x, job$margin, to))
  if (job$margin == 2L) matrix_columns(x) else matrix_rows(x, to)
}

# Both give the same vector again and again, written anew, as long as nobody else refers to it.
matrix_columns <- function(x) {
  rows <- nrow(x)
  names <- dimnames(x)[[1L]]
  v <- NULL
  function(i) v <<- .Call(cs_slice, x, (i - 1) * rows, rows, names, v)
}

matrix_rows <- function(x, to) {
  columns <- ncol(x)
  names <- dimnames(x)[[2L]]
  size <- block_size(columns)
  first <- last <- 0
  block <- v <- NULL
  function(i) {
    if (i < first || i > last) {
      first <<- i
      last <<- min(i + size - 1, to)
      block <<- .Call(cs_rows, x, nrow(x), first - 1, last - first + 1, block)
    }
    v <<- .Call(cs_slice, block, (i - first) * columns, columns, names, v)
  }
}

# So many rows of that length are taken at a time.
block_size <- function(length) max(1, floor(2.5e5 / max(length, 1)))

# As as.matrix() makes them: rows that were never given names have none.
frame_columns <- function(x) {
  names <- if (.row_names_info(x) > 0L) row.names(x)
  function(i) {
    v <- x[[i]]
    if (!is.null(attributes(v))) attributes(v) <- NULL
    if (!is.null(names)) names(v) <- names
    v
  }
}

# Of what is no plain matrix: a method of a class is dear, so it is called for several rows or columns. These have no class, as with apply().
blocks <- function(x, margin, to) {
  across <- dim(x)[[3L - margin]]
  size <- block_size(across)
  names <- dimnames(x)[[3L - margin]]
  first <- last <- 0
  block <- NULL
  function(i) {
    if (i < first || i > last) {
      first <<- i
      last <<- min(i + size - 1, to)
      block <<- as.matrix(if (margin == 1L) x[first:last, , drop = FALSE] else x[, first:last, drop = FALSE])
      attributes(block) <<- list(dim = dim(block))
    }
    k <- i - first + 1
    v <- if (margin == 1L) block[k, ] else block[, k]
    if (!is.null(names)) names(v) <- names
    v
  }
}
