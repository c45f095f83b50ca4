//! `a * x + b` of another vector.

use cowshed_plugins::prelude::*;

use crate::{parts, refused};

/// - If `x` lies in memory, any thread makes the elements, and there is a pointer to them like to those of any generator.
/// - If it does not (it is virtual itself, or another package's), R makes them: its own code may run then.
struct Linear<E> {
    x: Vector<E>,
    a: f64,
    b: f64,
}

/// `a * x + b`, doubles, without the attributes of `x`.
///
/// # Errors
/// `x` is no numeric vector; `a` or `b` is no number.
pub fn linear(r: R, x: Sexp, a: Sexp, b: Sexp) -> Result<Sexp> {
    let number = |name: &str, x: Sexp| match x.as_number(r)? {
        Some(number) => Ok(number),
        None => Err(refused(format!("`{name}` must be one number, not {}", x.shown(r)))),
    };
    let (a, b) = (number("a", a)?, number("b", b)?);
    match x.kind() as u8 {
        kind::LOGICAL => Linear::<Logical> { x: Vector::new(r, x)?, a, b }.vector(r),
        kind::INTEGER => Linear::<i32> { x: Vector::new(r, x)?, a, b }.vector(r),
        kind::DOUBLE => Linear::<f64> { x: Vector::new(r, x)?, a, b }.vector(r),
        _ => Err(refused(format!("`x` must be a logical, integer or double vector, not {}", x.shown(r)))),
    }
}

inventory::submit!(VirtualKind::of::<Linear<f64>>());

/// What is a number as R computes with it.
trait Number: Element {
    fn number(self) -> f64;
}

impl Number for f64 {
    fn number(self) -> f64 {
        self
    }
}

impl Number for i32 {
    fn number(self) -> f64 {
        if self == i32::na() { f64::na() } else { self.into() }
    }
}

impl Number for Logical {
    fn number(self) -> f64 {
        self.get().map_or(f64::na(), f64::from)
    }
}

/// Elements of `x` that are read at a time.
const BLOCK: usize = 1024;

impl<E: Number> Linear<E> {
    /// Makes elements of those that `read` gives.
    fn make<T>(
        &self,
        start: u64,
        out: &mut [f64],
        mut read: impl FnMut(u64, &mut [E]) -> std::result::Result<(), T>,
    ) -> std::result::Result<(), T> {
        let mut block = [E::default(); BLOCK];
        for (out, at) in out.chunks_mut(BLOCK).zip((start..).step_by(BLOCK)) {
            let block = &mut block[..out.len()];
            read(at, block)?;
            for (place, x) in out.iter_mut().zip(block) {
                *place = self.a * x.number() + self.b;
            }
        }
        Ok(())
    }
}

impl<E: Number> Virtual for Linear<E> {
    type Element = f64;
    const DESCRIPTION: &'static str = "a * x + b";
    const NAME: Option<&'static str> = Some("cowshed.linear");

    fn length(&self) -> u64 {
        self.x.len()
    }

    fn fill(&self, start: u64, out: &mut [f64]) -> Filled {
        self.make(start, out, |at, block| {
            self.x.read(at, block);
            Ok(())
        })
    }

    fn needs_r(&self) -> bool {
        !self.x.is_in_memory()
    }

    fn fill_in_r(&self, r: R, start: u64, out: &mut [f64]) -> Result<()> {
        self.make(start, out, |at, block| self.x.read_in_r(r, at, block))
    }

    fn recipe(&self, r: R) -> Result<Sexp> {
        r.list(3, |i| match i {
            0 => Ok(self.x.get(r)),
            1 => r.number(self.a),
            _ => r.number(self.b),
        })
    }

    fn restore(r: R, recipe: Sexp) -> Result<Sexp> {
        let [x, a, b] = parts(r, recipe)?;
        linear(r, x, a, b)
    }
}
