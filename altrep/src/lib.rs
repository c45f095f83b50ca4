//! The R side of cowshed: the only crate whose unsafe code touches R.
//!
//! Reading order, as a call of share() goes: [`verbs`] is what R's functions do; `vector` writes a vector and makes its view; `object` is the
//! ALTREP object around a `view`; `hooks` is what R calls on it; `class` gives those to R. What is shared in place goes through `in_place`, over
//! `walk` and `environment`. [`proxies`] and [`door`] are where other packages come in: their methods in R, their strategies. Beneath lie [`boundary`], where errors, panics and
//! R's jumps cross, and [`sys`], R's C interface.
//!
//! Safe code elsewhere (containers, plugins) uses [`Sexp`], [`R`] and [`Session`], implements `Shareable<Session>`, and registers with
//! `inventory::submit!(Registration(&Mine))`.

pub mod attributes;
mod blank;
pub mod boundary;
mod by_value;
pub mod cells;
mod character;
mod class;
mod classes;
mod condition;
pub mod door;
pub mod element;
mod elsewhere;
mod environment;
pub mod footprint;
mod hooks;
mod in_place;
pub mod interrupts;
mod keeper;
mod layout;
pub mod lists;
mod locale;
pub mod memory;
mod message;
pub mod named;
mod numpy;
mod object;
pub mod once;
mod options;
mod owner;
mod properties;
pub mod proxies;
mod reference;
mod references;
pub mod serialized;
mod session;
mod sexp;
pub mod slices;
mod span;
pub mod stored;
mod stores;
mod strings;
mod subset;
mod symbols;
pub mod sys;
mod text;
mod unseen;
mod unshare;
mod vector;
pub mod verbs;
mod view;
pub mod virtuals;
mod walk;
mod weak;

use cowshed_core::Shareable;

pub use boundary::{Failure, R, Result};
pub use by_value::set_judge;
pub use door::registry;
pub use session::{Session, ShareOptions};
pub use sexp::Sexp;
pub use unseen::may_change_unseen;

pub use cowshed_core as core;
pub use inventory;

/// A strategy's entry in the registry of the process: `inventory::submit!(Registration(&Mine))`.
pub struct Registration(pub &'static dyn Shareable<Session>);

inventory::collect!(Registration);

/// Prepares everything; called by R's loader before anything else.
///
/// # Safety
/// `info` is what R's loader passed.
pub unsafe fn init(info: *mut sys::DllInfo) {
    // SAFETY: the caller's.
    unsafe { boundary::prepare() };
    references::init();
    environment::init();
    cowshed_core::when_full(boundary::collect_garbage);
    cowshed_core::when_cut(element::missing);
    boundary::guard(|r| {
        layout::init(r)?;
        object::init(r)?;
        class::init(r, info)?;
        virtuals::init(r, info)
    });
}
