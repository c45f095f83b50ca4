//! The pointer of a virtual vector, made when somebody asks for it.
//!
//! - Of pages that are made on first touch, if the generator can run on any thread and the machine has userfaultfd: memory is bounded, whatever the length.
//! - Of a file's own pages, mapped privately, if the elements lie in a file as they are in memory: `State::Mapped`.
//! - Else a plain vector of all elements, if it is not larger than `options(cowshed.materialize = )`.
//! - Small vectors are plain at once: that costs less than one page fault.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use cowshed_core::{Area, FillError, Generator, PagerError, PagerLimits, PrivateFile, Snapshot};

use super::source::Source;
use super::{Made, Object, Virtual, pager_failure};
use crate::boundary::{Failure, R, Result, call};
use crate::element::Element;
use crate::serialized::evaluate;
use crate::sexp::Sexp;
use crate::sys::{self, R_xlen_t, SEXP};
use crate::{by_element, interrupts, options};

/// Up to so many bytes a plain vector is made at once.
const SMALL: usize = 64 << 10;
/// Bytes made at a time of a plain vector, between two looks whether the user interrupts.
const CHUNK: usize = 1 << 20;

/// What stands behind a virtual vector's elements.
pub(super) struct Pointer(RefCell<State>);

/// A clone is the same one, and costs next to nothing.
#[derive(Clone)]
enum State {
    /// No pointer yet: the source's elements, under what was written to the vector that this one is a duplicate of.
    None(Snapshot),
    Paged(Rc<Area>),
    Mapped(Rc<Mapped>),
    Plain(Rc<Plain>),
}

/// The file that the elements lie in.
struct Mapped {
    file: PrivateFile,
    /// Somebody was given its address to write to.
    written: Cell<bool>,
    /// What the file has.
    before: Snapshot,
}

impl Mapped {
    fn is_changed(&self) -> bool {
        self.written.get() && self.file.is_changed().unwrap_or(true)
    }
}

/// A vector that `data2` holds.
struct Plain {
    /// Where its elements are.
    data: *mut u8,
    /// Somebody was given this address to write to.
    written: Cell<bool>,
    /// What it was made of.
    before: Snapshot,
}

impl Pointer {
    pub(super) fn of(snapshot: Snapshot) -> Pointer {
        Pointer(RefCell::new(State::None(snapshot)))
    }

    /// A borrow must not outlast a look: what makes elements may come back here.
    fn state(&self) -> State {
        self.0.borrow().clone()
    }

    /// The elements as a plain vector has them, if they lie in memory or in a file of their own.
    #[inline]
    pub(super) fn plain(&self) -> Option<*mut u8> {
        match *self.0.borrow() {
            State::Plain(ref plain) => Some(plain.data),
            State::Mapped(ref mapped) => Some(mapped.file.as_ptr()),
            _ => None,
        }
    }

    /// Whether there is anything that the source does not give: somebody wrote, or, to a plain vector, may have.
    pub(super) fn is_changed(&self) -> bool {
        match &*self.0.borrow() {
            State::None(snapshot) => snapshot.is_changed(),
            State::Paged(area) => area.is_changed(),
            State::Mapped(mapped) => mapped.is_changed(),
            State::Plain(plain) => plain.written.get(),
        }
    }

    /// The elements as they are now; `None` if they are a plain vector's, or a file's that was written over.
    pub(super) fn snapshot(&self) -> std::result::Result<Option<Snapshot>, PagerError> {
        match self.state() {
            State::None(snapshot) => Ok(Some(snapshot)),
            State::Paged(area) => area.snapshot().map(Some),
            State::Mapped(mapped) if !mapped.is_changed() => Ok(Some(mapped.before.clone())),
            State::Mapped(_) | State::Plain(_) => Ok(None),
        }
    }

    pub(super) fn read(&self, width: usize, start: u64, out: &mut [u8]) -> std::result::Result<(), FillError> {
        match self.state() {
            State::None(snapshot) => super::unpanicked(|| snapshot.fill(start, out)),
            State::Paged(area) => super::unpanicked(|| area.read(start, out)),
            State::Mapped(mapped) => {
                copy(mapped.file.as_ptr(), start as usize * width, out);
                if mapped.file.is_lost() { Err(FillError::Failed(CUT.to_owned())) } else { Ok(()) }
            }
            State::Plain(plain) => {
                copy(plain.data, start as usize * width, out);
                Ok(())
            }
        }
    }

