# What the processes of kills.R do, until they are killed or told to end. As a program, Rscript actors.R FILE, it is one that is an R of
# its own, with the plan in the file.
#
# - A plan is a list: `role` (owner, worker1, worker2), `dir` (the round's, where messages and marks are), `store`, `grace`, `mode`, `op`
#   (what it does over and over once it is ready), `seed`.
# - mode "kept": whoever sends keeps what is sent, and the grace time is 0, so that what remains can be counted at once. mode "flight":
#   whoever sends may drop it, and each message is taken by one process.
# - The byte last written to `phase-ROLE` says what an actor was doing when it died: its place in `phases`.
# - Whatever must not happen is a line in `wrong-ROLE`.

# Values -------------------------------------------------------------------------------------------------------------------------------

kinds <- c("tiny", "80 KB", "8 MB", "strings", "list", "frame", "environment")

# Each has a first number that tells what it is.
make_value <- function(kind, seed) {
  numbers <- function(n) seed * 1e7 + seq_len(n)
  switch(kind,
    "tiny" = numbers(100),
    "80 KB" = numbers(1e4),
    "8 MB" = numbers(1e6),
    "strings" = paste0(c("plain ", "caf\u00e9 ", NA)[1 + seq_len(2000) %% 3], numbers(2000)),
    "list" = list(a = numbers(3000), b = as.integer(numbers(50)), c = list(as.character(numbers(20)), numbers(5000) > 1e7)),
    "frame" = data.frame(x = numbers(3000), y = factor(rep_len(c("a", "b", "c"), 3000)), z = as.character(numbers(3000))),
    "environment" = list2env(list(v = numbers(5000), s = as.character(numbers(100)), l = list(numbers(3000))), parent = emptyenv())
  )
}

values <- new.env()
value_of <- function(kind, seed) {
  # Sharing an environment changes it, so there is a new one each time.
  if (kind == "environment") return(make_value(kind, seed))
  name <- paste(kind, seed)
  if (is.null(values[[name]])) values[[name]] <- make_value(kind, seed)
  values[[name]]
}

contents <- function(x) if (is.environment(x)) as.list(x, sorted = TRUE) else x
is_right <- function(x, kind, seed) identical(contents(x), contents(value_of(kind, seed)))

# Segments that a value reads.
segments_of <- function(x) {
  if (is.environment(x) || is.list(x)) return(unique(unlist(lapply(contents(x), segments_of))))
  id <- cowshed:::data_id(x)
  c(if (!is.null(id)) sub(":.*", "", id), if (is.factor(x)) segments_of(levels(x)))
}

# Processes ----------------------------------------------------------------------------------------------------------------------------

# A zombie is dead.
is_alive <- function(pid) {
  stat <- tryCatch(suppressWarnings(readLines(sprintf("/proc/%d/stat", pid))), error = function(e) "")
  any(grepl("\\) [^ZX] ", stat))
}

# Forks a process that does `code` and no more.
fork <- function(code) {
  job <- parallel:::mcfork(TRUE)
  if (inherits(job, "masterProcess")) {
    # An error must not let it go on as its parent.
    tryCatch(code, error = function(e) message("a forked process: ", conditionMessage(e)))
    parallel:::mcexit(0L)
  }
  job$pid
}

put_file <- function(bytes, path) {
  writeBin(bytes, paste0(path, ".part"))
  invisible(file.rename(paste0(path, ".part"), path))
}
put_object <- function(x, path) put_file(serialize(x, NULL), path)
# NULL if it is not there, or was taken by another.
get_bytes <- function(path) {
  tryCatch(suppressWarnings(readBin(path, "raw", file.size(path))), error = function(e) NULL)
}
get_object <- function(path) unserialize(get_bytes(path))
mark <- function(name) invisible(file.create(name))

# Polls; FALSE if it did not happen in time.
wait_until <- function(happened, seconds = 20) {
  end <- proc.time()[[3]] + seconds
  while (!happened()) {
    if (proc.time()[[3]] > end) return(FALSE)
    Sys.sleep(5e-4)
  }
  TRUE
}

# An actor -----------------------------------------------------------------------------------------------------------------------------

phases <- c(
  "begin", "stand still", paste("share", kinds), "send", "attach", "read", "write", "change", "draft", "drop", "prune", "memory", "fork", "socket", "quit"
)

me <- new.env()

phase <- function(name) {
  writeBin(as.raw(match(name, phases)), me$phases)
  flush(me$phases)
}

