//! Which private bytes this process has over which segments, for people who look.
//!
//! - Every [`super::Overlay`] is noted here from before it is handed out until before its memory goes.
//! - Bytes are those that were written, by pages, or had to be copied.

use std::collections::{BTreeMap, HashMap};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pages;
use crate::SegmentId;
use crate::lock::Lock;

static OVER: Lock<BTreeMap<u64, Place>> = Lock::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Private bytes over a segment.
struct Place {
    segment: SegmentId,
    start: usize,
    len: usize,
    /// Mapped: pages that were not written are still the segment's.
    mapped: bool,
}

/// An overlay that is noted.
pub(super) struct Noted(u64);

impl Noted {
    pub(super) fn new(segment: SegmentId, start: *const u8, len: usize, mapped: bool) -> Noted {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        OVER.lock().insert(number, Place { segment, start: start as usize, len, mapped });
        Noted(number)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        OVER.lock().remove(&self.0);
    }
}

/// Bytes that views of this process have privately because they were written or had to be copied, by segment. Pages are not counted where the
/// system does not tell.
pub fn bytes_over() -> HashMap<SegmentId, u64> {
    let mut bytes = HashMap::new();
    // Locked throughout: what is looked at must stay mapped.
    let over = OVER.lock();
    if over.is_empty() {
        return bytes;
    }
    let pages = pages::Map::open().ok();
    for place in over.values() {
        let written = || pages.as_ref()?.private(place.start as *const u8, place.len).ok();
        let own = match place.mapped {
            true => written().map_or(0, |runs| runs.iter().map(|run| run.pages).sum::<u64>() * pages::SIZE as u64),
            false => place.len as u64,
        };
        *bytes.entry(place.segment).or_default() += own;
    }
    bytes
}

/// Held over a fork, so that the child can note.
pub(super) struct OverHeld {
    _over: MutexGuard<'static, BTreeMap<u64, Place>>,
}

pub(super) fn over_before_fork() -> OverHeld {
    OverHeld { _over: OVER.lock() }
}
