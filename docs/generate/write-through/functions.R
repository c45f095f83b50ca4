# Which functions of base and stats are tried, and how each is called.

# Not called, and why.
skipped <- list(
  `ends or stops the process, or waits` = c("q", "quit", "Sys.sleep", "browser", "readline", "stop", "invokeRestart",
    "invokeRestartInteractively", "computeRestarts", "mem.maxVSize", "mem.maxNSize", "gctorture", "gctorture2", "setTimeLimit",
    "setSessionTimeLimit", "suspendInterrupts", "allowInterrupts", ".Defunct", "Tailcall", "Exec"),
  `starts programs` = c("system", "system2", "shell", "shell.exec", "pipe", ".Script"),
  `deletes, renames or changes files` = c("unlink", "file.remove", "file.rename", "file.copy", "file.symlink", "file.link",
    "file.append", "Sys.chmod", "Sys.umask", "setwd", "dir.create", "file.create", "Sys.setFileTime"),
  `opens, reads or closes connections` = c("close", "closeAllConnections", "file", "fifo", "gzfile", "bzfile", "xzfile", "unz", "url",
    "gzcon", "socketConnection", "socketAccept", "serverSocket", "socketSelect", "socketTimeout", "open", "readLines", "readBin",
    "readChar", "scan", "source", "sys.source", "sink", "pushBack", "pushBackLength", "clearPushBack", "stdin", "getConnection",
    "writeBin", "writeChar", "writeLines", "cat", "truncate", "seek", "flush", "isOpen", "isIncomplete", "textConnection", "load",
    "readRDS", "unserialize", "readRenviron", "read.dcf", "parse", "dget", "isatty",
    "open.connection", "close.connection", "truncate.connection", "seek.connection", "flush.connection",
    "open.srcfile", "open.srcfilealias", "open.srcfilecopy", "close.srcfile", "close.srcfilealias", "summary.connection", "print.connection"),
  `calls native code directly` = c(".C", ".Fortran", ".Call", ".External", ".External2", ".External.graphics", ".Call.graphics",
    ".Internal", "dyn.load", "dyn.unload", "library.dynam", "library.dynam.unload", ".primTrace", ".primUntrace"),
  `is syntax` = c("if", "for", "while", "repeat", "break", "next", "return", "function", "{", "(", "=", "<-", "<<-", "on.exit",
    "UseMethod", "NextMethod", "standardGeneric", "Recall"),
  `changes the session it runs in` = c("attach", "detach", "attachNamespace", "unloadNamespace", "loadNamespace", "library", "require",
    "requireNamespace", "debug", "debugonce", "undebug", "trace", "untrace", "tracingState", "reg.finalizer", "options",
    "registerS3method", "registerS3methods", "lockEnvironment", "lockBinding", "Sys.setenv", "Sys.unsetenv", "Sys.setlocale",
    "gc", "gcinfo", "addTaskCallback", "removeTaskCallback", "globalCallingHandlers")
)

# A data frame with the package and name of every exported function, and why it is skipped (NA: it is not).
all_functions <- function() {
  exported <- list(base = ls(baseenv(), all.names = TRUE), stats = getNamespaceExports("stats"))
  listed <- do.call(rbind, lapply(names(exported), function(package) {
    functions <- Filter(function(name) is.function(get(name, asNamespace(package))), sort(exported[[package]], method = "radix"))
    data.frame(package = package, name = functions)
  }))
  reasons <- rep(names(skipped), lengths(skipped))
  listed$skipped <- reasons[match(listed$name, unlist(skipped))]
  listed
}

# The calls tried on a function. `x` is the subject; the others are partners() or constants.
shapes <- quote(list(
  F(x), F(x, 2L), F(x, 0.5), F(x, y), F(x, x), F(x, i), F(x, g), F(x, f), F(x, "a"), F(x, TRUE), F(x, l), F(x, k), F(x, u), F(x, X),
  F(x, 1L, 0.5), F(x, 2L, 2L), F(x, 1L, f), F(x, y, y), F(x, g, f), F(x, y, f), F(x, i, 0.5), F(x, i, y), F(x, 1L, i), F(x, X, y),
  F(y, x), F(2L, x), F(0.5, x), F(f, x), F(k, x), F(X, x), F("a", x), F(u, x), F(g, x), F(l, x),
  F(y, y, x), F(f, y, x), F(f, x, x), F(y, 2L, x), F(x, x, x), F(x, y, x), F(X, y, x), F(X, x, y), F(x, 1L, 1L, 0.5)
))[-1L]

replacement_shapes <- quote(list(
  F(x, value = 0.5), F(x, value = 9L), F(x, value = TRUE), F(x, value = "a"), F(x, value = NULL), F(x, value = y), F(x, value = l),
  F(x, value = c("u", "v", "w")), F(x, value = i), F(x, value = 1i), F(x, value = as.raw(1)), F(x, value = c(8L, 9L)),
  F(x, 1L, value = 0.5), F(x, 1L, value = 9L), F(x, 1L, value = TRUE), F(x, 1L, value = 1i), F(x, 1L, value = as.raw(1)),
  F(x, 1L, value = "a"), F(x, 1L, value = NULL), F(x, 1L, 1L, value = 0.5), F(x, 1L, 1L, value = 9L), F(x, "a", value = 0.5),
  F(x, "a", value = y), F(x, g, value = l), F(x, g, value = list(0.5, 0.5, 0.5)), F(x, x, value = 0.5)
))[-1L]

shapes_of <- function(package, name) {
  as_called <- if (make.names(name) == name && package == "base") as.name(name) else call("::", as.name(package), as.name(name))
  lapply(as.list(if (grepl("<-$", name)) replacement_shapes else shapes), function(shape) {
    shape[[1L]] <- as_called
    shape
  })
}
