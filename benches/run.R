# The benchmarks: `./dev bench [GROUP...]`; without a group, all. Groups are the files of benches/figures/.
#
# What is measured is the installed package, against baselines in the same run and beside every other package of benches/systems.R that
# is installed. The table and the plots go to target/bench/<R version>/.

suppressPackageStartupMessages(library(cowshed))
for (file in c("harness.R", "systems.R", "limits.R", "report.R")) source(file.path("benches", file))

groups <- sub("[.]R$", "", list.files("benches/figures", pattern = "[.]R$"))
wanted <- commandArgs(TRUE)
if (length(unknown <- setdiff(wanted, groups))) stop("no such group: ", toString(unknown), "; there are ", toString(groups), call. = FALSE)

load_limits(limits_library())
output <- file.path(target_folder(), "bench", paste(R.version$major, R.version$minor, sep = "."))
dir.create(output, recursive = TRUE, showWarnings = FALSE)

for (group in if (length(wanted)) wanted else groups) {
  measure <- new.env(parent = globalenv())
  sys.source(file.path("benches", "figures", paste0(group, ".R")), measure)
  measure$run(group)
}
report(output)
