//! An object as R has it, between what was read and what Python makes of it.

use pyo3::prelude::*;

use crate::elements::Elements;

/// The smallest integer: R's NA.
pub(crate) const NA_INTEGER: i32 = i32::MIN;

/// An R object: its contents, and its attributes in order.
pub(crate) struct Value {
    pub(crate) data: Data,
    pub(crate) attributes: Vec<(String, Value)>,
}

/// Contents.
pub(crate) enum Data {
    Null,
    Atoms(Atom, Elements),
    /// `str`, `None` for NA, and `bytes` for what R says is no text.
    Strings(Vec<Py<PyAny>>),
    List(Vec<Value>),
    /// A symbol's name.
    Symbol(String),
    /// Cells of a pairlist: tag and value; and what is in place of its end.
    Pairs(Vec<(Option<String>, Value)>, Option<Box<Value>>),
    /// The image of a `.npy` file.
    Image(Elements),
    /// What Python has nothing for, as an error names it. An error only where it is wanted: attributes may be such.
    Other(String),
}

/// The types of plain elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Atom {
    Raw,
    Logical,
    Integer,
    Double,
    Complex,
}

impl Atom {
    pub(crate) const ALL: [Atom; 5] = [Atom::Raw, Atom::Logical, Atom::Integer, Atom::Double, Atom::Complex];

    /// As segments and ALTREP classes call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Atom::Raw => "raw",
            Atom::Logical => "logical",
            Atom::Integer => "integer",
            Atom::Double => "double",
            Atom::Complex => "complex",
        }
    }

    /// The one that has this name behind a prefix.
    pub(crate) fn named(name: &str, prefix: &str) -> Option<Atom> {
        let name = name.strip_prefix(prefix)?;
        Atom::ALL.into_iter().find(|atom| atom.name() == name)
    }

    /// Bytes of an element.
    pub(crate) const fn size(self) -> usize {
        match self {
            Atom::Raw => 1,
            Atom::Logical | Atom::Integer => 4,
            Atom::Double => 8,
            Atom::Complex => 16,
        }
    }

    /// As numpy calls it.
    pub(crate) const fn typestr(self) -> &'static str {
        match (self, cfg!(target_endian = "little")) {
            (Atom::Raw, _) => "|u1",
            (Atom::Logical | Atom::Integer, true) => "<i4",
            (Atom::Logical | Atom::Integer, false) => ">i4",
            (Atom::Double, true) => "<f8",
            (Atom::Double, false) => ">f8",
            (Atom::Complex, true) => "<c16",
            (Atom::Complex, false) => ">c16",
        }
    }
}

impl Value {
    /// One without attributes.
    pub(crate) fn plain(data: Data) -> Value {
        Value { data, attributes: Vec::new() }
    }

    /// One of its attributes.
    pub(crate) fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }
}

/// What R means by a byte string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Latin1,
    /// No text.
    Bytes,
}

/// A string of R's. What is not in its encoding keeps its bytes as Python does in file names (`surrogateescape`).
pub(crate) fn string(py: Python<'_>, bytes: &[u8], encoding: Encoding) -> PyResult<Py<PyAny>> {
    use pyo3::types::{PyBytes, PyString};
    let text = match encoding {
        Encoding::Bytes => return Ok(PyBytes::new(py, bytes).into_any().unbind()),
        Encoding::Latin1 => PyString::new(py, &bytes.iter().map(|b| char::from(*b)).collect::<String>()),
        Encoding::Utf8 => match std::str::from_utf8(bytes) {
            Ok(text) => PyString::new(py, text),
            Err(_) => {
                let decoded = PyBytes::new(py, bytes).call_method1("decode", ("utf-8", "surrogateescape"))?;
                return Ok(decoded.unbind());
            }
        },
    };
    Ok(text.into_any().unbind())
}

/// The text of what [`string`] made, if it is text.
pub(crate) fn text(py: Python<'_>, string: &Py<PyAny>) -> Option<String> {
    string.extract::<String>(py).ok()
}
