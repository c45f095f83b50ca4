# Random numbers in memApply() and memLapply(): the same whoever draws them.

skip_on_os("windows")

test_that("the numbers depend on the seed alone, not on workers or pieces", {
  with_cluster(3, function(cl) {
    f <- function(i) c(rnorm(2), runif(1), sample.int(100, 1))
    draw <- function(...) {
      set.seed(42)
      memLapply(1:23, f, ...)
    }
    expected <- draw(CLUSTER = cl)
    expect_identical(draw(CLUSTER = cl[1]), expected)
    expect_identical(draw(CLUSTER = cl, chunk = 1), expected)
    expect_identical(draw(CLUSTER = cl[1:2], chunk = 10), expected)
    expect_false(anyDuplicated(vapply(expected, `[[`, 0, 1)) > 0)
    # The streams are parallel's own.
    root <- cowshed:::root_stream(7)
    got <- memLapply(1:3, function(i) runif(2), seed = 7, CLUSTER = cl)
    for (i in 1:3) {
      root <- parallel::nextRNGStream(root)
      assign(".Random.seed", root, globalenv())
      expect_identical(got[[i]], runif(2))
    }
  })
})

test_that("elements without random numbers between others change nothing, nor does an error before", {
  with_cluster(2, function(cl) {
    some <- memLapply(1:20, function(i) if (i %% 3 == 0) rnorm(1), seed = 1, CLUSTER = cl)
    all <- memLapply(1:20, function(i) rnorm(1), seed = 1, CLUSTER = cl)
    expect_identical(some[c(3, 6, 18)], all[c(3, 6, 18)])
    failed <- suppressWarnings(memLapply(1:20, function(i) {
      x <- rnorm(1)
      if (i == 5) stop("no") else x
    }, seed = 1, errors = "collect", CLUSTER = cl))
    expect_identical(failed[-5], all[-5])
  })
})

test_that("the session's generator moves on if numbers were drawn, and only then", {
  with_cluster(2, function(cl) {
    set.seed(1)
    before <- .Random.seed
    memLapply(1:4, identity, CLUSTER = cl)
    expect_identical(.Random.seed, before)
    first <- memLapply(1:4, function(i) rnorm(1), CLUSTER = cl)
    expect_false(identical(.Random.seed, before))
    expect_false(identical(memLapply(1:4, function(i) rnorm(1), CLUSTER = cl), first))
    set.seed(1)
    expect_identical(memLapply(1:4, function(i) rnorm(1), CLUSTER = cl), first)
    before <- .Random.seed
    a <- memLapply(1:4, function(i) rnorm(1), seed = 3, CLUSTER = cl)
    expect_identical(.Random.seed, before)
    expect_identical(memLapply(1:4, function(i) rnorm(1), seed = 3, CLUSTER = cl), a)
  })
})

test_that("a session that has drawn nothing yet is left so, and kinds of generators are kept", {
  ended <- run_r({
    library(cowshed)
    memLapply(1:2, identity, MAX.CORES = 1)
    none <- exists(".Random.seed", globalenv())
    memLapply(1:2, function(i) rnorm(1), seed = 5, MAX.CORES = 1)
    still <- exists(".Random.seed", globalenv())
    kinds <- RNGkind()
    RNGkind("Wichmann-Hill", "Box-Muller")
    a <- memLapply(1:2, function(i) { k <- RNGkind(); c(k[1:2]) }, MAX.CORES = 1)
    answer(list(none = none, still = still, kinds = kinds, a = a, after = RNGkind()))
  })
  expect_ended_well(ended)
  expect_false(ended$answer$none)
  expect_false(ended$answer$still)
  expect_identical(ended$answer$kinds[[1]], "Mersenne-Twister")
  expect_identical(ended$answer$a[[1]], c("L'Ecuyer-CMRG", "Box-Muller"))
  expect_identical(ended$answer$after[1:2], c("Wichmann-Hill", "Box-Muller"))
})

test_that("seed = FALSE leaves the workers their own", {
  with_cluster(2, function(cl) {
    parallel::clusterSetRNGStream(cl, 9)
    a <- memLapply(1:2, function(i) rnorm(1), seed = FALSE, CLUSTER = cl, chunk = 1)
    parallel::clusterSetRNGStream(cl, 9)
    expect_setequal(unlist(a), unlist(parallel::clusterEvalQ(cl, rnorm(1))))
  })
})
