#' Load what [Save()] saved
#'
#' `attach.mlazy()` attaches a directory of cached objects to the search path. `load.refdb()` loads an image into any environment. In both, a
#' cached object ([mlazy()]) is read when it is first used, and not before.
#'
#' @details
#' [load()] does not know cached objects: it leaves an object called `.mcache00` in their place, and `setup.mcache()` makes cached objects of that. When
#' the package is attached, it does so in the workspace, which R has loaded at its start.
#'
#' @param dir Name of a directory, which is made if there is none. A relative one is within the workspace's, `attr(.GlobalEnv, "path")`.
#' @param pos Position on the search path, 2 or more.
#' @param name Name on the search path; `"data:<the workspace's directory>:<dir>"` if nothing is said.
#' @param file An image; `.RData` in `fpath`, if nothing is said.
#' @param envir An environment, or a position or name on the search path.
#' @param fpath The directory of the cached objects; that of `envir`, `attr(envir, "path")`, if nothing is said. An environment that
#'   has none gets this one.
#' @param refs Names: of these alone, which [mcachees()] lists, the files are to be read again. What was changed and not saved is lost.
#' @return
#' `attach.mlazy()`: the environment, invisibly. `load.refdb()`: the names of all objects in `envir`, invisibly; `NULL` if there is no `file`.
#' `setup.mcache()`: `NULL`, invisibly.
#' @section Errors: A file of a cached object that is not there is a warning that names both, and the object is left out.
#'   `cowshed_error_corrupt`: the image is damaged. `cowshed_error_store`: the directory cannot be used. `cowshed_error_argument`: an argument is
#'   wrong.
#' @seealso [mlazy()], [Save()]
#' @examples
#' dir <- tempfile("cache")
#' attach.mlazy(dir, name = "results")
#' assign("fit", lm(dist ~ speed, cars), pos = "results")
#' mlazy(fit, envir = "results")
#' Save.pos("results")
#' detach("results")
#'
#' e <- new.env()
#' load.refdb(envir = e, fpath = dir)
#' coef(e$fit)
#' unlink(dir, recursive = TRUE)
#' @export
attach.mlazy <- function(dir, pos = 2, name) {
  if (!is_path(dir)) refuse("`dir` must be the name of one directory")
  if (!is.numeric(pos) || length(pos) != 1L || is.na(pos) || pos < 2) refuse("`pos` must be a position on the search path, 2 or more")
  dir <- absolute_path(dir, workspace_path())
  if (missing(name)) name <- paste0("data:", workspace_name(), ":", basename(dir))
  if (!is.character(name) || length(name) != 1L || is.na(name)) refuse("`name` must be one string")
  make_directory(dir)
  env <- do.call(base::attach, list(NULL, pos = pos, name = name, warn.conflicts = FALSE))
  attr(env, "path") <- dir
  loaded <- FALSE
  on.exit(if (!loaded) detach(pos = Position(function(at) identical(as.environment(at), env), seq_along(search())), character.only = TRUE))
  load.refdb(envir = env)
  loaded <- TRUE
  invisible(env)
}

