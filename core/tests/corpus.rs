//! What fuzzing found worth keeping, and some chance, on every run of the tests: `core/fuzz/` says what is done with an input.

#[path = "../fuzz/src/lib.rs"]
mod fuzzed;

use std::path::{Path, PathBuf};

use fuzzed::dice::Dice;
use fuzzed::{TARGETS, Target};

/// The inputs of a directory, in order.
fn inputs(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn corpus(target: &Target) -> Vec<PathBuf> {
    inputs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name))
}

#[test]
fn the_corpus_keeps_the_laws_of_its_targets() {
    for target in TARGETS {
        let corpus = corpus(&target);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for path in corpus {
            // Seen if it fails.
            println!("{}", path.display());
            (target.run)(&std::fs::read(path).unwrap());
        }
    }
}

#[test]
fn inputs_at_random_keep_the_laws_of_their_targets() {
    for target in TARGETS {
        let mut dice = Dice(11);
        let mut inputs = (target.seeds)();
        inputs.iter().for_each(|input| (target.run)(input));
        inputs.extend(corpus(&target).into_iter().map(|path| std::fs::read(path).unwrap()));
        for _ in 0..3_000 {
            let mut input = inputs[dice.below(inputs.len())].clone();
            for _ in 0..1 + dice.below(4) {
                (target.mutate)(&mut dice, &mut input);
            }
            if dice.below(8) == 0 && !input.is_empty() {
                let at = dice.below(input.len());
                input[at] = dice.roll() as u8;
            }
            (target.run)(&input);
        }
    }
}
