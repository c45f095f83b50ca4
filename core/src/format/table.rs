//! The node table: one node a value, children and attributes by number.

use super::{ALIGN, DATA_AT, Header, LARGE, PAGE, u16_at, u32_at, u64_at};
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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

/// All nodes of a segment, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    nodes: Vec<Node>,
    children: Vec<u32>,
    names: Vec<Box<str>>,
}

impl Table {
    /// A node. `id` must come from this table: from its root, children or attributes, which were checked.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
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
        self.children[node.first_child as usize..][..node.child_count as usize].iter().map(|&c| NodeId(c))
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
        let payloads = || self.nodes.iter().map(|node| node.payload).filter(|p| p.len > 0);
        let offset = payloads().map(|p| p.offset).min().unwrap_or(0);
        let end = payloads().map(|p| p.offset + p.len).max().unwrap_or(0);
        Some(Payload { offset, len: end - offset })
    }

    /// The first node of a strategy.
    pub(crate) fn find(&self, strategy: &str) -> Option<&Node> {
        let number = self.names.iter().position(|name| **name == *strategy)?;
        self.nodes.iter().find(|node| usize::from(node.strategy) == number)
    }

    /// Adds a node with its children; its number.
    pub(crate) fn push(&mut self, mut node: Node, strategy: &str, children: &[NodeId]) -> NodeId {
        node.strategy = self.name(strategy);
        node.first_child = self.children.len() as u32;
        node.child_count = children.len() as u32;
        self.children.extend(children.iter().map(|c| c.0));
        self.nodes.push(node);
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

    /// The table as bytes, and the three counts the header needs: nodes, children, bytes of names.
    pub(crate) fn bytes(&self) -> (Vec<u8>, [u32; 3]) {
        let mut b = Vec::with_capacity(self.nodes.len() * NODE_LEN + self.children.len() * 4 + 64);
        for node in &self.nodes {
            b.extend(node.strategy.to_le_bytes());
            b.extend(node.facts.bits().to_le_bytes());
            b.extend(node.attributes.map_or(0, |a| a.0 + 1).to_le_bytes());
            for number in [node.length, node.payload.offset, node.payload.len] {
                b.extend(number.to_le_bytes());
            }
            b.extend(node.first_child.to_le_bytes());
            b.extend(node.child_count.to_le_bytes());
            b.extend(node.aux.to_le_bytes());
        }
        for child in &self.children {
            b.extend(child.to_le_bytes());
        }
        let before = b.len();
        for name in &self.names {
            b.extend((name.len() as u16).to_le_bytes());
            b.extend(name.as_bytes());
        }
        let counts = [self.nodes.len() as u32, self.children.len() as u32, (b.len() - before) as u32];
        (b, counts)
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
        let table = Table {
            names: parse_names(names)?,
            nodes: nodes.chunks_exact(NODE_LEN).map(parse_node).collect(),
            children: children.chunks_exact(4).map(|c| u32_at(c, 0)).collect(),
        };
        let is_node = |n: u32| n < header.node_count;
        if !table.children.iter().all(|&c| is_node(c)) {
            return corrupt("a child is not one of its nodes");
        }
        for node in &table.nodes {
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
                && offset % if len >= LARGE { PAGE } else { ALIGN } == 0
                && offset.checked_add(len).is_some_and(|end| end <= header.table_offset);
            if !(inside || (offset, len) == (0, 0)) {
                return corrupt("a payload lies outside the payloads");
            }
        }
        Ok(table)
    }
}

fn parse_node(b: &[u8]) -> Node {
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
