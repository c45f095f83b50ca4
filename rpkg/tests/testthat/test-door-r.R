# A class of the tests: an S3 list with a function that R can send, but that is not worth it.
cloud <- function(points, class = "cloud") structure(list(points = points, count = function() length(points)), class = class)
local_cloud <- function(.frame = parent.frame()) {
  local_global(
    share_proxy.cloud = function(x, ...) list(points = x$points), share_restore.cloud = function(proxy, ...) cloud(proxy$points),
    cloud = cloud, .frame = .frame
  )
}

test_that("S3 methods of all four generics are called, and go on with NextMethod()", {
  local_global(
    share.zebra = function(x, ...) structure(NextMethod(), shared_by = "zebra"),
    is.shared.zebra = function(x, ...) list("zebra", NextMethod()),
    unshare.zebra = function(x, ...) structure(NextMethod(), shared_by = NULL),
    sharedObjectProperties.zebra = function(x, ...) list("zebra", NextMethod())
  )
  plain <- structure(c(1, 2, 3), class = c("zebra", "horse"))
  x <- share(plain, sharedCopy = TRUE)
  expect_identical(attr(x, "shared_by"), "zebra")
  expect_true(getSharedCopy(x))
  expect_identical(is.shared(x, depth = 1), list("zebra", TRUE))
  expect_identical(sharedObjectProperties(x, length), list("zebra", 3))
  expect_identical(unshare(x), plain)
  expect_error(share(plain, zzz = 1), "does not know the argument `zzz`", class = "cowshed_error_argument")
})

test_that("the S3 method of the more specific class is called", {
  local_global(share.horse = function(x, ...) "horse", share.zebra = function(x, ...) c("zebra", NextMethod()))
  expect_identical(share(structure(1, class = c("zebra", "horse"))), c("zebra", "horse"))
  expect_identical(share(structure(1, class = c("horse", "zebra"))), "horse")
  expect_identical(share(structure(1:3, class = "donkey")), structure(1:3, class = "donkey"))
})

test_that("S4 methods of all four generics are called, and go on with callNextMethod()", {
  run <- run_r({
    library(cowshed)
    setClass("Animal", slots = c(name = "character", weights = "numeric"))
    setClass("Horse", contains = "Animal")
    setMethod("share", "Animal", function(x, ...) {
      x@weights <- share(x@weights, ...)
      x
    })
    setMethod("share", "Horse", function(x, ...) {
      x@name <- "a horse"
      callNextMethod()
    })
    setMethod("is.shared", "Animal", function(x, ...) list("Animal", callNextMethod()))
    setMethod("unshare", "Animal", function(x, ...) {
      x@name <- "unshared"
      callNextMethod()
    })
    setMethod("sharedObjectProperties", "Animal", function(x, ...) callNextMethod()$weights)
    x <- share(new("Horse", name = "h", weights = c(1, 2, 3)), sharedCopy = TRUE)
    answer(list(
      x@name, getSharedCopy(x@weights), is.shared(x), is.shared(x, depth = 1)[[2]]$weights, sharedObjectProperties(x, length), unshare(x)@name,
      is.shared(unshare(x)@weights), callGeneric = tryCatch(share(x, zzz = 1), error = function(e) class(e)[1])
    ))
  })
  expect_ended_well(run)
  expect_identical(run$answer, list("a horse", TRUE, list("Animal", TRUE), TRUE, 3, "unshared", FALSE, callGeneric = "cowshed_error_argument"))
})

test_that("an object is shared by its proxy, with the parts of it as views in one segment", {
  local_store()
  local_cloud()
  plain <- cloud(rnorm(5000))
  x <- share(plain)
  expect_s3_class(x, "cloud", exact = TRUE)
  expect_true(is.shared(x$points))
  expect_identical(x$points, plain$points)
  expect_identical(x$count(), 5000L)
  expect_false(is.shared(plain$points))
  expect_identical(nrow(listSharedObjects()), 1L)
  expect_true(is.shared(x))
  expect_false(is.shared(plain))
  expect_identical(is.shared(x, depth = 1), list(points = TRUE))
  expect_identical(sharedObjectProperties(x, length), list(points = 5000))
  unshared <- unshare(x)
  expect_s3_class(unshared, "cloud", exact = TRUE)
  expect_false(is.shared(unshared$points))
  expect_identical(unshared$points, plain$points)
})

