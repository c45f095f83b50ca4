//! Our ALTREP classes: one generic implementation, given to R five times.
//!
//! Each trampoline is one line around a function of `hooks`.

#![allow(clippy::missing_transmute_annotations, reason = "the setter it is passed to says the type")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::transmute;
use std::ptr::{null, null_mut};

use crate::boundary::{R, Result, guard};
use crate::element::{Complex, Double, Element, Integer, Kind, Logical, Raw};
use crate::hooks::{self, Viewed};
use crate::lists::{self, List};
use crate::object::{self, Object};
use crate::strings::{self, Character};
use crate::sys::{self, DllInfo, R_altrep_class_t, R_xlen_t, SEXP};

/// Makes the classes.
pub(crate) fn init(_: R, info: *mut DllInfo) -> Result<()> {
    make::<Raw>(info);
    make::<Logical>(info);
    let integer = make::<Integer>(info);
    let double = make::<Double>(info);
    make::<Complex>(info);
    make_character(info);
    make_list(info);
    // SAFETY: classes of ours and functions of the signatures that R's headers declare: `C-unwind` differs from `C` only in that a jump may leave it.
    unsafe {
        libR_sys::R_set_altinteger_Is_sorted_method(integer, Some(transmute(is_sorted as Ask)));
        libR_sys::R_set_altreal_Is_sorted_method(double, Some(transmute(is_sorted as Ask)));
        libR_sys::R_set_altinteger_No_NA_method(integer, Some(transmute(no_na as Ask)));
        libR_sys::R_set_altreal_No_NA_method(double, Some(transmute(no_na as Ask)));
        // R sums doubles in 80 bits, which we cannot: their sum is R's, over our pointer.
        libR_sys::R_set_altinteger_Sum_method(integer, Some(transmute(sum as Summary)));
        libR_sys::R_set_altinteger_Min_method(integer, Some(transmute(extreme_integer::<false> as Summary)));
        libR_sys::R_set_altinteger_Max_method(integer, Some(transmute(extreme_integer::<true> as Summary)));
        libR_sys::R_set_altreal_Min_method(double, Some(transmute(extreme_double::<false> as Summary)));
        libR_sys::R_set_altreal_Max_method(double, Some(transmute(extreme_double::<true> as Summary)));
    }
    Ok(())
}

fn make<E: Class>(info: *mut DllInfo) -> R_altrep_class_t {
    let class = E::make(E::CLASS, info);
    common::<E>(class);
    // SAFETY: as in `init`.
    unsafe {
        libR_sys::R_set_altrep_Duplicate_method(class, Some(transmute(duplicate::<E> as Duplicate)));
        libR_sys::R_set_altrep_Coerce_method(class, Some(transmute(coerce::<E> as Coerce)));
        libR_sys::R_set_altvec_Dataptr_method(class, Some(transmute(dataptr as Dataptr)));
        libR_sys::R_set_altvec_Extract_subset_method(class, Some(transmute(extract_subset::<E> as ExtractSubset)));
    }
    E::set_elements(class, elt::<E> as Elt<E>, region::<E> as Region<E>);
    class
}

fn make_character(info: *mut DllInfo) {
    // SAFETY: C strings and R's own handle of this library.
    let class = unsafe { libR_sys::R_make_altstring_class(Character::CLASS.as_ptr(), PACKAGE, info) };
    common::<Character>(class);
    // SAFETY: as in `init`.
    unsafe {
        libR_sys::R_set_altrep_Duplicate_method(class, Some(transmute(strings_duplicate as Duplicate)));
        libR_sys::R_set_altvec_Dataptr_method(class, Some(transmute(strings_dataptr as Dataptr)));
        libR_sys::R_set_altvec_Extract_subset_method(class, Some(transmute(strings_extract_subset as ExtractSubset)));
        libR_sys::R_set_altstring_Elt_method(class, Some(transmute(strings_elt as StringElt)));
        libR_sys::R_set_altstring_Set_elt_method(class, Some(transmute(strings_set_elt as StringSetElt)));
        libR_sys::R_set_altstring_No_NA_method(class, Some(transmute(no_na as Ask)));
    }
}

/// Lists have classes from R 4.3 on.
fn make_list(info: *mut DllInfo) {
    type Make = unsafe extern "C" fn(*const c_char, *const c_char, *mut DllInfo) -> R_altrep_class_t;
    type SetElt = unsafe extern "C" fn(R_altrep_class_t, unsafe extern "C-unwind" fn(SEXP, R_xlen_t) -> SEXP);
    type SetSetElt = unsafe extern "C" fn(R_altrep_class_t, unsafe extern "C-unwind" fn(SEXP, R_xlen_t, SEXP));
    let functions =
        [c"R_make_altlist_class", c"R_set_altlist_Elt_method", c"R_set_altlist_Set_elt_method"].map(sys::find);
    if functions.iter().any(|f| f.is_null()) {
        return;
    }
    // SAFETY: the signatures that R's headers declare; C strings, R's own handle of this library, functions of ours.
    unsafe {
        let class = transmute::<*mut c_void, Make>(functions[0])(List::CLASS.as_ptr(), PACKAGE, info);
        common::<List>(class);
        transmute::<*mut c_void, SetElt>(functions[1])(class, list_elt);
        transmute::<*mut c_void, SetSetElt>(functions[2])(class, list_set_elt);
        libR_sys::R_set_altrep_Serialized_state_method(class, Some(transmute(list_state as State)));
        libR_sys::R_set_altvec_Dataptr_method(class, Some(transmute(list_dataptr as Dataptr)));
        libR_sys::R_set_altvec_Dataptr_or_null_method(class, Some(transmute(list_dataptr_or_null as DataptrOrNull)));
    }
}

