#' Save a workspace that has cached objects
#'
#' `Save()` saves the workspace as [save.image()] does, but for cached objects ([mlazy()]): of those it writes only what has changed, each into
#' a file of its own. `Save.pos()` does the same for any environment that has a directory, such as one made by [attach.mlazy()].
#'
#' @details
#' Into `.RData` go all objects that are not cached, and one more, called `.mcache00`, which tells what is cached (with more zeros if you have
#' an object of that name). It is written beside the old one, which it then replaces at once: whatever happens, one of the two is there, whole, with the files of the
#' objects it refers to. When nothing has changed, nothing is replaced. Afterwards, files go that nobody refers to any more.
#'
#' If another session has saved to the same directory since this one loaded or saved it, there is a warning of class `cowshed_warning_saved_elsewhere`, and
#' what is saved now is what counts.
#'
#' Objects named in `getOption("dont.Save", c(".packageName", ".SavedPlots", "last.warning", ".Last.value", ".Traceback"))` are not saved. How files are compressed, and where they are, is
#' said by the options of [mlazy()].
#'
#' `Save()` is `Save.pos(1)` and, in an interactive session, [savehistory()].
#'
#' @param pos An environment, or a position or name on the search path.
#' @param path A directory to save a copy to, or a file in it; it is complete in itself, with the files of all cached objects. `pos` keeps
#'   its own directory, and what has changed still is to be saved there. If not given, `attr(pos, "path")`.
#' @param ascii As of [save()], for `.RData`.
#' @return `NULL`, invisibly.
#' @section Errors: `cowshed_error_full`: no room. `cowshed_error_store`: the directory cannot be written. `cowshed_error_argument`: an
#'   argument is wrong, or `pos` has no directory. `cowshed_error_gone`, `cowshed_error_corrupt`: the file of a cached object that has to be read. After any error what was saved before is there, and
#'   `Save()` can be called again.
#' @seealso [mlazy()]
#' @examples
#' e <- new.env()
#' attr(e, "path") <- tempfile("cache")
#' e$x <- rnorm(1e4)
#' e$y <- "small"
#' mlazy(x, envir = e)
#' Save.pos(e)
#' dir(attr(e, "path"), all.files = TRUE, recursive = TRUE, pattern = "Data$|obj")
#'
#' again <- new.env()
#' load.refdb(envir = again, fpath = attr(e, "path"))
#' identical(again$x, e$x)
#' unlink(attr(e, "path"), recursive = TRUE)
#' @export
Save <- function() {
  Save.pos(1)
  if (interactive()) try(utils::savehistory(), silent = TRUE)
  invisible(NULL)
}

#' @rdname Save
#' @export
Save.pos <- function(pos, path, ascii = FALSE) {
  env <- environment_of(pos)
  ascii <- check_flag("ascii", ascii)
  own <- attr(env, "path")
  target <- if (missing(path)) list(dir = asked_path(env), file = ".RData") else target_of(path)
  at_home <- !is.null(own) && same_directory(path_of(env), target$dir) && target$file == ".RData"
  save_cache(env, if (at_home) path_of(env) else target$dir, target$file, ascii, at_home)
  invisible(NULL)
}

asked_path <- function(env) {
  if (is.null(attr(env, "path")) && interactive()) {
    cat("No obvious place to save it. What is the directory? ")
    path <- readline()
    if (nzchar(path)) return(absolute_path(path))
  }
  path_of(env, "attr(pos, \"path\") <- \"<directory>\", or say `path`")
}

# A directory, or a file in one.
target_of <- function(path) {
  if (!is.character(path) || length(path) != 1L || is.na(path) || !nzchar(path)) refuse("`path` must be one directory or file")
  path <- absolute_path(path)
  is_file <- !dir.exists(path) && (file.exists(path) || grepl("[.](rdata|rda)$", path, ignore.case = TRUE))
  if (is_file) list(dir = dirname(path), file = basename(path)) else list(dir = path, file = ".RData")
}

same_directory <- function(a, b) identical(normalizePath(a, mustWork = FALSE), normalizePath(b, mustWork = FALSE))

