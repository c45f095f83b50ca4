# share() itself: what it costs to put a vector into shared memory.
#
# The physical limit of a large vector is a bare pwrite() of the same bytes into a new file in the store; of a small one, what the kernel takes
# for a file that is made, named and removed.

run <- function(group) {
  store <- cowshed:::store_path()
  able <- systems()
  for (mb in c(8, 80, 800)) {
    x <- rnorm(1e6) + numeric(mb * 1e6 / 8)
    shares <- lapply(able, function(system) function() system$share(x))
    # bigmemory takes as long as all others together.
    if (mb > 80) shares$bigmemory <- NULL
    bare <- list(`pwrite()` = function() limits$write(x, store), `x + 0` = function() x + 0)
    seconds <- times(c(bare, shares), rounds = if (mb == 800) 5L else 11L)
    ratios(group, paste("double vector,", mb, "MB"), seconds, against = names(bare), wanted = if (mb == 800) c(1.15, 0.82) else NA)
  }
  x <- as.numeric(1:100)
  bare <- list(`file made and removed` = function() limits$small(x, store))
  shares <- lapply(able, function(system) function() system$share(x))
  seconds <- times(c(bare, shares), rounds = 11L, each = 200L)
  ratios(group, "length 100", seconds)
  figure(group, "length 100", "us", in_microseconds(seconds[, names(able), drop = FALSE]), wanted = 10)

  # What an R method costs: the same vector, through one that strips its class.
  assign("share.benchmarked", function(x, ...) cowshed::share(unclass(x), ...), globalenv())
  y <- structure(x, class = "benchmarked")
  seconds <- times(list(default = function() cowshed::share(x), method = function() cowshed::share(y)), rounds = 11L, each = 200L)
  figure(group, "an S3 method of share(), beyond the default", "us", list(cowshed = (seconds[, "method"] - seconds[, "default"]) * 1e6), wanted = 5)
}

in_microseconds <- function(seconds) lapply(setNames(nm = colnames(seconds)), function(name) seconds[, name] * 1e6)
