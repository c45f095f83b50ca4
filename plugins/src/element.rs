//! Elements of R's vectors as Rust has them.

use cowshed_altrep::element;
use cowshed_altrep::sys::Rcomplex;

/// The element of a logical vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Logical(i32);

impl Logical {
    /// `NA`.
    pub const NA: Logical = Logical(i32::MIN);

    /// TRUE or FALSE; `None` for NA.
    pub fn get(self) -> Option<bool> {
        (self != Self::NA).then_some(self.0 != 0)
    }
}

impl From<bool> for Logical {
    fn from(value: bool) -> Self {
        Logical(value.into())
    }
}

/// The element of a complex vector.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(C)]
pub struct Complex {
    /// The real part.
    pub re: f64,
    /// The imaginary part.
    pub im: f64,
}

const _: () = assert!(size_of::<Complex>() == size_of::<Rcomplex>());

mod sealed {
    pub trait Sealed {
        type Of: cowshed_altrep::element::Element;
    }
}
pub(crate) use sealed::Sealed;

/// `NA_real_`.
const NA_REAL: f64 = f64::from_bits(0x7FF0_0000_0000_07A2);

/// What a vector has for elements: `f64`, `i32` (NA is its least), `u8` (raw), [`Logical`], [`Complex`].
pub trait Element: Sealed + Copy + PartialEq + Default + Send + Sync + 'static {
    /// R's number of the type, as in [`crate::kind`].
    const KIND: u8;

    /// `NA`; zero for raw vectors, which have none.
    fn na() -> Self;

    /// Its place among others, for facts: `None` if it is NA, or has none.
    fn rank(self) -> Option<f64>;

    /// The bytes that elements lie in.
    fn bytes_of(elements: &mut [Self]) -> &mut [u8] {
        // SAFETY: the types of this trait are numbers without padding, and any bytes are numbers.
        unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), size_of_val(elements)) }
    }
}

macro_rules! element {
    ($type:ty, $of:ident, $kind:ident, $na:expr, $rank:expr) => {
        impl Sealed for $type {
            type Of = element::$of;
        }

        impl Element for $type {
            const KIND: u8 = crate::kind::$kind;

            fn na() -> Self {
                $na
            }

            fn rank(self) -> Option<f64> {
                let rank: fn(Self) -> Option<f64> = $rank;
                rank(self)
            }
        }
    };
}

element!(u8, Raw, RAW, 0, |x| Some(x.into()));
element!(Logical, Logical, LOGICAL, Logical::NA, |x| x.get().map(f64::from));
element!(i32, Integer, INTEGER, i32::MIN, |x| (x != i32::MIN).then_some(x.into()));
element!(f64, Double, DOUBLE, NA_REAL, |x| (!x.is_nan()).then_some(x));
element!(Complex, Complex, COMPLEX, Complex { re: NA_REAL, im: NA_REAL }, |_| None);

/// Runs `$body` with the type `$E` bound to that of the elements of an R type ([`crate::kind`]); `$other` for any other type.
#[macro_export]
macro_rules! by_type {
    ($kind:expr, $E:ident => $body:expr, $other:expr) => {
        match u8::try_from($kind).unwrap_or(0) {
            $crate::kind::RAW => {
                type $E = u8;
                $body
            }
            $crate::kind::LOGICAL => {
                type $E = $crate::Logical;
                $body
            }
            $crate::kind::INTEGER => {
                type $E = i32;
                $body
            }
            $crate::kind::DOUBLE => {
                type $E = f64;
                $body
            }
            $crate::kind::COMPLEX => {
                type $E = $crate::Complex;
                $body
            }
            _ => $other,
        }
    };
}
