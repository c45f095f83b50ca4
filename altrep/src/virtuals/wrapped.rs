//! `wrap_altrep(x)`: another R vector, with a pointer whose pages are made on first touch.
//!
//! - R's sequences, and vectors that lie in memory (plain ones, shared ones) are read from any thread.
//! - Any other vector without a pointer is read by R's thread alone, as `x` itself would be.
//! - `x` stays as it is: what is written belongs to the new vector.

use std::sync::Arc;

use cowshed_core::{FillError, Generator};

use super::recipe::{self, Recipe};
use super::source::{Facts, Source};
use super::{Object, new};
use crate::boundary::{Failure, R, Result, call, is_r_thread, outcome};
use crate::sexp::Sexp;
use crate::sys::{self, SEXP, SexpType};
use crate::{by_element, object};

/// Where the elements are.
enum Place {
    /// `first`, `first + step`, ...
    Sequence { first: f64, step: f64 },
    /// In memory, as long as the vector is kept.
    Memory(*const u8),
    /// R's hooks say.
    Hooks,
}

struct Wrapped {
    /// Kept by every vector of it.
    x: SEXP,
    kind: SexpType,
    place: Place,
}

// SAFETY: sequences are numbers; memory is only read, and kept by the vectors of it; `fill` asks R's hooks on R's thread alone.
unsafe impl Send for Wrapped {}
// SAFETY: as above.
unsafe impl Sync for Wrapped {}

/// A virtual vector of the elements of `x`, with its attributes; `x` itself if it is one.
///
/// # Errors
/// Not a logical, integer or double vector.
pub fn wrap(r: R, x: Sexp) -> Result<Sexp> {
    if !matches!(x.kind(), sys::LGLSXP | sys::INTSXP | sys::REALSXP) {
        let what = x.class(r)?;
        return Err(Failure::new(
            "argument",
            format!("`x` must be a logical, integer or double vector, not {what}; other types cannot be wrapped"),
        ));
    }
    if Object::find(x.0).is_some() {
        return Ok(x);
    }
    let wrapped = around(r, x)?;
    // SAFETY: R objects.
    call(r, || unsafe { sys::SHALLOW_DUPLICATE_ATTRIB(wrapped.0, x.0) })?;
    Ok(wrapped)
}

fn around(r: R, x: Sexp) -> Result<Sexp> {
    let inner = unwrapped(x);
    if Object::find(inner.0).is_some() {
        return Ok(Sexp(Object::find(inner.0).map_or(Ok(inner.0), |of| of.again(r).map(Object::sexp))?));
    }
    let len = inner.len(r)? as u64;
    // R duplicates it from now on before it writes.
    // SAFETY: an R object.
    unsafe { sys::MARK_NOT_MUTABLE(inner.0) };
    let place = place(r, inner)?;
    new(r, inner.kind(), len, Arc::new(Wrapped { x: inner.0, kind: inner.kind(), place }), inner)
}

/// What R's wrapper is around.
fn unwrapped(x: Sexp) -> Sexp {
    match class_of(x).as_deref() {
        // SAFETY: an ALTREP of R's, whose data1 is the vector.
        Some("wrap_real" | "wrap_integer" | "wrap_logical") => Sexp(unsafe { sys::R_altrep_data1(x.0) }),
        _ => x,
    }
}

/// The name of an ALTREP class of R's own.
fn class_of(x: Sexp) -> Option<String> {
    if !x.is_altrep() {
        return None;
    }
    // SAFETY: an ALTREP has its class for a tag, whose attribute is a pairlist of three: name, package, type.
    let about = unsafe { sys::ATTRIB(sys::TAG(x.0)) };
    // SAFETY: an R object; then a pairlist.
    let (name, package) = unsafe {
        if sys::TYPEOF(about) as SexpType != sys::LISTSXP {
            return None;
        }
        (sys::CAR(about), sys::CAR(sys::CDR(about)))
    };
    let text = |symbol: SEXP| {
        // SAFETY: R objects; a symbol's name is a C string.
        unsafe {
            (sys::TYPEOF(symbol) as SexpType == sys::SYMSXP)
                .then(|| std::ffi::CStr::from_ptr(sys::R_CHAR(sys::PRINTNAME(symbol))).to_string_lossy().into_owned())
        }
    };
    text(package).filter(|package| package == "base").and(text(name))
}

