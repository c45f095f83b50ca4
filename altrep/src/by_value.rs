//! When a shared object is serialized as its data, not as a reference.
//!
//! R calls one hook for saveRDS() and for sending to a worker. Which it is, the functions on R's call stack tell: an R function of the
//! package, registered here, compares them.

use std::cell::Cell;
use std::ptr::null_mut;

use crate::boundary::{R, Result, call};
use crate::sexp::Sexp;
use crate::sys::{self, SEXP, SexpType};

thread_local! {
    /// How many of our own serializations, which must hold data, are under way.
    static FORCED: Cell<u32> = const { Cell::new(0) };
    /// The package's function of no arguments that gives TRUE for "by value".
    static JUDGE: Cell<SEXP> = const { Cell::new(null_mut()) };
}

/// Registers the package's function.
///
/// # Errors
/// Out of memory.
pub fn set_judge(r: R, function: Sexp) -> Result<()> {
    // SAFETY: an R object.
    call(r, || unsafe { sys::R_PreserveObject(function.0) })?;
    JUDGE.set(function.0);
    Ok(())
}

/// Serializes by value while `body` runs.
pub(crate) fn forced<T>(body: impl FnOnce() -> T) -> T {
    struct Undo;
    impl Drop for Undo {
        fn drop(&mut self) {
            FORCED.set(FORCED.get() - 1);
        }
    }
    FORCED.set(FORCED.get() + 1);
    let _undo = Undo;
    body()
}

/// Whether the serialization under way wants data.
pub(crate) fn now(r: R) -> Result<bool> {
    if FORCED.get() > 0 {
        return Ok(true);
    }
    let judge = JUDGE.get();
    if judge.is_null() {
        return Ok(false);
    }
    call(r, || {
        // SAFETY: a function preserved for good; the call is protected while evaluated.
        unsafe {
            let expression = sys::Rf_protect(sys::Rf_lcons(judge, sys::R_NilValue));
            let value = sys::Rf_eval(expression, sys::R_BaseEnv);
            sys::Rf_unprotect(1);
            sys::TYPEOF(value) as SexpType == sys::LGLSXP && sys::Rf_xlength(value) == 1 && *sys::LOGICAL(value) == 1
        }
    })
}
