//! Reading a segment: from its nodes to what R had.
//!
//! - The table was checked by the core, the meaning of nodes is checked here: lengths and `aux` are hostile.
//! - A node may be met several times, and nodes that hold others twice each, some levels deep, would be more values than there is memory for: so
//!   there may only be so many values as the segment has parts, a few times over.

use std::borrow::Cow;
use std::sync::Arc;

use cowshed_core::{ARRAY_STRATEGY, DEEPEST, DispatchError, Kind, Mode, Node, NodeId, Segment};
use pyo3::prelude::*;

use crate::elements::Elements;
use crate::failure::{Failure, Result};
use crate::text;
use crate::unserialize::unserialize;
use crate::value::{Atom, Data, Value};

/// Bits of a node's `aux`, as `docs/format.md` numbers them.
const S4: u64 = 2;
const STRUCTURE: u64 = 4;

/// A walk over the nodes of a segment.
pub(crate) struct Nodes<'a, 'py> {
    py: Python<'py>,
    segment: &'a Arc<Segment>,
    depth: usize,
    /// Values that may still be made.
    left: u64,
}

impl<'a, 'py> Nodes<'a, 'py> {
    /// One that begins `depth` levels within something else.
    pub(crate) fn new(py: Python<'py>, segment: &'a Arc<Segment>, depth: usize) -> Self {
        let header = segment.header();
        let left = 16 * (u64::from(header.node_count) + u64::from(header.child_count)) + (1 << 16);
        Nodes { py, segment, depth, left }
    }

    /// A node, with its attributes.
    pub(crate) fn open(&mut self, id: NodeId) -> Result<Value> {
        let node = self.node(id)?;
        let attributes = self.deeper(id, |nodes| nodes.attributes(&node))?;
        if node.aux & S4 != 0 || self.segment.table().strategy_of(&node) == "r.S4" {
            return Ok(Value { data: s4(self.py, &attributes), attributes });
        }
        let data = self.data(id, &node, 0, node.length)?;
        // What was serialized has its own.
        match data {
            Contents::Data(data) => Ok(Value { data, attributes }),
            Contents::Whole(value) => Ok(value),
        }
    }

    /// `len` elements of a node, from `start` on, without its attributes. The node must be of the type that `class` says.
    pub(crate) fn part(
        &mut self,
        id: NodeId,
        class: &str,
        foreign: bool,
        start: u64,
        len: u64,
    ) -> Result<Option<Data>> {
        let node = self.node(id)?;
        let table = self.segment.table();
        let strategy = table.strategy(id);
        if foreign {
            let Some(atom) = Atom::named(class, "cowshed_") else { return Ok(None) };
            let is_foreign = !strategy.starts_with("r.") && !strategy.starts_with("memory.");
            return Ok(self.elements(&node, atom, start, len).filter(|_| is_foreign));
        }
        let name = strategy.strip_prefix("r.").unwrap_or_default();
        if class.strip_prefix("cowshed_") != Some(name) || start.checked_add(len).is_none_or(|end| end > node.length) {
            return Ok(None);
        }
        if name == "list" && (start, len) != (0, node.length) {
            return Ok(None);
        }
        match self.data(id, &node, start, len)? {
            Contents::Data(data) => Ok(Some(data)),
            Contents::Whole(_) => Ok(None),
        }
    }

    fn node(&mut self, id: NodeId) -> Result<Node> {
        let table = self.segment.table();
        table.check(id).map_err(|why| self.bad(id, why))?;
        self.left = self.left.checked_sub(1).ok_or_else(|| self.bad(id, "its parts repeat one another too often"))?;
        Ok(table.node(id))
    }

