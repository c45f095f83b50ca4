//! Hands the strategies of this library over to cowshed, and calls them when cowshed asks.

use std::ffi::{CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

use cowshed_altrep::boundary::{self, call, guard, outcome};
use cowshed_altrep::core::Claim;
use cowshed_altrep::door::abi;
use cowshed_altrep::sys::{self, SEXP};
use cowshed_altrep::{Failure, R, Result, Sexp, inventory};

use crate::host::{Encoder, NodeId, Opener};
use crate::strategy::{Registration, Shareable};
use crate::virtuals::VirtualKind;

/// cowshed's table, once it was asked for.
static HOST: AtomicPtr<abi::Host> = AtomicPtr::new(null_mut());

/// Registers every strategy of this library, and every kind of virtual vectors; called from `R_init_<package>`. An R error if cowshed refuses one.
pub fn register() {
    // SAFETY: called by R's loader.
    unsafe { boundary::prepare() };
    guard(|r| hand_over(r, table(r)?));
}

/// The same for what is in cowshed's own library, whose namespace cannot be loaded while it is being loaded.
pub fn register_in(table: &'static abi::Host) {
    HOST.store(std::ptr::from_ref(table).cast_mut(), Ordering::Release);
    guard(|r| hand_over(r, table));
}

fn hand_over(r: R, host: &'static abi::Host) -> Result<()> {
    for Registration(strategy) in inventory::iter::<Registration> {
        let described = describe(*strategy)?;
        let described = &raw const described;
        // SAFETY: described as the table wants it. Texts and state live for ever.
        call(r, || unsafe { (host.register_strategy)(described) })?;
    }
    inventory::iter::<VirtualKind>.into_iter().try_for_each(|VirtualKind(register)| register(r, host))
}

/// Takes them back; called from `R_unload_<package>`.
pub fn unregister() {
    guard(|r| {
        let Some(host) = known() else { return Ok(()) };
        for Registration(strategy) in inventory::iter::<Registration> {
            let package = CString::new(package_of(*strategy)).unwrap_or_default();
            let text = package.as_ptr();
            // SAFETY: a C string.
            call(r, || unsafe { (host.unregister)(text) })?;
        }
        Ok(())
    });
}

/// The first part of its name.
fn package_of(strategy: &dyn Shareable) -> &'static str {
    strategy.name().rsplit_once('.').map_or("", |(package, _)| package)
}

pub(crate) fn known() -> Option<&'static abi::Host> {
    // SAFETY: null, or the table, which lives for ever.
    unsafe { HOST.load(Ordering::Acquire).as_ref() }
}

pub(crate) fn table(r: R) -> Result<&'static abi::Host> {
    let table = call(r, || {
        // SAFETY: R code, and names that cowshed registers when it is loaded; the function has no arguments and cannot fail.
        unsafe {
            sys::R_ParseEvalString(c"base::loadNamespace('cowshed')".as_ptr(), sys::R_BaseEnv);
            let get = sys::R_GetCCallable(c"cowshed".as_ptr(), c"cowshed_host".as_ptr());
            std::mem::transmute::<*const c_void, extern "C" fn() -> *const abi::Host>(get)()
        }
    })?;
    // SAFETY: its first two fields are the same in every version.
    let (size, version) = unsafe { ((*table).size as usize, (*table).abi) };
    if version == abi::ABI && size < size_of::<abi::Host>() {
        let why = "the package was built for a newer cowshed than the one that is loaded; install the newest cowshed";
        return Err(Failure::new("plugin", why));
    }
    // Of another version it has `register_strategy` all the same, which refuses us in words.
    HOST.store(table.cast_mut(), Ordering::Release);
    // SAFETY: it lives for ever. Of another version nothing but `register_strategy` is used.
    Ok(unsafe { &*table })
}

