# Quiet steps, and the count of what they tested; sourced by ./dev.
#
# - `step` prints one line, keeps the output in a log, and shows the log only on failure.
# - Whatever tests something appends a line "passed failed skipped" to a file, which `verdict` adds up.
#   The file's name is exported, so that a ./dev inside the Debian tree writes to the same one.

die() {
  printf 'dev: %s\n' "$*" >&2
  exit 1
}

# step LOG HEADING COMMAND...
# The command may be a function. `set -e` does not hold inside a step that is itself a condition, so functions
# that are run as steps chain their commands with &&.
step() {
  local log=$logs/$1.log heading=$2 start=$SECONDS status=0
  shift 2
  printf '%-64s ' "$heading"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" -eq 0 ]; then
    printf 'ok %4ds\n' $((SECONDS - start))
    return 0
  fi
  printf 'FAILED (%s)\n' "$status"
  tail -n 400 "$log"
  printf '^^^ %s\n' "$log"
  return "$status"
}

start_counting() {
  COWSHED_COUNTS=$(mktemp "$logs/counts.XXXXXX")
  export COWSHED_COUNTS
}

count() {
  echo "$1 $2 $3" >>"$COWSHED_COUNTS"
}

# A step that counts as nothing when it passes and as one failure when it fails.
gate() {
  step "$@" || count 0 1 0
}

# A step that is one test.
test_step() {
  if step "$@"; then count 1 0 0; else count 0 1 0; fi
}

# Prints the line that ends every `./dev test`, and fails if anything did.
verdict() {
  local passed failed skipped
  read -r passed failed skipped < <(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$COWSHED_COUNTS")
  rm -f "$COWSHED_COUNTS"
  [ $((passed + failed)) -gt 0 ] || failed=1 # nothing ran at all
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
}
