//! Sums and extremes, at the generator's speed: a block of elements at a time, which stays in the processor's cache.
//!
//! - A sum of doubles is carried in two doubles, 106 bits: it is at least as exact as R's own, which has 64, and the same where R's is exact.
//! - What is not a finite number, and what R warns of, is left to R.

use std::ffi::c_int;

use super::Object;
use crate::boundary::{R, Result, call};
use crate::element::Element;
use crate::interrupts;
use crate::sys::{self, SEXP};

/// Elements at a time.
const BLOCK: usize = 2048;
/// Blocks between two looks whether the user interrupts.
const PATIENCE: usize = 1024;
/// Sums that go on beside each other.
const LANES: usize = 8;

/// Gives all elements to `each`, block by block, until it says `false`; whether it never did.
fn blocks<E: Element>(r: R, x: Object, mut each: impl FnMut(&[E::C]) -> bool) -> Result<bool> {
    let this = x.get();
    let mut block = vec![E::na(); BLOCK];
    let (mut at, mut count) = (0, 0usize);
    while at < this.len() {
        let n = (this.len() - at).min(BLOCK as u64) as usize;
        // SAFETY: elements are plain bytes, and any bytes are elements.
        let bytes = unsafe { std::slice::from_raw_parts_mut(block.as_mut_ptr().cast::<u8>(), n * size_of::<E::C>()) };
        this.read(at, bytes)?;
        if !each(&block[..n]) {
            return Ok(false);
        }
        at += n as u64;
        count += 1;
        if count % PATIENCE == 0 {
            interrupts::heed(r)?;
        }
    }
    Ok(true)
}

/// Of integers or logicals: exact, if R can hold it.
pub(super) fn sum_integer<E: Element<C = c_int>>(r: R, x: Object, na_rm: bool) -> Result<Option<SEXP>> {
    let (mut sum, mut missing) = (0i128, 0u64);
    blocks::<E>(r, x, |block| {
        // 2048 of them cannot overflow 64 bits.
        let mut part = 0i64;
        for value in block {
            let is_na = *value == c_int::MIN;
            missing += u64::from(is_na);
            part += if is_na { 0 } else { i64::from(*value) };
        }
        sum += i128::from(part);
        missing == 0 || na_rm
    })?;
    let value = match c_int::try_from(sum) {
        _ if missing > 0 && !na_rm => c_int::MIN,
        Ok(sum) if sum != c_int::MIN => sum,
        _ => return Ok(None),
    };
    // SAFETY: allocation.
    call(r, || unsafe { sys::Rf_ScalarInteger(value) }).map(Some)
}

/// Of doubles; `None` if it is not finite.
pub(super) fn sum_double(r: R, x: Object, na_rm: bool) -> Result<Option<SEXP>> {
    let mut sum = Sum::default();
    let finite = blocks::<crate::element::Double>(r, x, |block| {
        sum.add(block);
        // What is missing is left out by R.
        sum.is_finite() || na_rm
    })?;
    if !finite || !sum.is_finite() {
        return Ok(None);
    }
    let value = sum.value();
    // SAFETY: allocation.
    call(r, || unsafe { sys::Rf_ScalarReal(value) }).map(Some)
}

/// A sum, and what rounding took from it.
#[derive(Default)]
struct Sum {
    high: [f64; LANES],
    low: [f64; LANES],
}

impl Sum {
    fn add(&mut self, block: &[f64]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: this processor has it.
            return unsafe { self.add_wide(block) };
        }
        self.add_lanes(block);
    }

    /// # Safety
    /// This processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn add_wide(&mut self, block: &[f64]) {
        self.add_lanes(block);
    }

    #[inline(always)]
    fn add_lanes(&mut self, block: &[f64]) {
        let (mut high, mut low) = (self.high, self.low);
        let mut lanes = block.chunks_exact(LANES);
        for values in &mut lanes {
            for k in 0..LANES {
                (high[k], low[k]) = two_sum(high[k], low[k], values[k]);
            }
        }
        for (k, value) in lanes.remainder().iter().enumerate() {
            (high[k], low[k]) = two_sum(high[k], low[k], *value);
        }
        (self.high, self.low) = (high, low);
    }

    fn is_finite(&self) -> bool {
        self.high.iter().chain(&self.low).all(|part| part.is_finite())
    }

    fn value(&self) -> f64 {
        let (mut high, mut low) = (0.0, 0.0);
        for part in self.high {
            (high, low) = two_sum(high, low, part);
        }
        let mut more = 0.0;
        for part in self.low {
            (low, more) = two_sum(low, more, part);
        }
        high + (low + more)
    }
}

/// `high + value` rounded, and `low` with what that lost (Knuth's sum without a comparison).
#[inline(always)]
fn two_sum(high: f64, low: f64, value: f64) -> (f64, f64) {
    let sum = high + value;
    let part = sum - high;
    (sum, low + ((high - (sum - part)) + (value - part)))
}

/// The least or largest element; `None` if one is missing, or there is none.
pub(super) fn extreme_double(r: R, x: Object, largest: bool) -> Result<Option<SEXP>> {
    let mut best = [if largest { f64::NEG_INFINITY } else { f64::INFINITY }; LANES];
    let complete = blocks::<crate::element::Double>(r, x, |block| {
        if largest { extreme::<true>(&mut best, block) } else { extreme::<false>(&mut best, block) }
    })?;
    if !complete || x.get().len() == 0 {
        return Ok(None);
    }
    let value = best.into_iter().fold(best[0], |a, b| if largest { a.max(b) } else { a.min(b) });
    // SAFETY: allocation.
    call(r, || unsafe { sys::Rf_ScalarReal(value) }).map(Some)
}

/// Whether all of the block are numbers; if so the best so far has them, too.
fn extreme<const LARGEST: bool>(best: &mut [f64; LANES], block: &[f64]) -> bool {
    let better = |a: f64, b: f64| if (b > a) == LARGEST { b } else { a };
    let mut missing = [false; LANES];
    let mut lanes = block.chunks_exact(LANES);
    for values in &mut lanes {
        for k in 0..LANES {
            missing[k] |= values[k].is_nan();
            best[k] = better(best[k], values[k]);
        }
    }
    for (k, value) in lanes.remainder().iter().enumerate() {
        missing[k] |= value.is_nan();
        best[k] = better(best[k], *value);
    }
    missing == [false; LANES]
}

/// The same of integers.
pub(super) fn extreme_integer(r: R, x: Object, largest: bool) -> Result<Option<SEXP>> {
    let mut best = if largest { c_int::MIN } else { c_int::MAX };
    let complete = blocks::<crate::element::Integer>(r, x, |block| {
        let mut missing = false;
        for value in block {
            missing |= *value == c_int::MIN;
            best = if largest { best.max(*value) } else { best.min(*value) };
        }
        !missing
    })?;
    if !complete || x.get().len() == 0 {
        return Ok(None);
    }
    // SAFETY: allocation.
    call(r, || unsafe { sys::Rf_ScalarInteger(best) }).map(Some)
}
