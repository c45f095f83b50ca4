test_that("every strategy survives the link, and no other is there", {
  # A crate that only registers something is dropped by a linker that sees no reference to it.
  expect_identical(
    cowshed:::strategies(),
    c(
      "numpy.array", "r.S4", "r.character", "r.closure", "r.complex", "r.double", "r.elsewhere", "r.environment", "r.integer", "r.list", "r.logical", "r.pairlist",
      "r.proxy", "r.raw", "r.serialized", "r.virtual"
    )
  )
})
