//! Writing a segment: payloads one after the other, small ones gathered, large ones straight to the file.

use std::cell::Cell;
use std::fs::File;
use std::sync::Arc;

use super::bytes::COPIED;
use super::{Backing, Bytes, Home, Lines, Segment};
use crate::format::{ALIGN, DATA_AT, Encoded, LARGE, align_up, alignment};
use crate::sys::{self, Unnamed};
use crate::{Checksums, CreateError, Header, Mode, NodeId, Payload, SegmentId, Table};

/// Takes payloads in order.
pub trait Sink {
    /// Announces a payload of `len` bytes, which then follow by [`Sink::append`].
    ///
    /// # Errors
    /// No room for it.
    fn begin(&mut self, len: u64) -> Result<Payload, CreateError>;

    /// The next bytes of the payload announced.
    ///
    /// # Errors
    /// No room, or the file cannot be written.
    fn append(&mut self, bytes: &[u8]) -> Result<(), CreateError>;

    /// The payload announced is all zeros. False if they must be appended like others.
    ///
    /// # Errors
    /// No room.
    fn zeros(&mut self, _len: u64) -> Result<bool, CreateError> {
        Ok(false)
    }
}

/// Small payloads are written so many bytes at a time: what stays in a core's own cache, and malloc() need not ask the kernel for.
const GATHERED: usize = 96 << 10;

thread_local! {
    /// The memory of the last writer's `tail`.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.tail.capacity() <= 2 * GATHERED {
            self.tail.clear();
            // Gone already at the end of the thread.
            let _ = SPARE.try_with(|spare| spare.set(std::mem::take(&mut self.tail)));
        }
    }
}

/// Where the next payload goes, by the rules of the format.
pub(crate) fn place(end: u64, len: u64) -> Payload {
    match len {
        0 => Payload::default(),
        _ => Payload { offset: align_up(end, alignment(len)), len },
    }
}

/// A segment in a file that has no name yet. Dropped unsealed, it leaves nothing.
pub struct Writer {
    /// `None` as long as all is in `tail` and may stay there.
    file: Option<Unnamed>,
    id: SegmentId,
    mode: Mode,
    /// Its id is made of a name that others may use too.
    named: bool,
    store: crate::Store,
    /// Bytes not yet written, which belong at `tail_at`. Begins with the place of the header, so that a small segment is one write.
    tail: Vec<u8>,
    tail_at: u64,
}

impl Writer {
    pub(crate) fn new(store: crate::Store, mode: Mode) -> Result<Writer, CreateError> {
        let file = Some(store.unnamed_file()?);
        let mut writer = Self::waiting(store, mode);
        writer.file = file;
        Ok(writer)
    }

    /// One that gets its file only when there is more than a small segment to write.
    pub(crate) fn waiting(store: crate::Store, mode: Mode) -> Writer {
        let mut tail = SPARE.take();
        tail.resize(DATA_AT as usize, 0);
        Writer { file: None, id: SegmentId::random(), mode, named: false, store, tail, tail_at: 0 }
    }

    /// With an id that others may give to theirs as well: sealing it fails with `AlreadyExists` if there is one.
    pub(crate) fn with_id(mut self, id: SegmentId) -> Writer {
        (self.id, self.named) = (id, true);
        self
    }

    pub(super) fn end(&self) -> u64 {
        self.tail_at + self.tail.len() as u64
    }

    fn pad_to(&mut self, at: u64) {
        // A gap is at most a page: payloads follow one another.
        self.tail.resize((at - self.tail_at) as usize, 0);
    }

    pub(super) fn flush(&mut self) -> Result<(), CreateError> {
        if self.file.is_none() {
            self.file = Some(self.store.unnamed_file()?);
        }
        if self.tail.is_empty() {
            return Ok(());
        }
        self.write(&self.tail, self.tail_at)?;
        self.tail_at = self.end();
        self.tail.clear();
        Ok(())
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), CreateError> {
        self.store
            .with_room(bytes.len() as u64, || sys::write_at(self.file(), bytes, at))
            .map_err(|e| self.store.write_failed(e, bytes.len() as u64))
    }

    /// Once anything was written.
    pub(super) fn file(&self) -> &File {
        self.file.as_ref().expect("`flush` made it").file()
    }

    pub(super) fn id(&self) -> SegmentId {
        self.id
    }

