# What test-gctorture.R does in processes of their own, which valgrind does not see: the whole surface while R collects all the time.

base <- tempfile("cowshed-valgrind-", "/dev/shm")
dir.create(base, mode = "0700")
options(cowshed.store = base)
library(cowshed)

wanted <- c("exercise", "elsewhere_and_back")
for (line in parse("rpkg/tests/testthat/test-gctorture.R", keep.source = FALSE)) {
  if (identical(line[[1]], as.name("<-")) && as.character(line[[2]]) %in% wanted) eval(line)
}

expected <- exercise(base)
# Each collection takes a while here.
for (step in c(11, 53)) {
  gctorture2(step)
  result <- exercise(base)
  gctorture2(0)
  if (!identical(result, expected)) stop("another result with gctorture2(", step, ")")
}
unlink(base, recursive = TRUE)
cat("torture: all as it should be\n")
