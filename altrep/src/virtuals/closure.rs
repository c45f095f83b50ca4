//! Elements that an R function makes: `function(offset, length)`, which gives `length` elements after the first `offset`.
//!
//! It runs on R's thread, where R's hooks ask for elements, and nowhere else: never while a page is waited for.

use std::sync::Arc;

use cowshed_core::{FillError, Generator};

use super::recipe::{self, Recipe};
use super::source::Source;
use crate::boundary::{Failure, R, Result, call, is_r_thread, outcome};
use crate::element::Element;
use crate::sexp::Sexp;
use crate::sys::{self, SEXP, SexpType};
use crate::{by_element, door};

struct Function {
    /// Kept by every vector of it.
    function: SEXP,
    kind: SexpType,
    len: u64,
}

// SAFETY: `fill` looks first whether it is on R's thread; the other functions are called there alone.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// A virtual vector whose elements `function` makes.
///
/// # Errors
/// A type whose vectors cannot be virtual; more elements than R's vectors have.
pub fn of_function(r: R, function: Sexp, kind: SexpType, len: u64) -> Result<Sexp> {
    super::new(r, kind, len, Arc::new(Function { function: function.0, kind, len }), function)
}

/// The vector of a recipe.
pub(super) fn restore(r: R, state: Sexp) -> Result<Sexp> {
    let bad = || recipe::damaged("it is not one of an R function");
    if state.kind() != sys::VECSXP || state.len(r)? != 3 {
        return Err(bad());
    }
    let kind = state.element(r, 1)?.as_number(r)?.ok_or_else(bad)?;
    let len = state.element(r, 2)?.as_number(r)?.ok_or_else(bad)?;
    of_function(r, state.element(r, 0)?, kind as SexpType, len as u64)
}

impl Generator for Function {
    fn fill(&self, start: u64, out: &mut [u8]) -> std::result::Result<(), FillError> {
        if !is_r_thread() {
            return Err(FillError::Failed("its R function was asked on another thread than R's".to_owned()));
        }
        let filled =
            by_element!(self.kind, E => outcome(|r| self.fill_as::<E>(r, start, out)), Err(super::not_a_vector()));
        filled.map_err(|failure| match failure {
            Failure::Error { message, .. } => FillError::Failed(message),
            Failure::Jump => FillError::Host,
        })
    }

    fn is_any_thread(&self) -> bool {
        false
    }
}

impl Function {
    fn fill_as<E: Element>(&self, r: R, start: u64, out: &mut [u8]) -> Result<()> {
        let n = out.len() / size_of::<E::C>();
        let (function, offset, length) = (self.function, start as f64, n as f64);
        let value = call(r, || {
            // SAFETY: a function that the vector keeps; arguments are protected while the call is made and evaluated.
            unsafe {
                let length = sys::Rf_cons(sys::Rf_protect(sys::Rf_ScalarReal(length)), sys::R_NilValue);
                let arguments = sys::Rf_protect(length);
                let arguments = sys::Rf_cons(sys::Rf_protect(sys::Rf_ScalarReal(offset)), arguments);
                let expression = sys::Rf_protect(sys::Rf_lcons(function, sys::Rf_protect(arguments)));
                let value = sys::Rf_eval(expression, sys::R_GlobalEnv);
                sys::Rf_unprotect(5);
                value
            }
        })?;
        r.keep(value)?;
        let value = as_kind::<E>(r, Sexp(value))?;
        let got = value.len(r)?;
        if got != n {
            return Err(Failure::new(
                "generator",
                format!("get_region() gave {got} elements where {n} were asked for"),
            ));
        }
        super::read_region::<E>(r, value.0, 0, out)
    }
}

/// A value as this type, if that loses nothing.
fn as_kind<E: Element>(r: R, value: Sexp) -> Result<Sexp> {
    const ORDER: [SexpType; 4] = [sys::LGLSXP, sys::INTSXP, sys::REALSXP, sys::CPLXSXP];
    let rank = |kind| ORDER.iter().position(|k| *k == kind);
    match (rank(value.kind()), rank(E::TYPE)) {
        _ if value.kind() == E::TYPE => Ok(value),
        (Some(from), Some(to)) if from < to => {
            // SAFETY: a vector.
            let coerced = call(r, || unsafe { sys::Rf_coerceVector(value.0, E::TYPE) })?;
            r.keep(coerced).map(Sexp)
        }
        _ => {
            let (got, wanted) = (value.class(r)?, door::type_name(E::TYPE as u8));
            Err(Failure::new("generator", format!("get_region() gave {got}, and the vector is of type {wanted}")))
        }
    }
}

impl Source for Function {
    fn generator(self: Arc<Self>) -> Arc<dyn Generator> {
        self
    }

    fn describe(&self) -> String {
        "an R function".to_owned()
    }

    fn has_recipe(&self) -> bool {
        true
    }

    fn recipe(&self, r: R, _: Sexp) -> Result<Option<Recipe>> {
        let state = r.list(3, |i| match i {
            0 => Ok(Sexp(self.function)),
            1 => r.number(f64::from(self.kind)),
            _ => r.number(self.len as f64),
        })?;
        Ok(Some(Recipe::new(recipe::FUNCTION, state)))
    }
}