fn describe(strategy: &'static dyn Shareable) -> Result<abi::Strategy> {
    let kinds = strategy.kinds().iter().fold(0, |bits, kind| bits | (1u32.checked_shl((*kind).into()).unwrap_or(0)));
    Ok(abi::Strategy {
        size: size_of::<abi::Strategy>() as u32,
        abi: abi::ABI,
        name: lasting(strategy.name())?,
        package: lasting(package_of(strategy))?,
        class_name: strategy.class().map_or(Ok(null()), lasting)?,
        kinds,
        flags: abi::WRITTEN_IN_RUST,
        state: std::ptr::from_ref(Box::leak(Box::new(strategy))).cast_mut().cast(),
        claim: Some(claim),
        encode: Some(encode),
        open: Some(open),
        replace: Some(replace),
    })
}

/// A C string that is never freed.
pub(crate) fn lasting(text: &str) -> Result<*const c_char> {
    let text = CString::new(text).map_err(|_| Failure::new("plugin", "a strategy's name has a zero byte in it"))?;
    Ok(text.into_raw())
}

/// The strategy behind `state`.
fn strategy(state: *mut c_void) -> &'static dyn Shareable {
    // SAFETY: `describe` made it of a reference that lives for ever.
    unsafe { *state.cast::<&'static dyn Shareable>() }
}

/// Runs a strategy's method for a callback. An error or panic of its own goes back as a status and a message, R's jump as a jump.
pub(crate) fn run(place: impl FnOnce(R, &'static abi::Host) -> Result<()>) -> c_int {
    let Some(host) = known() else { return 2 };
    match outcome(|r| place(r, host)) {
        Ok(()) => 0,
        Err(Failure::Error { message, .. }) => fail(&message),
        Err(jump) => boundary::raise(jump),
    }
}

/// Keeps a message for the error; what the callback returns. On any thread.
pub(crate) fn fail(message: &str) -> c_int {
    let Some(host) = known() else { return 2 };
    let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
    // SAFETY: a C string; it never jumps.
    unsafe { (host.fail)(message.as_ptr()) }
}

unsafe extern "C-unwind" fn claim(state: *mut c_void, x: SEXP) -> u32 {
    let strategy = strategy(state);
    // SAFETY: R protects what it shares.
    let x = unsafe { Sexp::from_r(x) };
    let mut answer = abi::CLAIM_FAILED;
    let place = &mut answer;
    run(move |r, _| {
        *place = match strategy.claim(r, x)? {
            None => abi::CLAIM_BY_CLASS,
            Some(Claim::No) => abi::CLAIM_NO,
            Some(Claim::Fallback) => abi::CLAIM_FALLBACK,
            Some(Claim::Type) => abi::CLAIM_TYPE,
            Some(Claim::Class(n)) => abi::CLAIM_CLASS.saturating_add(n).min(abi::CLAIM_BY_CLASS - 1),
        };
        Ok(())
    });
    answer
}

unsafe extern "C-unwind" fn encode(state: *mut c_void, out: *mut abi::Encoder, x: SEXP, node: *mut u32) -> c_int {
    run(|r, host| {
        // SAFETY: R protects what it shares.
        let x = unsafe { Sexp::from_r(x) };
        let NodeId(id) = strategy(state).encode(r, x, &mut Encoder { r, host, context: out, lifetime: PhantomData })?;
        // SAFETY: the host's place for it.
        unsafe { node.write(id) };
        Ok(())
    })
}

/// Gives a value to the host, which protects it before anything else is allocated.
pub(crate) fn give(value: Sexp, place: *mut SEXP) {
    // SAFETY: the host's place for it.
    unsafe { place.write(value.into_r()) };
}

unsafe extern "C-unwind" fn open(state: *mut c_void, from: *mut abi::Opener, node: u32, value: *mut SEXP) -> c_int {
    run(|r, host| {
        let from = &mut Opener { r, host, context: from, lifetime: PhantomData };
        give(strategy(state).open(r, NodeId(node), from)?, value);
        Ok(())
    })
}

unsafe extern "C-unwind" fn replace(
    state: *mut c_void,
    from: *mut abi::Opener,
    original: SEXP,
    node: u32,
    value: *mut SEXP,
) -> c_int {
    run(|r, host| {
        // SAFETY: R protects what it shares.
        let original = unsafe { Sexp::from_r(original) };
        let from = &mut Opener { r, host, context: from, lifetime: PhantomData };
        give(strategy(state).replace(r, original, NodeId(node), from)?, value);
        Ok(())
    })
}
