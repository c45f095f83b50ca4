# The blocks of the pages print what the pages say.

pages <- c(
  "README.md", "docs/serialize.md", "docs/parallel-apply.md", "docs/virtual-vectors.md", "docs/on-disk.md", "docs/made-once.md", "docs/door-r.md", "tests/r/sharedobject.md", "tests/r/memshare.md",
  "tests/r/travel.md"
)
for (page in pages) {
  found <- run_page(page)
  check(page, found$passed, found$problems)
}

# Those that save R's workspace: in an R of their own, in a directory that is thrown away, with nothing in the workspace.
for (page in "tests/r/mlazy.md") {
  here <- tempfile("page-")
  dir.create(here)
  paths <- normalizePath(c("tests/r/blocks.R", page))
  script <- file.path(tempdir(), "alone.R")
  writeLines(deparse(bquote(local({
    blocks <- new.env()
    sys.source(.(paths[[1]]), blocks)
    saveRDS(blocks$run_page(.(paths[[2]])), .(file.path(tempdir(), "alone.rds")))
  }))), script)
  log <- suppressWarnings(system(sprintf("cd %s && LC_COLLATE=C timeout --kill-after=5 300 %s --vanilla %s 2>&1", here, file.path(R.home("bin"), "Rscript"), script), intern = TRUE))
  found <- tryCatch(readRDS(file.path(tempdir(), "alone.rds")), error = function(e) list(passed = 0L, problems = paste(log, collapse = "\n")))
  check(page, found$passed, found$problems)
  unlink(c(here, script, file.path(tempdir(), "alone.rds")), recursive = TRUE)
}
