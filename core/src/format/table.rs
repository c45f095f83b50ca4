//! The node table: one node a value, children and attributes by number.

use super::{DATA_AT, Header, alignment, u16_at, u32_at, u64_at};
use crate::FormatError;
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

impl Default for NodeId {
    fn default() -> Self {
        NodeId(u32::MAX)
    }
}

/// All nodes of a segment, checked. As they are in the file: most nodes of a large table are looked at once, or never.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    nodes: Vec<[u8; NODE_LEN]>,
    children: Vec<[u8; 4]>,
    names: Vec<Box<str>>,
}

/// A table as it is written: nodes, children and names, one after the other.
pub(crate) struct Encoded<'a> {
    pub(crate) nodes: &'a [u8],
    pub(crate) children: &'a [u8],
    pub(crate) names: Vec<u8>,
}

impl Encoded<'_> {
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        [self.nodes, self.children, &self.names]
    }

    /// The three counts that the header needs: nodes, children, bytes of names.
    pub(crate) fn counts(&self) -> [u32; 3] {
        [(self.nodes.len() / NODE_LEN) as u32, (self.children.len() / 4) as u32, self.names.len() as u32]
    }

    pub(crate) fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    pub(crate) fn crc(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        self.parts().iter().for_each(|part| hasher.update(part));
        hasher.finalize()
    }
}

impl Table {
    /// A node. `id` must come from this table: from its root, children or attributes, which were checked.
    pub fn node(&self, id: NodeId) -> Node {
        Node::parse(&self.nodes[id.0 as usize])
    }

    /// A node by a number that came from outside.
    pub fn get(&self, number: u32) -> Option<NodeId> {
        ((number as usize) < self.nodes.len()).then_some(NodeId(number))
    }

