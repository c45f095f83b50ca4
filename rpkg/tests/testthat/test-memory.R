# Memory by id and by name: allocated, found, written and freed, in one process and across processes.

skip_on_os("windows")

all_gone <- function(ids) !any(unlist(hasSharedMemory(as.list(ids))))

test_that("memory is allocated, found by its id, and freed", {
  local_store()
  id <- allocateSharedMemory(1000)
  expect_type(id, "character")
  expect_length(id, 1L)
  expect_true(hasSharedMemory(id))
  expect_identical(getSharedMemorySize(id), 1000)
  expect_identical(listSharedObjects()$Id, id)
  pointer <- mapSharedMemory(id)
  expect_type(pointer, "externalptr")
  expect_invisible(unmapSharedMemory(id))
  expect_true(hasSharedMemory(id))
  expect_invisible(freeSharedMemory(id))
  expect_false(hasSharedMemory(id))
  expect_identical(nrow(listSharedObjects()), 0L)
  expect_identical(names(listSharedObjects()), c("Id", "size"))
})

test_that("0 bytes are 1", {
  local_store()
  expect_identical(getSharedMemorySize(allocateSharedMemory(0)), 1)
  expect_identical(getSharedMemorySize(allocateSharedMemory(0L, "none")), 1)
})

test_that("missing memory: map and size are errors, free and unmap are silent, has is FALSE", {
  local_store()
  for (id in list("no such name", strrep("ab", 16), paste0(strrep("ab", 16), ":3"), 17)) {
    expect_error(mapSharedMemory(id), class = "cowshed_error_gone")
    expect_error(getSharedMemorySize(id), as.character(id), class = "cowshed_error_gone", fixed = TRUE)
    expect_silent(freeSharedMemory(id))
    expect_silent(unmapSharedMemory(id))
    expect_false(hasSharedMemory(id))
  }
  # Twice is as well as once.
  id <- allocateSharedMemory(5)
  freeSharedMemory(id)
  expect_silent(freeSharedMemory(id))
})

test_that("the same name and a size that fits give the same memory; a larger size is an error with both", {
  local_store()
  id <- allocateSharedMemory(100, "same")
  expect_identical(allocateNamedSharedMemory("same", 100), id)
  expect_identical(allocateNamedSharedMemory(name = "same", size = 10), id)
  expect_identical(allocateSharedMemory(0, name = "same"), id)
  error <- expect_error(allocateSharedMemory(101, "same"), class = "cowshed_error_size")
  expect_s3_class(error, "cowshed_error")
  expect_match(conditionMessage(error), "101 bytes")
  expect_match(conditionMessage(error), "100 bytes")
  expect_identical(getSharedMemorySize("same"), 100)
  expect_true(id %in% listSharedObjects()$Id)
  freeSharedMemory("same")
  allocateSharedMemory(500, "same")
  expect_identical(getSharedMemorySize("same"), 500)
})

test_that("names may be anything; one store's are not another's", {
  local_store()
  for (name in c("a b", "../../etc/passwd", "gr\u00fc\u00dfe", "a:1", strrep("long", 1000), "1")) {
    expect_identical(allocateSharedMemory(3, name), name)
    expect_true(hasSharedMemory(name))
    expect_true(name %in% listSharedObjects()$Id)
  }
  expect_error(allocateSharedMemory(3, strrep("long", 2000)), class = "cowshed_error_argument")
  expect_error(allocateSharedMemory(3, paste0(allocateSharedMemory(3), ":0")), class = "cowshed_error_argument")
  allocateSharedMemory(7, "mine")
  local({
    local_store()
    expect_identical(nrow(listSharedObjects()), 0L)
    allocateSharedMemory(8, "mine")
    expect_identical(getSharedMemorySize("mine"), 8)
  })
  expect_identical(getSharedMemorySize("mine"), 7)
})

test_that("several sizes, names or ids give a list", {
  local_store()
  ids <- allocateSharedMemory(c(1, 2, 3))
  expect_type(ids, "list")
  expect_identical(getSharedMemorySize(ids), list(1, 2, 3))
  expect_identical(getSharedMemorySize(unlist(ids)), list(1, 2, 3))
  expect_identical(hasSharedMemory(ids), list(TRUE, TRUE, TRUE))
  expect_true(all(vapply(mapSharedMemory(ids), typeof, "") == "externalptr"))
  expect_invisible(unmapSharedMemory(ids))
  expect_invisible(freeSharedMemory(ids))
  expect_true(all_gone(ids))
  expect_identical(allocateSharedMemory(c(1, 2), c("a", "b")), list("a", "b"))
  expect_identical(allocateNamedSharedMemory(c("a", "b"), c(1, 2)), list("a", "b"))
  expect_identical(allocateSharedMemory(numeric()), list())
  expect_identical(hasSharedMemory(character()), list())
  expect_error(allocateSharedMemory(1:3, c("a", "b")), "agree in length", class = "cowshed_error_argument")
  expect_error(allocateSharedMemory(1, c("a", "b")), class = "cowshed_error_argument")
  expect_error(allocateNamedSharedMemory("a", 1:2), class = "cowshed_error_argument")
})

