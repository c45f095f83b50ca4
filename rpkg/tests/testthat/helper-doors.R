# Packages of others, installed as theirs are: the examples in tests/plugins of the checkout, and one made of C code in a test.

doors <- new.env()

# A file of the checkout; skips where there is none, as in a check of the source package.
in_checkout <- function(...) {
  path <- test_path("..", "..", "..", ...)
  skip_if(!file.exists(path), paste("there is no checkout with", file.path(...)))
  normalizePath(path)
}

# Installs the package in the folder `source` into a library of its own, which it returns.
install_into_library <- function(source, env = character()) {
  target <- tempfile("library-")
  dir.create(target)
  paths <- paste0("R_LIBS=", paste(.libPaths(), collapse = ":"))
  output <- suppressWarnings(system2(
    file.path(R.home("bin"), "R"), c("CMD", "INSTALL", "--no-test-load", paste0("--library=", target), shQuote(source)),
    stdout = TRUE, stderr = TRUE, env = c(paths, env), timeout = 400
  ))
  if (length(setdiff(dir(target), "00LOCK-")) == 0L) stop(paste(output, collapse = "\n"))
  target
}

# The library with an example of tests/plugins; installed once.
example_library <- function(name, env = character(), in_place = FALSE) {
  source <- in_checkout("tests", "plugins", name)
  if (is.null(doors[[name]])) {
    if (!in_place) {
      copy <- scratch()
      file.copy(source, copy, recursive = TRUE)
      source <- file.path(copy, name)
      unlink(list.files(file.path(source, "src"), "[.](o|so)$", full.names = TRUE))
    }
    doors[[name]] <- install_into_library(source, env)
  }
  doors[[name]]
}

cdoor_library <- function() {
  skip_without_compiler()
  example_library("cdoor")
}

rustdoor_library <- function() {
  skip_if(!nzchar(Sys.which("cargo")) && !file.exists("~/.cargo/bin/cargo"), "there is no cargo")
  root <- dirname(dirname(in_checkout("plugins", "Cargo.toml")))
  built <- Sys.getenv("COWSHED_TARGET_DIR", file.path(root, "target"))
  target <- file.path(built, "doors", paste0("r-", getRversion()[, 1:2]))
  # In place: its manifest names the crate by a relative path.
  example_library("rustdoor", paste0("CARGO_TARGET_DIR=", shQuote(target)), in_place = TRUE)
}

# Runs code with a package's namespace loaded from a library of its own.
with_package <- function(name, library, code) {
  loadNamespace(name, lib.loc = library)
  on.exit({
    # Its strategies go with it; what others of its name registered, too.
    unloadNamespace(name)
    cowshed:::unregister_plugins(name)
  })
  force(code)
}
