# Building, packing and installing the R package; sourced by ./dev.

# The crates that the R package is made of, in the folders of the same names.
crates=(core altrep containers plugins plugins/generators plugins/cache)

# Pages of docs/ that are vignettes of the package too.
vignettes=(adding-a-type door-r door-rust door-c dispatch made-once)

r_version() {
  Rscript --vanilla -e 'cat(sub("[.][^.]*$", "", getRversion()))'
}

r_library() {
  echo "$target/rlib/$(r_version)"
}

# Installs into the checkout's own library, and puts that first for every R process started from here on:
# the environment variable reaches workers too.
install_package() {
  local library
  library=$(r_library)
  mkdir -p "$library"
  export R_LIBS=$library${R_LIBS:+:$R_LIBS}
  step "install" "Install the package for R $(r_version)" \
    env COWSHED_TARGET_DIR="$target" R CMD INSTALL --no-multiarch --clean --library="$library" rpkg
}

package_version() {
  sed -n 's/^Version: *//p' rpkg/DESCRIPTION
}

tarball_path() {
  echo "$target/tarball/cowshed_$(package_version).tar.gz"
}

# A source package that needs nothing but R and Rust. The package's src/ becomes the root of a workspace, with
# our crates next to rust/ and everything else in one archive: thousands of files would be slow to unpack, and
# some of their paths longer than R allows.
make_tarball() {
  local stage=$target/tarball/cowshed
  rm -rf "$target/tarball"
  mkdir -p "$stage"
  step stage "Collect the sources" stage_sources "$stage"
  step vignettes "Make the vignettes' sources" stage_vignettes "$stage"
  step vendor "Collect the dependencies" vendor_dependencies "$stage"
  step build "R CMD build" build_stage
  rm -rf "$stage"
}

stage_sources() {
  local stage=$1 crate
  cargo fetch --quiet && # which also brings Cargo.lock up to date
    cp -R rpkg/. "$stage" && (cd "$stage" && sh ./cleanup) || return
  for crate in "${crates[@]}"; do
    mkdir -p "$stage/src/$crate" && cp -R "$crate/." "$stage/src/$crate" &&
      rm -rf "$stage/src/$crate"/{target,tests,benches,examples,fuzz} || return
  done
  cp Cargo.lock "$stage/src/" &&
    workspace_of_package <Cargo.toml >"$stage/src/Cargo.toml" &&
    for crate in "${crates[@]}" rust; do
      without_development <"$stage/src/$crate/Cargo.toml" >"$stage/manifest" &&
        mv "$stage/manifest" "$stage/src/$crate/Cargo.toml" || return
    done
}

# knitr makes HTML of them. Nothing in them is run here: the tests do that (tests/r).
stage_vignettes() {
  local stage=$1 page
  mkdir -p "$stage/vignettes"
  for page in "${vignettes[@]}"; do
    {
      echo '<!--'
      echo '%\VignetteEngine{knitr::knitr}'
      sed -n '1s/^# \(.*\)/%\\VignetteIndexEntry{\1}/p' "docs/$page.md"
      echo '%\VignetteEncoding{UTF-8}'
      echo '-->'
      echo
      sed 's/\[[a-z-]*[.]md\](\([a-z-]*\)[.]md)/[\1](\1.html)/g' "docs/$page.md"
    } >"$stage/vignettes/$page.Rmd"
  done
}

# The root manifest with only the members that are in the package.
workspace_of_package() {
  local members
  members=$(printf '"%s", ' "${crates[@]}" rust)
  awk -v members="members = [${members%, }]" '
    /^(default-)?members *=/ { skipping = 1 }
    skipping { if (/\]/) skipping = 0; next }
    { print }
    $0 == "[workspace]" { print members }'
}

# A manifest without what only our own tests and benchmarks use.
without_development() {
  awk '/^\[/ { skipping = /dev-dependencies/ || /^\[\[(bench|test|example)\]\]/ } !skipping'
}

vendor_dependencies() {
  local stage=$1
  (
    cd "$stage/src" &&
      cargo vendor --versioned-dirs vendor &&
      third_party_licenses >../LICENSE.note &&
      tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - vendor | xz -9e >vendor.tar.xz &&
      rm -rf vendor
  )
}

third_party_licenses() {
  echo "The library contains code of these Rust crates, whose sources and licence texts are in"
  echo "src/vendor.tar.xz of the source package."
  echo
  awk '
    FNR == 1 { section = name = version = license = "" }
    /^\[/ { section = $0 }
    section == "[package]" && /^name = / { name = $3 }
    section == "[package]" && /^version = / { version = $3 }
    section == "[package]" && /^license = / { sub(/^license = /, ""); printf "%s %s: %s\n", name, version, $0 }
  ' vendor/*/Cargo.toml | tr -d '"'
}

build_stage() {
  (cd "$target/tarball" && R CMD build cowshed)
}

# Installs the source package as on a machine that has never seen cargo, in a network namespace without network
# where we may make one.
install_offline() {
  local scratch network=()
  scratch=$(mktemp -d)
  if as_root unshare --net true 2>/dev/null; then
    network=(as_root unshare --net)
  else
    echo "cannot cut off the network here; cargo is only told not to use it"
  fi
  mkdir "$scratch/library" "$scratch/cargo"
  "${network[@]}" env PATH="$PATH" CARGO_HOME="$scratch/cargo" \
    R CMD INSTALL --library="$scratch/library" "$(tarball_path)" &&
    R_LIBS="$scratch/library" Rscript -e 'library(cowshed); cat("loads\n")'
  local status=$?
  rm -rf "$scratch" 2>/dev/null || as_root rm -rf "$scratch"
  return $status
}

# R CMD check, in which a WARNING counts as a failure.
check_tarball() {
  local log=$target/tarball/cowshed.Rcheck/00check.log
  rm -rf "${log%/*}"
  _R_CHECK_FORCE_SUGGESTS_=false R CMD check --no-manual --output="$target/tarball" "$(tarball_path)" &&
    grep -Eq '^Status: (OK|[0-9]+ NOTEs?)$' "$log"
}
