//! What a virtual vector's elements come from, as R's hooks see it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use cowshed_core::{FillError, Generator};

use super::Made;
use super::recipe::Recipe;
use crate::boundary::{R, Result};
use crate::element::Element;
use crate::sexp::Sexp;
use crate::sys::SexpType;

/// What is known of the elements without making them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// 1: increasing; -1: decreasing; 0: not known.
    pub sorted: i8,
    /// None is NA.
    pub no_na: bool,
}

/// A generator, and what it can do for R beyond making elements. All of it but [`Generator`] is called on R's thread.
///
/// The hooks are asked while nobody has written to the vector; `None` leaves it to what is done for every virtual vector.
pub trait Source: Generator + 'static {
    /// Itself, for the pager.
    fn generator(self: Arc<Self>) -> Arc<dyn Generator>;

    /// What it is, in a few words, for messages and `inspect`.
    fn describe(&self) -> String;

    /// What is known of the elements.
    fn facts(&self) -> Facts {
        Facts::default()
    }

    /// The file in which the elements lie, from this byte on, just as they are in memory.
    fn file(&self) -> Option<(BorrowedFd<'_>, u64)> {
        None
    }

    /// Whether it has a way of its own to do one of `subset`, `duplicate`, `coerce`.
    fn has_hooks(&self) -> bool {
        false
    }

    /// Whether there is a recipe.
    fn has_recipe(&self) -> bool {
        false
    }

    /// How another process makes the vector; `x` is it, or was made of it. Asked only if [`Source::has_recipe`].
    ///
    /// # Errors
    /// Those of its author.
    fn recipe(&self, r: R, x: Sexp) -> Result<Option<Recipe>> {
        let _ = (r, x);
        Ok(None)
    }

    /// `x[index]`, with R's cleaned subscripts.
    ///
    /// # Errors
    /// Those of its author.
    fn subset(&self, r: R, x: Sexp, index: Sexp) -> Result<Option<Sexp>> {
        let _ = (r, x, index);
        Ok(None)
    }

    /// A vector of the same elements that R may write to.
    ///
    /// # Errors
    /// Those of its author.
    fn duplicate(&self, r: R, x: Sexp) -> Result<Option<Sexp>> {
        let _ = (r, x);
        Ok(None)
    }

    /// The elements as another type.
    ///
    /// # Errors
    /// Those of its author.
    fn coerce(&self, r: R, x: Sexp, kind: SexpType) -> Result<Option<Sexp>> {
        let _ = (r, x, kind);
        Ok(None)
    }

    /// Whether it takes what is written ([`Generator::store`]).
    fn stores(&self) -> bool {
        false
    }

    /// As [`Generator::fill`], of elements `start`, `start + step`, ...; `None` if it has no way of its own to make them.
    fn fill_apart(&self, start: u64, step: u64, out: &mut [u8]) -> Option<std::result::Result<(), FillError>> {
        let _ = (start, step, out);
        None
    }

    /// Prints more about itself, below what `inspect` shows.
    ///
    /// # Errors
    /// Those of its author.
    fn inspect(&self, r: R, x: Sexp) -> Result<()> {
        let _ = (r, x);
        Ok(())
    }
}

/// What stands for a vector that could not be made again: every element says why.
struct Broken {
    why: String,
}

/// A vector of `len` elements none of which can be read.
pub(super) fn broken<E: Element>(r: R, len: u64, why: String) -> Result<Sexp> {
    Made::new::<E>(Arc::new(Broken { why }), len, Sexp::null())?.object::<E>(r).map(|x| Sexp(x.sexp()))
}

impl Generator for Broken {
    fn fill(&self, _: u64, _: &mut [u8]) -> std::result::Result<(), FillError> {
        Err(FillError::Failed(self.why.clone()))
    }

    fn is_any_thread(&self) -> bool {
        false
    }
}

impl Source for Broken {
    fn generator(self: Arc<Self>) -> Arc<dyn Generator> {
        self
    }

    fn describe(&self) -> String {
        "it could not be made in this process".to_owned()
    }
}
