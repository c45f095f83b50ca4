//! The right to make an object, as Python holds it, and what becomes of an object's files.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cowshed_core::{Kind, NewArray, Once, OnceLock, Turn};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::failure::{Failure, Result};
use crate::write;

/// The right to make an object. Released, it passes to the next who asks; so it does when Python forgets it.
#[pyclass(module = "cowshed._cowshed", frozen)]
pub(crate) struct Maker {
    maker: Mutex<Option<cowshed_core::Maker>>,
    new: Mutex<Option<NewArray>>,
}

#[pymethods]
impl Maker {
    /// The descriptor of a new file for so many bytes, which the caller closes.
    fn new_array(&self, bytes: u64) -> Result<i32> {
        use std::os::fd::IntoRawFd;
        let new = locked(&self.maker).as_ref().ok_or_else(released)?.new_array()?;
        new.expect(bytes)?;
        let file = new.file().try_clone().map_err(PyErr::from)?;
        *locked(&self.new) = Some(new);
        Ok(file.into_raw_fd())
    }

    /// Gives that file its name, now that the array is in it.
    fn commit(&self) -> Result<OsString> {
        Ok(locked(&self.new).take().ok_or_else(released)?.commit()?.into())
    }

    /// Writes a tuple, list or dict.
    fn share(&self, value: Bound<'_, PyAny>) -> Result<OsString> {
        let path = locked(&self.maker).as_ref().ok_or_else(released)?.path_of_object();
        write::write(&path, value)?;
        Ok(path.into())
    }

    /// Lets go of it.
    fn release(&self) {
        drop(locked(&self.new).take());
        drop(locked(&self.maker).take());
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyAny>) {
        self.release();
    }
}

/// Whatever a panic left undone, what is locked here is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn released() -> Failure {
    Failure::new(Kind::Argument, "this object's maker was released before")
}

/// Finds an object or waits for it: its path, or a [`Maker`]. `timeout` in seconds, none if negative; `waiting` is called when a wait begins.
#[pyfunction]
pub(crate) fn enter<'py>(
    py: Python<'py>,
    shm_path: PathBuf,
    prefix: &str,
    id: &str,
    timeout: f64,
    waiting: Bound<'py, PyAny>,
) -> Result<Bound<'py, PyAny>> {
    let timeout = if timeout < 0.0 { None } else { Duration::try_from_secs_f64(timeout).ok() };
    let waiting = || waiting.call0().map(drop).map_err(Failure::from);
    let pause = |nap| {
        py.detach(|| std::thread::sleep(nap));
        py.check_signals().map_err(Failure::from)
    };
    Ok(match Once::new(&shm_path, prefix, id)?.enter(timeout, waiting, pause)? {
        Turn::Found(path) => path.into_os_string().into_bound_py_any(py)?,
        Turn::Mine(maker) => {
            let maker = Maker { maker: Mutex::new(Some(maker)), new: Mutex::default() };
            maker.into_bound_py_any(py)?
        }
    })
}

/// The path of an object, if it is made.
#[pyfunction]
pub(crate) fn find(shm_path: PathBuf, prefix: &str, id: &str) -> Result<Option<OsString>> {
    Ok(Once::new(&shm_path, prefix, id)?.find()?.map(OsString::from))
}

/// Whether a string can be an id.
#[pyfunction]
pub(crate) fn valid_id(id: Bound<'_, PyString>) -> bool {
    // What has no UTF-8 has other letters than an id.
    id.to_cow().is_ok_and(|id| cowshed_core::valid_id(&id))
}

/// Removes an object's files: whether there was a lock, and which there were.
#[pyfunction]
pub(crate) fn free(shm_path: PathBuf, prefix: &str, id: &str) -> Result<(bool, Vec<OsString>)> {
    let freed = Once::new(&shm_path, prefix, id)?.free()?;
    Ok((freed.lock, freed.files.into_iter().map(OsString::from).collect()))
}

type Listed = (String, Option<OsString>, u64, i64, u32, Option<&'static str>, Option<u32>);

/// What there is: id, path, bytes, seconds since 1970, user, what its lock says, and the pid of who makes it.
#[pyfunction]
pub(crate) fn list_cached(shm_path: PathBuf, prefix: &str) -> Result<Vec<Listed>> {
    let entries = Once::list(&shm_path, prefix)?.into_iter();
    let listed = entries.map(|entry| {
        let (lock, pid) = match entry.lock {
            OnceLock::None => (None, None),
            OnceLock::Held(pid) => (Some("held"), pid),
            OnceLock::Left => (Some("left"), None),
            OnceLock::Foreign => (Some("foreign"), None),
        };
        (entry.id, entry.path.map(OsString::from), entry.bytes, entry.modified, entry.uid, lock, pid)
    });
    Ok(listed.collect())
}
