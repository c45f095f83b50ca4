//! The node table: one node a value, children and attributes by number.

use super::node::NODE_LEN;
use super::rows::{self, Rows};
use super::{DATA_AT, Header, Node, NodeId, Payload, alignment, u16_at};
use crate::FormatError;

/// All nodes of a segment. Those of a large one are read and checked when they are looked at, and one that was not what was written is empty:
/// without payload, children or strategy. [`Table::check`] tells.
#[derive(Default)]
pub struct Table {
    nodes: Rows<NODE_LEN>,
    children: Rows<4>,
    names: Vec<Box<str>>,
    limits: Limits,
    /// The name last pushed, and its number.
    last: (&'static str, u16),
}

/// What the numbers in a file's nodes may be.
#[derive(Clone, Copy, Default)]
struct Limits {
    nodes: u32,
    children: u32,
    names: usize,
    /// Where its payloads end.
    end: u64,
}

/// A table as it is written: nodes, children, names, the checksums of the blocks of nodes and children.
pub(crate) struct Encoded<'a> {
    nodes: &'a [u8],
    children: &'a [u8],
    pub(crate) index: Vec<u8>,
    names_len: usize,
}

impl Encoded<'_> {
    pub(crate) fn parts(&self) -> [&[u8]; 3] {
        [self.nodes, self.children, &self.index]
    }

    /// The three counts that the header needs: nodes, children, bytes of names.
    pub(crate) fn counts(&self) -> [u32; 3] {
        [(self.nodes.len() / NODE_LEN) as u32, (self.children.len() / 4) as u32, self.names_len as u32]
    }

    pub(crate) fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Of names and checksums, and by these of all.
    pub(crate) fn crc(&self) -> u32 {
        crc32fast::hash(&self.index)
    }
}

/// Bytes of the checksums of so many nodes and children.
pub(super) const fn checksums_len(nodes: u32, children: u32) -> u64 {
    4 * (rows::blocks::<NODE_LEN>(nodes) as u64 + rows::blocks::<4>(children) as u64)
}

impl Table {
    /// A node.
    pub fn node(&self, id: NodeId) -> Node {
        self.row(id).map(|row| Node::parse(&row)).unwrap_or_default()
    }

