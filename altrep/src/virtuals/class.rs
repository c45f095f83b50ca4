//! The ALTREP classes of virtual vectors: one generic implementation, given to R five times.

#![allow(clippy::missing_transmute_annotations, reason = "the setter it is passed to says the type")]

use std::ffi::{c_int, c_void};
use std::mem::transmute;

use super::{CLASSES, Object, class_name, hooks, recipe, summaries};
use crate::boundary::{R, Result, guard};
use crate::class::{
    Ask, Class, Coerce, Dataptr, DataptrOrNull, Duplicate, Elt, ExtractSubset, Inspect, Length, Region, State, Summary,
    Unserialize, or_null,
};
use crate::element::{Complex, Double, Element, Integer, Logical, Raw};
use crate::sys::{self, DllInfo, R_altrep_class_t, R_xlen_t, SEXP};

/// Makes the classes.
pub(crate) fn init(_: R, info: *mut DllInfo) -> Result<()> {
    make::<Raw>(info);
    let logical = make::<Logical>(info);
    let integer = make::<Integer>(info);
    let double = make::<Double>(info);
    make::<Complex>(info);
    // SAFETY: classes of ours and functions of the signatures that R's headers declare: `C-unwind` differs from `C` only in that a jump may leave it.
    unsafe {
        libR_sys::R_set_altinteger_Is_sorted_method(integer, Some(transmute(is_sorted as Ask)));
        libR_sys::R_set_altreal_Is_sorted_method(double, Some(transmute(is_sorted as Ask)));
        libR_sys::R_set_altinteger_No_NA_method(integer, Some(transmute(no_na as Ask)));
        libR_sys::R_set_altreal_No_NA_method(double, Some(transmute(no_na as Ask)));
        libR_sys::R_set_altlogical_Sum_method(logical, Some(transmute(sum_integer::<Logical> as Summary)));
        libR_sys::R_set_altinteger_Sum_method(integer, Some(transmute(sum_integer::<Integer> as Summary)));
        libR_sys::R_set_altreal_Sum_method(double, Some(transmute(sum_double as Summary)));
        libR_sys::R_set_altinteger_Min_method(integer, Some(transmute(extreme_integer::<false> as Summary)));
        libR_sys::R_set_altinteger_Max_method(integer, Some(transmute(extreme_integer::<true> as Summary)));
        libR_sys::R_set_altreal_Min_method(double, Some(transmute(extreme_double::<false> as Summary)));
        libR_sys::R_set_altreal_Max_method(double, Some(transmute(extreme_double::<true> as Summary)));
    }
    Ok(())
}

fn make<E: Class>(info: *mut DllInfo) -> R_altrep_class_t {
    let class = E::make(class_name(E::TYPE), info);
    // SAFETY: as in `init`.
    unsafe {
        libR_sys::R_set_altrep_Length_method(class, Some(transmute(length as Length)));
        libR_sys::R_set_altrep_Serialized_state_method(class, Some(transmute(state as State)));
        libR_sys::R_set_altrep_Unserialize_method(class, Some(transmute(unserialize::<E> as Unserialize)));
        libR_sys::R_set_altrep_Inspect_method(class, Some(transmute(inspect as Inspect)));
        libR_sys::R_set_altrep_Duplicate_method(class, Some(transmute(duplicate::<E> as Duplicate)));
        libR_sys::R_set_altrep_Coerce_method(class, Some(transmute(coerce as Coerce)));
        libR_sys::R_set_altvec_Dataptr_method(class, Some(transmute(dataptr as Dataptr)));
        libR_sys::R_set_altvec_Dataptr_or_null_method(class, Some(transmute(dataptr_or_null as DataptrOrNull)));
        libR_sys::R_set_altvec_Extract_subset_method(class, Some(transmute(extract_subset::<E> as ExtractSubset)));
    }
    E::set_elements(class, elt::<E> as Elt<E>, region::<E> as Region<E>);
    CLASSES.register(E::TYPE, class);
    class
}

/// `x` in a hook.
#[inline]
fn of(x: SEXP) -> Object {
    // SAFETY: R chose the hook by the object's class, which is ours.
    unsafe { Object::of_hook(x) }
}

unsafe extern "C-unwind" fn length(x: SEXP) -> R_xlen_t {
    hooks::length(of(x))
}

unsafe extern "C-unwind" fn elt<E: Element>(x: SEXP, i: R_xlen_t) -> E::C {
    hooks::elt::<E>(of(x), i)
}

unsafe extern "C-unwind" fn region<E: Element>(x: SEXP, i: R_xlen_t, n: R_xlen_t, buffer: *mut E::C) -> R_xlen_t {
    hooks::region::<E>(of(x), i, n, buffer)
}

unsafe extern "C-unwind" fn dataptr(x: SEXP, writable: c_int) -> *mut c_void {
    hooks::dataptr(of(x), writable != 0).cast()
}

unsafe extern "C-unwind" fn dataptr_or_null(x: SEXP) -> *const c_void {
    hooks::dataptr_or_null(of(x)).cast()
}

unsafe extern "C-unwind" fn duplicate<E: Element>(x: SEXP, _deep: c_int) -> SEXP {
    guard(|r| hooks::duplicate::<E>(r, of(x)))
}

unsafe extern "C-unwind" fn extract_subset<E: Element>(x: SEXP, index: SEXP, _call: SEXP) -> SEXP {
    or_null(guard(|r| hooks::extract_subset::<E>(r, of(x), index)))
}

unsafe extern "C-unwind" fn coerce(x: SEXP, to: c_int) -> SEXP {
    or_null(guard(|r| hooks::coerce(r, of(x), to as sys::SexpType)))
}

unsafe extern "C-unwind" fn state(x: SEXP) -> SEXP {
    or_null(guard(|r| recipe::serialized_state(r, of(x))))
}

unsafe extern "C-unwind" fn unserialize<E: Element>(_class: SEXP, state: SEXP) -> SEXP {
    guard(|r| recipe::unserialize::<E>(r, state))
}

unsafe extern "C-unwind" fn inspect(x: SEXP, _: c_int, _: c_int, _: c_int, _: *const c_void) -> c_int {
    guard(|r| hooks::inspect(r, of(x)).map(|()| 1))
}

unsafe extern "C-unwind" fn is_sorted(x: SEXP) -> c_int {
    hooks::is_sorted(of(x))
}

unsafe extern "C-unwind" fn no_na(x: SEXP) -> c_int {
    hooks::no_na(of(x))
}

unsafe extern "C-unwind" fn sum_integer<E: Element<C = c_int>>(x: SEXP, na_rm: c_int) -> SEXP {
    or_null(guard(|r| summaries::sum_integer::<E>(r, of(x), na_rm != 0)))
}

unsafe extern "C-unwind" fn sum_double(x: SEXP, na_rm: c_int) -> SEXP {
    or_null(guard(|r| summaries::sum_double(r, of(x), na_rm != 0)))
}

unsafe extern "C-unwind" fn extreme_integer<const MAX: bool>(x: SEXP, _na_rm: c_int) -> SEXP {
    or_null(guard(|r| summaries::extreme_integer(r, of(x), MAX)))
}

unsafe extern "C-unwind" fn extreme_double<const MAX: bool>(x: SEXP, _na_rm: c_int) -> SEXP {
    or_null(guard(|r| summaries::extreme_double(r, of(x), MAX)))
}
