# docs/write-through.md is what docs/generate/write-through.R makes of its surveys, and the surveys are still true: all calls by hand,
# every function known to change its argument, and one in forty of the others are tried again.

parts <- "docs/generate/write-through"
generator <- new.env(parent = globalenv())
for (part in c("probe.R", "functions.R", "calls.R", "survey.R", "page.R")) sys.source(file.path(parts, part), generator)

with(generator, {
  surveys <- read_surveys(parts)
  remedy <- "; run Rscript docs/generate/write-through.R"
  same <- identical(page(surveys), readLines("docs/write-through.md", encoding = "UTF-8"))
  check("docs/write-through.md", as.integer(same), if (!same) paste0("it is not what its surveys say", remedy))

  recorded <- survey_path(parts)
  if (!file.exists(recorded)) {
    check(paste("write-through calls of R", getRversion()), 0L, skipped = 1L)
  } else {
    expected <- read_survey(recorded)
    functions <- all_functions()
    known <- match(paste(functions$package, functions$name), paste(expected$kind, expected$name))
    tried <- expected$outcome[known] %in% "changes" | expected$outcome[known] %in% "same" & seq_len(nrow(functions)) %% 40L == 0L
    found <- rbind(survey_calls(call_list()), survey_functions(functions[tried, ]))
    key <- function(survey) paste(survey$kind, survey$name, survey$subject, survey$outcome, sep = " | ")
    new <- setdiff(key(found), key(expected))
    check(paste("write-through calls, R", getRversion()), nrow(found) - length(new), if (length(new) > 0L) paste0("this is new: ", new, remedy))
  }
})
