# Reading a vector that another process has shared, beside a plain one of the same values in the same process; and what of it became private.

run <- function(group) {
  set.seed(1)
  x <- rnorm(1e7)
  X <- matrix(x, 1e4)
  able <- able_systems("ordinary")
  with_worker(function(worker) {
    for (name in names(uses)) {
      shape <- if (grepl("X", name)) X else x
      kept <- lapply(able, function(system) system$share(shape))
      sent <- Map(function(system, shared) system$send(shared), able, kept)
      seconds <- there(worker, read, serialize(shape, NULL), sent, uses[[name]]$call, if (isTRUE(uses[[name]]$slow)) 5L else 11L)
      ratios(group, name, seconds, wanted = uses[[name]]$wanted)
    }
    kept <- lapply(able, function(system) system$share(X))
    sent <- Map(function(system, shared) system$send(shared), able, kept)
    private <- lapply(setNames(nm = names(sent)), function(name) {
      with_worker(function(worker) there(worker, made_private, name, sent[[name]], serialize(X, NULL), lapply(uses, `[[`, "call")))
    })
    figure(group, "private after all of these, of 80 MB", "MB", private, wanted = 1)
    touches <- there(worker, first_touch, serialize(x, NULL), cowshed_sent(x), cowshed:::store_path(), limits_library())
    ratios(group, "first sum(x) of 80 MB", touches$seconds, against = c("plain, again", "kernel's page faults"))
    extra <- (touches$seconds[, "cowshed"] - touches$seconds[, "plain, again"]) * 1e3
    figure(group, "first sum(x) of 80 MB, beyond a plain one", "ms", list(cowshed = extra), wanted = 3)
  })
}

use <- function(call, wanted = 1.15, slow = FALSE) list(call = call, wanted = wanted, slow = slow)

set.seed(2)
uses <- list(
  `sum(x)` = use(function(x) sum(x)),
  `mean(x)` = use(function(x) mean(x)),
  `x * 2` = use(function(x) x * 2),
  `cumsum(x)` = use(function(x) cumsum(x)),
  `sort(x)` = use(function(x) sort(x), slow = TRUE),
  `var(x)` = use(function(x) var(x)),
  `which.max(x)` = use(function(x) which.max(x)),
  `X %*% y` = use(function(x) x %*% rep(1, ncol(x))),
  `colMeans(X)` = use(function(x) colMeans(x)),
  `x[x > k]` = use(function(x) x[x > 1]),
  `x[1e6 random]` = use(local({
    i <- sample(1e7, 1e6)
    function(x) x[i]
  }), 1.1),
  `x[-1]` = use(function(x) x[-1], 1.1),
  `x[a:b]` = use(function(x) x[1e6:9e6], 1.1),
  `X[, j]` = use(function(x) for (j in 1:100) x[, j], 2.3),
  `t(X)` = use(function(x) t(x), 1.6),
  `for (i in 1:1e6) x[[i]]` = use(function(x) for (i in 1:1e6) x[[i]], 1.7)
)

cowshed_sent <- function(x) {
  kept <<- cowshed::share(x)
  serialize(kept, NULL)
}

# ---- in the worker ----

# Of vectors that were read once: plain, and as each system attached them.
read <- function(bytes, sent, use, rounds) {
  warm <- function(x) {
    use(x)
    function() use(x)
  }
  attached <- Map(function(system, sent) warm(system$receive(sent)), systems(names(sent)), sent)
  plain <- unserialize(bytes)
  # The least that any ALTREP costs: what R itself puts around a vector, without a method of its own but for the data.
  wrapper <- .Internal(wrap_meta(plain, 0L, 0L))
  times(c(list(plain = warm(plain)), attached, list(`R's wrapper` = warm(wrapper))), rounds)
}

# Megabytes that only this process has after all of the uses, beyond those it has after the same with a plain matrix.
made_private <- function(system, sent, bytes, uses) {
  all <- function(X) for (use in uses) use(X)
  private <- function() {
    gc(full = TRUE)
    memory("Private_Dirty")
  }
  plain <- unserialize(bytes)
  # Twice: what R keeps of its own memory settles.
  all(plain)
  all(plain)
  before <- private()
  X <- systems(system)[[1]]$receive(sent)
  all(X)
  (private() - before) / 1e6
}

first_touch <- function(bytes, sent, store, library) {
  source("benches/limits.R")
  load_limits(library)
  plain <- unserialize(bytes)
  file <- limits$file(plain, store)
  seconds <- times(list(
    `plain, again` = function() sum(plain),
    `kernel's page faults` = function() limits$touch(file, 8 * length(plain)),
    cowshed = prepared(function() unserialize(sent), function(x) sum(x))
  ), rounds = 11L)
  list(seconds = seconds)
}
