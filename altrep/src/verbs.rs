//! What the R package's functions do, on R values: share, unshare, is.shared, the flags, and looking into the store.
//! SharedObject() is in `blank`, what a shared vector says of itself in `properties`.

use cowshed_core::{Flags, Listed, Mode, Opener, Reported, Store, Waiting, share as share_value};

use crate::boundary::{Failure, R, Result, call};
use crate::element::is_vector;
use crate::hooks::Viewed;
use crate::in_place::InPlace;
use crate::object::Object;
use crate::session::{Session, ShareOptions};
use crate::sexp::Sexp;
use crate::view::View;
use crate::walk::{self, Attributes, Reach, Step};
use crate::{by_kind, condition, lists, proxies, registry, stored, stores, sys, virtuals};

pub use crate::blank::blank;
pub use crate::environment::listed;
pub use crate::properties::{data_id, properties};
pub use crate::unshare::unshare;

/// What share() was asked for. `None` is "not said": R's options() decide, or, for a view, what it is already.
#[derive(Debug, Clone)]
pub struct Wish {
    /// copyOnWrite, sharedSubset, sharedCopy.
    pub flags: [Option<bool>; 3],
    /// Shorter vectors are not shared.
    pub min_length: Option<usize>,
    /// Whether attributes are shared too.
    pub shared_attributes: Option<bool>,
    /// Whether what cannot be shared is an error.
    pub must_work: Option<bool>,
    /// A directory, or a file in one, where the object is to stay; NULL for the usual store.
    pub store: Sexp,
}

const FLAGS: [Flags; 3] = [Flags::COPY_ON_WRITE, Flags::SHARED_SUBSET, Flags::SHARED_COPY];

impl Wish {
    /// Nothing is said but these flags.
    pub fn of_flags(flags: [Option<bool>; 3]) -> Wish {
        Wish { flags, min_length: None, shared_attributes: None, must_work: None, store: Sexp::null() }
    }

    fn flags(&self, unsaid: Flags) -> Flags {
        let mut flags = unsaid;
        for (flag, said) in FLAGS.into_iter().zip(self.flags) {
            flags.set(flag, said.unwrap_or(unsaid.contains(flag)));
        }
        flags
    }

    /// Those that were said.
    fn asked(&self) -> Flags {
        FLAGS.into_iter().zip(self.flags).filter_map(|(flag, said)| said.map(|_| flag)).collect()
    }

    pub(crate) fn options(&self, r: R) -> Result<ShareOptions> {
        let usual = ShareOptions::usual(r)?;
        Ok(ShareOptions {
            flags: self.flags(usual.flags),
            min_length: self.min_length.unwrap_or(usual.min_length),
            shared_attributes: self.shared_attributes.unwrap_or(usual.shared_attributes),
            must_work: self.must_work.unwrap_or(usual.must_work),
            stored: !self.store.is_null(),
        })
    }
}

/// share(): `x` in shared memory. Sharing what is shared already, with the same flags, gives `x` back and costs nothing.
///
/// # Errors
/// No room in the store, interrupted, or (under `mustWork`) not shareable.
pub fn share(r: R, x: Sexp, wish: &Wish) -> Result<Sexp> {
    if !wish.store.is_null() {
        return stored::share(r, x, wish);
    }
    if x.is_null() {
        return Ok(x);
    }
    if let Some(shared) = Object::find(x.0) {
        shared.view().check()?;
        if shared.view().is_shared() {
            return share_again(r, x, shared, wish);
        }
    }
    let is_as_wished = |list: Object| wish.flags(list.flags()) == list.flags() && !lists::is_changed(list);
    if Object::find_list(x.0).is_some_and(is_as_wished) {
        return Ok(x);
    }
    if virtuals::is_shared(x) && wish.flags(Flags::COPY_ON_WRITE).contains(Flags::COPY_ON_WRITE) {
        return Ok(x);
    }
    let environments = InPlace::new(wish.asked());
    share_with(x, stores::usual(r)?, Session::in_place(r, wish.options(r)?, environments))
}

fn share_new(r: R, x: Sexp, store: Store, options: ShareOptions) -> Result<Sexp> {
    share_with(x, store, Session::new(r, options))
}

