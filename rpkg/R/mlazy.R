#' Objects that stay on disk until they are used
#'
#' `mlazy()` *caches* objects: each gets a file of its own, and what stands in its place reads the file when the object is first used. Programs see no
#' difference, except in time and memory. A workspace with many large objects opens at once, and [Save()] writes only what has changed.
#'
#' @details
#' A cache is an environment that has a directory: the workspace, or one that [attach.mlazy()] made. The directory is `attr(envir, "path")`. For the
#' workspace that is the working directory at the time when the package was loaded; a later [setwd()] does not change it. To make a cache of an environment of
#' your own, give it the attribute: `attr(e, "path") <- "some/directory"`.
#'
#' Make objects as usual, then call `mlazy(a, b)` and [Save()]. `mlazy()` writes the objects' files, but which objects there are is written by
#' [Save()] alone: without it the next session does not find them. `mlazy()` and [Save()] free no memory, since objects are often used
#' again; `mtidy()` does: the next use of an object reads its file. `mtidy()` also caches what is not cached yet, so that it can be used instead of
#' `mlazy()`, for example as the last call in a loop over objects.
#'
#' `demlazy()` makes ordinary objects of cached ones, which are in memory then, and removes their files. Call [Save()] soon. (Until
#' then the files of objects that are saved are only out of sight, with a dot before their names: a session that ends without [Save()] loses nothing.)
#'
#' An object that is not in `envir` but in the calling function, in the workspace or in an attached cache or list is moved to `envir` first.
#'
#' What has its parts changed without an assignment to its name (environments and what holds them, such as R6 objects and many functions; data tables;
#' external pointers) is written again by [Save()] and `mtidy()` if it was used, unless it is the same.
#'
#' Functions that go through all objects of an environment, such as [eapply()], [mget()] and [as.list()], read all files; [lsize()],
#' [exists()] and [ls()] read none. [save.image()] and [save()] write the objects themselves into the image, and [load()] cannot read what [Save()]
#' wrote: use [load.refdb()], or load this package before, which turns what R has loaded at its start into cached objects.
#'
#' @section Files: `obj<N>.rda` in the directory `mlazy` beside `.RData`, one object each under its own name; [load()] reads them. With
#'   `format = "segment"` it is `obj<N>.seg`, which is mapped when it is used: opening takes no time and reads only what is looked at, whatever the size,
#'   and several processes share the memory. A number is used again when its file is gone. A file to which a saved `.RData` refers is never changed: a changed object gets a new file, and
#'   the old one goes when a later `.RData` is in place. So a crash, a full disk or an interrupt at any time leaves what was saved last, whole. Several
#'   sessions may use one directory; what a living session may still read stays. Other files there whose names begin with a dot are how they agree.
#'
#' @section Options:
#' \describe{
#'   \item{`mlazy.subdir`}{`TRUE`; `FALSE` puts new files beside `.RData` instead of into `mlazy`. Both are read. With `TRUE`, files that an
#'     image refers to and that lie beside it are moved when it is loaded.}
#'   \item{`mlazy.index`}{`FALSE`; `TRUE` keeps a text file `obj.ind` beside the objects' files: name, tab, number. See
#'     [mupdate.mcache.index.if.opt()].}
#'   \item{`mlazy.format`}{`"rda"`, or `"segment"` for objects that are cached from then on.}
#'   \item{`mvbutils.compress`, `mvbutils.compression_level`}{as `compress` and `compression_level` of [save()]. `mvbutils.compression_level = 1` saves
#'     much time for some space; `mvbutils.compress = FALSE` even more.}
#' }
#'
#' @param ... Names of objects, without quotes.
#' @param what A character vector of names instead.
#' @param envir The cache: an environment, or a position or name on the search path.
#' @param save.now `FALSE`: the files are written by the next [Save()].
#' @param format `"rda"` or `"segment"`; `NULL` keeps what a cached object has, and is `getOption("mlazy.format", "rda")` for others. For an object that is
#'   cached already, `mlazy()` writes it anew in that format.
#' @param details `TRUE` for a data frame.
#' @return
#' `mlazy()`, `demlazy()`: `NULL`, invisibly. `mtidy()`: the names, invisibly.
#'
#' `mcachees()`: the names of the cached objects, `character(0)` if there are none. With `details = TRUE` a data frame of class `mcachees`
#' with a row for each: `object`, `number`, `format`, `size` (bytes of its file), `state` (`"on disk"`, `"in memory"`, or `"changed"` since it was last written),
#' `class`, `dim`. No object is read for it.
#' @section Errors: A cached object whose file is gone or damaged is an error when it is used, `cowshed_error_gone` or `cowshed_error_corrupt`, which
#'   names the file; when the file is back, the object can be used. `cowshed_error_full`: no room. `cowshed_error_store`: the
#'   directory cannot be written. `cowshed_error_argument`: an argument is wrong, or `envir` has no directory. What does not exist is a warning.
#' @seealso [Save()], [attach.mlazy()], [lsize()], [move()]
#' @examples
#' dir <- tempfile("cache")
#' attach.mlazy(dir, name = "simulations")
#' for (i in 1:3) {
#'   assign(paste0("run", i), rnorm(1e4), pos = "simulations")
#'   mtidy(what = paste0("run", i), envir = "simulations")
#' }
#' Save.pos("simulations")
#' detach("simulations")
#'
#' # later, in any session
#' attach.mlazy(dir, name = "simulations")
#' mcachees("simulations")
#' mean(run2)
#' mcachees("simulations", details = TRUE)
#' demlazy(run2, envir = "simulations")
#' Save.pos("simulations")
#' detach("simulations")
#' unlink(dir, recursive = TRUE)
#' @export
mlazy <- function(..., what, envir = .GlobalEnv, save.now = TRUE, format = NULL) {
  what <- names_given(as.list(substitute(list(...)))[-1L], if (!missing(what)) list(what))
  # All looked at before anything is done.
  env <- environment_of(envir)
  now <- check_flag("save.now", save.now)
  format <- check_format(format)
  caller <- parent.frame()
  cache_objects(what, env, now, format, caller)
}

