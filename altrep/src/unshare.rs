//! unshare(): the same value with nothing shared in it.
//!
//! What is a value is copied only as far as something in it is shared. Environments are unshared where they are, one after the other.

use crate::boundary::{R, Result, call};
use crate::hooks::Viewed;
use crate::object::Object;
use crate::sexp::Sexp;
use crate::walk::{self, Attributes, Reach, Step};
use crate::{attributes, by_kind, cells, sys, virtuals};

/// unshare(): the same value with nothing shared in it, also not in its environments.
///
/// # Errors
/// Out of memory, or a view that could not be attached.
pub fn unshare(r: R, x: Sexp) -> Result<Sexp> {
    // All copies are made before one is put in its place.
    let mut found = Vec::new();
    let all = if virtuals::is_shared(x) { virtuals::parts(r, x)? } else { x };
    for env in walk::environments(r, all)? {
        for (place, value) in walk::places(r, env, Attributes::All)? {
            if any_view(r, value)? {
                found.push((place, value));
            }
        }
    }
    let plain = r.list(found.len(), |i| value(r, found[i].1))?;
    let unshared = value(r, x)?;
    for (i, (place, _)) in found.into_iter().enumerate() {
        r.scope(|| place.set(r, plain.element(r, i)?))?;
    }
    Ok(unshared)
}

/// Whether a value is a view, or has one in its parts or attributes, changed ones included. What is in environments is no part of it.
fn any_view(r: R, x: Sexp) -> Result<bool> {
    let reach = Reach { attributes: Attributes::All, environments: false, language: false, shallow: false };
    walk::any(r, x, reach, |part| {
        Ok(if Object::find(part.0).is_some() || virtuals::is_shared(part) { Step::Stop } else { Step::Into })
    })
}

fn value(r: R, x: Sexp) -> Result<Sexp> {
    if let Some(shared) = Object::find(x.0) {
        let copy = by_kind!(shared.kind(), K => K::copy(r, shared)?, return Ok(x));
        // SAFETY: both R objects. Of a wrapper, the outer attributes are the object's.
        call(r, || unsafe { sys::SHALLOW_DUPLICATE_ATTRIB(copy, x.0) })?;
        return without_attributes(r, Sexp(copy));
    }
    if virtuals::is_shared(x) {
        let parts = value(r, virtuals::parts(r, x)?)?;
        return without_attributes(r, virtuals::unshared(r, x, parts)?);
    }
    if !any_view(r, x)? {
        return Ok(x);
    }
    let copy = match x.kind() {
        sys::VECSXP => {
            let copy = r.shallow_duplicate(x)?;
            for i in 0..copy.len(r)? {
                r.set_element(copy, i, || value(r, x.element(r, i)?))?;
            }
            copy
        }
        sys::LISTSXP => cells::renew(r, x, |_, part| value(r, part))?,
        _ => x,
    };
    without_attributes(r, copy)
}

/// Unshares the attributes, or slots, of `x`.
fn without_attributes(r: R, x: Sexp) -> Result<Sexp> {
    let mut shared = Vec::new();
    // Attributes of an environment are a part of it: a place.
    for (name, part) in attributes::values(x).filter(|_| x.kind() != sys::ENVSXP) {
        if any_view(r, part)? {
            shared.push((name, part));
        }
    }
    if shared.is_empty() {
        return Ok(x);
    }
    let copy = r.shallow_duplicate(x)?;
    for (name, part) in shared {
        let part = value(r, part)?;
        attributes::set(r, copy, name, part)?;
    }
    Ok(copy)
}
