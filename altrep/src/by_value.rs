//! Whether a serialization under way gets a shared object's data or a reference to them.
//!
//! - R calls one hook for saveRDS() and for sending to a worker. What becomes of the bytes, the functions on R's call stack tell: R code of
//!   the package, registered here, looks at them.
//! - It looks once for each call of a function and not once for each object. The answer depends on the innermost function's frame alone (which
//!   function it is, who called it, with which connection), and none of that changes while the frame lives: so the last answer holds as long as
//!   the innermost frame is the same environment. A weak reference holds the frame: it keeps nothing alive, and a new environment at an old
//!   address does not match, since R clears the reference first. Nothing remains of one call for the next one, which has a frame of its own.
//! - The objects that one call asks for are one [`Message`].
//! - `options(cowshed.serialize = )` is read every time.

use std::cell::Cell;

use crate::boundary::{Failure, R, Result, call};
use crate::message::Message;
use crate::options::{self, Serialize};
use crate::sexp::Sexp;
use crate::sys::{self, SEXP, SexpType};
use crate::weak::Weak;

/// What to write for a shared object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Value,
    /// A reference that keeps the segment until it is claimed, with all others of its message.
    Reference(Message),
    /// One that nobody will attach: only its size matters.
    Measure,
}

/// What becomes of the bytes, as the package's R code numbers it. (4 is `Sent`, by a function that sends one message a call.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Sent,
    Kept,
    Hashed,
    Measured,
}

/// Calls of the package's R functions, and the last answer. R objects, all preserved for good.
#[derive(Clone, Copy)]
struct Judge {
    /// Gives the innermost frame.
    frame: SEXP,
    /// Gives the number of its `Use`.
    verdict: SEXP,
    /// The frame last judged.
    last: Weak,
}

thread_local! {
    /// How many of our own serializations, which must hold data, are under way.
    static FORCED: Cell<u32> = const { Cell::new(0) };
    static JUDGE: Cell<Option<Judge>> = const { Cell::new(None) };
    static ANSWER: Cell<Option<(Use, Message)>> = const { Cell::new(None) };
}

/// Registers the package's functions, both without arguments: one gives the innermost frame, one judges it.
///
/// # Errors
/// Out of memory.
pub fn set_judge(r: R, frame: Sexp, verdict: Sexp) -> Result<()> {
    let preserved = |function: SEXP| {
        call(r, || {
            // SAFETY: an R function; the new call is preserved before anything else is allocated.
            unsafe {
                let call = sys::Rf_lcons(function, sys::R_NilValue);
                sys::R_PreserveObject(call);
                call
            }
        })
    };
    let judge = Judge { frame: preserved(frame.0)?, verdict: preserved(verdict.0)?, last: Weak::new(r)? };
    JUDGE.set(Some(judge));
    Ok(())
}

/// Serializes by value while `body` runs.
pub(crate) fn forced<T>(body: impl FnOnce() -> T) -> T {
    struct Undo;
    impl Drop for Undo {
        fn drop(&mut self) {
            FORCED.set(FORCED.get() - 1);
        }
    }
    FORCED.set(FORCED.get() + 1);
    let _undo = Undo;
    body()
}

/// What the serialization under way wants.
pub(crate) fn now(r: R) -> Result<By> {
    if FORCED.get() > 0 {
        return Ok(By::Value);
    }
    let wanted = options::serialize(r)?;
    if wanted == Serialize::Value {
        return Ok(By::Value);
    }
    // A hash is of the value whatever was wanted: equal values have equal hashes.
    let (used, message) = judge(r)?;
    Ok(match used {
        Use::Hashed => By::Value,
        Use::Kept if wanted == Serialize::Auto => By::Value,
        Use::Measured => By::Measure,
        Use::Kept | Use::Sent => By::Reference(message),
    })
}

fn judge(r: R) -> Result<(Use, Message)> {
    let Some(judge) = JUDGE.get() else { return Ok((Use::Sent, Message::begin(false))) };
    // SAFETY: a call preserved for good. The frame is on R's stack, or is the global environment: it stays.
    let frame = call(r, || unsafe { sys::Rf_eval(judge.frame, sys::R_BaseEnv) })?;
    if let Some(answer) = ANSWER.get().filter(|_| judge.last.get() == frame) {
        return Ok(answer);
    }
    let verdict = call(r, || {
        // SAFETY: a call preserved for good; its value is read before anything else is allocated.
        unsafe {
            let value = sys::Rf_eval(judge.verdict, sys::R_BaseEnv);
            (sys::TYPEOF(value) as SexpType == sys::INTSXP && sys::Rf_xlength(value) == 1).then(|| *sys::INTEGER(value))
        }
    })?;
    let used = match verdict {
        Some(0 | 4) => Use::Sent,
        Some(1) => Use::Kept,
        Some(2) => Use::Hashed,
        Some(3) => Use::Measured,
        _ => return Err(Failure::new("internal", "cowshed has a bug: it cannot tell what is being serialized")),
    };
    let answer = (used, Message::begin(verdict == Some(4)));
    // The global environment is no frame of one call.
    // SAFETY: constants of R's.
    if frame != unsafe { sys::R_GlobalEnv } {
        judge.last.set(r, frame)?;
        ANSWER.set(Some(answer));
    }
    Ok(answer)
}
