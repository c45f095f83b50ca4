//! What a host language and each kind of value must be able to do.

use crate::{AttachError, CreateError, DispatchError, Encoder, Node, NodeId, Opener, SegmentId};

/// A host language, seen from a segment: R, or the fake one of the tests.
pub trait Host: Sized {
    /// A value, as the host handles one. The host keeps it alive while the encoder or opener works on it.
    type Value: Copy;
    /// The host's error: ours, or its own passing through.
    type Error: From<CreateError> + From<AttachError> + From<DispatchError>;

    /// A number below 32 for the value's type, by which strategies are looked up. R's is its SEXPTYPE.
    fn kind(&self, value: Self::Value) -> u8;

    /// The value's class for a message, as in "class `<name>`".
    fn describe(&self, value: Self::Value) -> String;

    /// Equal for two values that are one object, so that a shared part is written once; `None` if that means nothing,
    /// or if it cannot be met twice.
    fn identity(&self, value: Self::Value) -> Option<usize>;

    /// Whether a node that was written for a value stands for it where it is met again, too.
    fn stands(&self, node: &Node) -> bool {
        let _ = node;
        true
    }

    /// Called before each level of nesting, `depth` levels below the first. An error says that the stack would not hold another one.
    fn descend(&self, depth: usize) -> Result<(), Self::Error> {
        let _ = depth;
        Ok(())
    }

    /// Called once, when the value that share() was given is written: for what strategies put off meanwhile, so that values that contain one another
    /// need no recursion. What it encodes becomes further nodes of the same segment.
    ///
    /// # Errors
    /// Those of the strategies; nothing is left behind.
    fn finish(&self, out: &mut Encoder<'_, Self>) -> Result<(), Self::Error> {
        let _ = out;
        Ok(())
    }

    /// Called now and then during long work. An error ends the work and leaves nothing behind.
    fn poll(&self) -> Result<(), Self::Error>;

    /// Asked for a strategy that a segment needs and the registry does not have: a host that can load code tries to.
    ///
    /// # Errors
    /// [`DispatchError::Unknown`], or why it cannot be had.
    fn provide(&self, segment: SegmentId, name: &str) -> Result<&'static dyn Shareable<Self>, Self::Error>
    where
        Self: 'static,
    {
        Err(DispatchError::Unknown { id: segment, name: name.to_owned() }.into())
    }
}

/// How strongly a strategy claims a value. The strongest claim wins; a tie is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// Not mine.
    No,
    /// Only if nobody else wants it.
    Fallback,
    /// By its type.
    Type,
    /// By its class; the larger the number, the more specific.
    Class(u32),
}

/// One kind of value: how it is written into a segment, and made again from one.
///
/// A strategy is stateless and registered once for the whole process.
pub trait Shareable<H: Host>: Sync {
    /// Unique; written into every segment that uses it. A package's own begins with the package's name: `mypkg.thing`.
    fn name(&self) -> &'static str;

    /// The kinds ([`Host::kind`]) it may claim.
    fn kinds(&self) -> &'static [u8];

    /// The package it comes from.
    fn package(&self) -> &'static str {
        "cowshed"
    }

    /// Whether this value is its own.
    fn claim(&self, host: &H, value: H::Value) -> Claim;

    /// The same where asking can fail, as it can when the answer is another library's. This is what dispatch calls.
    ///
    /// # Errors
    /// The host's.
    fn ask(&self, host: &H, value: H::Value) -> Result<Claim, H::Error> {
        Ok(self.claim(host, value))
    }

    /// Describes `value` to the encoder and returns its node.
    ///
    /// # Errors
    /// The host's, or the encoder's; nothing is left behind.
    fn encode(&self, host: &H, value: H::Value, out: &mut Encoder<'_, H>) -> Result<NodeId, H::Error>;

    /// Makes the value of `node` again. The node's place was checked, its meaning was not: lengths and `aux` are hostile.
    ///
    /// # Errors
    /// [`DispatchError::BadNode`] for nonsense, or the host's.
    fn open(&self, host: &H, node: NodeId, from: &mut Opener<'_, H>) -> Result<H::Value, H::Error>;

    /// Makes the shared stand-in of `original`, which was just written as `node`. What the segment does not hold better than the original
    /// (short vectors, functions) stays the original.
    ///
    /// # Errors
    /// As [`Shareable::open`].
    fn replace(
        &self,
        host: &H,
        original: H::Value,
        node: NodeId,
        from: &mut Opener<'_, H>,
    ) -> Result<H::Value, H::Error> {
        let _ = original;
        self.open(host, node, from)
    }

    /// Whether its values only travel, as bytes, and are never shared.
    fn is_opaque(&self) -> bool {
        false
    }
}
