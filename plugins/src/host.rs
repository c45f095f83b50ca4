//! cowshed's side as a strategy sees it: the C table in safe words.
//!
//! Every function of the table may jump, as R's own do; `call` turns a jump into an `Err` here, so that destructors run.

use std::ffi::CString;
use std::marker::PhantomData;

use cowshed_altrep::boundary::call;
use cowshed_altrep::door::abi;
use cowshed_altrep::{Failure, R, Result, Sexp};

/// The number of a node within its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// Opens it, whichever strategy wrote it.
    ///
    /// # Errors
    /// Those of the strategy, or that there is none.
    pub fn open(self, from: &mut Opener<'_>) -> Result<Sexp> {
        from.open(self)
    }
}

/// Where bytes that were written lie; the default is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payload {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Payload {
    /// In bytes.
    pub fn len(self) -> u64 {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.length == 0
    }
}

/// One value in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Node {
    /// The value's length, for the strategy to read again.
    pub length: u64,
    /// Its bytes.
    pub payload: Payload,
    /// The node of its attributes.
    pub attributes: Option<NodeId>,
    /// A number for the strategy to read again, below 2^56.
    pub aux: u64,
}

/// What a value is written to.
pub struct Encoder<'a> {
    pub(crate) r: R,
    pub(crate) host: &'static abi::Host,
    pub(crate) context: *mut abi::Encoder,
    pub(crate) lifetime: PhantomData<&'a mut ()>,
}

impl Encoder<'_> {
    /// Writes bytes.
    ///
    /// # Errors
    /// No room, or interrupted.
    pub fn payload(&mut self, bytes: &[u8]) -> Result<Payload> {
        self.payload_of(&[bytes])
    }

    /// Writes bytes that lie in several pieces, as one payload.
    ///
    /// # Errors
    /// No room, or interrupted.
    pub fn payload_of(&mut self, pieces: &[impl AsRef<[u8]>]) -> Result<Payload> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|p| p.as_ref())
            .map(|p| abi::Piece { bytes: p.as_ptr().cast(), length: p.len() as u64 })
            .collect();
        let (first, count) = (pieces.as_ptr(), pieces.len() as u32);
        // SAFETY: as many pieces, of memory that is borrowed.
        let abi::Payload { offset, length } =
            call(self.r, || unsafe { (self.host.write)(self.context, first, count) })?;
        Ok(Payload { offset, length })
    }

    /// Writes another value, whichever strategy it takes. One object met twice is one node.
    ///
    /// # Errors
    /// Those of the strategy.
    pub fn encode(&mut self, x: Sexp) -> Result<NodeId> {
        // SAFETY: an R object.
        call(self.r, || unsafe { (self.host.encode)(self.context, x.into_r()) }).map(NodeId)
    }

    /// Writes the attributes of `x`, for its [`Node`]; `None` if it has none.
    ///
    /// # Errors
    /// Those of their strategies.
    pub fn attributes(&mut self, x: Sexp) -> Result<Option<NodeId>> {
        // SAFETY: an R object.
        let node = call(self.r, || unsafe { (self.host.write_attributes)(self.context, x.into_r()) })?;
        Ok((node != abi::NONE).then_some(NodeId(node)))
    }

    /// Adds a node of this strategy.
    ///
    /// # Errors
    /// A payload or a node that was not written by this call of `encode`, or an `aux` that is too large.
    pub fn node(&mut self, node: Node, children: &[NodeId]) -> Result<NodeId> {
        let children: Vec<u32> = children.iter().map(|c| c.0).collect();
        let (first, count) = (children.as_ptr(), children.len() as u32);
        let node = abi::Node {
            size: size_of::<abi::Node>() as u32,
            attributes: node.attributes.map_or(abi::NONE, |a| a.0),
            length: node.length,
            payload: abi::Payload { offset: node.payload.offset, length: node.payload.length },
            aux: node.aux,
            child_count: 0,
            reserved: 0,
        };
        // SAFETY: a node, and as many children.
        call(self.r, || unsafe { (self.host.add_node)(self.context, &raw const node, first, count) }).map(NodeId)
    }
}

/// What a value is made from.
pub struct Opener<'a> {
    pub(crate) r: R,
    pub(crate) host: &'static abi::Host,
    pub(crate) context: *mut abi::Opener,
    pub(crate) lifetime: PhantomData<&'a mut ()>,
}

