//! The pointer of a virtual vector, made when somebody asks for it.
//!
//! - Of pages that are made on first touch, if the generator can run on any thread and the machine has userfaultfd: memory is bounded, whatever the length.
//! - Else a plain vector of all elements, if it is not larger than `options(cowshed.materialize = )`.
//! - Small vectors are plain at once: that costs less than one page fault.

use std::cell::{Cell, OnceCell};
use std::path::PathBuf;

use cowshed_core::{Area, FillError, Generator, PagerError, PagerLimits, Snapshot};

use super::source::Source;
use super::{Object, Virtual, pager_failure};
use crate::boundary::{Failure, R, Result, call};
use crate::element::Element;
use crate::serialized::evaluate;
use crate::sexp::Sexp;
use crate::sys::{self, R_xlen_t, SEXP};
use crate::{by_element, options};

/// Up to so many bytes a plain vector is made at once.
const SMALL: usize = 64 << 10;
/// Bytes made at a time of a plain vector, between two looks whether the user interrupts.
const CHUNK: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Pointer(OnceCell<State>);

enum State {
    Paged(Area),
    /// `data2` holds the vector, and this is where its elements are.
    Plain {
        data: *mut u8,
        written: Cell<bool>,
    },
}

impl Pointer {
    pub(super) fn area(&self) -> Option<&Area> {
        match self.0.get() {
            Some(State::Paged(area)) => Some(area),
            _ => None,
        }
    }

    /// The elements as a plain vector has them, if there is one.
    pub(super) fn plain(&self) -> Option<*mut u8> {
        match self.0.get() {
            Some(State::Plain { data, .. }) => Some(*data),
            _ => None,
        }
    }

    /// Whether somebody wrote through it, or, to a plain vector, may have.
    pub(super) fn is_changed(&self) -> bool {
        match self.0.get() {
            None => false,
            Some(State::Paged(area)) => area.is_changed(),
            Some(State::Plain { written, .. }) => written.get(),
        }
    }

    pub(super) fn read(&self, snapshot: &Snapshot, start: u64, out: &mut [u8]) -> std::result::Result<(), FillError> {
        match self.0.get() {
            None => super::unpanicked(|| snapshot.fill(start, out)),
            Some(State::Paged(area)) => super::unpanicked(|| area.read(start, out)),
            Some(State::Plain { data, .. }) => {
                let offset = start as usize * snapshot.shape().width;
                // SAFETY: hooks ask for elements within the vector; `out` is not ours.
                unsafe { std::ptr::copy_nonoverlapping(data.add(offset), out.as_mut_ptr(), out.len()) };
                Ok(())
            }
        }
    }

