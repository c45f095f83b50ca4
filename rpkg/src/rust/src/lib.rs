//! The library that the R package loads: `R_init_cowshed` and the entry points of `.Call`.

mod arguments;
mod cache;
mod callables;
mod entries;
mod report;

use cowshed_altrep::sys::{DllInfo, R_CallMethodDef};

/// R's loader calls this, and nothing else is exported.
///
/// # Safety
/// `info` is R's handle of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn R_init_cowshed(info: *mut DllInfo) {
    cowshed_containers::link();
    // SAFETY: the caller's.
    unsafe { cowshed_altrep::init(info) };
    callables::register();
    // Through the door that other packages use.
    cowshed_plugins::register_in(cowshed_altrep::door::own_table());
    let table: &[R_CallMethodDef] = entries::TABLE.0;
    // SAFETY: the table ends with an empty entry and lives for ever.
    unsafe {
        libR_sys::R_registerRoutines(info, std::ptr::null(), table.as_ptr(), std::ptr::null(), std::ptr::null());
        libR_sys::R_useDynamicSymbols(info, libR_sys::Rboolean::FALSE);
        libR_sys::R_forceSymbols(info, libR_sys::Rboolean::TRUE);
    }
}
