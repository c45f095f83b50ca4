//! Shared lists as R objects: an ALTREP that opens an element when it is looked at, and travels as one reference. From R 4.3 on; before,
//! a shared list is a plain one of views.
//!
//! - Elements opened so far are in the external pointer's protected slot; their views have one keeper, the pointer's tag.
//! - Once something is written to it, or a pointer asked for, all elements are there, at which `View::data` points then.
//! - R duplicates it before it assigns to an element, and then has a plain list of the same elements.
//! - Not for lists in which R itself must walk: [`STRUCTURE`].

use std::ffi::{CStr, c_void};
use std::sync::Arc;

use cowshed_core::{NodeId, Opener, Segment};

use crate::attributes::STRUCTURE;
use crate::boundary::{Failure, R, Result, call, guard};
use crate::element::Kind;
use crate::hooks::{self, Viewed};
use crate::keeper::Keeper;
use crate::object::Object;
use crate::session::{Session, ShareOptions};
use crate::sexp::Sexp;
use crate::sys::{self, R_xlen_t, SEXP};
use crate::view::{Span, View};
use crate::{options, registry};

/// The kind; never made.
pub(crate) enum List {}

impl Kind for List {
    const TYPE: sys::SexpType = sys::VECSXP;
    const CLASS: &'static CStr = c"cowshed_list";
    const STRATEGY: &'static str = "r.list";
}

/// A lazy list of a node's children, without attributes; `None` if the node cannot be opened lazily, or this R has no such lists.
pub fn lazy(session: &Session, node: NodeId, from: &Opener<'_, Session>) -> Result<Option<Sexp>> {
    if !Object::has_class::<List>() {
        return Ok(None);
    }
    let Some(view) = List::view(from.segment(), node, 0, from.node(node).length) else { return Ok(None) };
    session.object::<List>(view, from.flags()).map(|object| Some(Sexp(object.sexp())))
}

#[inline]
pub(crate) fn elt(x: Object, i: R_xlen_t) -> SEXP {
    let whole = x.view().data().cast::<SEXP>();
    if !whole.is_null() {
        // SAFETY: R asks for elements within the length; the pointer is that of a plain list of as many.
        return unsafe { *whole.add(i as usize) };
    }
    let cache = x.cache();
    // SAFETY: an R object; then a place of our list.
    let known = unsafe {
        match sys::TYPEOF(cache) as sys::SexpType {
            sys::VECSXP => sys::VECTOR_ELT(cache, i),
            _ => cache,
        }
    };
    // A NULL that was opened looks like what was not; opening it again costs little.
    // SAFETY: a constant of R's.
    if known == unsafe { sys::R_NilValue } { guard(|r| open(r, x, i as usize)) } else { known }
}

/// Element `i`, made and kept.
fn open(r: R, x: Object, i: usize) -> Result<SEXP> {
    let view = x.view();
    view.check()?;
    let span = view.span().ok_or_else(|| view.failure())?;
    let child = span.segment.table().child(span.node, i).ok_or_else(|| corrupt(&span.segment))?;
    let cache = x.cache_or(r, || {
        // SAFETY: allocation, inside `call`.
        unsafe { sys::Rf_allocVector(sys::VECSXP, view.len() as R_xlen_t) }
    })?;
    let options = ShareOptions { min_length: options::min_length_in_hook(r), ..ShareOptions::in_hook(x.flags()) };
    let session = Session::new(r, options);
    let element = session
        .together_with(keeper(r, x)?, || Opener::new(&session, registry(), &span.segment, x.flags()).open(child))?;
    // SAFETY: a place of our list; nothing can fail.
    unsafe { sys::SET_VECTOR_ELT(cache, i as R_xlen_t, element.0) };
    Ok(element.0)
}

/// That of its elements.
fn keeper(r: R, x: Object) -> Result<Keeper> {
    if let Some(keeper) = x.keeper_of_parts() {
        return Ok(keeper);
    }
    let keeper = Keeper::new(r)?;
    x.set_keeper_of_parts(keeper);
    Ok(keeper)
}

#[cold]
fn corrupt(segment: &Segment) -> Failure {
    Failure::new(
        "corrupt",
        format!("segment {} has no such element as its list says; share the object again", segment.id()),
    )
}

/// All elements, in a plain list that is kept from now on.
fn whole(r: R, x: Object) -> Result<SEXP> {
    let view = x.view();
    view.check()?;
    if !view.data().is_null() {
        return Ok(x.cache());
    }
    for i in 0..view.len() {
        r.scope(|| Ok(elt(x, i as R_xlen_t)))?;
    }
    let cache = x.cache_or(r, || {
        // SAFETY: allocation, inside `call`: of an empty list.
        unsafe { sys::Rf_allocVector(sys::VECSXP, view.len() as R_xlen_t) }
    })?;
    // SAFETY: a plain list.
    view.point_to(call(r, || unsafe { sys::DATAPTR_RO(cache) })?.cast());
    Ok(cache)
}

pub(crate) fn dataptr(x: Object, writable: bool) -> *mut c_void {
    guard(|r| {
        whole(r, x)?;
        if writable {
            x.view().touch();
        }
        Ok(x.view().data().cast_mut().cast())
    })
}

pub(crate) fn set_elt(r: R, x: Object, i: R_xlen_t, value: SEXP) -> Result<()> {
    let all = whole(r, x)?;
    x.view().touch();
    // SAFETY: R checked the place.
    call(r, || unsafe { sys::SET_VECTOR_ELT(all, i, value) })?;
    Ok(())
}

/// Whether it is no longer what its segment says: it was written to, or something in it was.
pub(crate) fn is_changed(x: Object) -> bool {
    if x.view().is_touched() {
        return true;
    }
    let cache = x.cache();
    // SAFETY: an R object; then places of our list.
    unsafe {
        sys::TYPEOF(cache) as sys::SexpType == sys::VECSXP
            && (0..sys::Rf_xlength(cache)).map(|i| sys::VECTOR_ELT(cache, i)).any(is_part_changed)
    }
}

fn is_part_changed(part: SEXP) -> bool {
    match Object::find(part) {
        Some(vector) => vector.view().changed(),
        None => Object::find_list(part).is_some_and(is_changed),
    }
}

/// A reference; `None` for what was changed, which R then writes as a list.
pub(crate) fn serialized_state(r: R, x: Object) -> Result<Option<SEXP>> {
    if is_changed(x) { Ok(None) } else { hooks::serialized_state::<List>(r, x) }
}

impl Viewed for List {
    fn settle(_: R, _: Object) -> Result<()> {
        Ok(())
    }

    fn view(segment: &Arc<Segment>, node: NodeId, start: u64, len: u64) -> Option<View> {
        let whole = segment.table().node(node);
        let fits =
            start == 0 && len == whole.length && len == u64::from(whole.child_count) && whole.aux & STRUCTURE == 0;
        fits.then(|| View::of_list(Span::of_parts(segment, node), len as usize))
    }

    fn copy(r: R, x: Object) -> Result<SEXP> {
        whole(r, x)
    }
}
