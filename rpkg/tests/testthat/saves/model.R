# What a cache may hold after somebody who saved it was killed.
#
# - A *state* says which objects there are, and of which generation each is: a named integer vector, sorted by name.
# - The value of an object is made from its name and generation, so that one that is torn, or another's, is found out.

sizes <- c(3L, 200L, 3000L, 30000L)
object_names <- sprintf("o%02d", 1:24)

value_of <- function(name, generation) {
  key <- sum(utf8ToInt(name))
  numbers <- as.double((seq_len(sizes[[1L + key %% 4L]]) * (generation %% 7919L + key)) %% 99991L)
  value <- switch(1L + key %% 3L, numbers, list(name = name, numbers), data.frame(n = numbers))
  structure(value, generation = generation)
}

generation_of <- function(name, value) {
  generation <- attr(value, "generation")
  if (is.null(generation)) stop(name, " is not one of ours: ", paste(utils::head(deparse(value), 2), collapse = " "))
  if (!identical(value, value_of(name, generation))) stop(name, " is not what it was in generation ", generation)
  generation
}

as_state <- function(generations) {
  if (length(generations) == 0L) return(structure(integer(), names = character()))
  generations <- vapply(generations, as.integer, 1L)
  generations[order(names(generations))]
}

# By reading all of it.
state_of <- function(e) as_state(sapply(ls(e, all.names = TRUE), function(name) generation_of(name, e[[name]]), simplify = FALSE))

describe <- function(state) if (length(state) == 0L) "nothing" else paste(names(state), state, sep = ":", collapse = " ")

open_cache <- function(dir) {
  e <- new.env()
  attr(e, "path") <- dir
  cowshed::load.refdb(envir = e)
  e
}

# What is left in a cache that nobody else has open, after a Save: of the files of objects only those that `.RData` refers to, and nothing half made.
leftovers <- function(dir, e) {
  files <- list.files(file.path(dir, "mlazy"), all.files = TRUE, no.. = TRUE)
  needed <- paste0("obj", abs(as.numeric(attr(e, "mcache"))))
  objects <- grep("^obj[0-9-]+[.](rda|seg)$", files, value = TRUE)
  c(
    objects[!sub("[.][a-z]+$", "", objects) %in% needed], objects[duplicated(sub("[.][a-z]+$", "", objects))],
    grep("^[.]new-|^[.]obj", files, value = TRUE), utils::tail(grep("^[.]session-", files, value = TRUE), -1L),
    setdiff(list.files(dir, all.files = TRUE, no.. = TRUE), c(".RData", "mlazy"))
  )
}
