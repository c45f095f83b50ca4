# x^0, x^1, ..., n of them, as a virtual vector.
powers <- function(x, n) .Call(C_powers, as.double(x), as.double(n))
