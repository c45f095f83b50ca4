# Where tasks run. An engine is an environment with `slots`, the number of tasks it runs at a time, and these methods:
#
# - post(engine, slot, call, ...): starts `call(...)`, a function of this package by its name, there. A slot has one task at a time.
# - collect(engine, seconds): waits so long at most; answers as list(slot =, value =), or list(slot =, died = <why>) if the worker is gone
# - revive(engine, slot): after a death; whether the slot works again
# - halt(engine, slots, is_within): stops what runs there, and nobody wants any more; is_within(slot): whether it can be interrupted now
# - dismiss(engine, size): all is answered; `size`: bytes of shared objects that the workers have to let go of
# - part(engine): the call is over: nothing is owed any more

post <- function(engine, slot, call, ...) UseMethod("post")
collect <- function(engine, seconds) UseMethod("collect")
revive <- function(engine, slot) UseMethod("revive")
halt <- function(engine, slots, is_within) UseMethod("halt")
dismiss <- function(engine, size) UseMethod("dismiss")
part <- function(engine) UseMethod("part")

# The engine for what the user gave as CLUSTER: `most` slots, or as many as is usual, and no more than `tasks`.
engine_for <- function(cluster, most, tasks) {
  if (inherits(cluster, "cluster")) return(given_cluster(cluster, min(most, tasks, length(cluster))))
  if (!is.character(cluster) || length(cluster) != 1L || !cluster %in% c("psock", "fork", "future", "mirai")) {
    refuse(paste0(
      "`CLUSTER` (or options(cowshed.cluster = )) must be a cluster of package parallel, or \"psock\", \"fork\", \"future\" or \"mirai\", not ",
      if (is.character(cluster)) paste0("\"", paste(cluster, collapse = "\", \""), "\"") else paste("an object of class", class(cluster)[[1L]])
    ))
  }
  switch(cluster,
    future = future_engine(most, tasks),
    mirai = mirai_engine(most, tasks),
    own_cluster(cluster, min(if (is.null(most)) usual_cores() else most, tasks))
  )
}

# As many workers as there are processors beside the one we run on. R CMD check allows two.
usual_cores <- function() {
  cores <- max(parallel::detectCores() - 1L, 1L, na.rm = TRUE)
  limit <- tolower(Sys.getenv("_R_CHECK_LIMIT_CORES_"))
  if (limit %in% c("", "false")) cores else min(cores, 2L)
}

needs_package <- function(package) {
  if (requireNamespace(package, quietly = TRUE)) return(invisible())
  refuse(sprintf("CLUSTER = \"%s\" needs the package %s, which is not installed; install it, or use CLUSTER = \"psock\"", package, package))
}

# Answers that nobody wants: the references in them are taken up, or they would keep what they refer to for a while.
discard <- function(answers) {
  for (answer in answers) if (is.raw(answer$value)) tryCatch(unserialize(answer$value), error = function(e) NULL)
}

# Loads this package in a worker that may not have its library on the path, and says where the worker is. It is sent as it is, so
# it must be no function of this package.
hello <- eval(quote(function(libraries) {
  if (!requireNamespace("cowshed", quietly = TRUE)) {
    .libPaths(c(libraries, .libPaths()))
    loadNamespace("cowshed")
  }
  getNamespace("cowshed")$ready_to_work()
}), baseenv())

# Calls a function of this package there.
delegate <- eval(quote(function(call, ...) getNamespace("cowshed")[[call]](...)), baseenv())

ready_to_work <- function() {
  .Call(cs_send_at_once)
  list(pid = Sys.getpid(), place = where_am_i())
}

# The machine, and the processes that a pid can mean.
where_am_i <- function() {
  boot <- tryCatch(readLines("/proc/sys/kernel/random/boot_id", warn = FALSE), error = function(e) Sys.info()[["nodename"]], warning = function(w) "")
  paste(c(boot, Sys.readlink("/proc/self/ns/pid")), collapse = " ")
}
