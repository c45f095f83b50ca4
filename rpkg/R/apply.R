#' Apply a function to rows, columns or elements, in parallel and without copies
#'
#' `memApply()` calls a function for each row or column of a matrix, `memLapply()` for each element of a list, as [apply()] and [lapply()] do, in several R
#' processes that all read the same memory. What is large is shared; small things are sent along.
#'
#' @section Workers: Without `CLUSTER`, workers are started when they are first needed, kept for later calls, and stopped at the end of the session
#'   or by [memStopCluster()]: as many as there are processors, less one. `CLUSTER` is one of
#'
#'   | `CLUSTER` | |
#'   |---|---|
#'   | a cluster of \pkg{parallel} | of type PSOCK or FORK; its workers need cowshed installed, not attached |
#'   | `"psock"`, `"fork"` | workers of our own: fresh R processes (the default), or forks of this one, which know its packages and variables as they were at the first call |
#'   | `"future"` | the [future::plan()] that is in force |
#'   | `"mirai"` | the daemons that `mirai::daemons()` set |
#'
#'   `options(cowshed.cluster = )` is used where `CLUSTER` is not given. Workers on other machines cannot read this machine's memory: the
#'   call ends with an error of class `cowshed_error_machine`.
#'
#'   `FUN` is sent with the variables of the functions that it was made in (which are shared where they are, see [share()]). Variables and functions of the workspace
#'   that it names are sent along, with what these functions name and all S3 methods of the workspace, and attached packages that it uses are attached there. So it is
#'   for functions in `VARS`, and for those that `FUN` captured. What is only named in a string, as for [get()] and [do.call()], is not found.
#'   Workers of our own work in the directory in which this process is, and look for packages where it does. None of this is so with a cluster that was passed
#'   in, whose workers have what [parallel::clusterExport()] and [parallel::clusterEvalQ()] gave them.
#'
#'   What `FUN` assigns outside itself (`<<-`, [options()], the members of an environment) stays in the worker, apart from shared objects with
#'   `copyOnWrite = FALSE`, which everybody sees.
#'
#' @section Errors in `FUN`: The call ends with an error of class `cowshed_error_task`, which names the first row, column or element that failed, with the calls
#'   that led there in the worker. Its fields are `index`, `name`, `parent` (the condition that `FUN` gave) and `calls`. With `errors = "collect"` all others
#'   are computed; those that failed have that error as their value, and a warning (`cowshed_warning_task`) says how many they are. Warnings of `FUN` are given
#'   here, 50 of each piece at most, and errors if `FUN` has set `options(warn = 2)`; what it prints is not seen.
#'
#'   A worker that dies is replaced (one of a cluster that was passed in: its work is done by the others), and its work done again, without the
#'   element it died at if another dies there, too: that is a failure like others, whose `parent` is of class `cowshed_error_worker`. An interrupt stops the
#'   workers.
#'
#' @section Random numbers: With `seed = TRUE` each element has a stream of its own, drawn from the session's generator: after the same
#'   `set.seed()` the result is the same, however many workers there are. The session's generator moves on only if `FUN` used random numbers. A number for
#'   `seed` does the same without the session's generator; with `FALSE` the workers use their own. The generator of the streams is L'Ecuyer's: after
#'   `set.seed()` within `FUN` numbers are other than the session's, unless `FUN` sets the kind too or `seed` is `FALSE`.
#'
#' @section Large results: A value of 2,048 elements or more comes back as a shared object, which lives on when its worker ends. With `out`, values are
#'   written in place instead.
#'
#' @section Names: A variable that was registered with [registerVariables()] can be given by its name, as a string: `X` and `VARS`, together
#'   with `NAMESPACE`. What is given as an object is private to the call whatever `NAMESPACE` says: two sessions with the same script do not meet.
#'
#' @param X `memApply()`: a matrix of any type, also a sparse one or one of another class with two dimensions, or a data frame. `memLapply()`: a list or
#'   another vector. Or the name of a registered variable: strings as elements are given as `as.list(X)`. A data frame's columns are taken as they are if they are all of one plain type, otherwise
#'   as `as.matrix()` makes them.
#' @param MARGIN 1 for rows, 2 for columns.
#' @param FUN A function, or its name. Its first argument is the row, column or element, as [apply()] and [lapply()] give it, names included.
#' @param NAMESPACE A string: where variables given by name are registered.
#' @param CLUSTER Where to compute, see below.
#' @param VARS A list of further arguments of `FUN`, by their names; or the names of registered variables, which are those of the arguments too.
#' @param MAX.CORES The greatest number of workers.
#' @param out A vector shared with `copyOnWrite = FALSE` (see [share()] and [SharedObject()]), into which the workers write: the value for element `i` to
#'   `out[[i]]`, or to the column `out[, i]` of a matrix.
#' @param simplify `TRUE`: the result is made a vector or matrix if that can be done, as by [sapply()].
#' @param errors `"stop"` at the first error in `FUN`, or `"collect"` them.
#' @param seed `TRUE`, a number, or `FALSE`: see below.
#' @param chunk Elements that a worker gets at a time; `NULL` for many at first and fewer towards the end.
#' @return A list with a value for each row, column or element, in order, and with their names; with `out`, that, invisibly.
#' @section Errors: `cowshed_error_task` and `cowshed_error_worker` as said above; `cowshed_error_argument` if an argument is wrong, `cowshed_error_gone` if
#'   a name was not registered, `cowshed_error_full` if the store has no room for `X`. After each of them the store is as before. (What workers still have of a few megabytes
#'   that were shared for the call goes with R's next collection there.)
#' @seealso [registerVariables()], [share()]
#' @examples
#' X <- matrix(rnorm(1e4), 100, dimnames = list(NULL, paste0("g", 1:100)))
#' y <- rnorm(100)
#' r <- memApply(X, 2, function(v, y) cor(v, y), VARS = list(y = y), MAX.CORES = 2)
#' str(r[1:3])
#'
#' memLapply(list(a = 1:3, b = 4:6), sum, MAX.CORES = 2)
#'
#' # results written in place
#' out <- SharedObject("numeric", 100, copyOnWrite = FALSE)
#' memApply(X, 2, mean, out = out, MAX.CORES = 2)
#' all.equal(out[1:100], unname(colMeans(X)))
#'
#' # all that can be computed
#' memLapply(list(1, "a"), function(x) x + 1, errors = "collect", MAX.CORES = 2) |> try()
#' memStopCluster()
#' @export
memApply <- function(X, MARGIN, FUN, NAMESPACE = NULL, CLUSTER = NULL, VARS = NULL, MAX.CORES = NULL, out = NULL, simplify = FALSE,
                     errors = c("stop", "collect"), seed = TRUE, chunk = NULL) {
  if (!is.numeric(MARGIN) || length(MARGIN) != 1L || !MARGIN %in% 1:2) refuse("MARGIN has to be either 1 (row-wise) or 2 (column-wise)!")
  wish <- wish_of(match.fun(FUN), VARS, NAMESPACE, MAX.CORES, out, simplify, errors, seed, chunk)
  X <- given_or_named(X, "X", NAMESPACE)
  if (length(dim(X)) != 2L) refuse(unknown_input("X", "a matrix or a data frame", X))
  names <- dimnames(X)[[MARGIN]]
  if (is.data.frame(X) && (MARGIN == 1L || !is_uniform(X))) {
    X <- as.matrix(X)
    names <- dimnames(X)[[MARGIN]]
  }
  values <- apply_in(CLUSTER, wish, dim(X)[[MARGIN]], names, c("row", "column")[[MARGIN]], X = X, margin = as.integer(MARGIN))
  if (is.null(out)) values else invisible(values)
}