# What the actor of a round in `dir` began last; "load" before it began anything.
last_phase <- function(dir, role) {
  bytes <- get_bytes(file.path(dir, paste0("phase-", role)))
  if (length(bytes) == 0L) "load" else phases[[as.integer(bytes[[length(bytes)]])]]
}

wrong <- function(...) cat(paste0(..., "\n"), file = paste0("wrong-", me$role), append = TRUE)

roles <- c("owner", "worker1", "worker2")

# The life of an actor. `inherited`: what a worker has of its parent.
act <- function(plan, inherited = list()) {
  list2env(plan, me)
  setwd(me$dir)
  set.seed(me$seed)
  options(cowshed.store = me$store, cowshed.grace = me$grace)
  me$number <- match(me$role, roles)
  # Of whoever forked it.
  if (!is.null(me$phases)) close(me$phases)
  me$phases <- file(paste0("phase-", me$role), "wb")
  me$sent <- list() # by the message's name
  me$held <- inherited
  rm(inherited)
  me$wrote <- numeric() # by place in the live vector
  me$count <- 0L
  phase("begin")
  put_object(Sys.getpid(), paste0("pid-", me$role))
  tryCatch({
    if (me$role == "owner") owner_begins() else worker_begins()
    mark(paste0("ready-", me$role))
    repeat {
      if (file.exists("stop")) break
      op <- if (stats::runif(1) < 0.85 || me$op == "quit") me$op else sample(common_ops, 1)
      phase(op)
      operations[[op]]()
    }
    stand_still()
  }, error = function(e) wrong("error: ", conditionMessage(e), " (", class(e)[1], ")"))
  # As a worker of parallel's ends, or as an R does.
  if (stats::runif(1) < 0.5) quit("no", runLast = FALSE)
  tools::pskill(Sys.getpid(), tools::SIGKILL)
}

owner_begins <- function() {
  live <- cowshed::share(numeric(4000), copyOnWrite = FALSE)
  me$live <- live
  put_object(live, "live")
  # A forked child has this frame, too.
  rm(live)
  for (i in 1:4) operations[["send"]]()
  for (plan in me$children) fork(act(plan, me$sent))
  if (!is.null(me$port)) open_socket()
}

worker_begins <- function() {
  # Before the owner is ready there is nothing to attach. If it is killed first, what is there is there.
  wait_until(function() file.exists("ready-owner") || file.exists("stop") || !owner_lives())
  bytes <- get_bytes("live")
  live <- if (!is.null(bytes)) read_message(unserialize(bytes), "owner")
  if (is.numeric(live) && length(live) == 4000L) me$live <- live
  if (!is.null(me$port)) open_socket()
  operations[["attach"]]()
}

owner_lives <- function() {
  pid <- get_bytes("pid-owner")
  is.null(pid) || is_alive(unserialize(pid))
}

# The value of a reference, NULL if it is gone, which is wrong if its sender keeps it, or if it is in flight.
read_message <- function(x, sender) {
  tryCatch({ contents(x); touch(x); x }, cowshed_error_gone = function(e) {
    # Asked after the attempt: who lives now lived then.
    if (me$mode == "flight" || keeps(sender)) wrong("gone, though ", sender, " keeps it: ", conditionMessage(e))
    NULL
  })
}
# One that quits lets go of everything before it is dead.
keeps <- function(sender) last_phase(".", sender) != "quit" && is_alive(get_object(paste0("pid-", sender)))

touch <- function(x) {
  if (is.environment(x) || is.list(x)) lapply(contents(x), touch) else if (length(x) > 0L) x[[1L]]
  NULL
}

check <- function(x, kind, seed, what) {
  if (!is_right(x, kind, seed)) wrong("wrong ", what, ": ", kind, " of seed ", seed)
}

counted <- function() me$count <- me$count + 1L

hold <- function(x, kind, seed) {
  me$held[[1L + counted() %% 4L]] <- list(x = x, kind = kind, seed = seed)
}

own_seed <- function() me$number * 10L + sample(2, 1)

share_op <- function(kind) function() {
  seed <- own_seed()
  hold(cowshed::share(value_of(kind, seed)), kind, seed)
}

# Few of 8 MB: messages are kept.
sent_kinds <- rep(kinds, c(3, 3, 1, 2, 2, 2, 2))

new_message <- function(kind, seed, draft = FALSE) {
  name <- sprintf("m_%s_%d_%s_%d%s", me$role, 1L + length(me$sent) %% 6L, kind, seed, if (draft) "_draft" else "")
  # In flight there is a new name each time: none is taken back.
  if (me$mode == "flight") paste0(name, "_", counted()) else name
}

