//! One R object that is remembered and not kept alive.

use crate::boundary::{R, Result, call};
use crate::sys::{self, SEXP};

/// A cell, preserved for good, with nothing in it or a weak reference. R clears that when the object goes, so a new object at an old address
/// is not taken for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weak(SEXP);

impl Weak {
    /// With nothing in it.
    pub(crate) fn new(r: R) -> Result<Weak> {
        call(r, || {
            // SAFETY: preserved before anything else is allocated.
            unsafe {
                let cell = sys::Rf_cons(sys::R_NilValue, sys::R_NilValue);
                sys::R_PreserveObject(cell);
                Weak(cell)
            }
        })
    }

    /// What was remembered last, if it is still there; else R's NULL.
    pub(crate) fn get(self) -> SEXP {
        // SAFETY: our cell, with nothing or a weak reference in it.
        unsafe {
            match sys::CAR(self.0) {
                weak if weak == sys::R_NilValue => weak,
                weak => sys::R_WeakRefKey(weak),
            }
        }
    }

    /// Remembers `x`, an environment or an external pointer, that our caller keeps meanwhile.
    pub(crate) fn set(self, r: R, x: SEXP) -> Result<()> {
        // SAFETY: the new reference goes straight into the preserved cell.
        call(r, || unsafe { sys::SETCAR(self.0, sys::R_MakeWeakRef(x, sys::R_NilValue, sys::R_NilValue, 0)) }).map(drop)
    }
}