test_that("what cannot be allocated with the others takes them along", {
  local_store()
  expect_error(allocateSharedMemory(c(1, 2, 8e15)), class = "cowshed_error_full")
  expect_identical(nrow(listSharedObjects()), 0L)
})

test_that("the argument may be called x or id", {
  local_store()
  id <- allocateSharedMemory(9)
  expect_identical(getSharedMemorySize(x = id), 9)
  expect_identical(getSharedMemorySize(id = id), 9)
  expect_true(hasSharedMemory(x = id))
  expect_type(mapSharedMemory(x = id), "externalptr")
  unmapSharedMemory(x = id)
  freeSharedMemory(x = id)
  expect_false(hasSharedMemory(id = id))
})

test_that("wrong arguments are errors that name them", {
  for (size in list(-1, 1.5, NA_real_, "a", NULL, Inf, NaN, TRUE)) {
    if (!is.null(size)) expect_error(allocateSharedMemory(size), "size", class = "cowshed_error_argument")
  }
  expect_error(allocateSharedMemory(1, NA_character_), "name", class = "cowshed_error_argument")
  expect_error(allocateSharedMemory(1, 5), "name", class = "cowshed_error_argument")
  for (id in list(NULL, NA_character_, "", TRUE, quote(x))) {
    expect_error(getSharedMemorySize(id), "id", class = "cowshed_error_argument")
  }
})

test_that("ids are those of shared objects, and of parts of them", {
  local_store()
  x <- share(as.numeric(1:5000))
  id <- cowshed:::data_id(x)
  expect_true(hasSharedMemory(id))
  expect_identical(getSharedMemorySize(id), 40000)
  expect_identical(getSharedMemorySize(paste0(id, ":0")), 40000)
  expect_false(hasSharedMemory(paste0(id, ":77")))
  expect_error(getSharedMemorySize(paste0(id, ":77")), class = "cowshed_error_gone")
  l <- share(list(a = 1:5000, b = as.numeric(1:5000)))
  part <- cowshed:::data_id(l$b)
  expect_match(part, ":")
  expect_identical(getSharedMemorySize(part), 40000)
  expect_gte(getSharedMemorySize(sub(":.*", "", part)), 60000)
  freeSharedMemory(part)
  expect_true(all_gone(c(part, cowshed:::data_id(l$a))))
  expect_identical(l$b, as.numeric(1:5000))
})

test_that("shared objects of another store are found too", {
  local_store()
  other <- tempfile("cowshed-test-")
  dir.create(other, mode = "0700")
  old <- options(cowshed.store = other)
  x <- share(as.numeric(1:5000))
  options(old)
  id <- cowshed:::data_id(x)
  expect_true(hasSharedMemory(id))
  expect_identical(getSharedMemorySize(id), 40000)
  freeSharedMemory(id)
  expect_false(hasSharedMemory(id))
})

test_that("freeing a live object takes the name and nothing else: it reads, is written, copied and sent by value", {
  local_store()
  for (n in c(10, 1e5)) for (cow in c(TRUE, FALSE)) {
    plain <- as.numeric(seq_len(n))
    x <- share(plain, copyOnWrite = cow, sharedSubset = TRUE, sharedCopy = TRUE)
    half <- x[seq_len(n / 2)]
    there <- elsewhere(x)
    freeSharedMemory(cowshed:::data_id(x))
    gc()
    pruneSharedObjects()
    expect_identical(sum(x), sum(plain))
    expect_identical(half, plain[seq_len(n / 2)])
    expect_identical(there, plain)
    y <- x
    y[2] <- -1
    expect_identical(c(x[1:3], y[1:3]), if (cow) c(1, 2, 3, 1, -1, 3) else c(1, -1, 3, 1, -1, 3))
    expect_identical(elsewhere(x), x + 0)
  }
})

