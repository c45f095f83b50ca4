//! The names that symbols are, as a character vector, and as a payload: each in UTF-8, ended by a zero byte.

use std::ffi::CStr;

use cowshed_core::{NodeId, Opener};

use crate::boundary::{R, Result, call};
use crate::session::Session;
use crate::sexp::Sexp;
use crate::sys::{self, R_xlen_t, SEXP};

/// A character vector of their names.
pub(crate) fn strings(r: R, symbols: impl ExactSizeIterator<Item = SEXP>) -> Result<Sexp> {
    // SAFETY: allocation.
    let names = call(r, || unsafe { sys::Rf_allocVector(sys::STRSXP, symbols.len() as R_xlen_t) })?;
    r.keep(names)?;
    for (i, symbol) in symbols.enumerate() {
        // SAFETY: within its length.
        call(r, || unsafe { sys::SET_STRING_ELT(names, i as R_xlen_t, sys::PRINTNAME(symbol)) })?;
    }
    Ok(Sexp(names))
}

/// The payload for these symbols; R's NULL, where there is none, is an empty name.
pub(crate) fn payload(r: R, symbols: impl Iterator<Item = SEXP>) -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    for symbol in symbols {
        // SAFETY: a constant of R's.
        if symbol != unsafe { sys::R_NilValue } {
            // SAFETY: a symbol's name, a C string that stays as long as R does.
            let name = unsafe { CStr::from_ptr(sys::R_CHAR(sys::PRINTNAME(symbol))) };
            let name = if name.to_bytes().is_ascii() {
                name
            } else {
                // SAFETY: as above; the translation lives until R's .Call ends.
                unsafe { CStr::from_ptr(call(r, || sys::Rf_translateCharUTF8(sys::PRINTNAME(symbol)))?) }
            };
            payload.extend_from_slice(name.to_bytes());
        }
        payload.push(0);
    }
    Ok(payload)
}

/// The symbols in a node's payload, R's NULL where the name is empty; `None` if it is nonsense.
pub(crate) fn read(r: R, node: NodeId, from: &Opener<'_, Session>) -> Result<Option<Vec<SEXP>>> {
    let payload = from.node(node).payload;
    let mut bytes = vec![0; payload.len as usize];
    // SAFETY: a payload of the checked table. By pointers: of a write-through segment others may write it.
    unsafe { std::ptr::copy_nonoverlapping(from.segment().payload(payload), bytes.as_mut_ptr(), bytes.len()) };
    let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(None) };
    let Some(text) = text.strip_suffix('\0') else { return Ok(bytes.is_empty().then(Vec::new)) };
    text.split('\0').map(|name| symbol(r, name)).collect::<Result<Vec<_>>>().map(Some)
}

fn symbol(r: R, name: &str) -> Result<SEXP> {
    if name.is_empty() {
        // SAFETY: a constant of R's.
        return Ok(unsafe { sys::R_NilValue });
    }
    let (start, len) = (name.as_ptr().cast(), name.len() as i32);
    // SAFETY: the bytes are the string's own; what R makes of them is protected while it becomes a symbol, which stays.
    call(r, || unsafe {
        let text = sys::Rf_protect(sys::Rf_mkCharLenCE(start, len, sys::CE_UTF8));
        let symbol = sys::Rf_installTrChar(text);
        sys::Rf_unprotect(1);
        symbol
    })
}
