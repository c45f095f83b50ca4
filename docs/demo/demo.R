# A permutation test on 53,940 diamonds, done twice: the workers get the data by clusterExport() alone, and by share() first.
# Run by `./dev demo [output.png]`.
#
# The data are ggplot2's diamonds (ten columns, three of them factors) and a matrix of 1,853 smooth curves in its numeric columns,
# 800 MB. The question: what a plain regression leaves unexplained of the price, does any curve explain it better than chance
# would? Every worker shuffles on its own and needs the whole matrix.

suppressPackageStartupMessages({
  library(cowshed)
  library(parallel)
})

output <- c(commandArgs(TRUE), file.path(Sys.getenv("COWSHED_TARGET_DIR", "target"), "demo.png"))[[1]]
workers <- min(4L, max(2L, detectCores()))
permutations <- 12L * workers

# ---- the data ----

free_bytes <- function(directory) {
  listed <- system2("df", c("--block-size=1", "--output=avail", directory), stdout = TRUE)
  as.numeric(listed[[2]])
}

available_memory <- function() {
  line <- grep("^MemAvailable:", readLines("/proc/meminfo"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) * 1024
}

load_diamonds <- function() {
  data("diamonds", package = "ggplot2", envir = environment())
  as.data.frame(get("diamonds"))
}

# 800 MB where there is room: at most a quarter of the store, and half of the memory with a copy in every process.
matrix_bytes <- min(800e6, free_bytes("/dev/shm") / 4, available_memory() / (2 * (workers + 2)))

# Cosines of random mixtures of the numeric columns; each curve has mean 0 and variance 1. Made in blocks of 40 MB: the C library
# keeps smaller pieces of memory when R gives them back, and the memory column would show them.
make_curves <- function(diamonds, bytes) {
  numbers <- scale(as.matrix(diamonds[c("carat", "depth", "table", "x", "y", "z")]))
  curves <- matrix(0, nrow(numbers), bytes %/% (8 * nrow(numbers)))
  for (block in split(seq_len(ncol(curves)), (seq_len(ncol(curves)) - 1) %/% 93)) {
    mixtures <- rbind(matrix(rnorm(ncol(numbers) * length(block)), ncol(numbers)), runif(length(block), 0, 2 * pi))
    made <- cos(cbind(numbers, 1) %*% mixtures)
    made <- made - rep(colMeans(made), each = nrow(made))
    curves[, block] <- made / rep(sqrt(colMeans(made^2)), each = nrow(made))
  }
  curves
}

# ---- the job, as a worker does it ----

# The greatest correlation of any curve with the unexplained price, shuffled among diamonds of one cut: once for each of `times`.
shuffle <- function(times) {
  unexplained <- unexplained_price(diamonds)
  shuffled <- replicate(times, ave(unexplained, diamonds$cut, FUN = sample))
  apply(abs(crossprod(curves, shuffled)), 2, max) / nrow(curves)
}

unexplained_price <- function(diamonds) {
  as.vector(scale(residuals(lm(log(price) ~ log(carat) + cut + color + clarity, diamonds))))
}

environment(shuffle) <- environment(unexplained_price) <- globalenv()

# ---- the measures ----

seconds <- function(expression) system.time(expression)[["elapsed"]]

# The memory of this process and the workers together, in bytes. PSS counts a page that n processes use as 1/n in each.
memory_of_all <- function(cluster) {
  gc()
  pids <- c(Sys.getpid(), unlist(clusterEvalQ(cluster, { gc(); Sys.getpid() })))
  sum(vapply(pids, function(pid) {
    line <- grep("^Pss:", readLines(sprintf("/proc/%d/smaps_rollup", pid)), value = TRUE)
    as.numeric(gsub("[^0-9]", "", line)) * 1024
  }, 0))
}

# What clusterExport() writes to one worker. A reference is read back, as a worker would, so that none stays in flight.
bytes_sent <- function(names) {
  sum(vapply(names, function(name) {
    message <- serialize(get(name, globalenv()), NULL, xdr = FALSE)
    if (length(message) < 1e5) unserialize(message)
    length(message)
  }, 0))
}

# The whole job; `prepare` is what is done to the data before they are exported.
run <- function(prepare) {
  cluster <- makeCluster(workers)
  on.exit(stopCluster(cluster))
  clusterExport(cluster, "unexplained_price")

  deliver <- seconds({
    diamonds <<- prepare(diamonds)
    curves <<- prepare(curves)
    clusterExport(cluster, c("diamonds", "curves"))
  })
  compute <- Inf
  for (round in 1:3) { # the best of three: it is short, and other programs run too
    clusterSetRNGStream(cluster, 20)
    compute <- min(compute, seconds(best <- unlist(clusterCall(cluster, shuffle, permutations / workers))))
  }
  memory <- memory_of_all(cluster)
  list(best = best, figures = c(deliver, compute, bytes_sent(c("diamonds", "curves")), memory))
}

# ---- what it prints and draws ----

measures <- c("deliver to the workers", "compute", "sent to each worker", "memory of all processes")

show_bytes <- function(bytes) {
  unit <- findInterval(bytes, c(0, 1e4, 1e6, 1e9))
  scaled <- bytes / c(1, 1e3, 1e6, 1e9)[unit]
  paste(ifelse(scaled < 10 & unit > 1, sprintf("%.1f", scaled), format(round(scaled), big.mark = ",", trim = TRUE)),
        c("bytes", "kB", "MB", "GB")[unit])
}

show_seconds <- function(seconds) sprintf("%.2f s", seconds)

show_figures <- function(figures) c(show_seconds(figures[1:2]), show_bytes(figures[3:4]))

print_table <- function(plain, shared) {
  shown <- rbind(c("", "clusterExport()", "share() first"),
                 cbind(measures, show_figures(plain), show_figures(shared)))
  cat(paste0(formatC(shown[, 1], width = -26), formatC(shown[, 2], width = 18), formatC(shown[, 3], width = 18)), sep = "\n")
}

draw <- function(plain, shared, title, path) {
  dir.create(dirname(path), showWarnings = FALSE, recursive = TRUE)
  png(path, width = 1660, height = 640, res = 150, type = if (capabilities("cairo")) "cairo" else getOption("bitmapType"))
  on.exit(dev.off())
  blue <- "#0072B2"
  orange <- "#E69F00"
  par(mfrow = c(2, 2), mar = c(0.8, 7.4, 2.4, 0.5), oma = c(0, 0, 2.2, 0), cex = 1.1)
  for (i in seq_along(measures)) {
    both <- c(shared[[i]], plain[[i]])
    bars <- barplot(both, horiz = TRUE, axes = FALSE, border = NA, col = c(blue, orange), xlim = c(0, max(both) * 1.35), las = 1,
                    names.arg = c("share() first", "clusterExport()"))
    text(both, bars, c(show_figures(shared)[[i]], show_figures(plain)[[i]]), pos = 4, xpd = NA)
    mtext(measures[[i]], side = 3, line = 0.2, adj = 0, font = 2, cex = 1.1)
  }
  mtext(title, outer = TRUE, line = 0.6, adj = 0.01, cex = 1.2)
}

# ---- the run ----

set.seed(1)
diamonds <- load_diamonds()
curves <- make_curves(diamonds, matrix_bytes)

title <- sprintf("%s diamonds and a matrix of %s, %d workers",
                 format(nrow(diamonds), big.mark = ","), show_bytes(as.numeric(object.size(curves))), workers)
cat("A permutation test:", title, "\n\n")

plain <- run(identity)
shared <- run(share)

stopifnot(identical(plain$best, shared$best))
print_table(plain$figures, shared$figures)
cat("\nBoth gave identical results. Memory is PSS: a page that n processes use counts as 1/n in each, so the sum counts it once.\n")

observed <- max(abs(crossprod(curves, unexplained_price(diamonds)))) / nrow(curves)
cat(sprintf("The best curve has a correlation of %.3f with the unexplained price; the best after %d shuffles, %.3f.\n",
            observed, permutations, max(plain$best)))

draw(plain$figures, shared$figures, title, output)
cat("Drawn in", output, "\n\n")

# ---- what is left ----

segments <- unique(sub(":.*", "", c(cowshed:::data_id(curves), vapply(diamonds, cowshed:::data_id, ""))))
store <- cowshed:::store_path()
rm(diamonds, curves)
invisible(gc())
listed <- list.files(file.path(store, "segments"))
left <- sum(segments %in% listed)
others <- length(listed) - left
cat(sprintf("The cluster is stopped and the objects are removed: %d of our %d segments left in %s%s.\n", left, length(segments), store,
            if (others > 0) sprintf(" (and %d of other programs)", others) else ", which is empty"))
stopifnot(left == 0)
