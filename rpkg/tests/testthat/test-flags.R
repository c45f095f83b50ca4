large <- function() as.double(1:20000)

test_that("the getters say what share() was told, and NULL for what is not shared", {
  plain <- c(1, 2, 3)
  expect_null(getCopyOnWrite(plain))
  expect_null(getSharedSubset(plain))
  expect_null(getSharedCopy(plain))
  expect_null(getCopyOnWrite(NULL))
  expect_null(getCopyOnWrite(mean))
  expect_null(getCopyOnWrite("a"))
  expect_null(getCopyOnWrite(1:10))
  for (cow in c(TRUE, FALSE)) for (subset in c(TRUE, FALSE)) for (copy in c(TRUE, FALSE)) {
    x <- share(plain, copyOnWrite = cow, sharedSubset = subset, sharedCopy = copy)
    expect_identical(c(getCopyOnWrite(x), getSharedSubset(x), getSharedCopy(x)), c(cow, subset, copy))
    x2 <- elsewhere(x)
    expect_identical(c(getCopyOnWrite(x2), getSharedSubset(x2), getSharedCopy(x2)), c(cow, subset, copy))
  }
})

test_that("flags not said come from options(), and without those they are TRUE, FALSE, FALSE", {
  x <- share(c(1, 2, 3))
  expect_identical(c(getCopyOnWrite(x), getSharedSubset(x), getSharedCopy(x)), c(TRUE, FALSE, FALSE))
  local_options(cowshed.copyOnWrite = FALSE, cowshed.sharedSubset = TRUE, cowshed.sharedCopy = TRUE)
  x <- share(c(1, 2, 3))
  expect_identical(c(getCopyOnWrite(x), getSharedSubset(x), getSharedCopy(x)), c(FALSE, TRUE, TRUE))
  x <- share(c(1, 2, 3), copyOnWrite = TRUE, sharedCopy = FALSE)
  expect_identical(c(getCopyOnWrite(x), getSharedSubset(x), getSharedCopy(x)), c(TRUE, TRUE, FALSE))
})

test_that("a setter returns what was before, invisibly, and does nothing to what is not shared", {
  x <- share(c(1, 2, 3))
  expect_identical(expect_invisible(setSharedSubset(x, TRUE)), FALSE)
  expect_identical(setSharedSubset(x, FALSE), TRUE)
  expect_identical(setCopyOnWrite(x, FALSE), TRUE)
  expect_identical(setSharedCopy(x, TRUE), FALSE)
  plain <- c(1, 2, 3)
  expect_null(setCopyOnWrite(plain, FALSE))
  expect_identical(plain, c(1, 2, 3))
  x <- share(large())
  x[1] <- 0
  expect_null(getCopyOnWrite(x))
  expect_null(setCopyOnWrite(x, FALSE))
  expect_false(is.shared(x))
})

test_that("setting a flag to what it is changes nothing", {
  x <- share(c(1, 2, 3))
  id <- data_id(x)
  setCopyOnWrite(x, TRUE)
  setSharedCopy(x, FALSE)
  expect_identical(data_id(x), id)
  y <- share(c(1, 2, 3), copyOnWrite = FALSE)
  id <- data_id(y)
  setCopyOnWrite(y, FALSE)
  expect_identical(data_id(y), id)
})

test_that("after a bare x2 <- x a flag set on one name is set on both", {
  x <- share(c(1, 2, 3))
  x2 <- x
  setSharedSubset(x2, TRUE)
  setCopyOnWrite(x2, FALSE)
  expect_true(getSharedSubset(x))
  expect_false(getCopyOnWrite(x))
  x2[1] <- 9
  expect_identical(x, c(9, 2, 3))
})

test_that("copyOnWrite = FALSE on a frozen segment makes a new one; holders of the old keep it", {
  for (plain in list(c(1, 2, 3), large())) {
    x <- share(plain)
    old <- elsewhere(x)
    id <- data_id(x)
    setCopyOnWrite(x, FALSE)
    expect_false(data_id(x) == id)
    expect_identical(data_id(old), id)
    x[1] <- -1
    expect_identical(x[1], -1)
    expect_identical(elsewhere(x)[1], -1)
    expect_identical(old, plain)
    expect_true(getCopyOnWrite(old))

    y <- share(old, copyOnWrite = FALSE)
    expect_false(data_id(y) == id)
    expect_true(getCopyOnWrite(old))
    y[1] <- -2
    expect_identical(old, plain)
  }
})

