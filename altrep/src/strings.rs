//! Character vectors: R's strings made of a segment's bytes when they are looked at, and the hooks R calls.
//!
//! What was made is kept in the external pointer's protected slot, which aliases share:
//!
//! - a dictionary: one R vector of its entries;
//! - otherwise a list of chunks, each made when something in it is looked at;
//! - after about one full scan, or when a pointer is asked for: one plain vector with all elements, at which [`View::data`] then points.
//!
//! R switches its collector off around `Elt`, so what is made here is safe until it is in the cache.

use std::ffi::c_int;
use std::sync::Arc;

use cowshed_core::{Flags, NodeId, Segment};

use crate::boundary::{Failure, R, Result, call, guard};
use crate::element::Kind;
use crate::hooks::Viewed;
use crate::object::Object;
use crate::subset::{self, Index};
use crate::sys::{self, R_xlen_t, SEXP};
use crate::text::{Entry, Mark, Text};
use crate::view::{Source, Span, View};
use crate::{locale, options};

/// The kind; never made.
pub enum Character {}

impl Kind for Character {
    const TYPE: sys::SexpType = sys::STRSXP;
    const CLASS: &'static std::ffi::CStr = c"cowshed_character";
    const STRATEGY: &'static str = "r.character";
}

/// Elements of a chunk.
const CHUNK: usize = 8 << 10;

#[inline]
pub(crate) fn elt(x: Object, i: R_xlen_t) -> SEXP {
    let data = x.view().data().cast::<SEXP>();
    if data.is_null() {
        return guard(|r| make(r, x, i as usize));
    }
    // SAFETY: R asks for elements within the length; the pointer is that of a plain vector of as many.
    unsafe { *data.add(i as usize) }
}

/// Element `i`; after about one full scan all of them are made at once.
fn make(r: R, x: Object, i: usize) -> Result<SEXP> {
    let string = string(r, x, i)?;
    if x.view().scanned(1) {
        materialise(r, x)?;
    }
    Ok(string)
}

/// Element `i`, from the cache or newly made.
fn string(r: R, x: Object, i: usize) -> Result<SEXP> {
    let view = x.view();
    let (text, start) = view.text()?;
    let code = text.code(start + i).ok_or_else(|| corrupt(view))?;
    let (cache, place) = if text.is_dictionary() {
        (x.cache_or(r, || alloc(sys::STRSXP, text.entries()))?, code)
    } else {
        let chunks = x.cache_or(r, || alloc(sys::VECSXP, view.len().div_ceil(CHUNK)))?;
        (chunk(r, chunks, i / CHUNK, CHUNK.min(view.len() - i / CHUNK * CHUNK))?, i % CHUNK)
    };
    // SAFETY: within the length of a plain vector.
    let cached = unsafe { sys::STRING_ELT(cache, place as R_xlen_t) };
    // An empty place and an empty string look alike, and making the empty string again costs nothing.
    // SAFETY: a constant of R's.
    if cached != unsafe { sys::R_BlankString } {
        return Ok(cached);
    }
    let entry = text.entry(code).ok_or_else(|| corrupt(view))?;
    let string = charsxp(r, entry, text.codeset())?;
    // SAFETY: as above.
    unsafe { sys::SET_STRING_ELT(cache, place as R_xlen_t, string) };
    Ok(string)
}

fn alloc(kind: sys::SexpType, n: usize) -> SEXP {
    // SAFETY: allocation, inside `call`.
    unsafe { sys::Rf_allocVector(kind, n as R_xlen_t) }
}

/// A chunk of the list of chunks, made if it is not there.
fn chunk(r: R, chunks: SEXP, number: usize, len: usize) -> Result<SEXP> {
    call(r, || {
        // SAFETY: a list with that place; a new chunk goes straight into it.
        unsafe {
            let chunk = sys::VECTOR_ELT(chunks, number as R_xlen_t);
            if chunk != sys::R_NilValue {
                return chunk;
            }
            let chunk = sys::Rf_protect(alloc(sys::STRSXP, len));
            sys::SET_VECTOR_ELT(chunks, number as R_xlen_t, chunk);
            sys::Rf_unprotect(1);
            chunk
        }
    })
}

#[cold]
fn corrupt(view: &View) -> Failure {
    let id = view.span().map(|span| span.segment.id().to_string()).unwrap_or_default();
    Failure::new("corrupt", format!("a string of segment {id} lies outside its bytes; share the object again"))
}

/// R's string for an entry. Unprotected.
fn charsxp(r: R, entry: Entry<'_>, codeset: u8) -> Result<SEXP> {
    let encoding = match entry.mark {
        // SAFETY: a constant of R's.
        Mark::Na => return Ok(unsafe { sys::R_NaString }),
        Mark::Native if entry.bytes.is_ascii() => sys::CE_NATIVE,
        Mark::Native => locale::mark_of(r, codeset)?,
        Mark::Utf8 => sys::CE_UTF8,
        Mark::Latin1 => sys::CE_LATIN1,
        Mark::Bytes => sys::CE_BYTES,
    };
    let (start, len) = (entry.bytes.as_ptr().cast(), entry.bytes.len() as c_int);
    // SAFETY: the bytes hold no zero and are as many.
    call(r, || unsafe { sys::Rf_mkCharLenCE(start, len, encoding) })
}

