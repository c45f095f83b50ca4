//! Writing tuples, lists and dicts into a segment: the table "Which file an object is in" of `docs/run-once.md`.
//!
//! - Two strategies, as the core's dispatch has them: what is made of others is an `r.list`, all else a `numpy.array`.
//! - One Python object met twice is one node. One that contains itself is too deep.
//! - `None` is an empty `r.list` whose attribute `python` says so.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use cowshed_core::{
    ARRAY_STRATEGY, Claim, Encoder, Flags, Host, Kind, Node, NodeId, Opener, Registry, Shareable, Stored,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::failure::{Failure, Result};
use crate::nodes::Nodes;
use crate::python::python;
use crate::text;

/// Writes `value` to `path`, where there must be nothing.
pub(crate) fn write(path: &Path, value: Bound<'_, PyAny>) -> Result<()> {
    let host = Interpreter::default();
    let value = host.take(value);
    cowshed_core::share(&host, registry(), &Stored::new(path), value, Flags::COPY_ON_WRITE).map(drop)
}

fn registry() -> &'static Registry<Interpreter> {
    static REGISTRY: OnceLock<Registry<Interpreter>> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::new([&Array as &dyn Shareable<Interpreter>, &List]))
}

/// Python, seen from a segment: the objects that are being written, kept.
#[derive(Default)]
struct Interpreter {
    objects: RefCell<Vec<Py<PyAny>>>,
    /// Nodes of the attribute `python`, one for each of its values.
    kinds: RefCell<HashMap<&'static str, NodeId>>,
}

/// Which of the host's objects.
#[derive(Clone, Copy)]
struct Value(usize);

/// Numbers of kinds.
const LEAF: u8 = 0;
const CONTAINER: u8 = 1;

impl Interpreter {
    fn take(&self, object: Bound<'_, PyAny>) -> Value {
        let mut objects = self.objects.borrow_mut();
        objects.push(object.unbind());
        Value(objects.len() - 1)
    }

    fn object<'py>(&self, py: Python<'py>, value: Value) -> Bound<'py, PyAny> {
        self.objects.borrow()[value.0].bind(py).clone()
    }

    fn open(&self, node: NodeId, from: &Opener<'_, Self>) -> Result<Value> {
        Python::attach(|py| Ok(self.take(python(py, Nodes::new(py, from.segment(), 0).open(node)?)?)))
    }
}

impl Host for Interpreter {
    type Value = Value;
    type Error = Failure;

    fn kind(&self, value: Value) -> u8 {
        Python::attach(|py| {
            let object = self.object(py, value);
            let container = object.is_none()
                || object.is_exact_instance_of::<PyTuple>()
                || object.is_exact_instance_of::<PyList>()
                || object.is_exact_instance_of::<PyDict>();
            if container { CONTAINER } else { LEAF }
        })
    }

    fn describe(&self, value: Value) -> String {
        Python::attach(|py| {
            let class = self.object(py, value).get_type().name().map(|name| name.to_string());
            format!("class <{}>", class.as_deref().unwrap_or("?"))
        })
    }

    fn identity(&self, value: Value) -> Option<usize> {
        // Kept in `objects`, so that no other gets its address meanwhile.
        Some(self.objects.borrow()[value.0].as_ptr() as usize)
    }

    fn poll(&self) -> Result<()> {
        Ok(Python::attach(|py| py.check_signals())?)
    }
}

struct Array;

impl Shareable<Interpreter> for Array {
    fn name(&self) -> &'static str {
        ARRAY_STRATEGY
    }

    fn kinds(&self) -> &'static [u8] {
        &[LEAF]
    }

    fn claim(&self, _: &Interpreter, _: Value) -> Claim {
        Claim::Type
    }

    fn encode(&self, host: &Interpreter, value: Value, out: &mut Encoder<'_, Interpreter>) -> Result<NodeId> {
        static IMAGE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        Python::attach(|py| {
            let image = IMAGE.import(py, "cowshed._arrays", "image")?.call1((host.object(py, value),))?;
            let (header, array, length): (Bound<'_, PyBytes>, Bound<'_, PyAny>, u64) = image.extract()?;
            let (start, len) = bytes_of(&array)?;
            let data = match len {
                0 => &[],
                // SAFETY: numpy's own account of a contiguous array, which `array` keeps. A thread that writes to it meanwhile, without the
                // interpreter's lock, would tear it under numpy's own functions as well.
                _ => unsafe { std::slice::from_raw_parts(start as *const u8, len) },
            };
            let payload = out.payload_of([header.as_bytes(), data].into_iter())?;
            out.node(self.name(), Node { length, payload, ..Node::default() }, &[])
        })
    }

    fn open(&self, host: &Interpreter, node: NodeId, from: &mut Opener<'_, Interpreter>) -> Result<Value> {
        host.open(node, from)
    }
}