test_that("copyOnWrite = TRUE on a write-through vector copies nothing and reads live data until its first change", {
  for (plain in list(c(1, 2, 3), large())) {
    x <- share(plain, copyOnWrite = FALSE)
    live <- elsewhere(x)
    id <- data_id(x)
    setCopyOnWrite(x, TRUE)
    expect_identical(data_id(x), id)
    expect_identical(private_bytes(x), 0)
    live[1] <- 10
    expect_identical(x[1], 10)
    x[2] <- 20
    expect_false(is.shared(x))
    expect_identical(live[2], 2)
    live[1] <- 11
    live[3] <- 33
    expect_identical(x[1:3], c(10, 20, 3))
    expect_identical(elsewhere(x), x)
    expect_identical(live[1:3], c(11, 2, 33))
  }
})

# A writable pointer, which reading code asks for, was an error for a small one ("no private memory").
test_that("reading a write-through vector with copyOnWrite = TRUE through a writable pointer leaves it live", {
  for (plain in list(c(1, 2, 3), large())) {
    x <- share(plain, copyOnWrite = FALSE)
    y <- share(x, copyOnWrite = TRUE)
    expect_identical(cumsum(y), cumsum(plain))
    expect_identical(order(y), seq_along(plain))
    expect_identical(y %*% y, plain %*% plain)
    expect_true(is.shared(y))
    expect_identical(private_bytes(y), 0)
    x[1] <- 99
    expect_identical(y[1], 99)
    expect_identical(sum(y), sum(x))
  }
})

# The two had one view: private pages under one were read, and written, by the other.
test_that("private bytes over a view do not keep another object of the same memory from writing through", {
  for (plain in list(c(1, 2, 3), large())) {
    x <- share(plain, copyOnWrite = FALSE)
    far <- elsewhere(x)
    y <- share(x, copyOnWrite = TRUE)
    cumsum(y)
    x[1] <- 99
    expect_identical(far[1], 99)
    expect_true(is.shared(x))

    alias <- x
    alias[2] <- 98
    setCopyOnWrite(alias, TRUE)
    expect_false(getCopyOnWrite(x))
    cumsum(alias)
    x[3] <- 97
    expect_identical(far[1:3], c(99, 98, 97))

    back <- share(x, copyOnWrite = TRUE)
    cumsum(back)
    setCopyOnWrite(back, FALSE)
    back[1] <- 96
    expect_identical(far[1], 96)
    expect_identical(x[1], 96)
  }
})

test_that("share() of a view with equal flags returns it; with other flags another object of the same memory", {
  x <- share(large())
  expect_identical(data_id(share(x)), data_id(x))
  expect_identical(data_id(share(x, copyOnWrite = TRUE)), data_id(x))
  y <- share(x, sharedSubset = TRUE)
  expect_identical(data_id(y), data_id(x))
  expect_true(getSharedSubset(y))
  expect_false(getSharedSubset(x))
  expect_false(is.shared(x[1:100]))
  expect_true(is.shared(y[1:100]))
  y[1] <- 0
  expect_identical(x, large())
  expect_true(is.shared(x))
})

test_that("share() of a view keeps the flags it is not told to change", {
  x <- share(c(1, 2, 3), sharedSubset = TRUE, sharedCopy = TRUE)
  y <- share(x, sharedCopy = FALSE)
  expect_identical(c(getCopyOnWrite(y), getSharedSubset(y), getSharedCopy(y)), c(TRUE, TRUE, FALSE))
  local_options(cowshed.copyOnWrite = FALSE)
  expect_true(getCopyOnWrite(share(x)))
})

test_that("share() of a view with other flags keeps its attributes", {
  for (label in names(samples())) {
    plain <- samples()[[label]]
    x <- share(plain)
    live <- share(x, copyOnWrite = FALSE)
    for (y in list(share(x, sharedSubset = TRUE), live, share(live, copyOnWrite = TRUE))) {
      expect_true(same(y, plain), label)
      expect_true(is.shared(y), label)
    }
    setCopyOnWrite(x, FALSE)
    expect_true(same(x, plain), label)
    setCopyOnWrite(x, TRUE)
    expect_true(same(x, plain), label)
  }
})

test_that("share() of a changed vector makes a new segment", {
  x <- share(large())
  id <- data_id(x)
  x[1] <- 0
  expect_null(data_id(x))
  y <- share(x)
  expect_true(is.shared(y))
  expect_false(data_id(y) == id)
  expect_identical(y, c(0, large()[-1]))
})

test_that("copyOnWrite = TRUE: one page is private after x[1] <- 0, whatever the size", {
  n <- 1e7
  x <- share(as.double(seq_len(n)))
  y <- x
  y[1] <- 0
  expect_gt(private_bytes(y), 0)
  expect_lte(private_bytes(y), 8192)
  expect_false(is.shared(y))
  expect_identical(private_bytes(x), 0)
  expect_true(is.shared(x))

  z <- y
  z[n] <- 0
  expect_lte(private_bytes(z), 3 * 4096)
  expect_lte(private_bytes(y), 8192)
  expect_identical(c(y[1], y[n], z[1], z[n], x[1], x[n]), c(0, n, 0, 0, 1, n))
  expect_identical(sum(z[2:1000]), sum(x[2:1000]))
})

