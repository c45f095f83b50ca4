//! The list of segments a process holds, in a file whose lock dies with the process.
//!
//! - Slots of 32 bytes from byte 64 on: an id, or zero; then, for people who look, bytes of the segment and when it was made. Written with
//!   `pwrite` by its process alone; a store wiped or full cannot be SIGBUS.
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
use crate::{Header, SegmentId, StoreError};

/// Slots begin here; before them lie the magic bytes and the pid, for people who look.
const SLOTS_AT: u64 = 64;
const SLOT: usize = 32;
const MAGIC: &[u8; 8] = b"cowledg\n";
/// The pid, four bytes.
const PID_AT: u64 = 8;
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

    fn read(bytes: &[u8]) -> Entry {
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
    /// What living processes name.
    pub(super) held: HashSet<SegmentId>,
    /// Ledgers of the dead are still there, because somebody else was listing.
    pub(super) dead_left: bool,
}

/// Those of `among` that a living process names. A process may hold very many more than are asked about.
pub(super) fn scan(dir: &Path, among: &HashSet<SegmentId>, step: &Step) -> io::Result<Scanned> {
    let mut held = HashSet::new();
    let dead_left = each_entry(dir, step, |_, entry| {
        if among.contains(&entry.id) {
            held.insert(entry.id);
        }
    })?;
    Ok(Scanned { held, dead_left })
}

/// Looks at every entry of every living process's ledger, beside the process's number in its own pid space: that is for people, never to tell who
/// lives. Whether ledgers of the dead are still there, because somebody else was listing.
///
/// Lists again until no new ledger appears: a forked child's is linked before its parent withdraws anything, so whoever saw the parent's
/// without an id sees the child's in the next listing. No ledger vanishes amid the listings: those of the dead are removed after them, and
/// only while nobody lists.
///
/// A step (`_step`), because a child forked amid it would inherit the directory's lock and keep it.
pub(super) fn each_entry(dir: &Path, _step: &Step, mut look: impl FnMut(u32, Entry)) -> io::Result<bool> {
    let (mut seen, mut dead) = (HashSet::new(), Vec::new());
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
            if let Found::Dead = read(&path, &mut look)? {
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
        return Ok(false);
    }
    let alone = sys::try_lock(&listing, true)?;
    if alone {
        for path in dead {
            // Somebody else may have been first.
            let _ = std::fs::remove_file(path);
        }
        sys::unlock(&listing);
    }
    Ok(!alone)
}

/// Other things that lie there say nothing of who holds what, and must not keep everybody from collecting.
fn is_ledger(name: &OsStr) -> bool {
    name.to_str().is_some_and(|n| SegmentId::parse(n.strip_prefix('.').unwrap_or(n)).is_some())
}

fn is_dotted(name: &OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

enum Found {
    Living,
    Dead,
    Gone,
}

/// Gives `look` the pid and each entry of a living process's ledger.
fn read(path: &Path, look: &mut impl FnMut(u32, Entry)) -> io::Result<Found> {
    let file = match sys::open(path, false) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
        other => other?,
    };
    if sys::try_lock(&file, false)? {
        // Without its name yet it names no holder, and its maker may be about to lock it: it goes now, under the lock, so that the maker
        // sees it gone and begins again.
        let nameless = path.file_name().is_some_and(is_dotted) && std::fs::remove_file(path).is_ok();
        sys::unlock(&file);
        return Ok(if nameless { Found::Gone } else { Found::Dead });
    }
    let len = file.metadata()?.len();
    if len > LONGEST {
        // Whatever it is: its lock is held, and what it says cannot be known.
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut pid = [0; 4];
    read_up_to(&file, &mut pid, PID_AT)?;
    // In pieces: its length is what anybody made it, and need not be memory.
    let (mut bytes, mut at) = (vec![0; len.min(PIECE) as usize], SLOTS_AT);
    loop {
        let n = read_up_to(&file, &mut bytes, at)?;
        let entries = bytes[..n].chunks_exact(SLOT).map(Entry::read);
        entries.filter(|entry| !entry.id.is_zero()).for_each(|entry| look(u32::from_le_bytes(pid), entry));
        if n < bytes.len() || n == 0 {
            return Ok(Found::Living);
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
