#' What sharing costs and saves
#'
#' How much memory the shared objects take, who pays for it, what was copied after all, and how many bytes were never sent because a
#' reference travelled in their place. [sharedObjectReport()] says why an object is still there; this one, what it is good for.
#'
#' Printed, it shows the largest objects and processes; `plot()` draws them beside what private copies would take.
#'
#' @param x A report.
#' @param n Rows of each table, or bars of each panel, at most; the largest come first, the others are summed up.
#' @param ... Not used.
#' @return `sharedMemoryReport()`: an object of class `sharedMemoryReport`, a list with the data frames `objects` and `processes`, and `totals`.
#'   All sizes are in bytes.
#'
#'   `objects` has a row for each segment of the store [share()] would use now, the oldest first:
#'
#'   | column | |
#'   |---|---|
#'   | `Id`, `type`, `length` | as in [sharedObjectReport()] |
#'   | `size` | of its file |
#'   | `views` | R objects of this process that read it, garbage that R has not collected yet included. A list counts once, and once more for each element that was looked at. |
#'   | `holders` | processes that hold it |
#'   | `sent` | references to it that were serialized, in any process, to measure their length too |
#'   | `saved` | bytes that were not serialized because of these: the data each of them stands for (of an element of a list, the element's), less 200 for the reference. By value adds nothing. |
#'   | `copied` | that this process has for itself, because it wrote to a shared object (whole pages of 4,096 bytes) or because C code asked for a pointer to a small one |
#'
#'   `processes` has a row for each living process that holds any of them, by process id:
#'
#'   | column | |
#'   |---|---|
#'   | `pid` | its id; that of another container is the one it has there |
#'   | `name` | its command |
#'   | `objects` | how many it holds |
#'   | `pss` | what it has looked at of the store's mapped pages, each page divided by the number of processes that did (the *proportional set size*): added up over all processes, each page counts once |
#'   | `private` | of that, pages that it copied by writing |
#'   | `rss`, `total` | all memory of the process: resident, and proportional |
#'
#'   `totals` is a numeric vector: `stored`, the bytes of all objects; `copies`, what they would take if each holder had a copy of its own
#'   (`size` times `holders`, added up); `sent`, `saved` and `copied`, the sums of these columns, without what is unknown.
#'
#'   `print()` and `plot()` return `x` invisibly, `format()` the lines that are printed, `as.data.frame()` gives `objects`.
#' @section What is not known: `type`, `length`, `sent` and `saved` are `NA` for what was freed and is still held, and for a damaged file. All of a
#'   process but `pid` and `objects` is `NA` if the system does not let this process look at it: it is in another container, or ended just now,
#'   or the system is not Linux.
#'
#'   An object of up to 16 KiB is no mapping: each process that uses it has a copy, which is in no column but `total`. The same holds for
#'   more, if a process has some ten thousands of them. When one message
#'   has many references to parts of one object, those after the first may be counted only when the process that sent them sends again, or
#'   lets go of the object.
#' @section Errors: `cowshed_error_store` if the store cannot be used.
#' @seealso [sharedObjectReport()], [listSharedObjects()]
#' @examples
#' x <- share(rnorm(1e6))
#' y <- x
#' y[1] <- 0
#' bytes <- serialize(x, NULL)
#' report <- sharedMemoryReport()
#' report
#' report$objects
#' report$totals[["saved"]]
#' plot(report)
#' @export
sharedMemoryReport <- function() {
  all <- .Call(cs_report_memory)
  columns <- all[[1L]]
  objects <- data.frame(
    Id = replace(columns$id, columns$name != "", columns$name[columns$name != ""]),
    type = replace(sub("^r[.]", "", columns$strategy), columns$strategy == "", NA),
    length = columns$length,
    size = columns$size,
    views = as.integer(columns$views),
    holders = as.integer(columns$holders),
    sent = columns$sent,
    saved = columns$saved,
    copied = columns$copied
  )
  columns <- all[[2L]]
  processes <- data.frame(
    pid = as.integer(columns$pid),
    name = replace(columns$name, columns$name == "", NA),
    objects = as.integer(columns$objects),
    pss = columns$pss,
    private = columns$private,
    rss = columns$rss,
    total = columns$total
  )
  # What the library does not know are NaN.
  objects[] <- lapply(objects, nan_as_na)
  processes[] <- lapply(processes, nan_as_na)
  memory_report(objects, processes)
}

nan_as_na <- function(x) if (is.double(x)) replace(x, is.nan(x), NA) else x

