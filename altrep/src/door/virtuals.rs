//! Virtual vectors of other libraries: their callbacks as a [`Source`].
//!
//! - What makes elements runs on any thread, outside of R, unless the kind says that it needs R's thread, or that it runs one at a time. Everything else
//!   runs as R's own functions do.
//! - A kind is the library's own and stays where it is; the library stays mapped.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::BorrowedFd;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cowshed_core::{FillError, Generator};

use super::abi::{self, Virtual};
use super::foreign::{set_message, shown, take_message};
use crate::boundary::{Failure, R, Result, call, guard, is_r_thread, outcome};
use crate::sexp::Sexp;
use crate::sys::{SEXP, SexpType};
use crate::virtuals::{self, Facts, Recipe, Source};

thread_local! {
    /// Kinds whose vectors can be made again, by name.
    static KINDS: RefCell<HashMap<String, &'static Virtual>> = RefCell::default();
}

/// Held by what runs one at a time.
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    /// This thread has the turn: what it runs may collect garbage, and that may write back what was written to another vector.
    static HAS_TURN: Cell<bool> = const { Cell::new(false) };
}

/// The turn of a thread, until it is dropped.
struct Turn(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl Turn {
    /// Waits for it; `None` if this thread has it.
    fn take() -> Option<Turn> {
        if HAS_TURN.replace(true) {
            return None;
        }
        Some(Turn(TURN.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        HAS_TURN.set(false);
    }
}

/// Room for one, of whatever type.
#[repr(align(16))]
struct Element([u8; 16]);

/// Bytes made at a time where elements must not be made in their place.
const BLOCK: usize = 64 << 10;

type Filled<T> = std::result::Result<T, FillError>;
type Read = unsafe extern "C-unwind" fn(*mut c_void, u64, u64, *mut c_void) -> c_int;

/// The data of a vector of another library, and what it does with them.
struct Foreign {
    kind: &'static Virtual,
    read: Read,
    data: *mut c_void,
    width: usize,
}

// SAFETY: the header asks that what is called here may run on any thread, or is called on R's thread alone.
unsafe impl Send for Foreign {}
// SAFETY: as above.
unsafe impl Sync for Foreign {}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(release) = self.kind.release {
            // SAFETY: the library's function with the data that were given for it, once.
            unsafe { release(self.data) };
        }
    }
}

/// A kind that a library gave.
///
/// # Safety
/// It is one, and stays where it is; or null.
unsafe fn checked(kind: *const Virtual) -> Result<&'static Virtual> {
    if kind.is_null() {
        return Err(refused("the kind is a null pointer"));
    }
    // SAFETY: the caller's; the first two fields are the same in all versions.
    let (size, abi) = unsafe { ((*kind).size, (*kind).abi) };
    if abi != abi::ABI || (size as usize) < size_of::<Virtual>() {
        return Err(refused(&format!(
            "it was built for version {abi} of cowshed's plugin interface, and this cowshed has version {}; install the newest cowshed, then the \
             package again from source",
            abi::ABI
        )));
    }
    // SAFETY: it has our version and at least our size.
    let kind: &'static Virtual = unsafe { &*kind };
    if let Some(read) = kind.read {
        keep_library(read);
    }
    Ok(kind)
}

/// Keeps the library of a kind mapped: vectors outlive the package's namespace.
fn keep_library(read: Read) {
    thread_local! {
        static KEPT: RefCell<HashSet<usize>> = RefCell::default();
    }
    if KEPT.with_borrow_mut(|kept| kept.insert(read as usize)) {
        super::foreign::keep_mapped(&super::foreign::library_of(read as *const ()));
    }
}

/// The name of a kind that has to have one.
///
/// # Safety
/// It is null or a C string.
unsafe fn name_of(kind: &Virtual) -> Result<String> {
    let nameless = || refused("its name must be UTF-8 text");
    if kind.name.is_null() {
        return Err(nameless());
    }
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(kind.name) }.to_str().map(str::to_owned).map_err(|_| nameless())
}

fn refused(why: &str) -> Failure {
    Failure::new("plugin", format!("a kind of virtual vectors is refused: {why}"))
}

pub(super) unsafe extern "C-unwind" fn register_virtual(kind: *const Virtual) {
    guard(|_| {
        // SAFETY: the header asks for a kind that stays.
        let kind = unsafe { checked(kind) }?;
        // SAFETY: the header asks for a C string.
        let name = unsafe { name_of(kind) }?;
        let is_name = name.rsplit_once('.').is_some_and(|(package, name)| !package.is_empty() && !name.is_empty());
        if !is_name {
            return Err(refused(&format!("its name, '{name}', must be its package's, a dot, and a name without dots")));
        }
        if kind.restore.is_none() {
            return Err(refused(&format!("'{name}' has no restore()")));
        }
        KINDS.with_borrow_mut(|kinds| kinds.insert(name, kind));
        Ok(())
    });
}