/// What all our classes have in common.
fn common<K: Viewed>(class: R_altrep_class_t) {
    // SAFETY: as in `init`.
    unsafe {
        libR_sys::R_set_altrep_Length_method(class, Some(transmute(length as Length)));
        libR_sys::R_set_altrep_Serialized_state_method(class, Some(transmute(state::<K> as State)));
        libR_sys::R_set_altrep_Unserialize_method(class, Some(transmute(unserialize::<K> as Unserialize)));
        libR_sys::R_set_altrep_Inspect_method(class, Some(transmute(inspect as Inspect)));
        libR_sys::R_set_altvec_Dataptr_or_null_method(class, Some(transmute(dataptr_or_null as DataptrOrNull)));
    }
    object::register::<K>(class);
}

/// What R has five functions for.
pub(crate) trait Class: Element {
    fn make(name: &'static CStr, info: *mut DllInfo) -> R_altrep_class_t;
    fn set_elements(class: R_altrep_class_t, elt: Elt<Self>, region: Region<Self>);
}

pub(crate) type Elt<E> = unsafe extern "C-unwind" fn(SEXP, R_xlen_t) -> <E as Element>::C;
pub(crate) type Region<E> = unsafe extern "C-unwind" fn(SEXP, R_xlen_t, R_xlen_t, *mut <E as Element>::C) -> R_xlen_t;

macro_rules! class {
    ($type:ident, $make:ident, $set_elt:ident, $set_region:ident) => {
        impl Class for $type {
            fn make(name: &'static CStr, info: *mut DllInfo) -> R_altrep_class_t {
                // SAFETY: C strings that live for ever and R's own handle of this library.
                unsafe { libR_sys::$make(name.as_ptr(), PACKAGE, info) }
            }

            fn set_elements(class: R_altrep_class_t, elt: Elt<$type>, region: Region<$type>) {
                // SAFETY: as in `init`.
                unsafe {
                    libR_sys::$set_elt(class, Some(transmute(elt)));
                    libR_sys::$set_region(class, Some(transmute(region)));
                }
            }
        }
    };
}
class!(Raw, R_make_altraw_class, R_set_altraw_Elt_method, R_set_altraw_Get_region_method);
class!(Logical, R_make_altlogical_class, R_set_altlogical_Elt_method, R_set_altlogical_Get_region_method);
class!(Integer, R_make_altinteger_class, R_set_altinteger_Elt_method, R_set_altinteger_Get_region_method);
class!(Double, R_make_altreal_class, R_set_altreal_Elt_method, R_set_altreal_Get_region_method);
class!(Complex, R_make_altcomplex_class, R_set_altcomplex_Elt_method, R_set_altcomplex_Get_region_method);

/// Where R looks for the class when it unserializes one: it loads the package's namespace by itself.
const PACKAGE: *const c_char = c"cowshed".as_ptr();

pub(crate) type Length = unsafe extern "C-unwind" fn(SEXP) -> R_xlen_t;
pub(crate) type Duplicate = unsafe extern "C-unwind" fn(SEXP, c_int) -> SEXP;
pub(crate) type State = unsafe extern "C-unwind" fn(SEXP) -> SEXP;
pub(crate) type Unserialize = unsafe extern "C-unwind" fn(SEXP, SEXP) -> SEXP;
pub(crate) type Coerce = Duplicate;
type StringElt = unsafe extern "C-unwind" fn(SEXP, R_xlen_t) -> SEXP;
type StringSetElt = unsafe extern "C-unwind" fn(SEXP, R_xlen_t, SEXP);
pub(crate) type Dataptr = unsafe extern "C-unwind" fn(SEXP, c_int) -> *mut c_void;
pub(crate) type DataptrOrNull = unsafe extern "C-unwind" fn(SEXP) -> *const c_void;
pub(crate) type ExtractSubset = unsafe extern "C-unwind" fn(SEXP, SEXP, SEXP) -> SEXP;
pub(crate) type Ask = unsafe extern "C-unwind" fn(SEXP) -> c_int;
pub(crate) type Summary = unsafe extern "C-unwind" fn(SEXP, c_int) -> SEXP;
pub(crate) type Inspect = unsafe extern "C-unwind" fn(SEXP, c_int, c_int, c_int, *const c_void) -> c_int;

/// `x` in a hook.
#[inline]
fn of(x: SEXP) -> Object {
    // SAFETY: R chose the hook by the object's class, which is ours.
    unsafe { Object::of_hook(x) }
}

/// R's "no answer" is a null pointer.
pub(crate) fn or_null(answer: Option<SEXP>) -> SEXP {
    answer.unwrap_or(null_mut())
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

unsafe extern "C-unwind" fn duplicate<E: Element>(x: SEXP, deep: c_int) -> SEXP {
    guard(|r| hooks::duplicate::<E>(r, of(x), deep != 0))
}

unsafe extern "C-unwind" fn extract_subset<E: Element>(x: SEXP, index: SEXP, _call: SEXP) -> SEXP {
    or_null(guard(|r| hooks::extract_subset::<E>(r, of(x), index)))
}

unsafe extern "C-unwind" fn coerce<E: Element>(x: SEXP, to: c_int) -> SEXP {
    or_null(guard(|r| hooks::coerce::<E>(r, of(x), to as sys::SexpType)))
}

unsafe extern "C-unwind" fn state<K: Viewed>(x: SEXP) -> SEXP {
    or_null(guard(|r| hooks::serialized_state::<K>(r, of(x))))
}

unsafe extern "C-unwind" fn unserialize<K: Viewed>(_class: SEXP, state: SEXP) -> SEXP {
    guard(|r| hooks::unserialize::<K>(r, state))
}

unsafe extern "C-unwind" fn inspect(
    x: SEXP,
    _pre: c_int,
    _deep: c_int,
    _pvec: c_int,
    _subtree: *const c_void,
) -> c_int {
    guard(|_| {
        let text = std::ffi::CString::new(hooks::inspect(of(x))).unwrap_or_default();
        // SAFETY: a C string, printed as one.
        unsafe { libR_sys::Rprintf(c"%s".as_ptr(), text.as_ptr()) };
        Ok(1)
    })
}

unsafe extern "C-unwind" fn is_sorted(x: SEXP) -> c_int {
    hooks::is_sorted(of(x))
}

unsafe extern "C-unwind" fn no_na(x: SEXP) -> c_int {
    hooks::no_na(of(x))
}

unsafe extern "C-unwind" fn sum(x: SEXP, na_rm: c_int) -> SEXP {
    or_null(guard(|r| hooks::sum_integer(r, of(x), na_rm != 0)))
}

unsafe extern "C-unwind" fn extreme_integer<const MAX: bool>(x: SEXP, _na_rm: c_int) -> SEXP {
    // SAFETY: allocation, inside `call`.
    or_null(guard(|r| hooks::extreme::<Integer>(r, of(x), MAX, |v| unsafe { sys::Rf_ScalarInteger(v) })))
}

unsafe extern "C-unwind" fn extreme_double<const MAX: bool>(x: SEXP, _na_rm: c_int) -> SEXP {
    // SAFETY: as above.
    or_null(guard(|r| hooks::extreme::<Double>(r, of(x), MAX, |v| unsafe { sys::Rf_ScalarReal(v) })))
}

unsafe extern "C-unwind" fn list_elt(x: SEXP, i: R_xlen_t) -> SEXP {
    lists::elt(of(x), i)
}

unsafe extern "C-unwind" fn list_set_elt(x: SEXP, i: R_xlen_t, value: SEXP) {
    guard(|r| lists::set_elt(r, of(x), i, value));
}

unsafe extern "C-unwind" fn list_dataptr_or_null(x: SEXP) -> *const c_void {
    let view = of(x).view();
    if view.is_whole() { view.data().cast() } else { null() }
}

unsafe extern "C-unwind" fn list_dataptr(x: SEXP, writable: c_int) -> *mut c_void {
    lists::dataptr(of(x), writable != 0)
}

unsafe extern "C-unwind" fn list_state(x: SEXP) -> SEXP {
    or_null(guard(|r| lists::serialized_state(r, of(x))))
}

unsafe extern "C-unwind" fn strings_elt(x: SEXP, i: R_xlen_t) -> SEXP {
    strings::elt(of(x), i)
}

unsafe extern "C-unwind" fn strings_set_elt(x: SEXP, i: R_xlen_t, value: SEXP) {
    guard(|r| strings::set_elt(r, of(x), i, value));
}

unsafe extern "C-unwind" fn strings_dataptr(x: SEXP, writable: c_int) -> *mut c_void {
    strings::dataptr(of(x), writable != 0).cast()
}

unsafe extern "C-unwind" fn strings_duplicate(x: SEXP, _deep: c_int) -> SEXP {
    guard(|r| strings::duplicate(r, of(x)))
}

unsafe extern "C-unwind" fn strings_extract_subset(x: SEXP, index: SEXP, _call: SEXP) -> SEXP {
    or_null(guard(|r| strings::extract_subset(r, of(x), index)))
}