# Writes what has changed, then the image, which takes the place of the old one. Only then anything of it counts.
save_cache <- function(env, dir, file, ascii, at_home) {
  make_directory(dir)
  record <- record_of(env)
  cells <- cells_of(env)
  image <- file.path(dir, file)
  new <- ""
  numbers <- numeric()
  unchanged <- FALSE
  on.exit(undo_save(dir, numbers, new))
  suspendInterrupts({
    todo <- cells[must_write(cells, env, dir)]
    changed <- stats::setNames(needs_writing(todo, env), names(todo))
    written <- write_cells(todo, dir,
      skip = function(file, cell) cell$dir == dir && is_same_file(file, cell),
      take = function(cell) cell$dir != dir && !changed[[cell$name]] && (!cell$loaded || file.exists(cell$file))
    )
    numbers <- written$number[!is.na(written$number)]
    refers <- numbers_of(cells)
    refers[names(todo)][!is.na(written$number)] <- numbers
    about <- about_cells(cells, env)
    write <- function(file) allowInterrupts(write_image(env, cells, refers, about, file, ascii, dir))
    tryCatch(
      {
        new <- .Call(cs_cache_new_image, image)
        write(new)
      },
      cowshed_error = function(e) {
        # Where nothing can be written, nothing has to be if nothing has changed.
        elsewhere <- tempfile()
        on.exit(unlink(elsewhere))
        if (length(numbers) > 0L || inherits(e, "cowshed_error_argument") || !.Call(cs_cache_same, write(elsewhere), image)) stop(e)
        unchanged <<- TRUE
      }
    )
    if (unchanged) return(invisible(NULL))
    gone <- if (at_home) removed_cells(record, cells)
    drops <- if (at_home) numbers_here(c(todo[!is.na(written$number)], gone), dir) else numbers
    known <- if (at_home) known_stamp(record, env, image) else .Call(cs_cache_stamp, image)
    done <- .Call(cs_cache_commit, dir, subdir(), new, image, digits(refers), digits(drops), known)
    new <- ""
    numbers <- numeric()
    if (at_home) {
      elsewhere <- settle_cells(todo, dir, written)
      for (other in setdiff(names(elsewhere), dir)) .Call(cs_cache_let_go, other, digits(elsewhere[[other]]))
      forget_cells(gone, record)
      if (!is.null(attr(env, "mcache"))) set_mcache(env, numbers_of(cells), about)
      record$known[[image]] <- done[[1L]]
    }
  })
  # Held for environments that are no more, if R has not noticed yet.
  if (done[[4L]] > 0) {
    gc()
    .Call(cs_cache_tidy, dir, subdir(), digits(refers))
  }
  if (done[[3L]]) {
    warn_cache("saved_elsewhere", paste0(
      "'", image, "' was saved by another session since this one loaded or saved it; what that saved is replaced by what this one has"
    ))
  }
  if (at_home) {
    update_index(env)
    save_those_that_waited(record)
  }
  invisible(NULL)
}

# Where anything failed: nothing of it was saved.
undo_save <- function(dir, numbers, new) {
  if (nzchar(new)) .Call(cs_cache_give_up_image, new)
  if (length(numbers) > 0L) try(.Call(cs_cache_retire, dir, subdir(), digits(numbers), FALSE), silent = TRUE)
}

# What has changed, what has its file in another directory, and what is in memory only, as its file is gone.
must_write <- function(cells, env, dir) {
  if (length(cells) == 0L) return(logical())
  lost <- !file.exists(vapply(cells, function(cell) cell$file, ""))
  lost[lost] <- vapply(cells[lost], function(cell) cell$loaded && inherits(tryCatch(file_of(cell), cowshed_error_gone = identity), "condition"), NA)
  away <- vapply(cells, function(cell) cell$dir, "") != dir
  needs_writing(cells, env) | lost | away
}

numbers_here <- function(cells, dir) unlist(lapply(cells, function(cell) if (cell$dir == dir && cell$number > 0) cell$number), use.names = FALSE)

# Those that were removed, or became ordinary objects, since they were last looked at.
removed_cells <- function(record, cells) {
  all <- as.list.environment(record$cells, all.names = TRUE)
  c(unname(all[!vapply(all, function(cell) identical(cells[[cell$name]], cell), NA)]), record$replaced)
}

forget_cells <- function(gone, record) {
  record$replaced <- list()
  for (cell in gone) {
    if (identical(record$cells[[cell$name]], cell)) rm(list = cell$name, envir = record$cells)
    if (cell$dir != path_of(record$home)) let_go(list(cell))
  }
}

# The image that this environment was loaded from or saved to last, or which was there when it was first seen.
known_stamp <- function(record, env, image) {
  known <- record$known[[image]]
  if (is.null(known) && identical(env, .GlobalEnv)) known <- at_start$known[[image]]
  if (is.null(known)) .Call(cs_cache_stamp, image) else known
}

at_start <- new.env(parent = emptyenv())

# All objects that are not cached, and the one that tells what is.
write_image <- function(env, cells, refers, about, file, ascii, dir) {
  all <- ls(env, all.names = TRUE)
  skipped <- getOption("dont.Save", c(".packageName", ".SavedPlots", "last.warning", ".Last.value", ".Traceback"))
  names <- setdiff(all, c(names(cells), skipped))
  from <- new.env(hash = FALSE, parent = env)
  store <- grep("^[.]mcache[0-9]+$", all, value = TRUE)
  if (length(cells) > 0L || length(store) > 0L) {
    longest <- if (length(store) > 0L) store[[which.max(nchar(store))]] else ".mcache0"
    key <- paste0(longest, "0")
    mcache <- structure(unname(refers), names = names(cells), info = about)
    assign(key, mcache, envir = from)
    names <- c(key, names)
  }
  save_checked(names, from, file, ascii, dir, what = "the image")
}

make_directory <- function(dir) {
  if (!dir.exists(dir) && !dir.create(dir, showWarnings = FALSE, recursive = TRUE) && !dir.exists(dir)) {
    fail("store", paste0("the directory '", dir, "' cannot be made; choose one that can be written"))
  }
}
