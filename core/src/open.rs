//! Making a value again from a segment: the node table is walked, each strategy opens its nodes.

use std::sync::Arc;

use crate::format::DEEPEST;
use crate::{DispatchError, Flags, Host, Node, NodeId, Registry, Segment, Shareable};

/// Opens a node of a segment as a value of the host.
///
/// # Errors
/// The host's: a strategy this process does not have, or a node that is nonsense.
pub fn open<H: Host>(
    host: &H,
    registry: &Registry<H>,
    segment: &Arc<Segment>,
    node: NodeId,
) -> Result<H::Value, H::Error> {
    Opener::new(host, registry, segment, Flags::default()).open(node)
}

/// What a strategy reads from.
pub struct Opener<'a, H: Host + 'static> {
    host: &'a H,
    registry: &'a Registry<H>,
    segment: &'a Arc<Segment>,
    flags: Flags,
    depth: usize,
}

impl<'a, H: Host> Opener<'a, H> {
    /// An opener whose views get `flags`.
    pub fn new(host: &'a H, registry: &'a Registry<H>, segment: &'a Arc<Segment>, flags: Flags) -> Self {
        Opener { host, registry, segment, flags, depth: 0 }
    }

    /// Opens another node, whichever strategy wrote it.
    ///
    /// # Errors
    /// Those of the strategy, or [`Host::provide`]'s if there is none.
    pub fn open(&mut self, node: NodeId) -> Result<H::Value, H::Error> {
        self.deeper(node, |strategy, opener| strategy.open(opener.host, node, opener))
    }

    /// Makes the stand-in of `original`, which was written as `node`.
    ///
    /// # Errors
    /// As [`Opener::open`].
    pub fn replace(&mut self, original: H::Value, node: NodeId) -> Result<H::Value, H::Error> {
        self.deeper(node, |strategy, opener| strategy.replace(opener.host, original, node, opener))
    }

    fn deeper(
        &mut self,
        node: NodeId,
        f: impl FnOnce(&'static dyn Shareable<H>, &mut Self) -> Result<H::Value, H::Error>,
    ) -> Result<H::Value, H::Error> {
        let table = self.segment.table();
        table.check(node).map_err(|why| self.bad(node, why))?;
        let name = table.strategy(node);
        let strategy = match self.registry.by_name(name) {
            Some(strategy) => strategy,
            None => self.host.provide(self.segment.id(), name)?,
        };
        // A chain without a cycle is no longer than the nodes there are.
        if self.depth >= DEEPEST.min(table.len()) {
            return Err(self.bad(node, "it is nested deeper than a segment can be").into());
        }
        self.host.descend(self.depth)?;
        self.depth += 1;
        let value = f(strategy, self);
        self.depth -= 1;
        value
    }

    /// The segment read from.
    pub fn segment(&self) -> &'a Arc<Segment> {
        self.segment
    }

    /// A node of it.
    pub fn node(&self, id: NodeId) -> Node {
        self.segment.table().node(id)
    }

    /// The children of a node.
    pub fn children(&self, id: NodeId) -> impl ExactSizeIterator<Item = NodeId> + 'a {
        self.segment.table().children(id)
    }

    /// Flags the views get.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// The error for a node whose meaning is nonsense.
    pub fn bad(&self, node: NodeId, why: &'static str) -> DispatchError {
        DispatchError::BadNode { id: self.segment.id(), node: node.0, why }
    }
}
