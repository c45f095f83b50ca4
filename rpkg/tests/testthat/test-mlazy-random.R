# "You should never see any differences between working with cached and normal uncached objects": the same random calls on a cache and on a plain environment.

random_value <- function(k) {
  switch(1L + k %% 9L,
    as.numeric(1:3) + k, letters[1L + k %% 26L], list(a = k, b = list(1, "two")), data.frame(x = 1:3, y = k), NULL, factor(c("u", "v", "u")),
    in_global, quote(a + b), matrix(as.numeric(1:4), 2)
  )
}

# What a user does to objects; each gives a value to compare. `n` is a name, `v` a value, `k` a number.
uses <- list(
  assign = function(e, n, v, k) { assign(n, v, envir = e); NULL },
  dollar = function(e, n, v, k) { e[[n]] <- v; NULL },
  evaluated = function(e, n, v, k) eval(call("<-", as.name(n), v), e),
  super = function(e, n, v, k) local({ f <- as.function(list(call("<<-", as.name(n), v)), envir = new.env(parent = e)); if (exists(n, e, inherits = FALSE)) f() }),
  element = function(e, n, v, k) if (is.numeric(e[[n]])) eval(bquote(.(as.name(n))[2] <- .(k)), e),
  nested = function(e, n, v, k) if (is.list(e[[n]]) && !is.data.frame(e[[n]])) { e[[n]]$b[[3]] <- k; NULL },
  column = function(e, n, v, k) if (is.data.frame(e[[n]])) { e[[n]]$z <- k; e[[n]][2, "x"] <- k; NULL },
  attribute = function(e, n, v, k) if (is.numeric(e[[n]])) { attr(e[[n]], "note") <- k; NULL },
  list2env = function(e, n, v, k) { list2env(stats::setNames(list(v, k), c(n, "other")), e); NULL },
  remove = function(e, n, v, k) { if (exists(n, e, inherits = FALSE)) rm(list = n, envir = e); NULL },
  copied = function(e, n, v, k) { y <- e[[n]]; if (is.numeric(y)) { y[1] <- -1; e$copy <- y }; list(y, e[[n]]) },
  delayed = function(e, n, v, k) { force(k); rm(list = intersect(n, ls(e)), envir = e); delayedAssign(n, k + 1, assign.env = e); NULL },
  get = function(e, n, v, k) list(get0(n, e, inherits = FALSE), exists(n, e, inherits = FALSE), exists(n, e, mode = "function", inherits = FALSE)),
  mget = function(e, n, v, k) mget(n, e, ifnotfound = list("none"), inherits = FALSE),
  with = function(e, n, v, k) eval(bquote(tryCatch(length(.(as.name(n))), error = function(err) "none")), e),
  ls = function(e, n, v, k) list(sort(ls(e)), length(e), n %in% names(e)),
  listed = function(e, n, v, k) { l <- as.list(e, all.names = TRUE); l[order(names(l))] },
  eapply = function(e, n, v, k) { l <- eapply(e, class); l[order(names(l))] },
  swapped = function(e, n, v, k) if (all(c("a", "b") %in% ls(e))) { t <- e$a; e$a <- e$b; e$b <- t; NULL },
  locked = function(e, n, v, k) if (exists(n, e, inherits = FALSE)) {
    lockBinding(n, e)
    refused <- inherits(try(assign(n, v, envir = e), silent = TRUE), "try-error")
    unlockBinding(n, e)
    list(refused, e[[n]])
  }
)

# What happens to the cache only.
chores <- list(
  mlazy = function(e, n, k) if (exists(n, e, inherits = FALSE)) mlazy(what = n, envir = e, save.now = k %% 3 > 0, format = c("rda", "segment")[1 + k %% 2]),
  mtidy = function(e, n, k) if (k %% 4 == 0) mtidy(envir = e) else if (exists(n, e, inherits = FALSE)) mtidy(what = n, envir = e),
  demlazy = function(e, n, k) if (n %in% mcachees(e)) demlazy(what = n, envir = e),
  Save = function(e, n, k) Save.pos(e),
  # What was never written, too.
  lsize = function(e, n, k) expect_setequal(names(lsize(e)), ls(e, all.names = TRUE))
)

test_that("no call tells a cache from an environment, whatever is cached, tidied or saved in between", {
  for (seed in 1:6) {
    set.seed(seed)
    dir <- cache_dir()
    cache <- opened(dir)
    plain <- new.env()
    done <- character()
    for (i in 1:250) {
      n <- sample(c("a", "b", "c", "two words", ".hidden", "x"), 1)
      if (runif(1) < 0.35) {
        chore <- sample(names(chores), 1)
        chores[[chore]](cache, n, i)
        done <- c(done, paste(chore, n))
        if (runif(1) < 0.1) {
          Save.pos(cache)
          cache <- opened(dir)
          done <- c(done, "reopened")
        }
      } else {
        use <- sample(names(uses), 1)
        v <- random_value(sample(1000L, 1))
        done <- c(done, paste(use, n))
        outcomes <- lapply(list(cache, plain), function(e) tryCatch(suppressWarnings(uses[[use]](e, n, v, i)), error = function(err) "error"))
        if (!same(outcomes[[1]], outcomes[[2]])) {
          fail(paste0("seed ", seed, ", call ", i, ": ", paste(utils::tail(done, 12), collapse = "; ")))
          break
        }
      }
    }
    Save.pos(cache)
    expect_same_objects(contents_of(opened(dir)), contents_of(plain))
    gc()
    expect_identical(length(grep("obj", cache_files(dir))), length(mcachees(cache)))
  }
})
