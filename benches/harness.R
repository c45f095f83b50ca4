# Times calls beside each other, and keeps what came out as the rows of one table.
#
# - A round is every call once, each after a collection, in an order that changes from round to round. A ratio is taken within a round: what slows the machine down for a while slows
#   both down. What is reported of several rounds is the median, with the least and the greatest.
# - Workers are fresh R processes that have read this file, too: what is timed there comes back as the same matrix of seconds.

now <- function() as.numeric(Sys.time())

# A call whose argument is made anew, untimed, for each round.
prepared <- function(prepare, call) structure(list(prepare = prepare, call = call), class = "prepared")

# Seconds of each call (columns) in each round (rows). With `each`, of one of so many calls in a row.
times <- function(calls, rounds = 5L, each = 1L) {
  once <- function(call) {
    argument <- NULL
    if (inherits(call, "prepared")) {
      argument <- call$prepare()
      inner <- call$call
      call <- function() inner(argument)
    }
    gc(full = TRUE)
    start <- now()
    for (k in seq_len(each)) call()
    (now() - start) / each
  }
  # Shuffled: what memory a call gets depends on who let go of some before it.
  one_round <- function(k) {
    turn <- sample(length(calls))
    vapply(calls[turn], once, 0)[order(turn)]
  }
  seconds <- vapply(seq_len(rounds), one_round, numeric(length(calls)))
  matrix(t(matrix(seconds, length(calls))), rounds, dimnames = list(NULL, names(calls)))
}

# ---- the table ----

table_rows <- new.env()
table_rows$ratios <- NULL
table_rows$figures <- NULL
table_rows$curves <- NULL

# One line per baseline: every other column of `seconds` against it. `wanted` is the greatest ratio that cowshed may have.
ratios <- function(group, what, seconds, against = colnames(seconds)[[1]], wanted = NA) {
  wanted <- rep_len(wanted, length(against))
  for (k in seq_along(against)) {
    base <- seconds[, against[[k]]]
    for (who in setdiff(colnames(seconds), against)) {
      ratio <- seconds[, who] / base
      row <- data.frame(
        group = group, what = what, baseline = against[[k]], baseline_ms = median(base) * 1e3, who = who, ms = median(seconds[, who]) * 1e3,
        ratio = median(ratio), least = min(ratio), greatest = max(ratio), wanted = if (who == "cowshed") wanted[[k]] else NA
      )
      table_rows$ratios <- rbind(table_rows$ratios, row)
      cat(sprintf(
        "%-9s %-44s %-13s %9.3f ms  x %-14s %6.2f (%.2f to %.2f)%s\n", group, what, who, row$ms, row$baseline, row$ratio, row$least, row$greatest,
        verdict(row$ratio, row$wanted)
      ))
    }
  }
}

# What is no ratio: bytes, megabytes, or what one call takes where there is nothing to compare it with. `values` is a list by system.
figure <- function(group, what, unit, values, wanted = NA) {
  for (who in names(values)) {
    value <- values[[who]]
    row <- data.frame(
      group = group, what = what, who = who, unit = unit, value = median(value), least = min(value), greatest = max(value),
      wanted = if (who == "cowshed") wanted else NA
    )
    table_rows$figures <- rbind(table_rows$figures, row)
    cat(sprintf(
      "%-9s %-44s %-13s %9.4g %s (%.4g to %.4g)%s\n", group, what, who, row$value, unit, row$least, row$greatest, verdict(row$value, row$wanted)
    ))
  }
}

# A point of a curve for each column of `values`: seconds, drawn in milliseconds.
curve <- function(group, what, axis, at, values, scale = 1e3) {
  for (who in colnames(values)) {
    row <- data.frame(group = group, what = what, axis = axis, at = at, who = who, value = median(values[, who]) * scale)
    table_rows$curves <- rbind(table_rows$curves, row)
    cat(sprintf("%-9s %-34s %12.0f %-8s %-8s %12.4f\n", group, what, at, axis, who, row$value))
  }
}

verdict <- function(value, wanted) {
  if (is.na(wanted)) return("")
  sprintf("  wanted %g: %s", wanted, if (value <= wanted) "yes" else "NO")
}

# ---- other processes ----

with_worker <- function(code) with_workers(1L, function(cluster) code(cluster[1L]))

with_workers <- function(n, code) {
  cluster <- parallel::makePSOCKcluster(n)
  on.exit(parallel::stopCluster(cluster))
  everywhere(cluster, prepare_worker, getwd())
  code(cluster)
}

prepare_worker <- function(directory) {
  setwd(directory)
  for (file in c("benches/harness.R", "benches/systems.R")) sys.source(file, globalenv())
  suppressPackageStartupMessages(library(cowshed))
  invisible()
}

# `f(...)` in each worker; `f` sees what the harness defines, and its arguments. (Its own environment would be sent along.)
everywhere <- function(cluster, f, ...) {
  environment(f) <- globalenv()
  parallel::clusterCall(cluster, f, ...)
}

# The same in the first.
there <- function(cluster, f, ...) everywhere(cluster[1L], f, ...)[[1]]

# Bytes of this process: `Pss` counts a page that is mapped by n processes as an nth, `Private` what nobody else has.
memory <- function(field) {
  lines <- grep(paste0("^", field, ":"), readLines("/proc/self/smaps_rollup"), value = TRUE)
  sum(as.numeric(gsub("[^0-9]", "", lines))) * 1024
}
