#' What is in shared memory
#'
#' `listSharedObjects()` lists the segments of the store [share()] would use now; `pruneSharedObjects()` removes those that no living
#' process holds and no reference in flight points to. Cleaning up happens by itself (when the package is loaded, when objects are
#' shared, when a process ends); the call is there for those who want to see it happen.
#'
#' @return `listSharedObjects()`: a data frame with a row for each segment and the columns `Id` (character) and `size` (in bytes).
#'   `pruneSharedObjects()`: how many segments were removed, invisibly.
#' @section Errors: `cowshed_error_store` if the store cannot be used.
#' @examples
#' x <- share(rnorm(1000))
#' listSharedObjects()
#' pruneSharedObjects()
#' @export
listSharedObjects <- function() {
  listed <- .Call(cs_list_store)
  data.frame(Id = listed[[1L]], size = listed[[2L]])
}

#' @rdname listSharedObjects
#' @export
pruneSharedObjects <- function() invisible(.Call(cs_sweep))

# Bytes of `x` that are private to this process because they were written or had to be copied; NaN for a plain object.
private_bytes <- function(x) .Call(cs_private_bytes, x)

# What a shared object reads, as `<segment>` or `<segment>:<node>`; NULL for a plain object.
data_id <- function(x) .Call(cs_data_id, x)

# The directory of the store share() would use now.
store_path <- function() .Call(cs_store_path)

# Names of all sharing strategies.
strategies <- function() .Call(cs_strategies)
