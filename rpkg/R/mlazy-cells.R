# What stands behind a cached object: an active binding, whose function has a *cell*.
#
# - A cell is an environment with fixed names in it: whatever the object is called, nothing clashes.
# - `loaded`: whether `value` is the object. If not, it is in the file with `number` in `dir` (`file`, when it was last seen).
# - `number` 0: it has never been written. Whether it has changed since, the sign of its entry in attr(home, "mcache") says.
# - `unseen`: whether it may change without an assignment; NA until that is looked at.
# - attr(env, "cowshed.cache") is the environment's own record: its cells, and the stamp of the image that it knows.

binding_of <- function(cell) {
  force(cell)
  function(value) {
    if (!missing(value)) return(store(cell, value))
    fetch_if_needed(cell)
    .subset2(cell, "value")
  }
}

new_cell <- function(name, home, dir, number = 0, file = "", format = "rda") {
  cell <- new.env(hash = FALSE, parent = emptyenv())
  cell$name <- name
  cell$home <- home
  cell$dir <- dir
  cell$number <- number
  cell$file <- file
  cell$format <- format
  cell$loaded <- FALSE
  cell$unseen <- NA
  cell
}

set_value <- function(cell, value) {
  assign("value", value, envir = cell)
  cell$loaded <- TRUE
  cell$unseen <- NA
}

drop_value <- function(cell) {
  cell$loaded <- FALSE
  rm("value", envir = cell)
}

# The object, also when it is not to stay in memory.
value_of <- function(cell) if (cell$loaded) .subset2(cell, "value") else read_object(file_of(cell), cell$name)

fetch <- function(cell) set_value(cell, read_object(file_of(cell), cell$name))

# Where its file is now.
file_of <- function(cell) {
  if (!file.exists(cell$file)) {
    found <- if (cell$number > 0) .Call(cs_cache_locate, cell$dir, subdir(), digits(cell$number)) else ""
    if (!nzchar(found)) {
      lost <- if (nzchar(cell$file)) cell$file else object_path(cell$dir, cell$number)
      fail("gone", paste0(
        "the cached object '", cell$name, "' cannot be read: its file '", lost,
        "' is gone; put the file back and use the object again, or remove the object (rm())"
      ))
    }
    cell$file <- found
    cell$format <- format_of(found)
  }
  cell$file
}

store <- function(cell, value) {
  info <- info_of(value)
  # It is marked first: after an interrupt, too much is written and not too little.
  mark_changed(cell, info)
  set_value(cell, value)
}

mark_changed <- function(cell, info = NULL) {
  home <- cell$home
  mcache <- attr(home, "mcache")
  i <- match(cell$name, names(mcache))
  if (is.na(i)) {
    set_entries(home, cell$name, unused(mcache))
    return(mark_changed(cell, info))
  }
  # As in a loop that assigns again and again.
  if (mcache[[i]] < 0 && (is.null(info) || identical(attr(mcache, "info")[[cell$name]], info))) return(invisible(NULL))
  mcache[i] <- -abs(mcache[i])
  if (!is.null(info)) attr(mcache, "info")[[cell$name]] <- info
  attr(home, "mcache") <- mcache
}

# A number for what has no file yet.
unused <- function(mcache, n = 1L) max(0, abs(as.numeric(mcache)), na.rm = TRUE) + seq_len(n)

info_of <- function(x) {
  of <- function(f) tryCatch(f(x), error = function(e) NULL)
  list(mode = of(mode), class = of(class), dim = of(dim), length = of(length), object.size = of(utils::object.size))
}

may_change_unseen <- function(cell) {
  if (!cell$loaded) return(FALSE)
  if (is.na(cell$unseen)) cell$unseen <- .Call(cs_may_change_unseen, .subset2(cell, "value"))
  cell$unseen
}

# The record of an environment; made when there is none, or one that came with a copy.
record_of <- function(env) {
  record <- attr(env, "cowshed.cache")
  if (is.environment(record) && identical(record$home, env)) return(record)
  record <- new.env(hash = FALSE, parent = emptyenv())
  record$home <- env
  record$cells <- new.env(parent = emptyenv())
  record$known <- list()
  record$replaced <- list()
  record$later <- list()
  for (name in names(attr(env, "mcache"))) {
    cell <- cell_at(name, env)
    if (!is.null(cell)) assign(name, cell, envir = record$cells)
  }
  if (is_path(attr(env, "path"))) {
    image <- file.path(path_of(env), ".RData")
    record$known[[image]] <- if (identical(env, .GlobalEnv)) at_start$known[[image]]
    if (is.null(record$known[[image]])) record$known[[image]] <- .Call(cs_cache_stamp, image)
  }
  reg.finalizer(record, forget_record)
  attr(env, "cowshed.cache") <- record
  record
}

forget_record <- function(record) let_go(c(as.list.environment(record$cells, all.names = TRUE), record$replaced))

