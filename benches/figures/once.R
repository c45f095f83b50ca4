# Objects made once per machine: found by a process that has just started, and written.
#
# The physical limit of finding one is open(), fstat() and mmap() of its file; of writing, a bare pwrite() of the same bytes. What numpy does with the same files is measured by
# benches/once.py, where the Python package is built.

run <- function(group, mb = 800) {
  dir <- tempfile("once-", if (dir.exists("/dev/shm")) "/dev/shm" else tempdir())
  dir.create(dir)
  on.exit(unlink(dir, recursive = TRUE))
  x <- rnorm(1e6) + numeric(mb * 1e6 / 8)
  get <- function(id, ...) cowshed::shareCache(id, ..., shm_path = dir, verbose = FALSE)
  # Held and read here, so that half of what a process in Python reads is this one's.
  large <- get("large", x)
  stopifnot(is.finite(sum(large)))
  get("small", x[1:1000])
  get("frame", list(a = x[1:1000], b = letters))
  found_first(group, dir, mb)
  finds <- list(`openSharedFile()` = function() cowshed::openSharedFile(file.path(dir, "sharearray_small.npy")), cowshed = function() get("small"))
  ratios(group, "found, 8 KB, again and again", times(finds, rounds = 9L, each = 200L))
  writing(group, dir, x, mb, get)
  in_python(group, dir, mb)
  rm(large)
}

# In processes of their own, each of which loads the package and then asks once.
found_first <- function(group, dir, mb) {
  ask <- function(id) {
    code <- sprintf(
      "library(cowshed); t <- as.numeric(Sys.time()); x <- shareCache('%s', shm_path = '%s', verbose = FALSE); invisible(x[[1]]); cat(as.numeric(Sys.time()) - t)", id, dir
    )
    as.numeric(system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", "-e", shQuote(code)), stdout = TRUE))
  }
  seconds <- t(replicate(9, c(`8 KB` = ask("small"), large = ask("large"), list = ask("frame"))))
  figure(group, "found in a new process, 8 KB", "us", list(cowshed = seconds[, 1] * 1e6), wanted = 1000)
  figure(group, paste("found in a new process,", mb, "MB"), "us", list(cowshed = seconds[, 2] * 1e6), wanted = 1000)
  figure(group, "found in a new process, a list", "us", list(cowshed = seconds[, 3] * 1e6), wanted = 1000)
}

writing <- function(group, dir, x, mb, get) {
  gone <- function(...) cowshed::shareCacheFree("new", shm_path = dir)
  writes <- list(
    `pwrite(), fsync()` = function() limits$write_synced(x, dir),
    cowshed = prepared(gone, function(...) get("new", x)),
    `cowshed, a list` = prepared(gone, function(...) get("new", list(x)))
  )
  ratios(group, paste("written,", mb, "MB"), times(writes, rounds = 5L))
  gone()
}

in_python <- function(group, dir, mb) {
  python <- Sys.getenv("COWSHED_PYTHON")
  if (!nzchar(python)) return(cat("Python: not measured: COWSHED_PYTHON is not set to one that has cowshed\n"))
  ask <- function(id) {
    words <- strsplit(system2(python, c("benches/once.py", id, dir), stdout = TRUE), " ")[[1]]
    stats::setNames(as.numeric(words), c("us", "numpy_us", "copied_kb", "pss_kb"))
  }
  for (id in c("small", "large")) {
    got <- t(replicate(9, ask(id)))
    size <- if (id == "small") "8 KB" else paste(mb, "MB")
    figure(group, paste0("found in a new Python, ", size), "us", list(cowshed = got[, "us"], `numpy.load()` = got[, "numpy_us"]), wanted = 1000)
    figure(group, paste0("copied by a sum in Python, ", size), "kB", list(cowshed = got[, "copied_kb"]))
  }
  figure(group, paste0("PSS of a Python that read ", mb, " MB with R holding it"), "MB", list(cowshed = got[, "pss_kb"] / 1024))
}
