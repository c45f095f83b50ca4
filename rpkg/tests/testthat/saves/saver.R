# A process that has two caches open, does random things to their objects and saves them, until it is killed.
#
# Before a Save of cache `a` it puts the state into the file a-<number>, and after it makes a-<number>.done: whoever kills it knows what must be there.

saver <- new.env()

# `plan`: dir, where the log goes; caches, their directories by name; first, the number of the first Save; generation, the last one used; format.
save_for_ever <- function(plan) {
  begin_saver(plan)
  mark(file.path(plan$dir, "ready"))
  repeat {
    for (i in seq_len(sample(8L, 1L))) one_step()
    save_one(sample(names(saver$caches), 1L))
  }
}

begin_saver <- function(plan) {
  set.seed(plan$seed)
  options(mlazy.format = plan$format)
  saver$plan <- plan
  saver$generation <- plan$generation
  saver$number <- plan$first - 1L
  saver$caches <- lapply(stats::setNames(nm = names(plan$caches)), function(name) {
    cowshed::attach.mlazy(plan$caches[[name]], pos = 2, name = name)
    as.environment(name)
  })
  saver$states <- lapply(saver$caches, state_of)
}

save_one <- function(name) {
  path <- announce(name)
  cowshed::Save.pos(saver$caches[[name]])
  mark(paste0(path, ".done"))
}

announce <- function(name, moved = NULL) {
  saver$number <- saver$number + 1L
  path <- file.path(saver$plan$dir, paste0(name, "-", saver$number))
  put_object(list(state = saver$states[[name]], generation = saver$generation, moved = moved), path)
  path
}

one_step <- function() {
  step <- sample(names(steps), 1L)
  name <- sample(names(saver$caches), 1L)
  steps[[step]](name, saver$caches[[name]])
}

# What can be done to a cache. Each keeps the state in line.
steps <- list(
  change = function(cache, e) for (name in some(cache, 3L)) set(cache, e, name),
  patch = function(cache, e) for (name in some(cache)) {
    value <- value_of(name, new_generation())
    # An assignment into a part of a cached object.
    attr(e[[name]], "generation") <- attr(value, "generation")
    e[[name]][] <- value
    saver$states[[cache]][[name]] <- attr(value, "generation")
  },
  add = function(cache, e) set(cache, e, sample(object_names, 1L)),
  cache = function(cache, e) {
    for (name in some(cache, 4L)) cowshed::mlazy(what = name, envir = e, save.now = stats::runif(1) < 0.7)
  },
  remove = function(cache, e) for (name in some(cache)) drop(cache, e, name),
  remake = function(cache, e) for (name in some(cache)) {
    drop(cache, e, name)
    set(cache, e, name)
    if (stats::runif(1) < 0.5) cowshed::mlazy(what = name, envir = e)
  },
  demlazy = function(cache, e) if (length(cached <- some_cached(e)) > 0L) cowshed::demlazy(what = cached, envir = e),
  tidy = function(cache, e) if (length(cached <- some_cached(e)) > 0L) cowshed::mtidy(what = cached, envir = e),
  tidy_all = function(cache, e) cowshed::mtidy(envir = e),
  read = function(cache, e) {
    found <- state_of(e)
    if (!identical(found, saver$states[[cache]])) stop("in memory there is ", describe(found), ", and not ", describe(saver$states[[cache]]))
  },
  # Which saves both: where it goes to, then where it came from.
  move = function(cache, e) if (length(saver$caches) > 1L) for (name in some(cache)) {
    to <- setdiff(names(saver$caches), cache)
    saver$states[[to]] <- as_state(c(without(saver$states[[to]], name), saver$states[[cache]][name]))
    saver$states[[cache]] <- without(saver$states[[cache]], name)
    paths <- c(announce(to, moved = name), announce(cache, moved = name))
    cowshed::move(what = name, saver$plan$caches[[cache]], saver$plan$caches[[to]], overwrite.by.default = TRUE)
    for (path in paths) mark(paste0(path, ".done"))
  }
)

new_generation <- function() saver$generation <- saver$generation + 1L
some <- function(cache, most = 1L) {
  there <- names(saver$states[[cache]])
  there[sample.int(length(there), min(length(there), sample.int(most, 1L)))]
}
some_cached <- function(e) {
  cached <- cowshed::mcachees(e)
  cached[sample.int(length(cached), min(length(cached), 2L))]
}
without <- function(state, name) state[setdiff(names(state), name)]

set <- function(cache, e, name) {
  e[[name]] <- value_of(name, new_generation())
  saver$states[[cache]] <- as_state(c(without(saver$states[[cache]], name), stats::setNames(saver$generation, name)))
}
drop <- function(cache, e, name) {
  rm(list = name, envir = e)
  saver$states[[cache]] <- without(saver$states[[cache]], name)
}