    fn row(&self, id: NodeId) -> Result<[u8; NODE_LEN], &'static str> {
        self.nodes.row(id.0 as usize, |row| self.limits.check_node(row))
    }

    /// Whether this node can be believed.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, id: NodeId) -> Result<(), &'static str> {
        self.row(id).map(drop)
    }

    /// A node by a number that came from outside.
    pub fn get(&self, number: u32) -> Option<NodeId> {
        ((number as usize) < self.len()).then_some(NodeId(number))
    }

    /// How many nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it has none; a sealed one always has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The children of a node, in order.
    pub fn children(&self, id: NodeId) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        let node = self.node(id);
        (0..node.child_count as usize).map(move |i| self.child_at(node.first_child as usize + i))
    }

    /// Child `i` of a node, if it has so many.
    pub fn child(&self, id: NodeId, i: usize) -> Option<NodeId> {
        self.child_of(&self.node(id), i)
    }

    /// The same of a node that was read.
    pub fn child_of(&self, node: &Node, i: usize) -> Option<NodeId> {
        (i < node.child_count as usize).then(|| self.child_at(node.first_child as usize + i))
    }

    fn child_at(&self, i: usize) -> NodeId {
        self.children.row(i, |row| self.limits.check_child(row)).map(|row| child(&row)).unwrap_or_default()
    }

    /// The name of the strategy that opens a node.
    pub fn strategy(&self, id: NodeId) -> &str {
        self.row(id).map_or("", |row| self.strategy_of(&Node::parse(&row)))
    }

    /// The same of a node that was read.
    pub fn strategy_of(&self, node: &Node) -> &str {
        self.names.get(usize::from(node.strategy)).map_or("", |name| name)
    }

    /// The names of all strategies in it.
    pub fn strategies(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// What [`crate::Segment::memory`] says, of a segment with this header.
    pub fn memory(&self, header: &Header, node: Option<u32>) -> Option<Payload> {
        let node = self.node(self.get(node.unwrap_or(header.root))?);
        if node.payload.len > 0 || node.child_count == 0 {
            return Some(node.payload);
        }
        let payloads = || self.all().map(|node| node.payload).filter(|p| p.len > 0);
        let offset = payloads().map(|p| p.offset).min().unwrap_or(0);
        let end = payloads().map(|p| p.offset + p.len).max().unwrap_or(0);
        Some(Payload { offset, len: end - offset })
    }

    /// The first node of a strategy.
    pub(crate) fn find(&self, strategy: &str) -> Option<Node> {
        let number = self.names.iter().position(|name| **name == *strategy)?;
        self.all().find(|node| usize::from(node.strategy) == number)
    }

    /// The strategy of the node whose payload lies there in the file, and where that ends.
    pub(crate) fn at_offset(&self, at: u64) -> Option<(&str, u64)> {
        let node =
            self.all().find(|node| (node.payload.offset..node.payload.offset + node.payload.len).contains(&at))?;
        Some((self.strategy_of(&node), node.payload.offset + node.payload.len))
    }

    /// Whether it is in memory of its own, and not in the segment's.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.nodes, Rows::Own(_))
    }

    fn all(&self) -> impl Iterator<Item = Node> + '_ {
        (0..self.len() as u32).map(|number| self.node(NodeId(number)))
    }

    /// The same, in no more memory than it needs.
    pub(crate) fn copied(&self) -> Table {
        let (nodes, children) = (Rows::Own(self.nodes.own().to_vec()), Rows::Own(self.children.own().to_vec()));
        Table { nodes, children, names: self.names.clone(), ..Table::default() }
    }

    /// Without anything in it, the memory kept for the next one.
    pub(crate) fn clear(&mut self) {
        self.nodes.own_mut().clear();
        self.children.own_mut().clear();
        self.names.clear();
        self.last = Default::default();
    }

    /// Bytes of memory that are kept for nodes and children.
    pub(crate) fn capacity(&mut self) -> usize {
        self.nodes.own_mut().capacity() * NODE_LEN + self.children.own_mut().capacity() * 4
    }

    /// So many nodes are about to come, all of them children.
    pub(crate) fn expect(&mut self, nodes: usize) {
        self.nodes.own_mut().reserve(nodes + 1);
        self.children.own_mut().reserve(nodes);
    }

    /// Adds a node with its children; its number.
    pub(crate) fn push(&mut self, mut node: Node, strategy: &'static str, children: &[NodeId]) -> NodeId {
        node.strategy = self.name(strategy);
        node.first_child = self.children.len() as u32;
        node.child_count = children.len() as u32;
        self.children.own_mut().extend(children.iter().map(|c| c.0.to_le_bytes()));
        self.nodes.own_mut().push(node.bytes());
        NodeId(self.len() as u32 - 1)
    }

    fn name(&mut self, name: &'static str) -> u16 {
        // A segment uses a handful of strategies, the last one most often.
        if !std::ptr::eq(self.last.0, name) {
            let known = self.names.iter().rposition(|n| **n == *name);
            let number = known.unwrap_or_else(|| {
                self.names.push(name.into());
                self.names.len() - 1
            });
            self.last = (name, number as u16);
        }
        self.last.1
    }

    /// Nodes and children a segment can number: the counts are 32 bits.
    pub(crate) fn fits(&self) -> bool {
        self.nodes.len() < u32::MAX as usize && self.children.len() < u32::MAX as usize
    }

    /// As it is written.
    pub(crate) fn encoded(&self) -> Encoded<'_> {
        let (nodes, children) = (self.nodes.own().as_flattened(), self.children.own().as_flattened());
        let mut index = Vec::new();
        for name in &self.names {
            index.extend((name.len() as u16).to_le_bytes());
            index.extend(name.as_bytes());
        }
        let names_len = index.len();
        index.extend(rows::checksums(nodes));
        index.extend(rows::checksums(children));
        Encoded { nodes, children, index, names_len }
    }

    /// Checks 3 and 4 of the format page: `bytes` is the whole node table that `header` tells of.
    ///
    /// # Errors
    /// [`FormatError::Corrupt`], which says what is wrong.
    pub fn parse(header: &Header, bytes: &[u8]) -> Result<Table, FormatError> {
        if bytes.len() as u64 != header.table_len() {
            return Err(FormatError::Corrupt("its node table is cut"));
        }
        let (nodes, rest) = bytes.split_at(header.node_count as usize * NODE_LEN);
        let (children, index) = rest.split_at(header.child_count as usize * 4);
        let Index { names, checksums: [of_nodes, of_children], limits } = Index::parse(header, index)?;
        let rows = || {
            let nodes = Rows::checked(nodes, of_nodes, |row| limits.check_node(row))?;
            Ok((nodes, Rows::checked(children, of_children, |row| limits.check_child(row))?))
        };
        let (nodes, children) = rows().map_err(FormatError::Corrupt)?;
        Ok(Table { nodes, children, names, limits, last: Default::default() })
    }

    /// The same of a table in memory that begins at `start`, read as it is looked at. `index`: its last [`Header::index_len`] bytes.
    ///
    /// # Errors
    /// [`FormatError::Corrupt`]: its names, or the checksums.
    ///
    /// # Safety
    /// That memory can be read as long as this table is asked anything.
    pub(crate) unsafe fn mapped(header: &Header, index: &[u8], start: *const u8) -> Result<Table, FormatError> {
        let Index { names, checksums: [of_nodes, of_children], limits } = Index::parse(header, index)?;
        let children_at = start.wrapping_add(header.node_count as usize * NODE_LEN);
        // SAFETY: as we were promised; the nodes come first.
        let nodes = unsafe { Rows::mapped(start, header.node_count, of_nodes) };
        // SAFETY: and the children behind them.
        let children = unsafe { Rows::mapped(children_at, header.child_count, of_children) };
        Ok(Table { nodes, children, names, limits, last: Default::default() })
    }
}

