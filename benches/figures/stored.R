# Objects in files that stay: written, opened, read, checked, and filled piece by piece.
#
# The physical limit of writing is a bare pwrite() of the same bytes to a new file in the same directory, and fsync(); of reading, a pass through a mapping of the same file in
# Rust. Files are in the page cache when they are read: the disk is the same for all.

run <- function(group, mb = 800) {
  dir <- tempfile("stored-")
  dir.create(dir)
  on.exit(unlink(dir, recursive = TRUE))
  x <- rnorm(1e6) + numeric(mb * 1e6 / 8)
  writing(group, dir, x, mb)
  reading(group, dir, x, mb)
  filling(group, dir, mb)
}

writing <- function(group, dir, x, mb) {
  new <- function(ending) file.path(dir, paste0("new", ending))
  gone <- function(...) function() unlink(file.path(dir, "new*"))
  writes <- list(
    `pwrite(), fsync()` = function() limits$write_synced(x, dir),
    `saveRDS()` = prepared(gone(), function(...) saveRDS(x, new(".rds"), compress = FALSE)),
    cowshed = prepared(gone(), function(...) cowshed::share(x, store = new(".cowshed")))
  )
  if (has_bigmemory()) {
    writes$bigmemory <- prepared(gone(), function(...) {
      m <- bigmemory::filebacked.big.matrix(length(x), 1, backingfile = "new.bin", descriptorfile = "new.desc", backingpath = dir)
      m[, 1] <- x
      bigmemory::flush(m)
    })
  }
  ratios(group, paste("written,", mb, "MB"), times(writes, rounds = 5L), against = names(writes)[1:2], wanted = c(1.3, NA))
  gone()()
}

reading <- function(group, dir, x, mb) {
  file <- file.path(dir, "x.cowshed")
  rds <- file.path(dir, "x.rds")
  cowshed::share(x, store = file)
  saveRDS(x, rds, compress = FALSE)
  firsts <- list(`readRDS()` = function() readRDS(rds)[[1]], cowshed = function() cowshed::openSharedFile(file)[[1]])
  sums <- list(
    `mapped in Rust` = function() limits$map_sum(file, 4096, length(x)), `sum() of a plain one` = function() sum(x),
    cowshed = function() sum(cowshed::openSharedFile(file))
  )
  if (has_bigmemory()) {
    m <- bigmemory::filebacked.big.matrix(length(x), 1, backingfile = "x.bin", descriptorfile = "x.desc", backingpath = dir)
    m[, 1] <- x
    rm(m)
    description <- file.path(dir, "x.desc")
    firsts$bigmemory <- function() bigmemory::attach.big.matrix(description)[1, 1]
    sums$bigmemory <- function() sum(bigmemory::attach.big.matrix(description)[, 1])
  }
  seconds <- times(firsts, rounds = 5L)
  ratios(group, paste("opened, and one element read,", mb, "MB"), seconds)
  figure(group, "opened, and one element read", "us", list(cowshed = seconds[, "cowshed"] * 1e6))
  ratios(group, paste("opened, and summed,", mb, "MB"), times(sums, rounds = 5L), against = names(sums)[1:2], wanted = c(NA, 1.3))
  checks <- list(`read()` = function() bytes_read(file), cowshed = function() cowshed::verifySharedFile(file))
  ratios(group, paste("checked,", mb, "MB"), times(checks, rounds = 5L))
}

filling <- function(group, dir, mb, columns = 100L) {
  n <- mb * 1e6 / 8 / columns
  column <- rnorm(n)
  name <- function(ending) file.path(dir, paste0("fill", ending))
  gone <- function() unlink(file.path(dir, "fill*"))
  fill <- function(m) for (j in seq_len(columns)) m[, j] <- column
  fills <- list(
    `matrix in memory` = function() {
      m <- matrix(0, n, columns)
      for (j in seq_len(columns)) m[, j] <- column
    },
    cowshed = prepared(gone, function(...) fill(cowshed::SharedObject("numeric", n * columns, list(dim = c(n, columns)), store = name(".cowshed"))))
  )
  if (has_bigmemory()) {
    fills$bigmemory <- prepared(gone, function(...) {
      fill(bigmemory::filebacked.big.matrix(n, columns, backingfile = "fill.bin", descriptorfile = "fill.desc", backingpath = dir))
    })
  }
  ratios(group, paste("filled by", columns, "columns,", mb, "MB"), times(fills, rounds = 5L))
  gone()
}

bytes_read <- function(file) {
  con <- file(file, "rb", raw = TRUE)
  on.exit(close(con))
  while (length(readBin(con, "raw", 2^20)) > 0L) {}
}

has_bigmemory <- function() requireNamespace("bigmemory", quietly = TRUE)