send <- function(x, kind, seed, draft = FALSE) {
  name <- new_message(kind, seed, draft)
  if (me$mode == "flight") {
    put_object(x, name)
    # Nobody may be there to take them.
    if (length(list.files(pattern = "^m_")) > 20L) Sys.sleep(0.005)
    return()
  }
  # Kept from before it can be read. So is the one that had the name: somebody may have read the file just now.
  me$before[[length(me$before) + 1L]] <- me$sent[[name]]
  me$sent[[name]] <- list(x = x, kind = kind, seed = seed, draft = draft)
  put_object(x, name)
}

# A message of somebody else: its bytes, and what its name says.
take <- function() {
  names <- list.files(pattern = "^m_[^.]*$")
  names <- names[!startsWith(names, paste0("m_", me$role))]
  if (length(names) == 0L) return(NULL)
  name <- names[[sample(length(names), 1)]]
  parts <- strsplit(name, "_", fixed = TRUE)[[1]]
  if (me$mode == "flight") {
    # One takes it. Who dies with it had it.
    taken <- sub("^m", paste0("t_", me$role), name)
    if (!suppressWarnings(file.rename(name, taken))) return(NULL)
    name <- taken
  }
  bytes <- get_bytes(name)
  if (length(bytes) == 0L) return(NULL)
  list(bytes = bytes, sender = parts[2], kind = parts[4], seed = as.integer(parts[5]), draft = "draft" %in% parts)
}

operations <- c(
  stats::setNames(lapply(kinds, share_op), paste("share", kinds)),
  list(
    "send" = function() {
      kind <- sample(sent_kinds, 1)
      seed <- own_seed()
      send(cowshed::share(value_of(kind, seed)), kind, seed)
    },
    "attach" = function() {
      message <- take()
      if (is.null(message)) return(Sys.sleep(5e-4))
      x <- read_message(unserialize(message$bytes), message$sender)
      if (is.null(x)) return()
      if (message$draft) {
        if (!identical(x[1:2], c(-1, value_of(message$kind, message$seed)[2]))) wrong("a draft arrived as ", x[1], ", ", x[2])
        return()
      }
      check(x, message$kind, message$seed, "message")
      hold(x, message$kind, message$seed)
      # Passed on now and then.
      if (stats::runif(1) < 0.2) send(x, message$kind, message$seed)
    },
    "read" = function() check_all(),
    "write" = function() {
      if (is.null(me$live)) return(operations[["prune"]]())
      live <- me$live
      for (i in sample(1000, 50) * 4L - me$number) {
        live[i] <- as.numeric(counted())
        me$wrote[[as.character(i)]] <- as.numeric(me$count)
      }
    },
    "change" = function() {
      seed <- own_seed()
      kind <- sample(c("tiny", "80 KB", "8 MB"), 1)
      x <- cowshed::share(value_of(kind, seed))
      y <- x
      at <- sample(length(y), 5)
      y[at] <- 0
      if (!all(y[at] == 0) || sum(y == 0) != 5) wrong("a change was not as made")
      check(x, kind, seed, "value after a change of its copy")
      hold(x, kind, seed)
    },
    "draft" = function() {
      seed <- own_seed()
      x <- cowshed::share(value_of("80 KB", seed), sharedCopy = TRUE)
      y <- x
      y[1] <- -1
      send(y, "80 KB", seed, draft = TRUE)
      check(x, "80 KB", seed, "value after a change of its shared copy")
    },
    "drop" = function() {
      me$held <- list()
      gc(full = FALSE)
      for (kind in c("tiny", "80 KB", "list")) operations[[paste("share", kind)]]()
    },
    "prune" = function() cowshed::pruneSharedObjects(),
    "memory" = function() {
      name <- paste0("common ", me$round)
      cowshed::allocateSharedMemory(1e5, name)
      # Another may have freed it.
      tryCatch(cowshed::mapSharedMemory(name), cowshed_error_gone = function(e) NULL)
      if (stats::runif(1) < 0.3) cowshed::freeSharedMemory(name)
    },
    "fork" = function() {
      seed <- own_seed()
      job <- parallel::mcparallel({ check_all(); cowshed::share(value_of("80 KB", seed)) }, silent = TRUE)
      x <- parallel::mccollect(job)[[1L]]
      # NULL from a child that was killed.
      if (is.null(x)) return(wrong("a forked child gave nothing"))
      if (inherits(x, "try-error")) return(wrong("a forked child: ", x))
      # Its maker is gone and so is the reference, if there is no grace.
      x <- tryCatch({ touch(x); x }, cowshed_error_gone = function(e) if (me$mode == "flight") wrong("a forked child's result is gone"))
      if (!is.null(x)) check(x, "80 KB", seed, "result of a forked child")
    },
    "socket" = function() if (is.null(me$socket)) operations[["read"]]() else talk(),
    "quit" = function() quit("no", runLast = FALSE)
  )
)

