# A million strings: making them shared, and using them in another process, where a plain copy of the same strings is the baseline.
#
# "first" begins with the strings' making, which a plain vector has behind it; `unserialize()` of the plain vector is what that costs there.

run <- function(group) {
  set.seed(1)
  n <- 1e6
  of_strings(group, "100 distinct", sample(sprintf("level %03d", 1:100), n, TRUE), warm = 4)
  of_strings(group, "all distinct", sprintf("string number %07d", sample(n)), warm = 2.5)
}

uses <- list(
  `nchar(x, "bytes")` = function(x) nchar(x, "bytes"),
  `x == y` = function(x) x == "level 050",
  `unique(x)` = function(x) unique(x),
  `match(x, y)` = function(x) match(x, "level 050"),
  `order(x, radix)` = function(x) order(x, method = "radix")
)

of_strings <- function(group, name, x, warm) {
  force(x)
  able <- able_systems("strings")
  shares <- lapply(able, function(system) function() system$share(x))
  ratios(group, paste("share(),", name), times(c(list(`serialize()` = function() serialize(x, NULL)), shares)), wanted = 1)

  kept <- lapply(able, function(system) system$share(x))
  sent <- Map(function(system, shared) system$send(shared), able, kept)
  bytes <- serialize(x, NULL)
  with_worker(function(worker) {
    first <- there(worker, first_pass, bytes, sent, uses[[1]])
    ratios(group, paste("attach and first nchar(),", name), first, wanted = 1)
    whole <- there(worker, whole_use, bytes, sent, uses)
    ratios(group, paste("attach and all uses,", name), whole, wanted = if (name == "100 distinct") 3 else NA)
    for (use in names(uses)) {
      again <- there(worker, second_pass, bytes, sent, uses[[use]])
      limit <- if (use == "nchar(x, \"bytes\")" && name == "all distinct") 2 else if (grepl("nchar|==", use)) NA else warm
      ratios(group, sprintf("warm %s, %s", use, name), again, wanted = limit)
    }
  })
}

# ---- in the worker ----

# A fresh object each time, against unserialize() of the plain one.
first_pass <- function(bytes, sent, use) {
  attach <- function(system, sent) {
    force(sent)
    function() use(system$receive(sent))
  }
  times(c(list(`unserialize()` = function() unserialize(bytes)), Map(attach, systems(names(sent)), sent)))
}

# Everything that is done with the vector, its strings' making included, against the same on a plain vector.
whole_use <- function(bytes, sent, uses) {
  all <- function(x) for (use in uses) use(x)
  attach <- function(system, sent) {
    force(sent)
    function() all(system$receive(sent))
  }
  times(c(list(plain = prepared(function() unserialize(bytes), all)), Map(attach, systems(names(sent)), sent)))
}

# What it takes once the strings were made and looked at.
second_pass <- function(bytes, sent, use) {
  warm <- function(x) {
    use(x)
    use(x)
    function() use(x)
  }
  attached <- Map(function(system, sent) warm(system$receive(sent)), systems(names(sent)), sent)
  times(c(list(plain = warm(unserialize(bytes))), attached))
}
