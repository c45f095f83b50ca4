# What is in each cache of this folder: `cached`, objects with a file each, in the order of their numbers; `ordinary`, those in .RData itself.

cache_values <- function() {
  global <- function(code) {
    made <- eval(code, globalenv())
    if (is.function(made)) utils::removeSource(made) else made
  }
  list(
    plain = list(
      cached = list(numbers = c(1.5, NA, -0, 3e300), words = c("one", NA, "drei\u00df"), frame = data.frame(n = 1:4, f = factor(c("a", "b", "a", NA)))),
      ordinary = list(small = 42L, note = "not cached")
    ),
    # obj1.rda and obj2.rda beside .RData, as the earliest mvbutils wrote, and as options(mlazy.subdir = FALSE) does.
    beside = list(cached = list(first = 1:20, second = matrix(c(1, 2, 3, 4), 2)), ordinary = list(third = letters)),
    # options(mlazy.index = TRUE)
    index = list(cached = list(apple = 1:3, pear = 4:6, plum = 7:9), ordinary = list(basket = "fruit")),
    # Names that need quoting, that are hidden, that are words of the language, or not ASCII.
    names = list(
      cached = list(`two words` = 1L, .hidden = 2L, `if` = 3L, `a/b\\c` = 4L, `%in between%` = 5L, "gr\u00fc\u00df" = 6L, x = 7L, whati = 8L, e = 9L),
      ordinary = list(`un cached` = 10L, .also.hidden = 11L)
    ),
    # Of every kind, each file compressed in another way.
    kinds = list(
      cached = list(
        gzipped = global(quote(function(x, ...) x + 1)), plain = factor(c("u", "v", "u"), levels = c("v", "u", "w")),
        bzipped = new("Weighed", c(1, 2), unit = "kg"), xzipped = NULL, nested = list(f = global(quote(y ~ x + log(z))), l = list(NULL, 1i, as.raw(1:3))),
        level1 = as.POSIXct(1e9, origin = "1970-01-01", tz = "UTC"), level9 = quote(if (a) b else c)
      ),
      ordinary = list(call = quote(f(x)), also = global(quote(function() NULL)))
    ),
    # Objects of the user's own whose names are like those that mvbutils gives: its own has one more 0 then.
    own = list(cached = list(one = 1, two = 2), ordinary = list(.mcache0 = c(mine = 1), three = 3)),
    # What is left of a life: numbers freed and given again, a changed object, an ordinary one that was cached once.
    lived = list(cached = list(kept = 1, anew = "in the place of another", changed = c(1, 99, 3)), ordinary = list(was.cached = "demlazied"))
  )
}
