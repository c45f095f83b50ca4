//! One value, again and again.

use cowshed_plugins::prelude::*;

use crate::{count, parts, refused};

struct Constant<E> {
    value: E,
    length: u64,
}

/// `length` times `value`, a vector of one element.
///
/// # Errors
/// `value` is of another type or length.
pub fn constant(r: R, value: Sexp, length: Sexp) -> Result<Sexp> {
    let length = count(r, "length", length)?;
    by_type!(value.kind(), E => match Vector::<E>::in_memory(r, value)? {
        one if one.len() == 1 => Constant { value: one.at(0), length }.vector(r),
        _ => Err(wrong(r, value)),
    }, Err(wrong(r, value)))
}

fn wrong(r: R, value: Sexp) -> Failure {
    refused(format!("`value` must be one raw, logical, integer, double or complex value, not {}", value.shown(r)))
}

inventory::submit!(VirtualKind::of::<Constant<f64>>());

impl<E: Element> Virtual for Constant<E> {
    type Element = E;
    const DESCRIPTION: &'static str = "a constant";
    const NAME: Option<&'static str> = Some("cowshed.constant");

    fn length(&self) -> u64 {
        self.length
    }

    fn fill(&self, _: u64, out: &mut [E]) -> Filled {
        out.fill(self.value);
        Ok(())
    }

    fn facts(&self) -> Facts {
        Facts::of([self.value])
    }

    fn recipe(&self, r: R) -> Result<Sexp> {
        r.list(2, |i| if i == 0 { r.vector(&[self.value]) } else { r.number(self.length as f64) })
    }

    fn restore(r: R, recipe: Sexp) -> Result<Sexp> {
        let [value, length] = parts(r, recipe)?;
        constant(r, value, length)
    }
}
