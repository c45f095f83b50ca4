//! The public promise to other packages: what a sharing strategy in Rust is written with.
//!
//! ```
//! use cowshed_plugins::prelude::*;
//!
//! /// Shares nothing by itself: claims lists of class "echo" and lets the elements be shared.
//! struct Echo;
//!
//! impl Shareable<Session> for Echo {
//!     fn name(&self) -> &'static str {
//!         "echo.list"
//!     }
//!     fn kinds(&self) -> &'static [u8] {
//!         &[19]
//!     }
//!     fn claim(&self, _: &Session, _: Sexp) -> Claim {
//!         Claim::No
//!     }
//!     fn encode(&self, _: &Session, _: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
//!         out.node(self.name(), Node::default(), &[])
//!     }
//!     fn open(&self, session: &Session, _: NodeId, _: &mut Opener<'_, Session>) -> Result<Sexp> {
//!         session.r.list(0, |_| Ok(Sexp::null()))
//!     }
//! }
//! ```

#![forbid(unsafe_code)]

/// Everything a strategy needs: `use cowshed_plugins::prelude::*`.
pub mod prelude {
    pub use cowshed_altrep::core::{Claim, Encoder, Flags, Host, Node, NodeId, Opener, Payload, Shareable};
    pub use cowshed_altrep::{Failure, R, Registration, Result, Session, Sexp, attributes, inventory};
}

/// Names of all strategies registered in this library, sorted.
pub fn strategies() -> Vec<&'static str> {
    cowshed_altrep::registry().names().collect()
}
