# A few seconds of R that go through every hook, the store, and bytes that are damaged, for valgrind to watch. What is wrong is an error.

base <- tempfile("cowshed-valgrind-", "/dev/shm")
dir.create(base, mode = "0700")
options(cowshed.store = base)
library(cowshed)

holds <- function(...) for (claim in list(...)) if (!isTRUE(claim)) stop("not so: ", deparse(sys.call()))
send <- function(x) unserialize(serialize(x, NULL))

# Of a file that is copied, and of one that is mapped.
for (n in c(20L, 20000L)) {
  values <- list(
    raw = as.raw(seq_len(n) %% 256L), logical = rep_len(c(TRUE, NA, FALSE), n), integer = c(NA, seq_len(n - 1L)),
    double = c(NA, NaN, -Inf, seq_len(n - 3L) + 0.5), complex = complex(real = seq_len(n), imaginary = -1),
    strings = rep_len(c("plain", "caf\u00e9", NA, ""), n)
  )
  for (plain in values) {
    x <- share(plain)
    far <- send(x)
    holds(identical(x, plain), identical(far, plain), is.shared(far))
    # length, elements, regions, pointers, subsets, coercion
    holds(
      identical(x[[2]], plain[[2]]), identical(x[5:9], plain[5:9]), identical(x[c(1, NA, n)], plain[c(1, NA, n)]), identical(rev(x), rev(plain)),
      identical(as.character(x), as.character(plain)), identical(as.list(x), as.list(plain)), identical(is.na(x), is.na(plain)), identical(anyNA(x), anyNA(plain)),
      identical(match(x[[3]], x), match(plain[[3]], plain)), identical(rle(as.character(x)), rle(as.character(plain)))
    )
    if (!is.complex(plain) && !is.raw(plain)) holds(identical(order(x), order(plain)), identical(sort(x), sort(plain)), identical(is.unsorted(x), is.unsorted(plain)))
    if (is.numeric(plain)) {
      holds(identical(range(x, na.rm = TRUE), range(plain, na.rm = TRUE)), identical(max(x), max(plain)), identical(min(x), min(plain)))
      holds(identical(sum(x, na.rm = TRUE), sum(plain, na.rm = TRUE)), identical(x * 2, plain * 2))
      storage.mode(x) <- "double"
    }
    # a change is private, with each of the flags
    y <- far
    y[[2]] <- y[[1]]
    y[3] <- plain[4]
    holds(identical(far, plain), identical(y[[2]], plain[[1]]))
    for (flag in c("sharedSubset", "sharedCopy")) {
      z <- do.call(share, c(list(plain), stats::setNames(list(TRUE), flag)))
      part <- z[seq_len(n %/% 2L)]
      copy <- z
      copy[1] <- plain[2]
      holds(identical(part, plain[seq_len(n %/% 2L)]), identical(z, plain), identical(send(copy)[1], plain[2]), identical(send(part), part))
      copy[2] <- plain[1]
    }
    if (!is.character(plain)) {
      live <- share(plain, copyOnWrite = FALSE)
      there <- send(live)
      live[[2]] <- plain[[4]]
      holds(identical(there[[2]], plain[[4]]))
      setCopyOnWrite(live, TRUE)
    }
    holds(identical(unshare(x), unshare(unshare(x))))
    utils::capture.output(.Internal(inspect(x)))
    # attributes, by reference and by value
    d <- share(structure(plain, dim = c(n %/% 4L, 4L), note = list(values$integer, "s")))
    holds(identical(send(d), d), identical(d[2, ], matrix(plain, n %/% 4L)[2, ]))
    names(x) <- seq_len(n)
    holds(identical(names(send(x)), as.character(seq_len(n))))
    invisible(withSharedSerialization(serialize(d, NULL), by = "value"))
    file <- tempfile()
    saveRDS(d, file)
    holds(identical(readRDS(file), d))
  }
}
rm(x, y, z, far, live, there, part, copy, d)
invisible(gc())

