//! Arrays of numpy's, opened: views where R has such a type, else converted (`docs/run-once.md` has the table).
//!
//! The strategy's payload is an array as numpy stores it in a file: a file of numpy's is one such node, and segments that Python made have others.

use std::ffi::c_int;

use cowshed_core::{ARRAY_STRATEGY, Claim, Dtype, Encoder, NodeId, Npy, Opener, Shareable};

use crate::boundary::{Failure, R, Result, call};
use crate::element::{Complex, Double, Element, Integer, Logical, Raw, plain};
use crate::session::Session;
use crate::sexp::Sexp;
use crate::sys::{self, Rcomplex, SexpType};
use crate::{Registration, by_element, interrupts, vector};

struct Array;

inventory::submit!(Registration(&Array));

impl Shareable<Session> for Array {
    fn name(&self) -> &'static str {
        ARRAY_STRATEGY
    }

    fn kinds(&self) -> &'static [u8] {
        &[]
    }

    fn claim(&self, _: &Session, _: Sexp) -> Claim {
        Claim::No
    }

    fn encode(&self, _: &Session, _: Sexp, _: &mut Encoder<'_, Session>) -> Result<NodeId> {
        Err(Failure::new("unshareable", "R writes no arrays of numpy's into segments"))
    }

    fn open(&self, session: &Session, id: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let payload = from.node(id).payload;
        let bytes = from.segment().frozen(payload).ok_or_else(|| from.bad(id, "an array is never written through"))?;
        let npy = Npy::parse(bytes, payload.len).map_err(|_| from.bad(id, "it is no array as numpy stores it"))?;
        let x = match view(session, id, from, &npy)? {
            Some(view) => view,
            None => Conversion { r: session.r, npy: &npy, data: &bytes[npy.data_at as usize..] }.run()?,
        };
        set_dim(session.r, x, &npy)?;
        Ok(x)
    }
}

/// Where R's elements are the same bytes in the same order.
fn view(session: &Session, id: NodeId, from: &Opener<'_, Session>, npy: &Npy) -> Result<Option<Sexp>> {
    if !npy.is_columnar() || npy.dtype.swapped {
        return Ok(None);
    }
    let Some(kind) = ours(npy) else { return Ok(None) };
    let (at, n) = (npy.data_at, npy.len().unwrap_or(0));
    by_element!(kind, E => vector::part::<E>(session, from, id, at, n), Ok(None))
}

/// Types of R's whose elements are numpy's too: its kinds, and bytes of one.
const OURS: [(SexpType, u8, usize); 4] =
    [(sys::REALSXP, b'f', 8), (sys::INTSXP, b'i', 4), (sys::RAWSXP, b'u', 1), (sys::CPLXSXP, b'c', 16)];

fn ours(npy: &Npy) -> Option<SexpType> {
    let own = OURS.iter().find(|(_, kind, size)| (*kind, *size) == (npy.dtype.kind, npy.dtype.size));
    own.map(|(kind, ..)| *kind)
}

/// What elements of a type of R's are to numpy, as they are written; logicals take a byte there.
pub(crate) fn dtype_of(kind: SexpType) -> Option<Dtype> {
    if kind == sys::LGLSXP {
        return Some(Dtype::new(b'b', 1));
    }
    OURS.iter().find(|(own, ..)| *own == kind).map(|(_, kind, size)| Dtype::new(*kind, *size))
}

/// What a user should know of an array: why it was copied, if it was.
pub(crate) fn copied(npy: &Npy) -> Option<String> {
    if ours(npy).is_none() || npy.dtype.swapped {
        return Some(format!("converted from dtype {}", npy.dtype.descr));
    }
    (!npy.is_columnar()).then(|| "its order is C's, and R's is Fortran's".to_owned())
}

fn set_dim(r: R, x: Sexp, npy: &Npy) -> Result<()> {
    if npy.shape.len() < 2 {
        return Ok(());
    }
    let extents = npy.shape.iter().map(|extent| c_int::try_from(*extent)).collect::<std::result::Result<Vec<_>, _>>();
    let extents = extents.map_err(|_| {
        Failure::new(
            "unshareable",
            format!("an array of {:?} has an extent that R's have not: 2^31 - 1 at most", npy.shape),
        )
    })?;
    // SAFETY: the new vector has as many elements.
    let dim = plain::<Integer>(r, extents.len(), |out| unsafe {
        std::ptr::copy_nonoverlapping(extents.as_ptr(), out, extents.len());
    })?;
    // SAFETY: a vector with as many elements as its extents say.
    call(r, || unsafe { sys::Rf_setAttrib(x.0, sys::Rf_install(c"dim".as_ptr()), dim) }).map(drop)
}

