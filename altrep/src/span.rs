//! Which elements of a segment a view reads.

use std::sync::Arc;

use cowshed_core::{Mode, Node, NodeId, Payload, Segment};

use crate::element::Kind;
use crate::strings::Character;
use crate::text::Text;

/// Bytes of a reference in R's serialization, about.
const REFERENCE: u64 = 200;

/// A range of a node's elements. A node of another package's strategy has bytes that can be seen as elements of any type, each type's counted
/// from where they begin.
#[derive(Clone)]
pub(crate) struct Span {
    pub(crate) segment: Arc<Segment>,
    pub(crate) node: NodeId,
    /// First element within the node.
    pub(crate) start: u64,
    /// The bytes of the range.
    pub(crate) payload: Payload,
}

impl Span {
    /// `len` elements of `size` bytes from `start` on; `None` if the node has no such elements.
    pub(crate) fn new(segment: &Arc<Segment>, node: NodeId, start: u64, len: u64, size: usize) -> Option<Span> {
        let whole = segment.table().node(node);
        let size = size as u64;
        let (length, exact) = match is_foreign(segment, node) {
            true => (whole.payload.len / size, true),
            false => (whole.length, whole.length.checked_mul(size) == Some(whole.payload.len)),
        };
        let fits = exact && start.checked_add(len).is_some_and(|end| end <= length) && len <= isize::MAX as u64;
        let offset = if len == 0 { 0 } else { whole.payload.offset + start * size };
        fits.then(|| Span { segment: segment.clone(), node, start, payload: Payload { offset, len: len * size } })
    }

    /// All elements, of `size` bytes, of a vector's node; `None` if they are not what it has.
    pub(crate) fn of_vector(segment: &Arc<Segment>, id: NodeId, node: &Node, size: usize) -> Option<Span> {
        let fits = node.length.checked_mul(size as u64) == Some(node.payload.len) && node.length <= isize::MAX as u64;
        fits.then(|| Span { segment: segment.clone(), node: id, start: 0, payload: node.payload })
    }

    /// A node of which not the bytes matter but the children.
    pub(crate) fn of_parts(segment: &Arc<Segment>, node: NodeId) -> Span {
        Span { segment: segment.clone(), node, start: 0, payload: Payload::default() }
    }

    /// `len` strings of a node from `start` on; `None` if it has no such strings.
    pub(crate) fn of_text(segment: &Arc<Segment>, node: NodeId, start: u64, len: u64) -> Option<(Span, Text)> {
        let whole = segment.table().node(node);
        let n = usize::try_from(whole.length).ok().filter(|n| *n <= isize::MAX as usize / 8)?;
        let fits = start.checked_add(len).is_some_and(|end| end <= whole.length);
        // SAFETY: the payload lies inside the segment, which the span keeps.
        let text = unsafe { Text::parse(segment.payload(whole.payload), whole.payload.len as usize, n) };
        let span = Span { segment: segment.clone(), node, start, payload: whole.payload };
        text.filter(|_| fits).map(|text| (span, text))
    }

    /// Bytes that a reference to `len` of its elements spares whoever serializes them.
    pub(crate) fn saved(&self, len: u64) -> u64 {
        let whole = self.segment.table().node(self.node);
        let bytes = if self.payload.len == 0 && whole.child_count > 0 {
            self.segment.bytes_of(self.node)
        } else if len < whole.length && self.segment.table().strategy_of(&whole) == Character::STRATEGY {
            // Some of the strings are no range of the payload.
            (u128::from(self.payload.len) * u128::from(len) / u128::from(whole.length)) as u64
        } else {
            self.payload.len
        };
        bytes.saturating_sub(REFERENCE)
    }

    pub(crate) fn frozen(&self) -> bool {
        self.segment.mode() == Mode::Frozen
    }
}

/// Whether the strategy of a node is another package's: our own names begin with `r.`, and `memory.` is that of memory's names.
pub(crate) fn is_foreign(segment: &Segment, node: NodeId) -> bool {
    let name = segment.table().strategy(node);
    !name.starts_with("r.") && !name.starts_with("memory.")
}