# What holds other values.
methods::setClass("Thing", representation(v = "numeric", e = "environment"))
frame <- data.frame(id = 1:5000, name = as.character(1:5000), kind = factor(rep_len(letters[1:3], 5000)))
e <- list2env(list(v = as.numeric(1:5000), l = list(1:10, letters)), parent = emptyenv())
e$itself <- e
for (value in list(frame, list(1:10, "a", list(2.5 + 1:3, NULL), quote(a + b)), pairlist(a = 1:5, b = letters), lm(dist ~ speed, cars),
                   methods::new("Thing", v = c(1.5, 2, 3), e = e), e, as.POSIXct("2020-01-01", tz = "UTC") + 1:10, function(x) x + e$v)) {
  shared <- share(value)
  far <- send(shared)
  holds(identical(class(far), class(value)))
  if (is.list(value)) for (i in seq_along(far)) force(far[[i]])
  unshare(shared)
}
holds(identical(send(share(frame)), frame), identical(send(e)$v, as.numeric(1:5000)))
l <- share(list(a = 1:10, b = letters))
l$a[2] <- 0L
l$c <- l
holds(identical(send(l)$b, letters))

# Memory, the store, errors.
id <- allocateSharedMemory(1e5)
named <- allocateSharedMemory(100, "a name")
invisible(mapSharedMemory("a name"))
holds(hasSharedMemory(id), getSharedMemorySize("a name") == 100, nrow(listSharedObjects()) > 0)
unmapSharedMemory(id)
freeSharedMemory(list(id, "a name"))
invisible(getSharedObjectProperty(l$b))
refused <- function(code) holds(inherits(tryCatch(code, error = identity), "cowshed_error"))
refused(share(1:3, copyOnWrite = NA))
refused(share(quote(a), mustWork = TRUE))
refused(mapSharedMemory("a name"))
refused(share(1:10, store = "not/absolute"))
rm(l, e, shared, far, value, frame)
invisible(gc())
pruneSharedObjects()

# Bytes that are not what a writer leaves: every fourth of the header, one in forty of the rest.
damaged <- function(value, places) {
  options(cowshed.grace = 3600)
  x <- share(value)
  reference <- serialize(x, NULL)
  path <- file.path(cowshed:::store_path(), "segments", sub(":.*", "", cowshed:::data_id(x)))
  rm(x)
  gc()
  good <- readBin(path, "raw", file.size(path))
  outcome <- function(bytes) {
    # A new file, and nothing of the one before in use.
    unlink(path)
    gc(full = FALSE)
    writeBin(bytes, path)
    tryCatch(if (identical(unserialize(reference), value)) "right" else "another value", error = function(e) class(e)[[1]])
  }
  outcomes <- vapply(places(length(good)), function(at) {
    bytes <- good
    bytes[at] <- xor(bytes[at], as.raw(16))
    outcome(bytes)
  }, "")
  cut <- vapply(c(0, 10, 100, 128, 200, length(good) - 1), function(n) outcome(good[seq_len(n)]), "")
  holds(outcome(good) == "right", !"right" %in% cut, "cowshed_error_corrupt" %in% outcomes)
  freeSharedMemory(sub(":.*", "", basename(path)))
  table(c(outcomes, cut))
}
some <- function(size) c(seq(1, 128, 4), seq(130, size, length.out = 60))
print(damaged(c(1.5, 2, 3), some))
print(damaged(structure(as.character(1:300), note = 1:10), some))
print(damaged(as.numeric(1:5000), function(size) c(seq(1, 128, 4), size - 1:300 * 3)))

# Leaving with objects of all kinds.
rest <- list(share(1:10), share(as.numeric(1:1e5)), share(letters), share(1:5, copyOnWrite = FALSE), share(1:1e5, sharedCopy = TRUE))
rest[[5]][1] <- 0L
unlink(base, recursive = TRUE)
cat("hooks: all as it should be\n")