/// Where the bytes of an array are, and how many.
fn bytes_of(array: &Bound<'_, PyAny>) -> PyResult<(usize, usize)> {
    let (start, _): (usize, bool) = array.getattr("__array_interface__")?.get_item("data")?.extract()?;
    Ok((start, array.getattr("nbytes")?.extract()?))
}

struct List;

impl Shareable<Interpreter> for List {
    fn name(&self) -> &'static str {
        "r.list"
    }

    fn kinds(&self) -> &'static [u8] {
        &[CONTAINER]
    }

    fn claim(&self, _: &Interpreter, _: Value) -> Claim {
        Claim::Type
    }

    fn encode(&self, host: &Interpreter, value: Value, out: &mut Encoder<'_, Interpreter>) -> Result<NodeId> {
        Python::attach(|py| {
            let object = host.object(py, value);
            let (parts, attributes) = if object.is_none() {
                (Vec::new(), self::kind(host, out, "None")?)
            } else if let Ok(dict) = object.cast::<PyDict>() {
                let names = names(dict)?;
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let names = strings(out, &names)?;
                (dict.values().iter().collect::<Vec<_>>(), attribute(out, "names", names)?)
            } else {
                let word = if object.is_exact_instance_of::<PyTuple>() { "tuple" } else { "list" };
                (object.try_iter()?.collect::<PyResult<Vec<_>>>()?, self::kind(host, out, word)?)
            };
            out.expect(parts.len());
            let parts: Vec<NodeId> =
                parts.into_iter().map(|part| out.encode(host.take(part))).collect::<Result<_>>()?;
            let node = Node { length: parts.len() as u64, attributes: Some(attributes), ..Node::default() };
            out.node(self.name(), node, &parts)
        })
    }

    fn open(&self, host: &Interpreter, node: NodeId, from: &mut Opener<'_, Interpreter>) -> Result<Value> {
        host.open(node, from)
    }
}

/// The keys of a dict, which must be strings that R can have.
fn names(dict: &Bound<'_, PyDict>) -> Result<Vec<String>> {
    let name = |key: Bound<'_, PyAny>| {
        let name = key.extract::<String>().ok().filter(|name| !name.contains('\0'));
        name.ok_or_else(|| {
            let key = key.repr().map(|key| key.to_string()).unwrap_or_default();
            let why = format!("a dict with the key {key} cannot be shared; its keys must be strings, without NUL");
            Failure::new(Kind::Unshareable, why)
        })
    };
    dict.keys().iter().map(name).collect()
}

/// The node of the attribute `python` with this value.
fn kind(host: &Interpreter, out: &mut Encoder<'_, Interpreter>, word: &'static str) -> Result<NodeId> {
    if let Some(node) = host.kinds.borrow().get(word) {
        return Ok(*node);
    }
    let value = strings(out, &[word])?;
    let node = attribute(out, "python", value)?;
    host.kinds.borrow_mut().insert(word, node);
    Ok(node)
}

fn attribute(out: &mut Encoder<'_, Interpreter>, name: &str, value: NodeId) -> Result<NodeId> {
    let payload = out.payload(format!("{name}\0").as_bytes())?;
    out.node("r.attributes", Node { length: 1, payload, ..Node::default() }, &[value])
}

fn strings(out: &mut Encoder<'_, Interpreter>, strings: &[&str]) -> Result<NodeId> {
    let payload = out.payload(&text::payload(strings))?;
    out.node("r.character", Node { length: strings.len() as u64, payload, ..Node::default() }, &[])
}
