//! R objects that Rust keeps beyond a call from R.
//!
//! - They are in a list of this library's, which R's collector sees. Taking one out is a matter of R's thread: what another thread lets go of waits in
//!   a stack until R's thread comes by. No lock is involved, so a fork at any time is no harm.

use std::cell::{Cell, RefCell};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use cowshed_altrep::boundary::call;
use cowshed_altrep::sys::{self, R_xlen_t, SEXP};
use cowshed_altrep::{R, Result, Sexp};

/// An R object that stays as long as this does. It may be held and dropped on any thread, and used on R's.
#[derive(Debug)]
pub struct Kept {
    x: SEXP,
    place: usize,
}

// SAFETY: the pointer is only handed out to whoever proves to be on R's thread; dropping it on another is a push to a stack.
unsafe impl Send for Kept {}
// SAFETY: as above.
unsafe impl Sync for Kept {}

thread_local! {
    /// A preserved cell with the list; null on any thread but R's.
    static CELL: Cell<SEXP> = const { Cell::new(null_mut()) };
    /// Places of the list that nobody has.
    static FREE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Places that other threads let go of.
static DROPPED: AtomicPtr<Link> = AtomicPtr::new(null_mut());

struct Link {
    place: usize,
    next: *mut Link,
}

impl Kept {
    /// Keeps `x`.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(r: R, x: Sexp) -> Result<Kept> {
        reclaim();
        let place = match FREE.with_borrow_mut(Vec::pop) {
            Some(place) => place,
            None => {
                grow(r)?;
                FREE.with_borrow_mut(Vec::pop).unwrap_or_default()
            }
        };
        set(place, x.into_r());
        Ok(Kept { x: x.into_r(), place })
    }

    /// The object.
    pub fn get(&self, _: R) -> Sexp {
        // SAFETY: kept, and protected by that.
        unsafe { Sexp::from_r(self.x) }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if CELL.try_with(Cell::get).is_ok_and(|cell| !cell.is_null()) {
            release(self.place);
            return;
        }
        let mut next = DROPPED.load(Ordering::Relaxed);
        let link = Box::into_raw(Box::new(Link { place: self.place, next }));
        while let Err(now) = DROPPED.compare_exchange_weak(next, link, Ordering::Release, Ordering::Relaxed) {
            next = now;
            // SAFETY: ours alone until it is on the stack.
            unsafe { (*link).next = next };
        }
    }
}

/// Lets go of what other threads dropped.
fn reclaim() {
    let mut next = DROPPED.swap(null_mut(), Ordering::Acquire);
    while !next.is_null() {
        // SAFETY: made by `drop`, and taken off the stack by us alone.
        let link = unsafe { Box::from_raw(next) };
        next = link.next;
        release(link.place);
    }
}

fn release(place: usize) {
    // SAFETY: a constant of R's.
    set(place, unsafe { sys::R_NilValue });
    FREE.with_borrow_mut(|free| free.push(place));
}

fn set(place: usize, x: SEXP) {
    // SAFETY: the cell holds the list, which has the place; nothing can fail.
    unsafe { sys::SET_VECTOR_ELT(sys::CAR(CELL.get()), place as R_xlen_t, x) };
}

/// A longer list. All of its places are taken.
#[cold]
fn grow(r: R) -> Result<()> {
    let cell = CELL.get();
    let before = if cell.is_null() {
        0
    } else {
        // SAFETY: the list.
        unsafe { sys::LENGTH(sys::CAR(cell)) as usize }
    };
    let after = (2 * before).max(16);
    let cell = call(r, || {
        // SAFETY: what is new is protected, and both lists have the places.
        unsafe {
            let list = sys::Rf_protect(sys::Rf_allocVector(sys::VECSXP, after as R_xlen_t));
            for i in 0..before as R_xlen_t {
                sys::SET_VECTOR_ELT(list, i, sys::VECTOR_ELT(sys::CAR(cell), i));
            }
            let cell = if cell.is_null() {
                let cell = sys::Rf_protect(sys::Rf_cons(list, sys::R_NilValue));
                sys::R_PreserveObject(cell);
                sys::Rf_unprotect(1);
                cell
            } else {
                sys::SETCAR(cell, list);
                cell
            };
            sys::Rf_unprotect(1);
            cell
        }
    })?;
    CELL.set(cell);
    FREE.with_borrow_mut(|free| free.extend((before..after).rev()));
    Ok(())
}
