//! When R's interrupts are heeded.

use cowshed_core::{forget_interrupts, put_off_interrupts};

use crate::boundary::{R, Result, call};
use crate::sys;

/// Acts on an interrupt that R has noticed.
///
/// # Errors
/// There was one: R jumps.
pub fn heed(r: R) -> Result<()> {
    // SAFETY: raises R's interrupt, which `call` catches.
    call(r, || unsafe { sys::R_CheckUserInterrupt() })
}

/// Puts interrupts off. Gives whether they were before; from then on none comes, not even one that R had noticed and not yet acted on: R
/// would act on it before its caller could arrange for them to come through again.
///
/// # Errors
/// That one: R jumps, and interrupts are as they were before.
pub fn put_off(r: R) -> Result<bool> {
    let before = put_off_interrupts(true);
    heed(r).inspect_err(|_| restore(before, false))?;
    Ok(before)
}

/// Lets them through again, unless they were put off `before`; under `forget` without the one that waits, which was meant for what is done by now.
pub fn restore(before: bool, forget: bool) {
    if forget {
        forget_interrupts();
    }
    put_off_interrupts(before);
}