test_that("a pointer keeps its memory, whatever is unmapped and freed", {
  api <- c_functions()
  local_store()
  id <- allocateSharedMemory(1e6)
  p <- mapSharedMemory(id)
  q <- mapSharedMemory(id)
  api$t_poke(p, 999999, 42L)
  expect_identical(api$t_peek(q, 999999), 42L)
  expect_identical(api$t_peek(q, 5), 0L)
  unmapSharedMemory(id)
  freeSharedMemory(id)
  rm(p)
  gc()
  allocateSharedMemory(1e6)
  expect_identical(api$t_peek(q, 999999), 42L)
  api$t_poke(q, 0, 7L)
  expect_identical(api$t_peek(q, 0), 7L)
})

test_that("freed and allocated again under its name, memory is new, and the old is still the old", {
  api <- c_functions()
  local_store()
  allocateSharedMemory(2e6, "again")
  old <- mapSharedMemory("again")
  api$t_poke(old, 0, 1L)
  freeSharedMemory("again")
  allocateSharedMemory(2e6, "again")
  new <- mapSharedMemory("again")
  expect_identical(c(api$t_peek(old, 0), api$t_peek(new, 0)), c(1L, 0L))
  rm(old)
  gc()
  pruneSharedObjects()
  expect_true(hasSharedMemory("again"))
})

test_that("listings take a range, and the old spelling leaves names out unless asked", {
  local_store()
  ids <- unlist(allocateSharedMemory(c(10, 20)))
  allocateSharedMemory(30, "named")
  expect_setequal(listSharedObjects()$Id, c(ids, "named"))
  expect_type(listSharedObjects()$size, "double")
  expect_identical(nrow(listSharedObjects(end = 2)), 2L)
  expect_identical(nrow(listSharedObjects(end = 2, start = 2)), 1L)
  expect_identical(rbind(listSharedObjects(1), listSharedObjects(start = 2)), listSharedObjects())
  expect_identical(nrow(listSharedObjects(start = 9)), 0L)
  expect_setequal(listSharedObject()$Id, ids)
  expect_setequal(listSharedObject(includeCharId = TRUE)$Id, c(ids, "named"))
  expect_identical(nrow(listSharedObject(1, 1)), 1L)
  expect_error(listSharedObjects("a"), "end", class = "cowshed_error_argument")
})

test_that("the compatibility calls are there and do nothing", {
  local_store()
  before <- getLastIndex()
  allocateSharedMemory(1)
  expect_identical(getLastIndex(), before + 1)
  expect_null(expect_invisible(initialSharedObjectPackageData()))
  expect_null(expect_invisible(releaseSharedObjectPackageData()))
})

test_that("pkgconfig prints bare flags and returns invisibly", {
  expect_output(expect_invisible(cowshed:::pkgconfig("PKG_LIBS")), NA)
  flags <- capture.output(cowshed:::pkgconfig("PKG_CPPFLAGS"))
  expect_match(flags, "^-I")
  expect_true(file.exists(file.path(gsub("^-I|'", "", flags), "SharedObject", "sharedMemory.h")))
  expect_error(cowshed:::pkgconfig("OTHER"), "should be one of")
})

test_that("other processes find memory by id and by name, and it stays until the last holder has ended", {
  skip_without_processes()
  with_new_store({
    dir <- scratch()
    maker <- start_r({
      library(cowshed)
      allocateSharedMemory(2e6, "by name")
      put(allocateSharedMemory(10), "id")
      wait_for("mapped")
      quit("no")
    }, dir = dir)
    wait_in(dir, "id")
    id <- unserialize(bytes_in(dir, "id"))
    expect_identical(getSharedMemorySize(c("by name", id)), list(2e6, 10))
    expect_identical(allocateSharedMemory(1e6, "by name"), "by name")
    expect_error(allocateSharedMemory(3e6, "by name"), class = "cowshed_error_size")
    p <- mapSharedMemory("by name")
    put_in(dir, 1, "mapped")
    finish(maker)
    expect_true(hasSharedMemory("by name"))
    expect_false(hasSharedMemory(id))
    got <- run_r({
      library(cowshed)
      answer(list(hasSharedMemory("by name"), getSharedMemorySize("by name")))
    })
    expect_identical(got$answer, list(TRUE, 2e6))
    freeSharedMemory("by name")
    expect_clean_store(ledgers = length(ledgers()))
  })
})