pub(super) unsafe extern "C-unwind" fn stop(message: *const c_char) {
    // SAFETY: the header asks for a C string.
    guard(|_| Err(Failure::new("plugin", unsafe { shown(message) })))
}

pub(super) unsafe extern "C-unwind" fn virtual_vector(
    kind: *const Virtual,
    data: *mut c_void,
    vector_type: u32,
    length: u64,
    keep: SEXP,
) -> SEXP {
    guard(|r| {
        // SAFETY: the header asks for a kind that stays.
        let kind = unsafe { checked(kind) }?;
        let width = match vector_type {
            crate::sys::RAWSXP => 1,
            crate::sys::LGLSXP | crate::sys::INTSXP => 4,
            crate::sys::REALSXP => 8,
            _ => 16,
        };
        let Some(read) = kind.read else {
            if let Some(release) = kind.release {
                // SAFETY: the library's function with the data that were given for it.
                unsafe { release(data) };
            }
            return Err(refused("it has no read()"));
        };
        let source = Arc::new(Foreign { kind, read, data, width });
        virtuals::new(r, vector_type as SexpType, length, source, Sexp(keep))
    })
    .into_r()
}

/// The vector of a recipe; loads the package that its name begins with.
pub(crate) fn restore(r: R, name: &str, state: Sexp) -> Result<Sexp> {
    let known = || KINDS.with_borrow(|kinds| kinds.get(name).copied());
    let kind = match known() {
        Some(kind) => kind,
        None => {
            let why = super::load_named(r, name)?;
            known().ok_or_else(|| {
                let package = name.rsplit_once('.').map_or(name, |(package, _)| package);
                Failure::new(
                    "plugin",
                    format!(
                        "a virtual vector is of the kind '{name}' of the package '{package}', which this process does not have ({}); install the package \
                         '{package}' where this process finds it",
                        why.unwrap_or_else(|| "it is loaded, and has no such kind".to_owned())
                    ),
                )
            })?
        }
    };
    let Some(restore) = kind.restore else { return Err(refused("it has no restore()")) };
    value_of(r, &|place| {
        // SAFETY: the library's function; the place outlives the call.
        unsafe { restore(state.0, place) }
    })?
    .ok_or_else(|| refused(&format!("restore() of '{name}' gave no value")))
}

/// Runs a callback that stores a value; `None` if it stored none.
fn value_of(r: R, callback: &dyn Fn(*mut SEXP) -> c_int) -> Result<Option<Sexp>> {
    let mut value: SEXP = null_mut();
    let place = &raw mut value;
    set_message(String::new());
    if call(r, || callback(place))? != 0 {
        return Err(Failure::new("plugin", format!("a virtual vector of another package: {}", said())));
    }
    if value.is_null() { Ok(None) } else { r.keep(value).map(|x| Some(Sexp(x))) }
}

/// What the callback that failed said.
fn said() -> String {
    take_message().filter(|text| !text.is_empty()).unwrap_or_else(|| "it did not say why".to_owned())
}

impl Foreign {
    fn needs_r(&self) -> bool {
        self.kind.flags & abi::R_THREAD != 0
    }

    fn one_at_a_time(&self) -> bool {
        self.kind.flags & abi::ONE_AT_A_TIME != 0
    }

    /// Runs what makes or takes elements.
    fn run(&self, callback: impl Fn() -> c_int) -> Filled<bool> {
        set_message(String::new());
        if !self.needs_r() && !self.one_at_a_time() {
            return Ok(callback() == 0);
        }
        if self.needs_r() && !is_r_thread() {
            return Err(FillError::Failed("it was asked on another thread than R's".to_owned()));
        }
        let _turn = self.one_at_a_time().then(Turn::take);
        if !is_r_thread() {
            return Ok(callback() == 0);
        }
        // Also a callback that must not call R: on R's thread that does no harm.
        match outcome(|r| call(r, &callback)) {
            Ok(status) => Ok(status == 0),
            Err(Failure::Jump) => Err(FillError::Host),
            Err(Failure::Error { message, .. }) => Err(FillError::Failed(message)),
        }
    }

    /// Has `make` (place of the first element, how many, where to) make all of `out`.
    fn make(&self, out: &mut [u8], make: impl Fn(u64, u64, *mut c_void) -> c_int) -> Filled<()> {
        let made = |from: usize, out: &mut [u8]| {
            let count = (out.len() / self.width) as u64;
            let buffer: *mut c_void = out.as_mut_ptr().cast();
            if self.run(|| make((from / self.width) as u64, count, buffer))? {
                Ok(())
            } else {
                Err(FillError::Failed(said()))
            }
        };
        if !self.one_at_a_time() || !is_r_thread() {
            return made(0, out);
        }
        // `out` may be pages whose maker waits for its turn, so they are touched when we have none.
        if out.len() == self.width {
            let mut element = Element([0; 16]);
            let element = &mut element.0[..self.width];
            made(0, element)?;
            out.copy_from_slice(element);
            return Ok(());
        }
        let mut block = vec![0; BLOCK.min(out.len())];
        for (k, part) in out.chunks_mut(BLOCK).enumerate() {
            let block = &mut block[..part.len()];
            made(k * BLOCK, block)?;
            part.copy_from_slice(block);
        }
        Ok(())
    }
}

