//! The control block: tickets of references in flight, and how many there were. Its meaning is `docs/lifetime.md`; who may touch it, `store`.

use super::{u32_at, u64_at};
use crate::Ticket;

/// Bytes of a control block.
pub(crate) const LEN: usize = TICKETS_AT + TICKET_SLOTS * SLOT;
/// Tickets a segment has room for; more share one time.
pub const TICKET_SLOTS: usize = 64;
const TICKETS_AT: usize = 64;
const SLOT: usize = 16;
const OVERFLOW_AT: usize = 8;
const SENT_AT: usize = 16;
/// A time further away than a day is not believed, in nanoseconds.
const FAR: u64 = 24 * 3600 * 1_000_000_000;

/// A control block as read under the segment's lock.
///
/// Every method that changes it returns the place and bytes that must be written back, so that a crash can tear no more than one slot.
#[derive(Debug, Clone)]
pub struct Control([u8; LEN]);

/// References that were serialized, of all processes, and what that was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// How many.
    pub references: u64,
    /// Bytes that were not written because they were.
    pub saved: u64,
}

impl Sent {
    /// One that saved so many bytes.
    pub fn one(saved: u64) -> Sent {
        Sent { references: 1, saved }
    }

    /// Both.
    pub fn and(self, other: Sent) -> Sent {
        Sent {
            references: self.references.saturating_add(other.references),
            saved: self.saved.saturating_add(other.saved),
        }
    }
}

/// A change: offset within the control block, and the bytes that go there.
pub(crate) type Patch = (u64, [u8; SLOT]);

impl Default for Control {
    fn default() -> Self {
        Control([0; LEN])
    }
}

impl Control {
    pub(crate) fn from_bytes(bytes: [u8; LEN]) -> Self {
        Control(bytes)
    }

    /// Whether any process but the maker (and its forks) can know this segment.
    pub fn handed_out(&self) -> bool {
        u32_at(&self.0, 0) != 0
    }

    /// References in flight at `now`: tickets in slots, and whether others share the overflow time.
    pub fn in_flight(&self, now: u64) -> (usize, bool) {
        let slots = (0..TICKET_SLOTS).filter(|&i| self.slot(i).0 != 0 && runs(self.slot(i).1, now)).count();
        (slots, runs(u64_at(&self.0, OVERFLOW_AT), now))
    }

    /// References that were serialized since the segment was made.
    pub fn sent(&self) -> Sent {
        Sent { references: u64_at(&self.0, SENT_AT), saved: u64_at(&self.0, SENT_AT + 8) }
    }

    /// Counts more of them.
    pub(crate) fn count(&mut self, more: Sent) -> Patch {
        let Sent { references, saved } = self.sent().and(more);
        self.0[SENT_AT..SENT_AT + 8].copy_from_slice(&references.to_le_bytes());
        self.0[SENT_AT + 8..SENT_AT + SLOT].copy_from_slice(&saved.to_le_bytes());
        (SENT_AT as u64, self.0[SENT_AT..SENT_AT + SLOT].try_into().expect("a slot's length"))
    }

    /// When the last of the references in flight at `now` ends; `None` if there is none.
    pub(crate) fn last_end(&self, now: u64) -> Option<u64> {
        let slots = (0..TICKET_SLOTS).map(|i| self.slot(i)).filter(|(bits, _)| *bits != 0).map(|(_, until)| until);
        slots.chain([u64_at(&self.0, OVERFLOW_AT)]).filter(|&until| runs(until, now)).max()
    }

    /// Adds a ticket that ends at `until`, or a day from now if that is later: no more is believed. A slot that is free or whose time ended takes it; else the overflow time does.
    pub(crate) fn add(&mut self, ticket: Ticket, now: u64, until: u64) -> Patch {
        let until = until.min(now.saturating_add(FAR));
        let free = (0..TICKET_SLOTS).find(|&i| self.slot(i).0 == 0 || !runs(self.slot(i).1, now));
        match free {
            Some(i) => self.put(i, ticket.bits(), until),
            None => {
                // A time that is not believed (torn, or of another boot) must not swallow this one.
                let before = u64_at(&self.0, OVERFLOW_AT);
                let later = if runs(before, now) { until.max(before) } else { until };
                self.0[OVERFLOW_AT..OVERFLOW_AT + 8].copy_from_slice(&later.to_le_bytes());
                self.head()
            }
        }
    }

    /// Takes a ticket back; `None` if it has no slot.
    pub(crate) fn claim(&mut self, ticket: Ticket) -> Option<Patch> {
        let i = (0..TICKET_SLOTS).find(|&i| self.slot(i).0 == ticket.bits())?;
        Some(self.put(i, 0, 0))
    }

