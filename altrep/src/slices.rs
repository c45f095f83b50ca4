//! Columns and rows of a matrix, one after the other, in memory that is used again.
//!
//! - A function that is called for each of a million columns should not leave a million vectors for R's collector: that takes more memory than the
//!   matrix that was shared to save some, and new memory is slower than old.
//! - A vector is written again only if whoever asks is the only one that refers to it: what the function kept stays as it is.
//! - Rows are taken many at a time, as the columns of a small matrix: a single one is a walk through the whole.

use crate::boundary::{R, Result, call};
use crate::by_element;
use crate::element::{Element, plain};
use crate::object::Object;
use crate::references;
use crate::sexp::Sexp;
use crate::sys::{self, R_xlen_t};

/// Rows that are read together: as many as lie in a line of the processor's cache.
const LINE: usize = 64;

/// `len` elements of `x` from `start` on, with these names if they are not NULL: in `old`, which this made before with the same names, if it has room for
/// just them and nobody else refers to it; else in a new vector. NULL for a type that is not of plain elements.
///
/// # Errors
/// What lies outside `x`; and those of reading a shared vector.
pub fn slice(r: R, x: Sexp, start: usize, len: usize, names: Sexp, old: Sexp) -> Result<Sexp> {
    by_element!(x.kind(), E => {
        check(r, x, start, len)?;
        let to = room::<E>(r, len, old)?;
        // SAFETY: within `x`, of this type; `to` has room. An ALTREP's method may raise an error.
        call(r, || unsafe { E::region(x.0, start as R_xlen_t, len as R_xlen_t, E::data(to.0)) })?;
        intact(x)?;
        if to != old && !names.is_null() {
            // SAFETY: a vector and a symbol; an error if the names are none.
            call(r, || unsafe { sys::Rf_setAttrib(to.0, sys::R_NamesSymbol, names.0) })?;
        }
        Ok(to)
    }, Ok(Sexp::null()))
}

/// The rows from `first` on, `count` of them, of a matrix of `rows` rows, each as a column of the result, which is treated as that of [`slice()`].
///
/// # Errors
/// Those of [`slice()`].
pub fn rows(r: R, x: Sexp, rows: usize, first: usize, count: usize, old: Sexp) -> Result<Sexp> {
    by_element!(x.kind(), E => {
        if rows == 0 {
            return Ok(Sexp::null());
        }
        let columns = x.len(r)? / rows;
        check(r, x, first, count.min(rows.saturating_sub(first)))?;
        if first + count > rows {
            return Err(outside());
        }
        let to = room::<E>(r, columns * count, old)?;
        // SAFETY: a vector of this type. One whose elements lie nowhere, such as 1:9, has them from now on; an ALTREP's method may raise an error.
        let data = call(r, || unsafe { sys::DATAPTR_RO(x.0) })?.cast::<<E as Element>::C>();
        // SAFETY: of this type, and plain.
        let out = unsafe { E::data(to.0) };
        let line = LINE / size_of::<<E as Element>::C>();
        for from in (0..count).step_by(line) {
            let until = (from + line).min(count);
            for column in 0..columns {
                for row in from..until {
                    // SAFETY: `first + row` is below `rows`, and `columns * rows` is at most the length of `x`; `out` has `columns * count`.
                    unsafe { *out.add(row * columns + column) = *data.add(column * rows + first + row) };
                }
            }
        }
        intact(x)?;
        Ok(to)
    }, Ok(Sexp::null()))
}

fn check(r: R, x: Sexp, start: usize, len: usize) -> Result<()> {
    if start.checked_add(len).is_some_and(|end| x.len(r).is_ok_and(|n| end <= n)) { Ok(()) } else { Err(outside()) }
}

fn outside() -> crate::Failure {
    crate::Failure::new("argument", "what is asked for lies outside the matrix")
}

/// A vector to write to.
fn room<E: Element>(r: R, len: usize, old: Sexp) -> Result<Sexp> {
    let fits = old.kind() == E::TYPE && !old.is_altrep() && old.len(r)? == len;
    if fits && references::at_most_one(old.0) {
        return Ok(old);
    }
    plain::<E>(r, len, |_| {}).map(Sexp)
}

/// A shared vector whose file was cut has given missing values.
fn intact(x: Sexp) -> Result<()> {
    Object::find(x.0).map_or(Ok(()), |shared| shared.view().check())
}
