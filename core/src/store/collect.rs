//! Unlinking what nobody holds. Apart from an explicit free, and `press`, the only place where a segment loses its name.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::control::Locked;
use super::scan::scan;
use super::{Store, fork};
use crate::{SegmentId, sys};

/// Small segments given up wait until there are this many.
pub(super) const BATCH: usize = 64;
/// A segment from this size is collected at once.
const LARGE: u64 = 1 << 20;
/// A process that shares or attaches sweeps if it has not for this long, nanoseconds.
const SWEEP_EVERY: u64 = 5_000_000_000;

/// A process that ends tries so often, a millisecond apart, what others have locked.
const PATIENCE: u32 = 100;

pub(super) fn at_once(len: u64) -> bool {
    len >= LARGE
}

impl Store {
    /// Asks the host what it still needs, if that is much; collects what waits, and sweeps if that was long ago. Called from share and attach.
    pub(super) fn tidy(&self) {
        self.lighten();
        let now = sys::now();
        // Another thread may have swept since.
        let mut state = self.0.state.lock();
        if now.saturating_sub(state.swept) < SWEEP_EVERY {
            return;
        }
        state.swept = now;
        drop(state);
        self.sweep();
    }

    /// Removes every segment of the store that no living process holds and no reference in flight points to; ledgers and cards of the dead too.
    /// How many segments went. What cannot be looked at is left for another sweep.
    pub fn sweep(&self) -> usize {
        let gone = self.collect_pending();
        gone + self.try_sweep().map_or(0, |(swept, _)| swept)
    }

    /// How many segments went, and whether something was left because somebody else was at it.
    fn try_sweep(&self) -> io::Result<(usize, bool)> {
        self.0.state.lock().swept = sys::now();
        let step = fork::step();
        // What cannot be looked at is left for another sweep.
        let cards_left = self.sweep_names(&step).unwrap_or(false);
        let mut ids = names(&self.0.segments)?;
        // The scan without locks only thins out the candidates; the one that counts is made under their locks.
        let scanned = scan(&self.0.ledgers, &ids, &step)?;
        drop(step);
        ids.retain(|id| !scanned.held.contains(id));
        let ids = Vec::from_iter(ids);
        let (mut gone, mut left) = (0, scanned.dead_left || cards_left);
        for batch in ids.chunks(BATCH) {
            let (busy, n) = self.collect(batch);
            (gone, left) = (gone + n, left || !busy.is_empty());
        }
        Ok((gone, left))
    }

    /// Collects the segments this process gave up.
    pub(super) fn collect_pending(&self) -> usize {
        // Attached and given up twice, it is there twice; the second would find it locked by the first.
        let pending: HashSet<_> = std::mem::take(&mut self.0.state.lock().pending).into_iter().collect();
        let pending = Vec::from_iter(pending);
        let mut gone = 0;
        for batch in pending.chunks(BATCH) {
            let (busy, n) = self.collect(batch);
            gone += n;
            // Somebody has the lock: the next time.
            self.0.state.lock().pending.extend(busy);
        }
        gone
    }

    /// Unlinks those of `ids` that are idle. Those whose lock somebody has, and how many went.
    pub(super) fn collect(&self, ids: &[SegmentId]) -> (Vec<SegmentId>, usize) {
        match self.collect_at_once(ids) {
            Ok(done) => done,
            // Fewer at a time: each locked segment is a descriptor, and the scan needs some.
            Err(_) if ids.len() > 1 => {
                let (left, right) = ids.split_at(ids.len() / 2);
                let ((mut busy, gone), (more, too)) = (self.collect(left), self.collect(right));
                busy.extend(more);
                (busy, gone + too)
            }
            Err(_) => (ids.to_vec(), 0),
        }
    }

    /// The same under one scan. An error: there are not descriptors enough.
    fn collect_at_once(&self, ids: &[SegmentId]) -> io::Result<(Vec<SegmentId>, usize)> {
        let step = fork::step();
        let (mut busy, mut idle) = (Vec::new(), Vec::new());
        for &id in ids {
            match self.lock_idle(id) {
                Ok(Idle::Locked(locked)) => idle.push((id, locked)),
                Ok(Idle::Busy) => busy.push(id),
                Err(e) if sys::is_out_of_descriptors(&e) => return Err(e),
                Ok(Idle::No) | Err(_) => {}
            }
        }
        if idle.is_empty() {
            return Ok((busy, 0));
        }
        let among = idle.iter().map(|(id, _)| *id).collect();
        let held = match scan(&self.0.ledgers, &among, &step) {
            Err(e) if sys::is_out_of_descriptors(&e) => return Err(e),
            Err(_) => return Ok((busy, 0)),
            Ok(scanned) => scanned.held,
        };
        let gone = idle.iter().filter(|(id, _)| !held.contains(id) && self.unlink(*id)).count();
        Ok((busy, gone))
    }