test_that("a loop of assignments duplicates once", {
  x <- share(as.double(1:1e6))
  # Each page is written once: were every assignment a duplicate, garbage would hold as many mappings as there were rounds.
  gc()
  mappings <- function() length(readLines("/proc/self/maps"))
  skip_if_not(file.exists("/proc/self/maps"))
  y <- x
  y[1] <- 0
  before <- mappings()
  for (i in 1:200) y[i] <- 0
  for (i in 201:400) y[[i]] <- 0
  expect_lt(mappings() - before, 50)
  expect_lte(private_bytes(y), 8192)
  expect_identical(y[1:401], c(rep(0, 400), 401))
  expect_true(is.shared(x))
})

test_that("a changed vector travels by value, with its changes, and what was sent before stays", {
  for (plain in list(c(1, 2, 3), large())) {
    x <- share(plain)
    sent <- serialize(x, NULL)
    y <- x
    y[2] <- -2
    expect_identical(elsewhere(y), replace(plain, 2, -2))
    expect_false(is.shared(elsewhere(y)))
    expect_identical(unserialize(sent), plain)
    expect_identical(x, plain)
  }
})

test_that("writing what is there already is still exact", {
  x <- share(large())
  y <- x
  y[1] <- y[1]
  expect_identical(y, x)
  expect_identical(elsewhere(y), large())
})

test_that("sharedCopy: what is assigned to is a new shared object, different from x", {
  for (plain in list(c(1, 2, 3), large())) {
    x <- share(plain, sharedCopy = TRUE)
    y <- x
    expect_identical(data_id(y), data_id(x))
    y[1] <- 9
    expect_true(is.shared(y))
    expect_true(getSharedCopy(y))
    expect_identical(x, plain)
    expect_identical(y, replace(plain, 1, 9))

    far <- elsewhere(y)
    expect_true(is.shared(far))
    expect_identical(far, replace(plain, 1, 9))
    expect_identical(data_id(far), data_id(y))
    expect_false(data_id(y) == data_id(x))
  }
})

test_that("sharedCopy: a draft written many times is sealed as it is when it is first sent", {
  x <- share(large(), sharedCopy = TRUE)
  y <- x
  for (i in 1:100) y[i] <- -i
  y[[200]] <- 0
  expected <- large()
  expected[1:100] <- -(1:100)
  expected[200] <- 0
  first <- elsewhere(y)
  expect_identical(first, expected)
  y[1] <- 1e6
  expect_identical(first, expected)
  expect_true(is.shared(y))
  expect_identical(elsewhere(y), replace(expected, 1, 1e6))
  expect_identical(first, expected)
  expect_identical(x, large())
})

test_that("sharedCopy: a draft is copied when it gets another name", {
  x <- share(large(), sharedCopy = TRUE)
  y <- x
  y[1] <- 1000
  z <- y
  z[2] <- 2000
  y[3] <- 3000
  expect_identical(y[1:3], c(1000, 2, 3000))
  expect_identical(z[1:3], c(1000, 2000, 3))
  expect_identical(x[1:3], c(1, 2, 3))
  l <- list(y, y)
  l[[1]][1] <- 0
  expect_identical(c(l[[1]][1], l[[2]][1], y[1]), c(0, 1000, 1000))
})

# The object made for the other flags had the draft's memory, which the draft went on writing.
test_that("sharedCopy: share() of a draft with other flags is not changed by what is written to the draft later", {
  for (plain in list(c(1, 2, 3), large())) {
    x <- share(plain, sharedCopy = TRUE)
    y <- x
    y[1] <- 10
    z <- share(y, sharedSubset = TRUE)
    w <- share(y)
    y[2] <- 20
    expect_identical(z, replace(plain, 1, 10))
    expect_identical(w, replace(plain, 1, 10))
    expect_identical(y, replace(plain, 1:2, c(10, 20)))
    expect_identical(elsewhere(z), z)
  }
})

test_that("sharedCopy: a draft whose copyOnWrite becomes FALSE writes through", {
  x <- share(large(), sharedCopy = TRUE)
  y <- x
  y[1] <- 10
  setCopyOnWrite(y, FALSE)
  far <- elsewhere(y)
  y[2] <- 20
  expect_identical(far[1:3], c(10, 20, 3))
  expect_identical(x, large())
})

test_that("sharedCopy without copyOnWrite has no meaning: assignments write through", {
  x <- share(c(1, 2, 3), copyOnWrite = FALSE, sharedCopy = TRUE)
  y <- x
  y[1] <- 9
  expect_identical(x, c(9, 2, 3))
  expect_identical(data_id(y), data_id(x))
})

