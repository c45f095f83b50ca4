//! The R door: classes that packages make shareable by methods of share_proxy() and share_restore().
//!
//! - R finds and calls the methods. Its functions are registered here, as those of `by_value` are.
//! - Nearly every value has no such class. A value without the object bit is never asked about; for others the answer is kept for as long as
//!   the session lasts, by their class. Where nobody has a method it takes no more of R than a look into two environments.
//! - A proxy is made once in a session, and kept until its end: it is written by its address, and its parts become views in its image.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CString;
use std::ptr::null_mut;

use cowshed_core::{Claim, Encoder, Flags, NodeId, Opener, Payload};

use crate::boundary::{Failure, R, Result, call};
use crate::session::{Session, ShareOptions};
use crate::sexp::{Sexp, run};
use crate::sys::{self, R_xlen_t, SEXP};

/// How strong the claim for an object's own class is. That for a class it inherits from is weaker by one for each step.
pub const OWN_CLASS: u32 = 1 << 20;

/// R's side of the door. R objects, all preserved for good.
#[derive(Clone, Copy)]
struct Functions {
    /// Where R registers S3 methods of the package's generics.
    s3_methods: SEXP,
    /// The environment of the S4 generic, in which its methods are counted.
    generic: SEXP,
    /// `length(.MTable)`.
    count: SEXP,
    /// Takes those of packages that are unloaded out of the table of S3 methods.
    refresh: SEXP,
    /// How far the class with a method is from an object's; negative if none has one.
    distance: SEXP,
    /// The proxy of an object, and where it comes from.
    proxy: SEXP,
    /// The object again, from both.
    restore: SEXP,
}

thread_local! {
    static FUNCTIONS: Cell<Option<Functions>> = const { Cell::new(None) };
}

/// Registers R's side: the table of S3 methods, the environment of the S4 generic, and four functions that put the table right, and say how far
/// the class with a method is, what the proxy is, and what it restores to.
///
/// # Errors
/// Out of memory.
pub fn register(r: R, s3_methods: Sexp, generic: Sexp, functions: [Sexp; 4]) -> Result<()> {
    let [refresh, distance, proxy, restore] = functions.map(|f| f.0);
    for x in [s3_methods.0, generic.0, refresh, distance, proxy, restore] {
        // SAFETY: R objects.
        call(r, || unsafe { sys::R_PreserveObject(x) })?;
    }
    let count = call(r, || {
        // SAFETY: symbols are never collected; the call is preserved before anything else is allocated.
        unsafe {
            let arguments = sys::Rf_cons(sys::Rf_install(c".MTable".as_ptr()), sys::R_NilValue);
            let count = sys::Rf_lcons(sys::Rf_install(c"length".as_ptr()), arguments);
            sys::R_PreserveObject(count);
            count
        }
    })?;
    let (s3_methods, generic) = (s3_methods.0, generic.0);
    FUNCTIONS.set(Some(Functions { s3_methods, generic, count, refresh, distance, proxy, restore }));
    Ok(())
}

/// What a session knows of proxies.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Whether there are S4 methods; not asked yet if `None`.
    are_s4: Cell<Option<bool>>,
    /// How far the class with a method is, by class.
    distances: RefCell<HashMap<Vec<u8>, Option<u32>>>,
    /// Proxy and origin, by the object's address. The object lives as long as the session, being part of what is shared, or held here.
    made: RefCell<HashMap<usize, (Sexp, Sexp)>>,
    /// Those that are being written.
    under_way: RefCell<Vec<usize>>,
    held: Held,
}

/// R objects kept alive until it is dropped, in one preserved cell.
#[derive(Debug)]
struct Held(Cell<SEXP>);

impl Default for Held {
    fn default() -> Self {
        Held(Cell::new(null_mut()))
    }
}

