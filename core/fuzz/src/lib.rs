//! What is fuzzed: a file for each target, with the function that is run on every input, the laws it checks, and inputs to begin with.
//!
//! The fuzz targets (`fuzz_targets/`, nightly only) run it on inputs that coverage guides; `core/tests/corpus.rs` includes this file and runs it
//! on the corpus that came out of that, so that every `cargo test` does.

/// For `handmade`. The fast one, because a fuzzer counts every step.
use crc32fast::hash as crc32;

#[path = "../../tests/support/dice.rs"]
pub mod dice;
#[path = "../../tests/support/handmade.rs"]
pub mod handmade;

// Of the R side, but without R: what reads bytes from outside there.
#[allow(dead_code, reason = "a part is used")]
#[path = "../../../altrep/src/reference.rs"]
mod reference_of_altrep;
#[allow(dead_code, reason = "a part is used")]
#[path = "../../../altrep/src/text.rs"]
mod text_of_altrep;

pub mod card;
pub mod ledger_and_control;
pub mod npy;
pub mod reference;
pub mod segment;
mod segment_inputs;
mod segment_opened;
pub mod text;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Every target: its name, its function, its first inputs, and how an input becomes another where bytes at random would rarely do.
pub const TARGETS: [Target; 6] =
    [segment::TARGET, ledger_and_control::TARGET, card::TARGET, text::TARGET, reference::TARGET, npy::TARGET];

pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
    pub mutate: fn(&mut dice::Dice, &mut [u8]),
}

/// A directory for a store of this thread, in memory; removed when the process ends.
fn store_dir(target: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    if n == 0 {
        // SAFETY: the function lives as long as the process. Registered before there is a store, it runs after the stores' own.
        unsafe { libc::atexit(remove_own_dir) };
    }
    std::fs::create_dir_all(own_dir()).expect("memory to keep files in");
    own_dir().join(format!("{target}-{n}"))
}

fn own_dir() -> PathBuf {
    let base = std::env::var_os("COWSHED_FUZZ_DIR").unwrap_or("/dev/shm".into());
    Path::new(&base).join(format!("cowshed-fuzz-{}", std::process::id()))
}

extern "C" fn remove_own_dir() {
    let _ = std::fs::remove_dir_all(own_dir());
}

/// An extreme, or a number that could be a place within `len` bytes.
fn odd(dice: &mut dice::Dice, len: usize) -> u64 {
    const ODD: [u64; 12] = [0, 1, 2, 16, 48, 1216, 4096, 1 << 31, 1 << 32, 1 << 63, u32::MAX as u64, u64::MAX];
    match dice.below(3) {
        0 => ODD[dice.below(ODD.len())].wrapping_add_signed(dice.below(3) as i64 - 1),
        1 => dice.below(len + 2048) as u64 & !15,
        _ => dice.below(64) as u64,
    }
}
