#' By value or by reference
#'
#' A shared object is serialized as a reference of about 200 bytes where it is sent to another process, and as its data where it is
#' kept. Which of the two a call of `serialize()`, `saveRDS()` and so on does is found out from who serializes;
#' `withSharedSerialization()` and `options(cowshed.serialize = )` decide it instead.
#'
#' @section What happens by itself: With `options(cowshed.serialize = "auto")`, the default:
#'
#' | by value | by reference |
#' |---|---|
#' | [saveRDS()], [save()], [save.image()], `quit("yes")` | [serialize()] to `NULL`, a socket, a FIFO or a raw connection |
#' | [serialize()] to any other connection (file, pipe, terminal) | everything that sends with these: \pkg{parallel}, \pkg{foreach}, \pkg{future}, \pkg{BiocParallel}, \pkg{mirai} |
#' | caches of \pkg{knitr}, `tools:::makeLazyLoadDB()`, `qs2::qs_save()` | \pkg{callr}, the function and arguments sent into the child |
#' | the result of a \pkg{callr} process | |
#' | hashes (`rlang::hash()`, \pkg{digest}, \pkg{secretbase}) | `parallelly::serializedSize()`, which only measures |
#' | `serialize(version = 2)`, `dput()`, `dump()` and other text | |
#' | an object changed under `copyOnWrite = TRUE`, always | |
#'
#' A file written by value loads on any machine, also without cowshed.
#'
#' @section Forcing it: Transports that pass objects through files of `saveRDS()` (\pkg{targets}, \pkg{clustermq}, \pkg{batchtools}) write data
#' unless told otherwise: wrap the call that submits, or set the option, in the workers too if results shall come back by reference. A
#' store of your own that keeps what `serialize(x, NULL)` gives (a database, a cache) needs `by = "value"`.
#'
#' A reference is good on this machine, while a process holds the object and for `options(cowshed.grace = 300)` seconds after it was
#' made if nobody claims it. `length(serialize(x, NULL))` makes one too: to measure, use `parallelly::serializedSize(x)`.
#'
#' A worker on another machine needs the value: wrap the call that sends, as in
#' `withSharedSerialization(parallel::clusterExport(cl, "x"), by = "value")`. A reference that arrives there, or here after a restart, has the object's
#' length, and every other use is an error of class `cowshed_error_machine`; the worker lives on.
#'
#' Hashes are always of the value, and objects that have no segment any more always travel by value.
#'
#' @param expr An expression. What it serializes, in this process, is serialized as `by` says. A promise it leaves behind, or a worker it
#'   starts, is not concerned.
#' @param by `"reference"` or `"value"`.
#' @return The value of `expr`.
#' @section Errors: `cowshed_error_argument` if `by`, or the option when something is serialized, is none of the words.
#' @seealso [share()]
#' @examples
#' x <- share(rnorm(1e4))
#' length(serialize(x, NULL))
#' length(withSharedSerialization(serialize(x, NULL), by = "value"))
#'
#' # hand an object to another process of this machine through a file
#' file <- tempfile()
#' withSharedSerialization(saveRDS(x, file), by = "reference")
#' file.size(file)
#' is.shared(readRDS(file))
#'
#' # send data, as a worker on another machine needs them
#' cl <- parallel::makePSOCKcluster(1)
#' withSharedSerialization(parallel::clusterExport(cl, "x"), by = "value")
#' parallel::clusterEvalQ(cl, sum(x))
#' parallel::stopCluster(cl)
#' @export
withSharedSerialization <- function(expr, by = c("reference", "value")) {
  if (missing(by)) by <- "reference"
  if (!is.character(by) || length(by) != 1L || !by %in% c("reference", "value")) {
    stop(errorCondition("`by` must be \"reference\" or \"value\"", class = c("cowshed_error_argument", "cowshed_error"), call = sys.call()))
  }
  old <- options(cowshed.serialize = by)
  on.exit(options(old))
  expr
}

# What becomes of what is being serialized: numbers that the library knows.
sent <- 0L
kept <- 1L
hashed <- 2L
measured <- 3L
sent_as_one <- 4L

# The library calls the first for every shared vector it writes, and the second when the frame is another one than before.
#
# The function that serializes decides: the innermost on the call stack. Those further out do not: in `saveRDS(parLapply(cl, ...), file)` the
# sending happens within saveRDS(), which has yet to look at its argument.
innermost_frame <- function() sys.frame(-1L)

# Functions are compared as functions: names do not tell (`lapply(l, saveRDS, f)` shows FUN). What is said here may depend on nothing but
# the frame, as altrep/src/by_value.rs keeps the answer as long as the frame is the same.
use_of_bytes <- function() {
  n <- sys.nframe() - 1L
  if (n < 1L) return(sent)
  f <- sys.function(n)
  home <- environment(f)
  if (is.null(home)) return(sent)
  use <- known_use(f, home, uses)
  if (is.null(use)) {
    if (is_lazy_load(home)) kept else sent
  } else if (is.function(use)) {
    use(n)
  } else {
    use
  }
}

# What `uses` says of the function `f` of the package with the namespace `home`; NULL if nothing.
known_use <- function(f, home, uses) {
  functions <- uses[[package_of(home)]]
  for (name in names(functions)) {
    if (identical(f, .subset2(home, name))) return(functions[[name]])
  }
  NULL
}

# The name of the package whose namespace an environment is, or may be; "" if none.
package_of <- function(home) {
  if (identical(home, .BaseNamespaceEnv)) return("base")
  name <- .subset2(home, ".packageName") # which calls no method, whatever class the environment may have
  if (is.character(name)) name else ""
}

caller_use <- function(n, uses) {
  parent <- sys.parents()[n]
  if (parent < 1L) return(NULL)
  f <- sys.function(parent)
  home <- environment(f)
  if (!is.null(home)) known_use(f, home, uses)
}

# Frame n is serialize()'s. A connection is taken for one that keeps what is written, unless it is known to be a way to another process.
use_of_serialize <- function(n) {
  connection <- sys.frame(n)$connection
  if (!is.null(connection) && !inherits(connection, c("sockconn", "fifo", "rawConnection"))) return(kept)
  use <- caller_use(n, uses_as_caller_of_serialize)
  # One message a call: what is in it twice is no second one.
  if (is.null(use)) sent_as_one else use
}

# Frame n is saveRDS()'s. callr sends with it.
use_of_saveRDS <- function(n) {
  use <- caller_use(n, uses_as_caller_of_saveRDS)
  if (is.null(use)) kept else use
}

uses <- list(
  base = list(serialize = use_of_serialize, saveRDS = use_of_saveRDS, save = kept),
  digest = list(digest = hashed),
  parallelly = list(serializedSize = measured),
  qs2 = list(qs_save = kept),
  rlang = list(hash = hashed),
  secretbase = list(siphash13 = hashed, sha3 = hashed, sha256 = hashed, keccak = hashed, shake256 = hashed)
)
uses_as_caller_of_serialize <- list(digest = list(digest = hashed))
uses_as_caller_of_saveRDS <- list(callr = list(save_function_to_temp = sent))

# Whether `home` is the frame of a call of tools:::makeLazyLoadDB(), whose local functions write the values.
is_lazy_load <- function(home) {
  tools <- parent.env(home)
  if (package_of(tools) != "tools") return(FALSE)
  for (n in seq_len(sys.nframe())) {
    if (identical(sys.frame(n), home)) return(identical(sys.function(n), .subset2(tools, "makeLazyLoadDB")))
  }
  FALSE
}
