#' Shared memory by id and name
#'
#' The low level: bytes that every process on the machine can map and write, found by an id or by a name of your choice. For R objects
#' use [share()], which looks after all this by itself.
#'
#' Memory is zero when it is new, and its space is really there: a full store is an error here, and never later. A process holds what it
#' allocates or maps until it frees it, or ends; when no living process holds it, it goes. A forked child holds what its parent held.
#'
#' Under a name, the first process to allocate makes the memory, and every other is given the same one, whoever was first. The name is
#' the id. Names belong to one user and to one store, the one that [share()] would use now.
#'
#' An id is also that of a shared object, `<segment>` or, for a part of one, `<segment>:<node>`. `freeSharedMemory()`,
#' `unmapSharedMemory()` and `hasSharedMemory()` then act on the whole segment, the others on that part.
#'
#' `freeSharedMemory()` takes the name away, so nobody finds the memory any more. Whoever uses it, as an R object or through a pointer that
#' `mapSharedMemory()` returned, goes on using it; the memory returns to the system when the last has let go. Until then
#' [sharedObjectReport()] shows it as `"freed"`.
#'
#' @param size How many bytes: whole numbers. 0 gives 1 byte.
#' @param name A name for each size, or `""` for none.
#' @param id,x Ids or names: a character vector, or a list of strings. The two arguments are the same one.
#' @return For one size or id the value itself, for several (or a list) a list of them.
#'
#'   `allocateSharedMemory()`, `allocateNamedSharedMemory()`: the id, a string. `mapSharedMemory()`: an external pointer to the memory,
#'   which stays mapped for as long as the pointer exists. `getSharedMemorySize()`: bytes. `hasSharedMemory()`: `TRUE` if there is such
#'   memory and somebody holds it. `unmapSharedMemory()`, `freeSharedMemory()`: `NULL`, invisibly.
#' @section Errors: `cowshed_error_gone`: there is no such memory (`mapSharedMemory()`, `getSharedMemorySize()`; the others take it
#'   silently). `cowshed_error_size`: there is memory of that name, and it is smaller; the message has both sizes. `cowshed_error_full`:
#'   no room in the store. `cowshed_error_argument`: an argument is wrong, or sizes and names differ in number.
#' @section From C and C++: The same functions are in the header `SharedObject/sharedMemory.h`, which has its own documentation. A package
#'   that uses it has `LinkingTo: cowshed` in its `DESCRIPTION`; there is nothing to link.
#' @seealso [listSharedObjects()]
#' @examples
#' id <- allocateSharedMemory(1000)
#' getSharedMemorySize(id)
#' pointer <- mapSharedMemory(id)
#' freeSharedMemory(id)
#' hasSharedMemory(id)
#'
#' # the same memory by name, here and in every other process
#' name <- paste0("example-", Sys.getpid())
#' allocateNamedSharedMemory(name, 100)
#' allocateSharedMemory(50, name)
#' getSharedMemorySize(name)
#' freeSharedMemory(name)
#'
#' # a shared object has an id too
#' x <- share(1:1000)
#' any(unlist(hasSharedMemory(listSharedObjects()$Id)))
#' @name sharedMemory
NULL

#' @rdname sharedMemory
#' @export
allocateSharedMemory <- function(size, name = "") {
  if (missing(name) || identical(name, "")) name <- rep("", length(size))
  if (length(size) != length(name)) {
    argument_error("`size` and `name` must agree in length: there are ", length(size), " sizes and ", length(name), " names")
  }
  if (is_one(size)) return(.Call(cs_allocate, size, name[[1L]]))
  ids <- list()
  # All or nothing: ids that nobody gets could never be freed.
  on.exit(for (i in which(name[seq_along(ids)] == "")) .Call(cs_free_memory, ids[[i]]))
  for (i in seq_along(size)) ids[[i]] <- .Call(cs_allocate, size[[i]], name[[i]])
  on.exit()
  ids
}

#' @rdname sharedMemory
#' @export
allocateNamedSharedMemory <- function(name, size) allocateSharedMemory(size, name)

#' @rdname sharedMemory
#' @export
mapSharedMemory <- function(id, x = id) for_each(x, function(id) .Call(cs_map_memory, id))

#' @rdname sharedMemory
#' @export
unmapSharedMemory <- function(id, x = id) invisible(for_each(x, function(id) .Call(cs_unmap_memory, id)))

#' @rdname sharedMemory
#' @export
freeSharedMemory <- function(id, x = id) invisible(for_each(x, function(id) .Call(cs_free_memory, id)))

#' @rdname sharedMemory
#' @export
hasSharedMemory <- function(id, x = id) for_each(x, function(id) .Call(cs_has_memory, id))

#' @rdname sharedMemory
#' @export
getSharedMemorySize <- function(id, x = id) for_each(x, function(id) .Call(cs_memory_size, id))

is_one <- function(x) is.atomic(x) && length(x) == 1L

# The result for one id, a list of them for several. Numbers are ids as SharedObject had them.
for_each <- function(ids, act) {
  if (is.null(ids)) argument_error("`id` must be ids or names, not NULL")
  text <- function(id) if (is.numeric(id)) as.character(id) else id
  if (is_one(ids)) act(text(ids)) else lapply(ids, function(id) act(text(id)))
}

argument_error <- function(...) {
  stop(errorCondition(paste0(...), class = c("cowshed_error_argument", "cowshed_error"), call = sys.call(-1L)))
}

#' Calls that code written for SharedObject makes
#'
#' They are harmless: cowshed needs no counter and no data of its own in shared memory.
#'
#' @return `getLastIndex()`: how many times this process has allocated memory without a name. The other two: `NULL`, invisibly.
#' @seealso [allocateSharedMemory()]
#' @examples
#' initialSharedObjectPackageData()
#' getLastIndex()
#' releaseSharedObjectPackageData()
#' @export
getLastIndex <- function() .Call(cs_last_index)

#' @rdname getLastIndex
#' @export
initialSharedObjectPackageData <- function() invisible(NULL)

#' @rdname getLastIndex
#' @export
releaseSharedObjectPackageData <- function() invisible(NULL)

# What a package that uses SharedObject/sharedMemory.h gives its compiler, printed for a Makevars to catch. There is nothing to link.
pkgconfig <- function(x = c("PKG_LIBS", "PKG_CPPFLAGS")) {
  flags <- switch(match.arg(x),
    PKG_LIBS = "",
    PKG_CPPFLAGS = paste0("-I", shQuote(system.file("include", package = "cowshed")))
  )
  cat(flags)
  invisible(flags)
}
