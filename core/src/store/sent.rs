//! How many references were sent, and what they saved: in each segment's control block, for people who look.
//!
//! - The first reference of a message counts itself, under the lock that it needs anyway. Further ones of the message are written while nobody
//!   locks the segment: they are remembered here, and counted with the next reference of another message, before a report, when the segment
//!   is given up, when the process ends, and whenever there are [`MANY`].
//! - So what another process sent may be told a little late.

use super::collect::Idle;
use super::{Store, fork};
use crate::{Segment, SegmentId, Sent};

/// Remembered of one segment at most: a lock of its file is dear beside a reference, and cheap beside so many.
const MANY: u64 = 256;

impl Store {
    /// Remembers that a reference to the segment was written, and saved so many bytes.
    pub fn note_sent(&self, segment: &Segment, saved: u64) {
        let mut state = self.0.state.lock();
        let sent = state.uncounted.entry(segment.id()).or_default();
        *sent = sent.and(Sent::one(saved));
        let many = sent.references >= MANY;
        drop(state);
        if many {
            self.count_last(segment.id());
        }
    }

    /// Counts all that is remembered.
    pub fn count_sent(&self) {
        let uncounted = std::mem::take(&mut self.0.state.lock().uncounted);
        uncounted.into_iter().for_each(|(id, sent)| self.count(id, sent));
    }

    /// Counts what is remembered of a segment.
    pub(super) fn count_last(&self, id: SegmentId) {
        let sent = self.take_uncounted(id);
        if sent != Sent::default() {
            self.count(id, sent);
        }
    }

    /// What is remembered of a segment, for whoever counts it.
    pub(super) fn take_uncounted(&self, id: SegmentId) -> Sent {
        self.0.state.lock().uncounted.remove(&id).unwrap_or_default()
    }

    /// If somebody has the lock, the next time: a finalizer of R's must not wait.
    fn count(&self, id: SegmentId, sent: Sent) {
        let _step = fork::step();
        match self.lock_now(id) {
            // Nothing to do about a failure.
            Ok(Idle::Locked(locked)) => drop(locked.count(sent)),
            Ok(Idle::Busy) => {
                let mut state = self.0.state.lock();
                if state.live.contains_key(&id) {
                    let more = state.uncounted.entry(id).or_default();
                    *more = more.and(sent);
                }
            }
            Ok(Idle::No) | Err(_) => {}
        }
    }
}
