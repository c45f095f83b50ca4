# Where others run the tasks: the user's future plan, and the daemons of mirai. Each task is a future, or a mirai, of its own, which brings the job along.
#
# - Neither tells when the first of several has ended: we look at all of them now and then.
# - A worker of theirs that dies is theirs to replace.

future_engine <- function(most, tasks) {
  needs_package("future")
  workers <- future::nbrOfWorkers()
  passing_engine("cowshed_futures", min(if (is.null(most)) workers else most, if (is.finite(workers)) workers else usual_cores(), tasks))
}

mirai_engine <- function(most, tasks) {
  needs_package("mirai")
  workers <- of_mirai("status")()$connections
  if (!is.numeric(workers) || workers < 1) refuse("CLUSTER = \"mirai\" needs daemons: call mirai::daemons(n) first")
  passing_engine("cowshed_mirais", min(most, workers, tasks))
}

passing_engine <- function(class, slots) {
  engine <- list2env(list(slots = slots, tasks = vector("list", slots), keeps = FALSE), parent = emptyenv())
  structure(engine, class = c(class, "cowshed_passing"))
}

# mirai is no part of Debian, so it is not among the packages that ours suggests.
of_mirai <- function(name) getExportedValue("mirai", name)

post.cowshed_futures <- function(engine, slot, call, ...) {
  arguments <- list(call, ...)
  # Its expression and globals are all that is sent; what is random is ours.
  engine$tasks[[slot]] <- tryCatch(
    future::future(do.call(hello_and, arguments, quote = TRUE), globals = list(hello_and = hello_and, arguments = with_libraries(arguments)), packages = NULL,
                   seed = FALSE, stdout = NA, conditions = NULL, lazy = FALSE, earlySignal = FALSE),
    FutureError = function(e) e
  )
}

post.cowshed_mirais <- function(engine, slot, call, ...) {
  arguments <- with_libraries(list(call, ...))
  engine$tasks[[slot]] <- of_mirai("mirai")(do.call(hello_and, arguments, quote = TRUE), hello_and = hello_and, arguments = arguments)
}

with_libraries <- function(arguments) c(list(.libPaths()), arguments)

# In the worker: loads the package, and calls its function.
hello_and <- eval(quote(function(libraries, call, ...) {
  if (!requireNamespace("cowshed", quietly = TRUE)) .libPaths(c(libraries, .libPaths()))
  result <- loadNamespace("cowshed")[[call]](...)
  loadNamespace("cowshed")$forget_job(0)
  result
}), baseenv())

collect.cowshed_passing <- function(engine, seconds) {
  busy <- which(lengths(engine$tasks) > 0L)
  until <- Sys.time() + seconds
  pause <- 0.0005
  repeat {
    over <- busy[vapply(engine$tasks[busy], is_over, TRUE)]
    if (length(over) > 0L || length(busy) == 0L || Sys.time() >= until) break
    Sys.sleep(pause)
    pause <- min(2 * pause, 0.02)
  }
  answers <- lapply(over, function(slot) c(list(slot = slot), outcome(engine$tasks[[slot]])))
  # Last: what an interrupt comes before is collected again.
  engine$tasks[over] <- list(NULL)
  answers
}

is_over <- function(task) {
  if (inherits(task, "error")) return(TRUE)
  if (inherits(task, "mirai")) !of_mirai("unresolved")(task) else tryCatch(future::resolved(task), FutureError = function(e) TRUE)
}

# What a task gave: its value, or that its worker died.
outcome <- function(task) {
  if (inherits(task, "error")) return(list(died = conditionMessage(task)))
  if (inherits(task, "mirai")) {
    value <- task$data
    if (of_mirai("is_mirai_error")(value)) return(list(value = as.character(value)))
    if (of_mirai("is_error_value")(value)) return(list(died = paste("mirai's error", unclass(value))))
    return(list(value = value))
  }
  tryCatch(list(value = future::value(task)), FutureError = function(e) list(died = conditionMessage(e)), error = function(e) list(value = conditionMessage(e)))
}

revive.cowshed_passing <- function(engine, slot) TRUE

halt.cowshed_passing <- function(engine, slots, is_within) {
  if (inherits(engine, "cowshed_mirais")) for (slot in slots) if (!is.null(engine$tasks[[slot]])) of_mirai("stop_mirai")(engine$tasks[[slot]])
  until <- Sys.time() + 10
  while (any(lengths(engine$tasks[slots]) > 0L) && Sys.time() < until) {
    discard(collect(engine, 0.2))
    late <- engine$tasks[slots]
    # future can stop a task since 1.49.
    if (inherits(engine, "cowshed_futures") && "cancel" %in% getNamespaceExports("future")) {
      for (task in late[lengths(late) > 0L]) if (!inherits(task, "error")) getExportedValue("future", "cancel")(task, interrupt = TRUE)
    }
  }
}

dismiss.cowshed_passing <- function(engine, size) invisible()
part.cowshed_passing <- function(engine) invisible()
