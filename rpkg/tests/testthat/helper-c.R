# C functions for the tests, compiled once per run: what packages do to vectors through R's C interface.

compiled <- new.env()

# Their names, loaded; skips if there is no compiler.
c_functions <- function() {
  if (is.null(compiled$table)) {
    dir <- tempfile("cowshed-c-")
    dir.create(dir)
    file.copy(test_path("c-api.c"), dir)
    old <- setwd(dir)
    on.exit(setwd(old))
    build <- c("CMD", "SHLIB", "c-api.c")
    output <- suppressWarnings(system2(file.path(R.home("bin"), "R"), build, stdout = TRUE, stderr = TRUE, timeout = 60))
    library <- file.path(dir, paste0("c-api", .Platform$dynlib.ext))
    compiled$table <- FALSE
    compiled$why <- paste(output, collapse = "\n")
    if (file.exists(library)) {
      names <- c(
        "t_duplicate", "t_shallow_duplicate", "t_lazy_duplicate", "t_coerce", "t_write", "t_write_elt", "t_read", "t_elt_sum", "t_region_sum",
      "t_pointers", "t_strings", "t_set_string", "t_same_object", "t_maybe_shared", "t_copy_most", "t_lengthgets", "t_writable",
      "t_peek", "t_poke"
      )
      dll <- dyn.load(library)
      compiled$table <- lapply(stats::setNames(names, names), function(name) {
        address <- getNativeSymbolInfo(name, dll)
        function(...) .Call(address, ...)
      })
    }
  }
  if (isFALSE(compiled$table)) {
    skip_without_compiler()
    stop(compiled$why)
  }
  compiled$table
}

# `compilers` as R's configuration calls them. One that is there and fails is no reason to skip.
skip_without_compiler <- function(compilers = "CC") {
  for (compiler in compilers) {
    command <- system2(file.path(R.home("bin"), "R"), c("CMD", "config", compiler), stdout = TRUE)
    if (!nzchar(Sys.which(strsplit(paste(command, collapse = " "), " ")[[1]][1]))) skip(paste("there is no", compiler))
  }
}
