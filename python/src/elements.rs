//! Bytes that an array shows, and what keeps them.
//!
//! - Elements of a segment are read where they are: [`Elements`] holds the segment, and the array holds the [`View`] that has them.
//! - What must be converted lies in memory of its own, which is shown the same way, so that an array from R is read-only whatever its type, and knows its
//!   attributes.

use std::sync::Arc;

use cowshed_core::{Payload, Segment};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

/// Some bytes, kept.
pub(crate) struct Elements {
    start: *const u8,
    /// In bytes.
    len: usize,
    _owner: Owner,
}

enum Owner {
    Segment(#[expect(dead_code, reason = "held, never looked at")] Arc<Segment>),
    Own(#[expect(dead_code, reason = "held, never looked at")] Box<[u8]>),
    /// An array of objects.
    Array(#[expect(dead_code, reason = "held, never looked at")] Py<PyAny>),
}

// SAFETY: what is behind the pointer stays where it is as long as the owner, which may go to any thread, and nobody writes through it.
unsafe impl Send for Elements {}
// SAFETY: as above.
unsafe impl Sync for Elements {}

impl Elements {
    /// `len` bytes from byte `start` of a payload; `None` if they do not lie in it.
    pub(crate) fn of_segment(segment: &Arc<Segment>, payload: Payload, start: u64, len: u64) -> Option<Elements> {
        if start.checked_add(len)? > payload.len {
            return None;
        }
        let address = segment.payload(payload).wrapping_add(usize::try_from(start).ok()?);
        Some(Elements { start: address, len: usize::try_from(len).ok()?, _owner: Owner::Segment(segment.clone()) })
    }

    /// Bytes of their own.
    pub(crate) fn own(bytes: Vec<u8>) -> Elements {
        let bytes = bytes.into_boxed_slice();
        Elements { start: bytes.as_ptr(), len: bytes.len(), _owner: Owner::Own(bytes) }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Element `i` of those that are four bytes each.
    fn int(&self, i: usize) -> i32 {
        assert!(i < self.len / 4, "an element past the last");
        // SAFETY: within the bytes, which stay; a write-through segment's may be written meanwhile, which a volatile read allows for.
        i32::from_ne_bytes(unsafe { self.start.add(4 * i).cast::<[u8; 4]>().read_volatile() })
    }

    /// All of them, read as integers.
    pub(crate) fn ints(&self) -> impl ExactSizeIterator<Item = i32> + '_ {
        (0..self.len / 4).map(|i| self.int(i))
    }

    /// All of them, read as doubles.
    pub(crate) fn doubles(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        (0..self.len / 8).map(|i| {
            // SAFETY: within the bytes, as above.
            f64::from_ne_bytes(unsafe { self.start.add(8 * i).cast::<[u8; 8]>().read_volatile() })
        })
    }

    /// A copy of all bytes.
    pub(crate) fn copied(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        // SAFETY: as many bytes, which stay, and room for them. By pointers, because others may write what is shared.
        unsafe { std::ptr::copy_nonoverlapping(self.start, bytes.as_mut_ptr(), self.len) };
        bytes
    }
}

/// What an array shows and holds: numpy takes the bytes from its `__array_interface__` and keeps it as the array's `base`.
#[pyclass(module = "cowshed._cowshed", frozen)]
pub(crate) struct View {
    elements: Elements,
    typestr: &'static str,
    size: usize,
    /// Of Fortran order.
    shape: Vec<usize>,
    attributes: Option<Py<PyDict>>,
}

#[pymethods]
impl View {
    /// How numpy is told of the bytes.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("typestr", self.typestr)?;
        interface.set_item("shape", PyTuple::new(py, &self.shape)?)?;
        let strides = self.shape.iter().scan(self.size, |stride, extent| {
            let this = *stride;
            // An array without elements has any.
            *stride = stride.saturating_mul((*extent).max(1));
            Some(this)
        });
        let strides: Vec<_> = strides.collect();
        interface.set_item("strides", PyTuple::new(py, strides)?)?;
        interface.set_item("data", (self.elements.start as usize, true))?;
        Ok(interface)
    }

    /// What R says of the object beside its elements; `None` for an array that R did not make.
    #[getter]
    fn attributes(&self, py: Python<'_>) -> Option<Py<PyDict>> {
        self.attributes.as_ref().map(|attributes| attributes.clone_ref(py))
    }
}

/// The array of some elements, of one extent, as numpy names their type.
pub(crate) fn array<'py>(
    py: Python<'py>,
    elements: Elements,
    typestr: &'static str,
    size: usize,
    shape: Vec<usize>,
    attributes: Option<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let len = shape.iter().try_fold(size, |bytes, extent| bytes.checked_mul(*extent));
    assert_eq!(len, Some(elements.len()), "an array's extents are checked before");
    let view = View { elements, typestr, size, shape, attributes: attributes.map(Bound::unbind) };
    as_array(py, view)
}

/// An array of these objects, read-only as all others.
pub(crate) fn objects<'py>(
    py: Python<'py>,
    objects: Vec<Py<PyAny>>,
    shape: Vec<usize>,
    attributes: Option<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let array = MAKE.import(py, "cowshed._arrays", "objects")?.call1((objects,))?;
    let interface = array.getattr("__array_interface__")?;
    let (start, _): (usize, bool) = interface.get_item("data")?.extract()?;
    let len = array.getattr("nbytes")?.extract()?;
    let elements = Elements { start: start as *const u8, len, _owner: Owner::Array(array.unbind()) };
    self::array(py, elements, "|O", size_of::<usize>(), shape, attributes)
}

fn as_array(py: Python<'_>, view: View) -> PyResult<Bound<'_, PyAny>> {
    static ASARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    ASARRAY.import(py, "numpy", "asarray")?.call1((view,))
}
