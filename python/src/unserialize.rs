//! R's serialization, versions 2 and 3, in R's two binary formats: what [`Value`] can be, and a clear error for all else.
//!
//! - The bytes are hostile: a length is believed only if as many bytes are there, nesting ends at the depth that segments end at, and what base R
//!   writes shorter than it is (`1:n`) is made only up to [`MADE`] bytes altogether.
//! - What Python has nothing for is read all the same, since something else may follow it: but for byte code, of which R does not say how it is written.
//! - Shared vectors are objects of ALTREP classes whose state is a reference: they are attached, not copied.
//!
//! The layout is that of `serialize.c` of R, described in *R Internals*, "Serialization Formats".

use cowshed_core::{DEEPEST, Kind};
use pyo3::prelude::*;

use crate::elements::Elements;
use crate::failure::{Failure, Result};
use crate::nodes::s4;
use crate::reference;
use crate::value::{Atom, Data, Encoding, NA_INTEGER, Value, string};

/// Bytes that are made of nothing, at most.
const MADE: usize = 1 << 30;

/// R's numbers of types, and of what only serializations have.
mod types {
    pub(super) const SYMBOL: u8 = 1;
    pub(super) const PAIRLIST: u8 = 2;
    pub(super) const CLOSURE: u8 = 3;
    pub(super) const ENVIRONMENT: u8 = 4;
    pub(super) const PROMISE: u8 = 5;
    pub(super) const CALL: u8 = 6;
    pub(super) const SPECIAL: u8 = 7;
    pub(super) const BUILTIN: u8 = 8;
    pub(super) const CHAR: u8 = 9;
    pub(super) const LOGICAL: u8 = 10;
    pub(super) const INTEGER: u8 = 13;
    pub(super) const DOUBLE: u8 = 14;
    pub(super) const COMPLEX: u8 = 15;
    pub(super) const STRINGS: u8 = 16;
    pub(super) const DOTS: u8 = 17;
    pub(super) const LIST: u8 = 19;
    pub(super) const EXPRESSION: u8 = 20;
    pub(super) const BYTECODE: u8 = 21;
    pub(super) const POINTER: u8 = 22;
    pub(super) const WEAK: u8 = 23;
    pub(super) const RAW: u8 = 24;
    pub(super) const S4: u8 = 25;
    pub(super) const ALTREP: u8 = 238;
    pub(super) const BASE: u8 = 241;
    pub(super) const EMPTY: u8 = 242;
    pub(super) const PACKAGE: u8 = 248;
    pub(super) const NAMESPACE: u8 = 249;
    pub(super) const BASE_NAMESPACE: u8 = 250;
    pub(super) const MISSING: u8 = 251;
    pub(super) const GLOBAL: u8 = 253;
    pub(super) const NULL: u8 = 254;
    pub(super) const REFERENCE: u8 = 255;
}

/// Bits of the number that begins each item, beside its type.
const HAS_ATTRIBUTES: u32 = 1 << 9;
const HAS_TAG: u32 = 1 << 10;
/// R's own bits of an object begin here.
const LEVELS: u32 = 12;

/// The object that `bytes` are, which lie `depth` levels within something else.
///
/// # Errors
/// They are damaged, or of an object that only R can have; or a shared part of it cannot be attached.
pub(crate) fn unserialize(py: Python<'_>, bytes: &[u8], depth: usize) -> Result<Value> {
    let xdr = match bytes.get(..2) {
        Some(b"X\n") => true,
        Some(b"B\n") => false,
        _ => return Err(corrupt("it begins as none of R's binary formats")),
    };
    let mut input = Input { py, bytes: &bytes[2..], xdr, depth, known: Vec::new(), native: Encoding::Utf8, made: MADE };
    let version = input.int()?;
    let (_writer, _reader) = (input.int()?, input.int()?);
    match version {
        2 => {}
        3 => {
            let len = input.length()?;
            let native = input.take(len)?.to_ascii_lowercase();
            if matches!(&native[..], b"latin1" | b"iso-8859-1" | b"iso8859-1") {
                input.native = Encoding::Latin1;
            }
        }
        _ => return Err(corrupt("its version is neither 2 nor 3")),
    }
    let value = input.item()?;
    if input.bytes.is_empty() { Ok(value) } else { Err(corrupt("more follows than the object")) }
}

fn corrupt(why: &str) -> Failure {
    Failure::new(Kind::Corrupt, format!("R's serialization of an object is corrupt ({why}); share the object again"))
}

