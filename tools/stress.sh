# `./dev stress`: the long forms of what docs/reliability.md reports; sourced by ./dev. Each has a short form that runs with the ordinary tests, or in CI.
#
#   ./dev stress               all of it: hours
#   ./dev stress short         what CI runs of it beside ./dev test: minutes
#   ./dev stress PART [HOW]    kills, applies, saves, faults, storm, pages, loop, model, valgrind

stress() {
  local part=${1:-all}
  [ $# -eq 0 ] || shift
  need_build_tools
  case $part in
    kills | applies | saves | faults | storm | pages | loop | model | valgrind) "stress_$part" "$@" ;;
    short) stress_short ;;
    all) each_of stress_kills stress_applies stress_saves stress_faults stress_storm stress_pages stress_loop stress_model 'stress_valgrind all' 'fuzz 10000000' sanitize ;;
    *) die "no part '$part'; there are: kills applies saves faults storm pages loop model valgrind short" ;;
  esac
}

# Runs all of them, whatever fails.
each_of() {
  local one failed=0
  for one in "$@"; do $one || failed=1; done
  return $failed
}

# Memory checks need a nightly toolchain and valgrind; where there is no nightly, that is said and the rest runs.
stress_short() {
  local checks=(stress_valgrind)
  if have_nightly; then
    checks+=(sanitize 'fuzz 200000 segment' 'fuzz 50000 ledger_and_control' 'fuzz 50000 card')
  else
    echo "AddressSanitizer and fuzzing: skipped, there is no nightly toolchain" >&2
  fi
  each_of "${checks[@]}"
}

# stress_faults: SIGKILL, and every error it can give, at every system call of every operation. As with the ordinary tests, and its counts shown.
stress_faults() {
  step faults "A fault at every system call" cargo test --package cowshed-core --test faults -- --nocapture &&
    grep ' system calls' "$logs/faults.log"
}

# stress_loop [ROUNDS [MEGABYTES]]: shares, sends and drops a large object.
stress_loop() {
  need_r_packages future
  install_package || return
  step loop "Share, send, drop: ${1:-1000} rounds of ${2:-1000} MB" Rscript --vanilla tests/reliability/loop.R "${1:-1000}" "${2:-1000}" &&
    tail -n 3 "$logs/loop.log"
}

# stress_model: more of the lease protocol's states than the tests visit.
stress_model() {
  step model "The lease protocol, deep" cargo run --package cowshed-tests --release --example lease_model -- --deep &&
    tail -n 12 "$logs/model.log"
}

# stress_kills [ROUNDS [SEED]]: SIGKILL at random points.
stress_kills() {
  need_build_tools
  install_package || return
  step kills "SIGKILL, ${1:-1000} rounds" Rscript --vanilla tests/reliability/kills.R "${1:-1000}" "${2:-1}" && tail -n 40 "$logs/kills.log"
}

# stress_applies [ROUNDS [SEED]]: the same, and interrupts, amid memApply(), memLapply() and named variables.
stress_applies() {
  need_build_tools
  install_package || return
  step applies "Kills amid memApply(), ${1:-300} rounds" Rscript --vanilla tests/reliability/applies.R "${1:-300}" "${2:-1}" && tail -n 40 "$logs/applies.log"
}

# stress_saves [ROUNDS [SEED]]: SIGKILL at random points of Save, and at each of its system calls; and each of them failing.
stress_saves() {
  need_build_tools
  install_package || return
  step saves "Kills and faults amid Save, ${1:-200} rounds" Rscript --vanilla tests/reliability/saves.R "${1:-200}" "${2:-1}" && tail -n 12 "$logs/saves.log"
}

# stress_storm [PROCESSESxSEGMENTSxSECONDS]: many processes at the same segments.
stress_storm() {
  local size=${1:-64x1000x60}
  step storm "Storm, $size" env COWSHED_STORM="$size" \
    cargo test --package cowshed-core --release --test storm -- --nocapture a_storm && grep -o 'storm of .*' "$logs/storm.log"
}

# stress_pages: a pass through 64 GB of virtual pages, and 1e6 scattered writes to 512 GB by three threads while pages come and go.
stress_pages() {
  step pages "A million writes to pages that come and go" env PAGER_LONG=1 timeout 1800 \
    cargo test --package cowshed-core --release --test pager_limits -- --exact --nocapture --test-threads 1 \
    a_pass_takes_no_more_memory_than_it_may scattered_writes_of_three_threads_are_all_kept && grep '^test ' "$logs/pages.log"
}

# The R tests that share, read and change in their own process, which is the one that valgrind sees.
valgrind_files=(
  aliases attributes base-operations closures environments flags gctorture inspect language lists matrix memory named names options
  properties s4 serialize share sharedobject slices strategies strings subset subset-window tables types waiting write-through c-api door-r
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
