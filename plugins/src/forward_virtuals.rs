//! Hands virtual vectors of this library over to cowshed, and makes their elements when cowshed asks.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null;
use std::sync::{Mutex, PoisonError};

use cowshed_altrep::boundary::{self, call};
use cowshed_altrep::door::abi;
use cowshed_altrep::sys::SEXP;
use cowshed_altrep::{R, Result, Sexp};

use crate::element::Element;
use crate::forward::{fail, give, known, lasting, run, table};
use crate::virtuals::{Filled, Virtual};

/// The kinds that were described, by the type and its flags; they live for ever.
static KINDS: Mutex<BTreeMap<(TypeId, u32), Kind>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Copy)]
struct Kind(&'static abi::Virtual);

// SAFETY: it is never changed; its pointers are to text that lives for ever.
unsafe impl Send for Kind {}

/// Tells cowshed who restores vectors of this type.
pub(crate) fn register<V: Virtual>(r: R, host: &'static abi::Host) -> Result<()> {
    let kind = kind::<V>(0)?;
    // SAFETY: described as the table wants it, and it lives for ever.
    call(r, || unsafe { (host.register_virtual)(kind) })
}

pub(crate) fn vector<V: Virtual>(r: R, of: V) -> Result<Sexp> {
    let facts = of.facts();
    let mut flags = 0;
    for (is_so, flag) in [
        (of.needs_r(), abi::R_THREAD),
        (facts.no_na, abi::NO_NA),
        (facts.increasing, abi::INCREASING),
        (facts.decreasing && !facts.increasing, abi::DECREASING),
    ] {
        flags |= if is_so { flag } else { 0 };
    }
    let host = match known() {
        Some(host) => host,
        None => table(r)?,
    };
    let (kind, length, element) = (kind::<V>(flags)?, of.length(), V::Element::KIND.into());
    let data: *mut c_void = Box::into_raw(Box::new(of)).cast();
    // SAFETY: a kind for such data, which are the vector's from here on; nothing of R's has to be kept.
    let x = call(r, || unsafe {
        let nothing = Sexp::null().into_r();
        (host.virtual_vector)(kind, data, element, length, nothing)
    })?;
    // SAFETY: an R object, protected from here on.
    r.protect(unsafe { Sexp::from_r(x) })
}

fn kind<V: Virtual>(flags: u32) -> Result<&'static abi::Virtual> {
    let key = (TypeId::of::<V>(), flags);
    let mut kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Kind(kind)) = kinds.get(&key) {
        return Ok(kind);
    }
    let kind: &'static abi::Virtual = Box::leak(Box::new(abi::Virtual {
        size: size_of::<abi::Virtual>() as u32,
        abi: abi::ABI,
        name: V::NAME.map_or(Ok(null()), lasting)?,
        description: lasting(V::DESCRIPTION)?,
        flags,
        reserved: 0,
        read: Some(if flags & abi::R_THREAD != 0 { read_in_r::<V> } else { read::<V> }),
        write: if V::STORES { Some(write::<V>) } else { None },
        release: Some(release::<V>),
        recipe: if V::NAME.is_some() { Some(recipe::<V>) } else { None },
        restore: if V::NAME.is_some() { Some(restore::<V>) } else { None },
        subset: if V::HOOKS { Some(subset::<V>) } else { None },
        duplicate: if V::HOOKS { Some(duplicate::<V>) } else { None },
        coerce: if V::HOOKS { Some(coerce::<V>) } else { None },
        inspect: Some(inspect::<V>),
        read_apart: None,
        file: Some(file::<V>),
    }));
    kinds.insert(key, Kind(kind));
    Ok(kind)
}

/// The data of a vector.
///
/// # Safety
/// They are of this type, and not released yet.
unsafe fn of<'a, V: Virtual>(data: *mut c_void) -> &'a V {
    // SAFETY: the caller's.
    unsafe { &*data.cast::<V>() }
}

/// Runs what makes or takes elements, on any thread. What unwinds ends here.
fn calmly(job: impl FnOnce() -> Filled) -> c_int {
    match catch_unwind(AssertUnwindSafe(job)) {
        Ok(Ok(())) => 0,
        Ok(Err(why)) => fail(&why),
        Err(panic) => fail(&format!("it panicked: {}", boundary::text(&*panic))),
    }
}

/// Hands `fill` a place for elements: the buffer itself, or another if that begins where no element can.
///
/// # Safety
/// The buffer has room for `count` elements, of which any bytes are there already.
unsafe fn filled<E: Element, T>(
    buffer: *mut c_void,
    count: u64,
    fill: impl FnOnce(&mut [E]) -> std::result::Result<(), T>,
) -> std::result::Result<(), T> {
    let (place, count) = (buffer.cast::<E>(), count as usize);
    if place.is_aligned() {
        // SAFETY: the caller's.
        return fill(unsafe { std::slice::from_raw_parts_mut(place, count) });
    }
    let mut elements = vec![E::default(); count];
    fill(&mut elements)?;
    let bytes = E::bytes_of(&mut elements);
    // SAFETY: the caller's; bytes go anywhere.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.cast(), bytes.len()) };
    Ok(())
}

