# The blocks of the pages print what the pages say.

pages <- c(
  "README.md", "docs/serialize.md", "docs/parallel-apply.md", "docs/virtual-vectors.md", "docs/on-disk.md", "docs/door-r.md", "tests/r/sharedobject.md", "tests/r/memshare.md",
  "tests/r/travel.md"
)
for (page in pages) {
  found <- run_page(page)
  check(page, found$passed, found$problems)
}
