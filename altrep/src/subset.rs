//! `x[i]`: R's cleaned subscripts, and the elements they select.

use std::ffi::c_int;

use crate::boundary::{R, Result, call};
use crate::element::{Element, plain};
use crate::span::Span;
use crate::sys::{self, R_xlen_t, SEXP, SexpType};
use crate::view::View;

/// A window must hold at least this part of its segment's bytes: `head(x)` must not keep 50 GB alive.
const WINDOW_PART: u64 = 16;

/// Subscripts from 1; NA and what lies beyond the end select NA.
pub(crate) enum Index {
    /// `first`, `first + 1`, ... as many as `len`.
    Run { first: i64, len: usize },
    /// Each its own, as ints.
    Ints(SEXP, usize),
    /// Each its own, as doubles: vectors of 2^31 elements or more, or double subscripts.
    Doubles(SEXP, usize),
}

impl Index {
    /// `None` for a subscript that is neither integer nor double, which R does not hand out.
    pub(crate) fn new(_: R, index: SEXP) -> Result<Option<Index>> {
        // SAFETY: a vector.
        let (kind, len) = unsafe { (sys::TYPEOF(index) as SexpType, sys::Rf_xlength(index) as usize) };
        if !matches!(kind, sys::INTSXP | sys::REALSXP) {
            return Ok(None);
        }
        Ok(Some(match compact(index, kind, len).or_else(|| run(index, kind, len)) {
            Some(first) => Index::Run { first, len },
            None if kind == sys::INTSXP => Index::Ints(index, len),
            None => Index::Doubles(index, len),
        }))
    }

    pub(crate) fn len(&self) -> usize {
        match *self {
            Index::Run { len, .. } | Index::Ints(_, len) | Index::Doubles(_, len) => len,
        }
    }
}

/// The first number, if this is R's compact sequence `first, first + 1, ...`: an ALTREP not expanded whose `data1` holds
/// (length, first, 1). The ends and the middle are asked for as well, in case another package's class looks alike.
fn compact(index: SEXP, kind: SexpType, len: usize) -> Option<i64> {
    // SAFETY: an R object; then an ALTREP.
    let data = unsafe { if sys::ALTREP(index) == 0 || len == 0 { return None } else { sys::R_altrep_data1(index) } };
    // SAFETY: constants and R objects.
    let looks_so = unsafe {
        sys::TYPEOF(data) as SexpType == sys::REALSXP
            && sys::Rf_xlength(data) == 3
            && sys::R_altrep_data2(index) == sys::R_NilValue
    };
    if !looks_so {
        return None;
    }
    // SAFETY: three doubles.
    let [n, first, step] = unsafe { *sys::REAL(data).cast::<[f64; 3]>() };
    let whole = first.fract() == 0.0 && (1.0..=LARGEST).contains(&first);
    if n != len as f64 || step != 1.0 || !whole {
        return None;
    }
    let at = |i: usize| match kind {
        // SAFETY: within its length.
        sys::INTSXP => f64::from(unsafe { sys::INTEGER_ELT(index, i as R_xlen_t) }),
        // SAFETY: as above.
        _ => unsafe { sys::REAL_ELT(index, i as R_xlen_t) },
    };
    [0, len / 2, len - 1].into_iter().all(|i| at(i) == first + i as f64).then_some(first as i64)
}

