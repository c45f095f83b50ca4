//! A bit for each page of a vector, in memory only where bits were set.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::PAGE;
use super::space::Space;

/// - Bits are set and cleared by one thread at a time, and read by any.
/// - A forked child has its own.
pub(super) struct Bitmap {
    words: Space,
    bits: usize,
    set: AtomicUsize,
}

impl Bitmap {
    pub(super) fn new(bits: usize) -> io::Result<Bitmap> {
        let words = Space::reserve(bits.div_ceil(8).next_multiple_of(PAGE).max(PAGE))?;
        Ok(Bitmap { words, bits, set: AtomicUsize::new(0) })
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the space is as long, aligned to pages, zeros to begin with, lives as long as `self`, and is read and written as here alone.
        unsafe { std::slice::from_raw_parts(self.words.start() as *const AtomicU64, self.words.len() / 8) }
    }

    /// How many are set.
    pub(super) fn count(&self) -> usize {
        self.set.load(Ordering::Acquire)
    }

    pub(super) fn has(&self, bit: usize) -> bool {
        self.words()[bit / 64].load(Ordering::Acquire) >> (bit % 64) & 1 == 1
    }

    pub(super) fn set(&self, bit: usize) {
        let mask = 1 << (bit % 64);
        if self.words()[bit / 64].fetch_or(mask, Ordering::Release) & mask == 0 {
            self.set.fetch_add(1, Ordering::Release);
        }
    }

    pub(super) fn clear(&self, bit: usize) {
        let mask = 1 << (bit % 64);
        // One that is not set is not written to: that would cost memory.
        if self.has(bit) && self.words()[bit / 64].fetch_and(!mask, Ordering::Release) & mask != 0 {
            self.set.fetch_sub(1, Ordering::Release);
        }
    }

    /// The 64 bits from `64 * word` on.
    pub(super) fn word(&self, word: usize) -> u64 {
        self.words()[word].load(Ordering::Acquire)
    }

    /// The first that is set from `bit` on and before `end`.
    pub(super) fn next(&self, bit: usize, end: usize) -> Option<usize> {
        let end = end.min(self.bits);
        if self.count() == 0 || bit >= end {
            return None;
        }
        let mut word = bit / 64;
        let mut bits = self.word(word) & (!0 << (bit % 64));
        while bits == 0 {
            word += 1;
            if word * 64 >= end {
                return None;
            }
            bits = self.word(word);
        }
        Some(word * 64 + bits.trailing_zeros() as usize).filter(|found| *found < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_bit_is_the_first_that_is_set_within_the_range() {
        let map = Bitmap::new(1 << 27).unwrap();
        assert_eq!(map.next(0, usize::MAX), None);
        for bit in [0, 63, 64, 1000, (1 << 27) - 1] {
            map.set(bit);
            map.set(bit);
        }
        assert_eq!(map.count(), 5);
        let all: Vec<_> = std::iter::successors(map.next(0, 1 << 27), |b| map.next(b + 1, 1 << 27)).collect();
        assert_eq!(all, [0, 63, 64, 1000, (1 << 27) - 1]);
        assert_eq!((map.next(1, 63), map.next(65, 1000), map.next(65, 1001)), (None, None, Some(1000)));
        map.clear(64);
        map.clear(65);
        assert_eq!((map.count(), map.next(64, 1 << 27), map.has(63)), (4, Some(1000), true));
    }
}