    /// Offers what was written to `source`. What it does not take stays where it is.
    pub(super) fn flush(&self, source: &dyn Source) -> std::result::Result<(), FillError> {
        match self.state() {
            State::Paged(area) if area.is_changed() => super::unpanicked(|| area.flush().map(drop)),
            State::Plain(plain) if plain.written.get() && plain.before.is_alone() => {
                super::unpanicked(|| plain.flush(source))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn take_failure(&self) -> Option<String> {
        match &*self.0.borrow() {
            State::Paged(area) => area.take_failure(),
            State::Mapped(mapped) => mapped.file.is_lost().then(|| CUT.to_owned()),
            _ => None,
        }
    }

    pub(super) fn describe(&self) -> String {
        match &*self.0.borrow() {
            State::None(_) => "no pointer".to_owned(),
            State::Paged(area) => {
                let (bytes, pages) = (area.resident_bytes(), area.changed_pages());
                format!("a pointer, {bytes} bytes of pages in memory, {pages} pages written")
            }
            State::Mapped(_) => "a pointer, to the file's own pages".to_owned(),
            State::Plain(_) => "a plain vector".to_owned(),
        }
    }
}

const CUT: &str = "the file has become shorter";

/// Copies bytes of a vector's from `offset` on.
fn copy(data: *const u8, offset: usize, out: &mut [u8]) {
    // SAFETY: hooks ask for elements within the vector; `out` is not ours.
    unsafe { std::ptr::copy_nonoverlapping(data.add(offset), out.as_mut_ptr(), out.len()) };
}

impl Plain {
    /// Offers every element that is not as `source` makes it.
    fn flush(&self, source: &dyn Source) -> std::result::Result<(), FillError> {
        let (len, width) = (self.before.shape().len, self.before.shape().width);
        let most = (CHUNK / width) as u64;
        let mut made = vec![0; CHUNK.min(len.saturating_mul(width as u64) as usize)];
        for at in (0..len).step_by(CHUNK / width) {
            let n = most.min(len - at) as usize;
            let made = &mut made[..n * width];
            source.fill(at, made)?;
            // SAFETY: elements of the vector, which R's thread alone writes to; copied before anybody is called.
            let now = unsafe { std::slice::from_raw_parts(self.data.add(at as usize * width), n * width) }.to_vec();
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
}

/// The pointer.
///
/// # Errors
/// Class `pointer`: there is no way to give one, and the vector is too large to be made whole. Those of the generator, if it is.
pub(super) fn demand(r: R, x: Object, writable: bool) -> Result<*mut u8> {
    let this = x.get();
    this.check()?;
    if let State::None(snapshot) = this.pointer.state() {
        let state = make(r, x, this, snapshot)?;
        // What made the elements may have asked for the pointer too.
        if let State::None(_) = this.pointer.state() {
            this.pointer.0.replace(state);
        }
    }
    match &*this.pointer.0.borrow() {
        State::Paged(area) => Ok(area.as_ptr()),
        State::Mapped(mapped) => {
            mapped.written.set(mapped.written.get() || writable);
            Ok(mapped.file.as_ptr())
        }
        State::Plain(plain) => {
            plain.written.set(plain.written.get() || writable);
            Ok(plain.data)
        }
        State::None(_) => Err(Failure::new("internal", "a virtual vector has no pointer")),
    }
}

fn make(r: R, x: Object, this: &Virtual, snapshot: Snapshot) -> Result<State> {
    let (width, bytes) = (this.shape.width, this.shape.bytes());
    if bytes.is_some_and(|bytes| bytes <= SMALL) && !this.source.stores() {
        return plain(r, x, this, snapshot);
    }
    if let Some(file) = map(this, &snapshot) {
        return Ok(State::Mapped(Rc::new(Mapped { file, written: Cell::new(false), before: snapshot })));
    }
    let why = match paged(r, this, snapshot.clone())? {
        Ok(area) => return Ok(State::Paged(Rc::new(area))),
        Err(why) => why,
    };
    let limit = options::materialize(r)?;
    if bytes.is_some_and(|bytes| bytes as f64 <= limit) {
        return plain(r, x, this, snapshot);
    }
    Err(Failure::new(
        "pointer",
        format!(
            "a virtual vector of {} ({}) was asked for a pointer, and cannot give one: {why}; it is larger than what is made whole instead \
             ({}: set options(cowshed.materialize = ) to more bytes if there is memory for it), so use a part of it, x[a:b]",
            size(this.len() as f64 * width as f64),
            this.source.describe(),
            size(limit)
        ),
    ))
}

/// The file that the elements lie in, if they do, and if it can be mapped: there are other ways, which tell what is wrong with it.
fn map(this: &Virtual, snapshot: &Snapshot) -> Option<PrivateFile> {
    let (file, offset) = this.source.file()?;
    let shape = &this.shape;
    // As numbers of this width want to lie, and missing values too.
    let align = shape.width.min(8) as u64;
    if snapshot.is_changed() || offset % align != 0 {
        return None;
    }
    let mut missing = [0; 8];
    for (i, byte) in missing.iter_mut().enumerate() {
        *byte = shape.missing[i % shape.width];
    }
    PrivateFile::new(file, offset, shape.bytes()?, u64::from_ne_bytes(missing)).ok()
}

/// A duplicate of a vector whose pointer is one to a file's pages: of the same file, with what was written. `None` of any other, or if it cannot be had.
pub(super) fn mapped_again<E: Element>(r: R, x: Object) -> Result<Option<Object>> {
    let this = x.get();
    let State::Mapped(mapped) = this.pointer.state() else { return Ok(None) };
    if !mapped.is_changed() {
        return x.again(r).map(Some);
    }
    let Some(file) = map(this, &mapped.before).filter(|file| mapped.file.write_to(file).is_ok()) else {
        return Ok(None);
    };
    let before = mapped.before.clone();
    let made = Made { source: this.source.clone(), snapshot: before.clone(), keep: x.keep(), shared: this.shared };
    let other = made.object::<E>(r)?;
    other.get().pointer.0.replace(State::Mapped(Rc::new(Mapped { file, written: Cell::new(true), before })));
    Ok(Some(other))
}

/// A pointer of pages made on first touch; why there is none, in words.
fn paged(r: R, this: &Virtual, snapshot: Snapshot) -> Result<std::result::Result<Area, String>> {
    if !this.source.is_any_thread() {
        return Ok(Err("what makes its elements runs on R's own thread only".to_owned()));
    }
    if !options::userfaultfd(r)? {
        return Ok(Err("options(cowshed.userfaultfd = FALSE) forbids pages that are made on first touch".to_owned()));
    }
    set_limits(r)?;
    match Area::new(snapshot) {
        Ok(area) => Ok(Ok(area)),
        Err(error @ (PagerError::Unavailable { .. } | PagerError::Reserve { .. })) => Ok(Err(error.to_string())),
        Err(error) => Err(pager_failure(error)),
    }
}

/// Tells the pager how much memory the user allows it.
fn set_limits(r: R) -> Result<()> {
    let (clean, written) = (options::clean_pages(r)?, options::written_pages(r)?);
    let spill = match options::spill(r)? {
        Some(dir) => dir,
        None => r.scope(|| evaluate(r, c"function(x) tempdir()", Sexp::null())?.text(r))?.unwrap_or_default(),
    };
    cowshed_core::set_pager_limits(PagerLimits { clean, written, spill: PathBuf::from(spill) });
    Ok(())
}

/// All elements, as a plain vector that `data2` keeps.
fn plain(r: R, x: Object, this: &Virtual, before: Snapshot) -> Result<State> {
    by_element!(x.kind(), E => {
        let vector = vector::<E>(r, this)?;
        if let State::None(_) = this.pointer.state() {
            // SAFETY: a virtual vector; R's write barrier is in the setter.
            unsafe { sys::R_set_altrep_data2(x.sexp(), vector) };
        }
        // SAFETY: a plain vector of this type.
        Ok(State::Plain(Rc::new(Plain { data: unsafe { E::data(vector) }.cast(), written: Cell::new(false), before })))
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
        interrupts::heed(r)?;
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
