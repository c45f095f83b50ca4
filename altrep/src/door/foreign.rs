//! A strategy that another library handed over.
//!
//! Its callbacks run as R's own functions do: inside [`call`], so that a jump ends there, and under a handler that turns an R error into one that
//! names the package. Whether a plain object can be its own is decided without asking it.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{NonNull, null, null_mut};

use cowshed_core::{Claim, Encoder, NodeId, Opener, Payload, Shareable};

use super::abi::{self, Strategy};
use super::{Plugin, address, given, owned};
use crate::boundary::{Failure, R, Result, call, guard};
use crate::session::Session;
use crate::sexp::{Sexp, quoted};
use crate::sys::{self, R_xlen_t, SEXP};

/// The claim of whoever shares the last class of class(x), or an S4 object's own; more for those before it, less for those it extends.
const LAST_CLASS: u32 = 101;

type Claimer = unsafe extern "C-unwind" fn(*mut c_void, SEXP) -> u32;
type Encode = unsafe extern "C-unwind" fn(*mut c_void, *mut abi::Encoder, SEXP, *mut u32) -> c_int;
type Open = unsafe extern "C-unwind" fn(*mut c_void, *mut abi::Opener, u32, *mut SEXP) -> c_int;
type Replace = unsafe extern "C-unwind" fn(*mut c_void, *mut abi::Opener, SEXP, u32, *mut SEXP) -> c_int;

/// What a plugin handed over, copied.
#[derive(Debug)]
pub(super) struct Foreign {
    plugin: Plugin,
    class: Option<CString>,
    /// The file its functions are in.
    library: PathBuf,
    state: *mut c_void,
    claim: Option<Claimer>,
    encode: Encode,
    open: Open,
    replace: Option<Replace>,
}

// SAFETY: never changed; the plugin's state goes only to its own functions, on R's thread.
unsafe impl Sync for Foreign {}

/// What an encoder of the table points to: one callback under way.
pub(super) struct Encoding<'a, 'b> {
    pub(super) session: &'a Session,
    pub(super) strategy: &'static str,
    pub(super) value: Sexp,
    pub(super) out: &'a mut Encoder<'b, Session>,
    /// What the callback has written so far.
    pub(super) written: Vec<Payload>,
}

/// What an opener of the table points to.
pub(super) struct Opening<'a, 'b> {
    pub(super) session: &'a Session,
    pub(super) from: &'a mut Opener<'b, Session>,
}

