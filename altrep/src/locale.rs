//! The encoding of strings that R does not mark: the locale's.

use std::cell::Cell;
use std::ffi::c_int;

use crate::boundary::{R, Result, call};
use crate::sys;

/// Neither of the two that R can mark.
pub(crate) const OTHER: u8 = 0;
const UTF8: u8 = 1;
const LATIN1: u8 = 2;

thread_local! {
    static OURS: Cell<Option<u8>> = const { Cell::new(None) };
}

/// This process's, as a segment notes it. Looked up once: R's strings do not follow a later change either.
pub(crate) fn codeset(r: R) -> Result<u8> {
    if let Some(ours) = OURS.get() {
        return Ok(ours);
    }
    let ours = call(r, || {
        // SAFETY: evaluates to an integer vector of one element.
        unsafe {
            let code = c"local({ i <- l10n_info(); if (i[['UTF-8']]) 1L else if (i[['Latin-1']]) 2L else 0L })";
            *sys::INTEGER(sys::R_ParseEvalString(code.as_ptr(), sys::R_BaseEnv))
        }
    })?;
    let ours = u8::try_from(ours).unwrap_or(OTHER);
    OURS.set(Some(ours));
    Ok(ours)
}

/// How a string unmarked in a process of `theirs` is marked here.
pub(crate) fn mark_of(r: R, theirs: u8) -> Result<c_int> {
    Ok(match theirs {
        same if same == codeset(r)? => sys::CE_NATIVE,
        UTF8 => sys::CE_UTF8,
        LATIN1 => sys::CE_LATIN1,
        _ => sys::CE_NATIVE,
    })
}
