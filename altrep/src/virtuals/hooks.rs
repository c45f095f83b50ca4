//! What R calls on a virtual vector. Sums and extremes are in `summaries`, the way to other processes in `recipe`.
//!
//! - Reading never makes a pointer. R is told that there is none as long as pages would have to be made for it: it then reads region by region, which is
//!   several times faster.
//! - A subset that is a sequence of places, a duplicate, and another type that every element fits are virtual again. What is small is plain.

use super::{Object, derived, pointer};
use crate::boundary::{Failure, R, Result, call, guard};
use crate::element::{Element, plain};
use crate::subset::Index;
use crate::sys::{self, R_xlen_t, SEXP, SexpType};

/// Below so many elements a subset, or the same elements as another type, are a plain vector.
const FEW: usize = 1024;

pub(super) fn length(x: Object) -> R_xlen_t {
    x.get().len() as R_xlen_t
}

#[inline]
pub(super) fn elt<E: Element>(x: Object, i: R_xlen_t) -> E::C {
    if let Some(data) = x.get().pointer.plain() {
        if cowshed_core::any_lost() {
            guard(|_| x.get().check());
        }
        // SAFETY: R asks for elements within the length.
        return unsafe { *data.cast::<E::C>().add(i as usize) };
    }
    guard(|_| element::<E>(x, i as u64))
}

/// One element, which is there.
fn element<E: Element>(x: Object, i: u64) -> Result<E::C> {
    let mut value = E::na();
    // SAFETY: an element is plain bytes, and any bytes are one.
    let bytes = unsafe { std::slice::from_raw_parts_mut((&raw mut value).cast::<u8>(), size_of::<E::C>()) };
    x.get().read(i, bytes)?;
    Ok(value)
}

pub(super) fn region<E: Element>(x: Object, i: R_xlen_t, n: R_xlen_t, buffer: *mut E::C) -> R_xlen_t {
    let len = x.get().len();
    let i = u64::try_from(i).unwrap_or(len).min(len);
    let n = u64::try_from(n).unwrap_or(0).min(len - i);
    // SAFETY: R's buffer has room for the `n` asked for, and any bytes are elements.
    let out = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), n as usize * size_of::<E::C>()) };
    guard(|_| x.get().read(i, out));
    n as R_xlen_t
}

pub(super) fn dataptr(x: Object, writable: bool) -> *mut u8 {
    guard(|r| pointer::demand(r, x, writable))
}

pub(super) fn dataptr_or_null(x: Object) -> *const u8 {
    x.get().pointer.plain().map_or(std::ptr::null(), |plain| plain.cast_const())
}

pub(super) fn is_sorted(x: Object) -> i32 {
    let this = x.get();
    match this.source.facts().sorted {
        0 => sys::UNKNOWN_SORTEDNESS,
        _ if this.is_changed() => sys::UNKNOWN_SORTEDNESS,
        sorted => sorted.into(),
    }
}

pub(super) fn no_na(x: Object) -> i32 {
    (x.get().source.facts().no_na && !x.get().is_changed()).into()
}

/// `x[index]`; `None` for R to do it.
pub(super) fn extract_subset<E: Element>(r: R, x: Object, index: SEXP) -> Result<Option<SEXP>> {
    let this = x.get();
    this.check()?;
    this.flush()?;
    if this.asks_author() {
        if let Some(subset) = this.source.subset(r, crate::Sexp(x.sexp()), crate::Sexp(index))? {
            return Ok(Some(subset.into_r()));
        }
    }
    let Some(index) = Index::new(r, index)? else { return Ok(None) };
    if index.len() >= FEW && this.pointer.plain().is_none() {
        if let Some((first, step)) = derived::stride(&index, this.len()) {
            if let Some(part) = derived::part(r, x, first, step, index.len() as u64)? {
                return Ok(Some(part.sexp()));
            }
        }
    }
    gather::<E>(r, x, &index).map(Some)
}

