//! Objects that are found by a name: what R code cannot see of them, and the way to the store's cards.
//!
//! - What a card carries is R's serialization by reference of a shared object. [`settle`] sees to it that there is a segment to refer to wherever something
//!   is shared, since a serialization on its own writes data where there is none; [`check`] finds what could not be attached, which otherwise is an error only
//!   when it is read.
//! - Which objects this process registered and retrieved, R code keeps.

use std::collections::HashSet;

use cowshed_core::{Name, Place};

use crate::boundary::{Failure, R, Result};
use crate::element::{Raw, plain};
use crate::hooks::Viewed;
use crate::object::Object;
use crate::sexp::Sexp;
use crate::walk::{self, Attributes, Reach, Step};
use crate::{by_kind, stores, sys};

/// Everything that a serialization writes.
const ALL: Reach = Reach { attributes: Attributes::All, environments: true, language: true, shallow: false };

/// Whether something in `x` would be changed if it were shared in place.
///
/// # Errors
/// Those of another package's ALTREP list.
pub fn holds_environments(r: R, x: Sexp) -> Result<bool> {
    walk::environments(r, x).map(|environments| !environments.is_empty())
}

/// Sees to it that whatever is shared in `x` can be referred to.
///
/// # Errors
/// No room in the store; or a segment was freed.
pub fn settle(r: R, x: Sexp) -> Result<()> {
    let mut settled = HashSet::new();
    walk::any(r, x, ALL, |part| {
        let list = Object::find_list(part.0);
        let Some(object) = list.or_else(|| Object::find(part.0)) else { return Ok(Step::Into) };
        // A shared list opens its elements from its segment.
        let next = if list.is_some() && !crate::lists::is_changed(object) { Step::Past } else { Step::Into };
        let view = object.view();
        view.check()?;
        if view.changed() || list.is_some() && next == Step::Into {
            return Ok(next);
        }
        by_kind!(object.kind(), K => K::settle(r, object)?, ());
        let full = || {
            let why = "no room in the store for an object that is yet to be written there; remove shared objects you no longer need (rm(), gc())";
            Failure::new("full", why)
        };
        let span = view.span().ok_or_else(full)?;
        if settled.insert(span.segment.id()) {
            let store = span.segment.lease().map(|lease| lease.store());
            let there = match store {
                Some(store) => store.ensure_named(&span.segment)? && store.names(&span.segment),
                None => span.segment.place().is_some_and(Place::is_there),
            };
            if !there {
                let id = span.segment.id();
                let why = format!(
                    "segment {id} was freed, or its file removed, so that nobody else could find it; unshare() the object first"
                );
                return Err(Failure::new("gone", why));
            }
        }
        Ok(next)
    })?;
    Ok(())
}

/// An error if something in `x` could not be attached.
///
/// # Errors
/// Why not.
pub fn check(r: R, x: Sexp) -> Result<()> {
    walk::any(r, x, ALL, |part| {
        if let Some(list) = Object::find_list(part.0) {
            list.view().check()?;
            return Ok(Step::Past);
        }
        if let Some(object) = Object::find(part.0) {
            object.view().check()?;
        }
        Ok(Step::Into)
    })?;
    Ok(())
}

/// Gives an object its name.
///
/// # Errors
/// The name is taken, or there is no room.
pub fn register(r: R, name: Name<'_>, about: Sexp, value: Sexp) -> Result<()> {
    Ok(stores::usual(r)?.register(name, bytes(about), bytes(value))?)
}

/// An error if the name is taken.
///
/// # Errors
/// That.
pub fn check_free(r: R, name: Name<'_>) -> Result<()> {
    Ok(stores::usual(r)?.check_free(name)?)
}

/// A list of what a card says: its id, what is told of the object, what opens it. NULL if there is none.
///
/// # Errors
/// It is damaged.
pub fn card(r: R, name: Name<'_>) -> Result<Sexp> {
    let Some(card) = stores::usual(r)?.card(name)? else { return Ok(Sexp::null()) };
    r.named_list(&["id", "about", "value"], |i| match i {
        0 => r.string(&card.id.to_string()),
        1 => raw(r, &card.about),
        _ => raw(r, &card.value),
    })
}

/// Whether there is a card of that name, be it damaged.
///
/// # Errors
/// The store cannot be used.
pub fn has_card(r: R, name: Name<'_>) -> Result<bool> {
    Ok(stores::usual(r)?.has_card(name)?)
}

/// Takes the name away; with `own`, only if this process registered it. Whether it was there.
///
/// # Errors
/// The store cannot be used.
pub fn release(r: R, name: Name<'_>, own: bool) -> Result<bool> {
    let store = stores::usual(r)?;
    Ok(if own { store.release_own(name) } else { store.release(name) }?)
}

/// Whether this process registered what the name means now.
///
/// # Errors
/// The store cannot be used.
pub fn owns(r: R, name: Name<'_>) -> Result<bool> {
    Ok(stores::usual(r)?.owns(name))
}

/// A text that no other name has, in whichever store.
///
/// # Errors
/// The store cannot be used.
pub fn key(r: R, name: Name<'_>) -> Result<String> {
    Ok(stores::usual(r)?.card_path(name).to_string_lossy().into_owned())
}

/// Releases all that this process registered, in whichever store.
pub fn release_all() {
    // The session goes on, and the names end with it at the latest.
    cowshed_core::Store::all().iter().for_each(|store| drop(store.release_all_own()));
}

fn bytes<'a>(x: Sexp) -> &'a [u8] {
    assert!(x.kind() == sys::RAWSXP && !x.is_altrep(), "serialize(x, NULL) gives a raw vector");
    // SAFETY: as many bytes; R protects the arguments of .Call while it lasts.
    unsafe { std::slice::from_raw_parts(sys::RAW(x.0), sys::Rf_xlength(x.0) as usize) }
}

fn raw(r: R, bytes: &[u8]) -> Result<Sexp> {
    // SAFETY: the new vector has as many bytes.
    plain::<Raw>(r, bytes.len(), |out| unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), out, bytes.len()) })
        .map(Sexp)
}
