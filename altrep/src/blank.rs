//! SharedObject(): a shared vector of zeros, made without a plain one beside it.
//!
//! With copyOnWrite it is a draft: R fills it in place, and it is sealed when it is first sent. Without, it is a write-through segment at once.

use cowshed_core::{Draft, Flags, Host, Mode, Node, Segment};

use crate::boundary::{R, Result, call};
use crate::by_element;
use crate::element::Element;
use crate::object::Object;
use crate::session::Session;
use crate::sexp::Sexp;
use crate::span::Span;
use crate::sys::{self, SexpType};
use crate::verbs::{Wish, bad_argument};
use crate::view::View;
use crate::{stored, stores};

/// A vector of `len` zeros of one of the five types, with the attributes of a named list.
///
/// # Errors
/// No room, interrupted, or attributes that do not fit the vector.
pub fn blank(r: R, kind: SexpType, len: usize, attributes: Sexp, wish: &Wish) -> Result<Sexp> {
    let names = names(r, attributes)?;
    let refused = || bad_argument("`mode` must be raw, logical, integer, numeric or complex");
    if !wish.store.is_null() {
        // Attributes go to the file with what they fit: a vector of that length, which has no elements.
        let like = by_element!(kind, E => Object::new::<E>(r, nothing(len), Flags::default())?, return Err(refused()));
        let like = Sexp(like.sexp());
        set_all(r, like, &names, attributes)?;
        return by_element!(kind, E => stored::blank::<E>(r, like, len, wish), Err(refused()));
    }
    let session = Session::new(r, wish.options(r)?);
    let store = stores::usual(r)?;
    let object = by_element!(kind, E => make::<E>(&session, store, len)?, return Err(refused()));
    let x = Sexp(object.sexp());
    set_all(r, x, &names, attributes)?;
    Ok(x)
}

fn nothing(len: usize) -> View {
    View::broken(Vec::new(), len, "store", "it has no elements".to_owned())
}

fn set_all(r: R, x: Sexp, names: &[String], attributes: Sexp) -> Result<()> {
    // The dimensions first: dimnames need them.
    for dim in [true, false] {
        for (i, name) in names.iter().enumerate().filter(|(_, name)| (*name == "dim") == dim) {
            set(r, x, name, attributes.element(r, i)?)?;
        }
    }
    Ok(())
}

fn make<E: Element>(session: &Session, store: cowshed_core::Store, len: usize) -> Result<Object> {
    let (r, flags) = (session.r, session.options.flags);
    let bytes = (len * size_of::<E::C>()) as u64;
    let frozen = flags.contains(Flags::COPY_ON_WRITE);
    if frozen && len > 0 {
        let draft = Draft::zeroed(store, bytes, || session.poll())?;
        return Object::new_mutable::<E>(r, View::draft(draft, len), flags);
    }
    let mode = if frozen { Mode::Frozen } else { Mode::WriteThrough };
    let node = Node { length: len as u64, ..Node::default() };
    let segment = Segment::zeroed(&store, mode, E::STRATEGY, node, bytes, || session.poll())?;
    let span = Span::new(&segment, segment.root(), 0, len as u64, size_of::<E::C>());
    Object::new::<E>(r, View::new(span.expect("as it was just made"), len), flags)
}

fn names(r: R, attributes: Sexp) -> Result<Vec<String>> {
    let refused = || bad_argument("`attrib` must be a list whose elements are all named");
    if attributes.is_null() {
        return Ok(Vec::new());
    }
    if attributes.kind() != sys::VECSXP {
        return Err(refused());
    }
    // SAFETY: an R object.
    let names = call(r, || unsafe { sys::Rf_getAttrib(attributes.0, sys::Rf_install(c"names".as_ptr())) })?;
    r.keep(names)?;
    let names = Sexp(names).strings(r)?;
    let whole = names.len() == attributes.len(r)? && names.iter().all(|name| !name.is_empty() && !name.contains('\0'));
    if whole { Ok(names) } else { Err(refused()) }
}

fn set(r: R, x: Sexp, name: &str, value: Sexp) -> Result<()> {
    let name = r.string(name)?;
    call(r, || {
        // SAFETY: a string's symbol; R checks that name and value fit the vector.
        unsafe { sys::Rf_setAttrib(x.0, sys::Rf_install(sys::R_CHAR(sys::STRING_ELT(name.0, 0))), value.0) };
    })
}
