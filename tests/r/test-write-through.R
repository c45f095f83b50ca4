# docs/write-through.md is what docs/generate/write-through.R makes of its surveys, and the surveys are still true: all calls by hand,
# the call with which each function was found to change its argument, and one in forty of the other functions are tried again.

generator <- new.env(parent = globalenv())
generator$parts <- "docs/generate/write-through"

with(generator, {
  for (part in c("probe.R", "functions.R", "calls.R", "survey.R", "page.R")) sys.source(file.path(parts, part), environment())
  surveys <- read_surveys(parts)
  remedy <- "; run Rscript docs/generate/write-through.R"
  same <- identical(page(surveys), readLines("docs/write-through.md", encoding = "UTF-8"))
  check("docs/write-through.md", as.integer(same), if (!same) paste0("it is not what its surveys say", remedy))

  recorded <- survey_path(parts)
  if (!file.exists(recorded)) {
    check(paste("write-through calls of R", getRversion()), 0L, skipped = 1L)
  } else {
    expected <- read_survey(recorded)
    is_function <- expected$kind %in% c("base", "stats")
    changing <- expected[is_function & expected$outcome == "changes", ]
    others <- expected[is_function & expected$outcome == "same", ]
    others <- others[seq_len(nrow(others)) %% 40L == 0L, ]
    functions <- data.frame(package = others$kind, name = others$name, skipped = NA)
    found <- rbind(survey_calls(call_list()), survey_again(changing), survey_functions(functions))
    key <- function(survey) paste(survey$kind, survey$name, survey$subject, survey$outcome, sep = " | ")
    new <- setdiff(key(found), key(expected))
    check(paste("write-through calls, R", getRversion()), nrow(found) - length(new), if (length(new) > 0L) paste0("this is new: ", new, remedy))
  }
})
