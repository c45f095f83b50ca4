//! Objects made once per machine: what shareCache() does between R and `cowshed_core::Once`.
//!
//! The lock is held by a frame of ours while R's function runs, so whatever ends that, an error or an interrupt, lets go of it.

use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cowshed_core::{Flags, Maker, NewArray, Npy, Once, OnceEntry, OnceLock, Opener, StoredError, Turn, open_found};

use crate::boundary::{Failure, R, Result, call};
use crate::element::{Complex, Double, Element, Integer, Logical, Raw};
use crate::session::Session;
use crate::sexp::{Sexp, run};
use crate::sys;
use crate::verbs::Wish;
use crate::{attributes, by_element, interrupts, numpy, registry, stored, vector};

/// Elements that are read from an ALTREP, and looked at, at a time.
const BLOCK: usize = 1 << 16;

/// The object of an id: list(value, was it made now, why it is a copy). `make` is called without arguments, if nobody has made it; NULL: then
/// that is an error. `waiting` is called when a wait begins.
///
/// # Errors
/// Those of core's; of `make`; an interrupt.
pub fn enter(r: R, once: &Once, timeout: Option<Duration>, make: Sexp, waiting: Sexp) -> Result<Sexp> {
    loop {
        let pause = |nap| {
            std::thread::sleep(nap);
            interrupts::heed(r)
        };
        let turn = once.enter(timeout, || run(r, waiting.0, &[]).map(drop), pause)?;
        let (path, made) = match turn {
            Turn::Found(path) => (path, false),
            Turn::Mine(_) if make.is_null() => return Err(missing(once)),
            Turn::Mine(maker) => (put(r, &maker, run(r, make.0, &[])?)?, true),
        };
        match open(r, &path)? {
            Some((value, note)) => {
                let (made, note) = (r.logical(made)?, note.map_or(Ok(Sexp::null()), |note| r.string(&note))?);
                return r.list(3, |i| Ok([value, made, note][i]));
            }
            // Freed as soon as it was found.
            None => interrupts::heed(r)?,
        }
    }
}

fn missing(once: &Once) -> Failure {
    let why = "there is none on this machine, and nothing was given to make it; make it first, with an array, object or function as the second argument";
    Failure::new("gone", format!("'{}': {why}", once.id()))
}

/// The object in a file, as it is for everybody; `None` if it is gone.
fn open(r: R, path: &Path) -> Result<Option<(Sexp, Option<String>)>> {
    let segment = match open_found(path) {
        Err(StoredError::Gone { .. }) => return Ok(None),
        opened => opened?,
    };
    let mut options = Wish::of_flags([None; 3]).options(r)?;
    options.flags |= Flags::COPY_ON_WRITE;
    let (flags, session) = (options.flags, Session::new(r, options));
    let root = segment.table().node(segment.root());
    let is_array = segment.table().strategy(segment.root()) == cowshed_core::ARRAY_STRATEGY;
    let array = segment.frozen(root.payload).filter(|_| is_array).and_then(|b| Npy::parse(b, root.payload.len).ok());
    let value = Opener::new(&session, registry(), &segment, flags).open(segment.root())?;
    Ok(Some((value, array.as_ref().and_then(numpy::copied))))
}

/// Writes what was made.
fn put(r: R, maker: &Maker, x: Sexp) -> Result<PathBuf> {
    if let Some(npy) = array_of(r, x)? {
        return by_element!(x.kind(), E => write::<E>(r, x, &npy, maker.new_array()?), unreachable!("arrays have elements"));
    }
    let path = maker.path_of_object();
    stored::save(r, x, &path)?;
    Ok(path)
}

/// What numpy would call `x`; `None` if it has no word for all of it.
fn array_of(r: R, x: Sexp) -> Result<Option<Npy>> {
    let Some(dtype) = numpy::dtype_of(x.kind()) else { return Ok(None) };
    let Some(dim) = attributes::only_dim(r, x)? else { return Ok(None) };
    // A vector that has one extent is another thing to R than one that has none.
    let shape = match dim.len() {
        0 => vec![x.len(r)? as u64],
        1 => return Ok(None),
        _ => dim,
    };
    if x.kind() == sys::LGLSXP && has_missing(r, x)? {
        return Ok(None);
    }
    Ok(Some(Npy { dtype, fortran: shape.len() > 1, shape, data_at: 0 }))
}

