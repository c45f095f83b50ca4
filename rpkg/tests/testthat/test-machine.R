# References that arrive on another machine: shared memory does not go there.

skip_without_processes()
skip_if_not(file.exists("/proc/sys/kernel/random/boot_id"))

# A process that sees a boot id of its own, with these words in it.
as_machine <- function(words) {
  boot_id <- tempfile("boot-id-")
  writeLines(words, boot_id)
  code <- sprintf("mount --bind %s /proc/sys/kernel/random/boot_id && exec \"$0\" \"$@\"", boot_id)
  c("unshare", new_namespace(), "bash", "-c", code)
}
another_machine <- function() as_machine("00000000-0000-4000-8000-000000000001")

# Runs code with a PSOCK worker on such a machine.
with_worker_under <- function(under, use) {
  rscript <- tempfile("rscript-")
  writeLines(c("#!/bin/sh", paste("exec", paste(shQuote(c(under, r_binary())), collapse = " "), "\"$@\"")), rscript)
  Sys.chmod(rscript, "0700")
  with_cluster(1, use, rscript = rscript)
}

test_that("the machine is in the last eight bytes of a reference, the same in every process", {
  with_new_store({
    tag <- machine_tag()
    expect_false(all(tag == 0))
    dir <- put_in(scratch(), share(as.numeric(1:5000)), "x")
    got <- run_r(put(take("x"), "again"), dir = dir)
    expect_ended_well(got)
    again <- bytes_in(dir, "again")
    expect_identical(again[field_range(again, 48, 8)], tag)
    unserialize(again)[1]
  })
})

test_that("a reference of another machine is a classed error on first use, never data, also where an object of that id is", {
  setClass("MachineTest", representation(data = "numeric", text = "character"))
  on.exit(removeClass("MachineTest"))
  with_new_store({
    values <- c(five_types(), list(
      strings = rep(c("a", "\u00e4\u00f6", NA), 500), matrix = matrix(as.numeric(1:6000), 60, dimnames = list(NULL, paste0("c", 1:100))),
      factor = factor(rep(c("u", "v", NA), 500)), list = list(a = as.numeric(1:5000), b = letters),
      frame = data.frame(n = as.numeric(1:5000), s = rep(c("x", "y"), 2500)),
      S4 = new("MachineTest", data = as.numeric(1:5000), text = "t")
    ))
    for (name in names(values)) {
      x <- share(values[[name]])
      y <- unserialize(made_on(serialize(x, NULL)))
      if (is.atomic(y)) expect_false(is.shared(y), info = name)
      expect_identical(length(y), length(x), info = name)
      touches <- list(
        function() identical(y, values[[name]]), function() unshare(y), function() if (is.object(y) && isS4(y)) y@data[1] else y[[1]][1] == 1
      )
      for (touch in touches) {
        e <- expect_error(touch(), class = "cowshed_error_machine", info = name)
        expect_s3_class(e, "cowshed_error")
        expect_match(conditionMessage(e), "shared object [0-9a-f]{32} was made on another machine", info = name)
      }
      expect_identical(x, values[[name]], info = name)
    }
    x <- share(values$double)
    stream <- serialize(x, NULL)
    y <- unserialize(made_on(stream))
    for (touch in list(function() sum(y), function() y + 1, function() { y[1] <- 0; y }, function() share(y), function() y[2:3])) {
      e <- expect_error(touch(), cowshed:::data_id(x), class = "cowshed_error_machine", fixed = TRUE)
      for (remedy in c("withSharedSerialization(..., by = \"value\")", "unshare(x)")) expect_match(conditionMessage(e), remedy, fixed = TRUE)
    }
    # Passed on, it is the reference it was: whole where it came from.
    back <- serialize(y, NULL)
    expect_identical(back[field_range(back, 48, 8)], xor(machine_tag(), as.raw(255)))
    back[field_range(back, 48, 8)] <- machine_tag()
    expect_identical(back, stream)
    expect_identical(unserialize(back), values$double)
  })
})

test_that("a machine that is not known fits every other", {
  with_new_store({
    x <- share(as.numeric(1:5000))
    y <- unserialize(made_on(serialize(x, NULL), raw(8)))
    expect_true(is.shared(y))
    expect_identical(y, as.numeric(1:5000))
  })
})

test_that("a reference of the version before is an error of class cowshed_error_version", {
  with_new_store({
    stream <- serialize(share(as.numeric(1:5000)), NULL)
    expect_identical(stream[field_range(stream, 0, 1)], as.raw(2))
    stream[field_range(stream, 0, 1)] <- as.raw(1)
    expect_error(unserialize(stream)[1], class = "cowshed_error_version")
  })
})

