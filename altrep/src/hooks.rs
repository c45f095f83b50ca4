//! What R calls on a shared vector. The flags are obeyed here and nowhere else: `duplicate` (copyOnWrite, sharedCopy), `extract_subset`
//! (sharedSubset), `dataptr`, `coerce`.
//!
//! - Safe functions of an [`Object`]; `class` wraps each in the one boundary and gives it to R.
//! - `elt`, `region`, `dataptr` are hot: no frame with a destructor, errors from a cold function.
//! - A hook that returns `None` asks R to do what it does for any vector.

use std::ffi::c_int;
use std::sync::Arc;

use cowshed_core::{AttachError, Draft, Facts, Flags, Machine, Node, NodeId, Segment};

use crate::boundary::{Failure, R, Result, call, guard};
use crate::by_value::By;
use crate::element::{Element, Kind, plain};
use crate::object::Object;
use crate::reference::Reference;
use crate::span::{self, Span};
use crate::sys::{self, R_xlen_t, SEXP};
use crate::view::{Source, View};
use crate::{by_element, by_value, layout, message, options, references, stored, stores, subset};

/// Below this many bytes a plain copy is cheaper than a private mapping (measured: the two meet near 20 KB).
const PLAIN_COPY: usize = 64 << 10;

pub(crate) fn length(x: Object) -> R_xlen_t {
    x.view().len() as R_xlen_t
}

#[inline]
pub(crate) fn elt<E: Element>(x: Object, i: R_xlen_t) -> E::C {
    let data = x.view().data_unheeded();
    if data.is_null() {
        broken(x);
    }
    // SAFETY: R asks for elements within the length; the data are at least as many elements of this type, aligned.
    let value = unsafe { *data.cast::<E::C>().add(i as usize) };
    if x.view().is_lost() {
        broken(x);
    }
    value
}

#[cold]
fn broken(x: Object) -> ! {
    guard(|_| Err(x.view().failure()))
}

pub(crate) fn region<E: Element>(x: Object, i: R_xlen_t, n: R_xlen_t, buffer: *mut E::C) -> R_xlen_t {
    let (data, len) = (x.view().data_unheeded(), x.view().len());
    if data.is_null() {
        broken(x);
    }
    let i = usize::try_from(i).unwrap_or(len).min(len);
    let n = usize::try_from(n).unwrap_or(0).min(len - i);
    // SAFETY: the range lies within the data; R's buffer has room for the `n` asked for and is not ours.
    unsafe { std::ptr::copy_nonoverlapping(data.cast::<E::C>().add(i), buffer, n) };
    if x.view().is_lost() {
        broken(x);
    }
    n as R_xlen_t
}

pub(crate) fn dataptr(x: Object, writable: bool) -> *mut u8 {
    let view = x.view();
    if writable {
        let known = view.writable_known();
        if !known.is_null() {
            return known;
        }
        let live = view.live();
        if !live.is_null()
            && !x.is_new_alias()
            && !x.flags().contains(Flags::COPY_ON_WRITE)
            && !references::has_none(x.sexp())
        {
            return live;
        }
        return find_writable(x);
    }
    if view.data().is_null() {
        broken(x);
    }
    view.data().cast_mut()
}

#[cold]
fn find_writable(x: Object) -> *mut u8 {
    guard(|r| {
        let flags = x.flags();
        if x.is_new_alias() {
            x.begin_writing(r)?;
        } else if x.view().writes_through(flags) && references::has_none(x.sexp()) {
            by_element!(x.kind(), E => leave::<E>(r, x, flags)?, ());
        }
        x.view().writable(x.flags())
    })
}

/// What was an alias of a write-through vector, and nothing refers to it any more, has private bytes from now on: R computes in it.
fn leave<E: Element>(r: R, x: Object, flags: Flags) -> Result<()> {
    let own = Object::new::<E>(r, x.view().privately()?, flags)?;
    x.become_like(own);
    x.set_flags(flags | Flags::COPY_ON_WRITE);
    Ok(())
}

pub(crate) fn dataptr_or_null(x: Object) -> *const u8 {
    x.view().data()
}

