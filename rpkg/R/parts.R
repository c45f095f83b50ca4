# The parts of lists and S4 objects.

has_parts <- function(x) isS4(x) || is.list(x)

# What `f` says of each element of a list, or slot of an S4 object, in a list of their names. The slot .Data, if it is a vector, is for
# `data`, which gets `x` itself: x@.Data would be a copy.
of_parts <- function(x, f, data) {
  if (!isS4(x)) return(lapply(elements(x), f))
  slots <- methods::slotNames(x)
  lapply(stats::setNames(slots, slots), function(slot) {
    if (slot != ".Data") f(methods::slot(x, slot)) else if (is.list(x)) f(elements(x)) else data(x)
  })
}

# As they are, whatever methods a class has for looking at them.
elements <- function(x) {
  plain <- unclass(x)
  stats::setNames(lapply(seq_along(plain), function(i) .subset2(plain, i)), names(plain))
}
