//! What goes wrong here, and the Python exception that it becomes.
//!
//! - An error of the core is `cowshed.Error` or the subclass for its word (`python/cowshed/_errors.py` has the table); its message is the core's.
//! - An exception that passes through stays what it is. A panic is PyO3's affair: it becomes `pyo3_runtime.PanicException`.

use cowshed_core::{AttachError, CreateError, DispatchError, Kind, NameError, OnceError, StoreError, StoredError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// An error on its way to Python.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Ours: its class as a word, its message.
    Error(&'static str, String),
    /// Python's own.
    Raised(PyErr),
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure::Error(kind.word(), message.into())
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Failure::Raised(error)
    }
}

macro_rules! failures {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::new(error.kind(), error.to_string())
            }
        }
    )*};
}
failures!(AttachError, CreateError, DispatchError, NameError, OnceError, StoreError, StoredError);

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        match failure {
            Failure::Raised(error) => error,
            Failure::Error(word, message) => Python::attach(|py| match made(py, word, &message) {
                Ok(error) => PyErr::from_value(error),
                Err(error) => error,
            }),
        }
    }
}

fn made<'py>(py: Python<'py>, word: &str, message: &str) -> PyResult<Bound<'py, PyAny>> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    MAKE.import(py, "cowshed._errors", "error")?.call1((word, message))
}