fn share_with(x: Sexp, store: Store, session: Session) -> Result<Sexp> {
    let (r, flags) = (session.r, session.options.flags);
    let proxied = proxies::is_proxied(&session, x)?;
    if is_vector(x.kind()) && !proxied && x.len(r)? < session.options.min_length
        || proxied && is_shared_so(&session, proxies::proxy(&session, x)?.0)?
    {
        return Ok(x);
    }
    if registry().choose(&session, x)?.is_opaque() {
        session.refuse_opaque(x)?;
        if !session.put_off_within(x)? {
            return Ok(x);
        }
    }
    let container = !is_vector(x.kind()) && x.kind() != sys::VECSXP;
    if container && !proxied && !session.must_work() && !session.any_new(x)? {
        return Ok(x);
    }
    let segment = share_value(&session, registry(), &Waiting(store), x, flags)?;
    let mut opener = Opener::new(&session, registry(), &segment, flags);
    let shared = opener.replace(x, segment.root())?;
    session.rebind(&mut opener)?;
    session.warn_of_strings()?;
    Ok(shared)
}

/// Whether everything in a proxy that would be shared is, with these flags.
fn is_shared_so(session: &Session, proxy: Sexp) -> Result<bool> {
    let r = session.r;
    if let Some(list) = Object::find_list(proxy.0) {
        return Ok(list.flags() == session.options.flags && !lists::is_changed(list));
    }
    if proxy.kind() == sys::VECSXP {
        r.check_stack()?;
        let mut any = false;
        for i in 0..proxy.len(r)? {
            let part = proxy.element(r, i)?;
            if proxy_part_matters(session, part)? {
                if !is_shared_so(session, part)? {
                    return Ok(false);
                }
                any = true;
            }
        }
        return Ok(any);
    }
    Ok(shared(proxy).is_some_and(|view| view.flags() == session.options.flags))
}

fn proxy_part_matters(session: &Session, part: Sexp) -> Result<bool> {
    Ok(part.kind() == sys::VECSXP || is_vector(part.kind()) && part.len(session.r)? >= session.options.min_length)
}

/// Whether a package has a proxy for the class of `x`.
///
/// # Errors
/// R's own.
pub fn has_proxy(r: R, x: Sexp) -> Result<bool> {
    proxies::is_proxied(&proxies::session(r), x)
}

/// A view under other flags. Only a change of copyOnWrite to FALSE, on a frozen segment, needs new memory.
fn share_again(r: R, x: Sexp, shared: Object, wish: &Wish) -> Result<Sexp> {
    let (old, mut new) = (shared.flags(), wish.flags(shared.flags()));
    if shared.kind() == sys::STRSXP && !new.contains(Flags::COPY_ON_WRITE) {
        condition::warn_strings(r)?;
        new |= Flags::COPY_ON_WRITE;
    }
    if old == new {
        return Ok(x);
    }
    let thaw =
        !new.contains(Flags::COPY_ON_WRITE) && shared.view().span().is_none_or(|s| s.segment.mode() == Mode::Frozen);
    if thaw {
        return share_new(r, x, stores::usual(r)?, ShareOptions { flags: new, ..wish.options(r)? });
    }
    let Some(same) = by_kind!(x.kind(), K => again::<K>(r, shared, new)?, None) else {
        return share_new(r, x, stores::usual(r)?, ShareOptions { flags: new, ..wish.options(r)? });
    };
    // SAFETY: both R objects.
    call(r, || unsafe { sys::SHALLOW_DUPLICATE_ATTRIB(same.sexp(), x.0) })?;
    Ok(Sexp(same.sexp()))
}

/// Another object of the same bytes. With a view of its own: what is written through a pointer to one must not show in the other, and
/// private bytes over one must not keep the other from writing through. `None` if there is nothing to be a view of.
fn again<K: Viewed>(r: R, shared: Object, flags: Flags) -> Result<Option<Object>> {
    K::settle(r, shared)?;
    shared.view().again().map(|view| Object::new::<K>(r, view, flags)).transpose()
}

/// A plain vector just made, shared with these flags: what sharedSubset gives.
pub(crate) fn share_plain(r: R, x: sys::SEXP, flags: Flags) -> Result<sys::SEXP> {
    share_new(r, Sexp(x), stores::usual(r)?, ShareOptions::in_hook(flags)).map(|shared| shared.0)
}

/// is.shared(): whether `x`, or anything in it, is in shared memory and as it was shared.
///
/// # Errors
/// Those of another package's ALTREP list.
pub fn any_shared(r: R, x: Sexp) -> Result<bool> {
    let reach = Reach { attributes: Attributes::None, environments: true, language: false, shallow: false };
    walk::any(r, x, reach, |part| {
        Ok(if shared(part).is_some() || virtuals::is_shared(part) { Step::Stop } else { Step::Into })
    })
}

