# What the package promises, as R CMD check runs it.
library(rdoor)
library(cowshed)

s <- share(series(as.POSIXct("2024-01-01", tz = "UTC") + 1:3, c(1.5, 2.5, 3.5)))
stopifnot(is.shared(s), !is.shared(s$times), identical(s$values, c(1.5, 2.5, 3.5)))

plain <- Lookup(c("a", "b", "c", "d"), c(1, 2, 3, 4))
l <- share(plain)
stopifnot(is.shared(l@values), is.shared(l@keys), l[["c"]] == 3, !is.shared(plain))
stopifnot(is.shared(share(list(1, plain))[[2]]@values))

q <- share(quantiles(c(5, 3, 1, 2, 4)))
stopifnot(is.shared(q), q(0.5) == 3)

if (requireNamespace("R6", quietly = TRUE)) {
  a <- share(account("me", c(10, 20, 30)))
  stopifnot(is.shared(a), is.shared(a$amounts), a$balance() == 60)
}
