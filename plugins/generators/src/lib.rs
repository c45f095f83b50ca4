//! Virtual vectors worth having, one file each: sequences, constants, runs, linear functions of another vector, raw files and .npy files.
//!
//! - Each is written with the prelude of `cowshed-plugins` alone, as a package of anybody's would be: to write one, copy the nearest.
//! - Each has a function that checks and makes it. The R function calls that, and so does the recipe in another process: what a recipe holds is believed
//!   no more than what a user types.

#![forbid(unsafe_code)]

mod constant;
mod file;
mod header;
mod linear;
mod npy;
mod order;
mod runs;
mod sequence;
mod source;
mod stored;

pub use constant::constant;
pub use file::file;
pub use linear::linear;
pub use npy::npy;
pub use runs::runs;
pub use sequence::sequence;

use cowshed_plugins::prelude::*;

/// The error of a wrong argument.
fn refused(why: impl Into<String>) -> Failure {
    Failure::new("argument", why)
}

/// The error of a recipe that is none.
fn damaged() -> Failure {
    Failure::new("version", "the recipe of a virtual vector is damaged; use the same cowshed in every process")
}

/// The parts of a recipe that is a list of so many.
fn parts<const N: usize>(r: R, recipe: Sexp) -> Result<[Sexp; N]> {
    if recipe.kind() != u32::from(kind::LIST) || recipe.len(r)? != N {
        return Err(damaged());
    }
    let mut parts = [recipe; N];
    for (i, part) in parts.iter_mut().enumerate() {
        *part = recipe.element(r, i)?;
    }
    Ok(parts)
}

/// A whole number that is no less than 0.
fn count(r: R, name: &str, x: Sexp) -> Result<u64> {
    let number = x.as_number(r)?.filter(|n| n.fract() == 0.0 && (0.0..=LONGEST as f64).contains(n));
    number
        .map(|n| n as u64)
        .ok_or_else(|| refused(format!("`{name}` must be one whole number from 0 to 2^52, not {}", x.shown(r))))
}

/// What R's vectors can have.
const LONGEST: u64 = 1 << 52;
