//! Views that go together: those of one list have one finalizer, because R's collector takes longer for each finalizer there is.
//!
//! - The views live in the keeper's memory, at fixed places. Each view's external pointer has the keeper's as its tag, so the keeper
//!   stays as long as any of them.
//! - What one view has made private stays as long as the last of them.

use std::cell::RefCell;

use crate::boundary::{R, Result};
use crate::owner::owner;
use crate::sys::{self, SEXP};
use crate::view::View;

/// An external pointer to an [`Arena`]. Valid while it is protected, or is the tag of something that is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeper(SEXP);

/// Chunks that never grow, so that a view stays where it is.
#[derive(Default)]
struct Arena(RefCell<Vec<Vec<View>>>);

/// Views of the first chunk; each next one is twice as large, up to `LARGEST`.
const FIRST: usize = 8;
const LARGEST: usize = 1024;

impl Keeper {
    /// A new one, protected until the scope ends.
    pub(crate) fn new(r: R) -> Result<Keeper> {
        owner(r, Arena::default(), false).map(Keeper)
    }

    /// That which an external pointer has for a tag.
    pub(crate) fn of(pointer: SEXP) -> Option<Keeper> {
        // SAFETY: an external pointer.
        let tag = unsafe { libR_sys::R_ExternalPtrTag(pointer) };
        Self::from(tag)
    }

    /// That which `x` is, unless it is R's NULL.
    pub(crate) fn from(x: SEXP) -> Option<Keeper> {
        // SAFETY: an R object.
        (unsafe { sys::TYPEOF(x) } as sys::SexpType == sys::EXTPTRSXP).then_some(Keeper(x))
    }

    pub(crate) fn sexp(self) -> SEXP {
        self.0
    }

    /// An external pointer to `view`, which moves here. Inside `call`, unprotected.
    ///
    /// # Safety
    /// Inside `call`, whose body owns nothing else that would have to be dropped.
    pub(crate) unsafe fn pointer_to(self, view: *mut View) -> SEXP {
        // SAFETY: allocation; the tag keeps the arena that has the view.
        unsafe { sys::R_MakeExternalPtr(view.cast(), self.0, sys::R_NilValue) }
    }

    /// Takes a view in; where it is from now on.
    pub(crate) fn take(self, view: View) -> *mut View {
        // SAFETY: the address is that of an arena, set in `new` and valid until the finalizer.
        let arena: &Arena = unsafe { &*sys::R_ExternalPtrAddr(self.0).cast::<Arena>() };
        let mut chunks = arena.0.borrow_mut();
        if chunks.last().is_none_or(|chunk| chunk.len() == chunk.capacity()) {
            let size = chunks.last().map_or(FIRST, |chunk| (chunk.capacity() * 2).min(LARGEST));
            chunks.push(Vec::with_capacity(size));
        }
        let chunk = chunks.last_mut().expect("pushed above");
        chunk.push(view);
        std::ptr::from_mut(chunk.last_mut().expect("pushed above"))
    }
}
