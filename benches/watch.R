# Watches the memory of other processes: Rscript benches/watch.R DIRECTORY PID...
#
# Every few milliseconds (what comes and goes faster is not seen), until there is a file `stop` in the directory or one of them ends: the sum of their PSS, in which a page that n
# processes have mapped counts once. The first and the greatest sum, in bytes, are left there as `seen`; `begun` says that the first is known.

arguments <- commandArgs(TRUE)
directory <- arguments[[1]]
files <- file.path("/proc", arguments[-1], "smaps_rollup")

pss <- function(file) {
  lines <- tryCatch(readLines(file), error = function(e) character(), warning = function(w) character())
  as.numeric(gsub("[^0-9]", "", grep("^Pss:", lines, value = TRUE))) * 1024
}
total <- function() {
  each <- unlist(lapply(files, pss))
  if (length(each) == length(files)) sum(each) else NA
}
leave <- function(name, value) {
  part <- file.path(directory, paste0(name, ".part"))
  saveRDS(value, part)
  invisible(file.rename(part, file.path(directory, name)))
}

first <- highest <- total()
leave("begun", TRUE)
while (!is.na(seen <- total()) && !file.exists(file.path(directory, "stop"))) {
  highest <- max(highest, seen)
  Sys.sleep(0.002)
}
if (dir.exists(directory)) leave("seen", c(first, highest))
