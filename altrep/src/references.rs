//! Whether anything in R refers to an object. R computes in place (`f(x) + 1`) in what nothing refers to, and asks for a writable pointer then
//! exactly as it does for an assignment to a variable, which refers to it.
//!
//! `NO_REFERENCES` is in R's interface since 4.5; before there is `NAMED`, which counts the same.

use std::ffi::c_int;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use crate::sys::{self, SEXP};

/// The function; null if this R has neither.
static COUNT: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
/// What it returns for an object to which nothing refers.
static NONE: AtomicU8 = AtomicU8::new(0);

pub(crate) fn init() {
    for (name, none) in [(c"NO_REFERENCES", 1), (c"NAMED", 0)] {
        let found = sys::find(name);
        if !found.is_null() {
            NONE.store(none, Ordering::Relaxed);
            COUNT.store(found.cast(), Ordering::Relaxed);
            return;
        }
    }
}

/// Whether this R can be asked.
pub(crate) fn are_known() -> bool {
    !COUNT.load(Ordering::Relaxed).is_null()
}

/// Whether nothing refers to `x`; false if that cannot be known.
#[inline]
pub(crate) fn has_none(x: SEXP) -> bool {
    let count = COUNT.load(Ordering::Relaxed);
    if count.is_null() {
        return false;
    }
    // SAFETY: R's function, which takes an object and gives an int.
    let count = unsafe { std::mem::transmute::<*mut (), unsafe extern "C" fn(SEXP) -> c_int>(count) };
    // SAFETY: an R object; neither function does more than read a field of it.
    unsafe { count(x) == c_int::from(NONE.load(Ordering::Relaxed)) }
}
