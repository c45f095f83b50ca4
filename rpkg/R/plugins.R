#' Who shares what
#'
#' `sharePlugins()` lists everything that has a say in how objects are shared: the strategies of the library, and the methods that packages
#' loaded now, and the global environment, have for [share()], [is.shared()], [unshare()], [sharedObjectProperties()], [share_proxy()] and
#' [share_restore()].
#'
#' Of several methods for an object the one for the most specific class is called: S4 methods by the distance of the class, then S3 methods
#' in the order of the class vector, then the strategies of the library. Two packages with a method for one class are an error that names
#' both; a method in the global environment goes before those of packages.
#'
#' @return A data frame with a row for each, and the columns `name` (of the strategy, or the method as `share_proxy.myclass`), `door`
#'   (`"built in"`, `"R"`, `"Rust"`, `"C"`), `package`, `class` (of a method; for a strategy of another package the types of R that it looks
#'   at; else `NA`) and `priority`, the larger the sooner: 2 an S4 method, 1 an S3 method or a strategy of another package, 0 built in, -1 what
#'   takes anything that nobody else shares.
#' @seealso [share_proxy()]
#' @examples
#' sharePlugins()
#' @export
sharePlugins <- function() {
  look_at_methods()
  plugins <- .Call(cs_plugins)
  others <- data.frame(
    name = plugins$name, door = plugins$door, package = plugins$package, class = plugins$kinds, priority = rep(1L, length(plugins$name))
  )
  own <- setdiff(strategies(), plugins$name)
  built_in <- data.frame(
    name = own, door = "built in", package = "cowshed", class = NA_character_, priority = ifelse(own == "r.serialized", -1L, 0L)
  )
  found <- methods_seen$methods
  theirs <- data.frame(
    name = paste0(found$generic, if (nrow(found) > 0L) ".", found$class), door = rep("R", nrow(found)), package = found$package,
    class = found$class, priority = ifelse(found$s4, 2L, 1L)
  )
  all <- rbind(theirs, others, built_in)
  rownames(all) <- NULL
  all
}

generics <- c("share", "is.shared", "unshare", "sharedObjectProperties", "share_proxy", "share_restore")

# What was found when the set of loaded namespaces was last another one: the methods outside this package, and those of them that two
# packages have for one class.
methods_seen <- new.env(parent = emptyenv())

# R leaves the S3 methods of a package that is unloaded in the table of the generic's package, and lets the last of two packages win.
# Looking again is for when another namespace is there; otherwise it is a comparison.
refresh_table <- function() if (!identical(loadedNamespaces(), methods_seen$namespaces)) look_at_methods()

refresh_methods <- function(x, generic) {
  refresh_table()
  if (length(methods_seen$ties) > 0L) refuse_tie(class(x), generic)
}

look_at_methods <- function() {
  namespaces <- loadedNamespaces()
  forget_unloaded()
  found <- rbind(
    do.call(rbind, lapply(setdiff(namespaces, c("cowshed", "base")), methods_of)), registered_methods(), global_methods()
  )
  found <- found[!duplicated(found), ]
  found <- found[order(match(found$generic, generics), found$class, found$package), ]
  rownames(found) <- NULL
  methods_seen$methods <- found
  of_packages <- found[found$package != ".GlobalEnv", ]
  by_class <- split(of_packages$package, paste0(of_packages$generic, "\r", of_packages$class))
  methods_seen$ties <- Filter(function(packages) length(packages) > 1L, lapply(by_class, unique))
  methods_seen$namespaces <- namespaces
}

# The methods of a loaded package, also those that another package's took the place of.
methods_of <- function(package) {
  namespace <- asNamespace(package)
  s3 <- .getNamespaceInfo(namespace, "S3methods")
  # A namespace not made by R's loader need not have it.
  if (!is.matrix(s3)) s3 <- matrix("", 0L, 3L)
  # R makes it a matrix of lists where a method was registered as a function.
  s3 <- s3[as.character(s3[, 1L]) %in% generics, , drop = FALSE]
  generic <- as.character(s3[, 1L])
  class <- as.character(s3[, 2L])
  # One whose place was taken by a package that is unloaded by now gets it back.
  for (i in seq_len(nrow(s3))) {
    name <- paste0(generic[i], ".", class[i])
    own <- s3[[i, 3L]]
    if (is.character(own)) own <- get0(own, namespace, mode = "function")
    if (is.null(s3_table[[name]]) && !is.null(own)) assign(name, own, envir = s3_table)
  }
  rbind(method_table(generic, class, package, FALSE), s4_methods_in(namespace, package))
}

