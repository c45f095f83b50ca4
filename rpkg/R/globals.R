# What FUN needs of the workspace and of attached packages, which workers of ours do not have.
#
# - Found by name, in its code and in that of the functions of the workspace that it calls: codetools knows which names are not local.
# - In the worker they are behind the environments of these functions, in the place of the workspace there. Nothing is assigned in it.

# list(values = <named list>, packages = <names to attach>) for a function; both empty if it is a primitive or a package's.
globals_of <- function(f) {
  values <- list()
  packages <- character()
  todo <- list(f)
  while (length(todo) > 0L) {
    g <- todo[[1L]]
    todo <- todo[-1L]
    if (is.primitive(g) || !sees_workspace(environment(g))) next
    for (name in setdiff(codetools::findGlobals(g), names(values))) {
      if (is_local(name, environment(g))) next
      if (exists(name, globalenv(), inherits = FALSE)) {
        if (bindingIsActive(name, globalenv())) next
        value <- get(name, globalenv(), inherits = FALSE)
        values[name] <- list(value)
        if (is.function(value)) todo <- c(todo, list(value))
      } else {
        packages <- c(packages, attached_with(name))
      }
    }
  }
  list(values = values, packages = unique(packages))
}

# Whether names that are not found in `e` are looked up in the workspace at once, not first in a namespace.
sees_workspace <- function(e) {
  while (!identical(e, emptyenv())) {
    if (identical(e, globalenv())) return(TRUE)
    if (isNamespace(e) || identical(e, baseenv())) return(FALSE)
    e <- parent.env(e)
  }
  FALSE
}

is_local <- function(name, e) {
  while (!identical(e, globalenv())) {
    if (exists(name, e, inherits = FALSE)) return(TRUE)
    e <- parent.env(e)
  }
  FALSE
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

# In the worker: the function, seeing `values` where it saw the workspace.
with_globals <- function(f, values) {
  if (length(values) == 0L || is.primitive(f)) return(f)
  workspace <- list2env(values, parent = globalenv())
  for (name in names(values)) if (is.function(values[[name]])) assign(name, moved(values[[name]], workspace), workspace)
  moved(f, workspace)
}

moved <- function(f, workspace) {
  e <- environment(f)
  if (is.null(e) || !sees_workspace(e)) return(f)
  if (identical(e, globalenv())) {
    environment(f) <- workspace
    return(f)
  }
  while (!identical(parent.env(e), globalenv())) {
    if (identical(e, workspace)) return(f)
    e <- parent.env(e)
  }
  if (!identical(e, workspace)) parent.env(e) <- workspace
  f
}
