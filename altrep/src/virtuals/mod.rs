//! Virtual vectors: R vectors whose elements a generator makes when they are read.
//!
//! - `data1` is an external pointer to a `Virtual`, which keeps what the generator needs of R's. Reading asks the generator for the elements in
//!   question and no others: `hooks`, `summaries`.
//! - Code that wants a pointer gets one whose pages are made on first touch ([`cowshed_core::Area`]), or, where that cannot be, a plain vector: `pointer`.
//!   What is written there belongs to this one vector. From then on reading shows it; pages that nobody wrote are still the generator's.
//! - A generator is a [`Source`]: `closure` (an R function), `wrapped` (another R vector), `derived` (a part of a virtual vector, or its elements as
//!   another type), and those of libraries that come in by the C table (`door`).
//! - How such a vector is sent and shared, as a recipe or as data: `recipe`.

mod class;
mod closure;
mod derived;
mod hooks;
mod pointer;
mod recipe;
mod source;
mod summaries;
mod wrapped;

use std::ffi::CStr;
use std::sync::Arc;

use cowshed_core::{FillError, Shape, Snapshot};

use crate::boundary::{self, Failure, R, Result, call};
use crate::classes::Classes;
use crate::element::Element;
use crate::owner::owner;
use crate::sexp::Sexp;
use crate::sys::{self, R_xlen_t, SEXP, SexpType};
use crate::{by_element, layout};
use pointer::Pointer;

pub(crate) use class::init;
pub use closure::of_function;
pub use recipe::Recipe;
pub(crate) use recipe::{parts, unshared};
pub use source::{Facts, Source};
pub use wrapped::wrap;

/// Our ALTREP classes of virtual vectors, by R's number of their type.
static CLASSES: Classes = Classes::new();

/// What stands behind a virtual vector.
pub(crate) struct Virtual {
    source: Arc<dyn Source>,
    shape: Shape,
    pointer: Pointer,
    /// It came from share(), or from another process that shared it.
    shared: bool,
}

/// An R object that is a virtual vector.
#[derive(Clone, Copy)]
pub(crate) struct Object(SEXP);

impl Object {
    /// `x`, or the virtual vector inside it if `x` is R's wrapper around one.
    pub(crate) fn find(x: SEXP) -> Option<Object> {
        CLASSES.find(x).map(Object)
    }

    /// `x` in a hook of one of our classes.
    ///
    /// # Safety
    /// `x` is a virtual vector.
    pub(crate) unsafe fn of_hook(x: SEXP) -> Object {
        Object(x)
    }

    pub(crate) fn sexp(self) -> SEXP {
        self.0
    }

    pub(crate) fn kind(self) -> SexpType {
        // SAFETY: an R object.
        unsafe { sys::TYPEOF(self.0) as SexpType }
    }

    /// What stands behind it. Lives as long as the object is reachable, which callers see to.
    #[inline]
    pub(crate) fn get<'a>(self) -> &'a Virtual {
        // SAFETY: data1 of a virtual vector is an external pointer.
        let address = unsafe { layout::address_in(self.0) };
        // SAFETY: set by `owner`, and valid until the finalizer, which runs only when the pointer is unreachable.
        unsafe { &*address.cast::<Virtual>() }
    }

    /// What the source needs of R's.
    pub(crate) fn keep(self) -> Sexp {
        // SAFETY: data1 of a virtual vector is an external pointer.
        Sexp(unsafe { libR_sys::R_ExternalPtrProtected(sys::R_altrep_data1(self.0)) })
    }

    /// Another vector of the same source, as this one is now.
    pub(crate) fn again(self, r: R) -> Result<Object> {
        self.made_again(r, self.get().shared)
    }

    /// The same, which share() gives.
    pub(crate) fn as_shared(self, r: R) -> Result<Object> {
        self.made_again(r, true)
    }

