//! Mappings of segments' files: where each is, and how many a process may have.
//!
//! - The kernel allows a process some 65,530, for everything in it: with none left, not even R can allocate. So small segments are copied once
//!   half of them are ours, and all but the largest before the last are.
//! - A file that is cut under its mapping is SIGBUS for whoever reads there. `cut` mends the mapping, by what is known of it here.

use std::collections::BTreeMap;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock};

use memmap2::{Mmap, MmapMut, MmapRaw};

use super::over::{OverHeld, over_before_fork};
use super::{cut, pages};
use crate::Table;
use crate::lock::Lock;

/// What malloc() has no mapping of its own for.
const SMALL: u64 = 96 << 10;
/// A copy of this is worse than a mapping too many.
const LARGE: u64 = 64 << 20;

/// Every mapping of ours, by its first address.
static AREAS: Lock<BTreeMap<usize, Area>> = Lock::new(BTreeMap::new());

/// A mapping and what it shows.
pub(super) struct Area {
    pub(super) end: usize,
    /// Where in the file it begins.
    offset: u64,
    pub(super) writable: bool,
    /// What is in the file, if that does not lie in the mapping itself.
    table: Option<Arc<Table>>,
    /// Eight bytes that stand for those that the file has no more, where no value is known.
    pub(super) missing: u64,
    lost: Arc<AtomicBool>,
}

/// A mapping that is known. It goes from the list before it is unmapped.
pub(crate) struct Mapped<M> {
    place: Place,
    map: M,
}

struct Place {
    start: usize,
    lost: Arc<AtomicBool>,
}

impl Drop for Place {
    fn drop(&mut self) {
        AREAS.lock().remove(&self.start);
    }
}

/// What can be mapped: where it is, how long, and whether it is written.
pub(crate) trait Region {
    fn region(&self) -> (usize, usize, bool);
}

impl Region for Mmap {
    fn region(&self) -> (usize, usize, bool) {
        (self.as_ptr() as usize, self.len(), false)
    }
}

impl Region for MmapMut {
    fn region(&self) -> (usize, usize, bool) {
        (self.as_ptr() as usize, self.len(), true)
    }
}

impl Region for MmapRaw {
    fn region(&self) -> (usize, usize, bool) {
        (self.as_ptr() as usize, self.len(), true)
    }
}

impl<M: Region> Mapped<M> {
    /// A mapping of a file from `offset` on.
    pub(crate) fn new(map: M, offset: u64) -> Mapped<M> {
        cut::install();
        let (at, len, writable) = map.region();
        let before = at % pages::SIZE;
        let lost = Arc::new(AtomicBool::new(false));
        let area = Area {
            end: at + len,
            offset: offset - before as u64,
            writable,
            table: None,
            missing: 0,
            lost: lost.clone(),
        };
        AREAS.lock().insert(at - before, area);
        Mapped { place: Place { start: at - before, lost }, map }
    }

    /// Tells what is in the file.
    pub(crate) fn describe(&self, table: &Arc<Table>) {
        if !table.is_own() {
            return;
        }
        if let Some(area) = AREAS.lock().get_mut(&self.place.start) {
            area.table = Some(table.clone());
        }
    }

    /// Says what stands for bytes that the file has no more, in a file without values.
    pub(super) fn is_missing(&self, bytes: u64) {
        if let Some(area) = AREAS.lock().get_mut(&self.place.start) {
            area.missing = bytes;
        }
    }

    /// Whether bytes that were in the file once were found missing.
    pub(crate) fn is_lost(&self) -> bool {
        self.place.lost.load(Ordering::Relaxed)
    }
}

impl<M> Deref for Mapped<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.map
    }
}

/// Whether so many bytes, which could as well be copied, should be mapped.
pub(crate) fn is_worth(len: u64) -> bool {
    let (taken, most) = (AREAS.lock().len(), most());
    len >= LARGE || taken < most / 2 || len >= SMALL && taken < most / 8 * 7
}

/// An error if no more must be mapped, of what cannot be copied.
pub(crate) fn must() -> io::Result<()> {
    let full = AREAS.lock().len() >= most() / 16 * 15;
    if full { Err(io::Error::from_raw_os_error(libc::ENOMEM)) } else { Ok(()) }
}

/// How many mappings the kernel lets a process have.
fn most() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| {
        let told = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
        told.and_then(|text| text.trim().parse().ok()).unwrap_or(65_530)
    })
}

/// Held over a fork, so that the child can map.
pub(crate) struct MappingsHeld {
    _areas: MutexGuard<'static, BTreeMap<usize, Area>>,
    _over: OverHeld,
}

pub(crate) fn mappings_before_fork() -> MappingsHeld {
    MappingsHeld { _areas: AREAS.lock(), _over: over_before_fork() }
}

/// Marks what is mapped at `address` as lost, and hands `mend` the mapping, where it begins, and which strategy's value lies there, with the
/// address at which that ends. False if nothing of ours is there, or `mend` says so.
///
/// A signal handler calls it. Nobody who has the lock reads a mapping of ours, so the lock is not the interrupted thread's.
pub(super) fn lose<F>(address: usize, mend: F) -> bool
where
    F: FnOnce(&Area, Option<(&str, usize)>) -> bool,
{
    let areas = AREAS.lock();
    let Some((start, area)) = areas.range(..=address).next_back().filter(|(_, area)| address < area.end) else {
        return false;
    };
    area.lost.store(true, Ordering::Relaxed);
    let at = area.offset + (address - start) as u64;
    let value = area.table.as_ref().and_then(|table| {
        let (strategy, end) = table.at_offset(at)?;
        Some((strategy, start + (end - area.offset) as usize))
    });
    mend(area, value)
}
