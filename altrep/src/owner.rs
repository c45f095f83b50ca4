//! External pointers that own a Rust value: R's collector drops it.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use crate::boundary::{R, Result, call};
use crate::sys::{self, SEXP};

/// An external pointer to `value`, protected until the scope ends. R drops the value when it collects the pointer; with `at_exit` also when it quits.
pub(crate) fn owner<T>(r: R, value: T, at_exit: bool) -> Result<SEXP> {
    // SAFETY: allocation; the address is filled in below, once nothing can fail in between.
    let pointer = call(r, || unsafe { sys::R_MakeExternalPtr(null_mut(), sys::R_NilValue, sys::R_NilValue) })?;
    r.keep(pointer)?;
    // SAFETY: `drop_owned` takes a null address too.
    call(r, || unsafe { sys::R_RegisterCFinalizerEx(pointer, drop_owned::<T>, at_exit.into()) })?;
    let address: *mut c_void = Box::into_raw(Box::new(value)).cast();
    // SAFETY: an external pointer; from here on its finalizer owns the value.
    unsafe { libR_sys::R_SetExternalPtrAddr(pointer, address) };
    Ok(pointer)
}

/// The finalizer. Runs inside R's collector: calls nothing of R's that allocates.
unsafe extern "C-unwind" fn drop_owned<T>(pointer: SEXP) {
    // SAFETY: R passes the external pointer it was registered for.
    let address = unsafe { sys::R_ExternalPtrAddr(pointer) };
    if address.is_null() {
        return;
    }
    // SAFETY: as above; a second call finds nothing.
    unsafe { libR_sys::R_ClearExternalPtr(pointer) };
    // SAFETY: `owner` made it of a box, and this is its only end.
    let value = unsafe { Box::from_raw(address.cast::<T>()) };
    // A panic must not cross R's collector; there is nobody to tell.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}