#' @rdname attach.mlazy
#' @export
load.refdb <- function(file = file.path(fpath, ".RData"), envir = .GlobalEnv, fpath = attr(envir, "path")) {
  envir <- environment_of(envir)
  if (missing(fpath) && is.null(attr(envir, "path")) && !missing(file) && is_path(file)) fpath <- dirname(absolute_path(file))
  if (!is_path(fpath)) refuse("`fpath` must be the directory of the cached objects; `envir` has none, as attr(envir, \"path\")")
  if (!is_path(file)) refuse("`file` must be the name of one file")
  dir <- absolute_path(fpath)
  file <- absolute_path(file)
  if (!file.exists(file)) return(invisible(NULL))
  .Call(cs_cache_will_read, dir, subdir())
  read <- FALSE
  on.exit(if (!read) .Call(cs_cache_has_read, dir, subdir(), character(), NULL))
  before <- .Call(cs_cache_stamp, file)
  image <- read_image(file)
  # One that was replaced meanwhile is not known.
  is_own <- file == file.path(dir, ".RData") && identical(before, .Call(cs_cache_stamp, file))
  if (is.null(attr(envir, "path"))) attr(envir, "path") <- dir
  suspendInterrupts({
    for (name in setdiff(ls(image$objects, all.names = TRUE), image$key)) {
      assign(name, .subset2(image$objects, name), envir = envir)
    }
    found <- find_files(image$mcache, dir)
    add_stubs(found, envir, dir)
    .Call(cs_cache_has_read, dir, subdir(), digits(found$number), if (is_own) before)
    read <- TRUE
    record <- record_of(envir)
    record$known[[file]] <- before
  })
  warn_missing(found)
  update_index(envir)
  invisible(ls(envir, all.names = TRUE))
}

#' @rdname attach.mlazy
#' @export
setup.mcache <- function(envir, fpath = attr(envir, "path"), refs) {
  envir <- environment_of(envir)
  if (!is_path(fpath)) refuse("`fpath` must be the directory of the cached objects; `envir` has none, as attr(envir, \"path\")")
  dir <- absolute_path(fpath)
  if (missing(refs)) {
    key <- key_in(envir)
    if (is.null(key)) return(invisible(NULL))
    mcache <- check_mcache(envir[[key]])
  } else {
    if (!is.character(refs)) refuse("`refs` must be names of cached objects")
    key <- character()
    mcache <- attr(envir, "mcache")
    unknown <- setdiff(refs, names(mcache))
    if (length(unknown) > 0L) refuse(paste0("not cached: ", paste0("'", unknown, "'", collapse = ", "), "; mcachees() lists what is"))
    cells <- cells_of(envir)[refs]
    mcache <- structure(stats::setNames(abs(as.numeric(mcache[refs])), refs), info = attr(mcache, "info"))
    written <- vapply(cells, function(cell) is.null(cell) || cell$number > 0, NA)
    mcache <- structure(mcache[written], info = attr(mcache, "info"))
  }
  if (is.null(attr(envir, "path"))) attr(envir, "path") <- dir
  found <- find_files(mcache, dir)
  suspendInterrupts({
    .Call(cs_cache_hold, dir, subdir(), digits(found$number))
    add_stubs(found, envir, dir)
    rm(list = key, envir = envir)
  })
  warn_missing(found)
  update_index(envir)
  invisible(NULL)
}

# What is in an image: its objects, the name of the one that tells what is cached (or nothing), and that.
read_image <- function(file) {
  objects <- new.env(parent = emptyenv())
  tryCatch(
    suppressWarnings(load(file, envir = objects)),
    error = function(e) {
      if (is_of_memory(e)) stop(e)
      fail("corrupt", paste0("'", file, "' cannot be loaded: it is damaged, or no image (", conditionMessage(e), "); put back a good copy of it"))
    }
  )
  key <- key_in(objects)
  list(objects = objects, key = key, mcache = if (is.null(key)) numeric() else check_mcache(objects[[key]]))
}

# The object that tells what is cached: of several, that with the longest name.
key_in <- function(env) {
  names <- grep("^[.]mcache[0-9]+$", ls(env, all.names = TRUE), value = TRUE)
  if (length(names) > 0L) names <- names[[which.max(nchar(names))]]
  if (length(names) > 0L && is.numeric(env[[names]])) names
}

