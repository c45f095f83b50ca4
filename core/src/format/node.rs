//! One node: a value's place in the table, 48 bytes.

use super::{u16_at, u32_at, u64_at};
use bitflags::bitflags;

/// Bytes of a node.
pub(crate) const NODE_LEN: usize = 48;

bitflags! {
    /// What the writer knew of the elements.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Facts: u16 {
        /// No element is NA (nor NaN).
        const NO_NA = 1;
        /// In increasing order, ties allowed.
        const INCREASING = 2;
        /// In decreasing order, ties allowed.
        const DECREASING = 4;
    }
}

/// The number of a node within its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// None that there is.
impl Default for NodeId {
    fn default() -> Self {
        NodeId(u32::MAX)
    }
}

/// Where a node's bytes lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payload {
    /// From the beginning of the file; 0 if there are none.
    pub offset: u64,
    /// In bytes.
    pub len: u64,
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Node {
    /// Which name of the table opens it.
    pub strategy: u16,
    /// What is known of its elements.
    pub facts: Facts,
    /// The node of its attributes.
    pub attributes: Option<NodeId>,
    /// In elements.
    pub length: u64,
    /// Its bytes.
    pub payload: Payload,
    /// First entry in the child array.
    pub first_child: u32,
    /// Entries in the child array.
    pub child_count: u32,
    /// The strategy's own.
    pub aux: u64,
}

impl Node {
    pub(super) fn parse(b: &[u8; NODE_LEN]) -> Node {
        Node {
            strategy: u16_at(b, 0),
            facts: Facts::from_bits_truncate(u16_at(b, 2)),
            attributes: u32_at(b, 4).checked_sub(1).map(NodeId),
            length: u64_at(b, 8),
            payload: Payload { offset: u64_at(b, 16), len: u64_at(b, 24) },
            first_child: u32_at(b, 32),
            child_count: u32_at(b, 36),
            aux: u64_at(b, 40),
        }
    }

    pub(super) fn bytes(&self) -> [u8; NODE_LEN] {
        let mut b = [0; NODE_LEN];
        b[0..2].copy_from_slice(&self.strategy.to_le_bytes());
        b[2..4].copy_from_slice(&self.facts.bits().to_le_bytes());
        b[4..8].copy_from_slice(&self.attributes.map_or(0, |a| a.0 + 1).to_le_bytes());
        b[8..16].copy_from_slice(&self.length.to_le_bytes());
        b[16..24].copy_from_slice(&self.payload.offset.to_le_bytes());
        b[24..32].copy_from_slice(&self.payload.len.to_le_bytes());
        b[32..36].copy_from_slice(&self.first_child.to_le_bytes());
        b[36..40].copy_from_slice(&self.child_count.to_le_bytes());
        b[40..48].copy_from_slice(&self.aux.to_le_bytes());
        b
    }
}
