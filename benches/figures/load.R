# library(cowshed) in a fresh R, and the size of what is loaded.

run <- function(group) {
  start <- function(code) function() system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", "-e", shQuote(code)), env = library_paths())
  seconds <- times(list(R = start("invisible()"), cowshed = start("suppressMessages(library(cowshed))")), rounds = 9L)
  ratios(group, "start of R", seconds)
  figure(group, "library(cowshed)", "ms", list(cowshed = (seconds[, "cowshed"] - seconds[, "R"]) * 1e3), wanted = 150)
  library <- system.file("libs", paste0("cowshed", .Platform$dynlib.ext), package = "cowshed")
  figure(group, "the installed library", "MB", list(cowshed = file.size(library) / 1e6), wanted = 3)
}

library_paths <- function() paste0("R_LIBS=", paste(.libPaths(), collapse = .Platform$path.sep))
