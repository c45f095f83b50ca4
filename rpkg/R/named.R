#' Objects that other processes find by name
#'
#' `registerVariables()` puts objects into shared memory under names; any other process of the same user retrieves them by these names, as
#' views that cost no memory. Nothing has to be sent.
#'
#' @details
#' A *namespace* is a string that keeps the names of one piece of work apart from those of others. Names belong to one user and to one store, the
#' one that [share()] would use now.
#'
#' The process that registered a variable *owns* it. The name is there until it is released (`releaseVariables()`, by any process of the
#' user) or its owner ends, however that happens: then it can be registered again at once. A forked child owns none of its parent's variables.
#'
#' The memory is there for as long as the owner has the variable registered or anybody has a view of it. `retrieveViews()` keeps its views in this
#' process, so that retrieving a variable again gives the same object, until `releaseViews()`. Whatever you still use after that, or after
#' `releaseVariables()`, goes on being an ordinary R object with the old values; its memory goes when R collects it. If a variable was released and registered anew,
#' `retrieveViews()` gives the new one.
#'
#' Every type that R can serialize can be registered. Vectors at the top are shared however short they are, from length 1; what
#' [share()] does not share (a function, `NULL`, a formula, an external pointer) comes as it would be sent to a worker. So do environments: what others
#' retrieve is a copy of the environment, the vectors in it shared. Your own environments are left as they are. To register what is shared
#' already takes no memory.
#'
#' Views are private: an assignment to one copies what it changes, and nobody else sees it. With `copyOnWrite = FALSE` every process writes the same
#' memory, and sees at once what others write; workers that do must not write to the same elements.
#'
#' `memshare_gc()` drops the views that this process has of a namespace, then the variables it registered there; the same in the
#' workers of a cluster, which need not have attached the package. Then R collects, and the memory is gone.
#'
#' @param namespace One string.
#' @param variableList A list of the objects to be registered, with their names. Where names are missing, they become `L1`, `L2` and so on, with a warning.
#' @param copyOnWrite `FALSE`: whoever retrieves the variables writes them for all. Character vectors cannot be written so.
#' @param variableNames,variableName Names of variables: a character vector.
#' @param cluster A cluster of package \pkg{parallel}, or `NULL`.
#' @return
#' `registerVariables()`, `releaseViews()`, `releaseVariables()`, `memshare_gc()`: `NULL`, invisibly. Of several variables all are registered or
#' released, or none.
#'
#' `retrieveViews()`: a list of the objects, with their names.
#'
#' `retrieveMetadata()`: for one variable a list of its `type` and its size, as numbers: `list(type = "matrix", nrow, ncol)` for what has two
#' dimensions, `list(type = "list", n)` for a list (a data frame is one, of its columns), `list(type = "vector", n)` for any other vector; for
#' anything else R's [typeof()] and `n`, its length. For several variables, a list of these with their names. Nothing is opened for it.
#'
#' `pageList()`: the variables that this process registered and that are still registered, `viewList()`: those it has retrieved, each as a list of strings
#' `"namespace.name"`, the oldest first.
#' @section Errors: `cowshed_error_exists`: a living process has registered the name. `cowshed_error_gone`: there is no such variable, or, for
#'   `releaseViews()`, it was not retrieved here. `cowshed_error_full`: no room in the store. `cowshed_error_corrupt`, `cowshed_error_version`: the
#'   variable's data are damaged, or another version of cowshed wrote them. `cowshed_error_argument`: an argument is wrong.
#' @seealso [share()]; [allocateSharedMemory()] for bytes under a name.
#' @examples
#' ns <- paste0("example-", Sys.getpid())
#' registerVariables(ns, list(X = matrix(rnorm(1000), 100), y = c(a = 1, b = 2)))
#' retrieveMetadata(ns, c("X", "y"))
#' pageList()
#'
#' # here, or in any other process of this machine
#' views <- retrieveViews(ns, c("X", "y"))
#' mean(views$X[, 1])
#' views$y
#' viewList()
#' releaseViews(ns, c("X", "y"))
#' releaseVariables(ns, c("X", "y"))
#'
#' \donttest{
#' # workers write their results straight into one vector
#' registerVariables(ns, list(result = numeric(4)), copyOnWrite = FALSE)
#' cl <- parallel::makeCluster(2)
#' invisible(parallel::parLapply(cl, 1:4, function(i, ns) {
#'   result <- cowshed::retrieveViews(ns, "result")$result
#'   result[i] <- i^2
#'   NULL
#' }, ns))
#' retrieveViews(ns, "result")$result
#' memshare_gc(ns, cl)
#' parallel::stopCluster(cl)
#' }
#' @name registerVariables
NULL

