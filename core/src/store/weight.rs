//! How much hangs on what this process holds, and when it is time to ask the host whether it still needs it.
//!
//! - R counts its own memory alone. A view of a gigabyte is a hundred bytes to it, so a worker that gets one after the other, and allocates
//!   little besides, would hold them all until R collects for some other reason.
//! - Like R's own heap, it asks when what is held has doubled since the last time, and grown by more than a little: a process that needs all
//!   it holds is asked a few times, not each time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Store;

/// Growth that is always allowed: a part of the store, and no more than this.
const SLACK: u64 = 1 << 30;
const SLACK_OF_STORE: u64 = 16;
/// As little as a store may be.
const LEAST: u64 = 1 << 20;

pub(super) struct Weight {
    /// Bytes of the segments this process holds.
    held: AtomicU64,
    /// The least that was held since the host was last asked.
    needed: AtomicU64,
    slack: u64,
}

impl Weight {
    /// For a store of so many bytes.
    pub(super) fn new(capacity: u64) -> Weight {
        let slack = (capacity / SLACK_OF_STORE).clamp(LEAST, SLACK);
        Weight { held: AtomicU64::new(0), needed: AtomicU64::new(0), slack }
    }

    pub(super) fn add(&self, len: u64) {
        self.held.fetch_add(len, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, len: u64) {
        let left = self.held.fetch_sub(len, Ordering::Relaxed) - len;
        self.needed.fetch_min(left, Ordering::Relaxed);
    }

    fn is_due(&self) -> bool {
        let needed = self.needed.load(Ordering::Relaxed);
        self.held.load(Ordering::Relaxed) > needed + needed.max(self.slack)
    }

    /// All that is held now is needed, as far as the host knows.
    fn settle(&self) {
        self.needed.store(self.held.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Store {
    /// Asks the host, if this process holds much more than it was known to need.
    pub(super) fn lighten(&self) {
        if self.0.weight.is_due() {
            self.relieve();
            self.0.weight.settle();
        }
    }
}
