test_that("x[i] and x[[i]] give what base R gives, for every kind of subscript and every type", {
  expect_no_difference(subscripts(), samples())
})

test_that("x[i] and x[[i]] give what base R gives under sharedSubset, and leave x alone", {
  expect_no_difference(subscripts(), samples(), with_all_flags)
})

test_that("x[i] and x[[i]] of a write-through vector give what base R gives, and leave x alone", {
  expect_no_difference(subscripts(), samples(), writing_through)
})

test_that("subscripts copy nothing of a large vector, whatever their kind", {
  expect_no_difference(subscripts(), large_samples(), after = untouched)
})

test_that("NaN payloads and the sign of zero survive a subscript", {
  plain <- c(1, NA, NaN, -0, odd_nan(5), odd_nan(77), Inf)
  for (flag in c(FALSE, TRUE)) {
    x <- share(plain, sharedSubset = flag)
    for (i in list(1:7, 7:1, c(5, 6, 2), -1, 4:6, c(TRUE, FALSE))) expect_true(same(x[i], plain[i]))
  }
})

test_that("a subscript that is itself shared works like a plain one", {
  plain <- c(10, 20, 30, 40, 50)
  x <- share(plain)
  i <- share(c(5L, 1L, NA, 3L))
  d <- share(c(2, 2, 7, 1))
  l <- share(c(TRUE, FALSE, NA, TRUE, FALSE))
  expect_identical(x[i], plain[unshare(i)])
  expect_identical(x[d], plain[unshare(d)])
  expect_identical(x[l], plain[unshare(l)])
  expect_identical(plain[i], plain[unshare(i)])
  m <- matrix(1:9, 3)
  expect_identical(share(m)[share(cbind(1:3, 3:1))], m[cbind(1:3, 3:1)])
})

test_that("subscripts beyond 2^31 are compared as doubles, not cut to an int", {
  x <- share(as.double(1:10))
  for (i in list(2^31 + 1, 2^32 + 1, 2^33 + 3, 2^52)) {
    expect_identical(x[i], NA_real_)
    expect_identical(x[c(1, i, 2)], c(1, NA, 2))
    expect_identical(x[-i], as.double(1:10))
  }
})

test_that("sharedSubset: x[i] is shared, and equal, for every kind of subscript", {
  plain <- c(5, NA, 3, 8, 1, 9, 2)
  x <- share(plain, sharedSubset = TRUE)
  for (i in list(1:4, 2:7, c(7, 1, 3), -1, c(TRUE, FALSE), c(1, NA, 9), -(1:3), c(3, 3, 3))) {
    part <- x[i]
    expect_true(is.shared(part))
    expect_true(getSharedSubset(part))
    expect_identical(part, plain[i])
    expect_identical(elsewhere(part), plain[i])
  }
  expect_false(is.shared(x[1:2]))
  expect_false(is.shared(x[0]))
  expect_true(is.shared(x[1:3][1:3]))
})

test_that("without sharedSubset x[i] is plain", {
  x <- share(as.double(1:10))
  expect_false(is.shared(x[1:10]))
  expect_false(is.shared(x[-1]))
})

# R expands `101:20000` before it asks for the elements, so a range was never recognised and every window was a copy.
test_that("sharedSubset: a contiguous range is a window on the same segment, and a change to it is private", {
  local_store()
  plain <- as.double(1:20000)
  x <- share(plain, sharedSubset = TRUE)
  window <- x[101:20000]
  expect_identical(data_id(window), data_id(x))
  expect_identical(nrow(listSharedObjects()), 1L)
  inner <- window[10:15000]
  expect_identical(data_id(inner), data_id(x))
  expect_identical(inner, plain[110:15100])
  expect_identical(elsewhere(inner), plain[110:15100])

  window[1] <- -1
  expect_false(is.shared(window))
  expect_identical(window, c(-1, plain[102:20000]))
  expect_identical(elsewhere(window), c(-1, plain[102:20000]))
  expect_identical(x, plain)
  expect_identical(inner, plain[110:15100])
  expect_true(is.shared(x))
})

test_that("sharedSubset: whatever selects a contiguous range gives a window", {
  n <- 20000
  x <- share(as.double(1:n), sharedSubset = TRUE)
  parts <- list(x[2:n], x[-1], head(x, -1), tail(x, -5), x[TRUE], x[c(5000L, 5001:n)], x[as.numeric(2:n)], x[2:n + 0], x[x > 9])
  expect_identical(lapply(parts, data_id), rep(list(data_id(x)), length(parts)))
  expect_identical(parts[[8]], as.double(2:n))
  others <- list(x[c(1:5000, 5002:n)], x[n:1], x[c(2:n, 1)], x[c(2:n, NA)], x[2:(n + 1)])
  expect_false(any(vapply(others, data_id, "") == data_id(x)))
  expect_true(all(vapply(others, is.shared, NA)))
})

test_that("sharedSubset: a window outlives the name of the vector it looks into", {
  local_store()
  x <- share(as.double(1:20000), sharedSubset = TRUE)
  window <- x[2:20000]
  rm(x)
  gc()
  expect_identical(window, as.double(2:20000))
  expect_identical(elsewhere(window), as.double(2:20000))
})

test_that("sharedSubset: a small part does not keep the large segment", {
  local_store()
  x <- share(as.double(1:1e6), sharedSubset = TRUE)
  id <- data_id(x)
  part <- x[1:10]
  expect_true(is.shared(part))
  expect_false(data_id(part) == id)
  expect_true(id %in% listSharedObjects()$Id)
  rm(x)
  gc()
  left <- listSharedObjects()
  expect_false(id %in% left$Id)
  expect_lt(sum(left$size), 1e5)
  expect_identical(part, as.double(1:10))
})

test_that("sharedSubset with copyOnWrite = FALSE: x[i] is a plain copy, changed by nobody", {
  x <- share(as.double(1:20000), copyOnWrite = FALSE, sharedSubset = TRUE)
  part <- x[1:20000]
  expect_false(is.shared(part))
  x[1] <- 99
  expect_identical(part[1], 1)
  part[2] <- 55
  expect_identical(x[2], 2)
})

test_that("a window on a changed vector shows the change", {
  x <- share(as.double(1:20000), sharedSubset = TRUE)
  y <- x
  y[5] <- -5
  part <- y[1:19000]
  expect_identical(part[5], -5)
  expect_identical(elsewhere(part)[5], -5)
  expect_identical(x[5], 5)
})

test_that("facts about the whole are not said of a window where they do not hold", {
  x <- share(seq(2, 40000, by = 2) + 0, sharedSubset = TRUE)
  y <- share(1:20000, sharedSubset = TRUE)
  expect_false(is.unsorted(y[100:200]))
  expect_identical(range(y[100:15000]), c(100L, 15000L))
  expect_identical(max(y[1:15000]), 15000L)
  expect_identical(min(y[2:15000]), 2L)
  expect_identical(sort(y[10:15000], decreasing = TRUE), 15000:10)
  expect_identical(sum(x[1:10000]), sum(seq(2, 20000, by = 2)))
})