#' @rdname memApply
#' @export
memLapply <- function(X, FUN, NAMESPACE = NULL, CLUSTER = NULL, VARS = NULL, MAX.CORES = NULL, out = NULL, simplify = FALSE,
                      errors = c("stop", "collect"), seed = TRUE, chunk = NULL) {
  wish <- wish_of(match.fun(FUN), VARS, NAMESPACE, MAX.CORES, out, simplify, errors, seed, chunk)
  X <- given_or_named(X, "X", NAMESPACE)
  if (!is.vector(X) || is.object(X)) X <- as.list(X)
  values <- apply_in(CLUSTER, wish, length(X), names(X), "element", items = X)
  if (is.null(out)) values else invisible(values)
}

# The arguments that both have, checked.
wish_of <- function(f, vars, namespace, most, out, simplify, errors, seed, chunk) {
  list(
    FUN = f, VARS = vars_of(vars, namespace), out = check_out(out), simplify = check_flag("simplify", simplify),
    errors = match.arg(errors, c("stop", "collect")), seed = check_seed(seed), most = check_some("MAX.CORES", most), chunk = check_some("chunk", chunk)
  )
}

vars_of <- function(vars, namespace) {
  if (is.null(vars)) return(list())
  if (is.character(vars)) {
    need_namespace("VARS", namespace)
    return(stats::setNames(lapply(vars, function(name) variable(namespace, name)), vars))
  }
  named <- !is.null(names(vars)) && !anyNA(names(vars)) && all(names(vars) != "")
  if (!is.list(vars) || length(vars) > 0L && !named) refuse(unknown_input("VARS", "a named list, or names of registered variables", vars))
  if (anyDuplicated(names(vars))) refuse(sprintf("`VARS` has more than one `%s`", names(vars)[duplicated(names(vars))][[1L]]))
  vars <- unclass(vars)
  attributes(vars) <- list(names = names(vars))
  vars
}

