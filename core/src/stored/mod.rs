//! Segments that stay: each a file under a path that its user chose, opened by it in any process, now or after the next boot.
//!
//! - No lease, no ticket, no counter: nobody but its user removes one ([`remove_stored`], or as any file).
//! - Complete and on the disk before it has its name, so nobody opens a part of one.
//! - A frozen one has checksums of its payloads, for [`verify_stored`]; opening it reads its header and node table alone.
//! - In a write-through one space is reserved before it is mapped: a full disk is an error here, never SIGBUS later.
//!
//! ```
//! use cowshed_core::{Stored, fake::{Fake, Value, registry}, open, open_stored, share, Flags};
//!
//! let dir = std::env::temp_dir().join(format!("stored-{}", std::process::id()));
//! std::fs::create_dir_all(&dir).unwrap();
//! let (host, path) = (Fake::default(), dir.join("x.cowshed"));
//! share(&host, registry(), &Stored::new(&path), host.numbers(&[1.0, 2.0]), Flags::COPY_ON_WRITE)?;
//! let segment = open_stored(&path).unwrap();
//! assert_eq!(host.show(open(&host, registry(), &segment, segment.root())?), "[1, 2]");
//! # std::fs::remove_dir_all(dir).unwrap();
//! # Ok::<(), cowshed_core::fake::FakeError>(())
//! ```

mod array;
mod error;
mod verify;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

pub use array::ARRAY_STRATEGY;
pub use error::StoredError;
pub use verify::{Verified, same_stored, verify_stored};
pub use writer::StoredWriter;

use crate::lock::Lock;
use crate::segment::{Backing, Home, Unread, read, read_header};
use crate::{CreateError, Mode, NodeId, Segment, SegmentId, Table, sys};

/// Where one segment is to be stored: a path that is free, in a directory that exists.
#[derive(Debug, Clone)]
pub struct Stored(PathBuf);

impl Stored {
    /// At this path; a relative one means what it means now, whatever directory the process goes to.
    pub fn new(path: &Path) -> Stored {
        Stored(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
    }
}

impl Backing for Stored {
    type Writer = StoredWriter;

    fn writer(&self, mode: Mode) -> Result<StoredWriter, CreateError> {
        StoredWriter::new(&self.0, mode)
    }

    fn seal(&self, writer: StoredWriter, table: &Table, root: NodeId) -> Result<Arc<Segment>, CreateError> {
        let (header, file) = writer.finish(table, root)?;
        let (id, len) = (header.id, header.file_len);
        // By what was written, not by its path: that may mean another by now.
        opened(resolved(&self.0), &file, Found::Segment(header.mode, id)).map_err(|e| {
            let source = match e {
                Unread::Io(e) | Unread::Map(e) => e,
                Unread::Format(e) => io::Error::other(e.to_string()),
            };
            CreateError::Map { id, len, source }
        })
    }
}

/// Where a stored segment was found.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    /// What the path meant then.
    file: Inode,
    id: SegmentId,
    owner: u32,
}

/// Device and number. A number may be given again, unless a mapping keeps the file.
type Inode = (u64, u64);

impl Place {
    /// Its path: absolute, and without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The user whose the file was.
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// Whether the path still means the same file.
    pub fn is_there(&self) -> bool {
        self.open().is_some()
    }

    /// The file, if it is still there.
    pub(crate) fn open(&self) -> Option<File> {
        let file = sys::open(&self.path, false).ok()?;
        let same = file.metadata().is_ok_and(|found| which(&found) == self.file);
        (same && look(&file).is_ok_and(|found| found.id() == self.id)).then_some(file)
    }
}

fn which(file: &std::fs::Metadata) -> Inode {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

/// What this process has open: a file is mapped once.
static OPEN: Lock<BTreeMap<Inode, Weak<Segment>>> = Lock::new(BTreeMap::new());

/// What a file is.
enum Found {
    Segment(Mode, SegmentId),
    Array(SegmentId),
}

impl Found {
    fn id(&self) -> SegmentId {
        match self {
            Found::Segment(_, id) | Found::Array(id) => *id,
        }
    }
}

fn look(file: &File) -> Result<Found, Unread> {
    match array::identify(file).map_err(Unread::Io)? {
        Some(id) => Ok(Found::Array(id)),
        None => read_header(file, None).map(|(header, _)| Found::Segment(header.mode, header.id)),
    }
}

/// Opens a stored segment, or an array that numpy stored, which is then a segment of one node ([`ARRAY_STRATEGY`]).
///
/// # Errors
/// There is none, or it is not to be believed, or the system refuses; a write-through one must be writable.
pub fn open_stored(path: &Path) -> Result<Arc<Segment>, StoredError> {
    let failed = |what| move |source| StoredError::failed(path, what, source);
    let path = std::fs::canonicalize(path).map_err(failed("finding it"))?;
    let file = regular(&path, false)?;
    let unread = |e| StoredError::unread(&path, e);
    let found = look(&file).map_err(unread)?;
    let file = if matches!(found, Found::Segment(Mode::WriteThrough, _)) { regular(&path, true)? } else { file };
    opened(path.clone(), &file, found).map_err(unread)
}

/// A path without symbolic links, whether there is something or not.
fn resolved(path: &Path) -> PathBuf {
    let parent = path.parent().and_then(|dir| std::fs::canonicalize(dir).ok());
    parent.zip(path.file_name()).map_or_else(|| path.to_owned(), |(dir, name)| dir.join(name))
}

/// The segment in a file, which was opened to be written if it is written through.
fn opened(path: PathBuf, file: &File, found: Found) -> Result<Arc<Segment>, Unread> {
    let about = file.metadata().map_err(Unread::Io)?;
    let (inode, id) = (which(&about), found.id());
    let known = OPEN.lock().get(&inode).and_then(Weak::upgrade);
    if let Some(segment) = known.filter(|segment| segment.id() == id && !segment.is_lost()) {
        return Ok(segment);
    }
    let (header, table, bytes) = match found {
        Found::Array(_) => array::read(file, id),
        Found::Segment(..) => read(file, Some(id)),
    }?;
    let place = Place { path, file: inode, id, owner: std::os::unix::fs::MetadataExt::uid(&about) };
    let segment = Arc::new(Segment::new(header, table, bytes, Home::Stored(place)));
    let mut open = OPEN.lock();
    open.retain(|_, segment| segment.strong_count() > 0);
    open.insert(inode, Arc::downgrade(&segment));
    Ok(segment)
}

/// Removes a stored segment's file, and nothing that is none. Who has it open keeps it.
///
/// # Errors
/// It is not there, or is no segment, or the system refuses.
pub fn remove_stored(path: &Path) -> Result<(), StoredError> {
    let file = regular(path, false)?;
    match read_header(&file, None) {
        // Also one that is damaged, or of another version.
        Ok(_) | Err(Unread::Format(_)) if verify::begins_as_one(&file) => {}
        Ok(_) => return Err(StoredError::unread(path, crate::FormatError::Corrupt("it is no stored object").into())),
        Err(e) => return Err(StoredError::unread(path, e)),
    }
    std::fs::remove_file(path).map_err(|source| StoredError::failed(path, "removing it", source))
}

/// A regular file, opened without waiting for whoever has the other end of what is none.
fn regular(path: &Path, write: bool) -> Result<File, StoredError> {
    let failed = |source| StoredError::failed(path, if write { "opening it to write" } else { "opening it" }, source);
    let file = sys::open(path, write).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::from(io::ErrorKind::InvalidInput)));
    }
    Ok(file)
}