thread_local! {
    /// The encoder or opener of the innermost callback: no other is valid.
    static CURRENT: Cell<*const c_void> = const { Cell::new(null()) };
    /// What the callback said of its failure.
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

pub(super) fn is_current(context: *const c_void) -> bool {
    !context.is_null() && CURRENT.get() == context
}

pub(super) fn set_message(message: String) {
    MESSAGE.set(Some(message));
}

/// What the callback that just failed on this thread said of it.
pub(super) fn take_message() -> Option<String> {
    MESSAGE.take()
}

impl Foreign {
    /// A copy of `strategy`; why not, if it lacks something.
    pub(super) fn new(strategy: &Strategy, name: &str, package: &str) -> std::result::Result<Self, &'static str> {
        let kinds: Vec<u8> = (0..32).filter(|kind| strategy.kinds & (1 << kind) != 0).collect();
        if kinds.is_empty() {
            return Err("it names no types");
        }
        if strategy.class_name.is_null() && strategy.claim.is_none() {
            return Err("it has neither a class nor claim()");
        }
        let (Some(encode), Some(open)) = (strategy.encode, strategy.open) else {
            return Err("it lacks encode() or open()");
        };
        // SAFETY: the plugin's C string, not null.
        let class = (!strategy.class_name.is_null()).then(|| unsafe { CStr::from_ptr(strategy.class_name) }.to_owned());
        let plugin = Plugin {
            name: Box::leak(name.to_owned().into_boxed_str()),
            door: if strategy.flags & abi::WRITTEN_IN_RUST != 0 { "Rust" } else { "C" },
            package: Box::leak(package.to_owned().into_boxed_str()),
            kinds: kinds.leak(),
            abi: strategy.abi,
        };
        let library = library_of(encode as *const ());
        let Strategy { state, claim, replace, .. } = *strategy;
        Ok(Foreign { plugin, class, library, state, claim, encode, open, replace })
    }

    pub(super) fn plugin(&self) -> Plugin {
        self.plugin.clone()
    }

    pub(super) fn library(&self) -> &Path {
        &self.library
    }

    /// Keeps its functions mapped for the life of the process: views and finalizers may outlive the package's namespace.
    pub(super) fn keep_library(&self) {
        keep_mapped(&self.library);
    }

    /// The error that names it.
    fn failure(&self, doing: &str, why: &str) -> Failure {
        let Plugin { name, package, .. } = self.plugin;
        Failure::new("plugin", format!("the package '{package}' (sharing strategy '{name}') failed to {doing}: {why}"))
    }

    /// How specific its class is among those of `x`; `None` if `x` has not that class.
    fn position(&self, r: R, x: Sexp, class: &CStr) -> Result<Option<u32>> {
        let at = call(r, || {
            // SAFETY: an R object with a class attribute; every index is below the length.
            unsafe {
                let classes = sys::Rf_getAttrib(x.0, sys::Rf_install(c"class".as_ptr()));
                if sys::TYPEOF(classes) as sys::SexpType != sys::STRSXP {
                    return None;
                }
                let n = sys::Rf_xlength(classes);
                let is_it = |i: &R_xlen_t| CStr::from_ptr(sys::R_CHAR(sys::STRING_ELT(classes, *i))) == class;
                (0..n).find(is_it).map(|i| (n - 1 - i) as u32)
            }
        })?;
        if at.is_some() || !x.is_s4() {
            return Ok(at.map(|before| LAST_CLASS.saturating_add(before)));
        }
        // An S4 class may extend it: R gives the place among all it extends, from 1, its own; 0 if it is none.
        let place = call(r, || {
            // SAFETY: the call is protected while it is evaluated; a jump restores the protect stack. The value is read before anything is allocated.
            unsafe {
                let which = sys::Rf_cons(sys::Rf_protect(sys::Rf_ScalarLogical(1)), sys::R_NilValue);
                let what = sys::Rf_cons(sys::Rf_protect(sys::Rf_mkString(class.as_ptr())), sys::Rf_protect(which));
                let arguments = sys::Rf_cons(sys::Rf_protect(quoted(x.0)), sys::Rf_protect(what));
                let expression = sys::Rf_lcons(sys::Rf_install(c"inherits".as_ptr()), sys::Rf_protect(arguments));
                let place = sys::Rf_eval(sys::Rf_protect(expression), sys::R_BaseEnv);
                sys::Rf_unprotect(7);
                *sys::INTEGER(place)
            }
        })?;
        let distance = u32::try_from(place - 1).ok();
        Ok(distance.map(|d| LAST_CLASS.saturating_sub(d)))
    }

    /// Runs a callback with a context that is valid meanwhile.
    fn run(&self, r: R, doing: &str, context: *const c_void, job: impl FnOnce() -> c_int) -> Result<()> {
        MESSAGE.set(None);
        let before = top_of_stack(r)?;
        let outer = CURRENT.replace(context);
        let status = self.protected(r, doing, job);
        CURRENT.set(outer);
        let status = status?;
        let left = top_of_stack(r)? - before;
        if left != 0 {
            if left > 0 {
                // SAFETY: the callback pushed as many.
                unsafe { sys::Rf_unprotect(left) };
            }
            return Err(self.failure(doing, &format!("it protected {left} objects more than it unprotected")));
        }
        match status {
            0 => Ok(()),
            _ => {
                let why = MESSAGE.take().unwrap_or_else(|| format!("it returned {status}"));
                Err(self.failure(doing, &why))
            }
        }
    }

    /// The callback under the handler: an R error becomes one that names us, unless it is cowshed's own.
    fn protected<F: FnOnce() -> c_int>(&self, r: R, doing: &str, job: F) -> Result<c_int> {
        struct Job<'a, F> {
            job: Option<F>,
            status: c_int,
            strategy: &'a Foreign,
            doing: &'a str,
        }
        unsafe extern "C-unwind" fn run<F: FnOnce() -> c_int>(job: *mut c_void) -> SEXP {
            // SAFETY: `protected` passes a pointer to its job, which outlives this call.
            let job = unsafe { &mut *job.cast::<Job<'_, F>>() };
            if let Some(callback) = job.job.take() {
                job.status = callback();
            }
            // SAFETY: a constant of R's.
            unsafe { sys::R_NilValue }
        }
        unsafe extern "C-unwind" fn rename<F>(condition: SEXP, job: *mut c_void) -> SEXP {
            // SAFETY: as above; read only.
            let job = unsafe { &*job.cast::<Job<'_, F>>() };
            guard(|r| {
                // SAFETY: a condition.
                if call(r, || unsafe { sys::Rf_inherits(condition, c"cowshed_error".as_ptr()) })? != 0 {
                    return Ok(condition);
                }
                let why = r.base(c"conditionMessage", Sexp(condition))?.text(r)?.unwrap_or_default();
                Err(job.strategy.failure(job.doing, &why))
            })
        }
        let mut job = Job { job: Some(job), status: 0, strategy: self, doing };
        let data: *mut c_void = (&raw mut job).cast();
        call(r, || {
            // SAFETY: both functions have the signatures R wants, and the job outlives the call.
            unsafe { sys::R_withCallingErrorHandler(run::<F>, data, rename::<F>, data) };
        })?;
        Ok(job.status)
    }

    /// Runs open() or replace().
    fn make(
        &self,
        session: &Session,
        from: &mut Opener<'_, Session>,
        job: impl FnOnce(*mut abi::Opener, *mut SEXP) -> c_int,
    ) -> Result<Sexp> {
        const DOING: &str = "make an object again";
        let mut opening = Opening { session, from };
        let context = NonNull::from(&mut opening).cast::<abi::Opener>().as_ptr();
        let mut value: SEXP = null_mut();
        let place = &raw mut value;
        self.run(session.r, DOING, context.cast(), move || job(context, place))?;
        given(session.r, value, || self.failure(DOING, "it gave no value"))
    }
}

impl Shareable<Session> for Foreign {
    fn name(&self) -> &'static str {
        self.plugin.name
    }

    fn package(&self) -> &'static str {
        self.plugin.package
    }

    fn kinds(&self) -> &'static [u8] {
        self.plugin.kinds
    }

    fn claim(&self, session: &Session, x: Sexp) -> Claim {
        self.ask(session, x).unwrap_or(Claim::No)
    }

    fn ask(&self, session: &Session, x: Sexp) -> Result<Claim> {
        let mut claim = Claim::No;
        if let Some(class) = &self.class {
            // SAFETY: an R object.
            if unsafe { sys::OBJECT(x.0) } == 0 {
                return Ok(Claim::No);
            }
            match self.position(session.r, x, class)? {
                Some(n) => claim = Claim::Class(n),
                None => return Ok(Claim::No),
            }
        }
        let Some(asked) = self.claim else { return Ok(claim) };
        let state = self.state;
        let mut answer = abi::CLAIM_NO;
        let place = &raw mut answer;
        self.run(session.r, "say whether an object is its own", null(), || {
            // SAFETY: the plugin's function, as its own header declares it; the place outlives the call.
            unsafe { place.write(asked(state, x.0)) };
            // SAFETY: as above.
            c_int::from(unsafe { place.read() } == abi::CLAIM_FAILED)
        })?;
        Ok(match answer {
            abi::CLAIM_NO => Claim::No,
            abi::CLAIM_FALLBACK => Claim::Fallback,
            abi::CLAIM_TYPE => Claim::Type,
            abi::CLAIM_BY_CLASS => claim,
            class => Claim::Class(class - abi::CLAIM_CLASS),
        })
    }

    fn encode(&self, session: &Session, x: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        const DOING: &str = "share an object";
        let mut encoding = Encoding { session, strategy: self.plugin.name, value: x, out, written: Vec::new() };
        let context = NonNull::from(&mut encoding).cast::<abi::Encoder>().as_ptr();
        let mut node = abi::NONE;
        let place = &raw mut node;
        let (encode, state) = (self.encode, self.state);
        session.afresh(|| {
            self.run(session.r, DOING, context.cast(), move || {
                // SAFETY: the plugin's function; context and place outlive the call.
                unsafe { encode(state, context, x.0, place) }
            })
        })?;
        out.get(node).ok_or_else(|| self.failure(DOING, "it gave no node that it has added"))
    }

    fn open(&self, session: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let (open, state) = (self.open, self.state);
        self.make(session, from, move |opener, value| {
            // SAFETY: the plugin's function; opener and place outlive the call.
            unsafe { open(state, opener, node.0, value) }
        })
    }

    fn replace(&self, session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let Some(replace) = self.replace else { return self.open(session, node, from) };
        let state = self.state;
        self.make(session, from, move |opener, value| {
            // SAFETY: as in `open`.
            unsafe { replace(state, opener, original.0, node.0, value) }
        })
    }
}