global_methods <- function() {
  names <- ls(globalenv(), all.names = TRUE)
  s3 <- do.call(rbind, lapply(generics, function(generic) {
    theirs <- names[startsWith(names, paste0(generic, "."))]
    theirs <- theirs[vapply(theirs, exists, NA, envir = globalenv(), mode = "function", inherits = FALSE)]
    method_table(rep(generic, length(theirs)), substring(theirs, nchar(generic) + 2L), ".GlobalEnv", FALSE)
  }))
  rbind(s3, s4_methods_in(globalenv(), ".GlobalEnv"))
}

# S3 methods registered by calls of registerS3method(), which no namespace tells of.
registered_methods <- function() {
  names <- setdiff(ls(s3_table, all.names = TRUE), paste0(generics, ".default"))
  do.call(rbind, lapply(generics, function(generic) {
    theirs <- names[startsWith(names, paste0(generic, "."))]
    packages <- vapply(theirs, function(name) home_of(s3_table[[name]]), "")
    method_table(rep(generic, length(theirs)), substring(theirs, nchar(generic) + 2L), unname(packages), FALSE)
  }))
}

s4_methods_in <- function(where, package) {
  do.call(rbind, lapply(generics, function(generic) {
    table <- get0(paste0(".__T__", generic, ":cowshed"), where, inherits = FALSE)
    classes <- if (is.environment(table)) setdiff(ls(table, all.names = TRUE), "ANY") else character()
    method_table(rep(generic, length(classes)), classes, package, TRUE)
  }))
}

method_table <- function(generic, class, package, s4) {
  data.frame(generic = generic, class = class, package = rep_len(package, length(class)), s4 = rep(s4, length(class)))
}

forget_unloaded <- function() {
  for (name in ls(s3_table, all.names = TRUE)) {
    home <- topenv(environment(s3_table[[name]]))
    if (isNamespace(home) && !identical(.getNamespace(getNamespaceName(home)), home)) rm(list = name, envir = s3_table)
  }
}

refuse_tie <- function(classes, generic) {
  for (class in all_classes(classes)) {
    packages <- methods_seen$ties[[paste0(generic, "\r", class)]]
    if (!is.null(packages)) {
      plugin_error(sprintf(
        "the packages %s both have a %s() method for %s; unload one of them", paste0("'", packages, "'", collapse = " and "), generic, shown_class(class)
      ))
    }
    if (!is.null(s3_package(generic, class))) return(invisible())
  }
}

# Where the method of `x` is and how far its class is, as R dispatches (S4 methods first): package, distance (-1 if there is none).
method_for <- function(generic, x) {
  classes <- class(x)
  s4 <- has_s4_methods(generic)
  if (s4 || isS4(x)) classes <- all_classes(classes)
  if (s4 && !is.na(i <- s4_class(generic, classes))) {
    return(list(package = home_of(methods::getMethod(generic, classes[[i]])), distance = i - 1L))
  }
  for (i in seq_along(classes)) {
    package <- s3_package(generic, classes[[i]])
    if (!is.null(package)) return(list(package = package, distance = i - 1L))
  }
  list(package = "", distance = -1L)
}

# Besides that of ANY.
has_s4_methods <- function(generic) length(environment(get(generic))$.MTable) > 1L

# A class vector, with the classes that its first one extends, nearest first, if S4 knows it.
all_classes <- function(class) {
  definition <- methods::getClassDef(class[[1L]])
  if (is.null(definition)) as.vector(class) else unique(c(as.vector(class), names(definition@contains)))
}

# Which of the classes is the first with an S4 method; NA if none has one.
s4_class <- function(generic, classes) {
  table <- environment(get(generic))$.MTable
  for (i in seq_along(classes)) {
    if (!is.null(table[[classes[[i]]]])) return(i)
  }
  NA_integer_
}

# The package that has an S3 method; NULL if there is none.
s3_package <- function(generic, class) {
  name <- paste0(generic, ".", class)
  if (is.function(.GlobalEnv[[name]])) return(".GlobalEnv")
  method <- s3_table[[name]]
  if (!is.null(method)) home_of(method)
}

has_s3_method <- function(generic, classes) {
  for (class in classes) if (!is.null(s3_package(generic, class))) return(TRUE)
  FALSE
}

# Where R registers the S3 methods of this package's generics; set when the package is loaded. With no more than a default for each of the
# generics there is nothing to put right before R dispatches.
s3_table <- NULL

home_of <- function(f) {
  home <- topenv(environment(f))
  if (isNamespace(home)) unname(getNamespaceName(home)) else ".GlobalEnv"
}