/// What is behind the children.
struct Index<'a> {
    names: Vec<Box<str>>,
    /// Of the nodes' blocks, and the children's.
    checksums: [&'a [u8]; 2],
    limits: Limits,
}

impl<'a> Index<'a> {
    fn parse(header: &Header, bytes: &'a [u8]) -> Result<Self, FormatError> {
        if crc32fast::hash(bytes) != header.index_crc {
            return Err(FormatError::Corrupt("the checksum of its node table does not fit"));
        }
        let (names, checksums) = bytes.split_at(header.names_len as usize);
        let names = parse_names(names)?;
        let (nodes, children) = (header.node_count, header.child_count);
        let limits = Limits { nodes, children, names: names.len(), end: header.table_offset };
        let (of_nodes, of_children) = checksums.split_at(4 * rows::blocks::<NODE_LEN>(nodes) as usize);
        Ok(Index { names, checksums: [of_nodes, of_children], limits })
    }
}

impl Limits {
    fn check_node(self, row: &[u8; NODE_LEN]) -> Result<(), &'static str> {
        let node = Node::parse(row);
        if usize::from(node.strategy) >= self.names {
            return Err("a node's strategy has no name");
        }
        if node.attributes.is_some_and(|a| a.0 >= self.nodes) {
            return Err("a node's attributes are not one of its nodes");
        }
        if u64::from(node.first_child) + u64::from(node.child_count) > self.children.into() {
            return Err("a node's children are not in the child array");
        }
        let Payload { offset, len } = node.payload;
        let inside = offset >= DATA_AT
            && offset % alignment(len) == 0
            && offset.checked_add(len).is_some_and(|end| end <= self.end);
        if !(inside || (offset, len) == (0, 0)) {
            return Err("a payload lies outside the payloads");
        }
        Ok(())
    }

    fn check_child(self, row: &[u8; 4]) -> Result<(), &'static str> {
        if child(row).0 < self.nodes { Ok(()) } else { Err("a child is not one of its nodes") }
    }
}

fn child(c: &[u8; 4]) -> NodeId {
    NodeId(u32::from_le_bytes(*c))
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