struct Input<'a, 'py> {
    py: Python<'py>,
    bytes: &'a [u8],
    xdr: bool,
    depth: usize,
    /// What was met so far that is written once: symbols by name, and others.
    known: Vec<Option<String>>,
    /// What is not marked otherwise.
    native: Encoding,
    /// Bytes that may still be made of nothing.
    made: usize,
}

impl<'a> Input<'a, '_> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or_else(|| corrupt("it was cut"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn int(&mut self) -> Result<i32> {
        let bytes = self.take(4)?.try_into().expect("4 bytes");
        Ok(if self.xdr { i32::from_be_bytes(bytes) } else { i32::from_ne_bytes(bytes) })
    }

    /// Of so many elements, of which each takes at least a byte.
    fn length(&mut self) -> Result<usize> {
        let len = match self.int()? {
            -1 => (i64::from(self.int()?) << 32) | i64::from(self.int()? as u32),
            len => len.into(),
        };
        let len = usize::try_from(len).map_err(|_| corrupt("a length is negative"))?;
        if len > self.bytes.len() { Err(corrupt("it was cut")) } else { Ok(len) }
    }

    fn item(&mut self) -> Result<Value> {
        if self.depth >= DEEPEST {
            return Err(corrupt("it is nested too deep"));
        }
        self.depth += 1;
        let item = self.int().and_then(|flags| self.item_of(flags as u32));
        self.depth -= 1;
        item
    }

    fn item_of(&mut self, flags: u32) -> Result<Value> {
        let data = match flags as u8 {
            types::NULL | 0 => return Ok(Value::plain(Data::Null)),
            types::SYMBOL => return self.symbol(),
            types::REFERENCE => return self.known(flags),
            types::PAIRLIST => return self.pairs(flags),
            types::ALTREP => return self.altrep(),
            types::LOGICAL => self.atoms(Atom::Logical)?,
            types::INTEGER => self.atoms(Atom::Integer)?,
            types::DOUBLE => self.atoms(Atom::Double)?,
            types::COMPLEX => self.atoms(Atom::Complex)?,
            types::RAW => self.atoms(Atom::Raw)?,
            types::STRINGS => {
                let len = self.length()?;
                Data::Strings((0..len).map(|_| self.char()).collect::<Result<_>>()?)
            }
            types::LIST => {
                let len = self.length()?;
                Data::List((0..len).map(|_| self.item()).collect::<Result<_>>()?)
            }
            types::EXPRESSION => {
                let len = self.length()?;
                (0..len).try_for_each(|_| self.item().map(drop))?;
                other("an expression")
            }
            types::S4 => Data::Null,
            number => return self.other(number, flags).map(Value::plain),
        };
        let attributes = if flags & HAS_ATTRIBUTES == 0 { Vec::new() } else { self.attributes()? };
        // S4's bit, of R's own.
        if flags as u8 == types::S4 || flags >> LEVELS & (1 << 4) != 0 {
            return Ok(Value { data: s4(self.py, &attributes), attributes });
        }
        Ok(Value { data, attributes })
    }

    /// What Python has nothing for.
    fn other(&mut self, number: u8, flags: u32) -> Result<Data> {
        match number {
            types::CLOSURE | types::PROMISE | types::CALL | types::DOTS => {
                let optional = [flags & HAS_ATTRIBUTES != 0, flags & HAS_TAG != 0];
                let items = 2 + optional.iter().filter(|there| **there).count();
                (0..items).try_for_each(|_| self.item().map(drop))?;
                Ok(other(match number {
                    types::CLOSURE => "a function",
                    types::PROMISE => "a promise",
                    types::CALL => "a call",
                    _ => "an argument list (`...`)",
                }))
            }
            types::ENVIRONMENT => {
                self.known.push(None);
                // Whether it is locked; what encloses it, what is in it, and its attributes.
                self.int()?;
                (0..4).try_for_each(|_| self.item().map(drop))?;
                Ok(other("an environment"))
            }
            types::PACKAGE | types::NAMESPACE => {
                self.known.push(None);
                self.int()?;
                let len = self.length()?;
                (0..len).try_for_each(|_| self.char().map(drop))?;
                Ok(other("an environment"))
            }
            types::GLOBAL | types::BASE | types::BASE_NAMESPACE | types::EMPTY => Ok(other("an environment")),
            types::SPECIAL | types::BUILTIN => {
                let len = self.length()?;
                self.take(len)?;
                Ok(other("a function of R itself"))
            }
            types::POINTER | types::WEAK => {
                self.known.push(None);
                let items = if number == types::POINTER { 2 } else { 0 };
                (0..items + u32::from(flags & HAS_ATTRIBUTES != 0)).try_for_each(|_| self.item().map(drop))?;
                Ok(other(if number == types::POINTER { "an external pointer" } else { "a weak reference" }))
            }
            types::MISSING => Ok(other("an argument without a default")),
            types::BYTECODE => Err(Failure::new(
                Kind::Unshareable,
                "a function that R compiled cannot be opened in Python; leave it out",
            )),
            number => Err(corrupt(&format!("it has an object of the unknown type {number}"))),
        }
    }

    fn symbol(&mut self) -> Result<Value> {
        let name = self.char()?;
        let name = name.extract::<String>(self.py).map_err(|_| corrupt("a symbol has no name"))?;
        self.known.push(Some(name.clone()));
        Ok(Value::plain(Data::Symbol(name)))
    }

    fn known(&mut self, flags: u32) -> Result<Value> {
        let number = match flags >> 8 {
            0 => self.int()? as u32,
            packed => packed,
        };
        let known = (number as usize).checked_sub(1).and_then(|i| self.known.get(i));
        let known = known.ok_or_else(|| corrupt("it refers to nothing"))?.clone();
        Ok(Value::plain(known.map_or_else(|| other("an environment"), Data::Symbol)))
    }

    /// A string; `None` is NA.
    fn char(&mut self) -> Result<Py<PyAny>> {
        let flags = self.int()? as u32;
        if flags as u8 != types::CHAR {
            return Err(corrupt("a string is none"));
        }
        let len = match self.int()? {
            -1 => return Ok(self.py.None()),
            len => usize::try_from(len).map_err(|_| corrupt("a length is negative"))?,
        };
        let bytes = self.take(len)?;
        let bits = flags >> LEVELS;
        let encoding = match bits {
            _ if bits & (1 << 1) != 0 => Encoding::Bytes,
            _ if bits & (1 << 2) != 0 => Encoding::Latin1,
            _ if bits & (1 << 3) != 0 => Encoding::Utf8,
            _ => self.native,
        };
        Ok(string(self.py, bytes, encoding)?)
    }

    fn atoms(&mut self, atom: Atom) -> Result<Data> {
        let len = self.length()?;
        let bytes = self.take(len.checked_mul(atom.size()).ok_or_else(|| corrupt("it was cut"))?)?;
        let mut bytes = bytes.to_vec();
        // Of complex numbers each part.
        let unit = atom.size().min(8);
        if self.xdr && cfg!(target_endian = "little") {
            bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
        }
        Ok(Data::Atoms(atom, Elements::own(bytes)))
    }

    /// A pairlist. Its cells follow one another and are not nested, however many.
    fn pairs(&mut self, first: u32) -> Result<Value> {
        let (mut cells, mut attributes, mut flags) = (Vec::new(), Vec::new(), first);
        loop {
            if flags & HAS_ATTRIBUTES != 0 {
                let own = self.attributes()?;
                if cells.is_empty() {
                    attributes = own;
                }
            }
            let tag = if flags & HAS_TAG != 0 { Some(self.tag()?) } else { None };
            cells.push((tag, self.item()?));
            flags = self.int()? as u32;
            match flags as u8 {
                types::PAIRLIST => {}
                types::NULL => return Ok(Value { data: Data::Pairs(cells, None), attributes }),
                _ => {
                    let end = self.item_of(flags)?;
                    return Ok(Value { data: Data::Pairs(cells, Some(Box::new(end))), attributes });
                }
            }
        }
    }

    fn tag(&mut self) -> Result<String> {
        match self.item()?.data {
            Data::Symbol(name) => Ok(name),
            _ => Err(corrupt("a tag is no symbol")),
        }
    }

    fn attributes(&mut self) -> Result<Vec<(String, Value)>> {
        let cells = match self.item()?.data {
            Data::Pairs(cells, None) => cells,
            Data::Null => Vec::new(),
            _ => return Err(corrupt("attributes are no pairlist")),
        };
        let named = |(tag, value): (Option<String>, Value)| tag.map(|tag| (tag, value));
        cells.into_iter().map(named).collect::<Option<_>>().ok_or_else(|| corrupt("an attribute has no name"))
    }

    /// An object of an ALTREP class: class, package and type; state; attributes.
    fn altrep(&mut self) -> Result<Value> {
        let Data::Pairs(class, None) = self.item()?.data else { return Err(corrupt("a class has no name")) };
        let mut names = class.into_iter().map(|(_, value)| match value.data {
            Data::Symbol(name) => Some(name),
            _ => None,
        });
        let (Some(Some(class)), Some(Some(package))) = (names.next(), names.next()) else {
            return Err(corrupt("a class has no name"));
        };
        let state = self.item()?;
        let attributes = self.attributes()?;
        let data = match &package[..] {
            "cowshed" => self.shared(&class, state)?,
            "base" => self.of_base(&class, state)?,
            _ => Data::Other(format!("a vector of the ALTREP class '{class}' of package '{package}'")),
        };
        Ok(Value { data, attributes })
    }

    fn shared(&mut self, class: &str, state: Value) -> Result<Data> {
        let is_ours = Atom::named(class, "cowshed_").is_some() || matches!(class, "cowshed_character" | "cowshed_list");
        match state.data {
            Data::Atoms(Atom::Raw, bytes) if is_ours => reference::open(self.py, class, &bytes.copied(), self.depth),
            _ if !is_ours => Ok(Data::Other(format!("a virtual vector ('{class}')"))),
            _ => Err(corrupt("a reference is no raw vector")),
        }
    }

    /// What base R writes shorter than it is, or with what it knows of it.
    fn of_base(&mut self, class: &str, state: Value) -> Result<Data> {
        match class {
            "compact_intseq" | "compact_realseq" => self.sequence(class == "compact_intseq", &state),
            "deferred_string" => self.numbers_as_strings(state),
            _ if class.starts_with("wrap_") => {
                let wrapped = match state.data {
                    Data::Pairs(cells, _) => cells.into_iter().next().map(|(_, value)| value),
                    Data::List(values) => values.into_iter().next(),
                    _ => None,
                };
                wrapped.map(|value| value.data).ok_or_else(|| corrupt("a wrapper is empty"))
            }
            _ => Ok(Data::Other(format!("a vector of R's ALTREP class '{class}'"))),
        }
    }

    /// `first`, `first + step` and so on.
    fn sequence(&mut self, integer: bool, state: &Value) -> Result<Data> {
        let numbers: Vec<f64> = match &state.data {
            Data::Atoms(Atom::Double, numbers) if numbers.len() == 24 => numbers.doubles().collect(),
            _ => return Err(corrupt("a sequence is none")),
        };
        let (len, first, step) = (numbers[0], numbers[1], numbers[2]);
        let sound = len >= 0.0 && len.fract() == 0.0 && (step == 1.0 || step == -1.0) && first.is_finite();
        let ends = [first, first + step * (len - 1.0).max(0.0)];
        let in_range = ends.iter().all(|end| end.abs() <= i32::MAX.into() && end.fract() == 0.0);
        if !sound || (integer && !in_range) {
            return Err(corrupt("a sequence is none"));
        }
        let (atom, len) = (if integer { Atom::Integer } else { Atom::Double }, len as usize);
        let bytes = len.checked_mul(atom.size()).filter(|bytes| *bytes <= self.made);
        let bytes = bytes.ok_or_else(|| {
            Failure::new(
                Kind::Memory,
                format!("a sequence of {len} elements is too long to be made; share it as a vector"),
            )
        })?;
        self.made -= bytes;
        let numbers = (0..len).map(|i| first + step * i as f64);
        let bytes: Vec<u8> = match atom {
            Atom::Integer => numbers.flat_map(|n| (n as i32).to_ne_bytes()).collect(),
            _ => numbers.flat_map(f64::to_ne_bytes).collect(),
        };
        Ok(Data::Atoms(atom, Elements::own(bytes)))
    }

    /// `as.character()` of integers, which R puts off. How it writes doubles only R knows.
    fn numbers_as_strings(&mut self, state: Value) -> Result<Data> {
        let numbers = match state.data {
            Data::Pairs(cells, _) => cells.into_iter().next().map(|(_, value)| value.data),
            _ => None,
        };
        let Some(Data::Atoms(atom, numbers)) = numbers else { return Err(corrupt("strings are put off of nothing")) };
        let text = |n: i32| match (n, atom) {
            (NA_INTEGER, _) => None,
            (0, Atom::Logical) => Some("FALSE".to_owned()),
            (_, Atom::Logical) => Some("TRUE".to_owned()),
            (n, _) => Some(n.to_string()),
        };
        if !matches!(atom, Atom::Logical | Atom::Integer) {
            return Ok(other("a character vector that R has yet to make of numbers (as.character())"));
        }
        let strings = numbers.ints().map(|n| match text(n) {
            Some(text) => string(self.py, text.as_bytes(), Encoding::Utf8),
            None => Ok(self.py.None()),
        });
        Ok(Data::Strings(strings.collect::<PyResult<_>>()?))
    }
}

fn other(what: &str) -> Data {
    Data::Other(what.to_owned())
}