/// copyOnWrite and sharedCopy. R duplicates without `deep` before it assigns to elements, and with `deep` where it wants a value of its own
/// (`-x`, `sort(x)`): so a write-through vector gives itself to the first and a copy to the second.
pub(crate) fn duplicate<E: Element>(r: R, x: Object, deep: bool) -> Result<SEXP> {
    let (view, flags) = (x.view(), x.flags());
    let bytes = view.len() * size_of::<E::C>();
    if view.writes_through(flags) {
        return if deep { copy::<E>(r, view) } else { Ok(x.alias::<E>(r, flags)?.sexp()) };
    }
    if flags.contains(Flags::COPY_ON_WRITE | Flags::SHARED_COPY) && bytes > 0 {
        return shared_copy::<E>(r, x);
    }
    let duplicate = if bytes >= PLAIN_COPY { view.duplicate() } else { None };
    if let Some(duplicate) = duplicate {
        return Ok(Object::new_mutable::<E>(r, duplicate, flags)?.sexp());
    }
    copy::<E>(r, view)
}

/// A draft: shared memory that R writes in place, sealed when it is first sent anywhere.
fn shared_copy<E: Element>(r: R, x: Object) -> Result<SEXP> {
    let view = x.view();
    let store = match &*view.source() {
        Source::Segment(span) => span.segment.lease().map(|lease| lease.store()),
        _ => None,
    };
    let store = store.map_or_else(|| stores::usual(r), Ok)?;
    let data = view.read()?;
    // SAFETY: as many bytes as the view has; nobody writes them meanwhile but other processes, if the segment is write-through.
    let bytes = unsafe { std::slice::from_raw_parts(data, view.len() * size_of::<E::C>()) };
    let draft = Draft::new(store, bytes)?;
    Ok(Object::new_mutable::<E>(r, View::draft(draft, view.len()), x.flags())?.sexp())
}

pub(crate) fn copy<E: Element>(r: R, view: &View) -> Result<SEXP> {
    let data = view.read()?.cast::<E::C>();
    // SAFETY: both have `len` elements; the new vector is nobody else's.
    let copy = plain::<E>(r, view.len(), |out| unsafe { std::ptr::copy_nonoverlapping(data, out, view.len()) })?;
    view.check()?;
    Ok(copy)
}

/// sharedSubset. `index` holds R's cleaned subscripts: from 1, or NA, or beyond the end.
pub(crate) fn extract_subset<E: Element>(r: R, x: Object, index: SEXP) -> Result<Option<SEXP>> {
    x.view().read()?;
    let Some(index) = subset::Index::new(r, index)? else { return Ok(None) };
    let share = x.flags().contains(Flags::COPY_ON_WRITE | Flags::SHARED_SUBSET);
    if !share || index.len() < options::min_length_in_hook(r) {
        let elements = subset::extract::<E>(r, x.view(), &index)?;
        x.view().check()?;
        return Ok(Some(elements));
    }
    if let Some(window) = subset::window::<E>(x.view(), &index) {
        return Ok(Some(Object::new::<E>(r, window, x.flags())?.sexp()));
    }
    let copy = subset::extract::<E>(r, x.view(), &index)?;
    x.view().check()?;
    Ok(Some(crate::verbs::share_plain(r, copy, x.flags())?))
}

/// Another type is another, plain vector: no flag carries over. Only the conversions that cannot lose anything are done here.
pub(crate) fn coerce<E: Element>(r: R, x: Object, to: sys::SexpType) -> Result<Option<SEXP>> {
    if !matches!(E::TYPE, sys::LGLSXP | sys::INTSXP) || to != sys::REALSXP {
        return Ok(None);
    }
    let (data, len) = (x.view().read()?.cast::<c_int>(), x.view().len());
    let na = crate::element::Double::na();
    let double = plain::<crate::element::Double>(r, len, |out| {
        for i in 0..len {
            // SAFETY: both have `len` elements; logical and integer are both C ints.
            unsafe {
                let value = *data.add(i);
                *out.add(i) = if value == c_int::MIN { na } else { f64::from(value) };
            }
        }
    })?;
    x.view().check()?;
    Ok(Some(double))
}

