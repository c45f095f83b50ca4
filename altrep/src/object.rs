//! Shared vectors as R objects: an ALTREP whose `data1` is an external pointer to a [`View`] and whose `data2` holds the flags (of a new
//! alias: a pair of the flags and the alias itself).
//!
//! The only place that turns R's pointers into references to views; everything else asks here.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use cowshed_core::Flags;
use libR_sys::SEXPREC;

use crate::boundary::{R, Result, call};
use crate::classes::Classes;
use crate::element::Kind;
use crate::keeper::Keeper;
use crate::owner::owner;
use crate::sys::{self, R_altrep_class_t, R_xlen_t, SEXP, SexpType};
use crate::view::View;
use crate::{layout, references};

/// Our ALTREP classes, by R's number of their type.
static CLASSES: Classes = Classes::new();
/// An R list of the eight integers that flags can be: an object's flags are one of them, never a new allocation.
static FLAGS: AtomicPtr<SEXPREC> = AtomicPtr::new(null_mut());

/// An R object that is a shared vector of ours.
#[derive(Clone, Copy)]
pub(crate) struct Object(SEXP);

impl Object {
    /// `x`, or the shared vector inside it if `x` is R's wrapper around one (`names<-` and others make them).
    pub(crate) fn find(x: SEXP) -> Option<Object> {
        // SAFETY: `x` is an R object, kept by our caller.
        if unsafe { sys::TYPEOF(x) as SexpType == sys::VECSXP } {
            return None;
        }
        CLASSES.find(x).map(Object)
    }

    /// `x`, if it is a shared list of ours that opens its elements lazily.
    pub(crate) fn find_list(x: SEXP) -> Option<Object> {
        // SAFETY: `x` is an R object, kept by our caller.
        (unsafe { sys::ALTREP(x) != 0 && sys::TYPEOF(x) as SexpType == sys::VECSXP } && CLASSES.has(x))
            .then_some(Object(x))
    }

    /// Whether this R has the class of such objects.
    pub(crate) fn has_class<K: Kind>() -> bool {
        !CLASSES.of(K::TYPE).ptr.is_null()
    }

    /// `x` in a hook of one of our classes, where R has chosen by class.
    ///
    /// # Safety
    /// `x` is an ALTREP of ours.
    pub(crate) unsafe fn of_hook(x: SEXP) -> Object {
        Object(x)
    }

    /// A new object behind which `view` stands. Not mutable: R duplicates it before it writes, which is where flags are obeyed.
    pub(crate) fn new<K: Kind>(r: R, view: View, flags: Flags) -> Result<Object> {
        Self::build::<K>(r, view, flags).inspect(|object| object.freeze())
    }

    /// One that R may write in place: what Duplicate returns.
    pub(crate) fn new_mutable<K: Kind>(r: R, view: View, flags: Flags) -> Result<Object> {
        Self::build::<K>(r, view, flags)
    }

    fn build<K: Kind>(r: R, view: View, flags: Flags) -> Result<Object> {
        let pointer = owner(r, view, false)?;
        Self::around::<K>(r, pointer, flags)
    }

    /// The same, the view being one of a keeper's.
    pub(crate) fn kept<K: Kind>(r: R, keeper: Keeper, view: View, flags: Flags) -> Result<Object> {
        let view = keeper.keep::<K>(view);
        // SAFETY: inside `call`.
        let x = call(r, || unsafe { view.object(keeper, flags) })?;
        r.keep(x)?;
        Ok(Object(x))
    }

    /// An object for each of these, given to `put`, which protects it and does no more. One call of R's for all: that costs more than an object.
    pub(crate) fn kept_all(
        r: R,
        keeper: Keeper,
        views: &[KeptView],
        flags: Flags,
        put: impl Fn(usize, SEXP),
    ) -> Result<()> {
        // SAFETY: inside `call`, whose body owns nothing.
        call(r, || views.iter().enumerate().for_each(|(k, view)| put(k, unsafe { view.object(keeper, flags) })))
    }