impl Opener<'_> {
    fn read(&self, id: NodeId) -> Result<abi::Node> {
        let mut node = abi::Node {
            size: size_of::<abi::Node>() as u32,
            attributes: abi::NONE,
            length: 0,
            payload: abi::Payload { offset: 0, length: 0 },
            aux: 0,
            child_count: 0,
            reserved: 0,
        };
        let place = &raw mut node;
        // SAFETY: a node to be filled, with its size set.
        call(self.r, || unsafe { (self.host.read_node)(self.context, id.0, place) })?;
        Ok(node)
    }

    /// A node.
    ///
    /// # Errors
    /// There is no such node.
    pub fn node(&self, id: NodeId) -> Result<Node> {
        let abi::Node { attributes, length, payload, aux, .. } = self.read(id)?;
        let payload = Payload { offset: payload.offset, length: payload.length };
        Ok(Node { length, payload, attributes: (attributes != abi::NONE).then_some(NodeId(attributes)), aux })
    }

    /// The node of child `i`, from 0 on.
    ///
    /// # Errors
    /// Corrupt: there is no such child.
    pub fn child(&self, id: NodeId, i: usize) -> Result<NodeId> {
        let i = u32::try_from(i).unwrap_or(u32::MAX);
        // SAFETY: numbers.
        call(self.r, || unsafe { (self.host.child)(self.context, id.0, i) }).map(NodeId)
    }

    /// The nodes of all children.
    ///
    /// # Errors
    /// There is no such node.
    pub fn children(&self, id: NodeId) -> Result<Vec<NodeId>> {
        (0..self.read(id)?.child_count as usize).map(|i| self.child(id, i)).collect()
    }

    /// A copy of the bytes of a node's payload.
    ///
    /// # Errors
    /// There is no such node.
    pub fn bytes(&self, id: NodeId) -> Result<Vec<u8>> {
        let len = self.read(id)?.payload.length as usize;
        // SAFETY: numbers.
        let start = call(self.r, || unsafe { (self.host.bytes)(self.context, id.0) })?;
        let mut bytes = vec![0; len];
        if len > 0 {
            // SAFETY: the payload has as many bytes and is mapped while the callback runs. A copy, as others may write to it meanwhile.
            unsafe { std::ptr::copy_nonoverlapping(start.cast(), bytes.as_mut_ptr(), len) };
        }
        Ok(bytes)
    }

    /// A shared vector of `length` elements of the type (raw, logical, integer, double, complex) that begins `offset` bytes into the node's payload,
    /// with no copy. It is sent to other processes by reference, also where the package is not installed.
    ///
    /// # Errors
    /// Corrupt: it does not fit the payload, or `offset` is no multiple of the element's size.
    pub fn vector(&mut self, id: NodeId, kind: u8, offset: u64, length: u64) -> Result<Sexp> {
        // SAFETY: numbers.
        let x = call(self.r, || unsafe { (self.host.vector)(self.context, id.0, kind.into(), offset, length) })?;
        self.adopt(x)
    }

    /// The value of another node, whichever strategy wrote it.
    ///
    /// # Errors
    /// Those of the strategy, or that there is none.
    pub fn open(&mut self, id: NodeId) -> Result<Sexp> {
        // SAFETY: a number.
        let x = call(self.r, || unsafe { (self.host.open)(self.context, id.0) })?;
        self.adopt(x)
    }

    /// In `replace`: what stands for `original`, which was written as this node.
    ///
    /// # Errors
    /// As [`Opener::open`].
    pub fn replace(&mut self, original: Sexp, id: NodeId) -> Result<Sexp> {
        // SAFETY: an R object.
        let x = call(self.r, || unsafe { (self.host.replace)(self.context, original.into_r(), id.0) })?;
        self.adopt(x)
    }

    /// Gives a new object the attributes of a node.
    ///
    /// # Errors
    /// They do not fit the object.
    pub fn restore(&mut self, x: Sexp, id: NodeId) -> Result<()> {
        // SAFETY: an R object.
        call(self.r, || unsafe { (self.host.restore_attributes)(self.context, id.0, x.into_r()) })
    }

    /// In `replace`: gives `x`, which stands for `original`, its attributes, long ones shared. The node is that of `original`.
    ///
    /// # Errors
    /// Those of the attributes' strategies.
    pub fn take_over(&mut self, original: Sexp, x: Sexp, id: NodeId) -> Result<()> {
        // SAFETY: R objects.
        call(self.r, || unsafe { (self.host.take_attributes)(self.context, original.into_r(), id.0, x.into_r()) })
    }

    /// The error for a node that is nonsense: class `cowshed_error_corrupt`.
    pub fn corrupt(&self, id: NodeId, why: &str) -> Failure {
        let Ok(why) = CString::new(why) else { return Failure::new("plugin", why) };
        let text = why.as_ptr();
        // SAFETY: a C string. It jumps, always.
        let raised = call(self.r, || unsafe { (self.host.corrupt)(self.context, id.0, text) });
        raised.err().unwrap_or_else(|| Failure::new("plugin", why.to_string_lossy()))
    }

    fn adopt(&self, x: cowshed_altrep::sys::SEXP) -> Result<Sexp> {
        // SAFETY: an R object, protected from here on.
        self.r.protect(unsafe { Sexp::from_r(x) })
    }
}