impl Held {
    fn hold(&self, r: R, x: Sexp) -> Result<()> {
        let old = self.0.get();
        let cell = call(r, || {
            // SAFETY: cons protects its arguments; the old cell is preserved.
            unsafe {
                if old.is_null() {
                    let cell = sys::Rf_cons(sys::R_NilValue, sys::R_NilValue);
                    sys::R_PreserveObject(cell);
                    sys::SETCDR(cell, sys::Rf_cons(x.0, sys::R_NilValue));
                    cell
                } else {
                    sys::SETCDR(old, sys::Rf_cons(x.0, sys::CDR(old)));
                    old
                }
            }
        })?;
        self.0.set(cell);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.0.get().is_null() {
            // SAFETY: preserved by `hold`, once; raises no error.
            unsafe { sys::R_ReleaseObject(self.0.get()) };
        }
    }
}

/// The claim of the strategy of proxies.
pub fn claim(session: &Session, x: Sexp) -> Claim {
    // An error of R's here is one that the method will meet again, where it can be told.
    distance(session, x).ok().flatten().map_or(Claim::No, |steps| Claim::Class(OWN_CLASS.saturating_sub(steps)))
}

/// Whether a package shares objects of this class by a proxy.
pub(crate) fn is_proxied(session: &Session, x: Sexp) -> Result<bool> {
    Ok(distance(session, x)?.is_some())
}

fn distance(session: &Session, x: Sexp) -> Result<Option<u32>> {
    if !x.is_object() {
        return Ok(None);
    }
    let (r, memo) = (session.r, &session.proxies);
    let Some(functions) = FUNCTIONS.get() else { return Ok(None) };
    let class = class_of(r, x)?;
    if let Some(known) = memo.distances.borrow().get(&class) {
        return Ok(*known);
    }
    let are_s4 = match memo.are_s4.get() {
        Some(known) => known,
        None => are_s4(r, &functions)?,
    };
    memo.are_s4.set(Some(are_s4));
    let mut s3 = if are_s4 || x.is_s4() { S3::Unclear } else { s3_method(r, &functions, &class)? };
    if matches!(s3, S3::Registered(_)) {
        r.scope(|| run(r, functions.refresh, &[]))?;
        s3 = s3_method(r, &functions, &class)?;
    }
    let steps = match s3 {
        S3::None => None,
        S3::Registered(steps) => Some(steps),
        S3::Unclear => {
            let steps = r.scope(|| run(r, functions.distance, &[x])?.as_number(r))?;
            steps.filter(|steps| *steps >= 0.0).map(|steps| steps as u32)
        }
    };
    memo.distances.borrow_mut().insert(class, steps);
    Ok(steps)
}

/// Whether there is an S4 method besides that of ANY.
fn are_s4(r: R, functions: &Functions) -> Result<bool> {
    // SAFETY: preserved objects; the table is there once R has met a method.
    call(r, || unsafe {
        let known = sys::R_existsVarInFrame(functions.generic, sys::Rf_install(c".MTable".as_ptr())) != 0;
        known && sys::Rf_asInteger(sys::Rf_eval(functions.count, functions.generic)) > 1
    })
}

/// The names in the class attribute, each with a NUL behind it.
pub(crate) fn class_of(r: R, x: Sexp) -> Result<Vec<u8>> {
    // SAFETY: an R object, and a symbol of R's.
    let class = call(r, || unsafe { sys::Rf_getAttrib(x.0, sys::R_ClassSymbol) })?;
    let mut names = Vec::new();
    if Sexp(class).kind() == sys::STRSXP {
        for i in 0..Sexp(class).len(r)? {
            // SAFETY: within its length; an element's text is a C string that lives as long as the element, which the attribute holds.
            let name =
                call(r, || unsafe { std::ffi::CStr::from_ptr(sys::R_CHAR(sys::STRING_ELT(class, i as R_xlen_t))) })?;
            names.extend_from_slice(name.to_bytes_with_nul());
        }
    }
    Ok(names)
}

/// What two environments tell of S3 methods.
enum S3 {
    None,
    /// A package has one for the class so many steps up.
    Registered(u32),
    /// R's functions must say.
    Unclear,
}

