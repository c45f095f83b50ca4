#' Move objects between the workspace and directories
#'
#' `move()` takes objects from one cache ([mlazy()]) to another: the workspace, a directory that is attached ([attach.mlazy()]), or one that is not. Cached
#' objects are not read: their files move.
#'
#' @details
#' `from` and `to` are directories, with or without quotes: `move(x, ., archive)`, `move(x, ., archive/2024)`, `move(x, ., "/data/archive")`. A relative one is
#' within the workspace's, and `.` is the workspace itself. Without quotes, what is no directory may be an expression that gives the name of one, or a cache, as
#' `attach.mlazy()` returns it. A directory `to` is made if there is none.
#'
#' With `what`, several objects are moved, and the two arguments without names are `from` and `to`: `move(what = c("x", "y"), ., archive)`.
#'
#' An object of that name in `to` is replaced with `overwrite.by.default = TRUE`. Otherwise an interactive session asks, and any other leaves both as they are, with a warning
#' of class `cowshed_warning_exists`.
#'
#' First `to` is saved, then `from`: at every moment an object is saved in one of the two at least. The workspace is never saved by `move()`: call
#' [Save()]. What came into the workspace from a directory stays saved there too until then.
#'
#' @param x One object's name, without quotes.
#' @param from,to Where from and where to.
#' @param what A character vector of names, instead of `x`.
#' @param overwrite.by.default `TRUE`: objects of these names in `to` are replaced.
#' @param copy `TRUE`: the objects stay in `from` too.
#' @return The names of what was moved, invisibly.
#' @section Errors: `cowshed_error_argument`: an argument is wrong, `from` does not exist, or both are the same. `cowshed_error_full`, `cowshed_error_store`: `to` cannot be
#'   written. `cowshed_error_gone`: the file of a cached object. After an error nothing is missing in `from`. What is not there at all is a warning.
#' @seealso [mlazy()], [Save()]
#' @examples
#' archive <- tempfile("archive")
#' results <- attach.mlazy(tempfile("results"), name = "results")
#' results$run1 <- rnorm(1e4)
#' mlazy(run1, envir = "results")
#' Save.pos("results")
#'
#' move(run1, results, archive)
#' exists("run1", results)
#' e <- new.env()
#' load.refdb(envir = e, fpath = archive)
#' lsize(e)
#' detach("results")
#' unlink(c(archive, attr(results, "path")), recursive = TRUE)
#' @export
move <- function(x = ".", from = ".", to = ".", what, overwrite.by.default = FALSE, copy = FALSE) {
  caller <- parent.frame()
  overwrite <- check_flag("overwrite.by.default", overwrite.by.default)
  copy <- check_flag("copy", copy)
  given <- places_given(as.list(sys.call())[-1L], missing(what))
  what <- names_given(if (missing(what)) list(given$x), if (!missing(what)) list(what))
  from <- open_place(given$from, caller, "from")
  to <- open_place(given$to, caller, "to")
  if (identical(from$env, to$env) || same_directory(from$dir, to$dir)) refuse("`from` and `to` are the same place")
  what <- what_to_move(what, from, to, overwrite)
  if (length(what) == 0L) return(invisible(character()))
  put_into(what, from$env, to, copy)
  if (!is_workspace(to$env)) save_cache(to$env, to$dir, ".RData", FALSE, TRUE)
  if (!copy) {
    take_out(what, from)
    # What is saved nowhere else stays saved there.
    if (is_workspace(to$env)) save_later(from$env) else if (!is_workspace(from$env)) save_cache(from$env, from$dir, ".RData", FALSE, TRUE)
  }
  update_index(from$env)
  update_index(to$env)
  invisible(what)
}

# The expressions for `x`, `from` and `to`: with `what`, those without a name are the last two.
places_given <- function(arguments, with_x) {
  names <- names(arguments)
  if (is.null(names)) names <- rep("", length(arguments))
  positional <- arguments[names == ""]
  free <- setdiff(c(if (with_x) "x", "from", "to"), names)
  if (length(positional) > length(free)) refuse("move() takes an object, or `what`, and two places: `from` and `to`")
  given <- c(arguments[names %in% c("x", "from", "to")], stats::setNames(positional, free[seq_along(positional)]))
  if (!with_x && "x" %in% names) refuse("give one object as `x`, or names as `what`")
  if (with_x && !"x" %in% names(given)) refuse("give the name of an object, or several as `what`")
  list(x = given[["x"]], from = if (is.null(given$from)) "." else given$from, to = if (is.null(given$to)) "." else given$to)
}

