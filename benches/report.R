# The report of a run: a table in Markdown, the numbers as CSV, and a plot.

report <- function(directory) {
  ratios <- table_rows$ratios
  figures <- table_rows$figures
  lines <- c(sprintf("R %s, %s, %d cores, %s", getRversion(), kernel(), parallel::detectCores(), processor()), "")
  if (!is.null(ratios)) {
    write.csv(ratios, file.path(directory, "ratios.csv"), row.names = FALSE)
    lines <- c(lines, ratio_table(ratios), "")
    ratio_plot(ratios, file.path(directory, "ratios.png"))
  }
  if (!is.null(figures)) {
    write.csv(figures, file.path(directory, "figures.csv"), row.names = FALSE)
    lines <- c(lines, figure_table(figures))
  }
  if (!is.null(table_rows$curves)) {
    write.csv(table_rows$curves, file.path(directory, "curves.csv"), row.names = FALSE)
    curve_plot(table_rows$curves, file.path(directory, "curves.png"))
  }
  file <- file.path(directory, "report.md")
  writeLines(lines, file)
  cat("\n", paste0(lines, "\n"), "\nwritten to ", directory, "\n", sep = "")
}

kernel <- function() paste(Sys.info()[["sysname"]], sub("-.*", "", Sys.info()[["release"]]))

processor <- function() {
  model <- grep("^model name", readLines("/proc/cpuinfo"), value = TRUE)
  if (length(model)) sub(".*: *", "", model[[1]]) else R.version$arch
}

# One line per thing and baseline, the others' ratios in the last column.
ratio_table <- function(rows) {
  key <- interaction(rows$group, rows$what, rows$baseline, drop = TRUE, lex.order = FALSE)
  parts <- split(rows, factor(key, levels = unique(key)))
  line <- function(part) {
    ours <- part[part$who == "cowshed", ]
    if (!nrow(ours)) return(NULL)
    others <- part[part$who != "cowshed", ]
    sprintf(
      "| %s | %s | %s, %s | %s | **%.2f** (%.2f to %.2f) | %s | %s |", ours$group, ours$what, ours$baseline, duration(ours$baseline_ms), duration(ours$ms),
      ours$ratio, ours$least, ours$greatest, limit(ours$ratio, ours$wanted), toString(sprintf("%s %.2f", others$who, others$ratio))
    )
  }
  c(
    "| group | what | baseline | cowshed | ratio (least to greatest) | wanted | others |", "|---|---|---|---|---|---|---|",
    unlist(lapply(parts, line), use.names = FALSE)
  )
}

figure_table <- function(rows) {
  parts <- split(rows, factor(paste(rows$group, rows$what), levels = unique(paste(rows$group, rows$what))))
  line <- function(part) {
    ours <- part[part$who == "cowshed", ]
    others <- part[part$who != "cowshed", ]
    if (!nrow(ours)) return(NULL)
    sprintf(
      "| %s | %s | **%.4g** (%.4g to %.4g) %s | %s | %s |", ours$group, ours$what, ours$value, ours$least, ours$greatest, ours$unit,
      limit(ours$value, ours$wanted), toString(sprintf("%s %.4g", others$who, others$value))
    )
  }
  c("| group | what | cowshed | wanted | others |", "|---|---|---|---|---|", unlist(lapply(parts, line), use.names = FALSE))
}

limit <- function(value, wanted) if (is.na(wanted)) "" else sprintf("%g%s", wanted, if (value <= wanted) "" else ", **missed**")

duration <- function(ms) {
  if (ms >= 1000) sprintf("%.2f s", ms / 1000) else if (ms >= 1) sprintf("%.1f ms", ms) else sprintf("%.1f us", ms * 1000)
}

# Ratios as points with their range, on a logarithmic scale; what is wanted as a bar.
ratio_plot <- function(rows, file) {
  rows$label <- sprintf("%s: %s / %s", rows$group, rows$what, rows$baseline)
  labels <- rev(unique(rows$label))
  systems <- unique(c("cowshed", rows$who))
  colours <- setNames(palette.colors(length(systems), "Okabe-Ito"), systems)
  png(file, 1400, 120 + 26 * length(labels), res = 110)
  on.exit(dev.off())
  par(mar = c(4, 30, 2, 1), las = 1, cex = 0.75)
  reach <- range(rows$least, rows$greatest, 1)
  plot(NA, xlim = reach, ylim = c(0.5, length(labels) + 0.5), log = "x", yaxt = "n", ylab = "", xlab = "time as a multiple of the baseline's")
  axis(2, seq_along(labels), labels, tick = FALSE)
  abline(v = 1, col = "grey60")
  abline(h = seq_along(labels), col = "grey92")
  y <- match(rows$label, labels)
  limited <- !is.na(rows$wanted)
  segments(rows$wanted[limited], y[limited] - 0.35, y1 = y[limited] + 0.35, lwd = 2, col = "grey30")
  segments(rows$least, y, rows$greatest, col = colours[rows$who])
  points(rows$ratio, y, pch = ifelse(rows$who == "cowshed", 19, 1), col = colours[rows$who])
  legend("bottomright", systems, col = colours, pch = ifelse(systems == "cowshed", 19, 1), bg = "white")
}

# What grows: one panel for each thing measured; logarithmic where the axis is bytes.
curve_plot <- function(rows, file) {
  panels <- split(rows, factor(rows$what, levels = unique(rows$what)))
  png(file, 1400, 420 * ceiling(length(panels) / 2), res = 110)
  on.exit(dev.off())
  par(mfrow = c(ceiling(length(panels) / 2), 2), mar = c(4, 5, 2, 1), las = 1)
  colours <- c(cowshed = "#0072B2", limit = "grey50")
  for (what in names(panels)) {
    panel <- panels[[what]]
    panel <- panel[panel$value > 0, ]
    of_bytes <- panel$axis[[1]] == "bytes"
    label <- if (grepl("MB$", what)) "MB" else "ms"
    plot(panel$at, panel$value, type = "n", log = if (of_bytes) "xy" else "", xlab = panel$axis[[1]], ylab = "", main = what,
         ylim = if (of_bytes) range(panel$value) else c(0, max(panel$value)))
    mtext(label, 2, line = 3.5, las = 0, cex = 0.8)
    for (who in unique(panel$who)) {
      line <- panel[panel$who == who, ]
      lines(line$at, line$value, col = colours[[who]], lwd = 2)
      points(line$at, line$value, col = colours[[who]], pch = 19)
    }
    legend("topleft", unique(panel$who), col = colours[unique(panel$who)], lwd = 2, bty = "n")
  }
}
