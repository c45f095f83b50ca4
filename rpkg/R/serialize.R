# Whether the serialize() under way wants the data rather than a reference: called by the library, once for each shared vector.
#
# saveRDS() and sending to a worker look the same from below, so the function that serializes decides: the innermost on the call stack.
# Those further out do not: in `saveRDS(parLapply(cl, ...), file)` the sending happens within saveRDS(), which has yet to look at its
# argument. Functions are compared as functions: names do not tell (`lapply(l, saveRDS, f)` shows FUN).
wants_data <- function() {
  innermost <- sys.nframe() - 1L
  if (innermost < 1L) return(FALSE)
  f <- sys.function(innermost)
  for (saver in savers$functions) if (identical(f, saver)) return(TRUE)
  FALSE
}

# Functions that keep what they serialize, or look at it as a value.
savers <- new.env(parent = emptyenv())
savers$functions <- list(base::saveRDS, base::save)

add_saver <- function(package, name) {
  add <- function(...) {
    f <- get0(name, asNamespace(package), inherits = FALSE)
    if (is.function(f)) savers$functions <- c(savers$functions, f)
  }
  if (isNamespaceLoaded(package)) add() else setHook(packageEvent(package, "onLoad"), add)
}
