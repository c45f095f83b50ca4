# The page, from the surveys of all versions of R.

write_page <- function(surveys, path) writeLines(enc2utf8(page(surveys)), path, useBytes = TRUE)

page <- function(surveys) {
  versions <- names(surveys)
  both <- merged(surveys)
  functions <- both[both$kind %in% c("base", "stats"), ]
  calls <- both[!both$kind %in% c("base", "stats"), ]
  changing <- Reduce(`|`, lapply(versions, function(v) functions[[v]] == "changes"))
  assigning <- changing & grepl("<-([.].*)?$", functions$name)
  by_not <- changing & !assigning & functions$subject %in% c("logical", "raw")
  c(
    "# What changes a write-through object", "",
    "An object shared with `copyOnWrite = FALSE` is changed by every assignment to it, for every process that has it. R does not tell",
    "an assignment of yours from one inside a function you call, so some functions that change nothing elsewhere change such an object:", "",
    "- functions that assign to elements of their argument, as `replace()` does;",
    "- C code that duplicates an argument the way an assignment does and then writes to it, as in `lm.fit()` and in `!x`;",
    "- arithmetic on an object of 64 elements or more that has just lost or changed its attributes, as in `unclass(x) + 1` and so in",
    "  `x + 2L` for a Date: R takes it for a temporary, and reuses it.", "",
    "This page lists what was found. To call such a function safely, give it `unshare(x)`, or call `setCopyOnWrite(x, TRUE)` first. Objects",
    "shared with `copyOnWrite = TRUE`, the default, are changed by none of these.", "",
    paste0("Made by `docs/generate/write-through.R` with R ", paste(versions, collapse = " and "), ": each call was made on a freshly ",
           "shared object, and the shared"),
    "bytes were compared with a copy. **yes**: they differ after the call. no: they do not. error: this call is an error. In the calls,",
    "`x` is the shared object; `y` is a plain vector as long as `x`, `X` a matrix with as many rows, `i` is `c(3, 1, 2)`, `g` a factor,",
    "`f` a function that sums. A row stands for this call only: other arguments can take another way through the same function.", "",
    "## Calls, by hand", "",
    unlist(lapply(unique(calls$kind), function(kind) call_section(kind, calls[calls$kind == kind, ], versions))),
    "## All functions of base and stats", "",
    "Every exported function was called with each of 14 kinds of objects in up to 45 patterns of arguments: `x` first, second or third,",
    "among vectors, factors, functions, formulas, matrices and constants. The first call that changed `x` is shown. A function was given up",
    "after 5 seconds; so a yes is a finding, and a no says only that none of these calls did it.", "",
    tally(functions, versions), "",
    "### Functions that change an argument, though they are not assignments", "",
    function_table(functions[changing & !assigning & !by_not, ], versions), "",
    "### Functions that change a logical or raw argument, and no other", "",
    "For most it is an option that is `TRUE` or `FALSE`, which they negate with `!`. One would not share an option.", "",
    paste0(listing(functions$name[by_not]), "."), "",
    "### Assignment functions that write through", "",
    "Called as functions, as in `` `[<-`(x, 1, value = 0) ``. That they write is what `copyOnWrite = FALSE` is for.", "",
    paste0(listing(functions$name[assigning]), "."), "",
    "### Functions of which no call came to its end", "",
    "For these there is no finding. None of them changed `x` before it failed.", "",
    unlist(lapply(c("base", "stats"), function(package) {
      unreached <- functions$kind == package & !changing & Reduce(`&`, lapply(versions, function(v) {
        functions[[v]] %in% c("error", "died", "killed", "absent")
      }))
      c(paste0("**", package, "**: ", listing(functions$name[unreached]), "."), "")
    })),
    "### Functions that were not called", "",
    unlist(lapply(skip_reasons(functions), function(reason) {
      paste0("- ", reason, ": ", listing(functions$name[functions$call == reason & skipped_everywhere(functions, versions)]), ".")
    }))
  )
}

