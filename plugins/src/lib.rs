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
//!
//! A virtual vector is a [`Virtual`]: an R vector whose elements are made when they are read.
//!
//! ```
//! use cowshed_plugins::prelude::*;
//!
//! /// 0, 1, 4, 9, ...
//! struct Squares {
//!     length: u64,
//! }
//!
//! inventory::submit!(VirtualKind::of::<Squares>());
//!
//! impl Virtual for Squares {
//!     type Element = f64;
//!     const DESCRIPTION: &'static str = "squares";
//!     // Other processes make them for themselves. Without these three, the elements are sent.
//!     const NAME: Option<&'static str> = Some("mypkg.squares");
//!     fn recipe(&self, r: R) -> Result<Sexp> {
//!         r.number(self.length as f64)
//!     }
//!     fn restore(r: R, recipe: Sexp) -> Result<Sexp> {
//!         let length = recipe.as_number(r)?.ok_or_else(|| Failure::new("plugin", "no length"))?;
//!         Squares { length: length as u64 }.vector(r)
//!     }
//!
//!     fn length(&self) -> u64 {
//!         self.length
//!     }
//!     fn fill(&self, start: u64, out: &mut [f64]) -> Filled {
//!         for (place, i) in out.iter_mut().zip(start..) {
//!             *place = i as f64 * i as f64;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! cowshed_plugins::routines! {
//!     /// `.Call(mypkg_squares, 1e10)`
//!     fn mypkg_squares(r, length) {
//!         Squares::restore(r, length)
//!     }
//! }
//! # fn main() {}
//! ```

mod element;
mod forward;
mod forward_virtuals;
mod host;
mod kept;
mod strategy;
mod vector;
mod virtuals;

pub use element::{Complex, Element, Logical};
#[doc(hidden)]
pub use forward::register_in;
pub use forward::{register, unregister};
pub use kept::Kept;
pub use strategy::{Registration, Shareable, kind};
pub use vector::{Vector, Vectors};
pub use virtuals::{Facts, Filled, Virtual, VirtualKind};

/// Everything a strategy or a virtual vector needs: `use cowshed_plugins::prelude::*`.
pub mod prelude {
    pub use crate::by_type;
    pub use crate::host::{Encoder, Node, NodeId, Opener, Payload};
    pub use crate::strategy::{Registration, Shareable, kind};
    pub use crate::{Complex, Element, Facts, Filled, Kept, Logical, Vector, Vectors, Virtual, VirtualKind};
    pub use cowshed_altrep::core::Claim;
    pub use cowshed_altrep::element;
    pub use cowshed_altrep::{Failure, R, Result, Sexp, inventory};
}

use cowshed_altrep::boundary;
#[doc(hidden)]
pub use cowshed_altrep::sys;

/// Defines functions for `.Call()`, of R objects that R protects meanwhile, which give `Result<Sexp>`. An `Err` or a panic is an R error of a class
/// (`cowshed_error_<the failure's>`).
///
/// ```
/// use cowshed_plugins::prelude::*;
///
/// cowshed_plugins::routines! {
///     /// Twice a number. In R, with `useDynLib(mypkg, mypkg_twice)` in NAMESPACE: `.Call(mypkg_twice, 3)`.
///     fn mypkg_twice(r, x) {
///         let x = x.as_number(r)?.ok_or_else(|| Failure::new("argument", "`x` must be a number"))?;
///         r.number(2.0 * x)
///     }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! routines {
    ($($(#[$about:meta])* fn $name:ident($r:ident $(, $argument:ident)* $(,)?) $body:block)*) => {$(
        $(#[$about])*
        #[unsafe(no_mangle)]
        pub extern "C-unwind" fn $name($($argument: $crate::sys::SEXP),*) -> $crate::sys::SEXP {
            $crate::routine(|$r| {
                $(
                    // SAFETY: R passes R objects, which it protects while the call lasts.
                    let $argument = unsafe { $crate::prelude::Sexp::from_r($argument) };
                )*
                $body
            })
        }
    )*};
}

/// Runs a function of [`routines!`].
#[doc(hidden)]
pub fn routine(body: impl FnOnce(prelude::R) -> prelude::Result<prelude::Sexp>) -> sys::SEXP {
    match boundary::outcome(body) {
        Ok(value) => value.into_r(),
        Err(failure) => boundary::raise(failure),
    }
}

/// Defines what R's loader calls: `entry_points!(R_init_mypkg, R_unload_mypkg);`. A package that registers routines of its own writes the two
/// functions itself (those of [`routines!`] are found without), and calls [`register`] and [`unregister`] in them.
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