/// A flag of a shared vector; `None` for what is not shared.
pub fn flag(x: Sexp, flag: Flags) -> Option<bool> {
    shared(x).map(|shared| shared.flags().contains(flag))
}

/// Sets a flag of a shared vector, in place: every name of the same R object sees it, and no other object does, even one that has the same
/// view (a write-through alias) or that is the same vector inside R's wrapper. `None` for what is not shared.
///
/// copyOnWrite = FALSE on a frozen segment makes a new segment that can be written; whoever else holds the old one keeps it.
///
/// # Errors
/// No room for the new segment.
pub fn set_flag(r: R, x: Sexp, flag: Flags, value: bool) -> Result<Option<()>> {
    let Some(object) = shared(x) else { return Ok(None) };
    let mut flags = object.flags();
    flags.set(flag, value);
    if object.kind() == sys::STRSXP && !flags.contains(Flags::COPY_ON_WRITE) {
        condition::warn_strings(r)?;
        return Ok(Some(()));
    }
    if flags == object.flags() {
        return Ok(Some(()));
    }
    let frozen = object.view().span().is_none_or(|span| span.segment.mode() == Mode::Frozen);
    let other = if frozen && !flags.contains(Flags::COPY_ON_WRITE) {
        let options = ShareOptions { flags, min_length: 0, must_work: false, ..ShareOptions::usual(r)? };
        let store = object.view().span().and_then(|span| span.segment.lease().map(|lease| lease.store()));
        Object::find(share_new(r, Sexp(object.sexp()), store.map_or_else(|| stores::usual(r), Ok)?, options)?.0)
    } else if frozen && object.sexp() == x.0 {
        // Its view is its own already, and obeys whatever the flags are.
        None
    } else {
        by_kind!(object.kind(), K => again::<K>(r, object, flags)?, None)
    };
    match other {
        Some(other) if object.sexp() != x.0 => {
            other.move_into(x.0);
            return Ok(Some(()));
        }
        Some(other) => {
            object.become_like(other);
        }
        None => {}
    }
    object.set_flags(flags);
    if !frozen {
        // An alias that R writes to in place: from now on it has to ask.
        object.freeze();
    }
    Ok(Some(()))
}

/// `x`, if it is a shared vector as it was shared.
pub(crate) fn shared(x: Sexp) -> Option<Object> {
    Object::find(x.0).filter(|object| object.view().is_shared())
}

/// Bytes that a shared vector has privately: pages written, or copied because there was no other way. `None` for a plain object.
pub fn private_bytes(x: Sexp) -> Option<u64> {
    Object::find(x.0).map(|object| View::private_bytes(object.view()))
}

/// The whole object that a shared vector is a part of, made from its segment as a process does that has nothing else of it; `x` itself if it is
/// no part of a segment.
///
/// # Errors
/// A strategy that this process lacks, or a corrupt segment.
pub fn open_segment(r: R, x: Sexp) -> Result<Sexp> {
    let Some(shared) = Object::find(x.0) else { return Ok(x) };
    shared.view().check()?;
    let Some(span) = shared.view().span() else { return Ok(x) };
    let flags = shared.flags();
    let session = Session::new(r, ShareOptions { flags, ..ShareOptions::usual(r)? });
    Opener::new(&session, registry(), &span.segment, flags).open(span.segment.root())
}

/// The store share() would use now.
///
/// # Errors
/// It cannot be used.
pub fn usual_store(r: R) -> Result<Store> {
    stores::usual(r)
}

/// What the store share() would use now has, after collecting.
///
/// # Errors
/// It cannot be used.
pub fn list_store(r: R) -> Result<Vec<Listed>> {
    let store = stores::usual(r)?;
    store.list().map_err(unlistable(store))
}

/// The same, with who has it.
///
/// # Errors
/// It cannot be used.
pub fn report_store(r: R) -> Result<Vec<Reported>> {
    let store = stores::usual(r)?;
    store.report().map_err(unlistable(store))
}

pub(crate) fn unlistable(store: Store) -> impl Fn(std::io::Error) -> Failure {
    move |e| Failure::new("store", format!("the store '{}' cannot be listed: {e}", store.path().display()))
}

/// An argument error, class `cowshed_error_argument`.
pub fn bad_argument(message: impl Into<String>) -> Failure {
    Failure::new("argument", message)
}
