//! Writing a stored segment: in order, with checksums on the way, and to the disk before it is named.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::format::{ALIGN, CONTROL_AT, DATA_AT, LARGE, align_up};
use crate::segment::{Sink, header, place};
use crate::store::let_go;
use crate::sys::{self, Unnamed};
use crate::{Checksums, CreateError, Header, Mode, NodeId, Payload, SegmentId, Table};

/// Bytes gathered before they are written.
const GATHERED: usize = 256 << 10;

/// A file without a name, in the directory where it will have one. Dropped unfinished, it leaves nothing.
pub struct StoredWriter {
    path: PathBuf,
    dir: PathBuf,
    file: Unnamed,
    id: SegmentId,
    mode: Mode,
    /// Bytes not yet written, which belong at `tail_at`.
    tail: Vec<u8>,
    tail_at: u64,
    /// `None` if there are to be none (any more).
    sums: Option<Sums>,
}

impl StoredWriter {
    pub(super) fn new(path: &Path, mode: Mode) -> Result<StoredWriter, CreateError> {
        let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
        if path.symlink_metadata().is_ok() {
            return Err(CreateError::Exists { path: path.to_owned() });
        }
        let file = Unnamed::create_by_umask(&dir).map_err(|e| failed(path, "making it", e, 0))?;
        let (id, path) = (SegmentId::random(), path.to_owned());
        let tail = Vec::with_capacity(2 * GATHERED);
        let sums = (mode == Mode::Frozen).then(Sums::default);
        Ok(StoredWriter { path, dir, file, id, mode, tail, tail_at: DATA_AT, sums })
    }

    fn end(&self) -> u64 {
        self.tail_at + self.tail.len() as u64
    }

    fn pad_to(&mut self, at: u64) {
        self.tail.resize((at - self.tail_at) as usize, 0);
    }

    fn flush(&mut self) -> Result<(), CreateError> {
        if let Some(sums) = &mut self.sums {
            sums.update(&self.tail);
        }
        self.write_at(&self.tail, self.tail_at)?;
        self.tail_at = self.end();
        self.tail.clear();
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> Result<(), CreateError> {
        let write = || sys::write_at(self.file.file(), bytes, at);
        let wrote = match write() {
            // Files that were removed have their space until nobody has them open.
            Err(e) if sys::is_full(&e) => {
                let_go();
                write()
            }
            wrote => wrote,
        };
        wrote.map_err(|e| self.failed("writing it", e, bytes.len() as u64))
    }

    fn failed(&self, what: &'static str, source: io::Error, asked: u64) -> CreateError {
        failed(&self.path, what, source, asked)
    }

    /// Adds checksums, node table and header, and names the file, which is open for reading and writing.
    pub(super) fn finish(mut self, table: &Table, root: NodeId) -> Result<(Header, File), CreateError> {
        self.pad_to(align_up(self.end(), ALIGN));
        self.flush()?;
        let checksums = self.checksums()?;
        let encoded = table.encoded();
        let header = Header { checksums, ..header(self.id, self.mode, self.end(), &encoded, root) };
        for part in encoded.parts() {
            self.tail.extend_from_slice(part);
            if self.tail.len() > GATHERED {
                self.flush()?;
            }
        }
        self.flush()?;
        let mut first = [0; DATA_AT as usize];
        first[..CONTROL_AT as usize].copy_from_slice(&header.bytes());
        self.write_at(&first, 0)?;
        self.file.file().sync_all().map_err(|e| self.failed("writing it", e, header.file_len))?;
        self.name().map(|file| (header, file))
    }

    /// What was written is covered; a write-through segment has none.
    fn checksums(&mut self) -> Result<Checksums, CreateError> {
        let Some(sums) = self.sums.take() else { return Ok(Checksums::default()) };
        let bytes: Vec<u8> = sums.all().iter().flat_map(|sum| sum.to_le_bytes()).collect();
        let offset = self.end();
        self.tail.extend_from_slice(&bytes);
        self.pad_to(align_up(self.end(), ALIGN));
        self.flush()?;
        Ok(Checksums { offset, crc: crc32fast::hash(&bytes) })
    }

    fn name(self) -> Result<File, CreateError> {
        let StoredWriter { path, dir, file, .. } = self;
        let file: File = file.link_new(&path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => CreateError::Exists { path: path.clone() },
            _ => failed(&path, "naming it", source, 0),
        })?;
        sys::unlock(&file);
        // Not every file system can; the file itself is safe.
        let _ = File::open(&dir).and_then(|dir| dir.sync_all());
        Ok(file)
    }
}

fn failed(path: &Path, what: &'static str, source: io::Error, asked: u64) -> CreateError {
    let (path, dir) = (path.to_owned(), path.parent().unwrap_or(path));
    if sys::is_too_large(&source) {
        return CreateError::FileSize { path: dir.to_owned(), asked };
    }
    if sys::is_full(&source) {
        return CreateError::NoSpace { asked, free: sys::free_bytes(dir).unwrap_or(0), path };
    }
    CreateError::Unwritable { path, what, source }
}

impl Sink for StoredWriter {
    fn begin(&mut self, len: u64) -> Result<Payload, CreateError> {
        let payload = place(self.end(), len);
        if len >= LARGE {
            let free = || sys::free_bytes(&self.dir).unwrap_or(u64::MAX);
            if len > free() {
                let_go();
            }
            let free = free();
            if len > free {
                return Err(CreateError::NoSpace { path: self.path.clone(), asked: len, free });
            }
        }
        if len > 0 {
            self.pad_to(payload.offset);
        }
        Ok(payload)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), CreateError> {
        if bytes.len() < GATHERED {
            self.tail.extend_from_slice(bytes);
            return if self.tail.len() < GATHERED { Ok(()) } else { self.flush() };
        }
        self.flush()?;
        if let Some(sums) = &mut self.sums {
            sums.update(bytes);
        }
        self.write_at(bytes, self.tail_at)?;
        self.tail_at += bytes.len() as u64;
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<bool, CreateError> {
        if self.mode == Mode::Frozen || len < LARGE {
            return Ok(false);
        }
        self.flush()?;
        match sys::reserve(self.file.file(), self.tail_at, len) {
            Ok(true) => self.tail_at += len,
            Ok(false) => return Ok(false),
            Err(e) => return Err(self.failed("reserving its space", e, len)),
        }
        Ok(true)
    }
}

/// The CRC-32 of each block of what is written from the first payload on.
#[derive(Default)]
struct Sums {
    whole: Vec<u32>,
    last: crc32fast::Hasher,
    /// Bytes in `last`.
    filled: usize,
}

impl Sums {
    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(Checksums::BLOCK as usize - self.filled));
            self.last.update(now);
            self.filled += now.len();
            if self.filled == Checksums::BLOCK as usize {
                self.whole.push(std::mem::take(&mut self.last).finalize());
                self.filled = 0;
            }
            bytes = later;
        }
    }

    fn all(mut self) -> Vec<u32> {
        if self.filled > 0 {
            self.whole.push(self.last.finalize());
        }
        self.whole
    }
}
