//! R conditions made of our errors: class `c("cowshed_error_<word>", "cowshed_error", "error", "condition")`.

use std::ffi::{CStr, c_int};

use cowshed_core::{
    AllocateError, AttachError, CreateError, DispatchError, NameError, OnceError, StoreError, StoredError,
};

use crate::boundary::{Failure, R, Result, call};
use crate::sys::{self, CE_UTF8, R_xlen_t, SEXP, STRSXP, VECSXP};

macro_rules! failures {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::new(error.kind().word(), error.to_string())
            }
        }
    )*};
}
failures!(AllocateError, AttachError, CreateError, DispatchError, NameError, OnceError, StoreError, StoredError);

/// Signals it with R's stop(). Does not come back.
///
/// The frames here own two strings, which are dropped before anything can jump (except out of memory, when it leaks).
pub(crate) fn signal(class: &'static str, message: String) -> ! {
    // SAFETY: every object is protected before the next allocation; R restores the protect stack when it jumps.
    unsafe {
        let text = strings(&[&message]);
        drop(message);
        let condition = sys::Rf_protect(sys::Rf_allocVector(VECSXP, 2));
        sys::SET_VECTOR_ELT(condition, 0, text);
        sys::Rf_setAttrib(condition, install(c"names"), strings(&["message", "call"]));
        let class = format!("cowshed_error_{class}");
        sys::Rf_setAttrib(condition, install(c"class"), strings(&[&class, "cowshed_error", "error", "condition"]));
        drop(class);
        let call = sys::Rf_protect(sys::Rf_lcons(install(c"stop"), sys::Rf_cons(condition, sys::R_NilValue)));
        sys::Rf_eval(call, sys::R_BaseEnv);
    }
    unreachable!("stop() does not return")
}

unsafe fn install(name: &CStr) -> SEXP {
    // SAFETY: a C string; symbols are never collected.
    unsafe { sys::Rf_install(name.as_ptr()) }
}

unsafe fn character(text: &str) -> SEXP {
    // SAFETY: pointer and length are the string's own.
    unsafe { sys::Rf_mkCharLenCE(text.as_ptr().cast(), text.len() as c_int, CE_UTF8) }
}

unsafe fn strings(texts: &[&str]) -> SEXP {
    // SAFETY: protected until R jumps.
    let out = unsafe { sys::Rf_protect(sys::Rf_allocVector(STRSXP, texts.len() as R_xlen_t)) };
    for (i, text) in texts.iter().enumerate() {
        // SAFETY: within its length.
        unsafe { sys::SET_STRING_ELT(out, i as R_xlen_t, character(text)) };
    }
    out
}

/// Warns, class `cowshed_warning_strings`, that strings are not written through.
pub(crate) fn warn_strings(r: R) -> Result<()> {
    call(r, || {
        let code = c"warning(warningCondition(paste0('a character vector cannot be written through: copyOnWrite stays TRUE for it, ',\
            'so an assignment changes only the object it is made to'), class = c('cowshed_warning_strings', 'cowshed_warning')))";
        // SAFETY: R code; a warning turned into an error jumps, which `call` catches.
        unsafe { sys::R_ParseEvalString(code.as_ptr(), sys::R_BaseEnv) };
    })
}
