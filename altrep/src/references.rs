//! How often R refers to an object.
//!
//! - R computes in place (`f(x) + 1`) in what nothing refers to, and asks for a writable pointer then exactly as it does for an assignment to a
//!   variable, which refers to it.
//! - What only one thing refers to is met once in a walk.
//!
//! `NO_REFERENCES` and `MAYBE_SHARED` are in R's interface since 4.5; before there is `NAMED`, which counts the same.

use std::ffi::c_int;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::sys::{self, SEXP};

type Ask = unsafe extern "C" fn(SEXP) -> c_int;

/// R's functions, null if this R does not have them.
static NO_REFERENCES: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static MAYBE_SHARED: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static NAMED: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

pub(crate) fn init() {
    for (name, place) in [(c"NO_REFERENCES", &NO_REFERENCES), (c"MAYBE_SHARED", &MAYBE_SHARED), (c"NAMED", &NAMED)] {
        place.store(sys::find(name).cast(), Ordering::Relaxed);
    }
}

/// What one of them says of `x`; `None` if this R does not have it.
#[inline]
fn ask(function: &AtomicPtr<()>, x: SEXP) -> Option<c_int> {
    let function = function.load(Ordering::Relaxed);
    if function.is_null() {
        return None;
    }
    // SAFETY: R's function, which takes an object and gives an int.
    let function = unsafe { std::mem::transmute::<*mut (), Ask>(function) };
    // SAFETY: an R object; none of them does more than read a field of it.
    Some(unsafe { function(x) })
}

/// Whether this R can be asked.
pub(crate) fn are_known() -> bool {
    [&NO_REFERENCES, &NAMED].iter().any(|function| !function.load(Ordering::Relaxed).is_null())
}

/// Whether nothing refers to `x`; false if that cannot be known.
#[inline]
pub(crate) fn has_none(x: SEXP) -> bool {
    ask(&NO_REFERENCES, x).map(|none| none != 0).or_else(|| ask(&NAMED, x).map(|n| n == 0)).unwrap_or(false)
}

/// Whether at most one thing refers to `x`; false if that cannot be known.
#[inline]
pub(crate) fn at_most_one(x: SEXP) -> bool {
    ask(&MAYBE_SHARED, x).map(|shared| shared == 0).or_else(|| ask(&NAMED, x).map(|n| n < 2)).unwrap_or(false)
}
