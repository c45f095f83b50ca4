//! Attributes: a node of their own beside the vector they belong to.

use cowshed_core::{Encoder, Node, NodeId, Opener};

use crate::boundary::{R, Result, call};
use crate::serialized;
use crate::session::Session;
use crate::sexp::Sexp;
use crate::sys::{self, R_xlen_t, SEXP};

const NAME: &str = "r.attributes";
/// Bits of a node's `aux`: R's object bit, which the class attribute restores, and S4's, which nothing else does.
const OBJECT: u64 = 1;
const S4: u64 = 2;
/// Not R's: the value holds, at some depth, what only R can send (an environment, a closure, a promise, an external pointer, a weak reference).
/// It travels as R's own structure with a reference for each shared part, and cannot be opened from its node.
pub const STRUCTURE: u64 = 4;

/// The vector is shorter than whoever shared it wished vectors in shared memory to be.
pub(crate) const SHORT: u64 = 8;

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

/// Writes the attributes of `x`; `None` if it has none.
pub fn encode(session: &Session, x: Sexp, out: &mut Encoder<'_, Session>) -> Result<Option<NodeId>> {
    let cells = cells(x);
    if cells.is_empty() {
        return Ok(None);
    }
    let r = session.r;
    let names = names(r, &cells)?;
    let values = session.in_attributes(|| {
        // SAFETY: cells of a pairlist.
        cells.iter().map(|cell| out.encode(Sexp(unsafe { sys::CAR(*cell) }))).collect::<Result<Vec<_>>>()
    })?;
    let payload = serialized::with_bytes(r, names, |bytes| out.payload(bytes))?;
    let aux = structure(out, values.iter().copied());
    let node = Node { length: cells.len() as u64, payload, aux, ..Node::default() };
    out.node(NAME, node, &values).map(Some)
}

/// Gives a new object the attributes its node has.
pub fn restore(session: &Session, x: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<()> {
    let r = session.r;
    let whole = from.node(node);
    if let Some(attributes) = whole.attributes {
        let names = serialized::read(r, attributes, from)?;
        let values: Vec<_> = from.children(attributes).collect();
        if from.segment().table().strategy(attributes) != NAME
            || names.kind() != sys::STRSXP
            || names.len(r)? != values.len()
        {
            return Err(from.bad(attributes, "its attributes have no names").into());
        }
        for (i, value) in values.into_iter().enumerate() {
            r.scope(|| {
                let value = session.in_attributes(|| from.open(value))?;
                call(r, || {
                    // SAFETY: within the names; R checks that name and value fit the object.
                    unsafe {
                        let name = sys::R_CHAR(sys::STRING_ELT(names.0, i as R_xlen_t));
                        sys::Rf_setAttrib(x.0, sys::Rf_install(name), value.0);
                    }
                })
            })?;
        }
    }
    if whole.aux & S4 != 0 {
        // SAFETY: the object is new, so R sets its bit in place.
        call(r, || unsafe { sys::Rf_asS4(x.0, 1, 0) })?;
    }
    Ok(())
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
        if is_structural(r, name)? && !is_long(r, own)? {
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

/// What R itself looks into all the time is not worth sharing.
fn is_structural(_: R, name: SEXP) -> Result<bool> {
    // SAFETY: a symbol's name is a C string.
    let name = unsafe { std::ffi::CStr::from_ptr(sys::R_CHAR(sys::PRINTNAME(name))) };
    Ok([c"class", c"names", c"levels", c"dim", c"dimnames", c"tsp"].contains(&name))
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

fn cells(x: Sexp) -> Vec<SEXP> {
    // SAFETY: an R object; attributes are a pairlist that ends in NULL.
    let mut cell = unsafe { sys::ATTRIB(x.0) };
    let mut cells = Vec::new();
    // SAFETY: a constant; then cells of the pairlist.
    while cell != unsafe { sys::R_NilValue } {
        cells.push(cell);
        // SAFETY: as above.
        cell = unsafe { sys::CDR(cell) };
    }
    cells
}

fn names(r: R, cells: &[SEXP]) -> Result<Sexp> {
    // SAFETY: allocation.
    let names = call(r, || unsafe { sys::Rf_allocVector(sys::STRSXP, cells.len() as R_xlen_t) })?;
    r.keep(names)?;
    for (i, cell) in cells.iter().enumerate() {
        // SAFETY: within its length; tags of attributes are symbols.
        call(r, || unsafe { sys::SET_STRING_ELT(names, i as R_xlen_t, sys::PRINTNAME(sys::TAG(*cell))) })?;
    }
    Ok(Sexp(names))
}
