//! `from`, `from + by`, `from + 2 * by`, ...

use cowshed_plugins::prelude::*;

use crate::{count, damaged, refused};

const BLOCK: usize = 1 << 16;

/// Numbers at equal distances.
struct Sequence<E> {
    from: E,
    by: E,
    length: u64,
}

/// A sequence of integers, if `integers`, or of doubles.
///
/// # Errors
/// `from` or `by` is no finite number, or not whole; integers that R does not have.
pub fn sequence(r: R, from: Sexp, by: Sexp, length: Sexp, integers: bool) -> Result<Sexp> {
    let number = |name: &str, x: Sexp| {
        let number = x.as_number(r)?.filter(|n| n.is_finite() && (!integers || n.fract() == 0.0));
        let what = if integers { "whole" } else { "finite" };
        number.ok_or_else(|| refused(format!("`{name}` must be one {what} number, not {}", x.shown(r))))
    };
    let (from, by, length) = (number("from", from)?, number("by", by)?, count(r, "length", length)?);
    if !integers {
        return Sequence { from, by, length }.vector(r);
    }
    let last = from + by * length.saturating_sub(1) as f64;
    let fits = |n: f64| n.abs() <= f64::from(i32::MAX);
    if length > 0 && !(fits(from) && fits(last)) {
        return Err(refused(format!(
            "integers from {from} to {last} are more than R's have room for; use type = \"double\""
        )));
    }
    // A step that leads beyond is never made.
    let by = if fits(by) { by as i32 } else { 0 };
    Sequence { from: from as i32, by, length }.vector(r)
}

inventory::submit!(VirtualKind::of::<Sequence<f64>>());

/// The two types that have sequences.
trait Number: Element + PartialOrd {
    /// `from + by * (first + k)`.
    fn at(from: Self, by: Self, first: u64, k: i32) -> Self;
    fn number(self) -> f64;
}

impl Number for f64 {
    fn at(from: f64, by: f64, first: u64, k: i32) -> f64 {
        from + by * (first as f64 + f64::from(k))
    }

    fn number(self) -> f64 {
        self
    }
}

impl Number for i32 {
    fn at(from: i32, by: i32, first: u64, k: i32) -> i32 {
        from.wrapping_add(by.wrapping_mul((first as i32).wrapping_add(k)))
    }

    fn number(self) -> f64 {
        self.into()
    }
}

impl<E: Number> Virtual for Sequence<E> {
    type Element = E;
    const DESCRIPTION: &'static str = "a sequence";
    const NAME: Option<&'static str> = Some("cowshed.sequence");

    fn length(&self) -> u64 {
        self.length
    }

    fn fill(&self, start: u64, out: &mut [E]) -> Filled {
        // Within a block a number of 32 bits counts: that the processor turns into several doubles at once.
        for (block, first) in out.chunks_mut(BLOCK).zip((start..).step_by(BLOCK)) {
            for (place, k) in block.iter_mut().zip(0..) {
                *place = E::at(self.from, self.by, first, k);
            }
        }
        Ok(())
    }

    fn facts(&self) -> Facts {
        let (increasing, decreasing) = (self.by >= E::default(), self.by <= E::default());
        Facts { no_na: true, increasing, decreasing }
    }

    fn recipe(&self, r: R) -> Result<Sexp> {
        r.list(4, |i| match i {
            0 => r.number(self.from.number()),
            1 => r.number(self.by.number()),
            2 => r.number(self.length as f64),
            _ => r.logical(E::KIND == kind::INTEGER),
        })
    }

    fn restore(r: R, recipe: Sexp) -> Result<Sexp> {
        let [from, by, length, integers] = crate::parts(r, recipe)?;
        sequence(r, from, by, length, integers.as_flag(r)?.ok_or_else(damaged)?)
    }
}
