//! Two reads without a call: `data1` of an ALTREP, and the address of an external pointer.
//!
//! R calls a hook for each element of a string vector and for each `XLENGTH`; two calls into R to find our view were half of such a hook's time.
//! Where R keeps the two fields is found at load, by asking R and looking for the answer in the object. If it is not found where it is
//! expected to be, R is asked each time.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::boundary::{R, Result, call};
use crate::sys::{self, SEXP};

/// Offset of the field in an R object: the first of the three words that a pair, an ALTREP and an external pointer share. 0: not found.
static FIELD: AtomicUsize = AtomicUsize::new(0);

/// R's objects of these types have at least this many bytes: the header, and three words.
const OBJECT: usize = 7 * size_of::<usize>();

/// Looks for the field.
pub(crate) fn init(r: R) -> Result<()> {
    // An address nobody else has, in an external pointer, which is the first field of a pair.
    let own: *mut std::ffi::c_void = std::ptr::from_ref(&FIELD).cast_mut().cast();
    // SAFETY: allocation.
    let pointer = call(r, || unsafe { sys::R_MakeExternalPtr(own, sys::R_NilValue, sys::R_NilValue) })?;
    r.keep(pointer)?;
    // SAFETY: allocation.
    let pair = call(r, || unsafe { sys::Rf_cons(pointer, sys::R_NilValue) })?;
    r.keep(pair)?;
    // Beside its fields a pair holds its neighbours in R's lists of objects, and `pointer` may be one of them: only the place that
    // the pointer told is looked at.
    let found = find(pointer, own as usize).filter(|offset| word(pair, *offset) == pointer as usize);
    FIELD.store(found.unwrap_or(0), Ordering::Relaxed);
    Ok(())
}

fn word(object: SEXP, offset: usize) -> usize {
    debug_assert!(offset < OBJECT);
    // SAFETY: below `OBJECT` bytes of an R object.
    unsafe { object.cast::<u8>().add(offset).cast::<usize>().read() }
}

/// The one place in an object that holds a word.
fn find(object: SEXP, value: usize) -> Option<usize> {
    let mut places = (0..OBJECT).step_by(size_of::<usize>()).filter(|offset| word(object, *offset) == value);
    places.next().filter(|_| places.next().is_none())
}

/// `data1` of an ALTREP.
///
/// # Safety
/// `x` is an ALTREP.
#[inline]
pub(crate) unsafe fn data1(x: SEXP) -> SEXP {
    match FIELD.load(Ordering::Relaxed) {
        // SAFETY: the caller's.
        0 => unsafe { sys::R_altrep_data1(x) },
        // SAFETY: an ALTREP is laid out as a pair is; `checked` saw that its first word is data1.
        offset => unsafe { x.cast::<u8>().add(offset).cast::<SEXP>().read() },
    }
}

/// The address of an external pointer.
///
/// # Safety
/// `x` is one.
#[inline]
pub(crate) unsafe fn address(x: SEXP) -> *mut std::ffi::c_void {
    match FIELD.load(Ordering::Relaxed) {
        // SAFETY: the caller's.
        0 => unsafe { sys::R_ExternalPtrAddr(x) },
        // SAFETY: `init` found it there.
        offset => unsafe { x.cast::<u8>().add(offset).cast::<*mut std::ffi::c_void>().read() },
    }
}

/// Looks at a new ALTREP with this `data1` whether it is laid out as expected; if not, R is asked from now on.
pub(crate) fn checked(x: SEXP, expected: SEXP) {
    // SAFETY: a new ALTREP of ours.
    if unsafe { data1(x) } != expected {
        FIELD.store(0, Ordering::Relaxed);
    }
}
