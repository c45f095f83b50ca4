//! A sealed segment and the ways to one.
//!
//! - [`Writer`] is a file nobody can find yet; [`Draft`] is one that its maker has mapped and still writes; [`Segment`] is sealed. Three types, so
//!   nothing unsealed can be handed out.
//! - One mapping, or one private copy, per segment and process serves all views.
//! - [`Overlay`] is a view's own private bytes, for whoever asks for a writable pointer.

mod bytes;
#[cfg_attr(not(target_os = "linux"), path = "cut_elsewhere.rs")]
mod cut;
mod draft;
mod mapping;
mod over;
mod overlay;
mod pages;
mod private_file;
mod read;
mod unfork;
mod writer;
mod zeros;

use std::fs::File;
use std::sync::Arc;

pub(crate) use bytes::{Bytes, Lines};
pub use cut::{any_lost, when_cut};
pub use draft::Draft;
pub(crate) use mapping::{Mapped, MappingsHeld, mappings_before_fork};
pub use over::bytes_over;
pub use overlay::Overlay;
pub use private_file::PrivateFile;
pub(crate) use read::{ONE_READ, Unread, read, read_header, read_whole, table_of};
pub(crate) use unfork::{DraftsHeld, drafts_before_fork};
pub(crate) use writer::{Finished, header, place};
pub use writer::{Heap, Sink, Writer};
pub(crate) use zeros::zeros;

use crate::format::DATA_AT;
use crate::store::Lease;
use crate::stored::Place;
use crate::{CreateError, Header, Mode, NodeId, Payload, SegmentId, Table};

/// A value of more parts than this is not walked to its end where that only tells people something.
const WALKED: usize = 1 << 14;

/// Where segments are made: a [`crate::Store`] of files, or the process's own heap.
pub trait Backing {
    /// A segment being written.
    type Writer: Sink;

    /// Begins one.
    ///
    /// # Errors
    /// The store cannot be used.
    fn writer(&self, mode: Mode) -> Result<Self::Writer, CreateError>;

    /// Writes the node table and header, gives it its name, opens it.
    ///
    /// # Errors
    /// No room; nothing is left behind.
    fn seal(&self, writer: Self::Writer, table: &Table, root: NodeId) -> Result<Arc<Segment>, CreateError>;
}

/// A sealed segment, open in this process. Dropping the last `Arc` gives up this process's lease.
pub struct Segment {
    header: Header,
    table: Arc<Table>,
    bytes: Bytes,
    home: Home,
}

/// Where a segment's file is, and who takes care that it stays.
pub(crate) enum Home {
    /// Nowhere: it is on the heap.
    Heap,
    /// In a store, as long as somebody holds a lease.
    Store(Lease),
    /// Where its user put it.
    Stored(Place),
}

impl Segment {
    pub(crate) fn new(header: Header, table: Table, bytes: Bytes, home: Home) -> Self {
        if let Home::Store(lease) = &home {
            lease.weigh(header.file_len);
        }
        let table = Arc::new(table);
        bytes.describe(&table);
        Segment { header, table, bytes, home }
    }

    /// Its id.
    pub fn id(&self) -> SegmentId {
        self.header.id
    }

    /// Its header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Frozen or write-through.
    pub fn mode(&self) -> Mode {
        self.header.mode
    }

    /// Its nodes.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The node share() was called on.
    pub fn root(&self) -> NodeId {
        NodeId(self.header.root)
    }

    /// Where a payload begins in this process's memory, aligned to 16 bytes, if it is long to 64 or 4,096; valid while the segment lives. Written only if the segment is
    /// write-through: others may write at the same time, so a Rust reference to it would promise too much.
    pub fn payload(&self, payload: Payload) -> *const u8 {
        self.bytes.at(payload)
    }

    /// The same for writing; `None` unless the segment is mapped write-through.
    pub fn payload_mut(&self, payload: Payload) -> Option<*mut u8> {
        self.bytes.is_live().then(|| self.bytes.at(payload).cast_mut())
    }

    /// The bytes that a node has, the root's if none is said: of a value made of others, all bytes of the segment. `None`: no such node.
    pub fn memory(&self, node: Option<u32>) -> Option<Payload> {
        self.table.memory(&self.header, node)
    }

    /// Bytes of the payloads of a node and of what it is made of: of the root, all; of another, those of so many nodes as are soon walked over.
    pub fn bytes_of(&self, node: NodeId) -> u64 {
        if node == self.root() {
            return self.header.table_offset.saturating_sub(DATA_AT);
        }
        let (mut bytes, mut walked) = (0u64, 0);
        let mut ahead = vec![node];
        while let Some(id) = ahead.pop().filter(|_| walked < WALKED) {
            let node = self.table.node(id);
            bytes = bytes.saturating_add(node.payload.len);
            walked += 1;
            let parts = (0..node.child_count as usize).map_while(|i| self.table.child_of(&node, i));
            let room = WALKED.saturating_sub(walked + ahead.len());
            ahead.extend(node.attributes.into_iter().chain(parts).take(room));
        }
        bytes
    }

    /// The bytes of a frozen payload, which nobody changes.
    pub fn frozen(&self, payload: Payload) -> Option<&[u8]> {
        // SAFETY: the table was checked against the file's length, so the range lies inside our bytes; frozen, so nobody writes.
        (self.mode() == Mode::Frozen)
            .then(|| unsafe { std::slice::from_raw_parts(self.bytes.at(payload), payload.len as usize) })
    }

    /// The whole file, if it was copied because it is small.
    pub(crate) fn copied(&self) -> Option<&[u8]> {
        self.bytes.copied()
    }

    /// Whether its bytes are mapped, rather than copied because they are few.
    pub fn is_mapped(&self) -> bool {
        self.bytes.is_mapped()
    }

    /// Whether its file was found cut under this process's mapping: then what is read there are missing values.
    pub fn is_lost(&self) -> bool {
        self.bytes.is_lost()
    }

    /// Its lease, if it is in a store.
    pub fn lease(&self) -> Option<&Lease> {
        if let Home::Store(lease) = &self.home { Some(lease) } else { None }
    }

    /// Where it is stored for good, if it is.
    pub fn place(&self) -> Option<&Place> {
        if let Home::Stored(place) = &self.home { Some(place) } else { None }
    }

    /// Its file, opened again; `None` if it has no name (any more).
    fn file(&self) -> Option<File> {
        match &self.home {
            Home::Heap => None,
            Home::Store(lease) => lease.file(self.id()).ok(),
            Home::Stored(place) => place.open(),
        }
    }

    /// Whether this process made it.
    pub fn is_own(&self) -> bool {
        self.lease().is_none_or(Lease::is_maker)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Home::Store(lease) = &mut self.home {
            lease.give_up(self.header.id, self.header.file_len);
        }
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segment({}, {} bytes)", self.id(), self.header.file_len)
    }
}
