# Makes docs/write-through.md: which calls change an object shared with copyOnWrite = FALSE that is given to them.
#
#   Rscript docs/generate/write-through.R
#
# Tries all calls in write-through/calls.R and all exported functions of base and stats, writes what it finds to
# write-through/R-<version>.tsv, and then the page from all such files. So run it once with each version of R.

parts <- "docs/generate/write-through"
for (part in c("probe.R", "functions.R", "calls.R", "survey.R", "page.R")) source(file.path(parts, part))

survey <- rbind(survey_calls(call_list()), survey_functions(all_functions()))
write_survey(survey, survey_path(parts))
write_page(read_surveys(parts), "docs/write-through.md")