memory_report <- function(objects, processes) {
  sum_known <- function(x) sum(x, na.rm = TRUE)
  totals <- c(
    stored = sum_known(objects$size), copies = sum_known(objects$size * objects$holders), sent = sum_known(objects$sent),
    saved = sum_known(objects$saved), copied = sum_known(objects$copied)
  )
  structure(list(objects = objects, processes = processes, totals = totals), class = "sharedMemoryReport")
}

#' @rdname sharedMemoryReport
#' @export
print.sharedMemoryReport <- function(x, n = 10, ...) {
  writeLines(format(x, n = n))
  invisible(x)
}

#' @rdname sharedMemoryReport
#' @export
format.sharedMemoryReport <- function(x, n = 10, ...) {
  objects <- x$objects
  if (nrow(objects) == 0L) return("Nothing is in shared memory.")
  first <- largest(objects$size, n)
  shown <- objects[first, ]
  left <- objects[-first, ]
  lines <- c(in_words(x), "", as_table(
    Id = short_id(shown$Id), type = shortened(shown$type, 10L), length = count_text(shown$length, 1e7), size = bytes_text(shown$size),
    views = count_text(shown$views), holders = count_text(shown$holders), sent = count_text(shown$sent), saved = bytes_text(shown$saved),
    copied = bytes_text(shown$copied)
  ), and_more(nrow(left), sum(left$size)))
  processes <- x$processes
  if (nrow(processes) == 0L) return(lines)
  first <- largest(processes$pss, n)
  shown <- processes[first, ]
  left <- processes[-first, ]
  c(lines, "", as_table(
    pid = format(shown$pid, scientific = FALSE), name = shortened(shown$name, 15L), objects = count_text(shown$objects),
    pss = bytes_text(shown$pss), private = bytes_text(shown$private), rss = bytes_text(shown$rss), total = bytes_text(shown$total)
  ), and_more(nrow(left), sum(left$pss, na.rm = TRUE)))
}

#' @rdname sharedMemoryReport
#' @export
as.data.frame.sharedMemoryReport <- function(x, ...) x$objects

#' @rdname sharedMemoryReport
#' @export
plot.sharedMemoryReport <- function(x, n = 15, ...) {
  objects <- x$objects
  processes <- x$processes
  per_object <- top_and_rest(rbind(objects$size, objects$size * objects$holders), objects$size, n, paste(label_of(objects$type), short_id(objects$Id)))
  private <- replace(processes$private, is.na(processes$private), 0)
  pss <- replace(processes$pss, is.na(processes$pss), 0)
  # What a fork copied before is half the child's.
  shared <- pmax(0, pss - private)
  per_process <- top_and_rest(rbind(shared, pmin(private, pss)), pss, n, paste(label_of(processes$name), processes$pid))
  old <- graphics::par(no.readonly = TRUE)
  on.exit(graphics::par(old))
  rows <- c(ncol(per_object$bars), ncol(per_process$bars))
  graphics::layout(matrix(1:2), heights = pmax(rows, 4) + 4)
  widest <- max(8L, nchar(c(per_object$labels, per_process$labels), "width"))
  graphics::par(mar = c(4, min(16, 2 + 0.45 * widest), 2.5, 1), mgp = c(2.2, 0.7, 0))
  bars(per_object, TRUE, "Objects", c("shared once", "a copy for each holder"))
  bars(per_process, FALSE, "Processes", c("shared, in proportion", "copied by writing"))
  invisible(x)
}

# The numbers of the largest, the largest first.
largest <- function(x, n) order(x, decreasing = TRUE, na.last = TRUE)[seq_len(min(length(x), max(1, n)))]

# Totals, as sentences.
in_words <- function(x) {
  totals <- x$totals
  sentences <- c(
    sprintf(
      "%s in shared memory, %s, held by %s.", several(nrow(x$objects), "object", "objects"), bytes_text(totals[["stored"]]),
      several(nrow(x$processes), "process", "processes")
    ),
    if (totals[["copies"]] > totals[["stored"]]) sprintf("A copy for each holder would take %s.", bytes_text(totals[["copies"]])),
    if (totals[["saved"]] > 0) {
      sent <- several(totals[["sent"]], "reference was", "references were")
      sprintf("%s sent in place of %s of data.", sent, bytes_text(totals[["saved"]]))
    },
    if (totals[["copied"]] > 0) sprintf("This process copied %s.", bytes_text(totals[["copied"]]))
  )
  strwrap(paste(sentences, collapse = " "), width = 80)
}

several <- function(n, one, many) paste(count_text(n, Inf), if (n == 1) one else many)

and_more <- function(n, bytes) if (n > 0L) sprintf("and %s more, of %s", count_text(n, Inf), bytes_text(bytes))