test_that("proxies are used inside lists, attributes and other proxies", {
  local_cloud()
  local_global(
    share_proxy.sky = function(x, ...) list(x$clouds, x$blue),
    share_restore.sky = function(proxy, ...) structure(list(clouds = proxy[[1]], blue = proxy[[2]]), class = "sky")
  )
  c1 <- cloud(c(1, 2, 3))
  x <- share(list(a = 1:10, b = c1, c = list(c1), d = structure(list(clouds = list(c1, 7), blue = c(0, 0, 1)), class = "sky"),
                  e = structure(c(4, 5, 6), over = c1)))
  expect_true(is.shared(x$b$points))
  expect_identical(data_id(x$c[[1]]$points), data_id(x$b$points))
  expect_identical(data_id(x$d$clouds[[1]]$points), data_id(x$b$points))
  expect_s3_class(x$d, "sky")
  expect_true(is.shared(x$d$blue))
  expect_true(is.shared(attr(x$e, "over")$points))
  expect_identical(x$d$clouds[[2]], 7)
})

test_that("sharing an object that is shared gives it back, and one with nothing to share too", {
  local_cloud()
  x <- share(cloud(c(1, 2, 3)))
  expect_identical(share(x), x)
  expect_identical(data_id(share(x)$points), data_id(x$points))
  live <- share(x, copyOnWrite = FALSE)
  expect_false(getCopyOnWrite(live$points))
  expect_true(getCopyOnWrite(x$points))
  small <- cloud(1)
  expect_identical(share(small), small)
})

test_that("a vector too short to be shared may stand for something large", {
  large <- new.env()
  large$x <- as.double(1:100)
  handle <- function(e) structure(1L, class = "handle", env = e)
  local_global(
    share_proxy.handle = function(x, ...) attr(x, "env")$x, handle = handle,
    share_restore.handle = function(proxy, ...) handle(list2env(list(x = proxy)))
  )
  expect_true(is.shared(attr(share(handle(large)), "env")$x))
})

test_that("mustWork and the flags reach into the proxy", {
  local_cloud()
  local_global(share_proxy.odd = function(x, ...) list(1:10, quote(a)), share_restore.odd = function(proxy, ...) stop("not reached"))
  expect_error(share(structure(1, class = "odd"), mustWork = TRUE), class = "cowshed_error_unshareable")
  expect_true(is.shared(share(cloud(c(1, 2, 3)), mustWork = TRUE)))
  expect_false(is.shared(share(cloud(c(1, 2, 3)), minLength = 4)))
  x <- share(cloud(c(1, 2, 3)), sharedSubset = TRUE, copyOnWrite = FALSE)
  expect_true(getSharedSubset(x$points))
  expect_false(getCopyOnWrite(x$points))
})

test_that("a method that fails, or gives what it may not, is an error naming class and package; nothing is left behind", {
  local_store()
  bad <- structure(list(1:10), class = "bad")
  attempt <- function(proxy, restore = function(proxy, ...) structure(unclass(proxy), class = "bad")) {
    local_global(share_proxy.bad = proxy, share_restore.bad = restore)
    refusal(share(list(as.double(1:10000), bad)))
  }
  expect_snapshot({
    attempt(function(x, ...) stop("the hay is wet"))
    attempt(function(x, ...) x)
    attempt(function(x, ...) NULL)
    attempt(function(x, ...) environment())
    attempt(function(x, ...) list(x))
    attempt(function(x, ...) list(structure(list(runif(1)), class = "bad")))
    attempt(function(x, ...) unclass(x), function(proxy, ...) stop("the hay is dry"))
    attempt(function(x, ...) unclass(x), function(proxy, ...) NULL)
    attempt(function(x, ...) unclass(x), function(proxy, ...) structure(proxy, class = c("worse", "bad")))
  })
  gc() # the views that a failing share_restore() had
  expect_identical(nrow(listSharedObjects()), 0L)
  local_global(share_proxy.bad = function(x, ...) stop(structure(class = c("wet", "error", "condition"), list(message = "wet", call = NULL))))
  caught <- tryCatch(share(bad), cowshed_error_plugin = identity)
  expect_s3_class(caught$parent, "wet")
  expect_identical(share(c(1, 2, 3)), c(1, 2, 3))
})

