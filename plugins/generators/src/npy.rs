//! The array in a .npy file, which numpy.save() writes.
//!
//! - `x[i, j]` in R is `x[i-1, j-1]` in numpy, whichever order the file has. An array in C order is turned while it is read.
//! - What R has no type for becomes one that holds it exactly, or an error that names the first element that it does not hold.

use std::marker::PhantomData;
use std::os::fd::BorrowedFd;

use cowshed_plugins::prelude::*;

use crate::header::{self, Header};
use crate::order::Order;
use crate::source::Source;
use crate::stored::{Bool, Pair, Stored};
use crate::{LONGEST, parts, refused};

struct Array<N> {
    source: Source,
    /// Where the first element is, in bytes.
    offset: u64,
    length: u64,
    order: Order,
    big_endian: bool,
    stored: PhantomData<N>,
}

/// The elements of the file `path`, and its dimensions, or NULL if it has only one: a list of two.
///
/// # Errors
/// No .npy file; elements of a type that R does not have; fewer elements than the header says.
pub fn npy(r: R, path: Sexp) -> Result<Sexp> {
    let path = path.text(r)?.ok_or_else(|| refused(format!("`path` must be one string, not {}", path.shown(r))))?;
    let (x, shape) = open(r, Source::open(&path)?)?;
    let dim = match shape.len() {
        0 | 1 => Sexp::null(),
        _ => r.vector(&shape)?,
    };
    r.list(2, |i| Ok([x, dim][i]))
}

fn open(r: R, source: Source) -> Result<(Sexp, Vec<i32>)> {
    let path = source.path().to_owned();
    let bad = |why: String| refused(format!("'{path}' is no .npy file that can be read: {why}"));
    let Header { descr, fortran_order, shape, data } = read_header(&source).map_err(bad)?;
    let length = shape.iter().try_fold(1u64, |all, n| all.checked_mul(*n)).filter(|n| *n <= LONGEST);
    let length = length.ok_or_else(|| bad("its header speaks of more than 2^52 elements".to_owned()))?;
    let dim = match shape[..] {
        // R's long vectors have no dimensions.
        [] | [_] => vec![0; shape.len()],
        _ => shape
            .iter()
            .map(|n| i32::try_from(*n))
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| bad("a dimension is more than 2^31 - 1, which R's cannot be".to_owned()))?,
    };
    let order = if fortran_order { Order::plain() } else { Order::turned(&shape) };
    let (order_of_bytes, code) = descr.split_at_checked(1).unwrap_or_default();
    let big_endian = match order_of_bytes {
        "<" | "|" => false,
        ">" => true,
        "=" => cfg!(target_endian = "big"),
        _ => return Err(bad(format!("its elements are '{descr}', which is no type"))),
    };
    macro_rules! make {
        ($($code:literal $stored:ty;)*) => {
            match code {
                $($code => {
                    let width = <$stored>::WIDTH as u64;
                    let room = source.size().saturating_sub(data) / width;
                    if length > room {
                        return Err(bad(format!("its header speaks of {length} elements, and it has room for {room}")));
                    }
                    Array::<$stored> { source, offset: data, length, order, big_endian, stored: PhantomData }.vector(r)
                })*
                _ => Err(bad(format!("its elements are '{descr}', which no type of R's can hold"))),
            }
        };
    }
    let x = make! {
        "f8" f64; "f4" f32; "c16" Pair<f64>; "c8" Pair<f32>; "b1" Bool;
        "i1" i8; "i2" i16; "i4" i32; "i8" i64; "u1" u8; "u2" u16; "u4" u32; "u8" u64;
    }?;
    Ok((x, dim))
}

fn read_header(source: &Source) -> std::result::Result<Header, String> {
    let mut first = vec![0; source.size().min(header::FIXED as u64) as usize];
    source.read(0, &mut first)?;
    let text = header::text_at(&first)?;
    let end = text.end as u64;
    if end > source.size() {
        return Err("it ends within its header".to_owned());
    }
    let mut bytes = vec![0; text.len()];
    source.read(text.start as u64, &mut bytes)?;
    header::parse(&bytes, end)
}

inventory::submit!(VirtualKind::of::<Array<f64>>());

impl<N: Stored> Array<N> {
    /// The file has R's elements in R's order.
    fn is_as_in_r(&self) -> bool {
        self.order.is_plain() && N::IS_AS_IN_R && !self.big_endian
    }
}

impl<N: Stored> Virtual for Array<N> {
    type Element = N::Element;
    const DESCRIPTION: &'static str = "a .npy file";
    const NAME: Option<&'static str> = Some("cowshed.npy");

    fn length(&self) -> u64 {
        self.length
    }

    fn fill(&self, start: u64, out: &mut [N::Element]) -> Filled {
        let read = |at: u64, bytes: &mut [u8]| self.source.read(self.offset + at * N::WIDTH as u64, bytes);
        if self.is_as_in_r() {
            return read(start, N::Element::bytes_of(out));
        }
        let mut bytes = vec![0; N::WIDTH * out.len().min(BLOCK)];
        for (out, start) in out.chunks_mut(BLOCK).zip((start..).step_by(BLOCK)) {
            let bytes = &mut bytes[..N::WIDTH * out.len()];
            self.order.read(start, N::WIDTH, bytes, read)?;
            for ((place, stored), i) in out.iter_mut().zip(bytes.chunks_exact(N::WIDTH)).zip(start..) {
                *place = N::element(stored, self.big_endian)
                    .map_err(|value| format!("element {} is {value}, which a double does not hold exactly", i + 1))?;
            }
        }
        Ok(())
    }

    fn file(&self) -> Option<(BorrowedFd<'_>, u64)> {
        self.is_as_in_r().then(|| (self.source.descriptor(), self.offset))
    }

    fn inspect(&self) -> String {
        format!("  file {}\n", self.source.path())
    }

    fn recipe(&self, r: R) -> Result<Sexp> {
        r.list(1, |_| self.source.recipe(r))
    }

    fn restore(r: R, recipe: Sexp) -> Result<Sexp> {
        let [source] = parts(r, recipe)?;
        open(r, Source::restore(r, source)?).map(|(x, _)| x)
    }
}

/// Elements that are converted at a time.
const BLOCK: usize = 16 << 10;
