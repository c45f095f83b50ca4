//! References in flight give way where there is no room for anything new.
//!
//! - A segment that no living process holds and that only unclaimed references keep: the one whose last reference would end first goes first. With
//!   one grace time for all, that is the oldest.
//! - It is a collect that heeds no tickets, with all its locks: what anybody holds, or is attaching now, stays.

use super::collect::Idle;
use super::control::Locked;
use super::scan::scan;
use super::{Store, collect, fork};
use crate::{SegmentId, sys};

/// Kept by references alone, as far as one can see without locks.
struct Kept {
    id: SegmentId,
    /// When its last reference ends.
    until: u64,
    len: u64,
}

impl Store {
    /// Removes segments that only references in flight keep, until there are `wanted` bytes more. How many went.
    pub(super) fn press(&self, wanted: u64) -> usize {
        let mut kept = self.kept();
        kept.sort_by_key(|kept| kept.until);
        let (mut gone, mut freed) = (0, 0);
        let mut rest = kept.as_slice();
        while !rest.is_empty() && freed < wanted {
            // As many as it takes, if none of them is held after all.
            let mut sum = freed;
            let n = rest.iter().take(collect::BATCH).take_while(|kept| {
                let before = sum;
                sum += kept.len;
                before < wanted
            });
            let (batch, behind) = rest.split_at(n.count());
            let (n, bytes) = self.remove_unheld(batch);
            (gone, freed, rest) = (gone + n, freed + bytes, behind);
        }
        gone
    }

    fn kept(&self) -> Vec<Kept> {
        let step = fork::step();
        let Ok(ids) = collect::names(&self.0.segments) else { return Vec::new() };
        let Ok(scanned) = scan(&self.0.ledgers, &ids, &step) else { return Vec::new() };
        let kept = |id| {
            let locked = self.try_locked(id)?;
            let until = locked.control().ok()?.last_end(sys::now())?;
            Some(Kept { id, until, len: locked.file().metadata().ok()?.len() })
        };
        ids.into_iter().filter(|id| !scanned.held.contains(id)).filter_map(kept).collect()
    }

    /// Unlinks those that nobody holds, under their locks and one scan. How many, and their bytes.
    fn remove_unheld(&self, batch: &[Kept]) -> (usize, u64) {
        let step = fork::step();
        let locked: Vec<_> = batch.iter().filter_map(|kept| Some((kept, self.try_locked(kept.id)?))).collect();
        let among = locked.iter().map(|(kept, _)| kept.id).collect();
        let Ok(scanned) = scan(&self.0.ledgers, &among, &step) else { return (0, 0) };
        let gone = locked.iter().filter(|(kept, _)| !scanned.held.contains(&kept.id) && self.unlink(kept.id));
        gone.fold((0, 0), |(n, bytes), (kept, _)| (n + 1, bytes + kept.len))
    }

    /// Its file, locked, if it has its name and nobody is at it.
    fn try_locked(&self, id: SegmentId) -> Option<Locked> {
        if let Ok(Idle::Locked(locked)) = self.lock_now(id) { Some(locked) } else { None }
    }
}
