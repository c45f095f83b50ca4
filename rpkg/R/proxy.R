#' Make a class shareable
#'
#' A package that has a class makes its objects shareable with two methods. `share_proxy(x)` gives a stand-in for the object: a list or a
#' vector that holds what is large. `share_restore(proxy)` makes the object again. [share()] puts the stand-in into shared memory and
#' gives back an object made from it, whose large parts are shared.
#'
#' Both functions take S3 and S4 methods, in a package or in the global environment; S3 methods of a package are registered in its
#' NAMESPACE (`S3method(cowshed::share_proxy, myclass)`, or `S3method(share_proxy, myclass)` after `importFrom(cowshed, share_proxy)`).
#'
#' The methods are called wherever an object of the class is met: by `share(x)`, and inside lists and whatever else is shared as a whole.
#' A method of `share()` itself is called for `share(x)` alone.
#'
#' @details
#' - The stand-in must be a list or an atomic vector, not of the same class. What is in it is shared as in any list: short vectors and
#'   functions stay what they are.
#' - The method of `share_restore()` is found by the class of the object, not of the stand-in: `share_restore.myclass` is called with what
#'   `share_proxy.myclass` gave. Where there is none, by the class of the stand-in, if it has one.
#' - What is restored must have the class that the object had. A method of a class that others inherit from must make their objects too, or
#'   [share()] of those is an error.
#' - Nothing is restored where nothing in the stand-in is shared: `share(x)` is `x` then, as it is where all of it is shared already.
#' - [is.shared()] and [sharedObjectProperties()] of an object say what they say of its stand-in, and [unshare()] restores it from a plain one.
#' - An object with reference semantics (an R6 object, an environment) is not changed: `share(x)` is another object.
#'
#' @param x An object.
#' @param proxy What `share_proxy()` gave, in shared memory.
#' @param ... For methods.
#' @return `share_proxy()`: a list or atomic vector. `share_restore()`: an object of the class.
#' @section Errors: `cowshed_error_plugin`, with the class and the package in its message: a method fails (the error it met is the
#'   condition's `parent`), gives what it may not, or is missing; two packages have a method for the same class; the package that has
#'   the methods is not installed where an object is restored. Nothing is left in shared memory.
#' @seealso [sharePlugins()] lists the methods there are.
#' @examples
#' # an S3 class: a closure and the points it looks things up in
#' cloud <- function(points) structure(list(points = points, nearest = function(at) which.min(abs(points - at))), class = "cloud")
#' share_proxy.cloud <- function(x, ...) x$points
#' share_restore.cloud <- function(proxy, ...) cloud(proxy)
#'
#' x <- share(cloud(c(2, 3, 5, 7, 11)))
#' is.shared(x$points)
#' x$nearest(6)
#' @export
setGeneric("share_proxy", function(x, ...) standardGeneric("share_proxy"), useAsDefault = function(x, ...) UseMethod("share_proxy"))

#' @rdname share_proxy
#' @export
setGeneric("share_restore", function(proxy, ...) standardGeneric("share_restore"), useAsDefault = function(proxy, ...) {
  UseMethod("share_restore")
})

#' @method share_proxy default
#' @export
share_proxy.default <- function(x, ...) plugin_error(sprintf("no package loaded has a share_proxy() method for %s", shown_class(class(x))))

#' @method share_restore default
#' @export
share_restore.default <- function(proxy, ...) {
  plugin_error(sprintf("no package loaded has a share_restore() method for %s", shown_class(class(proxy))))
}

has_proxy <- function(x) is.object(x) && .Call(cs_has_proxy, x)

# What is asked about in place of `x`: its proxy, if its class has one.
stand_in <- function(x) if (has_proxy(x)) proxy_of(x)[[1L]] else x

unshare_by_proxy <- function(x) {
  made <- proxy_of(x)
  if (.Call(cs_is_shared, made[[1L]])) restored(.Call(cs_unshare, made[[1L]]), made[[2L]]) else x
}

# What the library calls: altrep/src/door.rs.

# The proxy of `x` and, for whoever restores it, the package that has the method and the class of `x`.
proxy_of <- function(x) {
  refresh_methods(x, "share_proxy")
  class <- as.vector(class(x))
  package <- method_for("share_proxy", x)$package
  by <- function() sprintf("share_proxy() of %s for %s", shown_package(package), shown_class(class))
  proxy <- tryCatch(share_proxy(x), error = function(e) plugin_error(sprintf("%s failed: %s", by(), conditionMessage(e)), e))
  if (identical(as.vector(class(proxy)), class)) {
    plugin_error(sprintf("%s gives an object of the same class; it must give what is in it, as a list or a vector", by()))
  }
  if (!is.list(proxy) && (!is.atomic(proxy) || is.null(proxy))) {
    plugin_error(sprintf("%s gives an object of %s; it must give a list or an atomic vector", by(), shown_class(class(proxy))))
  }
  list(proxy, c(package, class))
}

# The object that a proxy stands for; `origin` is what proxy_of() said of it.
restored <- function(proxy, origin) {
  package <- origin[[1L]]
  class <- origin[-1L]
  require_plugin(package, class)
  if (length(methods_seen$ties) > 0L) refuse_tie(class, "share_restore")
  by <- function() sprintf("share_restore() of %s for %s", shown_package(package), shown_class(class))
  object <- tryCatch(restore_as(class, proxy)(proxy), error = function(e) plugin_error(sprintf("%s failed: %s", by(), conditionMessage(e)), e))
  if (!identical(as.vector(class(object)), class)) {
    plugin_error(sprintf("%s gives an object of %s; it must give one of the class that was shared", by(), shown_class(class(object))))
  }
  object
}

require_plugin <- function(package, class) {
  if (package == ".GlobalEnv" || requireNamespace(package, quietly = TRUE)) return(invisible())
  installed <- nzchar(system.file(package = package))
  plugin_error(sprintf(
    "an object of %s can be restored only with the package '%s', which %s; install.packages(\"%s\") (or from where you have it) for this process's R",
    shown_class(class), package, if (installed) "cannot be loaded here" else "is not installed here", package
  ))
}

# share_restore() as dispatched on an object of the class, which is not there yet.
restore_as <- function(class, proxy) {
  if (has_s4_methods("share_restore")) {
    classes <- all_classes(class)
    i <- s4_class("share_restore", classes)
    if (!is.na(i)) return(methods::selectMethod("share_restore", classes[[i]]))
  }
  like <- structure(list(), class = if (!has_s3_method("share_restore", class)) all_classes(class) else class)
  if (has_s3_method("share_restore", class(like))) return(function(proxy, ...) UseMethod("share_restore", like))
  # Of the stand-in's own class, if any.
  if (is.object(proxy)) return(share_restore)
  plugin_error(sprintf("there is no share_restore() method for %s", shown_class(class)))
}

# How far up the class with a share_proxy() method is from the class of `x`: 0 for its own, -1 if there is none.
proxy_distance <- function(x) tryCatch(method_for("share_proxy", x)$distance, error = function(e) -1L)

plugin_error <- function(message, parent = NULL) {
  stop(errorCondition(message, class = c("cowshed_error_plugin", "cowshed_error"), parent = parent))
}

shown_class <- function(class) sprintf("the class <%s>", paste(class, collapse = ", "))

shown_package <- function(package) if (package == ".GlobalEnv") "the global environment" else sprintf("package '%s'", package)
