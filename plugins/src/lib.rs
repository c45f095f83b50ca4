//! What a package with a library of its own writes its sharing strategies with, in Rust and without unsafe code.
//!
//! - A strategy implements [`Shareable`] and is registered with `inventory::submit!`.
//! - [`entry_points!`] makes the two functions by which R loads and unloads the library. They hand the strategies over to cowshed, through the C
//!   table that C packages use too: this library and cowshed's may be built by different compilers.
//! - What fails is an `Err` or a panic; either becomes an R error that names the package, and nothing is left in shared memory.
//!
//! The page docs/door-rust.md is a complete example. The shortest one:
//!
//! ```
//! use cowshed_plugins::prelude::*;
//!
//! /// Lists of class "pair".
//! struct Pair;
//!
//! inventory::submit!(Registration(&Pair));
//!
//! impl Shareable for Pair {
//!     fn name(&self) -> &'static str {
//!         "mypkg.pair"
//!     }
//!     fn class(&self) -> Option<&'static str> {
//!         Some("pair")
//!     }
//!     fn kinds(&self) -> &'static [u8] {
//!         &[kind::LIST]
//!     }
//!     fn encode(&self, r: R, x: Sexp, out: &mut Encoder<'_>) -> Result<NodeId> {
//!         let children = [out.encode(x.element(r, 0)?)?, out.encode(x.element(r, 1)?)?];
//!         let attributes = out.attributes(x)?;
//!         out.node(Node { attributes, ..Node::default() }, &children)
//!     }
//!     fn open(&self, r: R, node: NodeId, from: &mut Opener<'_>) -> Result<Sexp> {
//!         let pair = r.list(2, |i| from.child(node, i)?.open(from))?;
//!         from.restore(pair, node)?;
//!         Ok(pair)
//!     }
//! }
//!
//! cowshed_plugins::entry_points!(R_init_mypkg, R_unload_mypkg);
//! # fn main() {}
//! ```

mod forward;
mod host;
mod strategy;

pub use forward::{register, unregister};
pub use strategy::{Registration, Shareable, kind};

/// Everything a strategy needs: `use cowshed_plugins::prelude::*`.
pub mod prelude {
    pub use crate::host::{Encoder, Node, NodeId, Opener, Payload};
    pub use crate::strategy::{Registration, Shareable, kind};
    pub use cowshed_altrep::core::Claim;
    pub use cowshed_altrep::element;
    pub use cowshed_altrep::{Failure, R, Result, Sexp, inventory};
}

#[doc(hidden)]
pub use cowshed_altrep::sys;

/// Defines what R's loader calls: `entry_points!(R_init_mypkg, R_unload_mypkg);`. A package that registers routines of its own writes the two
/// functions itself, and calls [`register`] and [`unregister`] in them.
#[macro_export]
macro_rules! entry_points {
    ($init:ident, $unload:ident) => {
        /// Called by R's loader.
        #[unsafe(no_mangle)]
        pub extern "C-unwind" fn $init(_: *mut $crate::sys::DllInfo) {
            $crate::register();
        }

        /// Called by R before it unloads the library.
        #[unsafe(no_mangle)]
        pub extern "C-unwind" fn $unload(_: *mut $crate::sys::DllInfo) {
            $crate::unregister();
        }
    };
}