#' @rdname registerVariables
#' @export
registerVariables <- function(namespace, variableList, copyOnWrite = TRUE) {
  namespace <- check_namespace(namespace)
  variables <- check_variables(variableList)
  copyOnWrite <- check_flag("copyOnWrite", copyOnWrite)
  forget_released()
  # Before anything is written.
  for (name in names(variables)) .Call(cs_check_free, namespace, name)
  made <- character()
  on.exit(for (name in made) withdraw(namespace, name))
  for (i in seq_along(variables)) {
    made <- names(variables)[seq_len(i)]
    register(namespace, made[[i]], .subset2(variables, i), copyOnWrite)
  }
  on.exit()
  invisible(NULL)
}

#' @rdname registerVariables
#' @export
retrieveViews <- function(namespace, variableNames) {
  namespace <- check_namespace(namespace)
  variableNames <- check_variable_names(variableNames)
  if (length(variableNames) == 0L) return(list())
  views <- lapply(variableNames, view_of, namespace = namespace)
  # None is remembered if one is missing.
  for (view in views) assign(view$key, view, envir = retrieved)
  stats::setNames(lapply(views, function(view) view$value), variableNames)
}

#' @rdname registerVariables
#' @export
releaseViews <- function(namespace, variableNames) {
  namespace <- check_namespace(namespace)
  variableNames <- unique(check_variable_names(variableNames))
  keys <- vapply(variableNames, key_of, "", namespace = namespace)
  for (name in variableNames[!keys %in% names(retrieved)]) {
    not_there(
      "View was not previously allocated: ", quoted(namespace, name), " was not retrieved in this process, or its view was released before; viewList() shows what was"
    )
  }
  rm(list = keys, envir = retrieved)
  invisible(NULL)
}

#' @rdname registerVariables
#' @export
releaseVariables <- function(namespace, variableNames) {
  namespace <- check_namespace(namespace)
  variableNames <- unique(check_variable_names(variableNames))
  unknown <- function(name) {
    not_there("Variable was not previously allocated: ", not_registered(namespace, name), "; pageList() shows what this process registered")
  }
  for (name in variableNames) if (!.Call(cs_has_card, namespace, name)) unknown(name)
  for (name in variableNames) {
    released <- .Call(cs_release, namespace, name, FALSE)
    drop_page(key_of(namespace, name))
    if (!released) unknown(name)
  }
  forget_released()
  invisible(NULL)
}

#' @rdname registerVariables
#' @export
retrieveMetadata <- function(namespace, variableName) {
  namespace <- check_namespace(namespace)
  variableName <- check_variable_names(variableName)
  about <- lapply(variableName, function(name) read_part(card_of(namespace, name)$about, namespace, name))
  if (length(about) == 1L) about[[1L]] else stats::setNames(about, variableName)
}

#' @rdname registerVariables
#' @export
pageList <- function() {
  forget_released(all = TRUE)
  listed(registered)
}

#' @rdname registerVariables
#' @export
viewList <- function() listed(retrieved)

#' @rdname registerVariables
#' @export
memshare_gc <- function(namespace, cluster = NULL) {
  namespace <- check_namespace(namespace)
  if (!is.null(cluster) && !inherits(cluster, "cluster")) {
    refuse(paste0("`cluster` must be a cluster of package 'parallel', as makeCluster() makes one, or NULL, not ", shown(cluster)))
  }
  for (drop in list(drop_views, drop_pages)) {
    drop(namespace)
    if (!is.null(cluster)) parallel::clusterCall(cluster, drop, namespace)
  }
  invisible(NULL)
}