    /// The short cut: a segment of ours that was never handed out, and we never forked since, is in no other ledger.
    pub(super) fn collect_unshared(&self, id: SegmentId) {
        let _step = fork::step();
        match self.lock_idle(id) {
            Ok(Idle::Locked(locked)) if locked.control().is_ok_and(|c| !c.handed_out()) => {
                self.unlink(id);
            }
            Ok(Idle::Locked(locked)) => {
                drop(locked);
                let (busy, _) = self.collect(&[id]);
                self.0.state.lock().pending.extend(busy);
            }
            _ => self.0.state.lock().pending.push(id),
        }
    }

    /// Locks a segment that has no reference in flight.
    fn lock_idle(&self, id: SegmentId) -> io::Result<Idle> {
        match self.lock_now(id)? {
            Idle::Locked(locked) if flies(&locked)? => Ok(Idle::No),
            other => Ok(other),
        }
    }

    /// Locks a segment if nobody works on it, whatever is in flight.
    pub(super) fn lock_now(&self, id: SegmentId) -> io::Result<Idle> {
        let file = match sys::open(&self.segment_path(id), true) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Idle::No),
            other => other?,
        };
        if !sys::try_lock(&file, true)? {
            return Ok(Idle::Busy);
        }
        Ok(if sys::links(&file)? == 0 { Idle::No } else { Idle::Locked(Locked::new(file)) })
    }

    /// Collects a segment that is locked already; whether it went. An error where a sweep would leave it to the next one: the caller is
    /// about to show what is in it.
    pub(super) fn collect_locked(&self, id: SegmentId, locked: &Locked, step: &fork::Step) -> io::Result<bool> {
        if flies(locked)? || scan(&self.0.ledgers, &HashSet::from([id]), step)?.held.contains(&id) {
            return Ok(false);
        }
        std::fs::remove_file(self.segment_path(id)).map(|()| true)
    }

    pub(super) fn unlink(&self, id: SegmentId) -> bool {
        std::fs::remove_file(self.segment_path(id)).is_ok()
    }

    /// The end of this process: nothing is held any more.
    pub(super) fn retire(&self) {
        // Whoever has the lock in another thread will not give it back now.
        let Some(mut state) = self.0.state.try_lock() else { return };
        // Closed, it is a dead one like any other, and the sweep removes it.
        if state.ledger.take().is_none() {
            return;
        }
        drop(state);
        self.count_sent();
        for _ in 0..PATIENCE {
            self.collect_pending();
            let left = self.try_sweep().is_ok_and(|(_, left)| left);
            match self.0.state.try_lock() {
                Some(state) if left || !state.pending.is_empty() => {}
                _ => return,
            }
            // Who is at it may be at its end too, and have found us still alive: the last one must not leave it to the next.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether a reference to a locked segment is in flight.
fn flies(locked: &Locked) -> io::Result<bool> {
    match locked.control().map(|c| c.in_flight(sys::now())) {
        Ok(references) => Ok(references != (0, false)),
        // Too short for a control block: no segment of ours, so nobody's.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

pub(super) enum Idle {
    /// Locked; as far as that was asked, no reference is in flight.
    Locked(Locked),
    /// Somebody works on it.
    Busy,
    /// Gone, or a reference is in flight.
    No,
}

/// Ids of a directory; none if somebody removed it. A dotted file whose maker died (its lock is free) is removed on the way.
pub(super) fn names(dir: &Path) -> io::Result<HashSet<SegmentId>> {
    let mut ids = HashSet::new();
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        other => other?,
    };
    for entry in entries {
        let name = entry?.file_name();
        match name.to_str().and_then(SegmentId::parse) {
            Some(id) => {
                ids.insert(id);
            }
            None => drop(remove_dead_dotted(dir, &name)),
        }
    }
    Ok(ids)
}

fn remove_dead_dotted(dir: &Path, name: &OsStr) -> io::Result<()> {
    if name.as_encoded_bytes().first() != Some(&b'.') {
        return Ok(());
    }
    let path = dir.join(name);
    let file = sys::open(&path, true)?;
    if sys::try_lock(&file, true)? {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
