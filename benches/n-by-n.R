# Columns of n x n matrices, n from 10 to 10,000: time and memory of memApply() against n, beside serial apply(), parApply() and memshare's memApply().
# `./dev bench n-by-n`.
#
# - The job is a correlation for each column; two workers, up before. Each way at each n has an R of its own.
# - What comes out is n-by-n.csv, n-by-n.md and n-by-n.png, in the folder of the other benchmarks.

n_by_n <- function(output, sizes = c(10, 32, 100, 316, 1000, 3162, 10000)) {
  rows <- NULL
  for (n in sizes) {
    for (way in names(ways_here(c("apply", "parApply", "memshare", "cowshed")))) {
      # The matrix, all copies of it that parApply() makes, and room to breathe.
      if (free_bytes() < 8 * 8 * n^2) {
        message(way, " is left out at n = ", n, ": not enough memory is free")
        next
      }
      found <- alone(way, n, n, rounds = if (n > 1000) 3L else 9L)
      if (is.null(found)) {
        message(way, " failed at n = ", n)
        next
      }
      seconds <- found$seconds
      row <- data.frame(
        n = n, who = way, ms = median(seconds) * 1e3, least = min(seconds) * 1e3, greatest = max(seconds) * 1e3,
        peak_mb = found$peak / 1e6, beyond_mb = (found$peak - found$before) / 1e6
      )
      rows <- rbind(rows, row)
      cat(sprintf(
        "n = %5d  %-9s %10.2f ms (%.2f to %.2f)  %8.1f MB, %.1f more than before\n", as.integer(n), way, row$ms, row$least, row$greatest,
        row$peak_mb, row$beyond_mb
      ))
    }
  }
  write.csv(rows, file.path(output, "n-by-n.csv"), row.names = FALSE)
  writeLines(n_by_n_table(rows), file.path(output, "n-by-n.md"))
  n_by_n_plot(rows, file.path(output, "n-by-n.png"))
  cat(n_by_n_table(rows), "", paste("written to", output), sep = "\n")
}

free_bytes <- function() {
  line <- grep("^MemAvailable:", readLines("/proc/meminfo"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) * 1024
}

# A line for each n; of each way its time, and its memory beyond what it had before the call.
n_by_n_table <- function(rows) {
  who <- unique(rows$who)
  cell <- function(n, way) {
    row <- rows[rows$n == n & rows$who == way, ]
    if (nrow(row)) sprintf("%s, %.1f MB", duration(row$ms), max(row$beyond_mb, 0)) else ""
  }
  c(
    sprintf("R %s, %s, %d cores, %s", getRversion(), kernel(), parallel::detectCores(), processor()), "",
    "A correlation for each column of an n x n matrix, with two workers that are up before (`apply`: with none): the median time, and the greatest PSS of",
    "master and workers during a call beyond what it was before. (It is looked at every few milliseconds, so that of the smallest is not seen.)", "",
    paste0("| n | matrix | ", paste(who, collapse = " | "), " |"), paste0("|", strrep("---|", length(who) + 2L)),
    vapply(unique(rows$n), function(n) {
      sprintf("| %d | %.3g MB | %s |", as.integer(n), 8 * n^2 / 1e6, paste(vapply(who, cell, "", n = n), collapse = " | "))
    }, "")
  )
}

n_by_n_plot <- function(rows, file) {
  who <- unique(rows$who)
  colours <- setNames(palette.colors(8, "Okabe-Ito")[c(1, 2, 4, 6)], c("apply", "parApply", "memshare", "cowshed"))
  png(file, 1400, 620, res = 110)
  on.exit(dev.off())
  par(mfrow = c(1, 2), mar = c(4, 5, 2, 1), las = 1)
  panel <- function(values, main) {
    plot(rows$n, values, type = "n", log = "xy", xlab = "n", ylab = "", main = main)
    grid(equilogs = FALSE)
    for (way in who) {
      line <- rows$who == way
      lines(rows$n[line], values[line], col = colours[[way]], lwd = 2)
      points(rows$n[line], values[line], col = colours[[way]], pch = if (way == "cowshed") 19 else 1)
    }
    legend("topleft", who, col = colours[who], lwd = 2, pch = ifelse(who == "cowshed", 19, 1), bty = "n")
  }
  panel(rows$ms, "time of a call, ms")
  panel(rows$peak_mb, "PSS of master and workers at its highest, MB")
}
