//! Virtual vectors made of another one: places in sequence, and the elements as another type. Both stay as they are when the other is written to.

use std::ffi::c_int;
use std::sync::Arc;

use cowshed_core::{FillError, Generator, Snapshot};

use super::recipe::{Recipe, Step};
use super::source::{Facts, Source};
use super::{Made, Object};
use crate::boundary::{R, Result};
use crate::by_element;
use crate::element::{Double, Element};
use crate::sexp::Sexp;
use crate::subset::Index;
use crate::sys::{self, SexpType};

type Filled = std::result::Result<(), FillError>;

/// Bytes read at a time of the vector behind.
const BLOCK: usize = 32 << 10;
/// Up to so many elements apart, all between are read too.
const NEAR: u64 = 8;

/// Elements `first`, `first + step`, ... of another vector.
pub(super) struct Strided {
    source: Arc<dyn Source>,
    of: Snapshot,
    first: u64,
    step: i64,
    len: u64,
}

/// Elements `first`, `first + step`, ... of `x`, `len` of them; `None` if it has no such elements.
pub(super) fn part(r: R, x: Object, first: u64, step: i64, len: u64) -> Result<Option<Object>> {
    let last = i128::from(first) + i128::from(step) * (i128::from(len) - 1);
    let all = x.get().len();
    if len == 0 || step == 0 || first >= all || last < 0 || last >= i128::from(all) {
        return Ok(None);
    }
    let of = Strided { source: x.get().source.clone(), of: x.snapshot()?, first, step, len };
    made(r, x, x.kind(), Arc::new(of), len).map(Some)
}

/// The elements of `x` as another type; `None` if not every element fits it.
pub(super) fn converted(r: R, x: Object, to: SexpType) -> Result<Option<Object>> {
    let fits = matches!(
        (x.kind(), to),
        (sys::LGLSXP, sys::INTSXP | sys::REALSXP)
            | (sys::INTSXP, sys::LGLSXP | sys::REALSXP)
            | (sys::REALSXP, sys::LGLSXP)
    );
    if !fits {
        return Ok(None);
    }
    let of = Converted { source: x.get().source.clone(), of: x.snapshot()?, from: x.kind(), to };
    made(r, x, to, Arc::new(of), x.get().len()).map(Some)
}

fn made(r: R, x: Object, kind: SexpType, source: Arc<dyn Source>, len: u64) -> Result<Object> {
    let shared = x.get().is_shared();
    by_element!(kind, E => Made { shared, ..Made::new::<E>(source, len, x.keep())? }.object::<E>(r), Err(super::not_a_vector()))
}

/// The first place (from 0) and the step, if the subscripts are places of a vector of `len` in sequence.
pub(super) fn stride(index: &Index, len: u64) -> Option<(u64, i64)> {
    let (first, step, last) = index.sequence()?;
    (first as u64 <= len && last as u64 <= len).then(|| (first as u64 - 1, step))
}

impl Generator for Strided {
    fn fill(&self, start: u64, out: &mut [u8]) -> Filled {
        let width = self.of.shape().width;
        let n = out.len() / width;
        let place = |k: u64| self.first.wrapping_add_signed((k as i64).wrapping_mul(self.step));
        if self.step == 1 {
            return self.of.fill(place(start), out);
        }
        let apart = self.step.unsigned_abs();
        if n > 1 && !self.of.is_changed() {
            let low = place(start).min(place(start + n as u64 - 1));
            if let Some(filled) = self.source.fill_apart(low, apart, out) {
                if self.step < 0 {
                    reverse(out, width);
                }
                return filled;
            }
        }
        if apart > NEAR {
            return out
                .chunks_exact_mut(width)
                .zip(start..)
                .try_for_each(|(element, k)| self.of.fill(place(k), element));
        }
        let mut block = vec![0; BLOCK];
        let at_once = (BLOCK / width - 1) / apart as usize + 1;
        let mut done = 0;
        while done < n {
            let now = at_once.min(n - done);
            let (from, to) = (place(start + done as u64), place(start + (done + now) as u64 - 1));
            let low = from.min(to);
            let read = &mut block[..(from.max(to) - low + 1) as usize * width];
            self.of.fill(low, read)?;
            for k in 0..now {
                let at = (place(start + (done + k) as u64) - low) as usize * width;
                out[(done + k) * width..][..width].copy_from_slice(&read[at..at + width]);
            }
            done += now;
        }
        Ok(())
    }

