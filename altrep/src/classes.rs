//! A family of our ALTREP classes, one for each of R's types, and the objects of them.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use libR_sys::SEXPREC;

use crate::sys::{self, R_altrep_class_t, SEXP, SexpType};

/// The classes, by R's number of their type; null where there is none.
pub(crate) struct Classes([AtomicPtr<SEXPREC>; 32]);

impl Classes {
    pub(crate) const fn new() -> Classes {
        Classes([const { AtomicPtr::new(null_mut()) }; 32])
    }

    /// Remembers the class of a type.
    pub(crate) fn register(&self, kind: SexpType, class: R_altrep_class_t) {
        self.0[kind as usize].store(class.ptr, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, kind: SexpType) -> R_altrep_class_t {
        R_altrep_class_t { ptr: self.0.get(kind as usize).map_or(null_mut(), |class| class.load(Ordering::Relaxed)) }
    }

    /// Whether `x`, an R object, is of the class of its type.
    pub(crate) fn has(&self, x: SEXP) -> bool {
        // SAFETY: an R object.
        let class = self.of(unsafe { sys::TYPEOF(x) } as SexpType);
        // SAFETY: a class of ours.
        !class.ptr.is_null() && unsafe { sys::R_altrep_inherits(x, class) } != 0
    }

    /// `x`, or the vector inside it, if it is of the class of its type. R's wrappers (`names<-` and others make them) have such inside.
    pub(crate) fn find(&self, x: SEXP) -> Option<SEXP> {
        // SAFETY: an R object, kept by our caller.
        if unsafe { sys::ALTREP(x) } == 0 {
            return None;
        }
        if self.has(x) {
            return Some(x);
        }
        // SAFETY: an ALTREP.
        let inner = unsafe { sys::R_altrep_data1(x) };
        // SAFETY: data1 is an R object.
        let ours = unsafe { sys::ALTREP(inner) != 0 && sys::TYPEOF(inner) == sys::TYPEOF(x) } && self.has(inner);
        // SAFETY: vectors, both.
        (ours && unsafe { sys::Rf_xlength(inner) == sys::Rf_xlength(x) }).then_some(inner)
    }
}
