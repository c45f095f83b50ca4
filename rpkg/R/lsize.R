#' Sizes of objects, without reading those that are cached
#'
#' Like [ls()], but gives sizes. All objects count, those too whose names begin with a dot.
#'
#' @param envir An environment, or a position or name on the search path.
#' @return A named numeric vector, by increasing size (whatever the sign): bytes of memory, as [object.size()] says; for a cached object ([mlazy()]), *minus* the
#'   bytes of its file, which is not read. It has the class `lsize`, for printing with units; [unclass()] takes that away.
#' @seealso [mlazy()], [mcachees()]
#' @examples
#' e <- new.env()
#' attr(e, "path") <- tempfile("cache")
#' e$small <- 1:3
#' e$large <- rnorm(1e4)
#' mtidy(large, envir = e)
#' lsize(e)
#' sum(abs(lsize(e)))
#' unlink(attr(e, "path"), recursive = TRUE)
#' @export
lsize <- function(envir = .GlobalEnv) {
  env <- environment_of(envir)
  cells <- cells_of(env)
  files <- file_sizes(cells)
  unwritten <- vapply(cells, function(cell) cell$number == 0, NA)
  names <- setdiff(ls(env, all.names = TRUE), names(cells)[!unwritten])
  sizes <- vapply(stats::setNames(names, names), size_in_memory, 0, env = env)
  files <- files[!as.logical(unwritten)]
  all <- c(sizes, files)
  signed <- c(sizes, -files)
  # Also of none.
  structure(signed[order(all)], names = as.character(names(signed))[order(all)], class = "lsize")
}

size_in_memory <- function(name, env) {
  tryCatch(as.numeric(utils::object.size(env[[name]])), error = function(e) as.numeric(utils::object.size(quote(x))))
}

# Bytes of the files of cells, NA where there is none.
file_sizes <- function(cells) {
  if (length(cells) == 0L) return(numeric())
  files <- vapply(cells, function(cell) cell$file, "")
  sizes <- file.size(files)
  for (i in which(is.na(sizes) & numbers_of(cells) > 0)) {
    sizes[i] <- tryCatch(file.size(file_of(cells[[i]])), cowshed_error_gone = function(e) NA_real_)
  }
  stats::setNames(sizes, names(cells))
}

#' @export
print.lsize <- function(x, ...) {
  if (length(x) == 0L) {
    cat("no objects\n")
    return(invisible(x))
  }
  bytes <- unclass(x)
  names <- names(bytes)
  if (is.null(names)) names <- rep("", length(bytes))
  cat(paste0(format(names), "  ", format(in_units(abs(bytes)), justify = "right"), ifelse(is.na(bytes) | bytes < 0, "  cached", "")), sep = "\n")
  invisible(x)
}

#' @export
`[.lsize` <- function(x, ...) structure(NextMethod(), class = "lsize")

#' @export
Ops.lsize <- function(e1, e2) {
  if (inherits(e1, "lsize")) e1 <- unclass(e1)
  if (!missing(e2) && inherits(e2, "lsize")) e2 <- unclass(e2)
  if (missing(e2)) get(.Generic)(e1) else get(.Generic)(e1, e2)
}

# Bytes, as people read them.
in_units <- function(bytes) {
  bytes <- as.numeric(bytes)
  step <- ifelse(is.na(bytes) | bytes < 1024, 0, pmin(4, floor(log(pmax(bytes, 1), 1024))))
  value <- bytes / 1024^step
  ifelse(is.na(bytes), "?", paste(ifelse(step == 0, format(round(value), trim = TRUE), sprintf("%.1f", value)), c("B", "KB", "MB", "GB", "TB")[step + 1]))
}