fn s3_method(r: R, functions: &Functions, class: &[u8]) -> Result<S3> {
    for (steps, name) in class.split(|byte| *byte == 0).filter(|name| !name.is_empty()).enumerate() {
        let method = CString::new([b"share_proxy.", name].concat()).expect("split at NUL");
        let method = method.as_ptr();
        // SAFETY: a C string that lives on; a preserved environment, and R's own.
        let (registered, own) = call(r, || unsafe {
            let symbol = sys::Rf_install(method);
            (
                sys::R_existsVarInFrame(functions.s3_methods, symbol) != 0,
                sys::R_existsVarInFrame(sys::R_GlobalEnv, symbol) != 0,
            )
        })?;
        match (registered, own) {
            // It may be no function.
            (_, true) => return Ok(S3::Unclear),
            (true, false) => return Ok(S3::Registered(steps as u32)),
            (false, false) => {}
        }
    }
    Ok(S3::None)
}

/// The proxy of `x`, and its origin: a character vector of the package that has the method and the class of `x`.
///
/// # Errors
/// The method's, or it gives what it may not.
pub fn proxy(session: &Session, x: Sexp) -> Result<(Sexp, Sexp)> {
    let (r, memo, address) = (session.r, &session.proxies, x.0 as usize);
    if let Some(made) = memo.made.borrow().get(&address) {
        return Ok(*made);
    }
    let functions = FUNCTIONS.get().ok_or_else(unregistered)?;
    let made = r.scope(|| {
        let made = run(r, functions.proxy, &[x])?;
        memo.held.hold(r, made)?;
        Ok((made.element(r, 0)?, made.element(r, 1)?))
    })?;
    memo.made.borrow_mut().insert(address, made);
    Ok(made)
}

/// A session in which nothing is shared, to ask in.
pub(crate) fn session(r: R) -> Session {
    Session::new(r, ShareOptions::in_hook(Flags::empty()))
}

/// Runs `body`, which writes the proxy of `x`. The proxy may not hold `x`.
///
/// # Errors
/// Those of `body`, or it does.
pub fn within<T>(session: &Session, x: Sexp, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let under_way = &session.proxies.under_way;
    if under_way.borrow().contains(&(x.0 as usize)) {
        let class = x.class(session.r)?;
        let message =
            format!("share_proxy() of an object of the class {class} gives something that holds the object itself");
        return Err(Failure::new("plugin", message));
    }
    under_way.borrow_mut().push(x.0 as usize);
    let value = body();
    under_way.borrow_mut().pop();
    value
}

/// The object that a proxy of this origin stands for.
///
/// # Errors
/// The method's, it gives an object of another class, or its package is not here.
pub fn restore(r: R, proxy: Sexp, origin: Sexp) -> Result<Sexp> {
    run(r, FUNCTIONS.get().ok_or_else(unregistered)?.restore, &[proxy, origin])
}

/// Writes an origin: its strings in UTF-8, each with a NUL behind it.
///
/// # Errors
/// No room, or interrupted.
pub fn write_origin(r: R, origin: Sexp, out: &mut Encoder<'_, Session>) -> Result<Payload> {
    let mut bytes = Vec::new();
    for text in origin.strings(r)? {
        bytes.extend(text.as_bytes());
        bytes.push(0);
    }
    out.payload(&bytes)
}

/// Reads the origin in a node's payload.
///
/// # Errors
/// It is none.
pub fn read_origin(r: R, node: NodeId, from: &Opener<'_, Session>) -> Result<Sexp> {
    let payload = from.node(node).payload;
    let mut bytes = vec![0; payload.len as usize];
    // SAFETY: a payload of the checked table, which may be written by others: it is copied, not referred to.
    unsafe { std::ptr::copy_nonoverlapping(from.segment().payload(payload), bytes.as_mut_ptr(), bytes.len()) };
    let texts: Option<Vec<_>> =
        bytes.strip_suffix(&[0]).map(|bytes| bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect());
    match texts {
        Some(texts) if texts.len() >= 2 => r.strings(texts.len(), |i| texts[i].clone().into_owned()),
        _ => Err(from.bad(node, "it does not say what it is a proxy of").into()),
    }
}

fn unregistered() -> Failure {
    Failure::new("internal", "cowshed has a bug: its R functions are not registered")
}