# One table, with a column of outcomes for each version; "absent" where that version has no such row.
merged <- function(surveys) {
  key <- function(survey) paste(survey$kind, survey$name, ifelse(survey$kind %in% c("base", "stats"), "", survey$subject), sep = "\t")
  all <- do.call(rbind, unname(surveys))
  all <- all[order(all$outcome != "changes"), ]
  first <- all[!duplicated(key(all)), ]
  in_order <- unique(unlist(lapply(rev(surveys), key)))
  first <- first[match(in_order, key(first)), ]
  for (version in names(surveys)) {
    outcome <- surveys[[version]]$outcome[match(key(first), key(surveys[[version]]))]
    first[[version]] <- ifelse(is.na(outcome), "absent", outcome)
  }
  is_function <- first$kind %in% c("base", "stats")
  rbind(first[!is_function, ], first[is_function, ][order(first$kind[is_function], first$name[is_function], method = "radix"), ])
}

word <- c(changes = "**yes**", same = "no", error = "error", died = "error", killed = "too slow", absent = "not there", skipped = "not called")

call_section <- function(heading, calls, versions) {
  changing <- Reduce(`|`, lapply(versions, function(v) calls[[v]] == "changes"))
  calls <- calls[order(!changing), ]
  c(paste0("### ", heading), "",
    paste0("| `x` is a | call | ", paste0("R ", versions, collapse = " | "), " |"),
    paste0("|---|---|", strrep("---|", length(versions))),
    paste0("| ", calls$subject, " | ", code(calls$name), " | ", outcomes(calls, versions), " |"), "")
}

function_table <- function(functions, versions) {
  c(paste0("| function | `x` is a | call | ", paste0("R ", versions, collapse = " | "), " |"),
    paste0("|---|---|---|", strrep("---|", length(versions))),
    paste0("| ", functions$kind, "::", functions$name, " | ", functions$subject, " | ", code(functions$call), " | ",
           outcomes(functions, versions), " |"))
}

outcomes <- function(rows, versions) do.call(paste, c(lapply(versions, function(v) word[rows[[v]]]), sep = " | "))

# In a table, where a bar would end the cell.
code <- function(text) {
  quote <- ifelse(grepl("`", text, fixed = TRUE), "``", "`")
  pad <- ifelse(quote == "``", " ", "")
  paste0(quote, pad, gsub("|", "\\|", text, fixed = TRUE), pad, quote)
}

listing <- function(names) {
  if (length(names) == 0L) return("none")
  quote <- ifelse(grepl("`", names, fixed = TRUE), "``", "`")
  paste0(quote, names, quote, collapse = ", ")
}

tally <- function(functions, versions) {
  count <- function(v, outcome) sum(functions[[v]] %in% outcome)
  c(paste0("| | ", paste0("R ", versions, collapse = " | "), " |"), paste0("|---|", strrep("---|", length(versions))),
    paste0("| functions | ", paste(vapply(versions, function(v) sum(functions[[v]] != "absent"), 0L), collapse = " | "), " |"),
    paste0("| change `x` | ", paste(vapply(versions, count, 0L, "changes"), collapse = " | "), " |"),
    paste0("| called, and did not change it | ", paste(vapply(versions, count, 0L, "same"), collapse = " | "), " |"),
    paste0("| no call came to its end | ", paste(vapply(versions, count, 0L, c("error", "died", "killed")), collapse = " | "), " |"),
    paste0("| not called | ", paste(vapply(versions, count, 0L, "skipped"), collapse = " | "), " |"))
}

skipped_everywhere <- function(functions, versions) {
  Reduce(`&`, lapply(versions, function(v) functions[[v]] %in% c("skipped", "absent")))
}

skip_reasons <- function(functions) unique(functions$call[functions$call %in% names(skipped)])
