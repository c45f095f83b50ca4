//! What opening does not look at: the bytes of the payloads.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{StoredError, array, regular};
use crate::format::DATA_AT;
use crate::segment::{Unread, read_header, read_whole};
use crate::{Checksums, FormatError, Header};

/// What a check has found in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// Every byte of every payload.
    All,
    /// The node table: payloads that are written through have no checksums, nor have numpy's arrays.
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
    if let Some(id) = array::identify(&file).map_err(|e| unread(Unread::Io(e)))? {
        return array::read(&file, id).map(|_| Verified::Structure).map_err(|e| unread(e).into());
    }
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

/// Whether two stored segments are the same but for their ids, and when and by whom they were made.
///
/// # Errors
/// One of them cannot be read.
pub fn same_stored(a: &Path, b: &Path) -> Result<bool, StoredError> {
    let open = |path: &Path| regular(path, false);
    let files = [(open(a)?, a), (open(b)?, b)];
    let read = |i: usize, buffer: &mut [u8], at: u64| {
        let (file, path): &(File, &Path) = &files[i];
        file.read_exact_at(buffer, at).map_err(|source| StoredError::failed(path, "reading it", source))
    };
    let header = |i: usize| read_header(&files[i].0, None).map_err(|e| StoredError::unread(files[i].1, e));
    let (one, other) = (header(0)?.0, header(1)?.0);
    let shape = Header { id: one.id, created: one.created, uid: one.uid, pid: one.pid, ..other };
    if shape != one {
        return Ok(false);
    }
    let [mut mine, mut theirs] = [vec![0; Checksums::BLOCK as usize], vec![0; Checksums::BLOCK as usize]];
    for at in (DATA_AT..one.file_len).step_by(Checksums::BLOCK as usize) {
        let n = Checksums::BLOCK.min(one.file_len - at) as usize;
        read(0, &mut mine[..n], at)?;
        read(1, &mut theirs[..n], at)?;
        if mine[..n] != theirs[..n] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a file was a segment or an array once, whatever became of it.
pub(super) fn begins_as_one(file: &File) -> bool {
    let mut magic = [0; 8];
    file.read_exact_at(&mut magic, 0).is_ok() && (crate::format::is_magic(&magic) || crate::npy::is_array(&magic))
}