fn place(r: R, x: Sexp) -> Result<Place> {
    if !x.is_altrep() || object::Object::find(x.0).is_some() {
        // SAFETY: a vector.
        return Ok(Place::Memory(call(r, || unsafe { sys::DATAPTR_RO(x.0) })?.cast()));
    }
    if let Some("compact_intseq" | "compact_realseq") = class_of(x).as_deref() {
        // SAFETY: an ALTREP of R's: data1 is three doubles (length, first, step), data2 the expanded vector, or NULL.
        let (data, expanded) = unsafe { (sys::R_altrep_data1(x.0), sys::R_altrep_data2(x.0)) };
        // SAFETY: R objects.
        let known = unsafe {
            sys::TYPEOF(data) as SexpType == sys::REALSXP && sys::Rf_xlength(data) == 3 && expanded == sys::R_NilValue
        };
        if known {
            // SAFETY: three doubles.
            let [_, first, step] = unsafe { *sys::REAL(data).cast::<[f64; 3]>() };
            return Ok(Place::Sequence { first, step });
        }
    }
    Ok(Place::Hooks)
}

/// The vector of a recipe.
pub(super) fn restore(r: R, state: Sexp) -> Result<Sexp> {
    if state.kind() != sys::VECSXP || state.len(r)? != 1 {
        return Err(recipe::damaged("it is not one of a vector"));
    }
    wrap(r, state.element(r, 0)?)
}

impl Generator for Wrapped {
    fn fill(&self, start: u64, out: &mut [u8]) -> std::result::Result<(), FillError> {
        match self.place {
            Place::Sequence { first, step } => {
                // Both numbers are exact, and a small integer becomes a double several at a time.
                let (from, value) = (start as f64, |from: f64, k: u32| first + step * (from + f64::from(k as i32)));
                let parts = out.chunks_mut(1 << 20).zip(0u64..);
                for (part, number) in parts {
                    if self.kind == sys::REALSXP {
                        let from = from + (number << 17) as f64;
                        let places = part.chunks_exact_mut(8).zip(0..);
                        places.for_each(|(place, k)| place.copy_from_slice(&value(from, k).to_ne_bytes()));
                    } else {
                        let from = from + (number << 18) as f64;
                        let places = part.chunks_exact_mut(4).zip(0..);
                        places.for_each(|(place, k)| place.copy_from_slice(&(value(from, k) as i32).to_ne_bytes()));
                    }
                }
                Ok(())
            }
            Place::Memory(data) => {
                let width = if self.kind == sys::REALSXP { 8 } else { 4 };
                // SAFETY: elements within the vector, which is kept, and which R does not write to.
                unsafe {
                    std::ptr::copy_nonoverlapping(data.add(start as usize * width), out.as_mut_ptr(), out.len());
                }
                Ok(())
            }
            Place::Hooks if is_r_thread() => {
                let read = |r: R| by_element!(self.kind, E => super::read_region::<E>(r, self.x, start, out), Err(super::not_a_vector()));
                outcome(read).map_err(|failure| match failure {
                    Failure::Error { message, .. } => FillError::Failed(message),
                    Failure::Jump => FillError::Host,
                })
            }
            Place::Hooks => Err(FillError::Failed("it was asked on another thread than R's".to_owned())),
        }
    }

    fn is_any_thread(&self) -> bool {
        !matches!(self.place, Place::Hooks)
    }
}

impl Source for Wrapped {
    fn generator(self: Arc<Self>) -> Arc<dyn Generator> {
        self
    }

    fn describe(&self) -> String {
        match self.place {
            Place::Sequence { .. } => "a wrapped sequence",
            Place::Memory(_) => "a wrapped vector",
            Place::Hooks => "a wrapped vector of another package's",
        }
        .to_owned()
    }

    fn facts(&self) -> Facts {
        match self.place {
            Place::Sequence { step, .. } => Facts { sorted: if step > 0.0 { 1 } else { -1 }, no_na: true },
            _ => Facts::default(),
        }
    }

    fn has_recipe(&self) -> bool {
        // Attributes would travel twice.
        // SAFETY: an R object, and a constant of R's.
        unsafe { sys::ATTRIB(self.x) == sys::R_NilValue }
    }

    fn recipe(&self, r: R, _: Sexp) -> Result<Option<Recipe>> {
        Ok(Some(Recipe::new(recipe::VECTOR, r.list(1, |_| Ok(Sexp(self.x)))?)))
    }
}
