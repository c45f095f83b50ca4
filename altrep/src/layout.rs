//! Two reads without a call: `data1` of an ALTREP, and the address of an external pointer.
//!
//! R calls a hook for each element of a string vector and for each `XLENGTH`; two calls into R to find our view were half of such a hook's time.
//! Both fields follow an object's header. Whether they do is looked at when the package is loaded, and for each new object; if not, R is asked.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::boundary::{R, Result, call};
use crate::sys::{self, SEXP};

/// Where the field is: behind the type's bits, the attributes, and two neighbours. It is the first of the three words that a pair, an ALTREP
/// and an external pointer share.
const FIELD: usize = 4 * size_of::<usize>();

/// Whether it was seen there.
static SEEN: AtomicBool = AtomicBool::new(false);

/// Looks for the field.
pub(crate) fn init(r: R) -> Result<()> {
    // An address nobody else has.
    let own: *mut std::ffi::c_void = std::ptr::from_ref(&SEEN).cast_mut().cast();
    // SAFETY: allocation.
    let pointer = call(r, || unsafe { sys::R_MakeExternalPtr(own, sys::R_NilValue, sys::R_NilValue) })?;
    r.keep(pointer)?;
    // SAFETY: allocation.
    let pair = call(r, || unsafe { sys::Rf_cons(pointer, sys::R_NilValue) })?;
    // SAFETY: R's objects are seven words at least.
    let (of_pointer, of_pair) = unsafe { (field(pointer), field(pair)) };
    SEEN.store(of_pointer == own as usize && of_pair == pointer as usize, Ordering::Relaxed);
    Ok(())
}

/// # Safety
/// An R object that is no vector.
#[inline]
unsafe fn field(object: SEXP) -> usize {
    // SAFETY: the caller's.
    unsafe { object.cast::<u8>().add(FIELD).cast::<usize>().read() }
}

/// The address in an external pointer that is `data1` of an ALTREP.
///
/// # Safety
/// `x` is that ALTREP.
#[inline]
pub(crate) unsafe fn address_in(x: SEXP) -> *mut std::ffi::c_void {
    if SEEN.load(Ordering::Relaxed) {
        // SAFETY: an ALTREP is laid out as a pair is, and `check` saw that the field is data1; of an external pointer it is the address.
        return unsafe { field(field(x) as SEXP) } as *mut std::ffi::c_void;
    }
    // SAFETY: the caller's.
    unsafe { sys::R_ExternalPtrAddr(sys::R_altrep_data1(x)) }
}

/// Looks at a new ALTREP with this `data1` whether it is laid out as expected; if not, R is asked from now on.
pub(crate) fn check(x: SEXP, expected: SEXP) {
    // SAFETY: a new ALTREP of ours.
    if unsafe { field(x) } != expected as usize {
        SEEN.store(false, Ordering::Relaxed);
    }
}

/// Whether R need not be asked.
pub(crate) fn is_known() -> bool {
    SEEN.load(Ordering::Relaxed)
}