#' @rdname mlazy
#' @export
mtidy <- function(..., what, envir = .GlobalEnv, format = NULL) {
  named <- ...length() > 0L || !missing(what)
  what <- names_given(as.list(substitute(list(...)))[-1L], if (!missing(what)) list(what))
  env <- environment_of(envir)
  format <- check_format(format)
  caller <- parent.frame()
  if (named) cache_objects(what, env, TRUE, format, caller)
  cells <- cells_of(env, if (named) what)
  rewrite_cells(cells[needs_writing(cells, env, format)], env, format)
  suspendInterrupts(for (cell in cells) if (cell$loaded) drop_value(cell))
  update_index(env)
  invisible(as.character(names(cells)))
}

#' @rdname mlazy
#' @export
demlazy <- function(..., what, envir = .GlobalEnv) {
  named <- ...length() > 0L || !missing(what)
  what <- names_given(as.list(substitute(list(...)))[-1L], if (!missing(what)) list(what))
  env <- environment_of(envir)
  cells <- cells_of(env, if (named) what)
  if (length(cells) == 0L) return(invisible(NULL))
  check_open(env)
  progress <- progress_for(length(cells), "objects")
  on.exit(progress$end(FALSE))
  # All are read before one is changed.
  for (i in seq_along(cells)) {
    fetch_if_needed(cells[[i]])
    progress$at(i, numeric(), list())
  }
  suspendInterrupts({
    for (cell in cells) uninstall_cell(cell, env)
    keep_entries(env, setdiff(names(attr(env, "mcache")), names(cells)))
    retire_cells(cells, env)
  })
  update_index(env)
  invisible(NULL)
}

#' @rdname mlazy
#' @export
mcachees <- function(envir = .GlobalEnv, details = FALSE) {
  env <- environment_of(envir)
  cells <- cells_of(env)
  if (!check_flag("details", details)) return(if (length(cells) > 0L) names(cells) else character())
  info <- attr(attr(env, "mcache"), "info")
  about <- function(what) lapply(unname(cells), function(cell) info[[cell$name]][[what]])
  loaded <- vapply(cells, function(cell) cell$loaded, NA)
  changed <- if (length(cells) > 0L) is_changed(cells, env) else logical()
  structure(
    data.frame(
      object = if (length(cells) > 0L) names(cells) else character(),
      number = unname(numbers_of(cells)),
      format = vapply(unname(cells), function(cell) cell$format, ""),
      size = unname(file_sizes(cells)),
      state = ifelse(unname(changed), "changed", ifelse(unname(loaded), "in memory", "on disk")),
      class = vapply(about("class"), function(x) if (is.character(x)) paste(x, collapse = " ") else NA_character_, ""),
      dim = vapply(about("dim"), function(x) if (is.null(x)) "" else paste(x, collapse = " x "), ""),
      stringsAsFactors = FALSE
    ),
    class = c("mcachees", "data.frame")
  )
}

#' @export
print.mcachees <- function(x, ...) {
  if (!all(c("object", "size") %in% names(x))) return(NextMethod())
  total <- sum(x$size, na.rm = TRUE)
  cat(nrow(x), " cached object", if (nrow(x) != 1L) "s", ", ", in_units(total), " on disk\n", sep = "")
  if (nrow(x) > 0L) {
    shown <- as.data.frame(x)
    class(shown) <- "data.frame"
    shown$size <- in_units(shown$size)
    print(shown, row.names = FALSE, ...)
  }
  invisible(x)
}

# The names that `...` gives, or `what`, which is in a list if it was given.
names_given <- function(expressions, what) {
  if (length(what) > 0L) {
    what <- what[[1L]]
    if (!is.character(what) || anyNA(what)) refuse("`what` must be a character vector of names of objects")
    return(unique(as.vector(what)))
  }
  one <- function(expression) {
    if (is.symbol(expression) || is.character(expression)) return(as.character(expression))
    refuse(paste0("give names of objects without quotes, or a character vector of them as `what`, not `", deparse(expression)[[1L]], "`"))
  }
  unique(unlist(lapply(unname(expressions), one)))
}