/// The same of numbers that lie in memory. R expands its compact sequences when it cleans subscripts (`x[2:9]`), and makes `x[-1]` and
/// `x[TRUE]` a vector of ints: so the numbers themselves are asked. Most others fail at the ends.
fn run(index: SEXP, kind: SexpType, len: usize) -> Option<i64> {
    // SAFETY: an integer or double vector.
    let pointer = unsafe { sys::DATAPTR_OR_NULL(index) };
    if pointer.is_null() || len == 0 {
        return None;
    }
    if kind == sys::INTSXP {
        let pointer = pointer.cast::<c_int>();
        // SAFETY: within its length.
        let at = |i: usize| i64::from(unsafe { *pointer.add(i) });
        let first = at(0);
        let runs = |i: usize| at(i) == first + i as i64;
        (first >= 1 && runs(len - 1) && (1..len).all(runs)).then_some(first)
    } else {
        let pointer = pointer.cast::<f64>();
        // SAFETY: within its length.
        let at = |i: usize| unsafe { *pointer.add(i) };
        let first = at(0);
        let whole = first.fract() == 0.0 && (1.0..=LARGEST).contains(&first);
        let runs = |i: usize| at(i) == first + i as f64;
        (whole && runs(len - 1) && (1..len).all(runs)).then_some(first as i64)
    }
}

/// The same of subscripts that lie in memory, from 1 on, by `at(where, i)`.
fn sequence<I>(index: SEXP, len: usize, at: impl Fn(*const I, usize) -> i64) -> Option<(i64, i64, i64)> {
    // SAFETY: an integer or double vector.
    let pointer = unsafe { sys::DATAPTR_OR_NULL(index) }.cast::<I>();
    if pointer.is_null() || len < 2 {
        return None;
    }
    let (first, last) = (at(pointer, 0), at(pointer, len - 1));
    let step = at(pointer, 1) - first;
    let is_there = |i: usize| at(pointer, i) == first + step * i as i64;
    let inside = first >= 1 && last >= 1 && step != 0 && step.checked_mul(len as i64).is_some();
    (inside && is_there(len - 1) && (1..len).all(is_there)).then_some((first, step, last))
}

/// Doubles up to 2^52, more than any vector has, count in ones.
const LARGEST: f64 = 4_503_599_627_370_496.0;

/// The elements selected, as a plain vector.
pub(crate) fn extract<E: Element>(r: R, view: &View, index: &Index) -> Result<SEXP> {
    let data = view.read()?.cast::<E::C>();
    let (len, na) = (view.len(), E::na());
    // SAFETY: `i < len` elements are there.
    let pick = |i: usize| if i < len { unsafe { *data.add(i) } } else { na };
    plain::<E>(r, index.len(), |out| match *index {
        Index::Run { first, len: n } => {
            let first = first as usize - 1;
            let inside = len.saturating_sub(first).min(n);
            // SAFETY: `inside` elements from `first` on are there, and `out` has room for `n`.
            unsafe { std::ptr::copy_nonoverlapping(data.wrapping_add(first), out, inside) };
            // SAFETY: the rest of `out`.
            (inside..n).for_each(|i| unsafe { *out.add(i) = na });
        }
        // NA is negative, so it lies beyond every end like the others.
        Index::Ints(index, n) => {
            gather(index, n, out, sys::INTEGER_GET_REGION, |i: c_int| pick((i64::from(i) - 1) as usize))
        }
        Index::Doubles(index, n) => gather(index, n, out, sys::REAL_GET_REGION, |i: f64| {
            // As R does: finite, and truncated towards zero after subtracting.
            pick(if i.is_finite() && i > 0.0 { (i - 1.0) as usize } else { usize::MAX })
        }),
    })
}

/// Subscripts read at a time from an ALTREP, so that it is not expanded.
const CHUNK: usize = 1024;

fn gather<I: Copy + Default, C>(index: SEXP, n: usize, out: *mut C, region: Region<I>, pick: impl Fn(I) -> C) {
    // SAFETY: `out` has room for `n`.
    walk(index, n, region, |k, i| unsafe { *out.add(k) = pick(i) });
}

type Region<I> = unsafe extern "C-unwind" fn(SEXP, R_xlen_t, R_xlen_t, *mut I) -> R_xlen_t;

