//! ARCHITECTURE.md stays true: every path it names exists.

use std::fs;
use std::path::Path;

/// What a page puts in backticks and looks like a path in the repository: it has a slash, no spaces and nothing that
/// stands for something else. Absolute paths and `~` are the machine's, not ours.
fn named_paths(page: &str) -> Vec<&str> {
    page.lines()
        .filter(|line| !line.starts_with("```"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|quoted| quoted.contains('/') && !quoted.starts_with(['/', '~']))
        .filter(|quoted| !quoted.contains("://") && !quoted.contains([' ', '<', '*', '{', '$', '(']))
        .collect()
}

#[test]
fn every_path_named_in_architecture_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    let page =
        fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is at the top of the repository");

    let paths = named_paths(&page);
    assert!(!paths.is_empty(), "ARCHITECTURE.md names no path");

    let missing: Vec<_> = paths.into_iter().filter(|path| !root.join(path).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what does not exist: {missing:?}");
}

#[test]
fn what_counts_as_a_path() {
    let page = "`core/src/lib.rs`, `share(x)`, `/dev/shm`, `docs/`, `a/<name>.rs` and `core/*.rs` of `cowshed`.";
    assert_eq!(named_paths(page), ["core/src/lib.rs", "docs/"]);
}