    fn made_again(self, r: R, shared: bool) -> Result<Object> {
        let made = Made { source: self.get().source.clone(), snapshot: self.snapshot()?, keep: self.keep(), shared };
        by_element!(self.kind(), E => made.object::<E>(r), Err(not_a_vector()))
    }

    /// Its elements as they are now, whatever is written to it later. Not of one that has become a plain vector.
    pub(crate) fn snapshot(self) -> Result<Snapshot> {
        let this = self.get();
        this.check()?;
        let plain = || Failure::new("internal", "a virtual vector has become a plain one");
        this.pointer.snapshot().map_err(pager_failure)?.ok_or_else(plain)
    }
}

/// What a virtual vector is made of.
pub(crate) struct Made {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) snapshot: Snapshot,
    /// What the source needs of R's, protected.
    pub(crate) keep: Sexp,
    pub(crate) shared: bool,
}

impl Made {
    /// Of a source that nobody has written to.
    pub(crate) fn new<E: Element>(source: Arc<dyn Source>, len: u64, keep: Sexp) -> Result<Made> {
        if len > LONGEST {
            let why = format!("a virtual vector cannot have {len} elements: R's longest have 2^52");
            return Err(Failure::new("argument", why));
        }
        let shape = shape_of::<E>(len);
        let snapshot = Snapshot::new(source.clone().generator(), shape);
        Ok(Made { source, snapshot, keep, shared: false })
    }

    pub(crate) fn object<E: Element>(self, r: R) -> Result<Object> {
        let Made { source, snapshot, keep, shared } = self;
        // What was written goes to its source at the end of the process, too.
        let (at_exit, shape) = (source.stores(), snapshot.shape().clone());
        let pointer = owner(r, Virtual { source, shape, pointer: Pointer::of(snapshot), shared }, at_exit)?;
        // SAFETY: an external pointer; R's write barrier is in the setter.
        unsafe { libR_sys::R_SetExternalPtrProtected(pointer, keep.0) };
        let class = CLASSES.of(E::TYPE);
        // SAFETY: a class of ours; allocation.
        let x = call(r, || unsafe { sys::R_new_altrep(class, pointer, sys::R_NilValue) })?;
        r.keep(x)?;
        layout::check(x, pointer);
        Ok(Object(x))
    }
}

/// A virtual vector of the elements of `source`, of R's type `kind`. `keep` is an R object that stays as long as the source is in use.
///
/// # Errors
/// A type whose vectors cannot be virtual; more elements than R's vectors have.
pub fn new(r: R, kind: SexpType, len: u64, source: Arc<dyn Source>, keep: Sexp) -> Result<Sexp> {
    by_element!(kind, E => Made::new::<E>(source, len, keep)?.object::<E>(r).map(|x| Sexp(x.0)), Err(not_a_vector()))
}

/// Whether `x` is a virtual vector that was shared, and is as it was then.
pub(crate) fn is_shared(x: Sexp) -> bool {
    Object::find(x.0).is_some_and(|x| x.get().is_shared() && !x.get().is_changed())
}

/// Whether `x` is a virtual vector.
pub fn is_virtual(x: Sexp) -> bool {
    Object::find(x.0).is_some()
}

/// What R's long vectors can have.
const LONGEST: u64 = 1 << 52;

fn shape_of<E: Element>(len: u64) -> Shape {
    let mut missing = [0; 16];
    let na = E::na();
    // SAFETY: an element is plain bytes, at most 16, without padding.
    unsafe { std::ptr::copy_nonoverlapping((&raw const na).cast::<u8>(), missing.as_mut_ptr(), size_of::<E::C>()) };
    Shape { len, width: size_of::<E::C>(), missing }
}

fn not_a_vector() -> Failure {
    Failure::new("argument", "a virtual vector must be of type logical, integer, double, complex or raw")
}

impl Virtual {
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.shape.len
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    /// Whether its author's own functions have a say: they know nothing of what was written to it.
    fn asks_author(&self) -> bool {
        self.source.has_hooks() && !self.is_changed()
    }

