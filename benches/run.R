# The benchmarks: `./dev bench [GROUP...]`; without a group, all. Groups are the files of benches/figures/. `n-by-n`, which is no group, is
# benches/n-by-n.R.
#
# What is measured is the installed package, against baselines in the same run and beside every other package of benches/systems.R that
# is installed. Each group has an R process of its own, so that what one leaves behind (descriptors, mappings, a grown heap) does not
# disturb the next. The table and the plots go to target/bench/<R version>/.

for (file in c("harness.R", "systems.R", "applies.R", "limits.R", "report.R", "n-by-n.R")) source(file.path("benches", file))

measure_one <- function(group, file) {
  suppressPackageStartupMessages(library(cowshed))
  load_limits(limits_library())
  measure <- new.env(parent = globalenv())
  sys.source(file.path("benches", "figures", paste0(group, ".R")), measure)
  measure$run(group)
  saveRDS(as.list(table_rows), file)
}

measure_all <- function(groups, output) {
  failed <- character()
  for (group in groups) {
    file <- tempfile()
    status <- system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", "benches/run.R", "--one", group, file))
    if (status != 0 || !file.exists(file)) {
      failed <- c(failed, group)
      next
    }
    rows <- readRDS(file)
    for (name in names(rows)) table_rows[[name]] <- rbind(table_rows[[name]], rows[[name]])
  }
  report(output)
  if (length(failed)) stop("these groups failed: ", toString(failed), call. = FALSE)
}

arguments <- commandArgs(TRUE)
groups <- sub("[.]R$", "", list.files("benches/figures", pattern = "[.]R$"))
if (identical(arguments[1], "--one")) {
  measure_one(arguments[[2]], arguments[[3]])
} else if (identical(arguments[1], "--way")) {
  numbers <- as.numeric(arguments[3:5])
  measure_way(arguments[[2]], numbers[[1]], numbers[[2]], numbers[[3]], arguments[[6]])
} else {
  known <- c(groups, "n-by-n")
  if (length(unknown <- setdiff(arguments, known))) stop("no such group: ", toString(unknown), "; there are ", toString(known), call. = FALSE)
  output <- file.path(target_folder(), "bench", paste(R.version$major, R.version$minor, sep = "."))
  dir.create(output, recursive = TRUE, showWarnings = FALSE)
  if ("n-by-n" %in% arguments) n_by_n(output)
  wanted <- if (length(arguments)) intersect(groups, arguments) else groups
  if (length(wanted)) measure_all(wanted, output)
}