/// Calls `f(k, subscript)` for each of `n` subscripts.
#[inline]
fn walk<I: Copy + Default>(index: SEXP, n: usize, region: Region<I>, mut f: impl FnMut(usize, I)) {
    // SAFETY: an integer or double vector.
    let pointer = unsafe { sys::DATAPTR_OR_NULL(index) }.cast::<I>();
    if !pointer.is_null() {
        for k in 0..n {
            // SAFETY: `n` subscripts are there.
            f(k, unsafe { *pointer.add(k) });
        }
        return;
    }
    let mut chunk = [I::default(); CHUNK];
    let mut done = 0;
    while done < n {
        // SAFETY: room for `CHUNK`; no destructor is pending should another package's class raise an error.
        let got = unsafe { region(index, done as R_xlen_t, CHUNK.min(n - done) as R_xlen_t, chunk.as_mut_ptr()) };
        for (k, i) in chunk[..got.max(1) as usize].iter().enumerate() {
            f(done + k, *i);
        }
        done += got.max(1) as usize;
    }
}

impl Index {
    /// The first subscript, the step and the last one, if all are places in sequence; those of a run are known to be.
    pub(crate) fn sequence(&self) -> Option<(i64, i64, i64)> {
        match *self {
            Index::Run { first, len } => Some((first, 1, first + len as i64 - 1)),
            // SAFETY: a vector of `len` subscripts, within which it is asked.
            Index::Ints(index, len) => sequence(index, len, |p: *const c_int, i| i64::from(unsafe { *p.add(i) })),
            Index::Doubles(index, len) => sequence(index, len, |p: *const f64, i| {
                // SAFETY: as above.
                let value = unsafe { *p.add(i) };
                if (1.0..=LARGEST).contains(&value) { value as i64 } else { 0 }
            }),
        }
    }

    /// Calls `f(k, i)` for each place `k`, with the element selected, counted from 0, or `None` for NA and what is no element.
    pub(crate) fn each(&self, r: R, mut f: impl FnMut(usize, Option<usize>)) -> Result<()> {
        let n = self.len();
        // Taken by value into `call`, where R may jump over them: they own nothing.
        let f = &mut f;
        match *self {
            Index::Run { first, .. } => call(r, || (0..n).for_each(|k| f(k, Some(first as usize - 1 + k)))),
            Index::Ints(index, _) => call(r, || {
                walk(index, n, sys::INTEGER_GET_REGION, |k, i: c_int| f(k, usize::try_from(i64::from(i) - 1).ok()));
            }),
            Index::Doubles(index, _) => call(r, || {
                walk(index, n, sys::REAL_GET_REGION, |k, i: f64| {
                    f(k, (i.is_finite() && i > 0.0).then_some((i - 1.0) as usize));
                });
            }),
        }
    }
}

/// A view of a range of a character vector, by the same rule as [`window`].
pub(crate) fn text_window(view: &View, index: &Index) -> Option<View> {
    let Index::Run { first, len } = *index else { return None };
    let start = first as usize - 1;
    let span = view.span()?;
    let fits = start.checked_add(len)? <= view.len() && !view.changed();
    // Strings differ in length: their number stands for their part.
    let whole = span.segment.table().node(span.node).length;
    if !fits || (len as u64).saturating_mul(WINDOW_PART) < whole {
        return None;
    }
    let (window, text) = Span::of_text(&span.segment, span.node, span.start + start as u64, len as u64)?;
    Some(View::of_text(window, text, len))
}

/// A view of the same segment, if the subscripts are a run inside it that is not too small a part.
pub(crate) fn window<E: Element>(view: &View, index: &Index) -> Option<View> {
    let Index::Run { first, len } = *index else { return None };
    let start = first as usize - 1;
    if start.checked_add(len)? > view.len() {
        return None;
    }
    let segment = view.span()?.segment;
    let part = (len * size_of::<E::C>()) as u64;
    (part.saturating_mul(WINDOW_PART) >= segment.header().file_len)
        .then(|| view.window(start, len, size_of::<E::C>()))?
}
