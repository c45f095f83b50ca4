//! Attributes: a node of their own beside the vector they belong to.

use std::ffi::CStr;

use cowshed_core::{Encoder, Node, NodeId, Opener};

use crate::boundary::{R, Result, call};
use crate::hooks::Viewed;
use crate::object::Object;
use crate::session::Session;
use crate::sexp::Sexp;
use crate::sys::{self, SEXP};
use crate::{by_kind, symbols};

const NAME: &str = "r.attributes";
/// Bits of a node's `aux`: R's object bit, which the class attribute restores, and S4's, which nothing else does.
const OBJECT: u64 = 1;
const S4: u64 = 2;
/// Not R's: the value holds, at some depth, what only R can send (an environment, a closure, a promise, an external pointer, a weak reference).
/// It travels as R's own structure with a reference for each shared part, and cannot be opened from its node.
pub const STRUCTURE: u64 = 4;

/// The vector is shorter than whoever shared it wished vectors in shared memory to be.
pub(crate) const SHORT: u64 = 8;

/// The value was shared before, and is in a segment of its own.
pub(crate) const ELSEWHERE: u64 = 16;

/// [`SHORT`] for a vector of this length.
pub(crate) fn short(session: &Session, len: usize) -> u64 {
    if len < session.options.min_length { SHORT } else { 0 }
}

/// The object bits of a value, for its node's `aux`.
pub fn bits(x: Sexp) -> u64 {
    // SAFETY: an R object.
    unsafe { (u64::from(sys::OBJECT(x.0) != 0) * OBJECT) | (u64::from(sys::IS_S4_OBJECT(x.0) != 0) * S4) }
}

/// [`STRUCTURE`] if any of these parts has it; for the `aux` of what holds them.
pub fn structure(out: &Encoder<'_, Session>, parts: impl IntoIterator<Item = NodeId>) -> u64 {
    let any = parts.into_iter().any(|part| out.written(part).aux & STRUCTURE != 0);
    if any { STRUCTURE } else { 0 }
}

/// The extents of a plain array, none of a plain vector; `None` if it has other attributes.
pub(crate) fn only_dim(r: R, x: Sexp) -> Result<Option<Vec<u64>>> {
    let cells = cells(x);
    if x.is_object() || x.is_s4() || cells.len() > 1 {
        return Ok(None);
    }
    let Some(cell) = cells.first() else { return Ok(Some(Vec::new())) };
    // SAFETY: a cell of a pairlist.
    let (tag, value) = unsafe { (sys::TAG(*cell), Sexp(sys::CAR(*cell))) };
    // SAFETY: installs a symbol.
    let dim = call(r, || unsafe { sys::Rf_install(c"dim".as_ptr()) })?;
    let extents = value.elements::<crate::element::Integer>(r)?.filter(|_| tag == dim);
    Ok(extents.map(|extents| extents.into_iter().map(|extent| extent as u64).collect()))
}

/// Writes the attributes of `x`; `None` if it has none.
///
/// # Errors
/// Those of their strategies.
pub fn encode(session: &Session, x: Sexp, out: &mut Encoder<'_, Session>) -> Result<Option<NodeId>> {
    session.in_attributes(|| encode_slots(session, x, out))
}

/// Writes the slots of an S4 object, which are parts of it as elements are parts of a list; `None` if it has none.
///
/// # Errors
/// Those of their strategies.
pub fn encode_slots(session: &Session, x: Sexp, out: &mut Encoder<'_, Session>) -> Result<Option<NodeId>> {
    let cells = cells(x);
    if cells.is_empty() {
        return Ok(None);
    }
    let r = session.r;
    // SAFETY: cells of a pairlist.
    let names = symbols::payload(r, cells.iter().map(|cell| unsafe { sys::TAG(*cell) }))?;
    // SAFETY: as above.
    let values = cells.iter().map(|cell| out.encode(Sexp(unsafe { sys::CAR(*cell) }))).collect::<Result<Vec<_>>>()?;
    let payload = out.payload(&names)?;
    let aux = structure(out, values.iter().copied());
    let node = Node { length: values.len() as u64, payload, aux, ..Node::default() };
    out.node(NAME, node, &values).map(Some)
}

