//! What travels together: the references of one serialization, which is one message.
//!
//! - Those to one segment have one ticket between them. A segment has room for 64, and each costs a lock of its file on either side; a list of
//!   ten thousand vectors, on an R that has no lazy lists, is ten thousand references.
//! - The same place in a segment twice may be two messages that one C function sends: the second has a ticket of its own. Not so where the function is
//!   known to send one, as R's `serialize()`.
//! - Each is counted in its segment, with what it saved: the one that needs the lock, by it, and the others later (`core/src/store/sent.rs`).
//! - Where they arrive, their views have one keeper, as those of any list.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use cowshed_core::{ByAddress, Segment, SegmentId, Store, Ticket};

use crate::boundary::{R, Result};
use crate::keeper::Keeper;
use crate::options;
use crate::weak::Weak;

/// One serialization, of those of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    number: u64,
    /// Whether it is known to be one, whatever is in it.
    one: bool,
}

thread_local! {
    static NUMBER: Cell<u64> = const { Cell::new(0) };
    static SENT: RefCell<Sent> = RefCell::default();
    /// The last ticket that came with a reference, and the keeper of its views.
    static ARRIVED: Cell<Option<(Ticket, Weak)>> = const { Cell::new(None) };
}

/// What the serialization under way has sent.
#[derive(Default)]
struct Sent {
    message: u64,
    segments: HashMap<SegmentId, Handed>,
}

struct Handed {
    ticket: Ticket,
    nodes: HashSet<usize, ByAddress>,
}

impl Message {
    /// Another one than all before.
    pub(crate) fn begin(one: bool) -> Message {
        NUMBER.set(NUMBER.get() + 1);
        Message { number: NUMBER.get(), one }
    }

    /// The ticket of a reference to this node, which saves so many bytes; `None` if nobody could attach it, and it must travel by value.
    pub(crate) fn ticket(self, r: R, store: Store, segment: &Segment, node: u32, saved: u64) -> Option<Ticket> {
        let (id, node) = (segment.id(), node as usize);
        let (known, first) = SENT.with_borrow_mut(|sent| {
            let first = sent.message != self.number;
            if first {
                *sent = Sent { message: self.number, segments: HashMap::new() };
            }
            let known = sent.segments.get_mut(&id);
            (known.and_then(|handed| (handed.nodes.insert(node) || self.one).then_some(handed.ticket)), first)
        });
        if known.is_some() {
            store.note_sent(segment, saved);
            return known;
        }
        // A store that cannot be written now is no reason to fail: the data are here. (It may have R collect, and finalizers send something.)
        let ticket = store.export_saving(segment, options::grace(r), saved).ok()??;
        if first {
            // What the message before left uncounted of this segment is counted by now.
            store.count_sent();
        }
        let handed = Handed { ticket, nodes: [node].into_iter().collect() };
        SENT.with_borrow_mut(|sent| {
            if sent.message == self.number {
                sent.segments.insert(id, handed);
            }
        });
        Some(ticket)
    }
}

/// The keeper of the views whose references came with this ticket, protected until the scope ends.
pub(crate) fn keeper(r: R, ticket: Ticket) -> Result<Keeper> {
    let (last, weak) = match ARRIVED.get() {
        Some((last, weak)) => (Some(last), weak),
        None => (None, Weak::new(r)?),
    };
    let known = if last == Some(ticket) { Keeper::from(weak.get()) } else { None };
    if let Some(keeper) = known {
        r.keep(keeper.sexp())?;
        return Ok(keeper);
    }
    let keeper = Keeper::new(r)?;
    weak.set(r, keeper.sexp())?;
    ARRIVED.set(Some((ticket, weak)));
    Ok(keeper)
}
