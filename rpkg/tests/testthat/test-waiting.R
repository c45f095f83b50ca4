# Small frozen objects get a file in the store when somebody else may come to know them.

test_that("a small object has no file until it is sent, and what is never sent never has one", {
  with_new_store({
    x <- share(as.numeric(1:100))
    expect_true(is.shared(x))
    expect_length(segments(), 0L)
    rm(x)
    gc()
    expect_length(segments(), 0L)
    y <- share(c("a", "b", NA))
    bytes <- serialize(y, NULL)
    expect_length(segments(), 1L)
    expect_lt(length(bytes), 300)
    got <- run_r(answer(cowshed::is.shared(take("y")) && identical(take("y"), c("a", "b", NA))), dir = put_in(scratch(), y, "y"))
    expect_ended_well(got)
    expect_true(got$answer)
  })
})

test_that("what others write, and what is large, has its file at once", {
  with_new_store({
    x <- share(as.numeric(1:100), copyOnWrite = FALSE)
    expect_length(segments(), 1L)
    y <- share(as.numeric(1:5000))
    expect_length(segments(), 2L)
  })
})

test_that("an id that was shown, and a listing, name what waits", {
  with_new_store({
    x <- share(1:10)
    y <- share(c(0.5, 1, 2))
    id <- sharedObjectProperties(x, "dataId")
    expect_identical(basename(segments()), id)
    expect_true(hasSharedMemory(id))
    listed <- listSharedObjects()$Id
    expect_setequal(listed, c(id, sharedObjectProperties(y, "dataId")))
    expect_setequal(basename(segments()), listed)
    z <- share(1:10 + 1L)
    freeSharedMemory(sharedObjectProperties(z, "dataId"))
    expect_identical(z, 2:11)
    expect_false(sharedObjectProperties(z, "dataId") %in% basename(segments()))
    # Its name is gone for good: it travels by value.
    expect_identical(unserialize(serialize(z, NULL)), 2:11)
    expect_false(is.shared(unserialize(serialize(z, NULL))))
  })
})

test_that("parts, windows and elements of a small object travel by reference, too", {
  with_new_store({
    x <- share(list(a = 1:1000, b = c("u", "v", "w")), sharedSubset = TRUE)
    expect_length(segments(), 0L)
    w <- x$a[3:998]
    back <- unserialize(serialize(list(w, x$b), NULL))
    expect_length(segments(), 1L)
    expect_identical(back, list(3:998, c("u", "v", "w")))
    expect_true(all(unlist(is.shared(back, depth = 1))))
  })
})

test_that("what waits at a fork is named before, and parent and children send one and the same", {
  with_new_store({
    got <- run_r({
      library(cowshed)
      x <- share(as.numeric(1:10))
      before <- length(list.files(file.path(cowshed:::store_path(), "segments")))
      sent <- parallel::mclapply(1:4, function(i) {
        mine <- share(as.numeric(1:10) + i)
        list(id = cowshed:::data_id(x), x = x, mine = mine)
      }, mc.cores = 4)
      id <- cowshed:::data_id(x)
      answer(list(
        before = before, same = all(vapply(sent, function(s) identical(s$id, id), NA)), x = all(vapply(sent, function(s) identical(s$x, x), NA)),
        shared = all(vapply(sent, function(s) is.shared(s$x) && is.shared(s$mine), NA)), mine = vapply(sent, function(s) s$mine[1], 0)
      ))
    })
    expect_ended_well(got)
    expect_identical(got$answer, list(before = 0L, same = TRUE, x = TRUE, shared = TRUE, mine = c(2, 3, 4, 5)))
    expect_clean_store()
  })
})

test_that("with a full store small objects are shared, and travel by value until there is room", {
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    held <- share(as.numeric(1:2000))
    filler <- file.path(at, "filler")
    try(writeBin(raw(4e6), filler), silent = TRUE)
    kept <- lapply(1:300, function(i) share(as.numeric(i + 1:10)))
    sent <- size_of(kept[[1]])
    forked <- parallel::mclapply(1:2, function(i) c(kept[[i]][10], unserialize(serialize(kept[[i]], NULL))[10]))
    # Made before the fork, it has no name ever: the child's would be the same one.
    after <- share(as.numeric(1:10))
    unlink(filler)
    answer(list(
      shared = all(vapply(kept, is.shared, NA)), sent = sent, forked = forked, later = c(size_of(kept[[1]]), size_of(after)), value = kept[[300]][10],
      again = unserialize(serialize(kept[[1]], NULL)), id = is.character(cowshed:::data_id(kept[[2]]))
    ))
  }, at = at, store = at, under = in_tmpfs(at, "size=2m,mode=0700"))
  expect_ended_well(got)
  expect_true(got$answer$shared)
  expect_gt(got$answer$sent, 80)
  expect_identical(got$answer$forked, list(c(11, 11), c(12, 12)))
  expect_lt(got$answer$later[2], 300)
  expect_identical(got$answer$value, 310)
  expect_identical(got$answer$again, as.numeric(2:11))
  expect_true(got$answer$id)
})
