//! Runs of equal values, as rle() finds them.

use cowshed_plugins::prelude::*;

use crate::{LONGEST, parts, refused};

/// Each value as often as its length says.
struct Runs<E> {
    values: Vector<E>,
    /// For the recipe.
    lengths: Kept,
    /// Where each run ends: how many elements there are up to there.
    ends: Vec<u64>,
}

/// The vector of `lengths`, whole numbers, and as many `values`. Both may be shared vectors: another process then has them by reference.
///
/// # Errors
/// They are no such vectors, or more elements than R's vectors have.
pub fn runs(r: R, lengths: Sexp, values: Sexp) -> Result<Sexp> {
    let ends = ends(r, lengths)?;
    by_type!(values.kind(), E => {
        let values = Vector::<E>::in_memory(r, values)?;
        if values.len() != ends.len() as u64 {
            return Err(refused(format!("`values` must be as many as `lengths`, {}, not {}", ends.len(), values.len())));
        }
        Runs { values, lengths: Kept::new(r, lengths)?, ends }.vector(r)
    }, Err(refused(format!("`values` must be a raw, logical, integer, double or complex vector, not {}", values.shown(r)))))
}

/// Cumulative sums of lengths.
fn ends(r: R, lengths: Sexp) -> Result<Vec<u64>> {
    let lengths: Vec<f64> = match lengths.kind() as u8 {
        kind::INTEGER => {
            lengths.elements::<element::Integer>(r)?.unwrap_or_default().into_iter().map(f64::from).collect()
        }
        kind::DOUBLE => lengths.elements::<element::Double>(r)?.unwrap_or_default(),
        _ => return Err(refused(format!("`lengths` must be whole numbers, not {}", lengths.shown(r)))),
    };
    let mut end = 0;
    let mut ends = Vec::with_capacity(lengths.len());
    for (i, length) in lengths.into_iter().enumerate() {
        if length.fract() != 0.0 || !(0.0..=LONGEST as f64).contains(&length) {
            let shown =
                if length == f64::from(i32::MIN) || length.is_nan() { "NA".to_owned() } else { length.to_string() };
            return Err(refused(format!("`lengths` must be whole numbers of 0 or more; element {} is {shown}", i + 1)));
        }
        end += length as u64;
        if end > LONGEST {
            return Err(refused("`lengths` are more than 2^52 in all, which no vector of R's can have"));
        }
        ends.push(end);
    }
    Ok(ends)
}

inventory::submit!(VirtualKind::of::<Runs<f64>>());

impl<E: Element> Virtual for Runs<E> {
    type Element = E;
    const DESCRIPTION: &'static str = "runs";
    const NAME: Option<&'static str> = Some("cowshed.runs");

    fn length(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    fn fill(&self, start: u64, out: &mut [E]) -> Filled {
        let mut run = self.ends.partition_point(|end| *end <= start);
        let (mut at, mut rest) = (start, out);
        while !rest.is_empty() {
            let n = (self.ends[run] - at).min(rest.len() as u64);
            let (now, later) = rest.split_at_mut(n as usize);
            now.fill(self.values.at(run as u64));
            (at, rest, run) = (at + n, later, run + 1);
        }
        Ok(())
    }

    fn facts(&self) -> Facts {
        // A value whose run has no elements may be anything.
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        let there = begins.zip(&self.ends).zip(0..).filter(|((begin, end), _)| begin < *end);
        Facts::of(there.map(|(_, i)| self.values.at(i)))
    }

    fn recipe(&self, r: R) -> Result<Sexp> {
        r.list(2, |i| Ok(if i == 0 { self.lengths.get(r) } else { self.values.get(r) }))
    }

    fn restore(r: R, recipe: Sexp) -> Result<Sexp> {
        let [lengths, values] = parts(r, recipe)?;
        runs(r, lengths, values)
    }
}
