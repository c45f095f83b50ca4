#' Options of cowshed
#'
#' All are R's own [options()]. Wrong values are errors of [share()] that name the option.
#'
#' | option | from the start | |
#' |---|---|---|
#' | `cowshed.store` | memory (`/dev/shm`) | the directory, an absolute path, in which shared objects are, as long as a process holds them; on a disk for objects larger than memory, or where `/dev/shm` is small. (For files that stay there is [share()]'s argument `store`.) |
#' | `cowshed.maxStore` | no limit | bytes that the shared objects of this user may have in all, as far as this process may add to them |
#' | `cowshed.grace` | 300 | seconds that a reference which was sent keeps an object that nobody holds any more |
#' | `cowshed.cluster` | `"psock"` | where [memApply()] and [memLapply()] compute if they are not told: what their argument `CLUSTER` can be |
#' | `cowshed.progress` | `TRUE` | whether these show their progress, through \pkg{progressr} or \pkg{cli} |
#' | `cowshed.serialize` | `"auto"` | `"reference"` or `"value"`: see [withSharedSerialization()] |
#' | `cowshed.cleanPages` | 64 MiB | bytes of pages that were made for pointers to \link[=virtual]{virtual vectors} and that nobody has written, in memory at a time |
#' | `cowshed.writtenPages` | 256 MiB | bytes of written pages of theirs in memory at a time; the others go to a file |
#' | `cowshed.spill` | `tempdir()` | the directory of that file, which has no name there |
#' | `cowshed.materialize` | 1 GiB | bytes up to which a virtual vector that needs a pointer is copied whole if there is no other way |
#' | `cowshed.userfaultfd` | `TRUE` | whether pages of virtual vectors may be made on first touch |
#' | `cowshed.copyOnWrite`, `cowshed.sharedSubset`, `cowshed.sharedCopy`, `cowshed.sharedAttributes`, `cowshed.mustWork`, `cowshed.minLength` | | the defaults of [share()]'s arguments: see [sharedObjectPkgOptions()] |
#'
#' @section When there is no room: A store that is full, or that holds as much as `cowshed.maxStore` allows, is first cleaned of what nobody holds,
#'   then R collects its garbage, then references that were sent and that nobody has attached give way, the oldest first. Only if that is not
#'   enough, `share()` gives an error of class `cowshed_error_full`, with the sizes and what to do, and leaves nothing behind.
#'   [sharedObjectReport()] shows who holds what. In Docker `/dev/shm` has 64 MB unless `docker run --shm-size=8g` says otherwise. An object of 64 MB or more is refused in the same way if
#'   the machine, or the container or batch job this process is in, has not so much memory left (Linux's control groups tell).
#' @examples
#' old <- options(cowshed.maxStore = 1e6)
#' tryCatch(share(numeric(1e6)), cowshed_error_full = function(e) conditionMessage(e))
#' options(old)
#' @seealso [share()], [sharedObjectReport()]
#' @name cowshed-options
NULL

#' What share() does where its arguments do not say
#'
#' `sharedObjectPkgOptions()` reads and sets the defaults of [share()]. They are R's options of the same names with `cowshed.` before them:
#' `options(cowshed.copyOnWrite = FALSE)` is the same as `sharedObjectPkgOptions(copyOnWrite = FALSE)`.
#'
#' @param ... Names of options to read, as they are or as strings; or `name = value` to set (`NULL` for what it is from the start). One call
#'   does either. Without any, all options are read.
#' @param literal `FALSE`: names of options are in variables, whose values are looked up.
#' @return
#' Reading one option gives its value, reading several a named list; one that does not exist is `NULL`. Setting gives the old value, with its
#' name, or a list of several, invisibly.
#'
#' `getSharedObjectOptions()` and `setSharedObjectOptions()` are an older way to write the same. They take names as strings, and all options
#' are, as they were then, `mustWork` and the three flags.
#' @section Options:
#' `mustWork` (`FALSE`), `sharedAttributes` (`TRUE`), `copyOnWrite` (`TRUE`), `sharedSubset` (`FALSE`), `sharedCopy` (`FALSE`),
#' `minLength` (3): see the arguments of [share()].
#' @section Errors: `cowshed_error_argument`: reading and setting in one call, and a value that the option cannot have. A name that is no
#'   option's is a warning when it is set.
#' @examples
#' sharedObjectPkgOptions()
#' old <- sharedObjectPkgOptions(minLength = 10, sharedSubset = TRUE)
#' is.shared(share(1:5))
#' sharedObjectPkgOptions(minLength)
#' do.call(sharedObjectPkgOptions, old)
#' @export
sharedObjectPkgOptions <- function(..., literal = TRUE) {
  asked <- asked_for(as.list(substitute(list(...)))[-1L], literal, ...)
  pkg_options(asked, names(pkg_defaults))
}

#' @rdname sharedObjectPkgOptions
#' @export
getSharedObjectOptions <- function(...) {
  asked <- list(get = unlist(lapply(list(...), check_names, "...")))
  pkg_options(asked, c("mustWork", "copyOnWrite", "sharedSubset", "sharedCopy"))
}

#' @rdname sharedObjectPkgOptions
#' @export
setSharedObjectOptions <- function(...) {
  given <- list(...)
  named <- if (is.null(names(given))) rep(FALSE, length(given)) else names(given) != ""
  if (!all(named)) refuse("setSharedObjectOptions() takes `name = value`")
  if (length(given) > 0L) set_options(given) else invisible(NULL)
}

pkg_defaults <- list(
  mustWork = FALSE, sharedAttributes = TRUE, copyOnWrite = TRUE, sharedSubset = FALSE, sharedCopy = FALSE, minLength = 3L
)

pkg_options <- function(asked, all) {
  if (length(asked$get) > 0L && length(asked$set) > 0L) refuse("You cannot get and set the package settings at the same time")
  if (length(asked$set) > 0L) return(set_options(asked$set))
  if (length(asked$get) == 1L) return(get_option(asked$get))
  wanted <- if (length(asked$get) > 0L) asked$get else all
  lapply(stats::setNames(wanted, wanted), get_option)
}

get_option <- function(name) getOption(paste0("cowshed.", name), pkg_defaults[[name]])

set_options <- function(values) {
  exists <- names(values) %in% names(pkg_defaults)
  for (name in names(values)[!exists]) {
    warning(warningCondition(sprintf("The option `%s` does not exist", name), class = c("cowshed_warning_option", "cowshed_warning")))
  }
  values <- values[exists]
  # All are checked before one is set.
  for (name in names(values)) if (!is.null(values[[name]])) check_option(name, values[[name]])
  old <- lapply(stats::setNames(names(values), names(values)), get_option)
  if (length(values) > 0L) options(stats::setNames(values, paste0("cowshed.", names(values))))
  invisible(if (length(values) == 1L) unlist(old) else if (length(values) > 1L) old)
}

check_option <- function(name, value) {
  if (name == "minLength") check_count(name, value) else check_flag(name, value)
}
