# Runs the R code blocks of a page and compares what they print with what the page says they print.
#
# - A block is what stands between ```r and ```. Blocks of a page run in order, in the global environment, as a reader's do.
# - Lines that begin with `#>` say what the expression before them prints. An expression that prints something else, or prints
#   where the page says nothing, is a failure. White space does not count; a line `#> ...` stands for any lines.
# - Messages and errors count as printed, as they do for a reader.

run_page <- function(path) {
  before <- ls(globalenv(), all.names = TRUE)
  on.exit(rm(list = setdiff(ls(globalenv(), all.names = TRUE), before), envir = globalenv()))
  blocks <- code_blocks(readLines(path, encoding = "UTF-8"))
  if (length(blocks) == 0L) return(list(passed = 0L, problems = paste0(path, ": no R block found")))
  problems <- unlist(lapply(blocks, function(block) {
    found <- run_block(block)
    if (length(found) > 0L) paste0(path, ":", block$line, ": ", found)
  }))
  list(passed = length(blocks) - length(problems), problems = problems)
}

# A list with, for each block, its `code` and the `line` of the page where it begins.
code_blocks <- function(page) {
  starts <- grep("^```r\\s*$", page)
  fences <- grep("^```\\s*$", page)
  lapply(starts, function(start) {
    end <- fences[fences > start][[1L]]
    list(code = page[seq_len(end - start - 1L) + start], line = start)
  })
}

# The first problem of a block, or NULL.
run_block <- function(block) {
  expressions <- parse(text = block$code, keep.source = TRUE)
  positions <- attr(expressions, "srcref")
  for (i in seq_along(expressions)) {
    from <- positions[[i]][[3L]]
    to <- if (i < length(expressions)) positions[[i + 1L]][[1L]] - 1L else length(block$code)
    after <- block$code[seq_len(max(0L, to - from)) + from]
    expected <- sub("^#>", "", grep("^#>", after, value = TRUE))
    printed <- printed_by(expressions[[i]])
    if (!matches(printed, expected)) {
      return(paste0(paste(deparse(expressions[[i]]), collapse = "\n"), "\n  the page says: ", paste(expected, collapse = "\n    "),
                    "\n  but it prints: ", paste(printed, collapse = "\n    ")))
    }
  }
}

printed_by <- function(expression) {
  said <- character()
  printed <- utils::capture.output(tryCatch(
    withCallingHandlers({
      value <- withVisible(eval(expression, globalenv()))
      if (value$visible) if (isS4(value$value)) methods::show(value$value) else print(value$value)
    }, message = function(m) {
      said <<- c(said, strsplit(conditionMessage(m), "\n")[[1L]])
      invokeRestart("muffleMessage")
    }),
    error = function(e) said <<- c(said, strsplit(paste("Error:", conditionMessage(e)), "\n")[[1L]])
  ))
  c(printed, said)
}

# Lines are compared as words; in `expected`, a line of dots stands for any lines.
matches <- function(printed, expected) {
  words <- function(lines) {
    lines <- gsub("\\s+", " ", trimws(lines))
    lines[nzchar(lines)]
  }
  printed <- words(printed)
  expected <- words(expected)
  if (!"..." %in% expected) return(identical(printed, expected))
  quoted <- ifelse(expected == "...", ".*", paste0("\\Q", expected, "\\E"))
  grepl(paste0("(?s)^", paste(quoted, collapse = "\n?"), "$"), paste(printed, collapse = "\n"), perl = TRUE)
}
