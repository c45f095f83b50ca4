//! Pairlists for safe code.

use crate::boundary::{R, Result, call};
use crate::sexp::Sexp;
use crate::symbols;
use crate::sys::{self, SEXP};

/// The cells of a pairlist, a call, or `...`; none of NULL.
pub(crate) fn of(x: SEXP) -> Vec<SEXP> {
    let mut cells = Vec::new();
    let mut cell = x;
    // SAFETY: a constant; then cells of the pairlist.
    while cell != unsafe { sys::R_NilValue } {
        cells.push(cell);
        // SAFETY: as above.
        cell = unsafe { sys::CDR(cell) };
    }
    cells
}

/// The values in the cells of a pairlist or a call.
pub fn values(x: Sexp) -> Vec<Sexp> {
    // SAFETY: cells.
    of(x.0).into_iter().map(|cell| Sexp(unsafe { sys::CAR(cell) })).collect()
}

/// The names of the cells of a pairlist, a character vector; empty where a cell has none.
///
/// # Errors
/// Out of memory.
pub fn tags(r: R, x: Sexp) -> Result<Sexp> {
    // SAFETY: constants of R's; the empty symbol's name is the empty string.
    let (none, empty) = unsafe { (sys::R_NilValue, sys::R_MissingArg) };
    let tag = |cell| {
        // SAFETY: a cell, whose tag is NULL or a symbol.
        let tag = unsafe { sys::TAG(cell) };
        if tag == none { empty } else { tag }
    };
    symbols::strings(r, of(x.0).into_iter().map(tag))
}

/// A pairlist of `n` values, each made by `value`, with these names.
///
/// # Errors
/// Those of `value`, or out of memory.
pub fn pairlist(r: R, tags: &[String], mut value: impl FnMut(usize) -> Result<Sexp>) -> Result<Sexp> {
    // SAFETY: allocation.
    let list = call(r, || unsafe { sys::Rf_allocList(tags.len() as i32) })?;
    r.keep(list)?;
    for (i, (cell, tag)) in of(list).into_iter().zip(tags).enumerate() {
        r.scope(|| {
            let value = value(i)?;
            // SAFETY: a cell of ours.
            call(r, || unsafe { sys::SETCAR(cell, value.0) }).map(drop)
        })?;
        if !tag.is_empty() {
            let text = r.string(tag)?;
            // SAFETY: a character vector of one element; a cell of ours.
            call(r, || unsafe { sys::SET_TAG(cell, sys::Rf_installTrChar(sys::STRING_ELT(text.0, 0))) })?;
        }
    }
    Ok(Sexp(list))
}

/// `list` with each value replaced by what `value` makes of it; itself if that changes nothing.
///
/// # Errors
/// Those of `value`, or out of memory.
pub fn renew(r: R, list: Sexp, mut value: impl FnMut(usize, Sexp) -> Result<Sexp>) -> Result<Sexp> {
    let mut renewed: Option<(Sexp, Vec<SEXP>)> = None;
    for (i, old) in values(list).into_iter().enumerate() {
        let new = value(i, old)?;
        if new == old {
            continue;
        }
        if renewed.is_none() {
            let copy = r.shallow_duplicate(list)?;
            renewed = Some((copy, of(copy.0)));
        }
        if let Some((_, cells)) = &renewed {
            let cell = cells[i];
            // SAFETY: a cell of the copy, which has as many.
            call(r, || unsafe { sys::SETCAR(cell, new.0) })?;
        }
    }
    Ok(renewed.map_or(list, |(copy, _)| copy))
}