# Names and file numbers, and nothing that is none: others may have written it.
check_mcache <- function(mcache) {
  info <- as.list(attr(mcache, "info"))
  names <- names(mcache)
  if (is.null(names)) names <- character(length(mcache))
  if (is.null(names(info)) && length(info) == length(names)) names(info) <- names
  numbers <- abs(as.numeric(mcache))
  good <- !is.na(numbers) & numbers >= 1 & numbers == floor(numbers) & numbers < 2^53 & !is.na(names) & nzchar(names) & !duplicated(names)
  if (!all(good)) {
    warn_cache("corrupt", paste0(
      "what tells which objects are cached has entries that make no sense; left out: ", paste0("\"", names[!good], "\"", collapse = ", ")
    ))
  }
  structure(stats::setNames(numbers[good], names[good]), info = info)
}

# Where the files of these are.
find_files <- function(mcache, dir) {
  numbers <- as.numeric(mcache)
  if (length(numbers) > 0L) .Call(cs_cache_adopt, dir, subdir(), digits(numbers))
  files <- if (length(numbers) > 0L) .Call(cs_cache_locate, dir, subdir(), digits(numbers)) else character()
  there <- nzchar(files)
  names <- as.character(names(mcache))
  list(
    name = names[there], number = numbers[there], file = files[there], info = attr(mcache, "info"),
    missing = stats::setNames(names[!there], vapply(numbers[!there], object_path, "", dir = dir))
  )
}

# Cells that have not been read; their numbers are held by the caller.
add_stubs <- function(found, env, dir) {
  cells <- lapply(seq_along(found$name), function(i) new_cell(found$name[i], env, dir, found$number[i], found$file[i], format_of(found$file[i])))
  install_cells(cells, env)
  if (length(cells) > 0L) {
    info <- found$info[found$name]
    known <- lengths(info) > 0L
    set_entries(env, found$name, found$number)
    set_entries(env, found$name[known], found$number[known], info[known])
  }
  gone <- found$missing[!found$missing %in% found$name]
  if (any(gone %in% names(attr(env, "mcache")))) {
    stale <- gone[gone %in% names(attr(env, "mcache"))]
    stubs <- Filter(Negate(is.null), lapply(stale, cell_at, env = env))
    if (length(stubs) > 0L && !environmentIsLocked(env)) rm(list = vapply(stubs, function(cell) cell$name, ""), envir = env)
    keep_entries(env, setdiff(names(attr(env, "mcache")), stale))
  }
}

warn_missing <- function(found) {
  for (i in seq_along(found$missing)) {
    warn_cache("gone", sprintf("Can't find file \"%s\"; deleting object \"%s\"", names(found$missing)[i], found$missing[[i]]))
  }
}

workspace_path <- function() {
  path <- attr(.GlobalEnv, "path")
  if (is_path(path)) absolute_path(as.vector(path)) else getwd()
}

workspace_name <- function() {
  name <- attr(.GlobalEnv, "name")
  if (is_path(name)) name else basename(workspace_path())
}

# When the package is loaded: the workspace's directory is what it is now.
remember_workspace <- function() {
  workspace <- .GlobalEnv
  if (is.null(attr(workspace, "path"))) attr(workspace, "path") <- getwd()
  image <- file.path(workspace_path(), ".RData")
  at_start$known[[image]] <- .Call(cs_cache_stamp, image)
}

# When it is attached: what R has loaded at its start. If none of the files is there, it was started elsewhere, and nothing is thrown away.
adopt_workspace <- function() {
  key <- key_in(.GlobalEnv)
  if (is.null(key)) return(invisible(NULL))
  dir <- workspace_path()
  numbers <- as.numeric(suppressWarnings(check_mcache(.GlobalEnv[[key]])))
  if (length(numbers) > 0L && !any(nzchar(.Call(cs_cache_locate, dir, subdir(), digits(numbers))), file.exists(file.path(dir, paste0("obj", digits(numbers), ".rda"))))) {
    packageStartupMessage(
      "The workspace has cached objects, but none of their files is in '", dir, "'. If they are elsewhere: setup.mcache(.GlobalEnv, \"<directory>\")"
    )
    return(invisible(NULL))
  }
  setup.mcache(.GlobalEnv)
}
