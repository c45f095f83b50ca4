//! Virtual vectors: what an author implements, and how it is registered.

use std::os::fd::BorrowedFd;

use cowshed_altrep::door::abi;
use cowshed_altrep::{Failure, R, Result, Sexp, inventory};

use crate::element::Element;

/// What makes elements: why it cannot, in words, for the message of an R error.
pub type Filled = std::result::Result<(), String>;

/// A vector whose elements are made when they are read.
///
/// - [`Virtual::fill`] runs on any thread, on several at once, and without R. What needs R says so ([`Virtual::needs_r`]).
/// - An `Err` or a panic is an R error, or NA for whoever reads through a pointer; R lives on.
/// - What it keeps of R's it keeps as [`crate::Vector`] or [`crate::Kept`].
pub trait Virtual: Send + Sync + Sized + 'static {
    /// What its elements are: `f64`, `i32`, `u8` (raw), [`crate::Logical`], [`crate::Complex`].
    type Element: Element;

    /// What it is, in a few words, for messages.
    const DESCRIPTION: &'static str;

    /// The package's name, a dot, and a name without dots: "mypkg.thing", if there is a recipe. It tells another process which package to load. A vector
    /// without is sent as its elements.
    const NAME: Option<&'static str> = None;

    /// Whether [`Virtual::store`] takes what is written.
    const STORES: bool = false;

    /// Whether [`Virtual::subset`], [`Virtual::duplicate`] or [`Virtual::coerce`] is its own.
    const HOOKS: bool = false;

    /// How many elements it has.
    fn length(&self) -> u64;

    /// Writes the elements from number `start` (from 0 on) to `out`, all of it. They are never beyond the end. The same elements come out whenever they are
    /// asked for.
    ///
    /// # Errors
    /// They cannot be made, and why.
    fn fill(&self, start: u64, out: &mut [Self::Element]) -> Filled;

    /// What is known of the elements without making them. Asked once, and not believed of one that stores.
    fn facts(&self) -> Facts {
        Facts::default()
    }

    /// Whether [`Virtual::fill_in_r`] makes the elements, and not [`Virtual::fill`]. A pointer to them is one to a copy of all then. Asked once.
    fn needs_r(&self) -> bool {
        false
    }

    /// The same as [`Virtual::fill`] on R's thread.
    ///
    /// # Errors
    /// Any, R's own too.
    fn fill_in_r(&self, r: R, start: u64, out: &mut [Self::Element]) -> Result<()> {
        let _ = r;
        self.fill(start, out).map_err(|why| Failure::new("generator", why))
    }

    /// Takes elements that were written. If it fails, they are kept for the vector. It runs as `fill` does; elements go and come in any order.
    ///
    /// # Errors
    /// They cannot be taken.
    fn store(&self, start: u64, elements: &[Self::Element]) -> Filled {
        let _ = (start, elements);
        Err("it does not store".to_owned())
    }

    /// The file in which all elements lie, from this byte on, just as they are in memory. A pointer to them is a private mapping of it then: what is
    /// written there is the vector's own.
    fn file(&self) -> Option<(BorrowedFd<'_>, u64)> {
        None
    }

    /// An R object of which [`Virtual::restore`] makes the vector in another process. Asked only if there is a name.
    ///
    /// # Errors
    /// Any.
    fn recipe(&self, r: R) -> Result<Sexp> {
        let _ = r;
        Err(Failure::new("plugin", format!("{} has a name, but no recipe", Self::DESCRIPTION)))
    }

    /// The vector of a recipe, from [`Virtual::vector`]. The recipe may be damaged.
    ///
    /// # Errors
    /// Any.
    fn restore(r: R, recipe: Sexp) -> Result<Sexp> {
        let _ = (r, recipe);
        Err(Failure::new("plugin", format!("{} has a name, but cannot be restored", Self::DESCRIPTION)))
    }

    /// `x[index]`, where `x` is the vector. Subscripts are numbers from 1 on, or NA, or beyond the end. `None`: as for every virtual vector.
    ///
    /// # Errors
    /// Any.
    fn subset(&self, r: R, x: Sexp, index: Sexp) -> Result<Option<Sexp>> {
        let _ = (r, x, index);
        Ok(None)
    }

    /// A vector that is `x` again, and can be written to. `None`: as for every virtual vector.
    ///
    /// # Errors
    /// Any.
    fn duplicate(&self, r: R, x: Sexp) -> Result<Option<Sexp>> {
        let _ = (r, x);
        Ok(None)
    }

    /// `x` as a vector of another type ([`crate::kind`]). `None`: as for every virtual vector.
    ///
    /// # Errors
    /// Any.
    fn coerce(&self, r: R, x: Sexp, kind: u8) -> Result<Option<Sexp>> {
        let _ = (r, x, kind);
        Ok(None)
    }

    /// What `.Internal(inspect(x))` shows more of it; lines.
    fn inspect(&self) -> String {
        String::new()
    }

    /// An R vector of it.
    ///
    /// # Errors
    /// More than 2^52 elements; out of memory; cowshed is not loaded.
    fn vector(self, r: R) -> Result<Sexp> {
        crate::forward_virtuals::vector(r, self)
    }
}

/// What is known of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// None is NA.
    pub no_na: bool,
    /// None is less than the one before it.
    pub increasing: bool,
    /// None is more than the one before it.
    pub decreasing: bool,
}

impl Facts {
    /// Of elements that stand in this order, each as often as one likes.
    pub fn of<E: Element>(elements: impl IntoIterator<Item = E>) -> Facts {
        let mut facts = Facts { no_na: true, increasing: true, decreasing: true };
        let mut before = None;
        for element in elements {
            let Some(rank) = element.rank() else { return Facts::default() };
            facts.increasing &= before.is_none_or(|before| before <= rank);
            facts.decreasing &= before.is_none_or(|before| before >= rank);
            before = Some(rank);
        }
        facts
    }
}

/// The entry of a kind of virtual vectors that has a name: `inventory::submit!(VirtualKind::of::<Mine>())`.
pub struct VirtualKind(pub(crate) fn(R, &'static abi::Host) -> Result<()>);

inventory::collect!(VirtualKind);

impl VirtualKind {
    /// That of `V`. One entry is enough for a generic type: [`Virtual::restore`] may make any of them.
    pub const fn of<V: Virtual>() -> VirtualKind {
        VirtualKind(crate::forward_virtuals::register::<V>)
    }
}