    /// Notes that others may know the segment; `None` if that was noted before.
    pub(crate) fn hand_out(&mut self) -> Option<Patch> {
        (!self.handed_out()).then(|| {
            self.0[0..4].copy_from_slice(&1u32.to_le_bytes());
            self.head()
        })
    }

    fn head(&self) -> Patch {
        (0, self.0[..SLOT].try_into().expect("a slot's length"))
    }

    fn slot(&self, i: usize) -> (u64, u64) {
        let at = TICKETS_AT + i * SLOT;
        (u64_at(&self.0, at), u64_at(&self.0, at + 8))
    }

    fn put(&mut self, i: usize, bits: u64, until: u64) -> Patch {
        let at = TICKETS_AT + i * SLOT;
        self.0[at..at + 8].copy_from_slice(&bits.to_le_bytes());
        self.0[at + 8..at + SLOT].copy_from_slice(&until.to_le_bytes());
        (at as u64, self.0[at..at + SLOT].try_into().expect("a slot's length"))
    }
}

fn runs(until: u64, now: u64) -> bool {
    until > now && until - now <= FAR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_in_flight_until_claimed_and_is_claimed_once() {
        let mut control = Control::default();
        let ticket = Ticket::random();
        control.add(ticket, 10, 100);
        assert_eq!(control.in_flight(50), (1, false));
        assert!(control.claim(ticket).is_some());
        assert!(control.claim(ticket).is_none());
        assert_eq!(control.in_flight(50), (0, false));
    }

    #[test]
    fn a_ticket_ends_at_its_time_and_a_time_too_far_is_not_believed() {
        let mut control = Control::default();
        control.add(Ticket::random(), 10, 100);
        assert_eq!(control.in_flight(100), (0, false));
        control.put(1, 77, u64::MAX);
        assert_eq!(control.in_flight(150), (0, false));
    }

    #[test]
    fn a_grace_time_of_more_than_a_day_is_a_day() {
        // It was written as it was, and then not believed: the reference was dead as soon as its maker let go.
        let mut control = Control::default();
        for i in 0..TICKET_SLOTS + 1 {
            control.add(Ticket::random(), 100, u64::MAX - i as u64);
        }
        assert_eq!(control.in_flight(150), (TICKET_SLOTS, true));
        assert_eq!(control.in_flight(100 + FAR), (0, false));
    }

    #[test]
    fn an_overflow_time_that_is_not_believed_does_not_swallow_a_ticket() {
        // The later of the two was kept, so nonsense (a torn write, a time of another boot on a disk) stayed, and was not believed.
        let mut control = Control::default();
        control.0[OVERFLOW_AT..OVERFLOW_AT + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        for _ in 0..TICKET_SLOTS + 1 {
            control.add(Ticket::random(), 0, 100);
        }
        assert_eq!(control.in_flight(50), (TICKET_SLOTS, true));
    }

    #[test]
    fn tickets_without_a_slot_hold_the_segment_until_the_last_of_them_ends() {
        let mut control = Control::default();
        for i in 0..TICKET_SLOTS as u64 + 3 {
            control.add(Ticket::random(), 0, 100 + i);
        }
        assert_eq!(control.in_flight(50), (TICKET_SLOTS, true));
        assert_eq!(control.in_flight(100 + TICKET_SLOTS as u64 + 1), (0, true));
        assert_eq!(control.in_flight(100 + TICKET_SLOTS as u64 + 2), (0, false));
    }

    #[test]
    fn what_was_sent_adds_up_leaves_the_rest_alone_and_stops_at_the_largest_number() {
        let mut control = Control::default();
        control.hand_out();
        control.add(Ticket::random(), 10, 100);
        let before = (control.handed_out(), control.in_flight(50));
        control.count(Sent::one(1000));
        control.count(Sent { references: 2, saved: 5 });
        assert_eq!(control.sent(), Sent { references: 3, saved: 1005 });
        assert_eq!((control.handed_out(), control.in_flight(50)), before);
        control.count(Sent { references: u64::MAX, saved: u64::MAX });
        assert_eq!(control.sent(), Sent { references: u64::MAX, saved: u64::MAX });
    }

    #[test]
    fn every_patch_rebuilds_the_block_it_came_from() {
        let (mut control, mut copy) = (Control::default(), Control::default());
        let tickets: Vec<_> = (0..70).map(|_| Ticket::random()).collect();
        let mut patches = vec![control.hand_out().unwrap()];
        patches.extend(tickets.iter().map(|&t| control.add(t, 0, 9)));
        patches.extend(tickets.iter().filter_map(|&t| control.claim(t)));
        patches.push(control.count(Sent { references: 3, saved: 4 }));
        for (at, bytes) in patches {
            copy.0[at as usize..][..SLOT].copy_from_slice(&bytes);
        }
        assert_eq!(copy.0, control.0);
    }
}
