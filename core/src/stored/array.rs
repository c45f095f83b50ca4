//! An array that numpy stored, seen as a segment of one node: its payload is the whole file.
//!
//! - Its id is made of what the file system says of the file: one that was written to since, or replaced, is another.
//! - What the payload's header says is checked here; what its elements mean is its strategy's business.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::which;
use crate::npy::{LONGEST, is_array};
use crate::segment::{Bytes, Unread};
use crate::{Checksums, Header, Mode, Node, Npy, Payload, SegmentId, Table};

/// The strategy of a node whose payload is an array as numpy stores it.
pub const ARRAY_STRATEGY: &str = "numpy.array";

/// The id of an array's file; `None` if it is none.
pub(super) fn identify(file: &File) -> io::Result<Option<SegmentId>> {
    let mut first = [0; 6];
    match file.read_exact_at(&mut first, 0) {
        Ok(()) if is_array(&first) => {}
        Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => return Err(e),
        _ => return Ok(None),
    }
    let about = file.metadata()?;
    let (device, number) = which(&about);
    let text = format!("{device} {number} {} {} {}", about.len(), about.mtime(), about.mtime_nsec());
    Ok(Some(SegmentId::of_name(&text)))
}

/// The segment that it is.
pub(super) fn read(file: &File, id: SegmentId) -> Result<(Header, Table, Bytes), Unread> {
    let about = file.metadata().map_err(Unread::Io)?;
    let len = about.len();
    let mut first = vec![0; len.min(4096) as usize];
    file.read_exact_at(&mut first, 0).map_err(Unread::Io)?;
    let mut npy = Npy::parse(&first, len);
    if npy.is_err() && len > 4096 {
        first.resize(len.min(LONGEST as u64 + 16) as usize, 0);
        file.read_exact_at(&mut first, 0).map_err(Unread::Io)?;
        npy = Npy::parse(&first, len);
    }
    let npy = npy?;
    // Nobody can tell whether somebody writes to it: numpy maps it so if it is asked to. It is believed, as any file that is read.
    let bytes = Bytes::open(file, len, Mode::Frozen, None).map_err(Unread::Map)?;
    let mut table = Table::default();
    let node = Node { length: npy.len().unwrap_or(0), payload: Payload { offset: 0, len }, ..Node::default() };
    table.push(node, ARRAY_STRATEGY, &[]);
    let header = Header {
        id,
        mode: Mode::Frozen,
        file_len: len,
        table_offset: len,
        node_count: 1,
        child_count: 0,
        names_len: 0,
        root: 0,
        created: about.mtime().try_into().unwrap_or(0),
        uid: about.uid(),
        pid: 0,
        index_crc: 0,
        checksums: Checksums::default(),
    };
    Ok((header, table, bytes))
}
