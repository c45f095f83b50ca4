//! Rows of the node table: nodes of 48 bytes, children of 4. As they are in the file, because most of a large table is looked at once, or never.
//!
//! They are written in blocks, each with a checksum, and a large table is read in place: a block's checksum is compared when one of its rows is
//! looked at for the first time, and each row is copied and checked each time. So nothing depends on what others do to the file meanwhile.

use std::sync::atomic::{AtomicU8, Ordering};

use super::u32_at;

/// Bytes of a block, but for the last: a whole number of rows of either size.
const BLOCK: usize = 3072;

/// Blocks of `rows` rows of `N` bytes.
pub(super) const fn blocks<const N: usize>(rows: u32) -> u32 {
    rows.div_ceil((BLOCK / N) as u32)
}

/// The checksums of blocks, one after the other.
pub(super) fn checksums(rows: &[u8]) -> Vec<u8> {
    rows.chunks(BLOCK).flat_map(|block| crc32fast::hash(block).to_le_bytes()).collect()
}

/// Why rows are not what was written.
type Why = &'static str;

pub(super) enum Rows<const N: usize> {
    /// All here, written by us or checked.
    Own(Vec<[u8; N]>),
    /// In a file that is mapped.
    Mapped(Blocks<N>),
}

pub(super) struct Blocks<const N: usize> {
    start: *const u8,
    rows: usize,
    checksums: Vec<u8>,
    /// Of each block, whether its checksum fits.
    states: Box<[AtomicU8]>,
}

const UNKNOWN: u8 = 0;
const GOOD: u8 = 1;
const BAD: u8 = 2;

// SAFETY: the memory at `start` is only read, by copying, whatever others do to it.
unsafe impl<const N: usize> Send for Blocks<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Sync for Blocks<N> {}

impl<const N: usize> Default for Rows<N> {
    fn default() -> Self {
        Rows::Own(Vec::new())
    }
}

impl<const N: usize> Rows<N> {
    /// All of these, checked at once.
    pub(super) fn checked(
        bytes: &[u8],
        checksums: &[u8],
        check: impl Fn(&[u8; N]) -> Result<(), Why>,
    ) -> Result<Self, Why> {
        let mut rows = Vec::with_capacity(bytes.len() / N);
        for (block, checksum) in bytes.chunks(BLOCK).zip(checksums.chunks_exact(4)) {
            if crc32fast::hash(block) != u32_at(checksum, 0) {
                return Err(DAMAGED);
            }
            rows.extend(block.chunks_exact(N).map(|row| <[u8; N]>::try_from(row).expect("rows of N bytes")));
        }
        rows.iter().try_for_each(check)?;
        Ok(Rows::Own(rows))
    }

    /// So many rows from `start` on.
    ///
    /// # Safety
    /// That memory can be read as long as these rows are asked for.
    pub(super) unsafe fn mapped(start: *const u8, rows: u32, checksums: &[u8]) -> Self {
        let states = (0..blocks::<N>(rows)).map(|_| AtomicU8::new(UNKNOWN)).collect();
        Rows::Mapped(Blocks { start, rows: rows as usize, checksums: checksums.to_vec(), states })
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Rows::Own(rows) => rows.len(),
            Rows::Mapped(blocks) => blocks.rows,
        }
    }

    /// Row `i`.
    #[inline]
    pub(super) fn row(&self, i: usize, check: impl Fn(&[u8; N]) -> Result<(), Why>) -> Result<[u8; N], Why> {
        match self {
            Rows::Own(rows) => rows.get(i).copied().ok_or(NONE_SUCH),
            Rows::Mapped(blocks) => blocks.row(i).and_then(|row| check(&row).map(|()| row)),
        }
    }

    /// Those written here.
    pub(super) fn own(&self) -> &[[u8; N]] {
        match self {
            Rows::Own(rows) => rows,
            Rows::Mapped(_) => unreachable!("a table of a file is not written again"),
        }
    }

    pub(super) fn own_mut(&mut self) -> &mut Vec<[u8; N]> {
        match self {
            Rows::Own(rows) => rows,
            Rows::Mapped(_) => unreachable!("a table of a file is not written again"),
        }
    }
}

const NONE_SUCH: Why = "it refers to a node that it does not have";

const DAMAGED: Why = "the checksum of its node table does not fit";

impl<const N: usize> Blocks<N> {
    #[inline]
    fn row(&self, i: usize) -> Result<[u8; N], Why> {
        const { assert!(BLOCK % N == 0) };
        if i >= self.rows {
            return Err(NONE_SUCH);
        }
        let block = i / (BLOCK / N);
        match self.states[block].load(Ordering::Relaxed) {
            GOOD => {}
            UNKNOWN if self.look_at(block) => {}
            _ => return Err(DAMAGED),
        }
        let mut row = [0; N];
        // SAFETY: `mapped` was promised the memory of all rows, and this is one.
        unsafe { std::ptr::copy_nonoverlapping(self.start.add(i * N), row.as_mut_ptr(), N) };
        Ok(row)
    }

    /// Whether the checksum of a block fits.
    #[cold]
    fn look_at(&self, block: usize) -> bool {
        let mut bytes = [0; BLOCK];
        let at = block * BLOCK;
        let bytes = &mut bytes[..BLOCK.min(self.rows * N - at)];
        // SAFETY: as above. Copied, because others may write there.
        unsafe { std::ptr::copy_nonoverlapping(self.start.add(at), bytes.as_mut_ptr(), bytes.len()) };
        let good = crc32fast::hash(bytes) == u32_at(&self.checksums[block * 4..], 0);
        self.states[block].store(if good { GOOD } else { BAD }, Ordering::Relaxed);
        good
    }
}
