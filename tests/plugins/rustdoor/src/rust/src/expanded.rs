//! A vector of runs as a virtual vector: all its elements, each made when it is read.

use cowshed_plugins::prelude::*;

/// Values, and the positions of the last element of each run.
struct Expanded {
    values: Vector<f64>,
    ends: Vector<i32>,
}

inventory::submit!(VirtualKind::of::<Expanded>());

impl Virtual for Expanded {
    type Element = f64;
    const DESCRIPTION: &'static str = "runs";
    const NAME: Option<&'static str> = Some("rustdoor.expanded");

    fn length(&self) -> u64 {
        self.ends.len().checked_sub(1).map_or(0, |last| self.ends.at(last) as u64)
    }

    fn fill(&self, start: u64, out: &mut [f64]) -> Filled {
        let (mut run, mut above) = (0, self.ends.len());
        while run < above {
            let middle = (run + above) / 2;
            if self.ends.at(middle) as u64 <= start { run = middle + 1 } else { above = middle }
        }
        for (place, i) in out.iter_mut().zip(start..) {
            if self.ends.at(run) as u64 <= i {
                run += 1;
            }
            *place = self.values.at(run);
        }
        Ok(())
    }

    fn recipe(&self, r: R) -> Result<Sexp> {
        r.list(2, |i| Ok(if i == 0 { self.values.get(r) } else { self.ends.get(r) }))
    }

    fn restore(r: R, recipe: Sexp) -> Result<Sexp> {
        expanded(r, recipe.element(r, 0)?, recipe.element(r, 1)?)
    }
}

fn expanded(r: R, values: Sexp, ends: Sexp) -> Result<Sexp> {
    let (values, ends) = (Vector::in_memory(r, values)?, Vector::<i32>::in_memory(r, ends)?);
    let increase = (1..ends.len()).all(|i| ends.at(i - 1) < ends.at(i));
    if values.len() != ends.len() || !increase || (!ends.is_empty() && ends.at(0) < 1) {
        return Err(Failure::new("argument", "it is not what runs() makes"));
    }
    Expanded { values, ends }.vector(r)
}

cowshed_plugins::routines! {
    /// Of the two parts of a vector of runs.
    fn rustdoor_expanded(r, values, ends) {
        expanded(r, values, ends)
    }
}
