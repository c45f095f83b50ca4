# The blocks of the pages print what the pages say.

for (page in c("README.md", "docs/serialize.md", "docs/parallel-apply.md", "docs/door-r.md", "tests/r/sharedobject.md", "tests/r/memshare.md",
               "tests/r/travel.md")) {
  found <- run_page(page)
  check(page, found$passed, found$problems)
}
