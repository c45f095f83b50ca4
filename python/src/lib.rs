//! cowshed for Python: the library below the package `cowshed`.
//!
//! - Functions that Python calls are here, at the top; what they are made of is below. What users call, with its documentation, is in
//!   `python/cowshed/`, in Python.
//! - Objects made once per machine: `once`, and how those that are no arrays are written: `write`.
//! - From bytes to Python objects: a segment's nodes (`nodes`), or R's serialization (`unserialize`) with the references in it (`reference`), become a
//!   `value::Value`, of which `python` makes what Python knows; `elements` keeps what arrays show.

mod elements;
mod failure;
mod nodes;
mod once;
mod python;
mod reference;
mod text;
mod unserialize;
mod value;
mod write;

use std::path::PathBuf;

use cowshed_core::{ARRAY_STRATEGY, Kind, Name, Store, default_store_path, open_found, open_stored, usual_store_path};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use failure::{Failure, Result};

#[pymodule]
fn _cowshed(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<elements::View>()?;
    module.add_class::<once::Maker>()?;
    module.add_function(wrap_pyfunction!(once::enter, module)?)?;
    module.add_function(wrap_pyfunction!(once::find, module)?)?;
    module.add_function(wrap_pyfunction!(once::valid_id, module)?)?;
    module.add_function(wrap_pyfunction!(once::free, module)?)?;
    module.add_function(wrap_pyfunction!(once::list_cached, module)?)?;
    module.add_function(wrap_pyfunction!(open, module)?)?;
    module.add_function(wrap_pyfunction!(retrieve, module)?)?;
    module.add_function(wrap_pyfunction!(unserialize_, module)?)?;
    module.add("NA_INTEGER", value::NA_INTEGER)
}

/// The object in a file: a stored segment, or an array of numpy's, which it maps. `found`: not if it is another user's and more than data.
#[pyfunction]
fn open(py: Python<'_>, path: PathBuf, found: bool) -> Result<Bound<'_, PyAny>> {
    static MAP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let segment = py.detach(|| if found { open_found(&path) } else { open_stored(&path) })?;
    let header = segment.header();
    // Of an array's file there is nothing beside the one node.
    if segment.table().strategy(segment.root()) == ARRAY_STRATEGY && header.table_offset == header.file_len {
        return Ok(MAP.import(py, "cowshed._once", "mapped")?.call1((path.into_os_string(),))?);
    }
    python::python(py, reference::root(py, &segment)?)
}

/// The object that an R process registered under a name, in the usual store or the one within a directory.
#[pyfunction]
fn retrieve<'py>(py: Python<'py>, namespace: &str, name: &str, store: Option<PathBuf>) -> Result<Bound<'py, PyAny>> {
    let path = store.map_or_else(|| usual_store_path().to_owned(), |within| default_store_path(&within));
    let full = Name { namespace, name };
    let gone = || {
        let why = "it was never registered, it was released, or the process that registered it has ended; register it (registerVariables() in R)";
        Failure::new(Kind::Gone, format!("There is no {full} in the store '{}': {why}", path.display()))
    };
    let store = Store::find(&path)?.ok_or_else(gone)?;
    let mut gone_before = None;
    loop {
        let card = store.card(full)?.ok_or_else(gone)?;
        let value = unserialize::unserialize(py, &card.value, 0);
        match value {
            // Released and registered anew meanwhile: once more. The same card: its memory was freed.
            Err(Failure::Error("gone", _)) if gone_before != Some(card.id) => gone_before = Some(card.id),
            value => return python::python(py, value?),
        }
    }
}

/// The object that R serialized, for tests.
#[pyfunction(name = "unserialize")]
fn unserialize_<'py>(py: Python<'py>, bytes: &[u8]) -> Result<Bound<'py, PyAny>> {
    python::python(py, unserialize::unserialize(py, bytes, 0)?)
}
