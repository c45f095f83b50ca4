//! Checking what opening does not look at: the bytes of the payloads.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{StoredError, regular};
use crate::format::DATA_AT;
use crate::segment::read_whole;
use crate::{Checksums, FormatError};

/// What a check has found in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// Every byte of every payload.
    All,
    /// The node table: payloads that are written through have no checksums.
    Structure,
}

/// Reads a whole stored segment and compares it with its checksums. `poll` is asked at every MB.
///
/// # Errors
/// It is damaged, or cannot be read, or what `poll` says.
pub fn verify_stored<E: From<StoredError>>(
    path: &Path,
    mut poll: impl FnMut() -> Result<(), E>,
) -> Result<Verified, E> {
    let file = regular(path, false)?;
    let unread = |e| StoredError::unread(path, e);
    let (header, _) = read_whole(&file, None).map_err(unread)?;
    let sums = header.checksums;
    if sums.offset == 0 {
        return Ok(Verified::Structure);
    }
    let failed = |source| StoredError::failed(path, "reading it", source);
    // And zeros, up to the node table.
    let mut expected = vec![0; (header.table_offset - sums.offset) as usize];
    file.read_exact_at(&mut expected, sums.offset).map_err(failed)?;
    let padding = expected.split_off(sums.len() as usize);
    if crc32fast::hash(&expected) != sums.crc || padding.iter().any(|byte| *byte != 0) {
        let source = FormatError::Corrupt("the checksum of its checksums does not fit");
        return Err(StoredError::Format { path: path.to_owned(), source }.into());
    }
    let mut block = vec![0; Checksums::BLOCK as usize];
    for (i, expected) in expected.chunks_exact(4).enumerate() {
        let from = DATA_AT + i as u64 * Checksums::BLOCK;
        let to = sums.offset.min(from + Checksums::BLOCK);
        let block = &mut block[..(to - from) as usize];
        file.read_exact_at(block, from).map_err(failed)?;
        if crc32fast::hash(block).to_le_bytes() != expected {
            return Err(StoredError::Damaged { path: path.to_owned(), from, to: to - 1 }.into());
        }
        poll()?;
    }
    Ok(Verified::All)
}

/// Whether a file was a segment once, whatever became of it.
pub(super) fn begins_as_one(file: &File) -> bool {
    let mut magic = [0; 8];
    file.read_exact_at(&mut magic, 0).is_ok() && crate::format::is_magic(&magic)
}