test_that("a class without share_restore() is restored by the class of its proxy, or not at all", {
  local_global(
    share_proxy.seed = function(x, ...) structure(list(x[[1]]), class = "packed"),
    share_restore.packed = function(proxy, ...) structure(unclass(proxy), class = "seed")
  )
  x <- share(structure(list(c(1, 2, 3)), class = "seed"))
  expect_true(is.shared(x[[1]]))
  local_global(share_proxy.stone = function(x, ...) unclass(x))
  expect_error(share(structure(list(1:10), class = "stone")), "no share_restore\\(\\) method for the class <stone>", class = "cowshed_error_plugin")
  expect_error(share_proxy(1), "no package loaded has a share_proxy\\(\\) method", class = "cowshed_error_plugin")
  expect_error(share_restore(1), class = "cowshed_error_plugin")
})

test_that("methods are inherited if they make objects of the class that inherits", {
  local_cloud()
  expect_error(share(cloud(c(1, 2, 3), class = c("cirrus", "cloud"))), "gives an object of the class <cloud>", class = "cowshed_error_plugin")
  local_global(share_restore.cirrus = function(proxy, ...) structure(unclass(NextMethod()), class = c("cirrus", "cloud")))
  x <- share(cloud(c(1, 2, 3), class = c("cirrus", "cloud")))
  expect_s3_class(x, c("cirrus", "cloud"), exact = TRUE)
  expect_true(is.shared(x$points))
})

test_that("what cannot be looked into is seen by its proxy in lists too", {
  local_global(
    share_proxy.well = function(x, ...) x$water,
    share_restore.well = function(proxy, ...) structure(list2env(list(water = proxy)), class = "well")
  )
  plain <- list(1, structure(list2env(list(water = c(1, 2, 3))), class = "well"))
  expect_false(is.shared(plain))
  x <- share(plain)
  expect_true(is.shared(x))
  expect_identical(is.shared(x, depth = 1), list(FALSE, TRUE))
  unshared <- unshare(x)
  expect_false(is.shared(unshared))
  expect_identical(unshared[[2]]$water, c(1, 2, 3))
  # An environment is unshared where it is.
  expect_false(is.shared(x[[2]]$water))
})

test_that("packages whose table of methods is a matrix of lists are looked at, too", {
  # R makes it one when a method is registered as a function; with no other methods about, share() of any object was an error then.
  space <- asNamespace("stats")
  table <- .getNamespaceInfo(space, "S3methods")
  lists <- matrix(as.list(table), nrow(table), dimnames = dimnames(table))
  info <- get(".__NAMESPACE__.", space, inherits = FALSE)
  assign("S3methods", lists, envir = info)
  on.exit(assign("S3methods", table, envir = info))
  expect_identical(names(cowshed:::methods_of("stats")), c("generic", "class", "package", "s4"))
  expect_identical(nrow(cowshed:::methods_of("stats")), 0L)
})

test_that("a variable that is no function is no method", {
  local_global(share_proxy.pebble = 5)
  x <- structure(list(1:10), class = "pebble")
  expect_true(is.shared(share(x)[[1]]))
})

test_that("S4 objects and reference objects are shared by their proxies", {
  skip_if_not_installed("R6")
  run <- run_r({
    library(cowshed)
    setClass("Tower", slots = c(stones = "numeric", crane = "externalptr"))
    setClass("Spire", contains = "Tower")
    setMethod("share_proxy", "Tower", function(x, ...) list(class(x), x@stones))
    setMethod("share_restore", "Tower", function(proxy, ...) new(proxy[[1]], stones = proxy[[2]]))
    spire <- share(list(new("Spire", stones = c(1, 2, 3))))[[1]]
    Farm <- setRefClass("Farm", fields = list(acres = "numeric"))
    setMethod("share_proxy", "Farm", function(x, ...) list(x$acres))
    setMethod("share_restore", "Farm", function(proxy, ...) Farm$new(acres = proxy[[1]]))
    farm <- share(Farm$new(acres = c(4, 5, 6)))
    Pond <- R6::R6Class("Pond", public = list(depth = NULL, initialize = function(depth) self$depth <- depth, deepest = function() max(self$depth)))
    share_proxy.Pond <- function(x, ...) x$depth
    share_restore.Pond <- function(proxy, ...) Pond$new(proxy)
    own <- Pond$new(c(7, 8, 9))
    pond <- share(own)
    # An S4 method for an S3 class.
    setOldClass("barn")
    setMethod("share_proxy", "barn", function(x, ...) unclass(x))
    setMethod("share_restore", "barn", function(proxy, ...) structure(proxy, class = "barn"))
    barn <- share(structure(list(c(1, 2, 3)), class = "barn"))
    answer(list(
      is(spire, "Spire"), is.shared(spire@stones), class(farm)[1], is.shared(farm$acres), is.shared(farm), is.shared(pond$depth), pond$deepest(),
      is.shared(own), identical(own, pond), is.shared(unshare(pond)), class(barn), is.shared(barn[[1]]), subset(sharePlugins(), door == "R")
    ))
  })
  expect_ended_well(run)
  expect_identical(run$answer[1:12], list(TRUE, TRUE, "Farm", TRUE, TRUE, TRUE, 9, FALSE, FALSE, FALSE, "barn", TRUE))
  expect_identical(run$answer[[13]]$name, paste0(
    rep(c("share_proxy.", "share_restore."), each = 4), c("Farm", "Pond", "Tower", "barn")
  )[order(rep(1:2, each = 4), rep(c("Farm", "Pond", "Tower", "barn"), 2))])
  expect_identical(run$answer[[13]]$priority, c(2L, 1L, 2L, 2L, 2L, 1L, 2L, 2L))
})