# Compiled code duplicates before `names<-`, interpreted code lets R wrap.
local_interpreted <- function(.frame = parent.frame()) {
  level <- compiler::enableJIT(0)
  do.call(on.exit, list(bquote(compiler::enableJIT(.(level))), add = TRUE), envir = .frame)
}

test_that("compiled or not, setting attributes of a large vector copies nothing", {
  f <- function(v) {
    names(v) <- rep("n", length(v))
    attr(v, "a") <- 1
    v
  }
  x <- share(large())
  for (g in list(f, compiler::cmpfun(f))) {
    y <- g(x)
    expect_true(is.shared(y))
    expect_identical(data_id(y), data_id(x))
    expect_identical(private_bytes(y), 0)
    expect_identical(y, f(large()))
    y[1] <- 0
    expect_identical(x, large())
  }
})

test_that("flags set on what R wrapped are the wrapped object's alone", {
  local_interpreted()
  plain <- as.double(1:100)
  x <- share(plain)
  y <- x
  names(y) <- paste0("n", 1:100)
  expect_true(is.shared(y))
  expect_true(getCopyOnWrite(y))
  expect_identical(data_id(y), data_id(x))
  setSharedSubset(y, TRUE)
  expect_true(getSharedSubset(y))
  # It was x's flag that was set: what R wraps is the object itself.
  expect_false(getSharedSubset(x))
  setCopyOnWrite(y, FALSE)
  expect_false(getCopyOnWrite(y))
  expect_true(getCopyOnWrite(x))
  x[1] <- 0
  expect_identical(y[[1]], 1)
  y[2] <- -2
  expect_identical(elsewhere(y)[[2]], -2)
  expect_identical(names(y), paste0("n", 1:100))
})

test_that("R's wrappers around a shared vector are looked through", {
  local_interpreted()
  for (n in c(64, 20000)) {
    plain <- as.double(seq_len(n))
    x <- share(plain)
    changes <- list(
      function(v) { names(v) <- as.character(seq_along(v)); v },
      function(v) { attr(v, "note") <- "a"; v },
      function(v) { dim(v) <- c(2, length(v) / 2); v },
      function(v) { class(v) <- "special"; v },
      function(v) structure(v, units = "m", class = c("a", "b"))
    )
    for (change in changes) {
      wrapped <- change(x)
      expect_true(is.shared(wrapped))
      expect_identical(getCopyOnWrite(wrapped), TRUE)
      expect_identical(data_id(wrapped), data_id(x))
      expect_identical(wrapped, change(plain))
      expect_identical(unshare(wrapped), change(plain))
      expect_false(is.shared(unshare(wrapped)))
      expect_identical(elsewhere(wrapped), change(plain))
      expect_identical(share(wrapped), change(plain))
      expect_true(is.shared(share(wrapped)))
      again <- share(wrapped, sharedSubset = TRUE)
      expect_identical(again, change(plain))
      expect_true(getSharedSubset(again))
      wrapped[1] <- 0
      expect_identical(wrapped[-1], change(plain)[-1])
      expect_identical(x, plain)
      expect_null(attributes(x))
    }
  }
})

test_that("wrong flags are refused with a message that names them", {
  x <- share(c(1, 2, 3))
  expect_snapshot({
    refusal(share(1:3, copyOnWrite = NA))
    refusal(share(1:3, sharedCopy = c(TRUE, FALSE)))
    refusal(share(1:3, sharedSubset = 1))
    refusal(share(1:3, sharedAttributes = "yes"))
    refusal(share(1:3, mustWork = logical()))
    refusal(share(1:3, minLength = -1))
    refusal(share(1:3, minLength = c(1, 2)))
    refusal(share(1:3, minLength = NA))
    refusal(share(1:3, minLength = "3"))
    refusal(share(1:3, minLength = 2.5))
    refusal(setCopyOnWrite(x, NA))
    refusal(setSharedCopy(x, c(TRUE, TRUE)))
    refusal(setSharedSubset(x, "TRUE"))
    refusal(setSharedSubset(x, NULL))
  })
  expect_identical(c(getCopyOnWrite(x), getSharedSubset(x), getSharedCopy(x)), c(TRUE, FALSE, FALSE))
})

test_that("a wrong flag is refused whatever x is", {
  for (x in list(c(1, 2), NULL, "a", mean, share(c(1, 2, 3)), list())) {
    expect_error(share(x, copyOnWrite = NA), class = "cowshed_error_argument")
    expect_error(share(x, minLength = -3), class = "cowshed_error_argument")
    expect_error(setCopyOnWrite(x, NA), class = "cowshed_error_argument")
  }
})
