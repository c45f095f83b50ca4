//! Pages in the order they came, by block.

use std::collections::VecDeque;

/// Pages of a block, by its address. They may have changed their kind, or gone, since they came: who takes them looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) block: usize,
    pub(super) pages: u64,
}

pub(super) struct Queue {
    entries: VecDeque<Entry>,
    /// How many pages there are of the kind.
    pub(super) pages: usize,
    /// Entries from which on stale ones are looked for.
    tidy_at: usize,
}

const TIDY: usize = 1024;

impl Queue {
    pub(super) const fn new() -> Queue {
        Queue { entries: VecDeque::new(), pages: 0, tidy_at: TIDY }
    }

    /// Adds pages at the end.
    pub(super) fn push(&mut self, block: usize, pages: u64) {
        match self.entries.back_mut() {
            Some(last) if last.block == block => last.pages |= pages,
            _ => self.entries.push_back(Entry { block, pages }),
        }
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.entries.pop_front()
    }

    /// Puts one back that is still the oldest.
    pub(super) fn restore(&mut self, entry: Entry) {
        self.entries.push_front(entry);
    }

    /// Drops what is stale once it may be the most of it.
    pub(super) fn tidy(&mut self, mut is_live: impl FnMut(&Entry) -> bool) {
        if self.entries.len() > self.tidy_at {
            self.entries.retain(|entry| is_live(entry));
            self.tidy_at = (2 * self.entries.len()).max(TIDY);
            self.entries.shrink_to(self.tidy_at);
        }
    }
}