test_that("the example package keeps its promises, as a third party's package", {
  library <- rdoor_library()
  out <- suppressWarnings(system2(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(file.path(rdoor_source(), "tests", "rdoor.R"))), stdout = TRUE, stderr = TRUE,
    env = paste0("R_LIBS=", shQuote(r_libs(library)))
  ))
  expect_null(attr(out, "status"), info = paste(out, collapse = "\n"))
})

test_that("objects of the example package travel to workers as references", {
  skip_without_processes()
  library <- rdoor_library()
  local_plugin("rdoor", library = library)
  with_new_store({
    x <- share(list(rdoor::Lookup(letters, as.double(1:26)), rdoor::quantiles(as.double(1:5000))))
    s <- share(rdoor::series(1:3, as.double(1:5000)))
    dir <- put_in(scratch(), list(x, s), "x")
    expect_lt(file.size(file.path(dir, "x")), 60000)
    got <- run_r({
      x <- take("x")
      library(cowshed)
      answer(list(
        x[[1]][[1]][["c"]], is.shared(x[[1]][[1]]@values), x[[1]][[2]](0.5), is.shared(get("sorted", environment(x[[1]][[2]]))),
        is.shared(x[[2]]), isNamespaceLoaded("rdoor")
      ))
    }, dir = dir, env = paste0("R_LIBS=", r_libs(library)))
    expect_ended_well(got)
    expect_identical(got$answer[1:5], list(3, TRUE, 2500, TRUE, TRUE))
  })
})

test_that("an object is opened from its segment with the package's methods; without the package the error names it", {
  skip_without_processes()
  library <- rdoor_library()
  local_plugin("rdoor", library = library)
  with_new_store({
    x <- share(rdoor::Lookup(letters, as.double(1:26)))
    dir <- put_in(scratch(), x@values, "values")
    id <- sub(":.*", "", data_id(x@values))
    with <- run_r({
      values <- take("values")
      opened <- cowshed:::open_whole(id)
      answer(list(class(opened), opened[["c"]], cowshed::is.shared(opened@values), isNamespaceLoaded("rdoor")))
    }, id = id, dir = dir, env = paste0("R_LIBS=", r_libs(library)))
    expect_ended_well(with)
    expect_identical(with$answer[[1]], structure("Lookup", package = "rdoor"))
    expect_identical(with$answer[-1], list(3, TRUE, TRUE))
    without <- run_r({
      values <- take("values")
      caught <- condition_of(cowshed:::open_whole(id))
      answer(c(caught, sum(values)))
    }, id = id, dir = put_in(scratch(), x@values, "values"), env = paste0("R_LIBS=", r_libs()))
    expect_ended_well(without)
    expect_condition_class(without$answer, "plugin")
    expect_match(without$answer$message, "class <Lookup> can be restored only with the package 'rdoor', which is not installed here; install.packages(\"rdoor\")", fixed = TRUE)
    expect_identical(without$answer[[3]], 351)
  })
})

test_that("unloading a package takes its methods away, and what it shared goes on working", {
  library <- rdoor_library()
  local_plugin("rdoor", library = library)
  of_rdoor <- function() subset(sharePlugins(), package == "rdoor")
  expect_identical(of_rdoor()$name, c(
    "share.series", "is.shared.series", "share_proxy.Lookup", "share_proxy.account", "share_proxy.quantiles", "share_restore.Lookup",
    "share_restore.account", "share_restore.quantiles"
  ))
  expect_identical(of_rdoor()$priority, c(1L, 1L, 2L, 1L, 1L, 2L, 1L, 1L))
  expect_identical(unique(of_rdoor()$door), "R")
  plain <- rdoor::quantiles(as.double(1:100))
  x <- share(plain)
  s <- share(rdoor::series(1:3, as.double(1:5)))
  expect_true(is.shared(x))
  id <- sub(":.*", "", data_id(get("sorted", environment(x))))
  unloadNamespace("rdoor")
  expect_identical(nrow(of_rdoor()), 0L)
  expect_identical(x(0.5), 50)
  expect_true(is.shared(get("sorted", environment(x))))
  expect_identical(share(plain), plain)
  expect_true(is.shared(s))
  expect_identical(s$values, as.double(1:5))
})