test_that("a worker that is sent a reference of another machine reports the class and lives on", {
  with_new_store({
    with_cluster(1, function(cl) {
      x <- share(as.numeric(1:6000))
      reference <- made_on(serialize(x, NULL))
      list_reference <- made_on(serialize(share(list(a = as.numeric(1:6000), b = rep(letters, 300))), NULL))
      parallel::clusterExport(cl, c("reference", "list_reference"), envir = environment())
      parallel::clusterEvalQ(cl, { x <- unserialize(reference); l <- unserialize(list_reference); NULL })
      expect_identical(parallel::clusterEvalQ(cl, length(x))[[1]], 6000L)
      expect_error(parallel::clusterEvalQ(cl, sum(x)), "was made on another machine")
      caught <- parallel::clusterEvalQ(cl, list(
        tryCatch(x[1], cowshed_error = class), tryCatch(l$a[1], cowshed_error = class), tryCatch(l$b[1], cowshed_error = class)
      ))[[1]]
      for (classes in caught) expect_identical(classes[1:2], c("cowshed_error_machine", "cowshed_error"))
      # As an argument, as clusterApply() sends it.
      y <- unserialize(reference)
      expect_error(parallel::clusterApply(cl, list(y), function(v) v[1]), "was made on another machine")
      expect_identical(parallel::clusterApply(cl, list(y), length), list(6000L))
      expect_identical(parallel::clusterEvalQ(cl, 1 + 1)[[1]], 2)
    })
  })
})

test_that("a worker with another boot id: references are errors on either side, values arrive, what is sent back is whole", {
  skip_without_mounts()
  with_new_store({
    with_worker_under(another_machine(), function(cl) {
      x <- share(as.numeric(1:6000))
      parallel::clusterExport(cl, "x", envir = environment())
      caught <- parallel::clusterEvalQ(cl, tryCatch(sum(x), cowshed_error = class))[[1]]
      expect_identical(caught[1:2], c("cowshed_error_machine", "cowshed_error"))
      back <- parallel::clusterEvalQ(cl, x)[[1]]
      expect_identical(cowshed:::data_id(back), cowshed:::data_id(x))
      expect_identical(back, as.numeric(1:6000))
      # A result that was shared there is a reference from there.
      theirs <- parallel::clusterEvalQ(cl, cowshed::share(as.numeric(1:6000) * 2))[[1]]
      expect_identical(length(theirs), 6000L)
      expect_error(theirs[1], class = "cowshed_error_machine")
      # Unless the worker sends data.
      parallel::clusterEvalQ(cl, options(cowshed.serialize = "value"))
      theirs <- parallel::clusterEvalQ(cl, cowshed::share(as.numeric(1:6000) * 2))[[1]]
      expect_false(is.shared(theirs))
      expect_identical(theirs, as.numeric(1:6000) * 2)
      # The way for such a worker.
      withSharedSerialization(parallel::clusterExport(cl, "x", envir = environment()), by = "value")
      expect_identical(parallel::clusterEvalQ(cl, list(sum(x), cowshed::is.shared(x)))[[1]], list(sum(as.numeric(1:6000)), FALSE))
    })
  })
})

test_that("by = \"value\" sends any worker plain data", {
  with_new_store({
    with_cluster(1, function(cl) {
      values <- list(x = as.numeric(1:6000), l = list(a = as.numeric(1:5000), b = rep(letters, 300)), d = data.frame(n = as.numeric(1:5000)))
      shared <- list2env(lapply(values, share))
      withSharedSerialization(parallel::clusterExport(cl, names(values), envir = shared), by = "value")
      got <- parallel::clusterEvalQ(cl, list(
        shared = unlist(lapply(list(x, l, l$a, l$b, d, d$n), cowshed::is.shared)), values = list(x = x, l = l, d = d)
      ))[[1]]
      expect_identical(got, list(shared = rep(FALSE, 6), values = values))
      got <- withSharedSerialization(parallel::clusterCall(cl, function(x) cowshed::is.shared(x), shared$x), by = "value")
      expect_identical(got, list(FALSE))
      # Afterwards, references again.
      expect_identical(parallel::clusterCall(cl, function(x) cowshed::is.shared(x), shared$x), list(TRUE))
    })
  })
})

test_that("where the boot id cannot be read, references are attached as on one machine", {
  skip_without_mounts()
  with_new_store({
    x <- share(as.numeric(1:5000))
    hidden <- c("unshare", new_namespace(), "bash", "-c", "mount -t tmpfs tmpfs /proc/sys/kernel/random && exec \"$0\" \"$@\"")
    for (under in list(as_machine(character()), hidden)) {
      dir <- put_in(scratch(), x, "x")
      got <- run_r({
        x <- take("x")
        put(x, "back")
        put(cowshed::share(x * 2), "made")
        answer(list(sum(x), cowshed::is.shared(x)))
      }, dir = dir, under = under)
      expect_ended_well(got)
      expect_identical(got$answer, list(sum(as.numeric(1:5000)), TRUE))
      made <- bytes_in(dir, "made")
      expect_identical(made[field_range(made, 48, 8)], raw(8))
      expect_identical(unserialize(made), as.numeric(1:5000) * 2)
      expect_true(is.shared(unserialize(bytes_in(dir, "back"))))
    }
  })
})
