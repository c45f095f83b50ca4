#' A text file that tells which object is in which file
#'
#' With `options(mlazy.index = TRUE)`, every function that changes what is cached keeps the file up to date by itself. This function writes it when called with
#' `mlazy.index = TRUE`, for a directory that has none.
#'
#' @param mcache What is cached: a named vector of numbers, whose signs do not count.
#' @param objpath The files' name up to the number; `.ind` is put behind it.
#' @param mlazy.index `FALSE`: nothing is done.
#' @param env A cache.
#' @return `NULL`, invisibly. The file has a line for each object: its name, a tab, the number of its file.
#' @section Errors: `cowshed_error_store`: the file cannot be written. `cowshed_error_argument`: an argument is wrong.
#' @seealso [mlazy()]
#' @examples
#' e <- new.env()
#' attr(e, "path") <- tempfile("cache")
#' e$x <- 1
#' mlazy(x, envir = e)
#' mupdate.mcache.index.if.opt(mlazy.index = TRUE, env = e)
#' readLines(file.path(attr(e, "path"), "mlazy", "obj.ind"))
#' unlink(attr(e, "path"), recursive = TRUE)
#' @export
mupdate.mcache.index.if.opt <- function(mcache = attr(env, "mcache"), objpath = sub("1[.]rda$", "", object_path(path_of(env), 1)),
                                        mlazy.index = getOption("mlazy.index", FALSE), env = .GlobalEnv) {
  env <- environment_of(env)
  if (is.null(mcache) || !check_flag("mlazy.index", mlazy.index)) return(invisible(NULL))
  if (!is.numeric(mcache)) refuse("`mcache` must be numbers with names, as attr(env, \"mcache\") is")
  if (!is_path(objpath)) refuse("`objpath` must be one string")
  write_index(names(mcache), abs(as.numeric(mcache)), paste0(absolute_path(objpath), ".ind"))
}

# By rename: whoever reads it finds it whole.
write_index <- function(names, numbers, file) {
  # A line is an object, whatever its name.
  names <- gsub("\n", "\\n", gsub("\t", "\\t", names, fixed = TRUE), fixed = TRUE)
  text <- if (length(numbers) > 0L) paste0(names, "\t", digits(numbers))
  new <- paste0(file, ".", Sys.getpid())
  on.exit(unlink(new))
  written <- tryCatch(
    {
      writeLines(enc2utf8(as.character(text)), new, useBytes = TRUE)
      file.size(new) == sum(nchar(enc2utf8(as.character(text)), "bytes") + 1) && file.rename(new, file)
    },
    error = function(e) FALSE, warning = function(w) FALSE
  )
  if (!written) fail("store", paste0("the index '", file, "' cannot be written; make room there, see that its directory is there, or set options(mlazy.index = FALSE)"))
  invisible(NULL)
}
