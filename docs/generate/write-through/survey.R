# What was found with one version of R: a table with a row for each call of call_list() and each function of all_functions().
#
# Columns: `kind` (a call's heading, or the function's package), `name` (the call, or the function), `subject` (what `x` was),
# `outcome` (see probe.R; "skipped" with the reason in `call`), `call` (for a function: the call that changed `x`).

survey_calls <- function(calls) {
  plain <- plain_subjects()
  found <- in_children(seq_along(calls), function(k) {
    list(outcome = probe_call(calls[[k]]$call, plain[[calls[[k]]$subject]], limit = 20))
  })
  data.frame(kind = vapply(calls, `[[`, "", "heading"), name = vapply(calls, function(one) as_text(one$call), ""),
             subject = vapply(calls, `[[`, "", "subject"), outcome = vapply(found, `[[`, "", "outcome"), call = "")
}

survey_functions <- function(functions) {
  called <- is.na(functions$skipped)
  found <- in_children(which(called), function(k) probe_function(functions$package[[k]], functions$name[[k]]))
  field <- function(name) vapply(found, function(one) if (is.null(one[[name]]) || is.na(one[[name]])) "" else one[[name]], "")
  surveyed <- data.frame(kind = functions$package, name = functions$name, subject = "", outcome = "skipped", call = functions$skipped)
  surveyed$subject[called] <- field("subject")
  surveyed$outcome[called] <- field("outcome")
  surveyed$call[called] <- field("call")
  surveyed
}

# Tries only the recorded calls of functions found to change their subject.
survey_again <- function(recorded) {
  plain <- plain_subjects()
  found <- in_children(seq_len(nrow(recorded)), function(k) {
    list(outcome = probe_call(str2lang(recorded$call[[k]]), plain[[recorded$subject[[k]]]], limit = 20))
  })
  recorded$outcome <- vapply(found, `[[`, "", "outcome")
  recorded
}

# On one line, as one would write it.
as_text <- function(call) {
  lines <- trimws(deparse(call, width.cutoff = 500L))
  n <- length(lines)
  if (n == 1L) return(lines)
  glue <- ifelse(grepl("[{]$", lines[-n]) | grepl("^[}]", lines[-1L]), " ", "; ")
  paste0(lines, c(glue, ""), collapse = "")
}

survey_path <- function(parts) file.path(parts, paste0("R-", sub("[.][^.]*$", "", getRversion()), ".tsv"))

write_survey <- function(survey, path) {
  utils::write.table(survey, path, sep = "\t", quote = FALSE, row.names = FALSE, fileEncoding = "UTF-8")
}

read_survey <- function(path) {
  utils::read.delim(path, quote = "", colClasses = "character", na.strings = character(), fileEncoding = "UTF-8")
}

# All of them, named by R's version, oldest first.
read_surveys <- function(parts) {
  paths <- list.files(parts, "^R-.*[.]tsv$", full.names = TRUE)
  versions <- sub("^R-(.*)[.]tsv$", "\\1", basename(paths))
  sorted <- order(numeric_version(versions))
  stats::setNames(lapply(paths[sorted], read_survey), versions[sorted])
}