    /// Offers what was written to `source`.
    pub(super) fn flush(&self, snapshot: &Snapshot, source: &dyn Source) -> std::result::Result<(), FillError> {
        match self.0.get() {
            Some(State::Paged(area)) => area.flush().map(|_| ()),
            Some(State::Plain { data, written }) if written.get() && snapshot.is_alone() => {
                flush_plain(*data, snapshot, source)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn take_failure(&self) -> Option<String> {
        self.area().and_then(Area::take_failure)
    }

    pub(super) fn describe(&self) -> String {
        match self.0.get() {
            None => "no pointer".to_owned(),
            Some(State::Paged(area)) => {
                format!(
                    "a pointer, {} bytes of pages in memory, {} pages written",
                    area.resident_bytes(),
                    area.changed_pages()
                )
            }
            Some(State::Plain { .. }) => "a plain vector".to_owned(),
        }
    }
}

/// Offers every element of a plain vector that is not as `source` makes it.
fn flush_plain(data: *const u8, snapshot: &Snapshot, source: &dyn Source) -> std::result::Result<(), FillError> {
    let (len, width) = (snapshot.shape().len, snapshot.shape().width);
    let most = (CHUNK / width) as u64;
    let mut made = vec![0; CHUNK.min(len.saturating_mul(width as u64) as usize)];
    for at in (0..len).step_by(CHUNK / width) {
        let n = most.min(len - at) as usize;
        let made = &mut made[..n * width];
        source.fill(at, made)?;
        // SAFETY: elements of the vector, which R's thread alone writes to; copied before anybody is called.
        let now = unsafe { std::slice::from_raw_parts(data.add(at as usize * width), n * width) }.to_vec();
        let differs = |k: usize| made[k * width..][..width] != now[k * width..][..width];
        let mut k = 0;
        while k < n {
            let end = (k..n).find(|k| !differs(*k)).unwrap_or(n);
            if end > k {
                source.store(at + k as u64, &now[k * width..end * width])?;
            }
            k = end + 1;
        }
    }
    Ok(())
}

/// The pointer.
///
/// # Errors
/// Class `pointer`: there is no way to give one, and the vector is too large to be made whole. Those of the generator, if it is.
pub(super) fn demand(r: R, x: Object, writable: bool) -> Result<*mut u8> {
    let this = x.get();
    this.check()?;
    if this.pointer.0.get().is_none() {
        let state = make(r, x, this)?;
        // Only R's thread sets it, and nothing between the look and this does.
        let _ = this.pointer.0.set(state);
    }
    match this.pointer.0.get() {
        Some(State::Paged(area)) => Ok(area.as_ptr()),
        Some(State::Plain { data, written }) => {
            written.set(written.get() || writable);
            Ok(*data)
        }
        None => Err(Failure::new("internal", "a virtual vector has no pointer")),
    }
}

fn make(r: R, x: Object, this: &Virtual) -> Result<State> {
    let bytes = this.shape.bytes();
    if bytes.is_some_and(|bytes| bytes <= SMALL) && !this.source.stores() {
        return plain(r, x, this);
    }
    let why = match paged(r, this)? {
        Ok(area) => return Ok(State::Paged(area)),
        Err(why) => why,
    };
    let limit = options::materialize(r)?;
    if bytes.is_some_and(|bytes| bytes as f64 <= limit) {
        return plain(r, x, this);
    }
    Err(Failure::new(
        "pointer",
        format!(
            "a virtual vector of {} ({}) was asked for a pointer, and cannot give one: {why}; it is larger than what is made whole instead \
             ({}: set options(cowshed.materialize = ) to more bytes if there is memory for it), so use a part of it, x[a:b]",
            size(this.len() as f64 * this.shape.width as f64),
            this.source.describe(),
            size(limit)
        ),
    ))
}

/// A pointer of pages made on first touch; why there is none, in words.
fn paged(r: R, this: &Virtual) -> Result<std::result::Result<Area, String>> {
    if !this.source.is_any_thread() {
        return Ok(Err("what makes its elements runs on R's own thread only".to_owned()));
    }
    if !options::userfaultfd(r)? {
        return Ok(Err("options(cowshed.userfaultfd = FALSE) forbids pages that are made on first touch".to_owned()));
    }
    set_limits(r)?;
    let snapshot = this.snapshot.borrow().clone();
    match Area::new(snapshot) {
        Ok(area) => {
            // The source takes what was written as long as nobody else reads of the same snapshot. One who reads now keeps it.
            if let Ok(mut before) = this.snapshot.try_borrow_mut() {
                *before = Snapshot::new(this.source.clone().generator(), this.shape.clone());
            }
            Ok(Ok(area))
        }
        Err(error @ (PagerError::Unavailable { .. } | PagerError::Reserve { .. })) => Ok(Err(error.to_string())),
        Err(error) => Err(pager_failure(error)),
    }
}

/// Tells the pager how much memory the user allows it.
///
/// # Errors
/// An option has a value that it cannot have.
pub fn set_limits(r: R) -> Result<()> {
    let (clean, written) = check_limits(r)?;
    let spill = match options::spill(r)? {
        Some(dir) => dir,
        None => r.scope(|| evaluate(r, c"function(x) tempdir()", Sexp::null())?.text(r))?.unwrap_or_default(),
    };
    cowshed_core::set_pager_limits(PagerLimits { clean, written, spill: PathBuf::from(spill) });
    Ok(())
}

/// Bytes of clean and of written pages that the user allows.
///
/// # Errors
/// An option has a value that it cannot have.
pub fn check_limits(r: R) -> Result<(usize, usize)> {
    Ok((options::clean_pages(r)?, options::written_pages(r)?))
}

/// All elements, as a plain vector that `data2` keeps.
fn plain(r: R, x: Object, this: &Virtual) -> Result<State> {
    by_element!(x.kind(), E => {
        let vector = vector::<E>(r, this)?;
        // SAFETY: a virtual vector; R's write barrier is in the setter.
        unsafe { sys::R_set_altrep_data2(x.sexp(), vector) };
        // SAFETY: a plain vector of this type.
        Ok(State::Plain { data: unsafe { E::data(vector) }.cast(), written: Cell::new(false) })
    }, Err(super::not_a_vector()))
}

/// All elements as they are now, as a new plain vector, protected.
pub(super) fn vector<E: Element>(r: R, this: &Virtual) -> Result<SEXP> {
    let (len, width) = (this.len(), size_of::<E::C>());
    // SAFETY: allocation; may raise out of memory.
    let vector = call(r, || unsafe { sys::Rf_allocVector(E::TYPE, len as R_xlen_t) })?;
    r.keep(vector)?;
    // SAFETY: just made, of this type.
    let data = unsafe { E::data(vector) }.cast::<u8>();
    let mut at = 0;
    while at < len {
        let n = (len - at).min((CHUNK / width) as u64);
        // SAFETY: the next `n` elements of the new vector, which nobody else has.
        let out = unsafe { std::slice::from_raw_parts_mut(data.add(at as usize * width), n as usize * width) };
        this.read(at, out)?;
        at += n;
        // SAFETY: raises R's interrupt, which `call` catches.
        call(r, || unsafe { sys::R_CheckUserInterrupt() })?;
    }
    Ok(vector)
}

/// Bytes, for a message.
fn size(bytes: f64) -> String {
    let mut bytes = bytes;
    for unit in ["bytes", "KiB", "MiB", "GiB", "TiB"] {
        if bytes < 1024.0 {
            return format!("{} {unit}", (bytes * 10.0).round() / 10.0);
        }
        bytes /= 1024.0;
    }
    format!("{} PiB", (bytes * 10.0).round() / 10.0)
}
