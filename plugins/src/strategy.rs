//! What an author implements, and how it is registered.

use cowshed_altrep::core::Claim;
use cowshed_altrep::{R, Result, Sexp, inventory};

use crate::host::{Encoder, NodeId, Opener};

/// One class of objects: how it is written into shared memory, and made again from there.
///
/// A strategy is stateless and registered once.
pub trait Shareable: Sync {
    /// The package's name, a dot, and a name without dots: "mypkg.thing". It is written into every segment that uses the strategy, and tells a
    /// process that lacks it which package to load.
    fn name(&self) -> &'static str;

    /// Numbers of R's types ([`kind`]) that it shares.
    fn kinds(&self) -> &'static [u8];

    /// The S3 or S4 class of what it shares; `None` if only [`Shareable::claim`] knows.
    fn class(&self) -> Option<&'static str> {
        None
    }

    /// Whether `x`, of one of the types and of the class if there is one, is its own. The strongest claim wins, and a tie is an error. It is asked
    /// often, so it must be quick. `None`: by class, more specific the earlier the class is in class(x).
    ///
    /// # Errors
    /// Any: share() fails with it.
    fn claim(&self, r: R, x: Sexp) -> Result<Option<Claim>> {
        let _ = (r, x);
        Ok(None)
    }

    /// Describes `x` to the encoder and returns its node.
    ///
    /// # Errors
    /// The encoder's, or any of its own; nothing is left behind.
    fn encode(&self, r: R, x: Sexp, out: &mut Encoder<'_>) -> Result<NodeId>;

    /// Makes the value of `node` again. The bytes of a segment were checked for their place, not for their meaning: lengths and `aux` are hostile.
    ///
    /// # Errors
    /// [`Opener::corrupt`] for nonsense, the opener's, or any of its own.
    fn open(&self, r: R, node: NodeId, from: &mut Opener<'_>) -> Result<Sexp>;

    /// Makes what share() returns for `original`, which was just written as `node`.
    ///
    /// # Errors
    /// As [`Shareable::open`].
    fn replace(&self, r: R, original: Sexp, node: NodeId, from: &mut Opener<'_>) -> Result<Sexp> {
        let _ = original;
        self.open(r, node, from)
    }
}

/// A strategy's entry: `inventory::submit!(Registration(&Mine))`.
pub struct Registration(pub &'static dyn Shareable);

inventory::collect!(Registration);

/// R's numbers of types, as `SEXPTYPE` in Rinternals.h.
pub mod kind {
    /// A function written in R.
    pub const CLOSURE: u8 = 3;
    /// An environment.
    pub const ENVIRONMENT: u8 = 4;
    /// A logical vector.
    pub const LOGICAL: u8 = 10;
    /// An integer vector.
    pub const INTEGER: u8 = 13;
    /// A double vector.
    pub const DOUBLE: u8 = 14;
    /// A complex vector.
    pub const COMPLEX: u8 = 15;
    /// A character vector.
    pub const CHARACTER: u8 = 16;
    /// A list.
    pub const LIST: u8 = 19;
    /// An external pointer.
    pub const EXTERNAL_POINTER: u8 = 22;
    /// A raw vector.
    pub const RAW: u8 = 24;
    /// An S4 object that is no vector.
    pub const S4: u8 = 25;
}
