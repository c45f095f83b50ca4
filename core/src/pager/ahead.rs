//! How many pages to make at a fault: one where faults come at random, more and more where they follow one another.

use std::ops::Range;

use super::BLOCK_PAGES;

/// Sequences of faults told apart in one area: threads that each read a part, columns read side by side.
const STREAMS: usize = 8;
/// Most pages made at once.
pub(super) const MOST: usize = 256;

/// Pages that a long stream leaves in memory behind itself.
const BEHIND: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Stream {
    /// What it has made last lies between the two.
    low: usize,
    high: usize,
    window: usize,
    /// Pages it has come along.
    way: usize,
    /// When it was last used.
    used: u64,
}

/// Where faults of an area were.
pub(super) struct Streams {
    streams: [Stream; STREAMS],
    clock: u64,
}

/// What to do for a fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The pages to make, that of the fault among them.
    pub(super) make: Range<usize>,
    /// Pages nobody will miss: their stream is longer by now than all that is kept, so they would be gone before it came by again.
    pub(super) leave: Range<usize>,
}

impl Streams {
    pub(super) fn new() -> Streams {
        let none = Stream { low: usize::MAX, high: usize::MAX, window: 0, way: 0, used: 0 };
        Streams { streams: [none; STREAMS], clock: 0 }
    }

    /// For a fault at `page` of an area of `pages`, where `kept` pages are.
    pub(super) fn next(&mut self, page: usize, pages: usize, kept: usize) -> Step {
        self.clock += 1;
        let follows = |s: &&mut Stream| s.high == page || s.low == page + 1;
        let Some(s) = self.streams.iter_mut().find(follows) else {
            if let Some(oldest) = self.streams.iter_mut().min_by_key(|s| s.used) {
                *oldest = Stream { low: page, high: page + 1, window: 1, way: 1, used: self.clock };
            }
            return Step { make: page..page + 1, leave: 0..0 };
        };
        let up = s.high == page;
        s.window = (s.window * 2).min(MOST);
        // A large one ends with a block, so that what goes later are whole blocks.
        (s.low, s.high) = match up {
            true if s.window < BLOCK_PAGES => (page, page + s.window),
            true => (page, (page + s.window) / BLOCK_PAGES * BLOCK_PAGES),
            false if s.window < BLOCK_PAGES => ((page + 1).saturating_sub(s.window), page + 1),
            false => ((page + 1).saturating_sub(s.window).next_multiple_of(BLOCK_PAGES), page + 1),
        };
        (s.high, s.used) = (s.high.min(pages), self.clock);
        let made = s.high - s.low;
        s.way += made;
        let leave = match up {
            _ if s.way < kept.max(2 * BEHIND) => 0..0,
            true => s.high.saturating_sub(made + BEHIND)..s.high - BEHIND,
            false => s.low + BEHIND..(s.low + BEHIND + made).min(pages),
        };
        Step { make: s.low..s.high, leave }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_double_both_ways_and_end_with_the_area() {
        let mut s = Streams::new();
        let (mut at, mut sizes) = (0, Vec::new());
        while at < 1000 {
            let make = s.next(at, 1000, usize::MAX).make;
            assert_eq!(make.start, at);
            (at, _) = (make.end, sizes.push(make.len()));
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 1, 128, 256, 256, 256, 40]);
        let (mut at, mut sizes) = (1000, Vec::new());
        while at > 0 {
            let make = s.next(at - 1, 1000, usize::MAX).make;
            assert_eq!(make.end, at);
            (at, _) = (make.start, sizes.push(make.len()));
        }
        assert_eq!(sizes.iter().sum::<usize>(), 1000);
        assert_eq!(sizes[..6], [1, 2, 4, 8, 16, 32]);
        assert!(sizes[6..].iter().all(|n| *n <= MOST));
    }

    #[test]
    fn random_faults_make_one_page_and_leave_other_streams_alone() {
        let mut s = Streams::new();
        let mut at = 0;
        for i in 0..50 {
            at = s.next(at, 1 << 30, usize::MAX).make.end;
            for k in 0..STREAMS - 2 {
                assert_eq!(s.next((1 << 20) + (i * 8 + k) * 7919, 1 << 30, usize::MAX).make.len(), 1);
            }
        }
        assert!(at > 40 * MOST);
    }

    #[test]
    fn a_stream_leaves_pages_behind_once_it_is_longer_than_what_is_kept() {
        for up in [true, false] {
            let (mut s, mut at, mut left) = (Streams::new(), 0, 0);
            let (pages, kept) = (1 << 20, 20_000);
            while at < 100_000 {
                let step = s.next(if up { at } else { pages - 1 - at }, pages, kept);
                at += step.make.len();
                assert!(at >= kept || step.leave.is_empty());
                left += step.leave.len();
                let behind = if up { step.leave.end + BEHIND } else { step.leave.start - BEHIND.min(step.leave.start) };
                assert!(step.leave.is_empty() || behind == if up { step.make.end } else { step.make.start });
            }
            assert!(left + kept + BEHIND + MOST >= at && left < at - kept + 2 * MOST);
        }
    }
}
