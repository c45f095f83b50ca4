//! Elements as numpy stores them, and what they are in R.

use std::fmt::Display;

use cowshed_plugins::prelude::*;

/// What a file holds.
pub(crate) trait Stored: Send + Sync + 'static {
    type Element: Element;
    const WIDTH: usize;
    /// Its bytes are those of the element, if the file has the machine's order of bytes.
    const IS_AS_IN_R: bool;

    /// The element; the number itself if it is none of R's.
    fn element(bytes: &[u8], big_endian: bool) -> std::result::Result<Self::Element, String>;
}

macro_rules! number {
    ($type:ty, $bytes:expr, $big_endian:expr) => {{
        let mut own = [0; size_of::<$type>()];
        own.copy_from_slice(&$bytes[..size_of::<$type>()]);
        if $big_endian { <$type>::from_be_bytes(own) } else { <$type>::from_le_bytes(own) }
    }};
}

/// Numbers of one to eight bytes.
macro_rules! numbers {
    ($($stored:ty => $element:ty, $is_as_in_r:expr, $convert:expr;)*) => {$(
        impl Stored for $stored {
            type Element = $element;
            const WIDTH: usize = size_of::<$stored>();
            const IS_AS_IN_R: bool = $is_as_in_r && cfg!(target_endian = "little");

            #[inline]
            fn element(bytes: &[u8], big_endian: bool) -> std::result::Result<$element, String> {
                let convert: fn($stored) -> std::result::Result<$element, String> = $convert;
                convert(number!($stored, bytes, big_endian))
            }
        }
    )*};
}

numbers! {
    f64 => f64, true, Ok;
    f32 => f64, false, |x| Ok(x.into());
    i8 => i32, false, |x| Ok(x.into());
    i16 => i32, false, |x| Ok(x.into());
    // Its least is R's NA.
    i32 => i32, true, Ok;
    i64 => f64, false, |x| exact(x, x as f64, x.unsigned_abs());
    u8 => u8, true, Ok;
    u16 => i32, false, |x| Ok(x.into());
    u32 => f64, false, |x| Ok(x.into());
    u64 => f64, false, |x| exact(x, x as f64, x);
}

/// Beyond 2^53 there are whole numbers that are no doubles.
fn exact(x: impl Display, value: f64, size: u64) -> std::result::Result<f64, String> {
    if size <= 1 << 53 { Ok(value) } else { Err(x.to_string()) }
}

/// A byte that is 0 or not.
pub(crate) struct Bool;

impl Stored for Bool {
    type Element = Logical;
    const WIDTH: usize = 1;
    const IS_AS_IN_R: bool = false;

    fn element(bytes: &[u8], _: bool) -> std::result::Result<Logical, String> {
        Ok((bytes[0] != 0).into())
    }
}

/// A complex number of two parts.
pub(crate) struct Pair<N>(std::marker::PhantomData<N>);

impl<N: Stored<Element = f64>> Stored for Pair<N> {
    type Element = Complex;
    const WIDTH: usize = 2 * N::WIDTH;
    const IS_AS_IN_R: bool = N::IS_AS_IN_R;

    fn element(bytes: &[u8], big_endian: bool) -> std::result::Result<Complex, String> {
        let (re, im) = bytes.split_at(N::WIDTH);
        Ok(Complex { re: N::element(re, big_endian)?, im: N::element(im, big_endian)? })
    }
}
