//! A segment's file, read before anything in it is believed: at attach, and by whoever only looks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::{Bytes, Lines};
use crate::format::DATA_AT;
use crate::{FormatError, Header, NodeId, Payload, SegmentId, Table};

/// A file that is small enough to be read with its header in one call, and a node table to be read and checked at once.
pub(crate) const ONE_READ: u64 = 16 << 10;

pub(crate) enum Unread {
    Io(io::Error),
    Map(io::Error),
    Format(FormatError),
}

impl From<FormatError> for Unread {
    fn from(e: FormatError) -> Self {
        Unread::Format(e)
    }
}

/// Reads and checks header and node table, of a large one its index and its root, with `pread`: a file cut short is an error here, not SIGBUS.
/// `id`: which segment it must be, if that is known.
pub(crate) fn read(file: &File, id: Option<SegmentId>) -> Result<(Header, Table, Bytes), Unread> {
    let (header, first) = read_header(file, id)?;
    if header.file_len <= ONE_READ {
        let table = Table::parse(&header, &first.bytes()[header.table_offset as usize..])?;
        let bytes = Bytes::open(file, header.file_len, header.mode, Some(first)).map_err(Unread::Map)?;
        return Ok((header, table, bytes));
    }
    let small = header.table_len() <= ONE_READ;
    let end = read_end(file, &header, if small { header.table_len() } else { header.index_len() })?;
    let bytes = Bytes::open(file, header.file_len, header.mode, None).map_err(Unread::Map)?;
    let table = match small {
        true => Table::parse(&header, end.bytes())?,
        // SAFETY: the bytes of the segment that the table becomes a part of.
        false => unsafe { table_of(&header, end.bytes(), &bytes) }?,
    };
    table.check(NodeId(header.root)).map_err(FormatError::Corrupt)?;
    Ok((header, table, bytes))
}

/// The table in the bytes of a whole file, which it must not outlive.
pub(crate) unsafe fn table_of(header: &Header, index: &[u8], bytes: &Bytes) -> Result<Table, FormatError> {
    let start = bytes.at(Payload { offset: header.table_offset, len: header.table_len() });
    // SAFETY: as our caller promises; the header was checked against the file.
    unsafe { Table::mapped(header, index, start) }
}

/// The same without a mapping: all of the table.
pub(crate) fn read_whole(file: &File, id: Option<SegmentId>) -> Result<(Header, Table), Unread> {
    let (header, _) = read_header(file, id)?;
    let table = Table::parse(&header, read_end(file, &header, header.table_len())?.bytes())?;
    Ok((header, table))
}

/// The header, and what was read with it: of a small file, all.
pub(crate) fn read_header(file: &File, id: Option<SegmentId>) -> Result<(Header, Lines), Unread> {
    let len = file.metadata().map_err(Unread::Io)?.len();
    let one = if len <= ONE_READ { len } else { DATA_AT };
    let mut first = Lines::zeroed(one as usize).map_err(Unread::Io)?;
    file.read_exact_at(first.bytes_mut(), 0).map_err(Unread::Io)?;
    let header = Header::parse(first.bytes(), len)?;
    if id.is_some_and(|id| header.id != id) {
        return Err(FormatError::Corrupt("its header names another segment").into());
    }
    Ok((header, first))
}

/// The last so many bytes of a file whose header was checked against its length.
fn read_end(file: &File, header: &Header, len: u64) -> Result<Lines, Unread> {
    let mut bytes = Lines::zeroed(len as usize).map_err(Unread::Io)?;
    file.read_exact_at(bytes.bytes_mut(), header.file_len - len).map_err(Unread::Io)?;
    Ok(bytes)
}