# An environment and its directory; that of a directory that is not attached is loaded.
open_place <- function(expression, caller, argument) {
  place <- place_meant(expression, caller)
  if (is.environment(place)) return(list(env = place, dir = path_of(place)))
  if (!is_path(place)) refuse(paste0("`", argument, "` must be a directory, `.` for the workspace, or a cache"))
  dir <- absolute_path(place, workspace_path())
  if (place == "." || same_directory(dir, workspace_path())) return(list(env = .GlobalEnv, dir = workspace_path()))
  for (at in seq_along(search())[-1L]) {
    env <- as.environment(at)
    if (is_path(attr(env, "path")) && same_directory(path_of(env), dir)) return(list(env = env, dir = path_of(env)))
  }
  if (argument == "from" && !dir.exists(dir)) refuse(paste0("there is no directory '", dir, "' to move from"))
  make_directory(dir)
  env <- new.env()
  attr(env, "path") <- dir
  load.refdb(envir = env)
  list(env = env, dir = dir)
}

# What is no directory by its own name may be the value of an expression.
place_meant <- function(expression, caller) {
  if (is.character(expression) || is.environment(expression)) return(expression)
  text <- paste(deparse(expression, backtick = FALSE), collapse = "")
  if (text == "." || dir.exists(absolute_path(text, workspace_path()))) return(text)
  value <- tryCatch(eval(expression, caller), error = function(e) NULL)
  if (is.numeric(value)) value <- tryCatch(as.environment(value), error = function(e) NULL)
  if (is.environment(value) || is_path(value)) value else text
}

what_to_move <- function(what, from, to, overwrite) {
  there <- what %in% ls(from$env, all.names = TRUE)
  if (!all(there)) warn_cache("missing", paste0("not in '", from$dir, "': ", paste0("'", what[!there], "'", collapse = ", ")))
  what <- what[there]
  in_the_way <- if (!overwrite) what[what %in% ls(to$env, all.names = TRUE)]
  if (length(in_the_way) == 0L) return(what)
  if (interactive()) return(setdiff(what, in_the_way[!may_replace(in_the_way)]))
  warn_cache("exists", paste0(
    "not moved, as '", to$dir, "' has objects of these names: ", paste0("'", in_the_way, "'", collapse = ", "), "; to replace them: overwrite.by.default = TRUE"
  ))
  setdiff(what, in_the_way)
}

# For each name, what the user says.
may_replace <- function(names) {
  may <- logical(length(names))
  for (i in seq_along(names)) {
    repeat {
      answer <- toupper(substr(readline(paste0("Overwrite ", names[[i]], " [Y(es)/N(o)/A(ll)]? ")), 1L, 1L))
      if (answer %in% c("Y", "N", "A")) break
    }
    if (answer == "A") {
      may[i:length(names)] <- TRUE
      break
    }
    may[i] <- answer == "Y"
  }
  may
}

# Into the environment; files of cached objects become files of its directory. Nothing is taken from anywhere.
put_into <- function(what, from, to, copy) {
  check_open(to$env)
  cells <- cells_of(from, what)
  changed <- stats::setNames(needs_writing(cells, from), names(cells))
  about <- unname(about_cells(cells, from))
  suspendInterrupts({
    written <- write_cells(cells, to$dir, link = !copy, take = function(cell) !changed[[cell$name]] && (!cell$loaded || file.exists(cell$file)))
    moved <- lapply(seq_along(cells), function(i) {
      cell <- new_cell(names(cells)[[i]], to$env, to$dir)
      settle_cells(list(cell), to$dir, list(number = written$number[i], format = written$format[i]))
      cell
    })
    install_cells(moved, to$env)
    set_entries(to$env, names(cells), written$number, about)
    for (name in setdiff(what, names(cells))) {
      # Not an assignment to a cached object that is in the way.
      if (exists(name, envir = to$env, inherits = FALSE)) rm(list = name, envir = to$env)
      assign(name, from[[name]], envir = to$env)
    }
  })
}

# The files go out of sight; they are there until the image is saved that no longer refers to them.
take_out <- function(what, from) {
  cells <- cells_of(from$env, what)
  suspendInterrupts({
    rm(list = what, envir = from$env)
    keep_entries(from$env, setdiff(names(attr(from$env, "mcache")), names(cells)))
    retire_cells(cells, from$env)
  })
}

is_workspace <- function(env) identical(env, .GlobalEnv)

# When the workspace has been saved, which then has what was in this environment.
save_later <- function(env) {
  record <- record_of(.GlobalEnv)
  if (!any(vapply(record$later, identical, NA, env))) record$later <- c(record$later, env)
}

save_those_that_waited <- function(record) {
  waiting <- record$later
  record$later <- list()
  for (env in waiting) {
    dir <- path_of(env)
    image <- file.path(dir, ".RData")
    if (is_attached(env) || identical(.Call(cs_cache_stamp, image), record_of(env)$known[[image]])) {
      save_cache(env, dir, ".RData", FALSE, TRUE)
    } else {
      warn_cache("saved_elsewhere", paste0("'", image, "' was saved by another session since objects were moved from it to the workspace: they are in both"))
    }
  }
}

is_attached <- function(env) any(vapply(seq_along(search()), function(at) identical(as.environment(at), env), NA))
