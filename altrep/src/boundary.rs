//! The one place where errors, panics and R's jumps cross between the two languages.
//!
//! - [`guard`] wraps everything R calls. Inside it code is ordinary Rust: it returns [`Result`], it may panic, its destructors run.
//! - [`call`] wraps everything of R's that may raise an error. A jump becomes `Err(Failure::Jump)`, which travels up by `?` and goes on as
//!   R's own jump once `guard` has nothing left to drop.
//! - What is allocated through `R::keep` stays protected until the `guard` it happened in returns, or the scope ends. A list of ours does it,
//!   not R's protect stack: a push there may raise an error, and a [`call`] costs more than all else that is done with a small object.
//!
//! R runs on one thread; nothing here is called from another. [`R`] is the proof of it: `guard` makes the only ones.

use std::any::Any;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;

use crate::condition;
use crate::sexp::Sexp;
use crate::sys::{self, R_xlen_t, SEXP};

/// We are on R's thread, inside a [`guard`].
#[derive(Clone, Copy, Debug)]
pub struct R(PhantomData<*const ()>);

/// Why a piece of work ended early.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// An error of ours, for R's user: class `cowshed_error_<word>`.
    Error {
        /// The class's last part.
        class: &'static str,
        /// What failed, on what, and the remedy.
        message: String,
    },
    /// R is jumping (an R error, an interrupt): let it go on.
    Jump,
}

/// What code between [`guard`] and [`call`] returns.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// An error of class `cowshed_error_<class>`.
    pub fn new(class: &'static str, message: impl Into<String>) -> Self {
        Failure::Error { class, message: message.into() }
    }
}

thread_local! {
    /// A preserved cell with the list of what is kept, and how many of its places are taken.
    static ROOTS: Cell<SEXP> = const { Cell::new(null_mut()) };
    static KEPT: Cell<usize> = const { Cell::new(0) };
    /// R's continuation token. One is enough: a jump is always taken up again before the next one begins.
    static TOKEN: Cell<SEXP> = const { Cell::new(null_mut()) };
}

/// Prepares the token, and keeps panics off the terminal: they become R errors. Once for each library that links this crate.
///
/// # Safety
/// Called by R's loader.
pub unsafe fn prepare() {
    if !TOKEN.get().is_null() {
        return;
    }
    // SAFETY: called by R's loader, with no Rust frame above that has destructors.
    let token = unsafe { sys::R_MakeUnwindCont() };
    // SAFETY: as above.
    unsafe { sys::R_PreserveObject(token) };
    TOKEN.set(token);
    // SAFETY: as above; the list is in the cell before anything else is allocated.
    unsafe {
        let roots = sys::Rf_cons(sys::R_NilValue, sys::R_NilValue);
        sys::R_PreserveObject(roots);
        sys::SETCAR(roots, sys::Rf_allocVector(sys::VECSXP, 64));
        ROOTS.set(roots);
    }
    std::panic::set_hook(Box::new(|_| {}));
}

/// Whether we are on R's thread.
pub(crate) fn is_r_thread() -> bool {
    // No other has one.
    !TOKEN.get().is_null()
}

/// Has R collect what nothing refers to, and run its finalizers; on another thread than R's, nothing. An interrupt waits meanwhile: R heeds one
/// at the end of a collection (from R 4.5 on), and those who have us collect could not go on with its jump.
pub(crate) fn collect_garbage() {
    if !is_r_thread() {
        return;
    }
    let suspended = &raw mut sys::R_interrupts_suspended;
    // SAFETY: R's variable, on R's thread, as R's own macro for this does.
    let before = unsafe { suspended.replace(1) };
    // SAFETY: a collection raises no error, nor do the finalizers it runs.
    let _ = call(R(PhantomData), || unsafe { sys::R_gc() });
    // SAFETY: as above.
    unsafe { suspended.write(before) };
}

/// Runs `body` as the outermost Rust frame under R. An error becomes an R condition, a panic one of class `cowshed_error_internal`.
pub fn guard<T>(body: impl FnOnce(R) -> Result<T>) -> T {
    match attempt(body, |panic| Failure::new("internal", format!("cowshed has a bug: {panic}"))) {
        Ok(value) => value,
        Err(failure) => raise(failure),
    }
}

/// The same for a library of another package, which has more to do with an error than to raise it. A panic is an error.
///
/// # Errors
/// Those of `body`. A jump goes to [`raise`] next.
pub fn outcome<T>(body: impl FnOnce(R) -> Result<T>) -> Result<T> {
    attempt(body, |panic| Failure::new("plugin", format!("it panicked: {panic}")))
}

#[inline]
fn attempt<T>(body: impl FnOnce(R) -> Result<T>, bug: impl FnOnce(&str) -> Failure) -> Result<T> {
    let before = KEPT.get();
    match catch_unwind(AssertUnwindSafe(|| body(R(PhantomData)))) {
        Ok(Ok(value)) => {
            release(before);
            Ok(value)
        }
        Ok(Err(failure)) => {
            release(before);
            Err(failure)
        }
        Err(panic) => {
            release(before);
            Err(bug(text(&*panic)))
        }
    }
}