    /// Another object with the same view behind it, for R to write to.
    ///
    /// Until R does, it refers to itself: R must not take it for a value that nobody needs and compute in it. From its first write on
    /// ([`Object::begin_writing`]) R may write to it in place, as to any vector of one variable.
    pub(crate) fn alias<K: Kind>(self, r: R, flags: Flags) -> Result<Object> {
        // SAFETY: ours.
        let alias = Self::around::<K>(r, unsafe { sys::R_altrep_data1(self.0) }, flags)?;
        if !references::are_known() {
            alias.freeze();
            return Ok(alias);
        }
        // SAFETY: allocation.
        let pair = call(r, || unsafe { sys::Rf_cons(flag_object(flags), alias.0) })?;
        // SAFETY: ours; R's write barrier is in the setter.
        unsafe { sys::R_set_altrep_data2(alias.0, pair) };
        Ok(alias)
    }

    /// Whether it is an alias that was not written to yet.
    pub(crate) fn is_new_alias(self) -> bool {
        // SAFETY: an ALTREP, whose data2 is an R object.
        unsafe { sys::TYPEOF(sys::R_altrep_data2(self.0)) as SexpType == sys::LISTSXP }
    }

    /// A new alias is about to be written to.
    pub(crate) fn begin_writing(self, r: R) -> Result<()> {
        let flags = self.flags();
        // SAFETY: the pair that `alias` made. Cut, because R counts what a pair refers to until it is collected.
        call(r, || unsafe { sys::SETCDR(sys::R_altrep_data2(self.0), sys::R_NilValue) })?;
        self.set_flags(flags);
        Ok(())
    }

    fn around<K: Kind>(r: R, pointer: SEXP, flags: Flags) -> Result<Object> {
        let class = CLASSES.of(K::TYPE);
        // SAFETY: a class of ours; allocation.
        let x = call(r, || unsafe { sys::R_new_altrep(class, pointer, flag_object(flags)) })?;
        r.keep(x)?;
        layout::check(x, pointer);
        Ok(Object(x))
    }

    pub(crate) fn sexp(self) -> SEXP {
        self.0
    }

    pub(crate) fn kind(self) -> SexpType {
        // SAFETY: an R object.
        unsafe { sys::TYPEOF(self.0) as SexpType }
    }

    /// What stands behind it. Lives at least as long as the object is reachable, which callers see to.
    #[inline]
    pub(crate) fn view<'a>(self) -> &'a View {
        // SAFETY: data1 of an object of ours is an external pointer.
        let address = unsafe { layout::address_in(self.0) };
        // SAFETY: set by `owner` and valid until the finalizer, which runs only when the pointer is unreachable.
        unsafe { &*address.cast::<View>() }
    }

    /// What a character vector's view has made of its strings so far; R's NULL at first.
    pub(crate) fn cache(self) -> SEXP {
        // SAFETY: data1 of an object of ours is an external pointer.
        unsafe { libR_sys::R_ExternalPtrProtected(sys::R_altrep_data1(self.0)) }
    }

    pub(crate) fn set_cache(self, cache: SEXP) {
        // SAFETY: as above; R's write barrier is in the setter.
        unsafe { libR_sys::R_SetExternalPtrProtected(sys::R_altrep_data1(self.0), cache) };
    }

    /// What the views of a list's elements belong to, once there are any.
    pub(crate) fn keeper_of_parts(self) -> Option<Keeper> {
        // SAFETY: data1 of an object of ours is an external pointer.
        Keeper::of(unsafe { sys::R_altrep_data1(self.0) })
    }

    pub(crate) fn set_keeper_of_parts(self, keeper: Keeper) {
        // SAFETY: as above; R's write barrier is in the setter.
        unsafe { libR_sys::R_SetExternalPtrTag(sys::R_altrep_data1(self.0), keeper.sexp()) };
    }

    /// The cache, made by `make` if there is none.
    pub(crate) fn cache_or(self, r: R, make: impl FnOnce() -> SEXP) -> Result<SEXP> {
        let cache = self.cache();
        // SAFETY: a constant of R's.
        if cache != unsafe { sys::R_NilValue } {
            return Ok(cache);
        }
        let cache = call(r, make)?;
        self.set_cache(cache);
        Ok(cache)
    }

