test_that("every strategy survives the link, and no other is there", {
  # A crate that only registers something is dropped by a linker that sees no reference to it.
  expect_identical(
    cowshed:::strategies(),
    c("r.character", "r.complex", "r.double", "r.integer", "r.list", "r.logical", "r.proxy", "r.raw", "r.serialized")
  )
})
