# x^0, x^1, ..., n of them, as a virtual vector.
powers <- function(x, n) .Call(C_powers, as.double(x), as.double(n))

# All of them.
endless <- function(x) .Call(C_endless, as.double(x))