drop_views <- function(namespace) {
  rm(list = names(Filter(function(entry) entry$namespace == namespace, here(retrieved))), envir = retrieved)
}

drop_pages <- function(namespace) {
  # By their names: no variable here may hold an object when R collects.
  own <- Filter(function(entry) entry$namespace == namespace, here(registered))
  own <- vapply(own, function(entry) entry$name, "", USE.NAMES = FALSE)
  for (name in own) withdraw(namespace, name)
  gc()
  .Call(cs_sweep)
  NULL
}

# What this process registered, and what it retrieved: a list for each variable, by a key that no other has. A forked child has its parent's tables; of
# the first it owns nothing.
#
# The value of a registered one is made of the bytes that its card has: so it holds the segments that they refer to, whatever happens to
# the object that was registered.
registered <- new.env(parent = emptyenv())
retrieved <- new.env(parent = emptyenv())

key_of <- function(namespace, name) .Call(cs_card_key, namespace, name)

entry_of <- function(namespace, name, ...) {
  counter$last <- counter$last + 1
  list(store = store_path(), namespace = namespace, name = name, number = counter$last, key = key_of(namespace, name), ...)
}

# `last`: a number for each entry, the oldest first. `calls`: how many entries could have been looked at since it was last done.
counter <- new.env(parent = emptyenv())
counter$last <- 0
counter$calls <- 0

# The entries of the store share() would use now, the oldest first.
here <- function(table) {
  entries <- as.list.environment(table, all.names = TRUE)
  store <- store_path()
  entries <- Filter(function(entry) entry$store == store, entries)
  entries[order(vapply(entries, function(entry) entry$number, 0))]
}

listed <- function(table) unname(lapply(here(table), function(entry) paste0(entry$namespace, ".", entry$name)))

register <- function(namespace, name, x, copyOnWrite) {
  about <- serialize(describe(x), NULL, xdr = FALSE)
  shared <- shared_for_all(x, copyOnWrite)
  bytes <- by_reference(shared)
  entry <- entry_of(namespace, name, value = read_part(bytes, namespace, name))
  # Held before anybody can find it.
  assign(entry$key, entry, envir = registered)
  .Call(cs_register, namespace, name, about, bytes)
}

# What is registered is shared whatever its length. share() works on environments in place: on copies, here.
shared_for_all <- function(x, copyOnWrite) {
  if (.Call(cs_holds_environments, x)) x <- unserialize(by_reference(x))
  shared <- share(x, copyOnWrite = copyOnWrite, mustWork = FALSE, minLength = if (is.atomic(x)) 1L)
  .Call(cs_settle, shared)
  shared
}

# With no grace: whoever is to find it holds it, or retrieves it from one who does.
by_reference <- function(x) {
  old <- options(cowshed.grace = 0, cowshed.serialize = "reference")
  on.exit(options(old))
  serialize(x, NULL, xdr = FALSE)
}

describe <- function(x) {
  if (is.list(x)) return(list(type = "list", n = size_for_all(length, x)))
  extent <- size_for_all(dim, x)
  if (length(extent) == 2L) return(list(type = "matrix", nrow = extent[[1L]], ncol = extent[[2L]]))
  list(type = if (is.atomic(x) && !is.null(x)) "vector" else typeof(x), n = size_for_all(length, x))
}

# A class may have a method for it that does not work, which is no reason not to register.
size_for_all <- function(f, x) as.numeric(tryCatch(f(x), error = function(e) NA))

withdraw <- function(namespace, name) {
  .Call(cs_release, namespace, name, TRUE)
  drop_page(key_of(namespace, name))
}

drop_page <- function(key) if (!is.null(registered[[key]])) rm(list = key, envir = registered)

# Lets go of what another process has released, and in a forked child of what is its parent's. Of many only now and then: a call looks at 8 of
# them, on average.
forget_released <- function(all = FALSE) {
  counter$calls <- counter$calls + 1
  if (!all && 8 * counter$calls < length(registered)) return(invisible(NULL))
  counter$calls <- 0
  for (entry in here(registered)) {
    if (!.Call(cs_owns, entry$namespace, entry$name)) drop_page(entry$key)
  }
}

