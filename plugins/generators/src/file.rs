//! The bytes of a file as elements, as writeBin() writes them.

use std::marker::PhantomData;
use std::os::fd::BorrowedFd;

use cowshed_plugins::prelude::*;

use crate::source::Source;
use crate::{count, damaged, parts, refused};

struct Binary<E> {
    source: Source,
    /// Where the first element is, in bytes.
    offset: u64,
    length: u64,
    elements: PhantomData<E>,
}

/// `length` elements of an R type that lie in the file `path` from byte `offset` on; all that are there if `length` is NULL.
///
/// # Errors
/// The file cannot be read, or has fewer; without a length, bytes that are no whole element.
pub fn file(r: R, path: Sexp, kind: u8, length: Sexp, offset: Sexp) -> Result<Sexp> {
    let path = path.text(r)?.ok_or_else(|| refused(format!("`path` must be one string, not {}", path.shown(r))))?;
    make(r, Source::open(&path)?, kind, length, offset)
}

fn make(r: R, source: Source, kind: u8, length: Sexp, offset: Sexp) -> Result<Sexp> {
    let offset = count(r, "offset", offset)?;
    let (path, size) = (source.path(), source.size());
    let left = size.checked_sub(offset).ok_or_else(|| {
        refused(format!("`offset` must be within the file '{path}', which has {size} bytes, not {offset}"))
    })?;
    by_type!(kind, E => {
        let width = size_of::<E>() as u64;
        let length = match length.is_null() {
            false => count(r, "length", length)?,
            true if left % width == 0 => left / width,
            true => {
                let why = format!(
                    "the file '{path}' has {left} bytes from byte {offset} on, which are no whole number of elements of {width} bytes; give `length`"
                );
                return Err(refused(why));
            }
        };
        if length > left / width {
            let why = format!("the file '{path}' has room for {} elements from byte {offset} on, not for {length}", left / width);
            return Err(refused(why));
        }
        Binary::<E> { source, offset, length, elements: PhantomData }.vector(r)
    }, Err(damaged()))
}

inventory::submit!(VirtualKind::of::<Binary<f64>>());

impl<E: Element> Virtual for Binary<E> {
    type Element = E;
    const DESCRIPTION: &'static str = "a binary file";
    const NAME: Option<&'static str> = Some("cowshed.file");

    fn length(&self) -> u64 {
        self.length
    }

    fn fill(&self, start: u64, out: &mut [E]) -> Filled {
        self.source.read(self.offset + start * size_of::<E>() as u64, E::bytes_of(out))
    }

    fn file(&self) -> Option<(BorrowedFd<'_>, u64)> {
        Some((self.source.descriptor(), self.offset))
    }

    fn inspect(&self) -> String {
        format!("  file {}, from byte {} on\n", self.source.path(), self.offset)
    }

    fn recipe(&self, r: R) -> Result<Sexp> {
        r.list(4, |i| match i {
            0 => self.source.recipe(r),
            1 => r.number(E::KIND.into()),
            2 => r.number(self.length as f64),
            _ => r.number(self.offset as f64),
        })
    }

    fn restore(r: R, recipe: Sexp) -> Result<Sexp> {
        let [source, kind, length, offset] = parts(r, recipe)?;
        let kind = kind.as_number(r)?.ok_or_else(damaged)? as u8;
        make(r, Source::restore(r, source)?, kind, length, offset)
    }
}