/// Objects on R's protect stack.
fn top_of_stack(r: R) -> Result<c_int> {
    call(r, || {
        let mut index = 0;
        // SAFETY: R's NULL goes onto the stack, which may be full, and off again.
        unsafe {
            sys::R_ProtectWithIndex(sys::R_NilValue, &raw mut index);
            sys::Rf_unprotect(1);
        }
        index
    })
}

/// Keeps a library mapped for the life of the process.
pub(super) fn keep_mapped(library: &Path) {
    let Ok(path) = CString::new(library.as_os_str().as_bytes()) else { return };
    // SAFETY: a C string. It is loaded already, so nothing is run; the flag stays when the handle goes.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
    if !handle.is_null() {
        // SAFETY: the handle just made.
        unsafe { libc::dlclose(handle) };
    }
}

/// The file that a function is in; empty if nobody knows.
pub(super) fn library_of(function: *const ()) -> PathBuf {
    let mut info = libc::Dl_info { dli_fname: null(), dli_fbase: null_mut(), dli_sname: null(), dli_saddr: null_mut() };
    // SAFETY: any address may be asked for.
    if unsafe { libc::dladdr(address(function), &raw mut info) } == 0 || info.dli_fname.is_null() {
        return PathBuf::new();
    }
    // SAFETY: the loader's C string.
    PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(info.dli_fname) }.to_bytes()))
}

/// A C string of a plugin's, for a message.
///
/// # Safety
/// `text` is null or a C string.
pub(super) unsafe fn shown(text: *const c_char) -> String {
    if text.is_null() {
        return "it did not say why".to_owned();
    }
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// As [`owned`], but an error names the field.
pub(super) unsafe fn required(text: *const c_char, what: &str) -> Result<&'static str> {
    // SAFETY: the caller's.
    let text = unsafe { owned(text) };
    text.ok_or_else(|| Failure::new("plugin", format!("a sharing strategy is refused: its {what} must be UTF-8 text")))
}