/// A copy, in R's order, of another type.
struct Conversion<'a> {
    r: R,
    npy: &'a Npy,
    data: &'a [u8],
}

/// Whole numbers up to here are R's doubles.
const WHOLE: u128 = 1 << 53;

impl Conversion<'_> {
    fn run(&self) -> Result<Sexp> {
        match (self.npy.dtype.kind, self.npy.dtype.size) {
            (b'b', 1) => self.each::<Logical, 1>(1, |b| Ok((b[0] != 0).into())),
            (b'u', 1) => self.each::<Raw, 1>(1, |b| Ok(b[0])),
            (b'i', 1) => self.each::<Integer, 1>(1, |b| Ok(i8::from_ne_bytes(b).into())),
            (b'i', 2) => self.each::<Integer, 2>(1, |b| Ok(i16::from_ne_bytes(b).into())),
            (b'u', 2) => self.each::<Integer, 2>(1, |b| Ok(u16::from_ne_bytes(b).into())),
            (b'i', 4) => self.each::<Integer, 4>(1, |b| Ok(i32::from_ne_bytes(b))),
            (b'u', 4) => self.each::<Double, 4>(1, |b| Ok(u32::from_ne_bytes(b).into())),
            (b'i', 8) => self.each::<Double, 8>(1, |b| whole(i64::from_ne_bytes(b).into())),
            (b'u', 8) => self.each::<Double, 8>(1, |b| whole(u64::from_ne_bytes(b).into())),
            (b'f', 2) => self.each::<Double, 2>(1, |b| Ok(half(u16::from_ne_bytes(b)))),
            (b'f', 4) => self.each::<Double, 4>(1, |b| Ok(f32::from_ne_bytes(b).into())),
            (b'f', 8) => self.each::<Double, 8>(1, |b| Ok(f64::from_ne_bytes(b))),
            (b'c', 8) => self.each::<Complex, 8>(2, |b| {
                let part = |at: usize| f32::from_ne_bytes(b[at..at + 4].try_into().expect("4 bytes")).into();
                Ok(Rcomplex { r: part(0), i: part(4) })
            }),
            (b'c', 16) => self.each::<Complex, 16>(2, |b| {
                let part = |at: usize| f64::from_ne_bytes(b[at..at + 8].try_into().expect("8 bytes"));
                Ok(Rcomplex { r: part(0), i: part(8) })
            }),
            (b'U' | b'S', _) => self.strings(),
            _ => Err(Failure::new(
                "unshareable",
                format!(
                    "an array of dtype {} has no type in R; convert it in Python first, with astype()",
                    self.npy.dtype.descr
                ),
            )),
        }
    }

    /// Element by element, of `SIZE` bytes in `parts` numbers.
    fn each<E: Element, const SIZE: usize>(
        &self,
        parts: usize,
        value: impl Fn([u8; SIZE]) -> Result<E::C>,
    ) -> Result<Sexp> {
        let n = self.npy.len().unwrap_or(0) as usize;
        let mut places = Places::new(self.npy);
        let mut failure = None;
        let vector = plain::<E>(self.r, n, |out| {
            for i in 0..n {
                let at = places.take() * SIZE;
                let mut bytes: [u8; SIZE] = self.data[at..at + SIZE].try_into().expect("as many bytes");
                if self.npy.dtype.swapped {
                    bytes.chunks_exact_mut(SIZE / parts).for_each(<[u8]>::reverse);
                }
                let interrupted = if i % (1 << 20) == 1 << 19 { interrupts::heed(self.r) } else { Ok(()) };
                match interrupted.and_then(|()| value(bytes)) {
                    // SAFETY: the new vector has `n` elements.
                    Ok(value) => unsafe { out.add(i).write(value) },
                    Err(e) => return failure = Some(e),
                }
            }
        })?;
        failure.map_or(Ok(Sexp(vector)), Err)
    }

    /// Without the zeros that numpy fills them up with.
    fn strings(&self) -> Result<Sexp> {
        let (n, dtype) = (self.npy.len().unwrap_or(0) as usize, &self.npy.dtype);
        let mut places = Places::new(self.npy);
        let mut texts = Vec::with_capacity(n);
        for _ in 0..n {
            let at = places.take() * dtype.size;
            let bytes = &self.data[at..at + dtype.size];
            let text = match dtype.kind {
                b'S' => String::from_utf8(bytes.to_vec()).ok(),
                _ => bytes.chunks_exact(4).map(|b| char::from_u32(code(b, dtype.swapped))).collect(),
            };
            let text = text.filter(|text| !text.trim_end_matches('\0').contains('\0'));
            texts.push(text.ok_or_else(|| {
                let why =
                    "is not UTF-8, or has a zero byte within, which R's strings have not; convert it in Python first";
                Failure::new("unshareable", format!("a string of an array of dtype {} {why}", dtype.descr))
            })?);
        }
        self.r.strings(n, |i| texts[i].trim_end_matches('\0').to_owned())
    }
}

