# Virtual vectors: sums without a pointer and through one, beside a loop that makes the same sequence in a small buffer and sums it; single touches, and
# what all of it takes of memory.

run <- function(group) {
  n <- 2^29
  loop <- function() limits$generate(n, 1, 1)
  x <- wrap_altrep(as.double(1:2^20))
  stopifnot(sum(x) == limits$generate(2^20, 1, 1), limits$pointer_sum(x) == sum(x))

  v <- sequence_of(n)
  ratios(group, "sum(v) of 4 GB, no pointer", times(list(`loop in a small buffer` = loop, cowshed = function() sum(v))), wanted = 2)
  ratios(group, "max(v) of 4 GB, no pointer", times(list(`loop in a small buffer` = loop, cowshed = function() max(v))), wanted = 2)
  r <- virtualVector(2^24, "double", function(offset, length) as.double(seq.int(offset + 1, length.out = length)))
  ratios(group, "sum(v) of 128 MB, an R function", times(list(
    `loop in a small buffer` = function() limits$generate(2^24, 1, 1), cowshed = function() sum(r)
  )))

  through <- prepared(function() sequence_of(n), function(v) limits$pointer_sum(v))
  # The way by a file system in user space: 2.3 GB/s where the loop does 19.
  seconds <- times(list(`loop in a small buffer` = loop, cowshed = through))
  ratios(group, "sum through the pointer of 4 GB", seconds, wanted = 19 / 2.3)
  figure(group, "sum through the pointer of 4 GB", "GB/s", list(cowshed = 8 * n / seconds[, "cowshed"] / 1e9))
  seconds <- times(list(cowshed = prepared(function() sequence_of(64 * 2^30), function(v) limits$pointer_random(v, 1e5))))
  figure(group, "a touch at random, of 512 GB", "us", list(cowshed = seconds[, "cowshed"] / 1e5 * 1e6), wanted = 15)
  seconds <- times(list(cowshed = prepared(function() sequence_of(64 * 2^30), function(v) limits$pointer_random(v, 1e5, TRUE))))
  figure(group, "a write at random, of 512 GB", "us", list(cowshed = seconds[, "cowshed"] / 1e5 * 1e6))
  figure(group, "first write to 512 GB", "us", list(cowshed = times(list(cowshed = prepared(function() sequence_of(64 * 2^30), function(v) {
    v[1] <- 10
  })), 11L)[, 1] * 1e6))

  highest <- with_worker(function(worker) there(worker, passes, n, limits_library()))
  figure(group, "most memory in a pass through 4 GB, beyond cap", "MB", list(cowshed = highest), wanted = 16 * 1.048576)
}

# Doubles, without their numbers in memory.
sequence_of <- function(n) wrap_altrep(as.double(1:n))

# ---- in the worker ----

# Megabytes by which the most memory that the process ever had grew beyond its pages' limit.
passes <- function(n, library) {
  source("benches/limits.R")
  load_limits(library)
  most <- function() as.numeric(gsub("[^0-9]", "", grep("^VmHWM:", readLines("/proc/self/status"), value = TRUE))) * 1024
  v <- cowshed::wrap_altrep(as.double(1:n))
  limits$pointer_random(cowshed::wrap_altrep(1:(64 * 2^30)), 1)
  before <- most()
  limits$pointer_sum(v)
  (most() - before - 64 * 2^20) / 1e6
}
