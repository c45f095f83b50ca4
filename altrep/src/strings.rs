//! Character vectors: R's strings made of a segment's bytes when they are looked at, and the hooks R calls.
//!
//! What was made is kept in the external pointer's protected slot, which aliases share:
//!
//! - a dictionary: one R vector of its entries;
//! - otherwise a list of chunks, each made when something in it is looked at; once more than a few were, one vector for all elements;
//! - after about one full scan, or when a pointer is asked for: one plain vector with every element made, at which [`View::data`] then points.
//!
//! R switches its collector off around `Elt`, so what is made here is safe until it is in the cache.

use std::ffi::c_int;
use std::sync::Arc;

use cowshed_core::{Flags, NodeId, Segment};

use crate::boundary::{Failure, R, Result, call, guard};
use crate::element::Kind;
use crate::hooks::Viewed;
use crate::object::Object;
use crate::span::Span;
use crate::subset::{self, Index};
use crate::sys::{self, R_xlen_t, SEXP};
use crate::text::{Entry, Mark, Text};
use crate::view::{Source, View};
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
/// When more chunks than this were made, and more than a sixteenth of all, the rest will be, too.
const FEW: usize = 4;

#[inline]
pub(crate) fn elt(x: Object, i: R_xlen_t) -> SEXP {
    let data = x.view().data().cast::<SEXP>();
    if data.is_null() {
        return match cached(x, i as usize) {
            Some(string) if !x.view().scanned(1) => string,
            _ => guard(|r| make(r, x, i as usize)),
        };
    }
    // SAFETY: R asks for elements within the length; the pointer is that of a plain vector of as many.
    unsafe { *data.add(i as usize) }
}

/// Element `i`, if it was made before.
#[inline]
fn cached(x: Object, i: usize) -> Option<SEXP> {
    let (text, start) = x.view().text_or_none()?;
    let mut cache = x.cache();
    // SAFETY: an R object.
    let chunked = unsafe { sys::TYPEOF(cache) } as sys::SexpType == sys::VECSXP;
    let place = match chunked {
        true => i % CHUNK,
        false if text.is_dictionary() => text.code(start + i)?,
        false => i,
    };
    // SAFETY: constants and R objects; the cache has the shape that `string` gave it, and places within it.
    unsafe {
        if cache == sys::R_NilValue {
            return None;
        }
        if chunked {
            cache = sys::VECTOR_ELT(cache, (i / CHUNK) as R_xlen_t);
            if cache == sys::R_NilValue {
                return None;
            }
        }
        let string = sys::STRING_ELT(cache, place as R_xlen_t);
        (string != sys::R_BlankString).then_some(string)
    }
}

/// Element `i`; after about one full scan all of them are made at once.
fn make(r: R, x: Object, i: usize) -> Result<SEXP> {
    let string = string(r, x, i)?;
    if x.view().scanned(1) {
        materialise(r, x)?;
    }
    Ok(string)
}

/// Elements made at a time where one is looked at: most scans go on to the next.
const AHEAD: usize = 64;

/// Element `i`, from the cache or newly made.
fn string(r: R, x: Object, i: usize) -> Result<SEXP> {
    let view = x.view();
    let (text, start) = view.text()?;
    let code = text.code(start + i).ok_or_else(|| corrupt(view))?;
    // Of a cache: its vector, the place in it, and the entry of its first place.
    let (cache, place, first) = if text.is_dictionary() {
        (x.cache_or(r, || alloc(sys::STRSXP, text.entries()))?, code, 0)
    } else {
        let (cache, at) = vector_for(r, x, i)?;
        (cache, i - at, start + at)
    };
    // SAFETY: within the length of a plain vector.
    let cached = unsafe { sys::STRING_ELT(cache, place as R_xlen_t) };
    // An empty place and an empty string look alike, and making the empty string again costs nothing.
    // SAFETY: a constant of R's.
    if cached != unsafe { sys::R_BlankString } {
        return Ok(cached);
    }
    let ahead = if text.is_dictionary() { 1 } else { AHEAD };
    // SAFETY: the length of a plain vector.
    let end = (place + ahead).min(unsafe { sys::LENGTH(cache) } as usize);
    fill(r, &text, cache, place..end, first).ok_or_else(|| corrupt(view))??;
    view.check()?;
    // SAFETY: as above.
    Ok(unsafe { sys::STRING_ELT(cache, place as R_xlen_t) })
}

/// Makes the strings of `places` of a cache whose first place is entry `first`; `None` if an entry is nonsense.
fn fill(r: R, text: &Text, cache: SEXP, places: std::ops::Range<usize>, first: usize) -> Option<Result<()>> {
    let native = match locale::mark_of(r, text.codeset()) {
        Ok(native) => native,
        Err(failure) => return Some(Err(failure)),
    };
    let text = *text;
    let made = call(r, || {
        for place in places {
            let Some(entry) = text.entry(first + place) else { return false };
            // SAFETY: within the cache's length; the new string goes straight into it.
            unsafe { sys::SET_STRING_ELT(cache, place as R_xlen_t, charsxp(entry, native)) };
        }
        true
    });
    match made {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(failure) => Some(Err(failure)),
    }
}

fn alloc(kind: sys::SexpType, n: usize) -> SEXP {
    // SAFETY: allocation, inside `call`.
    unsafe { sys::Rf_allocVector(kind, n as R_xlen_t) }
}

