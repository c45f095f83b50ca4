//! The list of segments a process holds, in a file whose lock dies with the process.
//!
//! - Slots of 16 bytes from byte 64 on: an id, or zero. Written with `pwrite` by its process alone; a store wiped or full cannot be SIGBUS.
//! - Born locked: a ledger that can be seen and locked belongs to the dead.
//! - Dropping one closes it, no more: in a forked child the same file description is the parent's.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::fork::Step;
use crate::sys::{self, Unnamed};
use crate::{SegmentId, StoreError};

/// Slots begin here; before them lie the magic bytes and the pid, for people who look.
const SLOTS_AT: u64 = 64;
const SLOT: usize = 16;
const MAGIC: &[u8; 8] = b"cowledg\n";
/// A ledger grows by pages.
const PAGE: usize = 4096;
/// Slots have numbers of 32 bits.
const LONGEST: u64 = SLOTS_AT + (SLOT as u64) * (1 << 32);
/// What is read of one at a time.
const PIECE: u64 = 64 << 10;

/// A place in one ledger, and in the copies forks make of it: a process whose store was wiped has another later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    place: u32,
    ledger: u64,
}

pub(super) struct Ledger {
    file: File,
    path: PathBuf,
    /// Which of the ledgers of this process.
    number: u64,
    /// What the file says; zero is free.
    slots: Vec<SegmentId>,
    free: Vec<u32>,
}

const FREE: SegmentId = SegmentId::from_bytes([0; 16]);

impl Ledger {
    /// A new one in `dir`, the ledgers of the store at `store`.
    pub(super) fn create(store: &Path, dir: &Path) -> Result<Ledger, StoreError> {
        let unusable = |source| StoreError::Unusable { path: store.to_owned(), what: "making a ledger", source };
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

    fn born_locked(dir: &Path, number: u64, slots: Vec<SegmentId>) -> io::Result<Ledger> {
        let unnamed = Unnamed::create(dir)?;
        sys::lock_exclusive(unnamed.file())?;
        let mut bytes = vec![0u8; (SLOTS_AT as usize + slots.len() * SLOT).next_multiple_of(PAGE)];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&std::process::id().to_le_bytes());
        for (place, id) in bytes[SLOTS_AT as usize..].chunks_exact_mut(SLOT).zip(&slots) {
            place.copy_from_slice(&id.bytes());
        }
        sys::write_at(unnamed.file(), &bytes, 0)?;
        let path = dir.join(SegmentId::random().to_string());
        let file = unnamed.link(&path)?;
        let mut ledger = Ledger { file, path, number, slots, free: Vec::new() };
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
                sys::write_at(&self.file, &vec![0; more], SLOTS_AT + (old * SLOT) as u64)?;
                self.grow_to(old + more / SLOT);
                self.free.pop().expect("just grown")
            }
        };
        if let Err(e) = self.write(place, id) {
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

    fn write(&mut self, place: u32, id: SegmentId) -> io::Result<()> {
        sys::write_at(&self.file, &id.bytes(), SLOTS_AT + u64::from(place) * SLOT as u64)?;
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

/// What a scan found.
pub(super) struct Scanned {
    /// Every id that a living process names.
    pub(super) held: HashSet<SegmentId>,
    /// Ledgers of the dead are still there, because somebody else was listing.
    pub(super) dead_left: bool,
}

/// Every id that a living process names.
///
/// Lists again until no new ledger appears: a forked child's is linked before its parent withdraws anything, so whoever saw the parent's
/// without an id sees the child's in the next listing. No ledger vanishes amid the listings: those of the dead are removed after them, and
/// only while nobody lists.
///
/// A step (`_step`), because a child forked amid it would inherit the directory's lock and keep it.
pub(super) fn scan(dir: &Path, _step: &Step) -> io::Result<Scanned> {
    let (mut seen, mut held, mut dead) = (HashSet::new(), HashSet::new(), Vec::new());
    let listing = sys::open_dir(dir)?;
    sys::lock_shared(&listing)?;
    loop {
        let mut news = false;
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            // What is not a file is not a ledger, and must not stop everybody's scans.
            if seen.contains(&name) || !is_ledger(&name) || !entry.file_type()?.is_file() {
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
    if dead.is_empty() {
        return Ok(Scanned { held, dead_left: false });
    }
    let alone = sys::try_lock(&listing, true)?;
    if alone {
        for path in dead {
            // Somebody else may have been first.
            let _ = std::fs::remove_file(path);
        }
        sys::unlock(&listing);
    }
    Ok(Scanned { held, dead_left: !alone })
}

/// Other things that lie there say nothing of who holds what, and must not keep everybody from collecting.
fn is_ledger(name: &OsStr) -> bool {
    name.to_str().is_some_and(|n| SegmentId::parse(n.strip_prefix('.').unwrap_or(n)).is_some())
}

/// Adds what a ledger names; false if its process is dead.
fn read(path: &Path, held: &mut HashSet<SegmentId>) -> io::Result<bool> {
    let file = match sys::open(path, false) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    if sys::try_lock(&file, false)? {
        sys::unlock(&file);
        return Ok(false);
    }
    let len = file.metadata()?.len();
    if len > LONGEST {
        // Whatever it is: its lock is held, and what it says cannot be known.
        return Err(io::ErrorKind::InvalidData.into());
    }
    // In pieces: its length is what anybody made it, and need not be memory.
    let (mut bytes, mut at) = (vec![0; len.min(PIECE) as usize], SLOTS_AT);
    loop {
        let n = read_up_to(&file, &mut bytes, at)?;
        let slots = bytes[..n].chunks_exact(SLOT);
        held.extend(slots.map(|s| SegmentId::from_bytes(s.try_into().expect("a slot"))).filter(|id| *id != FREE));
        if n < bytes.len() || n == 0 {
            return Ok(true);
        }
        at += n as u64;
    }
}

/// As many bytes as there are from `start` on: its process may be writing.
fn read_up_to(file: &File, bytes: &mut [u8], start: u64) -> io::Result<usize> {
    let mut at = 0;
    while at < bytes.len() {
        match file.read_at(&mut bytes[at..], start + at as u64) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(at)
}
