//! A hash for addresses: of objects that a heap aligns, and lays close together.

use std::hash::{BuildHasherDefault, Hasher};

/// What a map by address is made with.
pub type ByAddress = BuildHasherDefault<AddressHasher>;

/// Spreads them.
#[derive(Debug, Default)]
pub struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_usize(usize::from(*b)));
    }

    fn write_usize(&mut self, n: usize) {
        self.0 = (self.0 ^ n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
