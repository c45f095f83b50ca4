//! Looking at everybody's ledgers: what the living hold, and which belong to the dead.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::fork::Step;
use super::ledger::{Entry, PID_AT, SLOT, SLOTS_AT};
use crate::{SegmentId, sys};

/// Slots have numbers of 32 bits.
const LONGEST: u64 = SLOTS_AT + (SLOT as u64) * (1 << 32);
/// What is read of one at a time.
const PIECE: u64 = 64 << 10;

/// What a scan found.
pub(super) struct Scanned {
    /// What living processes name.
    pub(super) held: HashSet<SegmentId>,
    /// Ledgers of the dead are still there, because somebody else was listing.
    pub(super) dead_left: bool,
}

/// Whose ledger it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    /// The process's number in its own pid space.
    pub(super) pid: u32,
    /// The ledger's file, by device and inode: the process has it open.
    pub(super) ledger: (u64, u64),
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

/// Looks at every entry of every living process's ledger, beside whose it is: that is for people, never to tell who lives. Whether ledgers of the dead are still there, because somebody else was listing.
///
/// Lists again until no new ledger appears: a forked child's is linked before its parent withdraws anything, so whoever saw the parent's
/// without an id sees the child's in the next listing. No ledger vanishes amid the listings: those of the dead are removed after them, and
/// only while nobody lists.
///
/// A step (`_step`), because a child forked amid it would inherit the directory's lock and keep it.
pub(super) fn each_entry(dir: &Path, _step: &Step, mut look: impl FnMut(Owner, Entry)) -> io::Result<bool> {
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

/// Whether the process lives whose ledger has this path. What its ledger says is not looked at.
pub(super) fn lives(path: &Path, _step: &Step) -> io::Result<bool> {
    let file = match sys::open(path, false) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    let dead = sys::try_lock(&file, false)?;
    if dead {
        sys::unlock(&file);
    }
    Ok(!dead)
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

/// Gives `look` each entry of a living process's ledger.
fn read(path: &Path, look: &mut impl FnMut(Owner, Entry)) -> io::Result<Found> {
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
    let metadata = file.metadata()?;
    let len = metadata.len();
    if len > LONGEST {
        // Whatever it is: its lock is held, and what it says cannot be known.
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut pid = [0; 4];
    read_up_to(&file, &mut pid, PID_AT)?;
    let owner = Owner { pid: u32::from_le_bytes(pid), ledger: (metadata.dev(), metadata.ino()) };
    // In pieces: its length is what anybody made it, and need not be memory.
    let (mut bytes, mut at) = (vec![0; len.min(PIECE) as usize], SLOTS_AT);
    loop {
        let n = read_up_to(&file, &mut bytes, at)?;
        let entries = bytes[..n].chunks_exact(SLOT).map(Entry::read);
        entries.filter(|entry| !entry.id.is_zero()).for_each(|entry| look(owner, entry));
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
