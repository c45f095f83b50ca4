//! The five vector strategies: one generic implementation, registered like everybody's.

use std::marker::PhantomData;

use cowshed_core::{Claim, Encoder, Facts, Flags, Node, NodeId, Opener, Payload, Shareable};

use crate::boundary::{R, Result, call};
use crate::element::{Complex, Double, Element, Integer, Logical, Raw};
use crate::object::Object;
use crate::session::Session;
use crate::sexp::Sexp;
use crate::span::Span;
use crate::sys::{self, R_xlen_t};
use crate::view::View;
use crate::{Registration, attributes, hooks, virtuals};

struct Vector<E>(PhantomData<E>);

// SAFETY: it has no data.
unsafe impl<E> Sync for Vector<E> {}

inventory::submit!(Registration(&Vector::<Raw>(PhantomData)));
inventory::submit!(Registration(&Vector::<Logical>(PhantomData)));
inventory::submit!(Registration(&Vector::<Integer>(PhantomData)));
inventory::submit!(Registration(&Vector::<Double>(PhantomData)));
inventory::submit!(Registration(&Vector::<Complex>(PhantomData)));

impl<E: Element> Shareable<Session> for Vector<E> {
    fn name(&self) -> &'static str {
        E::STRATEGY
    }

    fn kinds(&self) -> &'static [u8] {
        const { &[E::TYPE as u8] }
    }

    fn claim(&self, session: &Session, x: Sexp) -> Claim {
        // R's `1:n` is in a recipe what it is, however many elements it would have.
        if session.is_in_recipe() && makes_its_elements(session.r, x) { Claim::No } else { Claim::Type }
    }

    fn encode(&self, session: &Session, x: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        let r = session.r;
        let len = x.len(r)?;
        let payload = payload::<E>(r, x, len, out)?;
        let facts =
            if session.options.flags.contains(Flags::COPY_ON_WRITE) { facts::<E>(r, x)? } else { Facts::empty() };
        let attributes = attributes::encode(session, x, out)?;
        let aux = attributes::bits(x) | attributes::structure(out, attributes) | attributes::short(session, len);
        out.node(self.name(), Node { length: len as u64, payload, facts, attributes, aux, ..Node::default() }, &[])
    }

    fn open(&self, session: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let (view, len) = view::<E>(node, from)?;
        let x = if len < session.options.min_length || from.node(node).aux & attributes::SHORT != 0 {
            Sexp(hooks::copy::<E>(session.r, &view)?)
        } else {
            Sexp(session.object::<E>(view, from.flags())?.sexp())
        };
        attributes::restore(session, x, node, from)?;
        Ok(x)
    }

    fn replace(&self, session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let (view, len) = view::<E>(node, from)?;
        if len < session.options.min_length {
            return Ok(original);
        }
        let x = Sexp(session.object::<E>(view, from.flags())?.sexp());
        attributes::take_over(session, original, x, node, from)?;
        Ok(x)
    }
}

/// Whether it is an ALTREP of others that has its elements nowhere.
fn makes_its_elements(r: R, x: Sexp) -> bool {
    let others = x.is_altrep() && Object::find(x.0).is_none() && !virtuals::is_virtual(x);
    // SAFETY: a vector.
    others && call(r, || unsafe { sys::DATAPTR_OR_NULL(x.0) }).is_ok_and(|data| data.is_null())
}

fn view<E: Element>(node: NodeId, from: &Opener<'_, Session>) -> Result<(View, usize)> {
    let len = from.node(node).length;
    let span = Span::new(from.segment(), node, 0, len, size_of::<E::C>())
        .ok_or_else(|| from.bad(node, "its length does not fit its bytes"))?;
    Ok((View::new(span, len as usize), len as usize))
}