given_or_named <- function(x, argument, namespace) {
  if (!is.character(x) || !is.null(dim(x))) return(x)
  if (length(x) != 1L) refuse(sprintf("`%s` has to be a single string when it is given by name; if the strings are the elements, give as.list(%s)", argument, argument))
  need_namespace(argument, namespace)
  variable(namespace, x)
}

# A registered variable; viewList() does not show it.
variable <- function(namespace, name) view_of(name, check_namespace(namespace))$value

need_namespace <- function(argument, namespace) {
  if (is.null(namespace)) refuse(sprintf("When giving `%s` by name the namespace field has to be set explicitly!%s", argument, if (argument == "X") " If the string is the element, give as.list(X)" else ""))
}

unknown_input <- function(argument, wanted, x) {
  sprintf("Unknown input format for parameter \"%s\"! It must be %s, not an object of class %s", argument, wanted, class(x)[[1L]])
}

check_out <- function(out) {
  if (is.null(out) || is.atomic(out) && identical(getCopyOnWrite(out), FALSE)) return(out)
  refuse("`out` must be a shared vector or matrix that can be written: share(x, copyOnWrite = FALSE), or SharedObject(..., copyOnWrite = FALSE)")
}

check_seed <- function(seed) {
  if (isTRUE(seed) || isFALSE(seed) || is.numeric(seed) && length(seed) == 1L && isTRUE(abs(seed) <= .Machine$integer.max)) return(seed)
  refuse("`seed` must be TRUE, FALSE or one whole number")
}

check_some <- function(name, value) {
  if (is.null(value)) return(NULL)
  value <- check_count(name, value)
  if (value < 1) refuse(sprintf("`%s` must be at least 1", name))
  value
}

# Whether all columns are plain vectors of one type: then they are what as.matrix() would make of them. Raw ones become strings there.
is_uniform <- function(x) {
  types <- vapply(x, function(column) if (is.object(column) || !is.null(dim(column))) "" else typeof(column), "")
  length(unique(types)) <= 1L && all(types %in% setdiff(ranks, "raw"))
}