    /// Whether it holds anything that its source does not give.
    pub(crate) fn is_changed(&self) -> bool {
        self.pointer.is_changed()
    }

    /// The elements from `start` on, into all of `out`: R's thread.
    fn read(&self, start: u64, out: &mut [u8]) -> Result<()> {
        self.check()?;
        self.pointer.read(self.shape.width, start, out).map_err(|error| self.failure(start, out.len(), error))
    }

    /// Offers what was written to the source, if it takes such. What it does not take stays with the vector.
    ///
    /// # Errors
    /// R is jumping.
    fn flush(&self) -> Result<()> {
        if !self.source.stores() {
            return Ok(());
        }
        match self.pointer.flush(&*self.source) {
            Err(FillError::Host) => Err(Failure::Jump),
            _ => Ok(()),
        }
    }

    /// The error of elements that cannot be made.
    #[cold]
    fn failure(&self, start: u64, bytes: usize, error: FillError) -> Failure {
        let FillError::Failed(why) = error else { return Failure::Jump };
        let n = (bytes / self.shape.width) as u64;
        let which = if n == 1 {
            format!("element {} of a virtual vector ({}) cannot", start + 1, self.source.describe())
        } else {
            format!(
                "elements {} to {} of a virtual vector ({}) cannot all",
                start + 1,
                start + n,
                self.source.describe()
            )
        };
        Failure::new("generator", format!("{which} be made: {why}"))
    }

    /// An error if, since the last look, somebody who has the pointer was given missing values in place of what could not be made.
    fn check(&self) -> Result<()> {
        match self.pointer.take_failure() {
            None => Ok(()),
            Some(why) => Err(Failure::new(
                "generator",
                format!(
                    "a virtual vector ({}) could not make elements that were read through its pointer, and they were NA there: {why}",
                    self.source.describe()
                ),
            )),
        }
    }
}

impl Drop for Virtual {
    fn drop(&mut self) {
        // There is nobody to tell of a failure. R's own thread is in the collector.
        if self.source.is_any_thread() {
            let _ = self.flush();
        }
    }
}

fn pager_failure(error: cowshed_core::PagerError) -> Failure {
    Failure::new(
        if matches!(error, cowshed_core::PagerError::Spill { .. }) { "full" } else { "pointer" },
        error.to_string(),
    )
}

/// Reads elements of any vector of this type, from `start` on, into all of `out`, without expanding an ALTREP.
fn read_region<E: Element>(r: R, x: SEXP, start: u64, out: &mut [u8]) -> Result<()> {
    let n = out.len() / size_of::<E::C>();
    let place = out.as_mut_ptr().cast::<E::C>();
    let mut done = 0;
    while done < n {
        let (i, left) = (start as R_xlen_t + done as R_xlen_t, (n - done) as R_xlen_t);
        // SAFETY: a vector of this type, elements within it, and room for as many.
        let got = call(r, || unsafe { E::region(x, i, left, place.add(done)) })?;
        if !(1..=left).contains(&got) {
            return Err(Failure::new("generator", format!("the vector that was read gave {got} of {left} elements")));
        }
        done += got as usize;
    }
    Ok(())
}

/// Runs a generator's code, where a panic is a failure of it.
fn unpanicked(body: impl FnOnce() -> std::result::Result<(), FillError>) -> std::result::Result<(), FillError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body))
        .unwrap_or_else(|panic| Err(FillError::Failed(format!("its generator panicked: {}", boundary::text(&*panic)))))
}

/// Names of our classes, by R's number of their type.
fn class_name(kind: SexpType) -> &'static CStr {
    match kind {
        sys::RAWSXP => c"cowshed_virtual_raw",
        sys::LGLSXP => c"cowshed_virtual_logical",
        sys::INTSXP => c"cowshed_virtual_integer",
        sys::REALSXP => c"cowshed_virtual_double",
        _ => c"cowshed_virtual_complex",
    }
}