/// The vector of a cache without a dictionary that has a place for element `i`, and its first element: a chunk, or all.
fn vector_for(r: R, x: Object, i: usize) -> Result<(SEXP, usize)> {
    let len = x.view().len();
    let chunks = len.div_ceil(CHUNK);
    let cache = x.cache_or(r, || if chunks <= FEW { alloc(sys::STRSXP, len) } else { alloc(sys::VECSXP, chunks) })?;
    // SAFETY: an R object.
    if unsafe { sys::TYPEOF(cache) } as sys::SexpType == sys::STRSXP {
        return Ok((cache, 0));
    }
    let at = i / CHUNK * CHUNK;
    // SAFETY: a list with that place.
    let chunk = unsafe { sys::VECTOR_ELT(cache, (i / CHUNK) as R_xlen_t) };
    // SAFETY: a constant of R's.
    if chunk != unsafe { sys::R_NilValue } {
        return Ok((chunk, at));
    }
    // SAFETY: places of the list.
    let made = (0..chunks as R_xlen_t).filter(|k| unsafe { sys::VECTOR_ELT(cache, *k) != sys::R_NilValue }).count();
    if made >= FEW && made * 16 >= chunks {
        return Ok((whole(r, x, cache, chunks)?, 0));
    }
    let chunk = call(r, || {
        // SAFETY: the new chunk goes straight into the list.
        unsafe { sys::SET_VECTOR_ELT(cache, (i / CHUNK) as R_xlen_t, alloc(sys::STRSXP, CHUNK.min(len - at))) }
    })?;
    Ok((chunk, at))
}

/// One vector for all elements in place of the chunks, with what they have.
fn whole(r: R, x: Object, list: SEXP, chunks: usize) -> Result<SEXP> {
    let all = call(r, || alloc(sys::STRSXP, x.view().len()))?;
    for k in 0..chunks {
        // SAFETY: a place of the list; then places of a chunk, and as many of the vector from the chunk's first element on.
        unsafe {
            let chunk = sys::VECTOR_ELT(list, k as R_xlen_t);
            if chunk != sys::R_NilValue {
                let at = (k * CHUNK) as R_xlen_t;
                (0..sys::Rf_xlength(chunk)).for_each(|j| sys::SET_STRING_ELT(all, at + j, sys::STRING_ELT(chunk, j)));
            }
        }
    }
    x.set_cache(all);
    Ok(all)
}

#[cold]
fn corrupt(view: &View) -> Failure {
    if view.is_lost() {
        return view.failure();
    }
    let id = view.span().map(|span| span.segment.id().to_string()).unwrap_or_default();
    Failure::new("corrupt", format!("a string of segment {id} lies outside its bytes; share the object again"))
}

/// R's string for an entry. Unprotected; raises an error if memory is short.
///
/// # Safety
/// Inside `call`.
unsafe fn charsxp(entry: Entry<'_>, native: c_int) -> SEXP {
    let encoding = match entry.mark {
        // SAFETY: a constant of R's.
        Mark::Na => return unsafe { sys::R_NaString },
        Mark::Native if native != sys::CE_NATIVE && entry.bytes.is_ascii() => sys::CE_NATIVE,
        Mark::Native => native,
        Mark::Utf8 => sys::CE_UTF8,
        Mark::Latin1 => sys::CE_LATIN1,
        Mark::Bytes => sys::CE_BYTES,
    };
    // SAFETY: the bytes hold no zero and are as many.
    unsafe { sys::Rf_mkCharLenCE(entry.bytes.as_ptr().cast(), entry.bytes.len() as c_int, encoding) }
}

/// All elements as one plain R vector, kept from now on.
pub(crate) fn materialise(r: R, x: Object) -> Result<SEXP> {
    let view = x.view();
    if !view.data().is_null() {
        return Ok(x.cache());
    }
    let all = if view.text()?.0.is_dictionary() { of_dictionary(r, x)? } else { of_entries(r, x)? };
    view.check()?;
    x.set_cache(all);
    // SAFETY: a plain character vector, kept by the external pointer.
    view.point_to(unsafe { sys::STRING_PTR(all) }.cast());
    Ok(all)
}

fn of_dictionary(r: R, x: Object) -> Result<SEXP> {
    // SAFETY: allocation.
    let all = call(r, || alloc(sys::STRSXP, x.view().len()))?;
    r.keep(all)?;
    for i in 0..x.view().len() {
        let string = match cached(x, i) {
            Some(string) => string,
            None => string(r, x, i)?,
        };
        // SAFETY: within the length of a plain vector.
        unsafe { sys::SET_STRING_ELT(all, i as R_xlen_t, string) };
    }
    Ok(all)
}

/// The vector for all elements, with what is still missing in it made.
fn of_entries(r: R, x: Object) -> Result<SEXP> {
    let (text, start) = x.view().text()?;
    let len = x.view().len();
    let cache = x.cache();
    // SAFETY: an R object.
    let all = match unsafe { sys::TYPEOF(cache) } as sys::SexpType {
        sys::STRSXP => cache,
        sys::VECSXP => whole(r, x, cache, len.div_ceil(CHUNK))?,
        _ => call(r, || alloc(sys::STRSXP, len))?,
    };
    r.keep(all)?;
    // SAFETY: places of the vector, and a constant of R's.
    let missing = |i: usize| unsafe { sys::STRING_ELT(all, i as R_xlen_t) == sys::R_BlankString };
    let mut i = 0;
    while i < len {
        let end = (i..len).find(|j| !missing(*j)).unwrap_or(len);
        fill(r, &text, all, i..end, start).ok_or_else(|| corrupt(x.view()))??;
        i = (end..len).find(|j| missing(*j)).unwrap_or(len);
    }
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
    let window = if share { subset::text_window(view, &index) } else { None };
    if let Some(window) = window {
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