test_that("what a killed process allocated is gone, and its name gives zeros", {
  skip_without_processes()
  api <- c_functions()
  with_new_store({
    for (how in c("alone", "held")) {
      dir <- scratch()
      maker <- start_r({
        library(cowshed)
        allocateSharedMemory(1000, "killed")
        mark("made")
        Sys.sleep(600)
      }, dir = dir)
      wait_in(dir, "made")
      if (how == "held") api$t_poke(mapSharedMemory("killed"), 0, 9L)
      kill_hard(maker)
      if (how == "held") {
        expect_true(hasSharedMemory("killed"))
        expect_identical(api$t_peek(mapSharedMemory("killed"), 0), 9L)
        freeSharedMemory("killed")
      }
      expect_false(hasSharedMemory("killed"))
      # Larger than it was: no error about what the dead had.
      allocateSharedMemory(2000, "killed")
      expect_identical(api$t_peek(mapSharedMemory("killed"), 0), 0L)
      freeSharedMemory("killed")
    }
    expect_clean_store(ledgers = length(ledgers()))
  })
})

test_that("freeing from another process leaves holders alive, and what they unmap then goes", {
  skip_without_processes()
  api <- c_functions()
  with_new_store({
    id <- allocateSharedMemory(1e5)
    p <- mapSharedMemory(id)
    x <- share(as.numeric(1:1e5))
    got <- run_r({
      library(cowshed)
      freeSharedMemory(c(id, data))
      answer(hasSharedMemory(c(id, data)))
    }, id = id, data = cowshed:::data_id(x))
    expect_identical(got$answer, list(FALSE, FALSE))
    api$t_poke(p, 99999, 3L)
    expect_identical(api$t_peek(p, 99999), 3L)
    expect_identical(sum(x), sum(as.numeric(1:1e5)))
    expect_false(hasSharedMemory(id))
    expect_silent(unmapSharedMemory(id))
    expect_error(mapSharedMemory(id), class = "cowshed_error_gone")
  })
})

test_that("a forked child has what its parent holds, and holds what it allocates", {
  skip_without_processes()
  with_new_store({
    got <- run_r({
      library(cowshed)
      id <- allocateSharedMemory(1000)
      allocateSharedMemory(1000, "parents")
      child <- parallel::mcparallel({
        own <- allocateSharedMemory(100, "childs")
        mark("made")
        wait_for("looked")
        freeSharedMemory("parents")
        list(getSharedMemorySize(id), typeof(mapSharedMemory(id)), own)
      })
      wait_for("made")
      seen <- hasSharedMemory("childs")
      mark("looked")
      child <- parallel::mccollect(child)[[1]]
      # Its result comes a little before its end.
      for (i in 1:500) if (hasSharedMemory("childs")) Sys.sleep(0.01) else break
      answer(list(child = child, seen = seen, after = hasSharedMemory(list("childs", "parents", id))))
    })
    expect_ended_well(got)
    expect_identical(got$answer$child, list(1000, "externalptr", "childs"))
    expect_true(got$answer$seen)
    expect_identical(got$answer$after, list(FALSE, FALSE, TRUE))
    expect_clean_store()
  })
})

test_that("processes that allocate a name at once get one memory", {
  skip_without_processes()
  api <- c_functions()
  with_new_store({
    dir <- scratch()
    workers <- lapply(1:3, function(i) start_r({
      library(cowshed)
      mark(paste0("ready", i))
      wait_for("go")
      for (k in 1:100) allocateSharedMemory(8, paste0("race", k))
      mark(paste0("done", i))
      wait_for("end")
    }, i = i, dir = dir))
    for (i in 1:3) wait_in(dir, paste0("ready", i))
    put_in(dir, 1, "go")
    for (i in 1:3) wait_in(dir, paste0("done", i))
    expect_length(segments(), 100L)
    put_in(dir, 1, "end")
    for (w in workers) expect_identical(finish(w), 0L)
    expect_clean_store()
  })
})

test_that("a full store is cowshed_error_full, leaves nothing, and its room is used again", {
  skip_without_processes()
  skip_without_mounts()
  at <- mount_point()
  got <- run_r({
    library(cowshed)
    errors <- list(condition_of(allocateSharedMemory(8e6)), condition_of(allocateSharedMemory(8e6, "big")))
    left <- nrow(listSharedObjects())
    id <- allocateSharedMemory(3e6)
    second <- condition_of(allocateSharedMemory(3e6))
    freeSharedMemory(id)
    answer(list(errors = errors, left = left, second = second, again = getSharedMemorySize(allocateSharedMemory(3e6, "big"))))
  }, at = at, store = at, under = in_tmpfs(at, "size=4m,mode=0700"))
  expect_ended_well(got)
  for (error in c(got$answer$errors, list(got$answer$second))) {
    expect_condition_class(error, "full")
    expect_match(error$message, "no room for [0-9]+ bytes")
  }
  expect_identical(got$answer$left, 0L)
  expect_identical(got$answer$again, 3e6)
})
