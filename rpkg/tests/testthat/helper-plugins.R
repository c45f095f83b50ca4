# Packages that make their classes shareable, installed as third parties' packages are, into a library of their own.

rdoor_source <- function() testthat::test_path("..", "..", "..", "tests", "plugins", "rdoor")

# A library with the example package; installed once.
rdoor_library <- local({
  library <- NULL
  function() {
    testthat::skip_if_not(dir.exists(rdoor_source()), "the example package is in the checkout only")
    if (is.null(library)) library <<- install_plugin(rdoor_source())
    library
  }
})

install_plugin <- function(source, library = tempfile("library-")) {
  if (!dir.exists(library)) dir.create(library)
  out <- suppressWarnings(system2(
    file.path(R.home("bin"), "R"), c("CMD", "INSTALL", "--no-docs", "--no-test-load", paste0("--library=", shQuote(library)), shQuote(source)),
    stdout = TRUE, stderr = TRUE, env = paste0("R_LIBS=", shQuote(r_libs()))
  ))
  if (!is.null(attr(out, "status"))) stop("installing ", source, " failed: ", paste(out, collapse = "\n"))
  library
}

# A package of one file; its NAMESPACE begins with the import of all generics.
plugin_package <- function(name, namespace, code, library) {
  source <- file.path(scratch(), name)
  dir.create(file.path(source, "R"), recursive = TRUE)
  writeLines(c(paste("Package:", name), "Title: A Test", "Version: 0.1", "Description: A test.", "License: GPL-3", "Author: N", "Maintainer: N <n@n.example>",
               "Imports: cowshed, methods"), file.path(source, "DESCRIPTION"))
  writeLines(c("import(cowshed)", "import(methods)", namespace), file.path(source, "NAMESPACE"))
  writeLines(code, file.path(source, "R", "code.R"))
  install_plugin(source, library)
}

r_libs <- function(...) paste(c(..., .libPaths()), collapse = .Platform$path.sep)

# Loads packages while the test runs.
local_plugin <- function(..., library, .frame = parent.frame()) {
  for (package in c(...)) loadNamespace(package, lib.loc = c(library, .libPaths()))
  do.call(on.exit, list(bquote(for (package in .(rev(c(...)))) if (isNamespaceLoaded(package)) unloadNamespace(package)), add = TRUE), envir = .frame)
}

# Defines functions in the global environment while the test runs, as users do.
local_global <- function(..., .frame = parent.frame()) {
  functions <- list(...)
  list2env(functions, globalenv())
  do.call(on.exit, list(bquote(rm(list = .(names(functions)), envir = globalenv())), add = TRUE), envir = .frame)
}
