//! What Python makes of an R object: the table "R's node -> Python" of `docs/run-once.md`.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple};

use cowshed_core::Kind;

use crate::elements::{self, Elements};
use crate::failure::{Failure, Result};
use crate::value::{Atom, Data, NA_INTEGER, Value, text};

/// The Python object.
pub(crate) fn python(py: Python<'_>, value: Value) -> Result<Bound<'_, PyAny>> {
    if let Data::List(_) = value.data {
        return list(py, value);
    }
    let has_levels = matches!(value.attribute("levels").map(|levels| &levels.data), Some(Data::Strings(_)));
    let is_factor = matches!(value.data, Data::Atoms(Atom::Integer, _)) && has_levels && inherits(py, &value, "factor");
    let Value { data, attributes } = value;
    match data {
        Data::Null => Ok(py.None().into_bound(py)),
        Data::Symbol(_) => Err(not_in_python("a symbol")),
        Data::Pairs(..) => Err(not_in_python("a pairlist")),
        Data::Other(what) => Err(not_in_python(&what)),
        Data::Image(image) => {
            let bytes = image.len();
            static OPEN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            let image = elements::array(py, image, "|u1", 1, vec![bytes], None)?;
            Ok(OPEN.import(py, "cowshed._arrays", "opened")?.call1((image,))?)
        }
        Data::Strings(strings) => {
            let shape = shape(&attributes, strings.len())?;
            let attributes = dict(py, attributes)?;
            Ok(elements::objects(py, strings, shape, Some(attributes))?)
        }
        Data::Atoms(atom, elements) => {
            let shape = shape(&attributes, elements.len() / atom.size())?;
            let attributes = dict(py, attributes)?;
            let levels = if is_factor { attributes.get_item("levels")? } else { None };
            let (elements, typestr, size) = match as_bools(atom, &elements) {
                Some(bools) => (bools, "|b1", 1),
                None => (elements, atom.typestr(), atom.size()),
            };
            let array = elements::array(py, elements, typestr, size, shape, Some(attributes))?;
            match levels {
                Some(levels) => factor(py, array, levels),
                None => Ok(array),
            }
        }
        Data::List(_) => unreachable!("done above"),
    }
}

/// The bytes of an array of bools, if no element is NA.
fn as_bools(atom: Atom, elements: &Elements) -> Option<Elements> {
    if atom != Atom::Logical {
        return None;
    }
    let bools = elements.ints().map(|n| (n != NA_INTEGER).then_some(u8::from(n != 0)));
    bools.collect::<Option<Vec<_>>>().map(Elements::own)
}

fn factor<'py>(py: Python<'py>, codes: Bound<'py, PyAny>, levels: Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(MAKE.import(py, "cowshed._factor", "Factor")?.call1((codes, levels))?)
}

/// With names a dict, else what its `python` attribute says, else a list.
fn list(py: Python<'_>, value: Value) -> Result<Bound<'_, PyAny>> {
    let names = match value.attribute("names").map(|names| &names.data) {
        Some(Data::Strings(names)) => Some(names.iter().map(|name| name.clone_ref(py)).collect::<Vec<_>>()),
        _ => None,
    };
    let kind = value.attribute("python").and_then(|kind| match &kind.data {
        Data::Strings(kind) => text(py, kind.first()?),
        _ => None,
    });
    let Data::List(values) = value.data else { unreachable!("as the caller saw") };
    if kind.as_deref() == Some("None") && values.is_empty() {
        return Ok(py.None().into_bound(py));
    }
    let len = values.len();
    let values = values.into_iter().map(|value| python(py, value)).collect::<Result<Vec<_>>>()?;
    let Some(names) = names else {
        return Ok(match kind.as_deref() {
            Some("tuple") => PyTuple::new(py, values)?.into_any(),
            _ => PyList::new(py, values)?.into_any(),
        });
    };
    if names.len() != len {
        return Err(Failure::new(Kind::Corrupt, "a list has not as many names as elements; share the object again"));
    }
    let dict = PyDict::new(py);
    for (name, value) in names.iter().zip(values) {
        if dict.contains(name)? {
            let name = name.bind(py).repr()?;
            let why = format!(
                "a list has two elements of the name {name}, and a dict cannot; give each a name of its own (names(x) <- in R)"
            );
            return Err(Failure::new(Kind::Unshareable, why));
        }
        dict.set_item(name, value)?;
    }
    Ok(dict.into_any())
}

/// The attributes by their names.
fn dict(py: Python<'_>, attributes: Vec<(String, Value)>) -> Result<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in attributes {
        // What Python has nothing for must not keep an array from being opened.
        match python(py, value) {
            Ok(value) => dict.set_item(name, value)?,
            Err(Failure::Error(word, why)) if word == Kind::Unshareable.word() => {
                dict.set_item(name, unopened(py, &why)?)?;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(dict)
}

/// The error for what R alone can open.
fn not_in_python(what: &str) -> Failure {
    let why = format!("{what} cannot be opened in Python; share vectors, factors, data frames and lists of them");
    Failure::new(Kind::Unshareable, why)
}

fn unopened<'py>(py: Python<'py>, why: &str) -> PyResult<Bound<'py, PyAny>> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    MAKE.import(py, "cowshed._errors", "Unshareable")?.call1((why.into_bound_py_any(py)?,))
}

fn inherits(py: Python<'_>, value: &Value, class: &str) -> bool {
    match value.attribute("class").map(|class| &class.data) {
        Some(Data::Strings(classes)) => classes.iter().any(|c| text(py, c).is_some_and(|c| c == class)),
        _ => false,
    }
}

/// Its extents: those that `dim` says, else its length.
fn shape(attributes: &[(String, Value)], len: usize) -> Result<Vec<usize>> {
    let Some((_, dim)) = attributes.iter().find(|(name, _)| name == "dim") else { return Ok(vec![len]) };
    let extents: Option<Vec<usize>> = match &dim.data {
        Data::Atoms(Atom::Integer, extents) => extents.ints().map(|n| usize::try_from(n).ok()).collect(),
        Data::Atoms(Atom::Double, extents) => {
            let whole = |n: f64| (n >= 0.0 && n.fract() == 0.0 && n < 9e15).then_some(n as usize);
            extents.doubles().map(whole).collect()
        }
        _ => None,
    };
    let product = |extents: &Vec<usize>| extents.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent));
    let fits = extents.filter(|extents| !extents.is_empty() && product(extents) == Some(len));
    fits.ok_or_else(|| Failure::new(Kind::Corrupt, "an array's extents do not fit its length; share the object again"))
}
