//! The list of segments a process holds, in a file whose lock dies with the process.
//!
//! - Slots of 16 bytes from byte 64 on: an id, or zero. Written with `pwrite` by its process alone; a store wiped or full cannot be SIGBUS.
//! - Born locked: a ledger that can be seen and locked belongs to the dead.
//! - Dropping one closes it, no more: in a forked child the same file description is the parent's.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::sys::{self, NoFileSizeSignal, Unnamed};
use crate::{SegmentId, StoreError};

/// Slots begin here; before them lie the magic bytes and the pid, for people who look.
const SLOTS_AT: u64 = 64;
const SLOT: usize = 16;
const MAGIC: &[u8; 8] = b"cowledg\n";
/// A ledger grows by pages.
const PAGE: usize = 4096;

/// A place in a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u32);

pub(super) struct Ledger {
    file: File,
    path: PathBuf,
    /// What the file says; zero is free.
    slots: Vec<SegmentId>,
    free: Vec<u32>,
}

const FREE: SegmentId = SegmentId::from_bytes([0; 16]);

impl Ledger {
    /// A new one in `dir`, the ledgers of the store at `store`.
    pub(super) fn create(store: &Path, dir: &Path) -> Result<Ledger, StoreError> {
        let unusable = |source| StoreError::Unusable { path: store.to_owned(), what: "making a ledger", source };
        let ledger = Self::born_locked(dir, Vec::new()).map_err(unusable)?;
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
        let mut twin = Self::born_locked(dir, self.slots.clone())?;
        twin.free.clone_from(&self.free);
        Ok(twin)
    }

    fn born_locked(dir: &Path, slots: Vec<SegmentId>) -> io::Result<Ledger> {
        let unnamed = Unnamed::create(dir)?;
        sys::lock_exclusive(unnamed.file())?;
        let mut bytes = vec![0u8; (SLOTS_AT as usize + slots.len() * SLOT).next_multiple_of(PAGE)];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&std::process::id().to_le_bytes());
        for (place, id) in bytes[SLOTS_AT as usize..].chunks_exact_mut(SLOT).zip(&slots) {
            place.copy_from_slice(&id.bytes());
        }
        let quiet = NoFileSizeSignal::new();
        unnamed.file().write_all_at(&bytes, 0)?;
        drop(quiet);
        let path = dir.join(SegmentId::random().to_string());
        let file = unnamed.link(&path)?;
        let mut ledger = Ledger { file, path, slots, free: Vec::new() };
        ledger.grow_to((bytes.len() - SLOTS_AT as usize) / SLOT);
        Ok(ledger)
    }

    fn grow_to(&mut self, slots: usize) {
        self.free.extend((self.slots.len() as u32..slots as u32).rev());
        self.slots.resize(slots, FREE);
    }

    /// Names a segment.
    pub(super) fn enter(&mut self, id: SegmentId) -> io::Result<Slot> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                // The new space is written before it is counted on, twice as much each time.
                let old = self.slots.len();
                let more = (old * SLOT).next_multiple_of(PAGE);
                let _quiet = NoFileSizeSignal::new();
                self.file.write_all_at(&vec![0; more], SLOTS_AT + (old * SLOT) as u64)?;
                self.grow_to(old + more / SLOT);
                self.free.pop().expect("just grown")
            }
        };
        if let Err(e) = self.write(place, id) {
            self.free.push(place);
            return Err(e);
        }
        Ok(Slot(place))
    }

    /// Names it no more.
    pub(super) fn clear(&mut self, slot: Slot) {
        // The space is there; if the write failed all the same, the segment stays until this process ends.
        let _ = self.write(slot.0, FREE);
        self.free.push(slot.0);
    }

    fn write(&mut self, place: u32, id: SegmentId) -> io::Result<()> {
        self.file.write_all_at(&id.bytes(), SLOTS_AT + u64::from(place) * SLOT as u64)?;
        self.slots[place as usize] = id;
        Ok(())
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

/// Every id that a living process names.
///
/// Lists again until no new ledger appears: a forked child's is linked before its parent withdraws anything, so whoever saw the parent's
/// without an id sees the child's in the next listing. No ledger vanishes amid the listings: those of the dead are removed after them, and
/// only while nobody lists.
pub(super) fn scan(dir: &Path) -> io::Result<HashSet<SegmentId>> {
    let (mut seen, mut held, mut dead) = (HashSet::new(), HashSet::new(), Vec::new());
    let listing = sys::open_dir(dir)?;
    sys::lock_shared(&listing)?;
    loop {
        let mut news = false;
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            // What is not a file is not a ledger, and must not stop everybody's scans.
            if seen.contains(&name) || !entry.file_type()?.is_file() {
                continue;
            }
            news = true;
            let path = dir.join(&name);
            if !read(&path, &mut held)? {
                dead.push(path);
            }
            seen.insert(name);
        }
        if !news {
            break;
        }
    }
    sys::unlock(&listing);
    if !dead.is_empty() && sys::try_lock(&listing, true)? {
        for path in dead {
            // Somebody else may have been first.
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(held)
}

/// Adds what a ledger names; false if its process is dead.
fn read(path: &Path, held: &mut HashSet<SegmentId>) -> io::Result<bool> {
    let file = match sys::open(path, false) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    if sys::try_lock(&file, false)? {
        return Ok(false);
    }
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    let n = read_up_to(&file, &mut bytes)?;
    let slots = bytes[..n].get(SLOTS_AT as usize..).unwrap_or(&[]).chunks_exact(SLOT);
    held.extend(slots.map(|s| SegmentId::from_bytes(s.try_into().expect("a slot"))).filter(|id| *id != FREE));
    Ok(true)
}

/// As many bytes as there are: its process may be writing.
fn read_up_to(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while at < bytes.len() {
        match file.read_at(&mut bytes[at..], at as u64) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(at)
}
