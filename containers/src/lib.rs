//! Strategies for R's containers, one file each, written in safe code against cowshed-altrep's vocabulary.

#![forbid(unsafe_code)]

mod list;
mod proxy;

/// Referenced by the library, so that the linker keeps this crate and with it the strategies it registers.
pub fn link() {}
