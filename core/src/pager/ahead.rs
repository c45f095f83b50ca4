//! How many pages to make at a fault: one where faults come at random, more and more where they follow one another.

use std::ops::Range;

/// Sequences of faults told apart in one area: threads that each read a part, columns read side by side.
const STREAMS: usize = 8;
/// Most pages made at once.
pub(super) const MOST: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Stream {
    /// What it has made last lies between the two.
    low: usize,
    high: usize,
    window: usize,
    /// When it was last used.
    used: u64,
}

/// Where faults of an area were.
pub(super) struct Streams {
    streams: [Stream; STREAMS],
    clock: u64,
}

impl Streams {
    pub(super) fn new() -> Streams {
        Streams { streams: [Stream { low: usize::MAX, high: usize::MAX, window: 0, used: 0 }; STREAMS], clock: 0 }
    }

    /// The pages to make for a fault at `page`, it among them, of an area of `pages`.
    pub(super) fn next(&mut self, page: usize, pages: usize) -> Range<usize> {
        self.clock += 1;
        let follows = |s: &&mut Stream| s.high == page || s.low == page + 1;
        let (range, window) = match self.streams.iter_mut().find(follows) {
            Some(s) => {
                s.window = (s.window * 2).min(MOST);
                let range =
                    if s.high == page { page..page + s.window } else { (page + 1).saturating_sub(s.window)..page + 1 };
                (s.low, s.high, s.used) = (range.start, range.end.min(pages), self.clock);
                return s.low..s.high;
            }
            None => (page..page + 1, 1),
        };
        if let Some(oldest) = self.streams.iter_mut().min_by_key(|s| s.used) {
            *oldest = Stream { low: range.start, high: range.end, window, used: self.clock };
        }
        range
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
            let range = s.next(at, 1000);
            assert_eq!(range.start, at);
            (at, _) = (range.end, sizes.push(range.len()));
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 233]);
        let (mut at, mut sizes) = (1000, Vec::new());
        while at > 0 {
            let range = s.next(at - 1, 1000);
            assert_eq!(range.end, at);
            (at, _) = (range.start, sizes.push(range.len()));
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 233]);
    }

    #[test]
    fn random_faults_make_one_page_and_leave_other_streams_alone() {
        let mut s = Streams::new();
        let mut at = 0;
        for i in 0..50 {
            at = s.next(at, 1 << 30).end;
            (0..STREAMS - 2).for_each(|k| assert_eq!(s.next((1 << 20) + (i * 8 + k) * 7919, 1 << 30).len(), 1));
        }
        assert!(at > 40 * MOST);
    }
}
