# The Python package: built as a user would, and tested; sourced by ./dev.
#
# - It has an environment of its own, in target/python, so that neither the system's packages nor a user's are touched.
# - The wheel is for every version of Python. The Debian tree (tools/trixie.sh) tests the one that was built out here, with Debian's numpy:
#   certificates and settings of this machine's network are not in the tree.

# Needed by what is below, beside need_build_tools.
need_python() {
  have python3 || apt_install "Python" python3 python3-venv
  # What Debian has apart: without it `python3 -m venv` fails half-way.
  python3 -c 'import venv, ensurepip' 2>/dev/null || apt_install "Python" python3-venv
}

python_tests() {
  local venv=$target/python/venv
  if [ -n "${COWSHED_WHEELS:-}" ]; then
    step python-wheel "Install the wheel that was built outside" install_wheel "$venv" "$COWSHED_WHEELS" || { count 0 1 0; return 0; }
  else
    step python-build "Build and install the Python package" build_python "$venv" "$target/python/wheels" || { count 0 1 0; return 0; }
    gate python-fmt "Format (Python package)" cargo fmt --manifest-path python/Cargo.toml --check
    gate python-clippy "Lints (Python package)" python_cargo clippy --all-targets -- -D warnings
  fi
  python_test_suite "$venv"
}

# A wheel by way of pip, as a user would build it, then the wheel itself.
build_python() {
  local venv=$1 wheels=$2
  { [ -x "$venv/bin/python" ] || python3 -m venv "$venv"; } &&
    rm -rf "$wheels" &&
    env CARGO_TARGET_DIR="$target/python" "$venv/bin/python" -m pip wheel --no-deps --wheel-dir "$wheels" ./python &&
    "$venv/bin/python" -m pip install --force-reinstall --no-deps "$wheels"/cowshed-*.whl &&
    "$venv/bin/python" -m pip install "$(echo "$wheels"/cowshed-*.whl)[test]"
}

# Beside the system's numpy and pytest.
install_wheel() {
  local venv=$1 wheels=$2
  { [ -x "$venv/bin/python" ] || python3 -m venv --system-site-packages "$venv"; } &&
    "$venv/bin/python" -m pip install --no-index --force-reinstall --no-deps "$wheels"/cowshed-*.whl
}

python_cargo() {
  local command=$1
  shift
  # PyO3 asks the interpreter what it is.
  env PYO3_PYTHON="$target/python/venv/bin/python" cargo "$command" --manifest-path python/Cargo.toml --target-dir "$target/python" "$@"
}

# The tests see the installed package, as they are started outside its sources; R's part finds R's package by R_LIBS.
python_test_suite() {
  local venv=$1 report=$logs/python-tests.xml status=0
  rm -f "$report"
  step python-tests "Python tests, Python $("$venv/bin/python" -c 'import platform; print(platform.python_version())')" \
    env R_LIBS="$(r_library)" $(time_limit) "$venv/bin/python" -m pytest -q -p no:cacheprovider --junit-xml="$report" "$root/python/tests" || status=$?
  # No report: Python died, or was killed by the time limit.
  if [ -s "$report" ]; then python_counts "$venv" "$report" "$status" >>"$COWSHED_COUNTS"; else count 0 1 0; fi
}

# python_counts VENV REPORT STATUS: "passed failed skipped" of a report; a run that failed otherwise is one failure.
python_counts() {
  "$1/bin/python" - "$2" "$3" <<'EOF'
import sys
import xml.etree.ElementTree as tree

suites = list(tree.parse(sys.argv[1]).iter("testsuite"))
total, failed, errors, skipped = (sum(int(s.get(k, 0)) for s in suites) for k in ("tests", "failures", "errors", "skipped"))
failed += errors
if sys.argv[2] != "0" and not failed:
    failed = 1
print(total - failed - skipped, failed, skipped)
EOF
}