    /// Adds node table and header; what is in a file is complete, but has no name.
    pub(crate) fn finish(mut self, table: &Table, root: NodeId) -> Result<Finished, CreateError> {
        self.pad_to(align_up(self.end(), ALIGN));
        let encoded = table.encoded();
        let header = header(self.id, self.mode, self.end(), &encoded, root);
        if encoded.len() < GATHERED {
            encoded.parts().iter().for_each(|part| self.tail.extend_from_slice(part));
        } else {
            for part in encoded.parts() {
                self.flush()?;
                self.write(part, self.tail_at)?;
                self.tail_at += part.len() as u64;
            }
        }
        let whole = self.tail_at == 0;
        if whole {
            self.tail[..128].copy_from_slice(&header.bytes());
        }
        let known = if whole && header.file_len <= COPIED { Lines::copied(&self.tail).ok() } else { None };
        let may_wait = self.file.is_none() && self.mode == Mode::Frozen && known.is_some();
        if !may_wait {
            self.flush()?;
        }
        if !whole {
            self.write(&header.bytes(), 0)?;
        }
        Ok(Finished { file: self.file.take(), header, index: encoded.index, named: self.named, known })
    }
}

impl Sink for Writer {
    fn begin(&mut self, len: u64) -> Result<Payload, CreateError> {
        let payload = place(self.end(), len);
        if len >= LARGE {
            self.store.ensure_room(len, self.end())?;
        }
        if len > 0 {
            self.pad_to(payload.offset);
        }
        Ok(payload)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), CreateError> {
        if (bytes.len() as u64) < LARGE {
            self.tail.extend_from_slice(bytes);
            if self.tail.len() > GATHERED {
                self.flush()?;
            }
            return Ok(());
        }
        self.flush()?;
        self.write(bytes, self.tail_at)?;
        self.tail_at += bytes.len() as u64;
        Ok(())
    }
}

/// The header of a segment whose node table begins at `table_offset`.
pub(crate) fn header(id: SegmentId, mode: Mode, table_offset: u64, table: &Encoded<'_>, root: NodeId) -> Header {
    let [node_count, child_count, names_len] = table.counts();
    Header {
        id,
        mode,
        file_len: table_offset + table.len() as u64,
        table_offset,
        node_count,
        child_count,
        names_len,
        root: root.0,
        created: std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs()),
        uid: rustix::process::geteuid().as_raw(),
        pid: rustix::process::getpid().as_raw_nonzero().get() as u32,
        index_crc: table.crc(),
        checksums: Checksums::default(),
    }
}

/// Complete, still without a name.
pub(crate) struct Finished {
    /// `None`: all is in `known`, and may wait there for its file.
    pub(crate) file: Option<Unnamed>,
    pub(crate) header: Header,
    /// Names and checksums of the node table.
    pub(crate) index: Vec<u8>,
    /// Its id may be taken.
    pub(crate) named: bool,
    /// The whole file, if it is a small one.
    pub(crate) known: Option<Lines>,
}

/// Segments in this process's own memory: for tests, and wherever nothing is to be shared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heap;

/// A segment being written on the heap.
pub struct HeapWriter {
    bytes: Vec<u8>,
    mode: Mode,
}

impl Sink for HeapWriter {
    fn begin(&mut self, len: u64) -> Result<Payload, CreateError> {
        let payload = place(self.bytes.len() as u64, len);
        self.bytes.resize((payload.offset as usize).max(self.bytes.len()), 0);
        Ok(payload)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), CreateError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl Backing for Heap {
    type Writer = HeapWriter;

    fn writer(&self, mode: Mode) -> Result<HeapWriter, CreateError> {
        Ok(HeapWriter { bytes: vec![0; DATA_AT as usize], mode })
    }

    fn seal(&self, mut writer: HeapWriter, table: &Table, root: NodeId) -> Result<Arc<Segment>, CreateError> {
        writer.bytes.resize(align_up(writer.bytes.len() as u64, ALIGN) as usize, 0);
        let id = SegmentId::random();
        let encoded = table.encoded();
        let header = header(id, writer.mode, writer.bytes.len() as u64, &encoded, root);
        encoded.parts().iter().for_each(|part| writer.bytes.extend_from_slice(part));
        writer.bytes[..128].copy_from_slice(&header.bytes());
        let len = header.file_len;
        let lines = Lines::copied(&writer.bytes).map_err(|source| CreateError::Map { id, len, source })?;
        Ok(Arc::new(Segment::new(header, table.copied(), Bytes::Copied(lines), Home::Heap)))
    }
}
