# What `./dev test` runs; sourced by ./dev. Every part runs, whatever failed before it.

run_tests() {
  local all_r=false preparing
  case "${1:-}" in
    --all-r) all_r=true ;;
    "") ;;
    *) die "test takes no argument but --all-r" ;;
  esac
  need_build_tools
  need_lints
  # shellcheck disable=SC2046 # a list of names
  need_r_packages $(suggested_packages)
  start_counting
  if $all_r; then
    trixie_require
    trixie_start
    preparing=$!
  fi
  lints
  local installed=true
  install_package || { installed=false; count 0 1 0; }
  cargo_tests
  ! $installed || language_tests
  if $all_r; then
    gate trixie-ready "Debian trixie is ready" trixie_wait "$preparing"
    trixie_tests
  fi
  verdict
}

lints() {
  gate fmt "Format" cargo fmt --all --check
  gate clippy "Lints" cargo clippy --workspace --all-targets -- -D warnings
}

cargo_tests() {
  local log=$logs/cargo-test.log status=0
  rm -f "$log"
  # Tests that are linked to R find its library; those that start R find the installed package, by R_LIBS.
  step cargo-test "Rust tests" env LD_LIBRARY_PATH="$(R RHOME)/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
    $(time_limit) cargo test --workspace --no-fail-fast || status=$?
  awk -v status="$status" '
    /^test result:/ { p += $4; f += $6; s += $8 }
    END { if (status && !f) f = 1; print p + 0, f + 0, s + 0 }' "$log" >>"$COWSHED_COUNTS"
}

# What ends a test that hangs, with all its children. At a terminal it is Ctrl-C that must reach all of them.
time_limit() {
  local foreground=
  [ ! -t 2 ] || foreground=--foreground
  echo timeout $foreground --kill-after=10 1200
}

# The part that depends on the versions of R and Python, with the R package installed: Python's looks at what R made.
language_tests() {
  r_tests
  need_python
  python_tests
}

# Of the installed package.
r_tests() {
  library_tests
  testthat_tests
  page_tests
}

library_tests() {
  local library
  library=$(r_library)/cowshed/libs/cowshed.so
  test_step library-symbols "The library exports R_init_cowshed and nothing else" exports_one_symbol "$library"
  test_step library-size "The library is smaller than 4 MB" is_smaller_than 4000000 "$library"
  test_step library-flags "The library stays loaded once it is (nodelete)" stays_loaded "$library"
}

exports_one_symbol() {
  local symbols
  symbols=$(nm --dynamic --defined-only --format=posix "$1" | awk '{ print $1 }')
  echo "$symbols"
  [ "$symbols" = R_init_cowshed ]
}

is_smaller_than() {
  local size
  size=$(wc -c <"$2")
  echo "$size bytes"
  [ "$size" -lt "$1" ]
}

stays_loaded() {
  readelf --dynamic --wide "$1" | grep 'FLAGS_1.*NODELETE'
}

testthat_tests() {
  r_script_tests testthat "R tests, R $(r_version)" tools/testthat.R
}

# What README.md and docs/ say is true of the installed package.
page_tests() {
  r_script_tests pages "Blocks and tables of the pages, R $(r_version)" tests/r/run.R
}

# r_script_tests NAME HEADING SCRIPT: a script that writes its counts into the file it is given.
r_script_tests() {
  local counts=$logs/$1-counts status=0
  rm -f "$counts"
  step "$1" "$2" env NOT_CRAN=true $(time_limit) Rscript --vanilla "$3" "$counts" || status=$?
  # No counts: R died, or was killed by the time limit.
  if [ -s "$counts" ]; then cat "$counts" >>"$COWSHED_COUNTS"; else count 0 1 0; fi
}

trixie_tests() {
  gate msrv "The oldest Rust that will do, which is the Debian tree's" trixie_run bash -c '
    export RUSTC=/usr/bin/rustc && rustc=$($RUSTC --version) && echo "$rustc" &&
      case $rustc in "rustc $0."*) ;; *) echo "not $0" >&2; exit 1 ;; esac &&
      for manifest in Cargo.toml python/Cargo.toml; do
        /usr/bin/cargo check --offline --all-targets --manifest-path $manifest --target-dir "$COWSHED_TARGET_DIR/msrv" || exit
      done
  ' "$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
  trixie_run env COWSHED_COUNTS="$COWSHED_COUNTS" COWSHED_WHEELS="$target/python/wheels" ./dev language-tests || count 0 1 0
}
