//! Shared lists as R objects: an ALTREP that opens an element when it is looked at, and travels as one reference. From R 4.3 on; before,
//! a shared list is a plain one of views.
//!
//! - Elements opened so far are in a plain list in the external pointer's protected slot, at which `View::data` points; their views have one
//!   keeper, the pointer's tag. Who walks over the list gets the next ones opened with each.
//! - Once something is written to it, or a pointer asked for, all elements are there: `View::is_whole`.
//! - R duplicates it before it assigns to an element, and then has a plain list of the same elements.
//! - Not for lists in which R itself must walk: [`STRUCTURE`].

use std::ffi::{CStr, c_void};
use std::sync::Arc;

use cowshed_core::{Node, NodeId, Opener, Segment};

use crate::attributes::STRUCTURE;
use crate::boundary::{Failure, R, Result, call, guard};
use crate::element::{Complex, Double, Element, Integer, Kind, Logical, Raw};
use crate::hooks::{self, Viewed};
use crate::keeper::Keeper;
use crate::object::{KeptView, Object};
use crate::session::{Session, ShareOptions};
use crate::sexp::Sexp;
use crate::span::Span;
use crate::sys::{self, R_xlen_t, SEXP};
use crate::view::View;
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

/// A plain list of a node's children, without attributes.
///
/// # Errors
/// Those of their strategies.
pub fn plain(session: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
    let len = from.node(node).child_count;
    // SAFETY: allocation.
    let list = call(session.r, || unsafe { sys::Rf_allocVector(sys::VECSXP, len as R_xlen_t) })?;
    session.r.keep(list)?;
    fill(session, Sexp(list), node, from, |from, _, part| from.open(part))?;
    Ok(Sexp(list))
}

/// A copy of `original`, which was written as `node`, with the stand-ins of its elements.
///
/// # Errors
/// Those of their strategies.
pub fn replaced(session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
    let r = session.r;
    let list = r.shallow_duplicate(original)?;
    fill(session, list, node, from, |from, i, part| from.replace(original.element(r, i)?, part))?;
    Ok(list)
}

/// Puts the views of a node's children into a plain list: of plain vectors many at a time, of others what `other` makes.
fn fill<'a>(
    session: &Session,
    list: Sexp,
    node: NodeId,
    from: &mut Opener<'a, Session>,
    mut other: impl FnMut(&mut Opener<'a, Session>, usize, NodeId) -> Result<Sexp>,
) -> Result<()> {
    let (r, segment, flags) = (session.r, from.segment(), from.flags());
    let (table, node) = (segment.table(), from.node(node));
    session.together(|keeper| {
        let mut i = 0;
        while let Some(part) = table.child_of(&node, i) {
            let view = |i| plain_view(segment, table.child_of(&node, i)?, session.options.min_length, keeper);
            let views: Vec<_> = (i..).take(AT_ONCE).map_while(view).collect();
            Object::kept_all(r, keeper, &views, flags, |k, element| keep(list.0, i + k, element))?;
            if views.is_empty() {
                r.set_element(list, i, || other(from, i, part))?;
            }
            i += views.len().max(1);
        }
        Ok(())
    })
}

#[inline]
pub(crate) fn elt(x: Object, i: R_xlen_t) -> SEXP {
    let (view, elements) = (x.view(), x.view().data().cast::<SEXP>());
    if !elements.is_null() {
        // SAFETY: R asks for elements within the length; the pointer is that of a plain list of as many.
        let element = unsafe { *elements.add(i as usize) };
        // A NULL that was opened looks like what was not; opening it again costs little.
        // SAFETY: a constant of R's.
        if element != unsafe { sys::R_NilValue } || view.is_whole() {
            return element;
        }
    }
    guard(|r| open(r, x, i as usize))
}

/// Element `i`, made and kept. In a walk, the next ones too: what it takes to begin is more than a vector costs.
fn open(r: R, x: Object, i: usize) -> Result<SEXP> {
    let view = x.view();
    view.check()?;
    let span = view.span().ok_or_else(|| view.failure())?;
    let table = span.segment.table();
    let node = table.node(span.node);
    let child = table.child_of(&node, i).ok_or_else(|| corrupt(&span.segment))?;
    let cache = cache(r, x)?;
    let min_length = options::min_length_in_hook(r);
    let session = Session::new(r, ShareOptions { min_length, ..ShareOptions::in_hook(x.flags()) });
    let keeper = keeper(r, x)?;
    let element =
        session.together_with(keeper, || Opener::new(&session, registry(), &span.segment, x.flags()).open(child))?;
    keep(cache, i, element.0);
    if i > 0 && is_kept(cache, i - 1) {
        let next = (i + 1..view.len()).take(AT_ONCE).take_while(|i| !is_kept(cache, *i));
        let view = |i| plain_view(&span.segment, table.child_of(&node, i)?, min_length, keeper);
        let views: Vec<_> = next.map_while(view).collect();
        Object::kept_all(r, keeper, &views, x.flags(), |k, element| keep(cache, i + 1 + k, element))?;
    }
    Ok(element.0)
}

/// Elements that are made at once, at most.
const AT_ONCE: usize = 64;

/// The view that a node is opened as, if nothing but a lack of memory can keep it from being opened: a vector without attributes.
fn plain_view(segment: &Arc<Segment>, node: NodeId, min_length: usize, keeper: Keeper) -> Option<KeptView> {
    fn of<E: Element>(segment: &Arc<Segment>, id: NodeId, node: &Node, keeper: Keeper) -> Option<KeptView> {
        let span = Span::of_vector(segment, id, node, size_of::<E::C>())?;
        Some(keeper.keep::<E>(View::new(span, node.length as usize)))
    }
    let whole = segment.table().node(node);
    if whole.attributes.is_some() || whole.aux != 0 || whole.length < min_length as u64 {
        return None;
    }
    match segment.table().strategy_of(&whole) {
        Double::STRATEGY => of::<Double>(segment, node, &whole, keeper),
        Integer::STRATEGY => of::<Integer>(segment, node, &whole, keeper),
        Logical::STRATEGY => of::<Logical>(segment, node, &whole, keeper),
        Raw::STRATEGY => of::<Raw>(segment, node, &whole, keeper),
        Complex::STRATEGY => of::<Complex>(segment, node, &whole, keeper),
        _ => None,
    }
}

/// Whether element `i` was made.
fn is_kept(cache: SEXP, i: usize) -> bool {
    // SAFETY: a place of our list, and a constant of R's.
    unsafe { sys::VECTOR_ELT(cache, i as R_xlen_t) != sys::R_NilValue }
}

fn keep(cache: SEXP, i: usize, element: SEXP) {
    // SAFETY: a place of our list; nothing can fail.
    unsafe { sys::SET_VECTOR_ELT(cache, i as R_xlen_t, element) };
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
    if view.is_whole() {
        return Ok(x.cache());
    }
    for i in 0..view.len() {
        r.scope(|| Ok(elt(x, i as R_xlen_t)))?;
    }
    let cache = cache(r, x)?;
    view.set_whole();
    Ok(cache)
}

/// The plain list of the elements opened so far, which the external pointer keeps.
fn cache(r: R, x: Object) -> Result<SEXP> {
    let view = x.view();
    if !view.data().is_null() {
        return Ok(x.cache());
    }
    let cache = x.cache_or(r, || {
        // SAFETY: allocation, inside `call`.
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
