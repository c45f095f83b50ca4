//! The five kinds of element a vector can have: what differs between them, so that everything else is written once.

use std::ffi::c_int;

use crate::boundary::{R, Result, call};
use crate::sys::{self, R_xlen_t, Rcomplex, SEXP, SexpType};

/// One of R's atomic types that have views.
pub trait Kind: Sized + 'static {
    /// R's number for the type.
    const TYPE: SexpType;
    /// Name of the ALTREP class; it travels in every reference.
    const CLASS: &'static std::ffi::CStr;
    /// Name of the strategy; it is written into every segment.
    const STRATEGY: &'static str;
}

/// One whose elements are plain bytes.
pub trait Element: Kind {
    /// As C sees an element. Any bytes are a value of it.
    type C: Copy + 'static;

    /// What an index outside gives.
    fn na() -> Self::C;

    /// The elements of a plain vector made by us, to be written.
    ///
    /// # Safety
    /// `x` is of this type.
    unsafe fn data(x: SEXP) -> *mut Self::C;

    /// Copies a region of any vector of this type, without expanding an ALTREP.
    ///
    /// # Safety
    /// `x` is of this type and the buffer has room for `n`.
    unsafe fn region(x: SEXP, i: R_xlen_t, n: R_xlen_t, buffer: *mut Self::C) -> R_xlen_t;

    /// What R knows without looking: sortedness and "no NA", as R's macros have them.
    ///
    /// # Safety
    /// `x` is of this type.
    unsafe fn known(_x: SEXP) -> (c_int, bool) {
        (sys::UNKNOWN_SORTEDNESS, false)
    }
}

/// The element types; never made.
pub enum Raw {}
/// As above.
pub enum Logical {}
/// As above.
pub enum Integer {}
/// As above.
pub enum Double {}
/// As above.
pub enum Complex {}

macro_rules! element {
    ($name:ident, $c:ty, $type:ident, $class:literal, $strategy:literal, $na:expr, $data:ident, $region:ident $(, $known:item)?) => {
        impl Kind for $name {
            const TYPE: SexpType = sys::$type;
            const CLASS: &'static std::ffi::CStr = $class;
            const STRATEGY: &'static str = $strategy;
        }

        impl Element for $name {
            type C = $c;

            fn na() -> $c {
                $na
            }

            unsafe fn data(x: SEXP) -> *mut $c {
                // SAFETY: the caller's.
                unsafe { sys::$data(x) }
            }

            unsafe fn region(x: SEXP, i: R_xlen_t, n: R_xlen_t, buffer: *mut $c) -> R_xlen_t {
                // SAFETY: the caller's.
                unsafe { sys::$region(x, i, n, buffer) }
            }

            $($known)?
        }
    };
}

fn na_real() -> f64 {
    // SAFETY: R set it at its start.
    unsafe { sys::R_NaReal }
}

/// NA, as often as eight bytes have it, for a vector whose file was cut; zeros where there is no NA.
pub(crate) fn missing(strategy: &str) -> u64 {
    const INTEGER: u64 = c_int::MIN as u32 as u64;
    match strategy {
        Double::STRATEGY | Complex::STRATEGY => na_real().to_bits(),
        Integer::STRATEGY | Logical::STRATEGY => INTEGER << 32 | INTEGER,
        _ => 0,
    }
}

element!(Raw, u8, RAWSXP, c"cowshed_raw", "r.raw", 0, RAW, RAW_GET_REGION);
element!(Logical, c_int, LGLSXP, c"cowshed_logical", "r.logical", c_int::MIN, LOGICAL, LOGICAL_GET_REGION);
element!(
    Integer,
    c_int,
    INTSXP,
    c"cowshed_integer",
    "r.integer",
    c_int::MIN,
    INTEGER,
    INTEGER_GET_REGION,
    unsafe fn known(x: SEXP) -> (c_int, bool) {
        // SAFETY: the caller's.
        unsafe { (sys::INTEGER_IS_SORTED(x), sys::INTEGER_NO_NA(x) != 0) }
    }
);
element!(
    Double,
    f64,
    REALSXP,
    c"cowshed_double",
    "r.double",
    na_real(),
    REAL,
    REAL_GET_REGION,
    unsafe fn known(x: SEXP) -> (c_int, bool) {
        // SAFETY: the caller's.
        unsafe { (sys::REAL_IS_SORTED(x), sys::REAL_NO_NA(x) != 0) }
    }
);
element!(
    Complex,
    Rcomplex,
    CPLXSXP,
    c"cowshed_complex",
    "r.complex",
    Rcomplex { r: na_real(), i: na_real() },
    COMPLEX,
    COMPLEX_GET_REGION
);

/// Runs `$body` with the type parameter `$E` bound to the element type of an R type number; `$other` for any other number.
#[macro_export]
macro_rules! by_element {
    ($type:expr, $E:ident => $body:expr, $other:expr) => {
        match $type {
            $crate::sys::RAWSXP => {
                type $E = $crate::element::Raw;
                $body
            }
            $crate::sys::LGLSXP => {
                type $E = $crate::element::Logical;
                $body
            }
            $crate::sys::INTSXP => {
                type $E = $crate::element::Integer;
                $body
            }
            $crate::sys::REALSXP => {
                type $E = $crate::element::Double;
                $body
            }
            $crate::sys::CPLXSXP => {
                type $E = $crate::element::Complex;
                $body
            }
            _ => $other,
        }
    };
}

/// Whether values of this type have views.
pub(crate) const fn is_vector(kind: SexpType) -> bool {
    matches!(kind, sys::RAWSXP | sys::LGLSXP | sys::INTSXP | sys::REALSXP | sys::CPLXSXP | sys::STRSXP)
}

/// The same for every type that has views: those of [`by_element!`] and character vectors.
#[macro_export]
macro_rules! by_kind {
    ($type:expr, $K:ident => $body:expr, $other:expr) => {
        match $type {
            $crate::sys::STRSXP => {
                type $K = $crate::strings::Character;
                $body
            }
            element => $crate::by_element!(element, $K => $body, $other),
        }
    };
}

/// A new plain vector of `n` elements, protected, filled by `fill`, which must write all of them.
pub(crate) fn plain<E: Element>(r: R, n: usize, fill: impl FnOnce(*mut E::C)) -> Result<SEXP> {
    let x = call(r, || {
        // SAFETY: allocation; may raise out of memory.
        unsafe { sys::Rf_allocVector(E::TYPE, n as R_xlen_t) }
    })?;
    r.keep(x)?;
    // SAFETY: just made, of this type.
    fill(unsafe { E::data(x) });
    Ok(x)
}
