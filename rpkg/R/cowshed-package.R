#' cowshed: share R objects between processes without copying
#'
#' [share()] puts an object into shared memory once; every process on the machine uses it as an ordinary R object.
#'
#' - Put in memory, or in a file that stays: [share()], [SharedObject()], [openSharedFile()], [unshare()].
#' - Send, or find by name: [withSharedSerialization()], [registerVariables()].
#' - Compute in parallel: [memApply()].
#' - Make once per machine, with Python: [shareCache()].
#' - Make on first touch: [virtualVector()]. Keep on disk, and load when touched: [mlazy()].
#' - Look: [is.shared()], [sharedObjectProperties()], [sharedObjectReport()], [sharedMemoryReport()]. Set: [sharedObjectPkgOptions()], `?"cowshed-options"`.
#' - Make a class of one's own shareable: [share_proxy()].
#'
#' @keywords internal
#' @useDynLib cowshed, .registration = TRUE
#' @importFrom methods setGeneric
"_PACKAGE"

.onLoad <- function(libname, pkgname) {
  .Call(cs_set_judge_functions, innermost_frame, use_of_bytes)
  s3_table <<- topenv()[[".__S3MethodsTable__."]]
  .Call(cs_set_door_functions, s3_table, environment(share_proxy), refresh_table, proxy_distance, proxy_of, restored)
  # Whatever died before us left nothing for long. A store that cannot be used is for share() to report.
  tryCatch(.Call(cs_sweep), cowshed_error = function(e) NULL)
  remember_workspace()
  # The session's ledgers in caches: whoever finds them later would see that nobody has their locks.
  reg.finalizer(at_start, function(e) tryCatch(.Call(cs_cache_close), error = function(e) NULL), onexit = TRUE)
}

.onAttach <- function(libname, pkgname) {
  tryCatch(adopt_workspace(), error = function(e) {
    packageStartupMessage("The cached objects of the workspace are not set up: ", conditionMessage(e), "; then call setup.mcache(.GlobalEnv)")
  })
}

# The library stays, as its objects do. Names go, and what nobody uses any more: now, and not at the end of the session.
.onUnload <- function(libpath) {
  .Call(cs_release_all)
  rm(list = names(registered), envir = registered)
  rm(list = names(retrieved), envir = retrieved)
  .Call(cs_cache_close)
  gc()
  tryCatch(.Call(cs_sweep), cowshed_error = function(e) NULL)
}
