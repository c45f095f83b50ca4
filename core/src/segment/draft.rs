//! One vector that its only maker still writes: mapped shared, without a name, sealed at its first export.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

use memmap2::{MmapMut, MmapOptions};

use super::{Segment, Sink, Writer};
use crate::lock::Lock;
use crate::{Backing, CreateError, Mode, Node, Payload, Store, Table};

/// A segment of one payload that is still written through a pointer.
///
/// - Nobody else can find it, so there is one writer. A fork makes two: each then writes pages of its own, and sealing writes them to a new file.
/// - Its space is written, not merely promised, before it is mapped: a full store is an error here, never SIGBUS later.
/// - [`Draft::seal`] makes it frozen. The pointer stays valid, and the bytes must not be written any more.
pub struct Draft {
    // Before the map: a fork must not find the region of a mapping that is gone. `None` once sealing was tried.
    region: Option<Registered>,
    /// `None` once sealing was tried.
    writer: Option<Writer>,
    /// `None` once it was sealed: the segment has it.
    map: Option<MmapMut>,
    pointer: *mut u8,
    payload: Payload,
    store: Store,
}

impl Draft {
    /// A draft that begins as a copy of `bytes`.
    ///
    /// # Errors
    /// No room, or no memory to map it.
    pub fn new(store: Store, bytes: &[u8]) -> Result<Draft, CreateError> {
        let (writer, payload) = written(store, bytes)?;
        let id = writer.id();
        let len = payload.len;
        // SAFETY: the file has no name and this is its only mapping, so nobody else reads or writes it.
        let map = unsafe { MmapOptions::new().offset(payload.offset).len(len.max(1) as usize).map_mut(writer.file()) };
        let map = map.map_err(|source| CreateError::Map { id, len, source })?;
        let (region, pointer) = (Registered::new(&map, &writer, payload), map.as_ptr().cast_mut());
        Ok(Draft { region: Some(region), writer: Some(writer), map: Some(map), pointer, payload, store })
    }

    /// Where its bytes are, aligned to 64, valid while the draft, or the segment sealed from it, lives.
    pub fn pointer(&self) -> *mut u8 {
        self.pointer
    }

    /// Bytes it holds.
    pub fn len(&self) -> u64 {
        self.payload.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.payload.len == 0
    }

    /// Seals it as a segment of one node. `node`'s payload is filled in.
    ///
    /// # Errors
    /// No room for the node table, or the store is gone. The draft stays readable and writable, but cannot be sealed any more.
    pub fn seal(&mut self, strategy: &str, node: Node) -> Result<Arc<Segment>, CreateError> {
        let (Some(mut writer), Some(map)) = (self.writer.take(), &self.map) else { return Err(CreateError::Spent) };
        // Still registered: should sealing fail, a later fork must part the two as before.
        if self.region.as_ref().is_some_and(|region| region.0.private.load(Ordering::Relaxed)) {
            // The file is as it was at the fork, and another process may seal it, too.
            let (own, same) = written(self.store, &map[..self.payload.len as usize])?;
            debug_assert_eq!(same, self.payload);
            writer = own;
        }
        let mut table = Table::default();
        let root = table.push(Node { payload: self.payload, ..node }, strategy, &[]);
        let segment = self.store.publish(writer.finish(table, root)?, Some((&mut self.map, self.payload.offset)))?;
        // Nobody writes any more, so a fork has nothing to part.
        self.region = None;
        Ok(segment)
    }
}

/// A file without a name that has `bytes` as its one payload.
fn written(store: Store, bytes: &[u8]) -> Result<(Writer, Payload), CreateError> {
    let mut writer = store.writer(Mode::Frozen)?;
    let payload = writer.begin(bytes.len() as u64)?;
    writer.append(bytes)?;
    writer.flush()?;
    Ok((writer, payload))
}

/// The pages of a draft, for a fork to find.
pub(crate) struct Region {
    /// Address and length of the whole mapping, and where it begins in the file.
    at: usize,
    len: usize,
    offset: u64,
    fd: i32,
    /// Mapped privately since a fork.
    private: AtomicBool,
}

/// Every draft of this process.
static DRAFTS: Lock<Vec<Arc<Region>>> = Lock::new(Vec::new());

/// A region that a fork finds, until this is dropped.
struct Registered(Arc<Region>);

impl Registered {
    fn new(map: &MmapMut, writer: &Writer, payload: Payload) -> Registered {
        // A mapping begins on a page, the payload perhaps within it.
        let within = payload.offset % rustix::param::page_size() as u64;
        let region = Arc::new(Region {
            at: map.as_ptr() as usize - within as usize,
            len: map.len() + within as usize,
            offset: payload.offset - within,
            fd: writer.file().as_raw_fd(),
            private: AtomicBool::new(false),
        });
        DRAFTS.lock().push(Arc::clone(&region));
        Registered(region)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        DRAFTS.lock().retain(|region| !Arc::ptr_eq(region, &self.0));
    }
}

/// What keeps drafts from coming and going while it lives.
pub(crate) type DraftsHeld = MutexGuard<'static, Vec<Arc<Region>>>;

/// Before a fork: every draft is mapped again, privately, at the same place, so that parent and child each write pages of their own.
pub(crate) fn drafts_before_fork() -> DraftsHeld {
    let drafts = DRAFTS.lock();
    for region in drafts.iter().filter(|r| !r.private.load(Ordering::Relaxed)) {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let (at, offset) = (region.at as *mut libc::c_void, region.offset as libc::off_t);
        // SAFETY: exactly the pages of a mapping of ours are replaced, by the same bytes of the same open file; a registered draft keeps
        // both. mmap(2) replaces them in one step, so no other thread sees a gap.
        let mapped = unsafe { libc::mmap(at, region.len, access, flags, region.fd, offset) };
        // A fork cannot be refused: without memory for the mapping the two go on writing the same pages.
        region.private.store(mapped != libc::MAP_FAILED, Ordering::Relaxed);
    }
    drafts
}