# Their numbers need not be kept for this session any more.
let_go <- function(cells) {
  for (at in split(cells, vapply(cells, function(cell) cell$dir, ""))) {
    numbers <- numbers_of(at)
    .Call(cs_cache_let_go, at[[1L]]$dir, digits(numbers[numbers > 0]))
  }
}

# The cell of an object that is cached; NULL of any other.
cell_at <- function(name, env) {
  symbol <- as.name(name)
  if (!exists(name, envir = env, inherits = FALSE) || !bindingIsActive(symbol, env)) return(NULL)
  binding <- environment(activeBindingFunction(symbol, env))
  cell <- if (is.environment(binding)) get0("cell", envir = binding, inherits = FALSE)
  if (is.environment(cell) && identical(cell$name, name) && identical(cell$home, env)) cell
}

# All that are cached in an environment, or those among `names`, with their names, in the order of attr(env, "mcache").
cells_of <- function(env, names = NULL) {
  all <- names(attr(env, "mcache"))
  if (length(all) == 0L) return(list())
  cached <- if (is.null(names)) unique(all) else all[sort(match(unique(names), all))]
  cells <- lapply(stats::setNames(cached, cached), cell_at, env = env)
  cells[lengths(cells) > 0L]
}

numbers_of <- function(cells) vapply(cells, function(cell) cell$number, 0)

is_changed <- function(cells, env) {
  mcache <- attr(env, "mcache")
  vapply(cells, function(cell) cell$number == 0 || !isTRUE(mcache[[cell$name]] > 0), NA)
}

# Puts stubs in place of whatever has their names. It is all or nothing for each, and what was locked is so again.
install_cells <- function(cells, env) {
  record <- record_of(env)
  for (cell in cells) {
    symbol <- as.name(cell$name)
    locked <- exists(cell$name, envir = env, inherits = FALSE) && bindingIsLocked(symbol, env)
    suspendInterrupts({
      if (exists(cell$name, envir = env, inherits = FALSE)) rm(list = cell$name, envir = env)
      makeActiveBinding(symbol, binding_of(cell), env)
      record$replaced <- c(record$replaced, record$cells[[cell$name]])
      assign(cell$name, cell, envir = record$cells)
    })
    if (locked) lockBinding(symbol, env)
  }
}

# Sets entries of attr(env, "mcache"); `about` is a list of what info_of() gives, or NULL for what is there.
set_entries <- function(env, names, numbers, about = NULL) {
  mcache <- attr(env, "mcache")
  info <- as.list(attr(mcache, "info"))
  values <- entries_of(mcache)
  values[names] <- numbers
  if (!is.null(about)) info[names] <- about
  set_mcache(env, values, info)
}

# Nothing but these stays in attr(env, "mcache").
keep_entries <- function(env, names) {
  mcache <- attr(env, "mcache")
  if (is.null(mcache)) return(invisible(NULL))
  values <- entries_of(mcache)
  set_mcache(env, values[names], as.list(attr(mcache, "info"))[names])
}

# Numbers with names, and no other attributes: as.numeric() would copy those first, deeply.
entries_of <- function(mcache) if (is.null(mcache)) numeric() else .subset(mcache, seq_along(mcache))

set_mcache <- function(env, values, info) {
  mcache <- values
  attr(mcache, "info") <- info[intersect(names(values), names(info))]
  attr(env, "mcache") <- mcache
}

digits <- function(numbers) sprintf("%.0f", numbers)

subdir <- function() !isFALSE(getOption("mlazy.subdir", TRUE))

object_path <- function(dir, number, format = "rda") {
  file.path(if (subdir()) file.path(dir, "mlazy") else dir, paste0("obj", digits(number), ".", kind_of(format)))
}

# The directory that an environment has its cache in.
path_of <- function(env, remedy = "attr(envir, \"path\") <- \"<directory>\"") {
  path <- attr(env, "path")
  if (!is_path(path)) {
    refuse(paste0("the environment has no path attribute: it is no cache as attach.mlazy() makes one; give it a directory with ", remedy))
  }
  if (!is_absolute(path)) attr(env, "path") <- path <- absolute_path(path)
  absolute_path(as.vector(path))
}

is_path <- function(path) is.character(path) && length(path) == 1L && !is.na(path) && nzchar(path)

is_absolute <- function(path) grepl("^(/|[A-Za-z]:)", path)

absolute_path <- function(path, base = getwd()) {
  path <- path.expand(path)
  if (!is_absolute(path)) path <- file.path(base, path)
  if (nchar(path) > 1L) sub("/+$", "", path) else path
}

environment_of <- function(envir) {
  if (is.environment(envir)) return(envir)
  if ((is.numeric(envir) || is.character(envir)) && length(envir) == 1L && !is.na(envir)) {
    found <- tryCatch(as.environment(envir), error = function(e) NULL)
    if (!is.null(found)) return(found)
  }
  refuse("`envir` must be an environment, or a position or name on the search path")
}