fn code(b: &[u8], swapped: bool) -> u32 {
    let code = u32::from_ne_bytes(b.try_into().expect("4 bytes"));
    if swapped { code.swap_bytes() } else { code }
}

fn whole(value: i128) -> Result<f64> {
    if value.unsigned_abs() <= WHOLE {
        return Ok(value as f64);
    }
    let why = "R's doubles cannot tell it from its neighbours (beyond 2^53); convert the array in Python first, with astype('f8') if that will do";
    Err(Failure::new("unshareable", format!("an element of the array is {value}: {why}")))
}

/// A number of two bytes.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// Where the elements lie, one after the other in R's order.
struct Places<'a> {
    shape: &'a [u64],
    /// Elements from one index to the next, along each extent.
    strides: Vec<usize>,
    index: Vec<u64>,
    at: usize,
}

impl<'a> Places<'a> {
    fn new(npy: &'a Npy) -> Self {
        // Of an array without elements the product may be any.
        let n = npy.shape.len();
        let mut strides = vec![1usize; n];
        for i in 1..n {
            match npy.is_columnar() {
                true => strides[i] = strides[i - 1].wrapping_mul(npy.shape[i - 1] as usize),
                false => strides[n - 1 - i] = strides[n - i].wrapping_mul(npy.shape[n - i] as usize),
            }
        }
        Places { shape: &npy.shape, strides, index: vec![0; n], at: 0 }
    }

    fn take(&mut self) -> usize {
        let here = self.at;
        for i in 0..self.shape.len() {
            self.index[i] += 1;
            self.at += self.strides[i];
            if self.index[i] < self.shape[i] {
                break;
            }
            self.at -= self.strides[i] * self.shape[i] as usize;
            self.index[i] = 0;
        }
        here
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cowshed_core::Dtype;

    #[test]
    fn elements_are_taken_in_the_order_of_r() {
        let npy = |fortran, shape| Npy { dtype: Dtype::new(b'f', 8), fortran, shape, data_at: 0 };
        let taken = |npy: &Npy, n| {
            let mut places = Places::new(npy);
            (0..n).map(|_| places.take()).collect::<Vec<_>>()
        };
        assert_eq!(taken(&npy(false, vec![2, 3]), 6), [0, 3, 1, 4, 2, 5]);
        assert_eq!(taken(&npy(true, vec![2, 3]), 6), [0, 1, 2, 3, 4, 5]);
        assert_eq!(taken(&npy(false, vec![2, 1, 3]), 6), [0, 3, 1, 4, 2, 5]);
        assert_eq!(taken(&npy(false, vec![2, 2, 2]), 8), [0, 4, 2, 6, 1, 5, 3, 7]);
        assert_eq!(taken(&npy(false, vec![4]), 4), [0, 1, 2, 3]);
        assert_eq!(taken(&npy(false, vec![]), 1), [0]);
    }

    #[test]
    fn halves_are_the_numbers_they_are() {
        let known = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f64.powi(-24)),
            (0x3555, 0.333251953125),
            (0x7c00, f64::INFINITY),
        ];
        for (bits, number) in known {
            assert_eq!(half(bits), number);
        }
        assert!(half(0x7e00).is_nan());
        assert!(half(0x8000).is_sign_negative());
    }
}