impl Generator for Foreign {
    fn fill(&self, start: u64, out: &mut [u8]) -> Filled<()> {
        // SAFETY: the library's function, and room for as many elements.
        self.make(out, |from, count, buffer| unsafe { (self.read)(self.data, start + from, count, buffer) })
    }

    fn is_any_thread(&self) -> bool {
        !self.needs_r()
    }

    fn store(&self, start: u64, bytes: &[u8]) -> Filled<bool> {
        let Some(write) = self.kind.write else { return Ok(false) };
        let (count, buffer): (u64, *const c_void) = ((bytes.len() / self.width) as u64, bytes.as_ptr().cast());
        // SAFETY: the library's function, and as many elements.
        self.run(|| unsafe { write(self.data, start, count, buffer) })
    }
}

impl Source for Foreign {
    fn generator(self: Arc<Self>) -> Arc<dyn Generator> {
        self
    }

    fn describe(&self) -> String {
        let text = if self.kind.description.is_null() { self.kind.name } else { self.kind.description };
        if text.is_null() {
            return "of another package".to_owned();
        }
        // SAFETY: the library's C string.
        unsafe { shown(text) }
    }

    fn facts(&self) -> Facts {
        if self.kind.write.is_some() {
            return Facts::default();
        }
        let has = |flag| self.kind.flags & flag != 0;
        let sorted = i8::from(has(abi::INCREASING)) - i8::from(has(abi::DECREASING));
        Facts { sorted, no_na: has(abi::NO_NA) }
    }

    fn file(&self) -> Option<(BorrowedFd<'_>, u64)> {
        let file = self.kind.file?;
        let (mut descriptor, mut offset) = (-1, 0);
        let (place, at) = (&raw mut descriptor, &raw mut offset);
        // SAFETY: the library's function; both places outlive the call.
        let status = outcome(|r| call(r, || unsafe { file(self.data, place, at) })).ok()?;
        // SAFETY: an open file, by what the header asks for, that is the data's own.
        (status == 0 && descriptor >= 0).then(|| (unsafe { BorrowedFd::borrow_raw(descriptor) }, offset))
    }

    fn has_hooks(&self) -> bool {
        self.kind.subset.is_some() || self.kind.duplicate.is_some() || self.kind.coerce.is_some()
    }

    fn has_recipe(&self) -> bool {
        self.kind.recipe.is_some()
    }

    fn stores(&self) -> bool {
        self.kind.write.is_some()
    }

    fn fill_apart(&self, start: u64, step: u64, out: &mut [u8]) -> Option<Filled<()>> {
        let read = self.kind.read_apart?;
        // SAFETY: the library's function, and room for as many elements.
        Some(self.make(out, |from, count, buffer| unsafe { read(self.data, start + from * step, step, count, buffer) }))
    }

    fn recipe(&self, r: R, x: Sexp) -> Result<Option<Recipe>> {
        let Some(recipe) = self.kind.recipe else { return Ok(None) };
        let mut function: SEXP = null_mut();
        let place = &raw mut function;
        let state = value_of(r, &|state| {
            // SAFETY: the library's function; both places outlive the call.
            unsafe { recipe(self.data, x.0, state, place) }
        })?;
        let Some(state) = state else { return Ok(None) };
        if !function.is_null() {
            return Recipe::of_call(r, r.protect(Sexp(function))?, state).map(Some);
        }
        // SAFETY: the library's C string, or null.
        let name = unsafe { name_of(self.kind) }?;
        Ok(Some(Recipe::new(name, state)))
    }

    fn subset(&self, r: R, x: Sexp, index: Sexp) -> Result<Option<Sexp>> {
        let Some(subset) = self.kind.subset else { return Ok(None) };
        // SAFETY: the library's function; the place outlives the call.
        value_of(r, &|value| unsafe { subset(self.data, x.0, index.0, value) })
    }

    fn duplicate(&self, r: R, x: Sexp) -> Result<Option<Sexp>> {
        let Some(duplicate) = self.kind.duplicate else { return Ok(None) };
        // SAFETY: as above.
        value_of(r, &|value| unsafe { duplicate(self.data, x.0, value) })
    }

    fn coerce(&self, r: R, x: Sexp, kind: SexpType) -> Result<Option<Sexp>> {
        let Some(coerce) = self.kind.coerce else { return Ok(None) };
        // SAFETY: as above.
        value_of(r, &|value| unsafe { coerce(self.data, x.0, kind, value) })
    }

    fn inspect(&self, r: R, x: Sexp) -> Result<()> {
        let Some(inspect) = self.kind.inspect else { return Ok(()) };
        // SAFETY: as above.
        call(r, || unsafe { inspect(self.data, x.0) }).map(drop)
    }
}