/// Goes on as R's jump. Whoever calls it has nothing left to drop; R restores its protect stack itself.
#[cold]
pub fn raise(failure: Failure) -> ! {
    match failure {
        // SAFETY: the token holds the jump that `call` caught, and no Rust frame below R's has anything to drop.
        Failure::Jump => unsafe { sys::R_ContinueUnwind(TOKEN.get()) },
        Failure::Error { class, message } => condition::signal(class, message),
    }
}

/// What a panic said.
pub fn text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// Lets go of what was kept since there were `before`.
fn release(before: usize) {
    let list = roots();
    for i in before..KEPT.get() {
        // SAFETY: a place of the list; nothing can fail.
        unsafe { sys::SET_VECTOR_ELT(list, i as R_xlen_t, sys::R_NilValue) };
    }
    KEPT.set(before);
}

fn roots() -> SEXP {
    // SAFETY: the cell that `init` made.
    unsafe { sys::CAR(ROOTS.get()) }
}

/// A longer list of what is kept. `x` is not in it yet.
#[cold]
fn grow(r: R, x: SEXP) -> Result<()> {
    let (old, n) = (roots(), KEPT.get());
    call(r, || {
        // SAFETY: `x` is protected meanwhile, and the new list is not allocated beside anything else; places of both.
        unsafe {
            sys::Rf_protect(x);
            let list = sys::Rf_allocVector(sys::VECSXP, 2 * n as R_xlen_t);
            for i in 0..n as R_xlen_t {
                sys::SET_VECTOR_ELT(list, i, sys::VECTOR_ELT(old, i));
            }
            sys::SETCAR(ROOTS.get(), list);
            sys::Rf_unprotect(1);
        }
    })
}

impl R {
    /// Protects what another library gave, until the guard, or the scope, ends.
    ///
    /// # Errors
    /// Out of memory.
    pub fn protect(self, x: Sexp) -> Result<Sexp> {
        self.keep(x.0).map(Sexp)
    }

    /// Protects `x` until the guard, or the scope, ends.
    pub(crate) fn keep(self, x: SEXP) -> Result<SEXP> {
        let n = KEPT.get();
        // SAFETY: a list of ours.
        if n == unsafe { sys::LENGTH(roots()) } as usize {
            grow(self, x)?;
        }
        // SAFETY: a place of the list; nothing can fail.
        unsafe { sys::SET_VECTOR_ELT(roots(), n as R_xlen_t, x) };
        KEPT.set(n + 1);
        Ok(x)
    }

    /// Runs `body` and lets go of everything kept in it. What it returns must be reachable otherwise.
    pub(crate) fn scope<T>(self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = KEPT.get();
        let value = body()?;
        release(before);
        Ok(value)
    }
}

/// The payload of the panic by which a jump leaves R's frames; never seen outside [`call`].
struct Jumping;

/// Runs a piece of R's C interface that may raise an error.
///
/// `body` must not own anything that needs dropping: R jumps over it.
pub fn call<T: Copy>(_: R, body: impl FnOnce() -> T) -> Result<T> {
    struct Job<T, F> {
        body: Option<F>,
        value: Option<T>,
    }
    unsafe extern "C-unwind" fn run<T, F: FnOnce() -> T>(job: *mut c_void) -> SEXP {
        // SAFETY: `call` passes a pointer to its job, which outlives this call.
        let job = unsafe { &mut *job.cast::<Job<T, F>>() };
        job.value = job.body.take().map(|body| body());
        // SAFETY: a constant of R's.
        unsafe { sys::R_NilValue }
    }
    unsafe extern "C-unwind" fn clean(_: *mut c_void, jumping: c_int) {
        if jumping != 0 {
            resume_unwind(Box::new(Jumping));
        }
    }
    fn protect<T, F: FnOnce() -> T>(job: &mut Job<T, F>) {
        let data: *mut c_void = std::ptr::from_mut(job).cast();
        // SAFETY: `run` and `clean` have the signatures R wants and `data` outlives the call. A jump ends in `clean`, whose panic unwinds
        // R_UnwindProtect's own C frame (it has unwind tables, as all C code on the platforms we build for) to the catch below.
        unsafe { sys::R_UnwindProtect(run::<T, F>, data, clean, null_mut(), TOKEN.get()) };
    }
    let mut job = Job { body: Some(body), value: None };
    match catch_unwind(AssertUnwindSafe(|| protect(&mut job))) {
        Ok(()) => Ok(job.value.expect("R_UnwindProtect ran the body")),
        Err(panic) if panic.is::<Jumping>() => Err(Failure::Jump),
        Err(panic) => resume_unwind(panic),
    }
}
