# Writing cached objects into files of their own. Nothing that is saved changes by that; what fails leaves nothing.

# Writes the objects of `cells` into new files of `dir`. Gives `number` and `format` of each, held by this session. The caller has suspended interrupts:
# they come while files are written, when nothing has changed yet, and not between a number and the cell that gets it.
#
# `take(cell)`: whether the object's file is to be copied as it is, or (`link`) to have a second name if that can be. `skip(file, cell)`: whether a file that was written is not needed after all; its
# number is then NA.
write_cells <- function(cells, dir, format = NULL, skip = function(file, cell) FALSE, take = function(cell) FALSE, link = FALSE) {
  n <- length(cells)
  files <- rep(NA_character_, n)
  formats <- rep(NA_character_, n)
  on.exit(unlink(files[!is.na(files)]))
  progress <- progress_for(n, "objects")
  on.exit(progress$end(all(!is.na(formats))), add = TRUE)
  allowInterrupts(for (i in seq_len(n)) {
    cell <- cells[[i]]
    format_i <- if (is.null(format)) cell$format else format
    if (take(cell)) {
      from <- file_of(cell)
      format_i <- format_of(from)
      files[i] <- .Call(cs_cache_take, dir, subdir(), from, !link)
    } else {
      files[i] <- .Call(cs_cache_new, dir, subdir())
      write_object(value_of(cell), cell$name, files[i], format_i, dir)
      if (skip(files[i], cell)) {
        unlink(files[i])
        files[i] <- NA
      }
    }
    formats[i] <- format_i
    progress$at(i, numeric(), list())
  })
  written <- which(!is.na(files))
  numbers <- rep(NA_real_, n)
  if (length(written) > 0L) {
    numbers[written] <- .Call(cs_cache_number, dir, subdir(), files[written], vapply(formats[written], kind_of, ""))
    files[written] <- NA
  }
  list(number = numbers, format = formats)
}

# The objects are in these files from now on; gives the numbers that they had before.
settle_cells <- function(cells, dir, written) {
  before <- list()
  for (i in seq_along(cells)) {
    if (is.na(written$number[i])) next
    cell <- cells[[i]]
    if (cell$number > 0) before[[cell$dir]] <- c(before[[cell$dir]], cell$number)
    cell$dir <- dir
    cell$number <- written$number[i]
    cell$format <- written$format[i]
    cell$file <- object_path(dir, cell$number, cell$format)
  }
  before
}

# Objects get new files at once, outside of Save(). What the saved image refers to stays until then.
rewrite_cells <- function(cells, env, format = NULL) {
  if (length(cells) == 0L) return(invisible(NULL))
  dir <- path_of(env)
  suspendInterrupts({
    written <- write_cells(cells, dir, format, skip = function(file, cell) is_same_file(file, cell, format))
    before <- settle_cells(cells, dir, written)
    set_entries(env, names(cells), unname(numbers_of(cells)), unname(about_cells(cells, env)))
  })
  for (old in names(before)) .Call(cs_cache_retire, old, subdir(), digits(before[[old]]), FALSE)
  invisible(NULL)
}

# Whether an object that may change unseen has not.
is_same_file <- function(file, cell, format = NULL) {
  if (cell$number == 0 || !is.null(format) && format != cell$format || !file.exists(cell$file)) return(FALSE)
  if (cell$format == "segment") tryCatch(same_segment(file, cell$file), cowshed_error = function(e) FALSE) else .Call(cs_cache_same, file, cell$file)
}

# What mcachees() and lsize() tell without reading: known since it was assigned, unless it may have changed without.
about_cells <- function(cells, env) {
  known <- as.list(attr(attr(env, "mcache"), "info"))[names(cells)]
  stale <- vapply(cells, function(cell) cell$loaded, NA) & (lengths(known) == 0L | vapply(cells, may_change_unseen, NA))
  known[stale] <- lapply(cells[stale], function(cell) info_of(.subset2(cell, "value")))
  stats::setNames(known, names(cells))
}

# options(mlazy.index = TRUE): which object is in which file.
update_index <- function(env) {
  if (!isTRUE(getOption("mlazy.index", FALSE)) || is.null(attr(env, "mcache"))) return(invisible(NULL))
  cells <- Filter(function(cell) cell$number > 0, cells_of(env))
  file <- sub("1[.]rda$", ".ind", object_path(path_of(env), 1))
  if (dir.exists(dirname(file))) write_index(as.character(names(cells)), numbers_of(cells), file)
}