apply_in <- function(cluster, wish, n, names, what, X = NULL, margin = NULL, items = NULL) {
  call <- sys.call(-1L)
  check_room(wish$out, n, what)
  if (n == 0) return(finished(wish, list(), names))
  if (is.null(cluster)) cluster <- getOption("cowshed.cluster", "psock")
  engine <- engine_for(cluster, wish$most, n)
  before <- current_seed()
  # Workers of a cluster that was passed in have what its owner gave them.
  functions <- c(list(wish$FUN), functions_in(wish$VARS))
  globals <- if (inherits(cluster, "cluster")) keep_promises(functions) else globals_of(functions)
  shared <- share_all(wish$FUN, wish$VARS, X, items, globals$values)
  size <- shared$size
  on.exit({
    shared <- job <- NULL
    # What was shared is given back now, and not when R happens to collect; where it is little, what a quick collection finds.
    if (size > 0) gc(full = size >= 2^22)
    part(engine)
  })
  job <- list(
    FUN = shared$FUN, VARS = shared$VARS, X = shared$X, margin = margin, out = wish$out, size = size,
    stops = wish$errors == "stop", root = root_stream(wish$seed),
    packages = packages_of(X), globals = list(values = shared$globals, packages = globals$packages),
    options = options()[c("cowshed.store", "cowshed.maxStore", "cowshed.grace")],
    holds = inherits(engine, "cowshed_sockets"), here = if (is_ours(engine)) list(directory = getwd(), libraries = .libPaths())
  )
  done <- deal(engine, job, n, shared$items, wish$chunk, progress_for(n, paste0(what, "s")))
  if (!done$drawn) set_seed(before)
  for (w in done$warnings) warning(w$condition)
  values <- settle_failures(done, what, names, call, wish$errors)
  finished(wish, values, names)
}

check_room <- function(out, n, what) {
  if (is.null(out)) return()
  room <- if (length(dim(out)) == 2L) ncol(out) else length(out)
  if (room != n) refuse(sprintf("`out` has room for %.0f values, and there are %.0f %ss", room, n, what))
}

finished <- function(wish, values, names) {
  if (!is.null(wish$out)) return(wish$out)
  names(values) <- names
  if (wish$simplify && length(values) > 0L) simplify2array(values, higher = FALSE) else values
}

# Errors as R errors, each naming its element.
settle_failures <- function(done, what, names, call, errors) {
  if (length(done$failures) == 0L) return(done$values)
  at <- vapply(done$failures, `[[`, 0, "index")
  failures <- lapply(done$failures[order(at)], task_error, what, names, call)
  if (errors == "stop") stop(failures[[1L]])
  values <- done$values
  for (failure in failures) values[[failure$index]] <- failure
  warning(warningCondition(
    sprintf("%d of %d %ss failed; each has its error as its value: %s", length(at), length(values), what, toString(sort(at), width = 60L)),
    class = c("cowshed_warning_task", "cowshed_warning"), call = call
  ))
  values
}

task_error <- function(failure, what, names, call) {
  name <- if (!is.null(names)) names[[failure$index]]
  message <- sprintf("%s %.0f%s: %s", what, failure$index, if (is.null(name)) "" else paste0(" (\"", name, "\")"), said_by(failure$condition))
  if (length(failure$calls) > 0L) {
    message <- paste0(message, "\n  calls in the worker:\n", paste0("  ", format(paste0(seq_along(failure$calls), ":")), " ", failure$calls, collapse = "\n"))
  }
  errorCondition(
    message, class = c("cowshed_error_task", "cowshed_error"), call = call[1L],
    index = failure$index, name = name, parent = failure$condition, calls = failure$calls
  )
}

# What travels, its large parts in shared memory, and about how many bytes these have in all.
share_all <- function(f, vars, x, items, globals) {
  if (!is.primitive(f) && !is.null(attr(f, "srcref"))) f <- utils::removeSource(f)
  # What a function captured may be what it is applied to: then it is shared once.
  all <- c(list(FUN = f, X = x), vars)
  all <- if (has_own_environment(f)) share_now(all) else share_large(all)
  if (is.list(items)) items <- share_large(items)
  globals <- share_large(globals)
  size <- 8 * sum(vapply(list(all[-1L], if (is.list(items)) items, globals), large_elements, 0))
  list(globals = globals, FUN = all$FUN, X = all$X, VARS = all[-(1:2)], items = items, size = size)
}

# Whether it was made in a call of another function.
has_own_environment <- function(f) {
  e <- environment(f)
  !is.null(e) && !identical(e, globalenv()) && !isNamespace(e) && !identical(e, baseenv()) && !identical(e, emptyenv())
}

packages_of <- function(x) setdiff(attr(class(x), "package"), c(".GlobalEnv", "methods"))