/// Gives a new object the attributes its node has.
///
/// # Errors
/// A node that is nonsense, or the errors of their strategies.
pub fn restore(session: &Session, x: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<()> {
    let r = session.r;
    let whole = from.node(node);
    if let Some(attributes) = whole.attributes {
        let bad = |from: &Opener<'_, Session>| from.bad(attributes, "its attributes have no names");
        if from.segment().table().strategy(attributes) != NAME {
            return Err(bad(from).into());
        }
        let values: Vec<_> = from.children(attributes).collect();
        let names = symbols::read(r, attributes, from)?
            .filter(|names| names.len() == values.len() && !names.contains(&Sexp::null().0));
        for (name, value) in names.ok_or_else(|| bad(from))?.into_iter().zip(values) {
            r.scope(|| {
                let value = session.in_attributes(|| from.open(value))?;
                // R and C code ask these for their pointers all the time.
                let small = is(name, &[c"class", c"dim", c"tsp"]);
                set(r, x, name, if small { unshared(r, value)? } else { value })
            })?;
        }
    }
    if whole.aux & S4 != 0 {
        // R would set the bit of a duplicate, where an object may not be changed in place, as views may not; what it copies from another one it sets.
        call(r, || {
            // SAFETY: a new object, whose bit is set in place; it is protected while R copies its bits, for it has no attributes.
            unsafe {
                let bits = sys::Rf_protect(sys::Rf_asS4(sys::Rf_allocVector(sys::RAWSXP, 0), 1, 0));
                sys::Rf_copyMostAttrib(bits, x.0);
                sys::Rf_unprotect(1);
            }
        })?;
    }
    Ok(())
}

/// A plain vector in place of a view that was just made.
fn unshared(r: R, x: Sexp) -> Result<Sexp> {
    let Some(object) = Object::find(x.0) else { return Ok(x) };
    let plain = Sexp(by_kind!(object.kind(), K => K::copy(r, object)?, return Ok(x)));
    // Of class, the package that defines it.
    let cells = cells(x);
    for cell in cells {
        // SAFETY: a cell of its attributes.
        let (name, value) = unsafe { (sys::TAG(cell), sys::CAR(cell)) };
        set(r, plain, name, unshared(r, Sexp(value))?)?;
    }
    Ok(plain)
}

/// Sets an attribute, or a slot of an S4 object that is nothing but its slots.
pub(crate) fn set(r: R, x: Sexp, name: SEXP, value: Sexp) -> Result<()> {
    // A slot may have a name that means something in an attribute; class means the same in both.
    let slot = x.kind() == sys::S4SXP && !is(name, &[c"class"]);
    call(r, || {
        // SAFETY: R checks that name and value fit the object.
        unsafe {
            if slot {
                sys::R_do_slot_assign(x.0, name, value.0);
            } else {
                sys::Rf_setAttrib(x.0, name, value.0);
            }
        }
    })
}

/// `original` with its attributes, or slots, replaced by their stand-ins; itself if none of them has any.
///
/// # Errors
/// As of their strategies.
pub fn renew(session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
    let r = session.r;
    let Some(attributes) = from.node(node).attributes else { return Ok(original) };
    let slots = original.kind() == sys::S4SXP;
    let mut renewed = original;
    for (i, (value, (name, own))) in from.children(attributes).zip(values(original)).enumerate() {
        if !is_sharable(r, original, name, own)? {
            continue;
        }
        let shared =
            if slots { from.replace(own, value)? } else { session.in_attributes(|| from.replace(own, value))? };
        if shared == own {
            continue;
        }
        if renewed == original {
            renewed = r.shallow_duplicate(original)?;
        }
        let cell = cells(renewed)[i];
        // SAFETY: a cell of the copy's own attributes, which are as many.
        call(r, || unsafe { sys::SETCAR(cell, shared.0) })?;
    }
    Ok(renewed)
}

/// Gives the stand-in `to` the attributes of its original, those that are worth it replaced by views.
pub fn take_over(
    session: &Session,
    original: Sexp,
    to: Sexp,
    node: NodeId,
    from: &mut Opener<'_, Session>,
) -> Result<()> {
    let r = session.r;
    // SAFETY: both R objects; object bits included.
    call(r, || unsafe { sys::SHALLOW_DUPLICATE_ATTRIB(to.0, original.0) })?;
    let Some(attributes) = from.node(node).attributes.filter(|_| session.options.shared_attributes) else {
        return Ok(());
    };
    let values: Vec<_> = from.children(attributes).collect();
    for (cell, value) in cells(to).into_iter().zip(values) {
        // SAFETY: a cell of a pairlist.
        let (name, own) = unsafe { (sys::TAG(cell), Sexp(sys::CAR(cell))) };
        if !is_sharable(r, original, name, own)? {
            continue;
        }
        r.scope(|| {
            let shared = session.in_attributes(|| from.replace(own, value))?;
            // SAFETY: the cell is the stand-in's own: its attributes were just copied.
            call(r, || unsafe { sys::SETCAR(cell, shared.0) })?;
            Ok(())
        })?;
    }
    Ok(())
}

/// Whether `x` has attributes that share() replaces by their stand-ins, if these have any.
///
/// # Errors
/// Those of another package's ALTREP.
pub fn any_sharable(r: R, x: Sexp) -> Result<bool> {
    for (name, value) in values(x) {
        if is_sharable(r, x, name, value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether share() replaces this attribute of `x`. What R itself looks into all the time is not worth it.
pub(crate) fn is_sharable(r: R, x: Sexp, name: SEXP, value: Sexp) -> Result<bool> {
    if x.kind() == sys::S4SXP {
        return Ok(!is(name, &[c"class"]));
    }
    if is(name, &[c"srcref", c"srcfile", c"wholeSrcref"]) {
        return Ok(false);
    }
    let structural = is(name, &[c"class", c"names", c"levels", c"dim", c"dimnames", c"row.names", c"tsp"]);
    Ok(!structural || is_long(r, value)?)
}

fn is(name: SEXP, names: &[&CStr]) -> bool {
    // SAFETY: a symbol's name is a C string.
    let name = unsafe { CStr::from_ptr(sys::R_CHAR(sys::PRINTNAME(name))) };
    names.contains(&name)
}

/// Names, levels and dimnames from this length on are shared all the same: by value they would travel with every reference.
const LONG: usize = 1_000;

fn is_long(r: R, x: Sexp) -> Result<bool> {
    if x.kind() != sys::VECSXP {
        return Ok(x.kind() == sys::STRSXP && x.len(r)? >= LONG);
    }
    for i in 0..x.len(r)? {
        if is_long(r, x.element(r, i)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Names (symbols) and values of the attributes of `x`.
pub(crate) fn values(x: Sexp) -> impl Iterator<Item = (SEXP, Sexp)> {
    // SAFETY: cells of a pairlist.
    cells(x).into_iter().map(|cell| unsafe { (sys::TAG(cell), Sexp(sys::CAR(cell))) })
}

/// The cells of the attributes of `x`.
pub(crate) fn cells(x: Sexp) -> Vec<SEXP> {
    // SAFETY: an R object; attributes are a pairlist.
    crate::cells::of(unsafe { sys::ATTRIB(x.0) })
}
