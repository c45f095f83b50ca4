# Long tests of what survives kills, crowds and valgrind; sourced by ./dev. Each has a short form that runs with the ordinary tests.

# stress_kills [ROUNDS [SEED]]: SIGKILL at random points.
stress_kills() {
  need_build_tools
  install_package || return
  step kills "SIGKILL, ${1:-1000} rounds" Rscript --vanilla tests/reliability/kills.R "${1:-1000}" "${2:-1}" && tail -n 40 "$logs/kills.log"
}

# stress_points: SIGKILL at every system call of every step.
stress_points() {
  step kill-points "SIGKILL at every system call" env COWSHED_EVERY_POINT=1 \
    cargo test --package cowshed-core --release --test kill_points -- --nocapture && grep 'points,' "$logs/kill-points.log"
}

# stress_storm [PROCESSESxSEGMENTSxSECONDS]: many processes at the same segments.
stress_storm() {
  local size=${1:-64x1000x60}
  step storm "Storm, $size" env COWSHED_STORM="$size" \
    cargo test --package cowshed-core --release --test storm -- --nocapture a_storm && grep -o 'storm of .*' "$logs/storm.log"
}

# The R tests that share, read and change in their own process, which is the one that valgrind sees.
valgrind_files=(
  aliases attributes base-operations closures environments flags gctorture inspect language lists matrix memory names options
  properties s4 serialize share sharedobject strategies strings subset subset-window tables types waiting write-through c-api door-r
)

# stress_valgrind [all | NAME...]: of tests/reliability/valgrind-NAME.R and the tests above, all or some; without any, the script of all hooks.
stress_valgrind() {
  local name names=("${@:-hooks}") failed=0
  need_build_tools
  need_valgrind
  need_r_packages testthat callr
  install_with_symbols || return
  [ "${names[*]}" != all ] || names=(hooks torture "${valgrind_files[@]}")
  for name in "${names[@]}"; do
    step "valgrind-$name" "valgrind: $name" valgrind_one "$name" || failed=1
    # Tests may fail here that do not elsewhere: long doubles have 64 bits under valgrind, and everything takes long.
    grep -E '^[a-z0-9-]+: [0-9]+ passed, [1-9][0-9]* failed' "$logs/valgrind-$name.log" || true
  done
  return $failed
}

need_valgrind() {
  have valgrind || apt_install "memory checks" valgrind
}

# The same code as users get, with names for the frames; beside the ordinary build, not instead of it.
install_with_symbols() {
  mkdir -p "$target/valgrind/rlib"
  step install-symbols "Install the package with symbols" \
    env COWSHED_TARGET_DIR="$target/valgrind" CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=1 \
    R CMD INSTALL --no-multiarch --clean --library="$target/valgrind/rlib" rpkg
}

valgrind_one() {
  local report=$logs/valgrind-$1.xml script=(tests/reliability/valgrind-tests.R --args "$1") status=0
  [ ! -f "tests/reliability/valgrind-$1.R" ] || script=("tests/reliability/valgrind-$1.R")
  rm -f "$report"
  # Children that R starts run by themselves; children that it forks write no second report.
  R_LIBS=$target/valgrind/rlib${R_LIBS:+:$R_LIBS} R --vanilla --no-echo -d "valgrind --tool=memcheck --leak-check=full --errors-for-leak-kinds=definite \
    --show-leak-kinds=definite --track-origins=no --num-callers=60 --child-silent-after-fork=yes --xml=yes --xml-file=$report" \
    -f "${script[@]}" || status=$?
  awk -f tests/reliability/findings.awk "$report" && return $status
}