unsafe extern "C-unwind" fn read<V: Virtual>(data: *mut c_void, start: u64, count: u64, buffer: *mut c_void) -> c_int {
    // SAFETY: cowshed's call, for data of this kind and with room for as many elements.
    calmly(|| unsafe { filled(buffer, count, |out| of::<V>(data).fill(start, out)) })
}

unsafe extern "C-unwind" fn read_in_r<V: Virtual>(
    data: *mut c_void,
    start: u64,
    count: u64,
    buffer: *mut c_void,
) -> c_int {
    // SAFETY: as in `read`.
    run(|r, _| unsafe { filled(buffer, count, |out| of::<V>(data).fill_in_r(r, start, out)) })
}

unsafe extern "C-unwind" fn write<V: Virtual>(
    data: *mut c_void,
    start: u64,
    count: u64,
    buffer: *const c_void,
) -> c_int {
    calmly(|| {
        let mut elements = vec![V::Element::default(); count as usize];
        let bytes = V::Element::bytes_of(&mut elements);
        // SAFETY: cowshed's call, with as many elements.
        unsafe { std::ptr::copy_nonoverlapping(buffer.cast(), bytes.as_mut_ptr(), bytes.len()) };
        // SAFETY: for data of this kind.
        unsafe { of::<V>(data) }.store(start, &elements)
    })
}

unsafe extern "C-unwind" fn release<V: Virtual>(data: *mut c_void) {
    // SAFETY: cowshed calls it once, and nothing else from then on.
    let of = unsafe { Box::from_raw(data.cast::<V>()) };
    // A panic of a destructor has nowhere to go.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(of)));
}

unsafe extern "C-unwind" fn recipe<V: Virtual>(data: *mut c_void, _: SEXP, state: *mut SEXP, _: *mut SEXP) -> c_int {
    run(|r, _| {
        // SAFETY: cowshed's call, for data of this kind.
        give(unsafe { of::<V>(data) }.recipe(r)?, state);
        Ok(())
    })
}

unsafe extern "C-unwind" fn restore<V: Virtual>(state: SEXP, value: *mut SEXP) -> c_int {
    run(|r, _| {
        // SAFETY: cowshed protects it.
        let state = unsafe { Sexp::from_r(state) };
        give(V::restore(r, state)?, value);
        Ok(())
    })
}

/// Runs a hook that may leave the matter to cowshed.
fn perhaps(value: *mut SEXP, hook: impl FnOnce(R) -> Result<Option<Sexp>>) -> c_int {
    run(|r, _| {
        if let Some(x) = hook(r)? {
            give(x, value);
        }
        Ok(())
    })
}

unsafe extern "C-unwind" fn subset<V: Virtual>(data: *mut c_void, x: SEXP, index: SEXP, value: *mut SEXP) -> c_int {
    // SAFETY: R protects both.
    let (x, index) = unsafe { (Sexp::from_r(x), Sexp::from_r(index)) };
    // SAFETY: cowshed's call, for data of this kind.
    perhaps(value, |r| unsafe { of::<V>(data) }.subset(r, x, index))
}

unsafe extern "C-unwind" fn duplicate<V: Virtual>(data: *mut c_void, x: SEXP, value: *mut SEXP) -> c_int {
    // SAFETY: R protects it.
    let x = unsafe { Sexp::from_r(x) };
    // SAFETY: as above.
    perhaps(value, |r| unsafe { of::<V>(data) }.duplicate(r, x))
}

unsafe extern "C-unwind" fn coerce<V: Virtual>(data: *mut c_void, x: SEXP, kind: u32, value: *mut SEXP) -> c_int {
    // SAFETY: R protects it.
    let x = unsafe { Sexp::from_r(x) };
    // SAFETY: as above.
    perhaps(value, |r| unsafe { of::<V>(data) }.coerce(r, x, kind as u8))
}

unsafe extern "C-unwind" fn file<V: Virtual>(data: *mut c_void, descriptor: *mut c_int, offset: *mut u64) -> c_int {
    calmly(|| {
        // SAFETY: cowshed's call, for data of this kind.
        let (file, at) = unsafe { of::<V>(data) }.file().ok_or("it lies in no file")?;
        // SAFETY: cowshed's places for them.
        unsafe {
            descriptor.write(file.as_raw_fd());
            offset.write(at);
        }
        Ok(())
    })
}

unsafe extern "C-unwind" fn inspect<V: Virtual>(data: *mut c_void, _: SEXP) -> c_int {
    // SAFETY: as above.
    run(|r, _| r.print(&unsafe { of::<V>(data) }.inspect()))
}
