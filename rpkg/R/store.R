#' What is in shared memory
#'
#' `listSharedObjects()` lists the segments of the store [share()] would use now; `pruneSharedObjects()` removes those that no living
#' process holds and no reference in flight points to. Cleaning up happens by itself (when the package is loaded, when objects are
#' shared, when a process ends); the call is there for those who want to see it happen.
#'
#' An object of up to 16 KiB is listed by the process that shared it from the beginning, and by others once it was sent anywhere.
#'
#' @param end,start Which rows, by number, the oldest first; `NULL` for all.
#' @param includeCharId Whether memory that has a name is listed too.
#' @return `listSharedObjects()`: a data frame with a row for each segment and the columns `Id` (character: the name of memory that has
#'   one) and `size` (bytes of its file). `listSharedObject()`: the same, as SharedObject spelled it.
#'   `pruneSharedObjects()`: how many segments were removed, invisibly.
#' @section Errors: `cowshed_error_store` if the store cannot be used; `cowshed_error_argument` if `end` or `start` is no row's number.
#' @examples
#' x <- share(rnorm(1000))
#' listSharedObjects()
#' listSharedObjects(end = 1)
#' pruneSharedObjects()
#' @export
listSharedObjects <- function(end = NULL, start = NULL) list_segments(end, start, TRUE)

#' @rdname listSharedObjects
#' @export
listSharedObject <- function(end, start, includeCharId = FALSE) {
  list_segments(if (!missing(end)) end, if (!missing(start)) start, includeCharId)
}

list_segments <- function(end, start, named) {
  listed <- .Call(cs_list_store)
  segments <- data.frame(Id = listed[[1L]], size = listed[[2L]])
  if (!isTRUE(named)) segments <- segments[listed[[3L]] == 0, ]
  first <- row_number(start, "start", 1)
  last <- row_number(end, "end", nrow(segments))
  segments <- segments[seq_len(nrow(segments)) >= first & seq_len(nrow(segments)) <= last, ]
  rownames(segments) <- NULL
  segments
}

row_number <- function(x, argument, usual) {
  if (is.null(x)) return(usual)
  if (!is.numeric(x) || length(x) != 1L || is.na(x)) {
    stop(errorCondition(
      paste0("`", argument, "` must be one number, or NULL for all"), class = c("cowshed_error_argument", "cowshed_error"), call = sys.call(-2L)
    ))
  }
  x
}

#' Who holds what in shared memory
#'
#' A row for each segment of the store [share()] would use now: what is in it, who holds it, and why it is still there.
#'
#' @return A data frame, the oldest segment first, with the columns
#'
#'   | column | |
#'   |---|---|
#'   | `Id` | as in [listSharedObjects()] |
#'   | `size` | bytes of its file |
#'   | `type` | of what was shared: a type of R's vectors, `"list"`, `"environment"` and so on, or the name of another package's strategy ([sharePlugins()]) |
#'   | `length` | its elements |
#'   | `state` | `"held"`: by living processes. `"in flight"`: nobody holds it, and a reference that was sent can still be attached. `"freed"`: [freeSharedMemory()] took its name away; its memory returns when the last holder lets go. `"idle"`: neither, the next cleaning removes it. |
#'   | `holders` | how many processes hold it |
#'   | `heldBy` | their process ids, separated by spaces |
#'   | `inFlight` | references that were sent and not attached yet; 65 stands for more than 64 |
#'   | `age` | seconds since it was made |
#'   | `owner` | the id of the process that made it; it may have ended |
#'
#'   `type`, `length` and `owner` are `NA` for what was freed, and for a file that is damaged. Process ids of another container are those it
#'   has there.
#' @section Errors: `cowshed_error_store` if the store cannot be used.
#' @seealso [listSharedObjects()], [freeSharedMemory()]
#' @examples
#' x <- share(rnorm(1000))
#' bytes <- serialize(x, NULL)
#' sharedObjectReport()
#' @export
sharedObjectReport <- function() {
  all <- .Call(cs_report_store)
  holders <- lengths(all$holders)
  in_flight <- as.integer(all$in_flight + all$more_in_flight)
  state <- rep("idle", length(all$id))
  state[in_flight > 0L] <- "in flight"
  state[holders > 0L] <- "held"
  state[all$freed == 1] <- "freed"
  data.frame(
    Id = replace(all$id, all$name != "", all$name[all$name != ""]),
    size = all$size,
    type = replace(sub("^r[.]", "", all$strategy), all$strategy == "", NA),
    length = all$length,
    state = state,
    holders = holders,
    heldBy = vapply(all$holders, function(pids) paste(format(pids, scientific = FALSE, trim = TRUE), collapse = " "), ""),
    inFlight = in_flight,
    age = pmax(0, round(as.numeric(Sys.time()) - all$created)),
    owner = as.integer(all$pid)
  )
}

#' @rdname listSharedObjects
#' @export
pruneSharedObjects <- function() invisible(.Call(cs_sweep))

# Bytes of `x` that are private to this process because they were written or had to be copied; NaN for a plain object.
private_bytes <- function(x) .Call(cs_private_bytes, x)

# What a shared object reads, as `<segment>` or `<segment>:<node>`; NULL for a plain object.
data_id <- function(x) .Call(cs_data_id, x)

# The object that was shared as a segment, as another process makes it; `id` as of data_id().
open_whole <- function(id) .Call(cs_open_whole, id)

# The directory of the store share() would use now.
store_path <- function() .Call(cs_store_path)

# Names of all sharing strategies.
strategies <- function() .Call(cs_strategies)

# Called when a package's namespace is unloaded that has registered strategies; altrep/src/door/mod.rs sets the hook.
unregister_plugins <- function(package) .Call(cs_unregister, package)

# The whole object that a shared vector is a part of, made from its segment as another process does.
open_segment <- function(x) .Call(cs_open_segment, x)
