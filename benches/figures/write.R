# Changing a shared vector: one element of a large one, and many in a loop.

run <- function(group) {
  for (mb in c(8, 800)) {
    x <- rnorm(1e6) + numeric(mb * 1e6 / 8)
    able <- able_systems("ordinary")
    shared <- lapply(able, function(system) system$share(x))
    change <- function(x) {
      force(x)
      function() {
        y <- x
        y[1] <- 0
        y
      }
    }
    seconds <- times(c(list(`plain copy` = change(x)), lapply(shared, change)))
    name <- sprintf("y <- x; y[1] <- 0, %d MB", mb)
    ratios(group, name, seconds)
    figure(group, name, "ms", split_by_system(seconds[, names(able), drop = FALSE] * 1e3), wanted = 1)
    figure(group, paste("private,", name), "kB", lapply(shared, function(x) private_of(change(x)) / 1e3), wanted = 1000)
    rm(shared)
  }
  loops <- list(`x[[i]] <- 1` = function(x) for (i in 1:1e6) x[[i]] <- 1, `x[i] <- i` = function(x) for (i in 1:1e6) x[i] <- i)
  for (name in names(loops)) {
    loop <- loops[[name]]
    made <- list(
      plain = function() numeric(1e6),
      cowshed = function() cowshed::share(numeric(1e6), copyOnWrite = FALSE),
      `cowshed, copyOnWrite` = function() cowshed::share(numeric(1e6)),
      SharedObject = if ("SharedObject" %in% names(systems())) function() SharedObject::share(numeric(1e6), copyOnWrite = FALSE)
    )
    made <- Filter(Negate(is.null), made)
    ratios(group, paste("loop of 1e6,", name), times(lapply(made, function(make) prepared(make, loop))), wanted = 2)
  }
}

private_of <- function(change) {
  gc(full = TRUE)
  before <- memory("Private_Dirty")
  y <- change()
  memory("Private_Dirty") - before
}

split_by_system <- function(columns) lapply(setNames(nm = colnames(columns)), function(name) columns[, name])