check_format <- function(format) {
  argument <- if (is.null(format)) "options(mlazy.format = )" else "`format`"
  value <- if (is.null(format)) getOption("mlazy.format", "rda") else format
  if (!is.character(value) || length(value) != 1L || !value %in% c("rda", "segment")) refuse(paste(argument, "must be \"rda\" or \"segment\""))
  format
}

new_format <- function(format) if (is.null(format)) getOption("mlazy.format", "rda") else format

check_open <- function(env) {
  if (environmentIsLocked(env)) refuse("the environment is locked: none of its objects can become a cached one, or an ordinary one again")
}

# What mlazy() does.
cache_objects <- function(what, env, now, format, caller) {
  if (length(what) == 0L) return(invisible(NULL))
  sources <- sources_of(what, env, caller)
  missing <- setdiff(what, names(sources))
  if (length(missing) > 0L) {
    warn_cache("missing", paste0("nothing exists to be mlazyed", if (length(sources) > 0L) paste0(": ", paste0("\"", missing, "\"", collapse = ", "))))
  }
  if (length(sources) == 0L) return(invisible(NULL))
  dir <- path_of(env)
  cached <- cells_of(env, names(sources))
  if (now) rewrite_cells(cached[needs_writing(cached, env, format)], env, format)
  else if (!is.null(format)) for (cell in cached) if (cell$format != format) reformat_later(cell, format)
  fresh <- sources[!names(sources) %in% names(cached)]
  if (length(fresh) > 0L) add_cells(fresh, env, dir, now, new_format(format))
  update_index(env)
  invisible(NULL)
}

needs_writing <- function(cells, env, format = NULL) {
  if (length(cells) == 0L) return(logical())
  other <- vapply(cells, function(cell) !is.null(format) && cell$format != format, NA)
  is_changed(cells, env) | other | vapply(cells, may_change_unseen, NA)
}

reformat_later <- function(cell, format) {
  fetch_if_needed(cell)
  cell$format <- format
  mark_changed(cell)
}

fetch_if_needed <- function(cell) if (!cell$loaded) fetch(cell)

# `sources`: environments, with the names of objects that are to be cached in `env`.
add_cells <- function(sources, env, dir, now, format) {
  check_open(env)
  names <- names(sources)
  cells <- lapply(stats::setNames(names, names), function(name) {
    cell <- new_cell(name, env, dir, format = format)
    set_value(cell, sources[[name]][[name]])
    cell
  })
  about <- unname(lapply(cells, function(cell) info_of(.subset2(cell, "value"))))
  suspendInterrupts({
    if (now) settle_cells(cells, dir, write_cells(cells, dir, format))
    install_cells(cells, env)
    numbers <- if (now) numbers_of(cells) else -unused(attr(env, "mcache"), length(cells))
    set_entries(env, names, unname(numbers), about)
    for (name in names) take_away(name, sources[[name]], env)
  })
}

# Where the objects are: in `env`, or on the way from the caller to the end of the search path. Packages are left alone.
sources_of <- function(what, env, caller) {
  here <- what %in% ls(env, all.names = TRUE, sorted = FALSE)
  sources <- stats::setNames(rep(list(env), length(what)), what)
  for (name in what[!here]) sources[name] <- list(environment_with(name, caller))
  sources[lengths(sources) > 0L]
}

environment_with <- function(name, from) {
  while (!identical(from, emptyenv())) {
    ours <- !isNamespace(from) && !grepl("^(package:|imports:|Autoloads$|base$)", environmentName(from))
    if (ours && !identical(from, baseenv()) && exists(name, envir = from, inherits = FALSE)) return(from)
    from <- parent.env(from)
  }
  NULL
}

# It was somewhere else: there it is no more. If it was cached there, its file goes with the next Save() of that.
take_away <- function(name, from, env) {
  if (!identical(from, env) && !environmentIsLocked(from)) rm(list = name, envir = from)
}

# An ordinary object again.
uninstall_cell <- function(cell, env) {
  symbol <- as.name(cell$name)
  locked <- bindingIsLocked(symbol, env)
  rm(list = cell$name, envir = env)
  # Not by a variable: it may be the missing argument.
  assign(cell$name, .subset2(cell, "value"), envir = env)
  if (locked) lockBinding(symbol, env)
}

# Objects that are cached no more: their files go.
retire_cells <- function(cells, env) {
  if (length(cells) == 0L) return(invisible(NULL))
  rm(list = names(cells), envir = record_of(env)$cells)
  for (at in split(cells, vapply(cells, function(cell) cell$dir, ""))) {
    numbers <- numbers_of(at)
    .Call(cs_cache_retire, at[[1L]]$dir, subdir(), digits(numbers[numbers > 0]), TRUE)
  }
}

warn_cache <- function(word, message) {
  warning(warningCondition(message, class = c(paste0("cowshed_warning_", word), "cowshed_warning")))
}