/// The elements selected, as a plain vector. Neighbours are read together.
fn gather<E: Element>(r: R, x: Object, index: &Index) -> Result<SEXP> {
    let (this, width, len) = (x.get(), size_of::<E::C>(), x.get().len() as usize);
    let mut out = std::ptr::null_mut();
    let vector = plain::<E>(r, index.len(), |data| {
        out = data;
        for k in 0..index.len() {
            // SAFETY: within the new vector.
            unsafe { data.add(k).write(E::na()) };
        }
    })?;
    let mut failure = None;
    let mut run = Run { at: 0, first: 0, len: 0 };
    let mut read = |run: Run| {
        if run.len > 0 && failure.is_none() {
            // SAFETY: places of the new vector, which nobody else has.
            let bytes = unsafe { std::slice::from_raw_parts_mut(out.add(run.at).cast::<u8>(), run.len * width) };
            failure = this.read(run.first as u64, bytes).err();
        }
    };
    if let Index::Run { first, len: n } = *index {
        let first = first as usize - 1;
        read(Run { at: 0, first, len: len.saturating_sub(first).min(n) });
    } else {
        index.each(r, |k, i| match i.filter(|i| *i < len) {
            Some(i) if run.len > 0 && run.first + run.len == i && run.at + run.len == k => run.len += 1,
            Some(i) => read(std::mem::replace(&mut run, Run { at: k, first: i, len: 1 })),
            None => {}
        })?;
        read(run);
    }
    failure.map_or(Ok(vector), Err)
}

/// Elements that are neighbours in the vector and in what is selected.
#[derive(Clone, Copy)]
struct Run {
    at: usize,
    first: usize,
    len: usize,
}

/// R duplicates a vector before it writes to it, if somebody else has it too.
pub(super) fn duplicate<E: Element>(r: R, x: Object) -> Result<SEXP> {
    let this = x.get();
    this.check()?;
    this.flush()?;
    if this.asks_author() {
        if let Some(duplicate) = this.source.duplicate(r, crate::Sexp(x.sexp()))? {
            return Ok(duplicate.into_r());
        }
    }
    if let Some(mapped) = pointer::mapped_again::<E>(r, x)? {
        return Ok(mapped.sexp());
    }
    if this.pointer.plain().is_some() {
        return pointer::vector::<E>(r, this);
    }
    x.again(r).map(Object::sexp)
}

/// The elements as another type, if every element fits it; `None` for R to do it, and to warn. With the attributes, as R's own has them.
pub(super) fn coerce(r: R, x: Object, to: SexpType) -> Result<Option<SEXP>> {
    let this = x.get();
    this.check()?;
    this.flush()?;
    let other = if this.asks_author() { this.source.coerce(r, crate::Sexp(x.sexp()), to)? } else { None };
    if let Some(other) = other {
        // SAFETY: R objects.
        if unsafe { sys::ATTRIB(other.0) == sys::R_NilValue } && other.0 != x.sexp() {
            // SAFETY: as above.
            call(r, || unsafe { sys::SHALLOW_DUPLICATE_ATTRIB(other.0, x.sexp()) })?;
        }
        return Ok(Some(other.into_r()));
    }
    if this.pointer.plain().is_some() || (this.len() as usize) < FEW {
        return Ok(None);
    }
    let Some(made) = derived::converted(r, x, to)? else { return Ok(None) };
    // SAFETY: R objects.
    call(r, || unsafe { sys::SHALLOW_DUPLICATE_ATTRIB(made.sexp(), x.sexp()) })?;
    Ok(Some(made.sexp()))
}

/// What `.Internal(inspect(x))` shows.
pub(super) fn inspect(r: R, x: Object) -> Result<()> {
    let this = x.get();
    this.flush()?;
    let text =
        format!(" cowshed virtual: {}, {} elements, {}\n", this.source.describe(), this.len(), this.pointer.describe());
    let text = std::ffi::CString::new(text).map_err(|_| Failure::new("internal", "a description with a null byte"))?;
    // SAFETY: a C string, printed as one.
    unsafe { libR_sys::Rprintf(c"%s".as_ptr(), text.as_ptr()) };
    this.source.inspect(r, crate::Sexp(x.sexp()))
}