    pub(crate) fn flags(self) -> Flags {
        // SAFETY: an ALTREP.
        let data = unsafe { sys::R_altrep_data2(self.0) };
        // SAFETY: data2 of an object of ours is one of the eight integers, or a pair that begins with one.
        let flags = unsafe {
            match sys::TYPEOF(data) as SexpType {
                sys::LISTSXP => sys::CAR(data),
                _ => data,
            }
        };
        // SAFETY: an integer vector of one element.
        Flags::from_bits_truncate(unsafe { *sys::INTEGER(flags) } as u8)
    }

    pub(crate) fn set_flags(self, flags: Flags) {
        // SAFETY: ours; one of the eight integers.
        unsafe { sys::R_set_altrep_data2(self.0, flag_object(flags)) };
    }

    /// Puts the view of `other` behind it.
    pub(crate) fn become_like(self, other: Object) {
        // SAFETY: both ours; R's write barrier is in the setter.
        unsafe { sys::R_set_altrep_data1(self.0, sys::R_altrep_data1(other.0)) };
    }

    /// Puts it into `wrapper`, one of R's, in place of the shared vector there.
    pub(crate) fn move_into(self, wrapper: SEXP) {
        // SAFETY: `find` saw that it wraps a vector of this type and length; R's write barrier is in the setter.
        unsafe { sys::R_set_altrep_data1(wrapper, self.0) };
    }

    /// R duplicates it from now on before it writes.
    pub(crate) fn freeze(self) {
        // SAFETY: an R object.
        unsafe { sys::MARK_NOT_MUTABLE(self.0) };
    }
}

/// A view that a keeper has, and the class of the object for it.
#[derive(Clone, Copy)]
pub(crate) struct KeptView {
    view: *mut View,
    class: R_altrep_class_t,
}

impl Keeper {
    /// Takes a view in.
    pub(crate) fn keep<K: Kind>(self, view: View) -> KeptView {
        KeptView { view: self.take(view), class: CLASSES.of(K::TYPE) }
    }
}

impl KeptView {
    /// Its object, not mutable, unprotected.
    ///
    /// # Safety
    /// Inside `call`, whose body owns nothing that would have to be dropped.
    unsafe fn object(self, keeper: Keeper, flags: Flags) -> SEXP {
        // SAFETY: allocations; the pointer is protected until the new object has it.
        unsafe {
            let pointer = sys::Rf_protect(keeper.pointer_to(self.view));
            let x = sys::R_new_altrep(self.class, pointer, flag_object(flags));
            sys::MARK_NOT_MUTABLE(x);
            sys::Rf_unprotect(1);
            layout::check(x, pointer);
            x
        }
    }
}

fn flag_object(flags: Flags) -> SEXP {
    // SAFETY: a list of eight, made in `init` and never changed.
    unsafe { libR_sys::VECTOR_ELT(FLAGS.load(Ordering::Relaxed), R_xlen_t::from(flags.bits() as i8 & 7)) }
}

/// Remembers a class.
pub(crate) fn register<K: Kind>(class: R_altrep_class_t) {
    CLASSES.register(K::TYPE, class);
}

/// Makes the flags' integers.
pub(crate) fn init(r: R) -> Result<()> {
    // SAFETY: allocation, protected at once.
    let all = call(r, || unsafe { sys::Rf_allocVector(sys::VECSXP, 8) })?;
    r.keep(all)?;
    for bits in 0..8 {
        // SAFETY: the new integer goes straight into the protected list.
        call(r, || unsafe { sys::SET_VECTOR_ELT(all, bits, sys::Rf_ScalarInteger(bits as i32)) })?;
        // SAFETY: within its length.
        unsafe { sys::MARK_NOT_MUTABLE(libR_sys::VECTOR_ELT(all, bits)) };
    }
    // SAFETY: an R object.
    call(r, || unsafe { sys::R_PreserveObject(all) })?;
    FLAGS.store(all, Ordering::Relaxed);
    Ok(())
}
