# The findings of valgrind that are ours: awk -f findings.awk REPORT.xml... Fails if there are any.
#
# R reads values it has not initialised, and so do libraries it uses; a finding is ours if cowshed.so is anywhere in one of its stacks.

/<error>/ { finding = ""; ours = 0; inside = 1 }
inside { finding = finding "\n" $0 }
/<obj>.*\/cowshed\.so<\/obj>/ { ours = 1 }
/<\/error>/ {
  inside = 0
  all++
  if (ours) { n++; show(finding) }
}
/<\/valgrindoutput>/ { complete++ }

END {
  printf "%d findings, %d of them with frames of cowshed.so\n", all, n
  # Killed, or crashed so that nothing more was written.
  if (complete < ARGC - 1) { print ARGC - 1 - complete " reports are not complete"; n++ }
  exit n > 0
}

# What it is, and its stacks: function and line of each frame.
function show(text, lines, i, count, line, frame) {
  count = split(text, lines, "\n")
  for (i = 1; i <= count; i++) {
    line = lines[i]
    if (line ~ /<(kind|what|text|auxwhat)>/) print value(line)
    if (line ~ /<frame>/) frame = ""
    if (line ~ /<fn>/) frame = value(line)
    if (line ~ /<obj>/) object = value(line)
    if (line ~ /<file>/) frame = frame " (" value(line)
    if (line ~ /<line>/) frame = frame ":" value(line) ")"
    if (line ~ /<\/frame>/) print "    " (frame == "" ? "??? in " object : frame)
  }
  print ""
}

function value(line) {
  sub(/^[^>]*>/, "", line)
  sub(/<[^<]*$/, "", line)
  gsub(/&lt;/, "<", line); gsub(/&gt;/, ">", line); gsub(/&amp;/, "\\&", line)
  return substr(line, 1, 160)
}
