//! Cross-process and whole-project tests of cowshed.
//!
//! - [`model`]: a machine check of the lease protocol of `docs/lifetime.md`: every interleaving, with a crash at every step.

#![forbid(unsafe_code)]

pub mod model;