/// All elements as one plain R vector, kept from now on.
pub(crate) fn materialise(r: R, x: Object) -> Result<SEXP> {
    let view = x.view();
    if !view.data().is_null() {
        return Ok(x.cache());
    }
    view.text()?;
    // SAFETY: allocation.
    let all = call(r, || alloc(sys::STRSXP, view.len()))?;
    r.keep(all)?;
    for i in 0..view.len() {
        let string = string(r, x, i)?;
        // SAFETY: within the length of a plain vector.
        unsafe { sys::SET_STRING_ELT(all, i as R_xlen_t, string) };
    }
    x.set_cache(all);
    // SAFETY: a plain character vector, kept by the external pointer.
    view.point_to(unsafe { sys::STRING_PTR(all) }.cast());
    Ok(all)
}

pub(crate) fn dataptr(x: Object, writable: bool) -> *mut u8 {
    if x.view().data().is_null() {
        guard(|r| materialise(r, x));
    }
    if writable {
        x.view().touch();
    }
    x.view().data().cast_mut()
}

pub(crate) fn set_elt(r: R, x: Object, i: R_xlen_t, value: SEXP) -> Result<()> {
    let all = materialise(r, x)?;
    x.view().touch();
    // SAFETY: R checked the place.
    call(r, || unsafe { sys::SET_STRING_ELT(all, i, value) })
}

/// Whether any element differs from what the segment says: asked only once somebody could have written.
pub(crate) fn differ(all: *const u8, text: &Text, start: usize, len: usize) -> bool {
    let all = all.cast::<SEXP>();
    (0..len).any(|i| {
        let Some(entry) = text.code(start + i).and_then(|code| text.entry(code)) else { return true };
        // SAFETY: `len` strings are there.
        let string = unsafe { *all.add(i) };
        // SAFETY: a constant, and an R string.
        let (is_na, bytes) = unsafe { (string == sys::R_NaString, bytes_of(string)) };
        is_na != (entry.mark == Mark::Na) || (!is_na && bytes != entry.bytes)
    })
}

/// The bytes of an R string.
///
/// # Safety
/// A CHARSXP that stays while the bytes are used.
pub(crate) unsafe fn bytes_of<'a>(string: SEXP) -> &'a [u8] {
    // SAFETY: the caller's; R's strings are as long as they say.
    unsafe { std::slice::from_raw_parts(sys::R_CHAR(string).cast(), sys::LENGTH(string) as usize) }
}

/// copyOnWrite always holds for strings; sharedCopy: a copy that is sealed into a segment of its own when it is first sent.
pub(crate) fn duplicate(r: R, x: Object) -> Result<SEXP> {
    let flags = x.flags();
    let copy = copy(r, x)?;
    if !flags.contains(Flags::SHARED_COPY) || x.view().len() == 0 {
        return Ok(copy);
    }
    loose(r, copy, x.view().len(), flags)
}

/// A shared vector whose strings are, until it is sent, `strings`.
fn loose(r: R, strings: SEXP, len: usize, flags: Flags) -> Result<SEXP> {
    let object = Object::new_mutable::<Character>(r, View::loose(len), flags)?;
    object.set_cache(strings);
    // SAFETY: a plain character vector, kept by the external pointer.
    object.view().point_to(unsafe { sys::STRING_PTR(strings) }.cast());
    Ok(object.sexp())
}

/// A plain vector of the same strings.
pub(crate) fn copy(r: R, x: Object) -> Result<SEXP> {
    let all = materialise(r, x)?;
    let n = x.view().len();
    let copy = call(r, || alloc(sys::STRSXP, n))?;
    r.keep(copy)?;
    call(r, || {
        // SAFETY: both have `n` elements.
        (0..n as R_xlen_t).for_each(|i| unsafe { sys::SET_STRING_ELT(copy, i, sys::STRING_ELT(all, i)) });
    })?;
    Ok(copy)
}

pub(crate) fn extract_subset(r: R, x: Object, index: SEXP) -> Result<Option<SEXP>> {
    let view = x.view();
    view.check()?;
    let Some(index) = Index::new(r, index)? else { return Ok(None) };
    let share = x.flags().contains(Flags::SHARED_SUBSET) && index.len() >= options::min_length_in_hook(r);
    if share && let Some(window) = subset::text_window(view, &index) {
        return Ok(Some(Object::new::<Character>(r, window, x.flags())?.sexp()));
    }
    let (n, len) = (index.len(), view.len());
    let out = call(r, || alloc(sys::STRSXP, n))?;
    r.keep(out)?;
    index.each(r, |k, i| {
        let string = match i {
            Some(i) if i < len => elt(x, i as R_xlen_t),
            // SAFETY: a constant of R's.
            _ => unsafe { sys::R_NaString },
        };
        // SAFETY: `k` is below the index's length, which is that of `out`.
        unsafe { sys::SET_STRING_ELT(out, k as R_xlen_t, string) };
    })?;
    if share { crate::verbs::share_plain(r, out, x.flags()).map(Some) } else { Ok(Some(out)) }
}

impl Viewed for Character {
    /// Loose strings are written into a segment; the plain vector they are in stays the cache.
    fn settle(r: R, x: Object) -> Result<()> {
        if !matches!(&*x.view().source(), Source::Loose) {
            return Ok(());
        }
        let shared = match crate::verbs::share_plain(r, x.cache(), x.flags()) {
            Ok(shared) => shared,
            Err(Failure::Error { .. }) => return Ok(()),
            Err(jump) => return Err(jump),
        };
        let view = Object::find(shared).map(|object| object.view());
        if let Some((span, (text, _))) = view.and_then(|view| view.span().zip(view.text().ok())) {
            x.view().settle(span, text);
            x.freeze();
        }
        Ok(())
    }

    fn view(segment: &Arc<Segment>, node: NodeId, start: u64, len: u64) -> Option<View> {
        Span::of_text(segment, node, start, len).map(|(span, text)| View::of_text(span, text, len as usize))
    }

    fn copy(r: R, x: Object) -> Result<SEXP> {
        copy(r, x)
    }
}