# What an actor does now and then, whatever its plan is.
common_ops <- c(paste("share", c("tiny", "80 KB", "list", "frame")), "send", "attach", "read", "write", "drop", "prune")

check_all <- function() {
  for (held in c(me$held, me$sent)) if (!is.null(held) && !isTRUE(held$draft)) check(held$x, held$kind, held$seed, "held value")
  for (i in names(me$wrote)) if (!identical(me$live[[as.integer(i)]], me$wrote[[i]])) wrong("live[", i, "] is not what it wrote")
}

# Sockets: the worker asks, the owner answers with an object. The other may be killed at any time, which is an error of the connection.
open_socket <- function() {
  me$socket <- tryCatch(suppressWarnings(if (me$role == "owner") {
    server <- serverSocket(me$port)
    on.exit(close(server))
    mark("listening")
    socketAccept(server, blocking = TRUE, open = "r+b", timeout = 3)
  } else {
    wait_until(function() file.exists("listening") || file.exists("stop"), 3)
    socketConnection(port = me$port, blocking = TRUE, open = "r+b", timeout = 3)
  }), error = function(e) NULL)
}

talk <- function() {
  over <- function(e) { suppressWarnings(try(close(me$socket), silent = TRUE)); me$socket <- NULL }
  received <- tryCatch(suppressWarnings(if (me$role == "owner") {
    if (!socketSelect(list(me$socket), timeout = 0.05)) return()
    kind <- sample(sent_kinds, 1)
    seed <- own_seed()
    if (length(readBin(me$socket, "raw", 1)) == 0L) stop("the end")
    x <- cowshed::share(value_of(kind, seed))
    # Kept for longer than it takes to arrive.
    me$talked <- c(list(x), me$talked)[1:4]
    serialize(list(kind, seed, x), me$socket)
    NULL
  } else {
    if (!isTRUE(me$asked)) writeBin(as.raw(1), me$socket)
    me$asked <- TRUE
    if (!socketSelect(list(me$socket), timeout = 0.05)) return()
    received <- unserialize(me$socket)
    me$asked <- FALSE
    received
  }), error = over)
  if (is.list(received)) {
    x <- read_message(received[[3]], "owner")
    if (!is.null(x)) {
      check(x, received[[1]], received[[2]], "value from a socket")
      hold(x, received[[1]], received[[2]])
    }
  }
}

# The killing is over. Everybody checks what it has, then one after the other does as it is told.
stand_still <- function() {
  phase("stand still")
  check_all()
  cowshed::freeSharedMemory(paste0("common ", me$round))
  me$before <- me$talked <- NULL
  gc()
  has <- c(lapply(c(me$held, me$sent), `[[`, "x"), list(me$live))
  put_object(list(ids = segments_of(has), live = me$live[seq_along(me$live)]), paste0("report-", me$role))
  rm(has)
  done <- 0L
  deadline <- proc.time()[[3]] + 60
  while (!file.exists("end") && proc.time()[[3]] < deadline) {
    if (file.exists(paste0("call-", me$role)) && done == 0L) {
      cowshed::pruneSharedObjects()
      done <- 1L
      mark(paste0("called-", me$role))
    }
    if (file.exists(paste0("drop-", me$role)) && done < 2L) {
      check_all()
      me$held <- me$sent <- list()
      me$live <- NULL
      gc()
      cowshed::pruneSharedObjects()
      done <- 2L
      mark(paste0("dropped-", me$role))
    }
    Sys.sleep(2e-3)
  }
}

# Who comes when everybody is dead: its one call cleans.
newcomer <- function(store, call) {
  options(cowshed.store = store, cowshed.grace = 0)
  if (call == "prune") cowshed::pruneSharedObjects()
  if (call == "share") {
    x <- cowshed::share(value_of("80 KB", 99L))
    rm(x)
    gc(full = FALSE)
  }
  quit("no", runLast = FALSE)
}

if (sys.nframe() == 0L) {
  plan <- readRDS(commandArgs(TRUE)[[1]])
  options(cowshed.store = plan$store)
  library(cowshed)
  if (is.null(plan$call)) act(plan) else newcomer(plan$store, plan$call)
}
