# What FUN needs of the workspace and of attached packages, which workers of ours do not have.
#
# - Found by name, in its code and in that of the functions that it calls, be they of the workspace, captured, or in VARS.
# - S3 methods of the workspace are called by no name, so all go along.
# - In the worker they are in the workspace while a piece runs, and then that is as it was: in an attached environment R would not look for methods.

# list(values = <named list>, packages = <names to attach>) for some functions.
globals_of <- function(functions) {
  found <- list(values = list(), packages = character())
  todo <- functions
  take <- function(name) {
    if (name %in% names(found$values) || bindingIsActive(name, globalenv())) return()
    value <- get(name, globalenv(), inherits = FALSE)
    found$values[name] <<- list(value)
    todo <<- c(todo, functions_in(value))
  }
  known <- list()
  follow <- function() {
    while (length(todo) > 0L) {
      f <- todo[[1L]]
      todo <<- todo[-1L]
      if (is_among(f, known)) next
      known <<- c(known, list(f))
      for (name in names_used(f)) {
        place <- place_of(name, environment(f))
        if (is.null(place)) next
        if (!identical(place, globalenv())) todo <<- c(todo, functions_in(captured(name, place)))
        else if (exists(name, place, inherits = FALSE)) take(name)
        else found$packages <<- c(found$packages, attached_with(name))
      }
    }
  }
  follow()
  for (name in methods_of_workspace()) take(name)
  follow()
  found$packages <- unique(found$packages)
  found
}

# Evaluates the arguments that functions use of the calls that they were made in, as globals_of() does: in the worker a promise would see another
# workspace. One that is an error is left to whoever uses it.
keep_promises <- function(functions) {
  for (f in functions) if (has_own_environment(f)) for (name in names_used(f)) {
    place <- place_of(name, environment(f))
    if (!is.null(place) && !identical(place, globalenv())) captured(name, place)
  }
  NULL
}

# The value that a function captured; NULL if it is computed at each use.
captured <- function(name, place) {
  if (bindingIsActive(name, place)) return(NULL)
  tryCatch(if (name == "...") eval(quote(list(...)), place) else get(name, place, inherits = FALSE), error = function(e) NULL)
}

# Names that are not local in a function: those that codetools knows, and those that it reads, or changes a part of, before it assigns them.
names_used <- function(f) {
  if (is.primitive(f) || isNamespace(environment(f))) return(character())
  names <- union(suppressWarnings(codetools::findGlobals(f)), read_first(f))
  # `..1` is of `...`.
  unique(sub("^[.][.][0-9]+$", "...", names))
}

# The environment from `e` on where a name is found, if it is none of a package; the workspace for what is found nowhere before it.
place_of <- function(name, e) {
  while (!identical(e, globalenv())) {
    if (isNamespace(e) || identical(e, baseenv()) || identical(e, emptyenv())) return(NULL)
    if (exists(name, e, inherits = FALSE)) return(e)
    e <- parent.env(e)
  }
  e
}

# It, or those in it.
functions_in <- function(x) {
  if (is.function(x)) return(list(x))
  if (is.list(x) && length(x) <= 1000L) Filter(is.function, x) else list()
}

is_among <- function(f, functions) {
  for (g in functions) if (identical(f, g)) return(TRUE)
  FALSE
}

methods_of_workspace <- function() {
  names <- grep(".[.].", ls(globalenv()), value = TRUE)
  names <- names[!vapply(names, bindingIsActive, TRUE, globalenv())]
  Filter(function(name) utils::isS3method(name, envir = globalenv()), names)
}

# The attached package where a name is found; none for those that every R has attached.
attached_with <- function(name) {
  for (place in search()[-1L]) {
    if (exists(name, as.environment(place), inherits = FALSE)) {
      package <- sub("^package:", "", place)
      return(if (package != place && !package %in% always_attached) package)
    }
  }
  NULL
}

always_attached <- c("base", "methods", "datasets", "utils", "grDevices", "graphics", "stats")

# In the worker: puts them into the workspace. What makes that as it was before.
bind_globals <- function(values) {
  workspace <- globalenv()
  names <- names(values)
  there <- names[vapply(names, exists, TRUE, workspace, inherits = FALSE)]
  before <- mget(there, workspace)
  list2env(values, workspace)
  function() {
    rm(list = intersect(setdiff(names, there), ls(workspace, all.names = TRUE)), envir = workspace)
    list2env(before, workspace)
  }
}
