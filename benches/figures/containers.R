# Lists and data frames: making them shared, sending them, and reading them where they arrived.

run <- function(group) {
  set.seed(1)
  able <- able_systems("strings")
  of_many <- able_systems("many")
  many <- lapply(1:10000, function(i) rnorm(10))
  frame <- as.data.frame(matrix(rnorm(1e7), 1e5))
  nested <- lapply(1:100, function(i) list(id = i, v = rnorm(20), s = c("a", "b", paste(i)), l = list(x = rnorm(5), y = 1:7)))
  copy <- function(l) lapply(l, function(x) x + 0)

  # The worker first: what other packages keep open leaves no room for its socket.
  with_worker(function(worker) {
    of_list(group, "list of 10,000 x 10", many, of_many, list(`serialize()` = function() serialize(many, NULL)), 1, each = 5L)
    of_list(group, "data frame 100 x 100,000", frame, able, list(`deep copy` = function() copy(frame)), 0.8)
    of_list(group, "nested list, 500 parts", nested, able, list(`serialize()` = function() serialize(nested, NULL)), 1.2, each = 20L)
    lazy <- getRversion() >= "4.3"
    arrival(group, worker, "list of 10,000 x 10", many, of_many, c(if (lazy) 150 else NA, if (lazy) NA else 2000))
    arrival(group, worker, "data frame 100 x 100,000", frame, able, c(NA, 250))
    arrival(group, worker, "nested list, 500 parts", nested, able, c(NA, NA))
    kept <- lapply(of_many, function(system) system$share(many))
    sent <- Map(function(system, shared) system$send(shared), of_many, kept)
    ratios(group, "first pass over 10,000 x 10", there(worker, first_pass, serialize(many, NULL), sent), wanted = 2)
    kept <- lapply(able, function(system) system$share(frame))
    sent <- Map(function(system, shared) system$send(shared), able, kept)
    touched <- lapply(setNames(nm = names(sent)), function(name) there(worker, three_columns, name, sent[[name]]) / 1e6)
    figure(group, "mapped by reading 3 of 100 columns, 80 MB", "MB", touched, wanted = 3.2)
  })
}

of_list <- function(group, name, l, able, base, wanted, each = 1L) {
  force(l)
  seconds <- times(c(base, lapply(able, function(system) function() system$share(l))), rounds = 15L, each = each)
  ratios(group, paste("share(),", name), seconds, wanted = wanted)
}

# serialize() here and unserialize() there, of objects never sent before.
arrival <- function(group, worker, name, l, able, wanted) {
  measured <- lapply(able, function(system) {
    rounds <- lapply(1:7, function(round) {
      kept <- lapply(1:5, function(k) system$share(l))
      gc()
      start <- now()
      sent <- lapply(kept, system$send)
      here <- (now() - start) / length(sent)
      away <- there(worker, arrive, system$receive, sent)
      c(both = (here + away) * 1e6, attach = away * 1e6, bytes = length(sent[[1]]))
    })
    as.list(as.data.frame(do.call(rbind, rounds)))
  })
  figure(group, paste("serialize and attach,", name), "us", lapply(measured, `[[`, "both"), wanted = wanted[[1]])
  figure(group, paste("attach,", name), "us", lapply(measured, `[[`, "attach"), wanted = wanted[[2]])
  figure(group, paste("sent,", name), "bytes", lapply(measured, `[[`, "bytes"), wanted = if (getRversion() >= "4.3" && !grepl("frame", name)) 200 else NA)
}

# ---- in the worker ----

arrive <- function(receive, sent) {
  gc()
  start <- now()
  kept <- lapply(sent, receive)
  (now() - start) / length(sent)
}

# Everything in a list that has just arrived, against the same of a plain one.
first_pass <- function(bytes, sent) {
  pass <- function(l) for (x in l) sum(x)
  attached <- Map(function(system, sent) prepared(function() system$receive(sent), pass), systems(names(sent)), sent)
  times(c(list(plain = prepared(function() unserialize(bytes), pass)), attached), rounds = 15L)
}

# Bytes of shared memory that this process has mapped in.
three_columns <- function(system, sent) {
  frame <- systems(system)[[1]]$receive(sent)
  before <- memory("Shared_Dirty") + memory("Shared_Clean") + memory("Private_Dirty") + memory("Private_Clean")
  for (column in c(5, 50, 95)) sum(frame[[column]])
  memory("Shared_Dirty") + memory("Shared_Clean") + memory("Private_Dirty") + memory("Private_Clean") - before
}