/// A reference, or `None`: then R writes the data.
pub(crate) fn serialized_state<K: Viewed>(r: R, x: Object) -> Result<Option<SEXP>> {
    let view = x.view();
    if let Source::Broken(broken) = &*view.source() {
        return raw(r, &broken.reference).map(Some);
    }
    view.check()?;
    if view.changed() {
        return Ok(None);
    }
    let by = by_value::now(r)?;
    if by == By::Value {
        return Ok(None);
    }
    K::settle(r, x)?;
    let Some(span) = view.span() else { return Ok(None) };
    let (ticket, path, stored) = match (span.segment.lease(), span.segment.place()) {
        (Some(lease), _) => {
            let store = lease.store();
            let saved = span.saved(view.len() as u64);
            let ticket = match by {
                By::Reference(message) => match message.ticket(r, store, &span.segment, span.node.0, saved) {
                    None => return Ok(None),
                    ticket => ticket,
                },
                By::Measure | By::Value => None,
            };
            (ticket, store.path().into(), false)
        }
        (None, Some(place)) if place.is_there() => (None, place.path().to_owned().into(), true),
        _ => return Ok(None),
    };
    let reference = Reference {
        id: span.segment.id(),
        ticket,
        flags: x.flags(),
        node: span.node.0,
        part: span::is_foreign(&span.segment, span.node),
        start: span.start,
        len: view.len() as u64,
        machine: Machine::this(),
        store: path,
        stored,
    };
    raw(r, &reference.bytes()).map(Some)
}

/// What the two sorts of kinds (plain bytes, strings) do differently on the way out and in.
pub(crate) trait Viewed: Kind {
    /// Puts a draft, or loose strings, into a segment. If that fails the object stays as it is, and travels by value.
    fn settle(r: R, x: Object) -> Result<()>;

    /// A view of `len` elements of a node from `start` on; `None` if it has no such elements.
    fn view(segment: &Arc<Segment>, node: NodeId, start: u64, len: u64) -> Option<View>;

    /// A plain vector of the same elements.
    fn copy(r: R, x: Object) -> Result<SEXP>;
}

impl<E: Element> Viewed for E {
    fn settle(_: R, x: Object) -> Result<()> {
        let view = x.view();
        let was_draft = matches!(&*view.source(), Source::Draft(_));
        let sealed = view.seal(|draft| {
            let node = Node { length: (draft.len() as usize / size_of::<E::C>()) as u64, ..Node::default() };
            let segment = draft.seal(E::STRATEGY, node).ok()?;
            Span::new(&segment, segment.root(), 0, view.len() as u64, size_of::<E::C>())
        });
        if was_draft && sealed {
            x.freeze();
        }
        Ok(())
    }

    fn view(segment: &Arc<Segment>, node: NodeId, start: u64, len: u64) -> Option<View> {
        Span::new(segment, node, start, len, size_of::<E::C>()).map(|span| View::new(span, len as usize))
    }

    fn copy(r: R, x: Object) -> Result<SEXP> {
        copy::<E>(r, x.view())
    }
}

fn raw(r: R, bytes: &[u8]) -> Result<SEXP> {
    // SAFETY: the new vector has as many bytes.
    plain::<crate::element::Raw>(r, bytes.len(), |out| unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), out, bytes.len());
    })
}

/// A view of what `state` refers to. A reference that cannot be attached gives a vector of the right length whose every access raises the
/// reason: an error here would kill a worker that only reads its socket.
pub(crate) fn unserialize<K: Viewed>(r: R, state: SEXP) -> Result<SEXP> {
    // SAFETY: an R object; if it is raw, its bytes are `xlength` many.
    let bytes: &[u8] = unsafe {
        match sys::TYPEOF(state) as sys::SexpType {
            sys::RAWSXP => std::slice::from_raw_parts(sys::RAW(state), sys::Rf_xlength(state) as usize),
            _ => &[],
        }
    };
    let Some(reference) = Reference::parse(bytes) else {
        let why = "a shared object's reference is damaged or of another version of cowshed; use the same cowshed in every process".to_owned();
        return Ok(Object::new::<K>(r, View::broken(bytes.to_vec(), 1, "version", why), Flags::default())?.sexp());
    };
    let (len, flags) = (reference.len.min(isize::MAX as u64) as usize, reference.flags);
    let view = match attach::<K>(&reference) {
        Ok(view) => view,
        Err(Failure::Error { class, message }) => View::broken(bytes.to_vec(), len, class, message),
        Err(jump) => return Err(jump),
    };
    let object = match reference.ticket {
        Some(ticket) => Object::kept::<K>(r, message::keeper(r, ticket)?, view, flags),
        None => Object::new::<K>(r, view, flags),
    };
    Ok(object?.sexp())
}