/// A vector of `len` elements that lie `offset` bytes into a node's payload, whichever strategy wrote it; `None` if there are none such.
pub(crate) fn part<E: Element>(
    session: &Session,
    from: &Opener<'_, Session>,
    node: NodeId,
    offset: u64,
    len: u64,
) -> Result<Option<Sexp>> {
    let size = size_of::<E::C>();
    if offset % size as u64 != 0 {
        return Ok(None);
    }
    let Some(span) = Span::new(from.segment(), node, offset / size as u64, len, size) else { return Ok(None) };
    let (view, len) = (View::new(span, len as usize), len as usize);
    if len < session.options.min_length {
        return hooks::copy::<E>(session.r, &view).map(|x| Some(Sexp(x)));
    }
    Ok(Some(Sexp(session.object::<E>(view, from.flags())?.sexp())))
}

impl Sexp {
    /// A copy of the elements of a vector; `None` if it is of another type.
    ///
    /// # Errors
    /// Those of another package's ALTREP.
    pub fn elements<E: Element>(self, r: R) -> Result<Option<Vec<E::C>>> {
        if self.kind() != E::TYPE {
            return Ok(None);
        }
        let len = self.len(r)?;
        let mut elements = vec![E::na(); len];
        let mut at = 0;
        while at < len {
            // SAFETY: within the vector, which has room for what is left.
            let place = unsafe { elements.as_mut_ptr().add(at) };
            // SAFETY: a vector of this type, and as much room.
            at += unsafe { region::<E>(r, self, at, len - at, place) }?;
        }
        Ok(Some(elements))
    }
}

/// The elements: as they lie in memory, or region by region from an ALTREP that has no pointer, which is never expanded.
fn payload<E: Element>(r: R, x: Sexp, len: usize, out: &mut Encoder<'_, Session>) -> Result<Payload> {
    let size = size_of::<E::C>();
    let pointer = match x.is_altrep() {
        // SAFETY: a plain vector of this type.
        false => unsafe { E::data(x.0) }.cast_const().cast::<u8>(),
        // SAFETY: a vector.
        true => call(r, || unsafe { sys::DATAPTR_OR_NULL(x.0) })?.cast::<u8>(),
    };
    if !pointer.is_null() && len > 0 {
        // SAFETY: the vector's own elements, which stay while we read: R runs nothing else but an interrupt check.
        return out.payload(unsafe { std::slice::from_raw_parts(pointer, len * size) });
    }
    out.payload_from((len * size) as u64, |offset, buffer| {
        let (mut at, mut left) = (offset as usize / size, buffer.len() / size);
        let mut place = buffer.as_mut_ptr().cast::<E::C>();
        while left > 0 {
            // SAFETY: the buffer has room for `left` and is aligned to 16 bytes.
            let got = unsafe { region::<E>(r, x, at, left, place) }?;
            // SAFETY: `got` is at most what was left.
            place = unsafe { place.add(got) };
            (at, left) = (at + got, left - got);
        }
        Ok(())
    })
}

/// Copies elements from `at` on, as many as an ALTREP gives at a time: at least one, at most `n`. Nothing is expanded.
///
/// # Safety
/// `x` is of this type, and there is room for `n`.
pub(crate) unsafe fn region<E: Element>(r: R, x: Sexp, at: usize, n: usize, place: *mut E::C) -> Result<usize> {
    // SAFETY: the caller's.
    let got = call(r, || unsafe { E::region(x.0, at as R_xlen_t, n as R_xlen_t, place) })? as usize;
    assert!((1..=n).contains(&got), "an ALTREP's Get_region gave {got} of {n} elements");
    Ok(got)
}

/// What R knows of the elements without looking at them.
fn facts<E: Element>(r: R, x: Sexp) -> Result<Facts> {
    if !x.is_altrep() {
        return Ok(Facts::empty());
    }
    // SAFETY: a vector of this type.
    let (sorted, no_na) = call(r, || unsafe { E::known(x.0) })?;
    let mut facts = Facts::empty();
    facts.set(Facts::NO_NA, no_na);
    facts.set(Facts::INCREASING, sorted == 1);
    facts.set(Facts::DECREASING, sorted == -1);
    Ok(facts)
}
