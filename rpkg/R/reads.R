# The variables that a function reads before it assigns them, in the order of its text: `x[1] <- 0` reads x of the outside, if x was not assigned before.

read_first <- function(f) {
  found <- new.env(parent = emptyenv())
  reads_of_function(formals(f), body(f), character(), found)
  ls(found, all.names = TRUE)
}

# Notes in `found` what `code` reads; the names that are assigned after it, `assigned` being those before.
reads_of <- function(code, assigned, found) {
  if (is.symbol(code)) {
    name <- as.character(code)
    if (nzchar(name) && !name %in% assigned) assign(name, TRUE, found)
    return(assigned)
  }
  if (!is.call(code)) return(assigned)
  parts <- as.list(code)
  head <- if (is.symbol(parts[[1L]])) as.character(parts[[1L]]) else "a call"
  parts <- parts[-1L]
  in_turn <- function(parts, assigned) {
    for (k in given(parts)) assigned <- reads_of(parts[[k]], assigned, found)
    assigned
  }
  switch(head,
    quote = , `~` = , `::` = , `:::` = assigned,
    `<-` = , `=` = reads_of_target(parts[[1L]], reads_of(parts[[2L]], assigned, found), found),
    # What is assigned further out is that which is there.
    `<<-` = {
      assigned <- reads_of(parts[[2L]], assigned, found)
      reads_of(variable_of(parts[[1L]]), assigned, found)
      reads_of_target(parts[[1L]], assigned, found)
      assigned
    },
    `function` = {
      reads_of_function(parts[[1L]], parts[[2L]], assigned, found)
      assigned
    },
    `for` = in_turn(parts[3L], c(reads_of(parts[[2L]], assigned, found), as.character(parts[[1L]]))),
    `if` = {
      assigned <- reads_of(parts[[1L]], assigned, found)
      yes <- reads_of(parts[[2L]], assigned, found)
      no <- if (length(parts) > 2L) reads_of(parts[[3L]], assigned, found) else assigned
      intersect(yes, no)
    },
    `$` = , `@` = reads_of(parts[[1L]], assigned, found),
    {
      if (is.call(code[[1L]])) assigned <- reads_of(code[[1L]], assigned, found)
      in_turn(parts, assigned)
    }
  )
}

# Of the left side of an assignment.
reads_of_target <- function(target, assigned, found) {
  variable <- variable_of(target)
  if (is.call(target)) assigned <- reads_of(variable, assigned, found)
  while (is.call(target)) {
    parts <- if (as.character(target[[1L]])[1L] %in% c("$", "@")) list() else as.list(target)[-(1:2)]
    for (k in given(parts)) assigned <- reads_of(parts[[k]], assigned, found)
    target <- target[[2L]]
  }
  c(assigned, as.character(variable))
}

# x of `names(x)[1]`.
variable_of <- function(target) {
  while (is.call(target)) target <- target[[2L]]
  target
}

reads_of_function <- function(arguments, body, assigned, found) {
  assigned <- c(assigned, names(arguments))
  for (k in given(arguments)) reads_of(arguments[[k]], assigned, found)
  reads_of(body, assigned, found)
}

# Which of them are not left empty, as in `x[1, ]`.
given <- function(parts) which(!vapply(seq_along(parts), function(k) identical(parts[[k]], quote(expr = )), TRUE))
