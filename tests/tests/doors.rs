//! The pages of the doors show the example packages as they are.

use std::fs;
use std::path::Path;

/// The fenced blocks of a page that a comment with a file's name stands before: name and text.
fn shown(page: &str) -> Vec<(&str, String)> {
    let mut lines = page.lines();
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        let Some(file) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) else { continue };
        assert!(lines.next().is_some_and(|line| line.starts_with("```")), "a block follows the name of {file}");
        let text = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        blocks.push((file, text));
    }
    blocks
}

#[test]
fn every_block_with_a_file_name_is_in_that_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository");
    for page in ["docs/door-c.md", "docs/door-rust.md"] {
        let text = fs::read_to_string(root.join(page)).expect("the page exists");
        let blocks = shown(&text);
        assert!(blocks.len() > 1, "{page} shows its example");
        for (file, block) in blocks {
            let source = fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{page} names {file}: {e}"));
            assert!(source.contains(&block), "{page} shows something of {file} that is not there:\n{block}");
        }
    }
}
