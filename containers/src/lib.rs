//! Strategies for R's containers, one file each, written in safe code against cowshed-altrep's vocabulary.

#![forbid(unsafe_code)]

mod closure;
mod environment;
mod list;
mod pairlist;
mod proxy;
mod s4;

/// Referenced by the library, so that the linker keeps this crate and with it the strategies it registers.
pub fn link() {}