test_that("two packages with a method for one class are an error that names both", {
  library <- tempfile("library-")
  for (name in c("haya", "hayb")) {
    plugin_package(
      name, c("S3method(share_proxy, hay)", "S3method(share_restore, hay)", "S3method(share, straw)", "exportMethods(share_proxy, share_restore)"),
      c(
        "share_proxy.hay <- function(x, ...) unclass(x)",
        "share_restore.hay <- function(proxy, ...) structure(proxy, class = 'hay')",
        "share.straw <- function(x, ...) 'straw'",
        "setOldClass('hexmode')",
        "setMethod('share_proxy', 'hexmode', function(x, ...) unclass(x))",
        "setMethod('share_restore', 'hexmode', function(proxy, ...) structure(proxy, class = 'hexmode'))"
      ), library
    )
  }
  plain <- structure(list(c(1, 2, 3)), class = "hay")
  local_plugin("haya", library = library)
  expect_true(is.shared(share(plain)[[1]]))
  suppressMessages(local_plugin("hayb", library = library))
  both <- "'haya' and 'hayb' both have a share_proxy\\(\\) method for the class <hay>|'hayb' and 'haya' both have a share_proxy\\(\\) method for the class <hay>"
  expect_error(share(plain), both, class = "cowshed_error_plugin")
  expect_error(share(list(1:10, plain)), both, class = "cowshed_error_plugin")
  expect_error(share(structure(1, class = "straw")), "both have a share\\(\\) method for the class <straw>", class = "cowshed_error_plugin")
  expect_error(share(structure(1:5, class = "hexmode")), "both have a share_proxy\\(\\) method for the class <hexmode>", class = "cowshed_error_plugin")
  expect_setequal(subset(sharePlugins(), name == "share_proxy.hay")$package, c("haya", "hayb"))
  expect_identical(share(c(1, 2, 3)), c(1, 2, 3))
  expect_s3_class(share(factor(letters)), "factor")
  # A more specific class is none of theirs.
  local_global(share_proxy.fresh = function(x, ...) list(x[[1]]), share_restore.fresh = function(proxy, ...) structure(proxy, class = c("fresh", "hay")))
  expect_true(is.shared(share(structure(list(c(1, 2, 3)), class = c("fresh", "hay")))[[1]]))
  unloadNamespace("hayb")
  expect_true(is.shared(share(plain)[[1]]))
  expect_identical(share(structure(1, class = "straw")), "straw")
  expect_true(is.shared(share(structure(1:5, class = "hexmode"))))
  expect_identical(subset(sharePlugins(), package == "haya")$class, c("straw", "hay", "hexmode", "hay", "hexmode"))
})

test_that("proxies survive a collection at every allocation", {
  # In a process of its own, whose heap is small, so that collecting is quick.
  run <- run_r({
    library(cowshed)
    cloud <- function(points) structure(list(points = points), class = "cloud")
    share_proxy.cloud <- function(x, ...) x$points
    share_restore.cloud <- function(proxy, ...) cloud(proxy)
    share_proxy.broken <- function(x, ...) stop("broken")
    exercise <- function() {
      x <- share(list(cloud(c(1, 2, 3)), list(cloud(4:6), 7)))
      y <- unshare(x[[1]])
      refused <- tryCatch(share(structure(list(), class = "broken")), cowshed_error_plugin = function(e) "refused")
      whole <- cowshed:::open_whole(cowshed:::data_id(x[[1]]$points))
      list(x[[1]]$points, x[[2]][[1]]$points, y$points, is.shared(x[[1]]), is.shared(y), refused, whole[[2]][[1]]$points)
    }
    before <- exercise()
    gctorture(TRUE)
    got <- exercise()
    gctorture(FALSE)
    answer(list(before, got))
  }, store = local_store(), timeout = 200)
  expect_ended_well(run)
  expected <- list(c(1, 2, 3), 4:6, c(1, 2, 3), TRUE, FALSE, "refused", 4:6)
  expect_identical(run$answer, list(expected, expected))
})