fn attach<K: Viewed>(reference: &Reference) -> Result<View> {
    let segment = if reference.stored {
        stored::of_reference(&reference.store, reference.id)?
    } else if reference.machine.may_be(Machine::this()) {
        stores::of_reference(&reference.store, reference.id)?.attach(reference.id, reference.ticket)?
    } else {
        return Err(AttachError::Machine { id: reference.id }.into());
    };
    let view = segment
        .table()
        .get(reference.node)
        .filter(|node| match reference.part {
            true => K::TYPE != sys::STRSXP && span::is_foreign(&segment, *node),
            false => segment.table().strategy(*node) == K::STRATEGY,
        })
        .and_then(|node| K::view(&segment, node, reference.start, reference.len));
    view.ok_or_else(|| {
        let why = format!("segment {} has no such vector as its reference says; share the object again", reference.id);
        Failure::new("corrupt", why)
    })
}

/// What `.Internal(inspect(x))` shows.
pub(crate) fn inspect(x: Object) -> String {
    let view = x.view();
    let what = match &*view.source() {
        Source::Segment(span) => {
            format!("{:?} segment {} node {}", span.segment.mode(), span.segment.id(), span.node.0)
        }
        Source::Draft(_) => "draft".to_owned(),
        Source::Broken(broken) => format!("broken ({})", broken.class),
        Source::Loose => "not sent yet".to_owned(),
    };
    let slowly = if layout::is_known() { "" } else { ", R is asked for its fields" };
    format!(" cowshed {what}, {} elements, {} bytes private{slowly}\n", view.len(), view.private_bytes())
}

pub(crate) fn is_sorted(x: Object) -> c_int {
    let facts = x.view().facts();
    if facts.contains(Facts::INCREASING) {
        1
    } else if facts.contains(Facts::DECREASING) {
        -1
    } else {
        sys::UNKNOWN_SORTEDNESS
    }
}

pub(crate) fn no_na(x: Object) -> c_int {
    x.view().facts().contains(Facts::NO_NA).into()
}

/// The exact sum if it is an integer R can hold; R does the rest, warning included.
pub(crate) fn sum_integer(r: R, x: Object, na_rm: bool) -> Result<Option<SEXP>> {
    let (data, len) = (x.view().read()?.cast::<c_int>(), x.view().len());
    if len > u32::MAX as usize {
        // More could overflow the 64 bits.
        return Ok(None);
    }
    let (mut sum, mut missing) = (0i64, 0u64);
    for i in 0..len {
        // SAFETY: within the length. A pointer, not a slice: a write-through segment may change meanwhile.
        let value = unsafe { *data.add(i) };
        missing += u64::from(value == c_int::MIN);
        sum += if value == c_int::MIN { 0 } else { i64::from(value) };
    }
    x.view().check()?;
    let value = match c_int::try_from(sum) {
        _ if missing > 0 && !na_rm => c_int::MIN,
        Ok(sum) if sum != c_int::MIN => sum,
        _ => return Ok(None),
    };
    // SAFETY: allocation.
    call(r, || unsafe { sys::Rf_ScalarInteger(value) }).map(Some)
}

/// The first or last element of a vector known to be sorted and without NA.
pub(crate) fn extreme<E: Element>(r: R, x: Object, largest: bool, scalar: fn(E::C) -> SEXP) -> Result<Option<SEXP>> {
    let (view, facts) = (x.view(), x.view().facts());
    let increasing = facts.contains(Facts::INCREASING);
    if view.len() == 0 || !facts.contains(Facts::NO_NA) || !facts.intersects(Facts::INCREASING | Facts::DECREASING) {
        return Ok(None);
    }
    let i = if increasing == largest { view.len() - 1 } else { 0 };
    let value = elt::<E>(x, i as R_xlen_t);
    call(r, || scalar(value)).map(Some)
}
