//! The list of segments a process holds, in a file whose lock dies with the process.
//!
//! - Slots of 32 bytes from byte 64 on: an id, or zero; then, for people who look, bytes of the segment and when it was made. Written with
//!   `pwrite` by its process alone; a store wiped or full cannot be SIGBUS.
//! - Born locked: a ledger that can be seen and locked belongs to the dead.
//! - Dropping one closes it, no more: in a forked child the same file description is the parent's.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::{self, Unnamed};
use crate::{Header, SegmentId, StoreError};

/// Slots begin here; before them lie the magic bytes and the pid, for people who look.
pub(super) const SLOTS_AT: u64 = 64;
pub(super) const SLOT: usize = 32;
const MAGIC: &[u8; 8] = b"cowledg\n";
/// The pid, four bytes.
pub(super) const PID_AT: u64 = 8;
/// A ledger grows by pages.
const PAGE: usize = 4096;

/// A place in one ledger, and in the copies forks make of it: a process whose store was wiped has another later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    place: u32,
    ledger: u64,
}

pub(super) struct Ledger {
    file: File,
    path: PathBuf,
    name: SegmentId,
    /// Which of the ledgers of this process.
    number: u64,
    /// What the file says; zero is free.
    slots: Vec<Entry>,
    free: Vec<u32>,
}

/// A segment that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: SegmentId,
    /// Bytes of its file.
    pub(super) len: u64,
    /// When it was made, in seconds since 1970.
    pub(super) created: u64,
}

const FREE: Entry = Entry { id: SegmentId::from_bytes([0; 16]), len: 0, created: 0 };

impl Entry {
    pub(super) fn of(header: &Header) -> Entry {
        Entry { id: header.id, len: header.file_len, created: header.created }
    }

    fn bytes(&self) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        bytes[..16].copy_from_slice(&self.id.bytes());
        bytes[16..24].copy_from_slice(&self.len.to_le_bytes());
        bytes[24..].copy_from_slice(&self.created.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Entry {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let id = SegmentId::from_bytes(bytes[..16].try_into().expect("16 bytes"));
        Entry { id, len: number(16), created: number(24) }
    }
}

impl Ledger {
    /// A new one in `dir`, the ledgers of the store at `store`.
    pub(super) fn create(store: &Path, dir: &Path) -> Result<Ledger, StoreError> {
        let unusable = |source| StoreError::failed(store, "making a ledger", source);
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let ledger = Self::born_locked(dir, number, Vec::new()).map_err(unusable)?;
        // Where locks do not exclude another opening, nobody could tell who lives.
        let probe = sys::open(&ledger.path, false).map_err(unusable)?;
        match sys::try_lock(&probe, false) {
            Ok(false) => Ok(ledger),
            _ => {
                let _ = std::fs::remove_file(&ledger.path);
                Err(StoreError::NoLocks { path: store.to_owned() })
            }
        }
    }

    /// The child's of a fork: a copy that the child will own.
    pub(super) fn twin(&self) -> io::Result<Ledger> {
        let dir = self.path.parent().expect("a ledger lies in a directory");
        let mut twin = Self::born_locked(dir, self.number, self.slots.clone())?;
        twin.free.clone_from(&self.free);
        Ok(twin)
    }

    /// Writes this process into a ledger that its parent made for it.
    pub(super) fn sign(&self) {
        // Nothing to do about a failure: it is for people who look.
        let _ = sys::write_at(&self.file, &std::process::id().to_le_bytes(), PID_AT);
    }

    fn born_locked(dir: &Path, number: u64, slots: Vec<Entry>) -> io::Result<Ledger> {
        let unnamed = Unnamed::create(dir)?;
        sys::lock_exclusive(unnamed.file())?;
        let mut bytes = vec![0u8; (SLOTS_AT as usize + slots.len() * SLOT).next_multiple_of(PAGE)];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[PID_AT as usize..][..4].copy_from_slice(&std::process::id().to_le_bytes());
        for (place, entry) in bytes[SLOTS_AT as usize..].chunks_exact_mut(SLOT).zip(&slots) {
            place.copy_from_slice(&entry.bytes());
        }
        sys::write_at(unnamed.file(), &bytes, 0)?;
        let name = SegmentId::random();
        let path = dir.join(name.to_string());
        let file = unnamed.link(&path)?;
        let mut ledger = Ledger { file, path, name, number, slots, free: Vec::new() };
        ledger.grow_to((bytes.len() - SLOTS_AT as usize) / SLOT);
        Ok(ledger)
    }

    fn grow_to(&mut self, slots: usize) {
        self.free.extend((self.slots.len() as u32..slots as u32).rev());
        self.slots.resize(slots, FREE);
    }

    /// Names a segment.
    pub(super) fn enter(&mut self, entry: Entry) -> io::Result<Slot> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                // The new space is written before it is counted on, twice as much each time.
                let old = self.slots.len();
                let more = (old * SLOT).next_multiple_of(PAGE);
                sys::write_at(&self.file, &vec![0; more], SLOTS_AT + (old * SLOT) as u64)?;
                self.grow_to(old + more / SLOT);
                self.free.pop().expect("just grown")
            }
        };
        if let Err(e) = self.write(place, entry) {
            self.free.push(place);
            return Err(e);
        }
        Ok(Slot { place, ledger: self.number })
    }

    /// Names it no more. A slot of another ledger is nothing here.
    pub(super) fn clear(&mut self, slot: Slot) {
        if slot.ledger != self.number {
            return;
        }
        // The space is there; if the write failed all the same, the segment stays until this process ends.
        let _ = self.write(slot.place, FREE);
        self.free.push(slot.place);
    }

    fn write(&mut self, place: u32, entry: Entry) -> io::Result<()> {
        sys::write_at(&self.file, &entry.bytes(), SLOTS_AT + u64::from(place) * SLOT as u64)?;
        self.slots[place as usize] = entry;
        Ok(())
    }

    /// The name of its file: of all processes that ever were, this one alone has it.
    pub(super) fn name(&self) -> SegmentId {
        self.name
    }

    /// Whether it names anything.
    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// Whether somebody removed it: then nobody sees what it says.
    pub(super) fn is_wiped(&self) -> bool {
        sys::links(&self.file).is_ok_and(|n| n == 0)
    }
}