    /// How many nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it has none; a sealed one always has.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The children of a node, in order.
    pub fn children(&self, id: NodeId) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        let node = self.node(id);
        self.children[node.first_child as usize..][..node.child_count as usize].iter().map(child)
    }

    /// Child `i` of a node, if it has so many.
    pub fn child(&self, id: NodeId, i: usize) -> Option<NodeId> {
        let node = self.node(id);
        (i < node.child_count as usize).then(|| child(&self.children[node.first_child as usize + i]))
    }

    /// The name of the strategy that opens a node.
    pub fn strategy(&self, id: NodeId) -> &str {
        &self.names[self.node(id).strategy as usize]
    }

    /// What [`crate::Segment::memory`] says, of a segment with this header.
    pub fn memory(&self, header: &Header, node: Option<u32>) -> Option<Payload> {
        let node = self.node(self.get(node.unwrap_or(header.root))?);
        if node.payload.len > 0 || node.child_count == 0 {
            return Some(node.payload);
        }
        let payloads = || self.nodes.iter().map(|node| Node::parse(node).payload).filter(|p| p.len > 0);
        let offset = payloads().map(|p| p.offset).min().unwrap_or(0);
        let end = payloads().map(|p| p.offset + p.len).max().unwrap_or(0);
        Some(Payload { offset, len: end - offset })
    }

    /// The first node of a strategy.
    pub(crate) fn find(&self, strategy: &str) -> Option<Node> {
        let number = self.names.iter().position(|name| **name == *strategy)?;
        self.nodes.iter().map(Node::parse).find(|node| usize::from(node.strategy) == number)
    }

    /// So many nodes are about to come, all of them children.
    pub(crate) fn expect(&mut self, nodes: usize) {
        self.nodes.reserve(nodes + 1);
        self.children.reserve(nodes);
    }

    /// Adds a node with its children; its number.
    pub(crate) fn push(&mut self, mut node: Node, strategy: &str, children: &[NodeId]) -> NodeId {
        node.strategy = self.name(strategy);
        node.first_child = self.children.len() as u32;
        node.child_count = children.len() as u32;
        self.children.extend(children.iter().map(|c| c.0.to_le_bytes()));
        self.nodes.push(node.bytes());
        NodeId(self.nodes.len() as u32 - 1)
    }

    fn name(&mut self, name: &str) -> u16 {
        // A segment uses a handful of strategies, the last one most often.
        match self.names.iter().rposition(|n| **n == *name) {
            Some(i) => i as u16,
            None => {
                self.names.push(name.into());
                self.names.len() as u16 - 1
            }
        }
    }

    /// Nodes and children a segment can number: the counts are 32 bits.
    pub(crate) fn fits(&self) -> bool {
        self.nodes.len() < u32::MAX as usize && self.children.len() < u32::MAX as usize
    }

    /// As it is written.
    pub(crate) fn encoded(&self) -> Encoded<'_> {
        let mut names = Vec::new();
        for name in &self.names {
            names.extend((name.len() as u16).to_le_bytes());
            names.extend(name.as_bytes());
        }
        Encoded { nodes: self.nodes.as_flattened(), children: self.children.as_flattened(), names }
    }

    /// Checks 3 and 4 of the format page: `bytes` is the whole node table that `header` tells of.
    ///
    /// # Errors
    /// [`FormatError::Corrupt`], which says what is wrong.
    pub fn parse(header: &Header, bytes: &[u8]) -> Result<Table, FormatError> {
        let corrupt = |why| Err(FormatError::Corrupt(why));
        if bytes.len() as u64 != header.table_len() {
            return corrupt("its node table is cut");
        }
        if crc32fast::hash(bytes) != header.table_crc {
            return corrupt("the checksum of its node table does not fit");
        }
        let (nodes, rest) = bytes.split_at(header.node_count as usize * NODE_LEN);
        let (children, names) = rest.split_at(header.child_count as usize * 4);
        let table = Table { names: parse_names(names)?, nodes: arrays(nodes), children: arrays(children) };
        let is_node = |n: u32| n < header.node_count;
        if !table.children.iter().all(|c| is_node(child(c).0)) {
            return corrupt("a child is not one of its nodes");
        }
        for node in table.nodes.iter().map(Node::parse) {
            if node.strategy as usize >= table.names.len() {
                return corrupt("a node's strategy has no name");
            }
            if node.attributes.is_some_and(|a| !is_node(a.0)) {
                return corrupt("a node's attributes are not one of its nodes");
            }
            if node.first_child as u64 + node.child_count as u64 > header.child_count as u64 {
                return corrupt("a node's children are not in the child array");
            }
            let Payload { offset, len } = node.payload;
            let inside = offset >= DATA_AT
                && offset % alignment(len) == 0
                && offset.checked_add(len).is_some_and(|end| end <= header.table_offset);
            if !(inside || (offset, len) == (0, 0)) {
                return corrupt("a payload lies outside the payloads");
            }
        }
        Ok(table)
    }
}

fn arrays<const N: usize>(bytes: &[u8]) -> Vec<[u8; N]> {
    bytes.chunks_exact(N).map(|b| b.try_into().expect("chunks of N")).collect()
}

fn child(c: &[u8; 4]) -> NodeId {
    NodeId(u32::from_le_bytes(*c))
}

impl Node {
    fn parse(b: &[u8; NODE_LEN]) -> Node {
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

    fn bytes(&self) -> [u8; NODE_LEN] {
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

fn parse_names(mut b: &[u8]) -> Result<Vec<Box<str>>, FormatError> {
    let mut names = Vec::new();
    while !b.is_empty() {
        let name = b.get(..2).and_then(|len| b.get(2..2 + u16_at(len, 0) as usize));
        let name = name.ok_or(FormatError::Corrupt("a strategy's name is cut"))?;
        let text = std::str::from_utf8(name).map_err(|_| FormatError::Corrupt("a strategy's name is not UTF-8"))?;
        names.push(text.into());
        b = &b[2 + name.len()..];
    }
    Ok(names)
}
