//! R's vectors as what elements are made of.

use std::marker::PhantomData;

use cowshed_altrep::boundary::call;
use cowshed_altrep::element::Element as _;
use cowshed_altrep::sys::{self, R_xlen_t};
use cowshed_altrep::{Failure, R, Result, Sexp};

use crate::element::Element;
use crate::kept::Kept;

/// A vector of R's, kept, whose elements can be read while a virtual vector is.
///
/// - If it lies in memory, as plain and shared vectors do, any thread can read it. Else R's thread alone: see [`crate::Virtual::needs_r`].
/// - R's code does not change it from now on, but makes a copy first. A vector shared with `copyOnWrite = FALSE` is read as it is at the time.
#[derive(Debug)]
pub struct Vector<E> {
    kept: Kept,
    /// Null if it does not lie in memory.
    data: *const E,
    len: u64,
    elements: PhantomData<E>,
}

// SAFETY: elements that nobody of R's changes, and that stay as long as the object is kept; they are only read.
unsafe impl<E: Element> Send for Vector<E> {}
// SAFETY: as above.
unsafe impl<E: Element> Sync for Vector<E> {}

impl<E: Element> Vector<E> {
    /// Of a vector of this type.
    ///
    /// # Errors
    /// It is of another type.
    pub fn new(r: R, x: Sexp) -> Result<Vector<E>> {
        if x.kind() != u32::from(E::KIND) {
            return Err(Failure::new(
                "argument",
                format!("a vector is of another type than it should be: {}", x.shown(r)),
            ));
        }
        let len = x.len(r)? as u64;
        // SAFETY: an R object.
        unsafe { sys::MARK_NOT_MUTABLE(x.into_r()) };
        // SAFETY: a vector.
        let data = call(r, || unsafe { sys::DATAPTR_OR_NULL(x.into_r()) })?.cast::<E>();
        let data = if data.is_aligned() { data } else { std::ptr::null() };
        Ok(Vector { kept: Kept::new(r, x)?, data, len, elements: PhantomData })
    }

    /// The same, of a plain copy if it does not lie in memory: for what is not too large.
    ///
    /// # Errors
    /// It is of another type; out of memory.
    pub fn in_memory(r: R, x: Sexp) -> Result<Vector<E>> {
        let vector = Vector::<E>::new(r, x)?;
        if vector.is_in_memory() || vector.len == 0 {
            return Ok(vector);
        }
        // SAFETY: allocation.
        let copy = call(r, || unsafe { sys::Rf_allocVector(E::KIND.into(), vector.len as R_xlen_t) })?;
        // SAFETY: just made.
        let copy = r.protect(unsafe { Sexp::from_r(copy) })?;
        // SAFETY: a plain vector of this type.
        let data = unsafe { E::Of::data(copy.into_r()) };
        // SAFETY: as many elements, which nobody else has; R sets them to nothing, so any bytes may be there, and are elements.
        vector.read_in_r(r, 0, unsafe { std::slice::from_raw_parts_mut(data.cast::<E>(), vector.len as usize) })?;
        Vector::new(r, copy)
    }

    /// The vector itself.
    pub fn get(&self, r: R) -> Sexp {
        self.kept.get(r)
    }

    /// In elements.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether any thread can read it.
    pub fn is_in_memory(&self) -> bool {
        !self.data.is_null()
    }

    /// Copies elements that lie in memory.
    ///
    /// # Panics
    /// They do not lie in memory, or are beyond the end.
    #[inline]
    pub fn read(&self, start: u64, out: &mut [E]) {
        let end = start.checked_add(out.len() as u64);
        assert!(self.is_in_memory() && end.is_some_and(|end| end <= self.len), "elements that are not in memory");
        // SAFETY: within the vector, and `out` is not of it.
        unsafe { std::ptr::copy_nonoverlapping(self.data.add(start as usize), out.as_mut_ptr(), out.len()) };
    }

    /// One of them.
    ///
    /// # Panics
    /// As [`Vector::read`].
    #[inline]
    pub fn at(&self, i: u64) -> E {
        assert!(self.is_in_memory() && i < self.len, "an element that is not in memory");
        // SAFETY: within the vector.
        unsafe { self.data.add(i as usize).read() }
    }

    /// Copies elements, wherever they are. An ALTREP without a pointer is asked for them, and gets none by that.
    ///
    /// # Errors
    /// Those of the vector's own code.
    ///
    /// # Panics
    /// They are beyond the end.
    pub fn read_in_r(&self, r: R, start: u64, out: &mut [E]) -> Result<()> {
        assert!(start.checked_add(out.len() as u64).is_some_and(|end| end <= self.len), "elements beyond the end");
        let (x, n) = (self.get(r).into_r(), out.len());
        let place = out.as_mut_ptr();
        let mut done = 0;
        while done < n {
            let (i, left) = ((start + done as u64) as R_xlen_t, (n - done) as R_xlen_t);
            // SAFETY: within `out`.
            let place = unsafe { place.add(done) }.cast();
            // SAFETY: a vector of this type, elements within it, and room for as many.
            let got = call(r, || unsafe { E::Of::region(x, i, left, place) })?;
            if !(1..=left).contains(&got) {
                return Err(Failure::new("generator", format!("a vector gave {got} of {left} elements")));
            }
            done += got as usize;
        }
        Ok(())
    }
}

/// What R makes of elements.
pub trait Vectors {
    /// A plain vector of these elements.
    ///
    /// # Errors
    /// Out of memory.
    fn vector<E: Element>(self, elements: &[E]) -> Result<Sexp>;
}

impl Vectors for R {
    fn vector<E: Element>(self, elements: &[E]) -> Result<Sexp> {
        // SAFETY: allocation.
        let x = call(self, || unsafe { sys::Rf_allocVector(E::KIND.into(), elements.len() as R_xlen_t) })?;
        // SAFETY: just made.
        let x = self.protect(unsafe { Sexp::from_r(x) })?;
        // SAFETY: a plain vector of this type.
        let data = unsafe { E::Of::data(x.into_r()) }.cast::<E>();
        // SAFETY: as many elements, of a vector that nobody else has.
        unsafe { std::ptr::copy_nonoverlapping(elements.as_ptr(), data, elements.len()) };
        Ok(x)
    }
}
