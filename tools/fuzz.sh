# `./dev fuzz`: coverage-guided fuzzing of what reads bytes that others wrote; sourced by ./dev.
#
#   ./dev fuzz [EXECUTIONS] [TARGET]   10,000,000 of `segment` if nothing is said
#   ./dev fuzz replay TARGET FILE...   runs these inputs again
#   ./dev fuzz minimise TARGET         makes the kept corpus anew: the fewest inputs that reach all that was reached
#
# - The targets are core/fuzz/fuzz_targets/; what they try is in core/fuzz/src/.
# - It starts from the corpus that is kept, core/fuzz/corpus/TARGET, and puts what it finds into target/fuzz/corpus-TARGET. An input that
#   breaks a law is left in target/fuzz/findings-TARGET.
# - It needs a nightly toolchain, for AddressSanitizer and the counters; not cargo-fuzz, though its layout is kept.

fuzz_targets=(segment ledger_and_control card text reference npy)

fuzz() {
  local work=run executions=10000000
  case ${1:-} in
    replay | minimise) work=$1 ;;
    *[!0-9]*) die "usage: ./dev fuzz [EXECUTIONS] [TARGET]; or replay TARGET FILE..., or minimise TARGET" ;;
    *) executions=${1:-$executions} ;;
  esac
  [ $# -eq 0 ] || shift
  local name=${1:-segment}
  [ $# -eq 0 ] || shift
  [[ " ${fuzz_targets[*]} " == *" $name "* ]] || die "no target '$name'; there are: ${fuzz_targets[*]}"
  need_nightly
  step fuzz-build "Build the fuzz targets" fuzz_build || return
  # Of its own shell, so that its files go when it ends, whatever happens to it, and however often this is called.
  (
    COWSHED_FUZZ_DIR=$(mktemp -d /dev/shm/cowshed-fuzz.XXXXXX)
    export COWSHED_FUZZ_DIR
    trap 'rm -rf "$COWSHED_FUZZ_DIR"' EXIT
    case $work in
      run) fuzz_run "$executions" "$name" ;;
      replay) fuzz_binary "$name" "$@" ;;
      minimise) fuzz_minimise "$name" ;;
    esac
  )
}

have_nightly() {
  have rustup && rustup toolchain list 2>/dev/null | grep -q '^nightly'
}

need_nightly() {
  have_nightly || die "fuzzing needs a nightly toolchain: rustup toolchain install nightly --profile minimal"
  have c++ || die "fuzzing needs a C++ compiler, which builds libFuzzer. On Debian: g++"
}

# The flags are cargo-fuzz's, but for the tracing of comparisons: it takes a third of the time, and the targets know what to compare with.
fuzz_build() {
  local flags=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0
    --cfg fuzzing
    -Zsanitizer=address
    -Cdebug-assertions
    -Ccodegen-units=1
  )
  RUSTFLAGS="${flags[*]}" cargo +nightly build --release --manifest-path core/fuzz/Cargo.toml \
    --target "$(rust_host)" --target-dir "$target/fuzz/build"
}

rust_host() {
  rustc -vV | sed -n 's/^host: //p'
}

# Fast, at the cost of what Rust cannot do wrong and of where memory came from. What is leaked is leaked on purpose.
fuzz_asan=detect_leaks=0:quarantine_size_mb=16:detect_stack_use_after_return=0:malloc_context_size=1

# Runs a target; frames are large there, so that the deepest nesting needs more than the usual stack.
fuzz_binary() {
  local name=$1
  shift
  (
    ulimit -s 65536 || true
    export ASAN_OPTIONS=$fuzz_asan${ASAN_OPTIONS:+:$ASAN_OPTIONS}
    exec "$target/fuzz/build/$(rust_host)/release/$name" "$@"
  )
}

fuzz_run() {
  local executions=$1 name=$2 found=$target/fuzz/corpus-$2 findings=$target/fuzz/findings-$2 status=0
  mkdir -p "$found" "$findings" "core/fuzz/corpus/$name"
  fuzz_binary seeds "$name" "$found"
  fuzz_binary "$name" -runs="$executions" -max_len="$(fuzz_longest "$name")" -timeout=20 -print_final_stats=1 \
    -artifact_prefix="$findings/" "$found" "core/fuzz/corpus/$name" 2>&1 | tee "$logs/fuzz-$name.log" || status=$?
  rm -f "$found"/seed-*
  return "$status"
}

# Bytes of an input. Large files are made of small inputs.
fuzz_longest() {
  case $1 in
    segment | ledger_and_control) echo 4096 ;;
    card) echo 1024 ;;
    *) echo 512 ;;
  esac
}

fuzz_minimise() {
  local name=$1 kept=core/fuzz/corpus/$1 smallest
  smallest=$(mktemp -d "$target/fuzz/smallest.XXXXXX")
  mkdir -p "$kept" "$target/fuzz/corpus-$name"
  fuzz_binary "$name" -set_cover_merge=1 -max_len="$(fuzz_longest "$name")" "$smallest" "$kept" "$target/fuzz/corpus-$name" &&
    rm -rf "$kept" && mv "$smallest" "$kept" && chmod 755 "$kept" &&
    echo "$kept: $(ls "$kept" | wc -l) inputs, $(cat "$kept"/* | wc -c) bytes"
}
