# Random numbers: each element has a stream of its own (L'Ecuyer's combined multiple-recursive generator), whichever worker comes to it.
#
# - Element i has the ith of the streams that parallel::nextRNGStream() gives after the root: 2^127 numbers apart.
# - In the worker `.Random.seed` is a promise: who draws no numbers pays nothing.

# The stream before the first: of the seed, or of one that is drawn from the session's generator. NULL for FALSE.
root_stream <- function(seed) {
  if (isFALSE(seed)) return(NULL)
  if (isTRUE(seed)) seed <- sample.int(.Machine$integer.max, 1L)
  kinds <- RNGkind()
  before <- current_seed()
  on.exit({
    suppressWarnings(RNGkind(kinds[[1L]], kinds[[2L]], kinds[[3L]]))
    set_seed(before)
  })
  RNGkind("L'Ecuyer-CMRG")
  set.seed(seed)
  current_seed()
}

current_seed <- function() globalenv()[[".Random.seed"]]

set_seed <- function(seed) {
  if (!is.null(seed)) {
    assign(".Random.seed", seed, globalenv())
  } else if (exists(".Random.seed", globalenv(), inherits = FALSE)) {
    rm(list = ".Random.seed", envir = globalenv())
  }
}

# Of one job in one worker: `root`, and `seed`, which is the stream of element `at`.
new_streams <- function(root) {
  # Not while `.Random.seed` is being made: it draws a number when it is loaded.
  loadNamespace("parallel")
  list2env(list(root = root, at = 0, seed = root), parent = emptyenv())
}

stream_of <- function(streams, i) {
  if (i < streams$at) {
    streams$at <- 0
    streams$seed <- streams$root
  }
  while (streams$at < i) {
    streams$seed <- parallel::nextRNGStream(streams$seed)
    streams$at <- streams$at + 1
  }
  streams$seed
}