    fn is_any_thread(&self) -> bool {
        self.of.is_any_thread()
    }
}

/// The last element first.
fn reverse(elements: &mut [u8], width: usize) {
    elements.reverse();
    elements.chunks_exact_mut(width).for_each(<[u8]>::reverse);
}

impl Source for Strided {
    fn generator(self: Arc<Self>) -> Arc<dyn Generator> {
        self
    }

    fn describe(&self) -> String {
        format!("part of: {}", self.source.describe())
    }

    fn facts(&self) -> Facts {
        if self.of.is_changed() {
            return Facts::default();
        }
        let Facts { sorted, no_na } = self.source.facts();
        Facts { sorted: if self.step > 0 { sorted } else { -sorted }, no_na }
    }

    fn has_recipe(&self) -> bool {
        self.source.has_recipe() && !self.of.is_changed()
    }

    fn recipe(&self, r: R, x: Sexp) -> Result<Option<Recipe>> {
        let inner = self.source.recipe(r, x)?;
        Ok(inner.map(|inner| inner.then(Step::Part { first: self.first, step: self.step, len: self.len })))
    }
}

/// The elements of another vector as another type: one that every element fits.
pub(super) struct Converted {
    source: Arc<dyn Source>,
    of: Snapshot,
    from: SexpType,
    to: SexpType,
}

impl Generator for Converted {
    fn fill(&self, start: u64, out: &mut [u8]) -> Filled {
        let from = self.of.shape().width;
        let to = if self.to == sys::REALSXP { size_of::<f64>() } else { size_of::<c_int>() };
        let mut block = vec![0; BLOCK.min(out.len() / to * from)];
        for (part, k) in out.chunks_mut(BLOCK / from * to).zip(0u64..) {
            let read = &mut block[..part.len() / to * from];
            self.of.fill(start + k * (BLOCK / from) as u64, read)?;
            convert(self.from, self.to, read, part);
        }
        Ok(())
    }

    fn is_any_thread(&self) -> bool {
        self.of.is_any_thread()
    }
}

fn convert(from: SexpType, to: SexpType, read: &[u8], out: &mut [u8]) {
    let ints = || read.chunks_exact(4).map(|b| c_int::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    let doubles = || read.chunks_exact(8).map(|b| f64::from_ne_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]));
    let logical = |missing: bool, value: bool| if missing { c_int::MIN } else { value.into() };
    match (from, to) {
        (_, sys::REALSXP) => {
            let na = Double::na();
            for (place, value) in out.chunks_exact_mut(8).zip(ints()) {
                place.copy_from_slice(&if value == c_int::MIN { na } else { f64::from(value) }.to_ne_bytes());
            }
        }
        (sys::REALSXP, _) => {
            for (place, value) in out.chunks_exact_mut(4).zip(doubles()) {
                place.copy_from_slice(&logical(value.is_nan(), value != 0.0).to_ne_bytes());
            }
        }
        (_, sys::LGLSXP) => {
            for (place, value) in out.chunks_exact_mut(4).zip(ints()) {
                place.copy_from_slice(&logical(value == c_int::MIN, value != 0).to_ne_bytes());
            }
        }
        _ => out.copy_from_slice(read),
    }
}

impl Source for Converted {
    fn generator(self: Arc<Self>) -> Arc<dyn Generator> {
        self
    }

    fn describe(&self) -> String {
        format!("as another type: {}", self.source.describe())
    }

    fn facts(&self) -> Facts {
        let Facts { sorted, no_na } = self.source.facts();
        let ordered = self.to != sys::LGLSXP && !self.of.is_changed();
        Facts { sorted: if ordered { sorted } else { 0 }, no_na: no_na && !self.of.is_changed() }
    }

    fn has_recipe(&self) -> bool {
        self.source.has_recipe() && !self.of.is_changed()
    }

    fn recipe(&self, r: R, x: Sexp) -> Result<Option<Recipe>> {
        let inner = self.source.recipe(r, x)?;
        Ok(inner.map(|inner| inner.then(Step::Type(self.to))))
    }
}
