//! What the user has set with R's options().

use std::ffi::CStr;
use std::time::Duration;

use cowshed_core::Flags;

use crate::boundary::{Failure, R, Result};
use crate::sexp::Sexp;
use crate::sys::{self, SEXP, SexpType};

/// Seconds a reference in flight keeps its segment, unless the user says otherwise.
const GRACE: f64 = 300.0;
/// Vectors shorter than this are not shared.
const MIN_LENGTH: usize = 3;

/// The value of an option; R's NULL if it is not set. It is the option's own, so it stays while the option does.
fn option(_: R, name: &CStr) -> SEXP {
    // SAFETY: a symbol; R looks it up without allocating. `install` allocates the first time, when no destructor is pending.
    unsafe { sys::Rf_GetOption1(sys::Rf_install(name.as_ptr())) }
}

/// A number of length one, integer or double, not NA.
fn number(x: SEXP) -> Option<f64> {
    // SAFETY: an R object; then a vector of one element.
    let value = unsafe {
        match (sys::TYPEOF(x) as SexpType, sys::Rf_xlength(x)) {
            (sys::INTSXP, 1) => f64::from(sys::INTEGER_ELT(x, 0)),
            (sys::REALSXP, 1) => sys::REAL_ELT(x, 0),
            _ => return None,
        }
    };
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// An option that is not what it must be. Nobody has to guess why it has no effect.
#[cold]
fn bad(r: R, name: &CStr, must: &str, value: Sexp) -> Failure {
    let (name, value) = (name.to_string_lossy(), value.shown(r));
    Failure::new("argument", format!("the option `{name}` must be {must}, not {value}; set it with options({name} = )"))
}

/// TRUE or FALSE.
fn logical(r: R, name: &CStr, unset: bool) -> Result<bool> {
    let value = Sexp(option(r, name));
    if value.is_null() {
        return Ok(unset);
    }
    value.as_flag(r)?.ok_or_else(|| bad(r, name, "TRUE or FALSE", value))
}

/// The flags that share() gives what it makes, where its arguments do not say.
pub(crate) fn flags(r: R) -> Result<Flags> {
    let mut flags = Flags::empty();
    flags.set(Flags::COPY_ON_WRITE, logical(r, c"cowshed.copyOnWrite", true)?);
    flags.set(Flags::SHARED_SUBSET, logical(r, c"cowshed.sharedSubset", false)?);
    flags.set(Flags::SHARED_COPY, logical(r, c"cowshed.sharedCopy", false)?);
    Ok(flags)
}

pub(crate) fn shared_attributes(r: R) -> Result<bool> {
    logical(r, c"cowshed.sharedAttributes", true)
}

pub(crate) fn must_work(r: R) -> Result<bool> {
    logical(r, c"cowshed.mustWork", false)
}

pub(crate) fn min_length(r: R) -> Result<usize> {
    let value = Sexp(option(r, c"cowshed.minLength"));
    if value.is_null() {
        return Ok(MIN_LENGTH);
    }
    let whole = number(value.0).filter(|n| n.fract() == 0.0 && *n < 9e15);
    whole.map(|n| n as usize).ok_or_else(|| bad(r, c"cowshed.minLength", "one whole number of 0 or more", value))
}

/// The same in a hook, where a bad option is no reason for an error: share() reports it.
pub(crate) fn min_length_in_hook(r: R) -> usize {
    number(option(r, c"cowshed.minLength")).map_or(MIN_LENGTH, |n| n as usize)
}

/// An error if the grace time is none.
pub(crate) fn check_grace(r: R) -> Result<()> {
    let value = Sexp(option(r, c"cowshed.grace"));
    let fine = value.is_null() || number(value.0).is_some();
    if fine { Ok(()) } else { Err(bad(r, c"cowshed.grace", "a number of seconds", value)) }
}

/// How long a reference made now may be on its way when nobody holds the object any more.
pub(crate) fn grace(r: R) -> Duration {
    Duration::from_secs_f64(number(option(r, c"cowshed.grace")).unwrap_or(GRACE).min(86_400.0))
}

/// How many bytes the store may have in all; `None`: as many as there is room for.
pub(crate) fn budget(r: R) -> Result<Option<u64>> {
    let value = Sexp(option(r, c"cowshed.maxStore"));
    if value.is_null() {
        return Ok(None);
    }
    let bytes = number(value.0).ok_or_else(|| bad(r, c"cowshed.maxStore", "a number of bytes, or NULL", value))?;
    Ok(Some(bytes as u64))
}

/// Bytes up to which a vector that is asked for a pointer is made whole if there is no other way.
pub(crate) fn materialize(r: R) -> Result<f64> {
    bytes(r, c"cowshed.materialize", 1 << 30)
}

/// Bytes of pages that were made on first touch and that nobody wrote, kept at a time.
pub(crate) fn clean_pages(r: R) -> Result<usize> {
    bytes(r, c"cowshed.cleanPages", 64 << 20).map(|bytes| bytes as usize)
}

/// Bytes of such pages that were written, kept in memory.
pub(crate) fn written_pages(r: R) -> Result<usize> {
    bytes(r, c"cowshed.writtenPages", 256 << 20).map(|bytes| bytes as usize)
}

fn bytes(r: R, name: &CStr, unset: usize) -> Result<f64> {
    let value = Sexp(option(r, name));
    if value.is_null() {
        return Ok(unset as f64);
    }
    number(value.0).ok_or_else(|| bad(r, name, "a number of bytes", value))
}

/// Whether pages may be made on first touch.
pub(crate) fn userfaultfd(r: R) -> Result<bool> {
    logical(r, c"cowshed.userfaultfd", true)
}

/// The directory for written pages that memory is not to hold.
pub(crate) fn spill(r: R) -> Result<Option<String>> {
    let value = Sexp(option(r, c"cowshed.spill"));
    if value.is_null() {
        return Ok(None);
    }
    value.text(r)?.map(Some).ok_or_else(|| bad(r, c"cowshed.spill", "the name of a directory", value))
}

/// The directory the user wants segments in.
pub(crate) fn store(r: R) -> SEXP {
    option(r, c"cowshed.store")
}

/// How shared objects are serialized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serialize {
    /// As what becomes of the bytes demands.
    Auto,
    Reference,
    Value,
}

/// What the user wants for every serialization. An unknown word is an error: guessing would lose data, or time.
pub(crate) fn serialize(r: R) -> Result<Serialize> {
    let x = option(r, c"cowshed.serialize");
    // SAFETY: an R object; then the bytes of a string in a character vector of one element, both kept by the option.
    let word = unsafe {
        match (sys::TYPEOF(x) as SexpType, sys::Rf_xlength(x)) {
            (sys::NILSXP, _) => return Ok(Serialize::Auto),
            (sys::STRSXP, 1) => CStr::from_ptr(sys::R_CHAR(sys::STRING_ELT(x, 0))),
            _ => c"",
        }
    };
    match word.to_bytes() {
        b"auto" => Ok(Serialize::Auto),
        b"reference" => Ok(Serialize::Reference),
        b"value" => Ok(Serialize::Value),
        _ => Err(Failure::new(
            "argument",
            "options(cowshed.serialize = ) must be \"auto\", \"reference\" or \"value\"; see ?withSharedSerialization",
        )),
    }
}