card_of <- function(namespace, name) {
  card <- .Call(cs_card, namespace, name)
  if (is.null(card)) not_there("The requested variable was not registered! ", not_registered(namespace, name), "; register it (registerVariables())")
  card
}

# A view of a variable, as an entry of `retrieved`: the one that is there, if the name means the same still.
view_of <- function(name, namespace) {
  gone <- NULL
  repeat {
    card <- card_of(namespace, name)
    known <- retrieved[[key_of(namespace, name)]]
    if (identical(known$id, card$id)) return(known)
    # Once more the same: it was not released meanwhile, its memory was freed.
    if (identical(gone$id, card$id)) stop(gone$error)
    entry <- tryCatch(
      entry_of(namespace, name, id = card$id, value = read_part(card$value, namespace, name)),
      cowshed_error_gone = function(e) e
    )
    if (!inherits(entry, "cowshed_error_gone")) return(entry)
    gone <- list(id = card$id, error = entry)
  }
}

# What a part of a card serializes.
read_part <- function(bytes, namespace, name) {
  value <- tryCatch(unserialize(bytes), error = function(e) {
    if (inherits(e, "cowshed_error")) stop(e)
    named_error(
      "corrupt", "the data of ", quoted(namespace, name), " cannot be read (", conditionMessage(e), "); release the variable (releaseVariables()) and register it again"
    )
  })
  .Call(cs_check_views, value)
  value
}

quoted <- function(namespace, name) paste0("'", name, "' in the namespace '", namespace, "'")

not_registered <- function(namespace, name) {
  paste0(
    "There is no ", quoted(namespace, name), " in the store '", store_path(), "': it was never registered, it was released, or the process that registered it has ended"
  )
}

not_there <- function(...) named_error("gone", ...)

named_error <- function(word, ...) fail(word, paste0(...))

check_namespace <- function(namespace) {
  if (!is.character(namespace) || length(namespace) != 1L || is.na(namespace)) {
    refuse(paste0("`namespace` has to be a single string, not ", shown(namespace)))
  }
  if (!nzchar(namespace)) refuse("`namespace` is empty; it has to be a single string with at least one character")
  check_text(namespace, "namespace")
}

check_variable_names <- function(names) {
  argument <- deparse(substitute(names))
  if (!is.character(names) || anyNA(names)) {
    refuse(sprintf("`%s` must be a character vector of names, not %s", argument, if (is.character(names)) "NA" else shown(names)))
  }
  check_text(as.vector(names), argument)
}

check_text <- function(x, argument) {
  text <- enc2utf8(x)
  if (!all(validUTF8(text))) refuse(sprintf("`%s` must be text; it has bytes that are none in its encoding", argument))
  text
}

# The list, each element of which has a name of its own.
check_variables <- function(variableList) {
  if (!is.list(variableList)) {
    refuse(paste0("`variableList` must be a list of objects with their names, not ", shown(variableList), "; wrap it: list(x = x)"))
  }
  variables <- unclass(variableList)
  if (length(variables) == 0L) refuse("`variableList` is empty; give at least one object: list(x = x)")
  given <- names(variables)
  if (is.null(given)) given <- rep("", length(variables))
  unnamed <- is.na(given) | !nzchar(given)
  if (any(unnamed)) {
    new <- setdiff(paste0("L", seq_along(given)), given[!unnamed])[seq_len(sum(unnamed))]
    given[unnamed] <- new
    message <- if (all(unnamed)) {
      "variableList is not named, setting names to L1 to LN."
    } else {
      paste0("some elements of variableList are not named, setting their names to ", paste(new, collapse = ", "), ".")
    }
    warning(warningCondition(message, class = c("cowshed_warning_names", "cowshed_warning")))
  }
  given <- check_text(given, "variableList")
  twice <- unique(given[duplicated(given)])
  if (length(twice) > 0L) {
    refuse(paste0("`variableList` has several objects of one name (", paste0("'", twice, "'", collapse = ", "), "); give each a name of its own"))
  }
  stats::setNames(variables, given)
}

shown <- function(x) {
  if (is.atomic(x) && length(x) == 1L && is.na(x)) return("NA")
  paste0("an object of class <", paste(class(x), collapse = ", "), "> and length ", length(x))
}