    fn deeper<T>(&mut self, id: NodeId, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEEPEST {
            return Err(self.bad(id, "it is nested deeper than a segment can be"));
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    fn data(&mut self, id: NodeId, node: &Node, start: u64, len: u64) -> Result<Contents> {
        let segment = self.segment;
        let strategy = segment.table().strategy_of(node);
        // Its parts may not be here.
        if node.aux & STRUCTURE != 0 && strategy == "r.list" {
            return Ok(Contents::Data(Data::Other(
                "a list with an environment, a function or the like in it".to_owned(),
            )));
        }
        if let Some(atom) = Atom::named(strategy, "r.") {
            let fits = node.length.checked_mul(atom.size() as u64) == Some(node.payload.len);
            let elements = self.elements(node, atom, start, len).filter(|_| fits);
            return elements.map(Contents::Data).ok_or_else(|| self.bad(id, "its length does not fit its bytes"));
        }
        let data = match strategy {
            "r.character" => {
                let bytes = self.bytes(node);
                let n = usize::try_from(node.length).ok();
                let text = n.and_then(|n| text::Text::parse(&bytes, n));
                let text = text.ok_or_else(|| self.bad(id, "its strings do not fit its bytes"))?;
                let strings = text.strings(self.py, start as usize..(start + len) as usize)?;
                Data::Strings(strings.ok_or_else(|| self.bad(id, "its strings do not fit its bytes"))?)
            }
            "r.list" => {
                if u64::from(node.child_count) != node.length {
                    return Err(self.bad(id, "its length does not fit its elements"));
                }
                Data::List(self.deeper(id, |nodes| nodes.children(id))?)
            }
            "r.serialized" if node.aux & STRUCTURE == 0 && node.payload.len > 0 => {
                let bytes = self.bytes(node);
                return self.deeper(id, |nodes| unserialize(nodes.py, &bytes, nodes.depth)).map(Contents::Whole);
            }
            ARRAY_STRATEGY => {
                let image = Elements::of_segment(segment, node.payload, 0, node.payload.len);
                Data::Image(image.ok_or_else(|| self.bad(id, "its bytes are not there"))?)
            }
            other => Data::Other(self.what(other, node)?),
        };
        Ok(Contents::Data(data))
    }

    fn elements(&self, node: &Node, atom: Atom, start: u64, len: u64) -> Option<Data> {
        let size = atom.size() as u64;
        let bytes = (start.checked_mul(size)?, len.checked_mul(size)?);
        Elements::of_segment(self.segment, node.payload, bytes.0, bytes.1).map(|elements| Data::Atoms(atom, elements))
    }

    fn children(&mut self, id: NodeId) -> Result<Vec<Value>> {
        self.segment.table().children(id).map(|child| self.open(child)).collect()
    }

    /// Its attributes, if it has any.
    fn attributes(&mut self, node: &Node) -> Result<Vec<(String, Value)>> {
        let Some(id) = node.attributes else { return Ok(Vec::new()) };
        let node = self.node(id)?;
        if self.segment.table().strategy_of(&node) != "r.attributes" {
            return Err(self.bad(id, "it has no attributes"));
        }
        let names = self.bytes(&node).into_owned();
        let names = String::from_utf8(names).map_err(|_| self.bad(id, "its names are no UTF-8"))?;
        let names: Vec<_> = names.split_terminator('\0').collect();
        if names.len() as u64 != node.length || names.len() != node.child_count as usize {
            return Err(self.bad(id, "its names do not fit its values"));
        }
        let values = self.deeper(id, |nodes| nodes.children(id))?;
        Ok(names.into_iter().map(str::to_owned).zip(values).collect())
    }

    /// The payload of a node. A copy if others may write it.
    fn bytes(&self, node: &Node) -> Cow<'a, [u8]> {
        if let Some(bytes) = self.segment.frozen(node.payload) {
            return Cow::Borrowed(bytes);
        }
        debug_assert_eq!(self.segment.mode(), Mode::WriteThrough);
        let mut bytes = vec![0; node.payload.len as usize];
        // SAFETY: a payload of the checked table, and as much room. By pointers, because others may write it.
        unsafe { std::ptr::copy_nonoverlapping(self.segment.payload(node.payload), bytes.as_mut_ptr(), bytes.len()) };
        Cow::Owned(bytes)
    }

    /// What Python has nothing for.
    fn what(&self, strategy: &str, node: &Node) -> Result<String> {
        let what = match strategy {
            "r.environment" => "an environment",
            "r.closure" => "a function",
            "r.pairlist" => "a pairlist",
            "r.virtual" => "a virtual vector",
            "r.elsewhere" => "an object that was shared before and is in a segment of its own",
            "r.serialized" if node.payload.len == 0 => "an argument without a default",
            "r.serialized" => "an object that only R can send",
            "r.proxy" => {
                let bytes = self.bytes(node);
                let class = String::from_utf8_lossy(&bytes);
                return Ok(format!("an object of class <{}>", class.split_terminator('\0').nth(1).unwrap_or("?")));
            }
            other => {
                let id = self.segment.id();
                let why = format!("segment {id} needs the sharing strategy '{other}', which Python does not have");
                return Err(Failure::new(Kind::Plugin, why));
            }
        };
        Ok(what.to_owned())
    }

    fn bad(&self, node: NodeId, why: &'static str) -> Failure {
        DispatchError::BadNode { id: self.segment.id(), node: node.0, why }.into()
    }
}

/// What a node has beside its attributes.
enum Contents {
    Data(Data),
    /// Attributes included.
    Whole(Value),
}

/// An S4 object with these attributes.
pub(crate) fn s4(py: Python<'_>, attributes: &[(String, Value)]) -> Data {
    let class = attributes.iter().find(|(name, _)| name == "class").and_then(|(_, class)| match &class.data {
        Data::Strings(class) => crate::value::text(py, class.first()?),
        _ => None,
    });
    Data::Other(format!("an S4 object of class <{}>", class.as_deref().unwrap_or("?")))
}