# Columns of text with their names above, numbers to the right; narrow enough for 80 columns wherever that can be done.
as_table <- function(...) {
  columns <- list(...)
  to_the_left <- names(columns) %in% c("Id", "type", "name")
  cells <- Map(function(name, column, left) {
    cells <- c(name, column)
    # Not by format(), which counts a backslash twice.
    gaps <- strrep(" ", max(nchar(cells, "width")) - nchar(cells, "width"))
    if (left) paste0(cells, gaps) else paste0(gaps, cells)
  }, names(columns), columns, to_the_left)
  width <- function(gap) sum(vapply(cells, function(column) nchar(column[1L], "width"), 0)) + (length(cells) - 1) * gap
  gap <- if (width(2) <= 80) "  " else " "
  sub(" +$", "", do.call(paste, c(unname(cells), sep = gap)))
}

# A random id by its beginning; a name as it is, or as much of it as there is room for.
short_id <- function(id) {
  random <- grepl("^[0-9a-f]{32}$", id)
  ifelse(random, substr(id, 1L, 8L), shortened(id, 10L))
}

# As it can be shown in any locale.
shortened <- function(text, width) {
  text <- replace(encodeString(text), is.na(text), "NA")
  long <- nchar(text, "width") > width
  text[long] <- paste0(strtrim(text[long], width - 2L), "..")
  text
}

label_of <- function(text) replace(text, is.na(text), "?")

# Bytes with three digits, by powers of 1,024.
bytes_text <- function(x) {
  units <- c("B", "KiB", "MiB", "GiB", "TiB", "PiB")
  power <- unit_of(x)
  value <- x / 1024^power
  digits <- ifelse(power == 0 | value >= 99.95, 0L, ifelse(value >= 9.995, 1L, 2L))
  ifelse(is.na(x), "NA", ifelse(x == 0, "0", paste(sprintf("%.*f", digits, value), units[power + 1])))
}

# The power of 1,024 by which a number of bytes is shown: less than a thousand of the unit.
unit_of <- function(x) {
  x[is.na(x)] <- 0
  power <- numeric(length(x))
  for (i in 1:5) power <- power + (x / 1024^power >= 999.5)
  power
}

# A number of things; from `most` on with three digits.
count_text <- function(x, most = 1e5) {
  short <- !is.na(x) & x >= most
  power <- pmin(4, floor(log10(pmax(x, 1)) / 3))
  text <- formatC(x, format = "f", digits = 0L, big.mark = ",")
  text[is.na(x)] <- "NA"
  text[short] <- paste0(signif(x / 1000^power, 3), c("", "K", "M", "G", "T")[power + 1])[short]
  text
}

# Two rows of bars with a label for each pair: those of the `n` largest, and a last one of all others.
top_and_rest <- function(bars, size, n, labels) {
  first <- largest(size, n)
  rest <- bars[, -first, drop = FALSE]
  bars <- bars[, first, drop = FALSE]
  labels <- labels[first]
  if (ncol(rest) > 0L) {
    bars <- cbind(bars, rowSums(rest))
    labels <- c(labels, paste(ncol(rest), "more"))
  }
  list(bars = bars, labels = labels)
}

# A panel: the first pair at the top.
bars <- function(of, beside, title, legend) {
  colours <- c("#2b6ca3", "#e8a33d")
  n <- ncol(of$bars)
  if (n == 0L) {
    graphics::plot.new()
    graphics::title(main = title, adj = 0)
    graphics::text(0.5, 0.5, "none")
    return(invisible())
  }
  each <- if (beside) 3 else 1.5
  longest <- if (beside) max(of$bars) else max(colSums(of$bars))
  power <- unit_of(longest)
  # From below: the second of a pair first. With few, bars stay slim.
  shown <- of$bars[if (beside) 2:1 else 1:2, n:1, drop = FALSE] / 1024^power
  room <- max(0, 4 - n) * each
  at <- graphics::barplot(
    shown, beside = beside, horiz = TRUE, col = if (beside) rev(colours) else colours, border = NA, axes = FALSE, names.arg = rep("", n),
    space = if (beside) c(0, 1) else 0.5, xlim = range(pretty(c(0, max(longest, 1) / 1024^power))), ylim = c(-room, n * each + if (beside) 1 else 0.5)
  )
  graphics::axis(1, cex.axis = 0.8)
  graphics::mtext(rev(of$labels), side = 2, line = 0.3, at = if (beside) colMeans(at) else at, las = 1, cex = 0.7)
  graphics::title(main = title, adj = 0)
  graphics::title(xlab = c("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")[power + 1])
  corner <- graphics::par("usr")
  graphics::legend(
    corner[2L], corner[4L], legend, fill = colours, border = NA, bty = "n", cex = 0.8, horiz = TRUE, xjust = 1, yjust = 0.3, xpd = NA
  )
}
