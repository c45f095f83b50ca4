# The parts of lists, environments and S4 objects.

has_parts <- function(x) isS4(x) || is.list(x) || !is.null(bindings(x))

# What is bound in an environment, in a list of the names: NULL where looking would run something, as with an active binding. NULL for one that
# share() leaves alone, and for what is no environment.
bindings <- function(x) if (typeof(x) == "environment") .Call(cs_bindings, x)

# What `f` says of each element of a list, binding of an environment, or slot of an S4 object, in a list of their names. The slot .Data, if it
# is a vector, is for `data`, which gets `x` itself: x@.Data would be a copy.
of_parts <- function(x, f, data) {
  if (typeof(x) == "environment") return(lapply(bindings(x), f))
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
