//! Memory by size and name rather than by value: zeros that every process writes.
//!
//! - It is a write-through segment of one `r.raw` node, so whoever reads segments reads it. Its zeros are written, not promised: a full
//!   store is an error here, never SIGBUS later.
//! - With a name, its id is made of the name ([`SegmentId::of_name`]), and the name is linked only if nobody has it: of processes that
//!   allocate at once one makes it and the others attach that.
//! - An id made of a name comes back, which random ones do not: freed and allocated again, it is another file. Hence a process looks
//!   which file the name means now, and never takes the short cut of a collect.
//! - Idle memory, whose holders are all dead, is nobody's: it is collected before its name is looked at, so what a killed process wrote
//!   never appears in what is allocated after it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use super::{Store, fork};
use crate::segment::{Backing, Segment, Sink, Unread, read_whole};
use crate::{AllocateError, AttachError, CreateError, Header, Mode, Node, SegmentId, Table, sys};

/// The node that carries the name. No value, so no strategy opens it.
const NAME: &str = "memory.name";
/// A longer name is not believed, and not allocated.
const LONGEST: usize = 4096;
/// Zeros are written so many at a time.
const ZEROS: usize = 1 << 20;

impl Store {
    /// Memory of at least `len` bytes, zero if it is new; of 1 if `len` is 0. Under a name that exists, what is there.
    ///
    /// # Errors
    /// No room; or there is memory of that name, and it has fewer bytes.
    pub fn allocate(&self, len: u64, name: Option<&str>) -> Result<Arc<Segment>, AllocateError> {
        let len = len.max(1);
        let Some(name) = name else { return Ok(self.zeros(len, None)?) };
        loop {
            match self.reattach(SegmentId::of_name(name)) {
                Ok(segment) => return self.fitting(segment, len, name),
                Err(AttachError::Gone { .. }) => {}
                Err(e) => return Err(e.into()),
            }
            match self.zeros(len, Some(name)) {
                // Somebody else was first.
                Err(CreateError::Write { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                other => return Ok(other?),
            }
        }
    }

    fn fitting(&self, segment: Arc<Segment>, len: u64, name: &str) -> Result<Arc<Segment>, AllocateError> {
        let has = segment.memory(None).map_or(0, |m| m.len);
        if len <= has {
            return Ok(segment);
        }
        Err(AllocateError::Small { name: name.to_owned(), asked: len, has, store: self.path().to_owned() })
    }

    fn zeros(&self, len: u64, name: Option<&str>) -> Result<Arc<Segment>, CreateError> {
        let mut writer = self.writer(Mode::WriteThrough)?;
        let mut table = Table::default();
        let payload = writer.begin(len)?;
        let zeros = vec![0; len.min(ZEROS as u64) as usize];
        let mut left = len;
        while left > 0 {
            let now = left.min(ZEROS as u64);
            writer.append(&zeros[..now as usize])?;
            left -= now;
        }
        let root = table.push(Node { length: len, payload, ..Node::default() }, "r.raw", &[]);
        if let Some(name) = name {
            writer = writer.with_id(SegmentId::of_name(name));
            let payload = writer.begin(name.len() as u64)?;
            writer.append(name.as_bytes())?;
            table.push(Node { length: name.len() as u64, payload, ..Node::default() }, NAME, &[]);
        }
        self.seal(writer, &table, root)
    }

    /// Opens what an id names now, be it held by this process already or not; what is idle is collected and so *gone*.
    ///
    /// # Errors
    /// Those of [`Store::attach`].
    pub fn reattach(&self, id: SegmentId) -> Result<Arc<Segment>, AttachError> {
        let live = self.live(id);
        let step = fork::step();
        let io = |what| move |source| AttachError::Io { id, store: self.0.path.clone(), what, source };
        let locked = self.lock(id).map_err(io("locking"))?.ok_or_else(|| self.gone(id))?;
        let inode = sys::inode(locked.file()).map_err(io("looking at"))?;
        match live {
            Some(segment) if segment.lease().is_none_or(|l| l.inode.is_none_or(|i| i == inode)) => return Ok(segment),
            // What this process holds was freed since; its holders keep it.
            Some(_) => {}
            // A sweep that failed, or found it locked, would leave it, and what the dead wrote would be attached.
            None if self.collect_locked(id, &locked, &step).map_err(io("collecting"))? => return Err(self.gone(id)),
            None => {}
        }
        self.attach_locked(id, locked, None, Some(inode))
    }

    /// The header and node table of what an id names now, without holding it.
    ///
    /// # Errors
    /// Those of [`Store::attach`].
    pub fn look(&self, id: SegmentId) -> Result<(Header, Table), AttachError> {
        let path = self.0.path.clone();
        if self.live(id).is_none() && self.has(id) {
            self.collect_pending();
            self.collect(&[id]);
        }
        let read = match sys::open(&self.segment_path(id), false) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(self.gone(id)),
            Err(e) => Err(Unread::Io(e)),
            Ok(file) => read_whole(&file, Some(id)),
        };
        match read {
            Ok(read) => Ok(read),
            Err(Unread::Format(source)) => Err(AttachError::Format { id, store: path, source }),
            Err(Unread::Io(source) | Unread::Map(source)) => {
                Err(AttachError::Io { id, store: path, what: "reading", source })
            }
        }
    }

    /// What this process has open by that id.
    fn live(&self, id: SegmentId) -> Option<Arc<Segment>> {
        self.0.state.lock().live.get(&id).and_then(|live| live.segment.upgrade())
    }

    /// Whether its name is there, and still means it.
    pub fn names(&self, segment: &Segment) -> bool {
        match segment.lease().and_then(|lease| lease.inode) {
            None => self.has(segment.id()),
            Some(inode) => std::fs::symlink_metadata(self.segment_path(segment.id())).is_ok_and(|m| m.ino() == inode),
        }
    }

    /// Whether there is a segment of that name.
    pub fn has(&self, id: SegmentId) -> bool {
        std::fs::symlink_metadata(self.segment_path(id)).is_ok()
    }
}

/// Whether memory may have that name.
///
/// # Errors
/// Why not.
pub fn check_memory_name(name: &str) -> Result<(), String> {
    match name.len() {
        0 => Err("a name must not be empty".to_owned()),
        n if n > LONGEST => Err(format!("a name must not be longer than {LONGEST} bytes, and this one has {n}")),
        _ => Ok(()),
    }
}

/// The name of memory that has one.
pub(super) fn name(file: &File, table: &Table) -> Option<String> {
    let payload = table.find(NAME)?.payload;
    let mut bytes = vec![0; usize::try_from(payload.len).ok().filter(|n| *n <= LONGEST)?];
    file.read_exact_at(&mut bytes, payload.offset).ok()?;
    String::from_utf8(bytes).ok()
}
