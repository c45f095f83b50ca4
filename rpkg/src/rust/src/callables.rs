//! What the headers `SharedObject/sharedMemory.h` and `cowshed.h` reach by `R_GetCCallable("cowshed", ...)`.
//!
//! As R's own functions these raise R errors, and are called on R's thread. The headers are the documentation and have the same signatures:
//! whatever changes here gets a new name, because packages are compiled against them.

use std::ffi::{CStr, c_char, c_int, c_ulonglong, c_void};

use cowshed_altrep::boundary::{call, guard};
use cowshed_altrep::{R, Result, door, memory, sys, verbs};

/// An id or name that C passed.
fn text(id: *const c_char) -> Result<String> {
    if id.is_null() {
        return Err(verbs::bad_argument("an id must be a C string, not a null pointer"));
    }
    // SAFETY: the header asks for a C string.
    let bytes = unsafe { CStr::from_ptr(id) };
    let text = bytes.to_str().map_err(|_| verbs::bad_argument("an id must be UTF-8"))?;
    Ok(text.to_owned())
}

/// A copy that R frees when its call of C ends.
fn transient(r: R, text: &str) -> Result<*const c_char> {
    let len = text.len();
    // SAFETY: allocation.
    let copy = call(r, || unsafe { sys::R_alloc(len + 1, 1) })?;
    // SAFETY: the copy has one byte more than the text.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr().cast(), copy, len) };
    // SAFETY: as above.
    unsafe { copy.add(len).write(0) };
    Ok(copy)
}

unsafe extern "C-unwind" fn allocate(size: c_ulonglong, name: *const c_char) -> *const c_char {
    guard(|r| {
        let name = if name.is_null() { String::new() } else { text(name)? };
        transient(r, &memory::allocate(r, size, &name)?)
    })
}

unsafe extern "C-unwind" fn map(id: *const c_char) -> *mut c_void {
    guard(|r| memory::map(r, &text(id)?))
}

unsafe extern "C-unwind" fn unmap(id: *const c_char) {
    guard(|_| text(id).map(|id| memory::unmap(&id)))
}

unsafe extern "C-unwind" fn free(id: *const c_char) {
    guard(|r| memory::free(r, &text(id)?))
}

unsafe extern "C-unwind" fn has(id: *const c_char) -> c_int {
    guard(|r| memory::has(r, &text(id)?)).into()
}

unsafe extern "C-unwind" fn size(id: *const c_char) -> f64 {
    guard(|r| memory::size(r, &text(id)?))
}

unsafe extern "C-unwind" fn is_mapped(id: *const c_char) -> c_int {
    guard(|_| text(id).map(|id| memory::is_mapped(&id))).into()
}

/// `change`: 0 or 1, or negative to ask only.
unsafe extern "C-unwind" fn release_after_use(id: *const c_char, change: c_int) -> c_int {
    guard(|r| memory::release_after_use(r, &text(id)?, (change >= 0).then_some(change != 0))).into()
}

/// Tells R of them.
pub(crate) fn register() {
    let all: [(&CStr, *const ()); 9] = [
        // The table that strategies of other packages come in by, see `cowshed.h`.
        (c"cowshed_host", door::table as *const ()),
        (c"allocateSharedMemory", allocate as *const ()),
        (c"mapSharedMemory", map as *const ()),
        (c"unmapSharedMemory", unmap as *const ()),
        (c"freeSharedMemory", free as *const ()),
        (c"hasSharedMemory", has as *const ()),
        (c"getSharedMemorySize", size as *const ()),
        (c"isSharedMemoryMapped", is_mapped as *const ()),
        (c"autoReleaseAfterUse", release_after_use as *const ()),
    ];
    guard(|r| {
        for (name, function) in all {
            // SAFETY: C strings that live for ever; R keeps the address and hands it out.
            call(r, || unsafe { sys::R_RegisterCCallable(c"cowshed".as_ptr(), name.as_ptr(), function.cast()) })?;
        }
        Ok(())
    });
}