fn has_missing(r: R, x: Sexp) -> Result<bool> {
    let mut missing = false;
    regions::<Logical>(r, x, |block| {
        missing = block.contains(&c_int::MIN);
        Ok(!missing)
    })?;
    Ok(missing)
}

/// Element types, and how their elements lie in numpy's files.
trait Stored: Element {
    fn bytes<'a>(block: &'a [Self::C], room: &'a mut Vec<u8>) -> &'a [u8];
}

macro_rules! as_they_lie {
    ($($element:ty),*) => {$(
        impl Stored for $element {
            fn bytes<'a>(block: &'a [Self::C], _: &'a mut Vec<u8>) -> &'a [u8] {
                // SAFETY: plain numbers without padding, as many bytes as they take.
                unsafe { std::slice::from_raw_parts(block.as_ptr().cast(), size_of_val(block)) }
            }
        }
    )*};
}
as_they_lie!(Raw, Integer, Double, Complex);

impl Stored for Logical {
    fn bytes<'a>(block: &'a [c_int], room: &'a mut Vec<u8>) -> &'a [u8] {
        room.clear();
        room.extend(block.iter().map(|value| u8::from(*value != 0)));
        room
    }
}

fn write<E: Stored>(r: R, x: Sexp, npy: &Npy, mut file: NewArray) -> Result<PathBuf> {
    let header = npy.bytes();
    file.expect(header.len() as u64 + npy.len().unwrap_or(0) * npy.dtype.size as u64)?;
    file.write(&header)?;
    let mut room = Vec::new();
    regions::<E>(r, x, |block| {
        file.write(E::bytes(block, &mut room))?;
        Ok(true)
    })?;
    Ok(file.commit()?)
}

/// All elements, a block at a time, until `each` says that it is enough. Interrupts are heeded. An ALTREP without a pointer is not expanded.
fn regions<E: Element>(r: R, x: Sexp, mut each: impl FnMut(&[E::C]) -> Result<bool>) -> Result<()> {
    let (len, mut at) = (x.len(r)?, 0);
    // SAFETY: a vector.
    let pointer = call(r, || unsafe { sys::DATAPTR_OR_NULL(x.0) })?.cast::<E::C>();
    let mut room = if pointer.is_null() { vec![E::na(); BLOCK.min(len)] } else { Vec::new() };
    while at < len {
        let n = BLOCK.min(len - at);
        let block = if pointer.is_null() {
            // SAFETY: a vector of this type, and room for as many.
            let got = unsafe { vector::region::<E>(r, x, at, n, room.as_mut_ptr()) }?;
            &room[..got]
        } else {
            // SAFETY: within the vector's elements, which nobody changes while we look.
            unsafe { std::slice::from_raw_parts(pointer.add(at), n) }
        };
        if !each(block)? {
            return Ok(());
        }
        at += block.len();
        interrupts::heed(r)?;
    }
    Ok(())
}

/// What is in a directory, as the columns of a data frame: id, file, bytes, modified (seconds since 1970), user, state, pid.
///
/// # Errors
/// Out of memory.
pub fn columns(r: R, entries: &[OnceEntry]) -> Result<Sexp> {
    let n = entries.len();
    let file = |i: usize| entries[i].path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let pid = |i: usize| if let OnceLock::Held(Some(pid)) = entries[i].lock { pid.into() } else { Double::na() };
    let state = |i: usize| match (entries[i].lock, &entries[i].path) {
        (OnceLock::Held(_), None) => "being made",
        (OnceLock::Foreign, _) => "locked by sharearray",
        (OnceLock::Left, None) => "its maker died",
        (_, Some(_)) => "ready",
        (OnceLock::None, None) => "gone",
    };
    r.named_list(&["id", "file", "bytes", "modified", "user", "state", "pid"], |column| match column {
        0 => r.strings(n, |i| entries[i].id.clone()),
        1 => r.strings(n, file),
        2 => r.numbers(n, |i| entries[i].bytes as f64),
        3 => r.numbers(n, |i| entries[i].modified as f64),
        4 => r.numbers(n, |i| entries[i].uid.into()),
        5 => r.strings(n, |i| state(i).to_owned()),
        _ => r.numbers(n, pid),
    })
}
