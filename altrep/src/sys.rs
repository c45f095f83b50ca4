//! R's C interface as this crate uses it.
//!
//! libR-sys gives the types and what never jumps. What may raise an R error is declared again here, for two reasons: a jump must be able
//! to leave it (`C-unwind`), and R's enums are plain numbers to us (a Rust enum with a value that a later R adds is undefined behaviour).
#![allow(clashing_extern_declarations, reason = "same functions, declared so that they may unwind")]
#![allow(improper_ctypes, reason = "R only ever hands out pointers to its objects")]
#![allow(missing_docs, reason = "R's own manual, Writing R Extensions, documents them")]

use std::ffi::{CStr, c_char, c_int, c_void};

pub use libR_sys::{
    ALTREP, ATTRIB, CAR, CDR, DllInfo, MARK_NOT_MUTABLE, OBJECT, R_BaseEnv, R_BaseNamespace, R_BlankString,
    R_CallMethodDef, R_ClassSymbol, R_EmptyEnv, R_ExternalPtrAddr, R_GlobalEnv, R_MissingArg, R_NaInt, R_NaReal,
    R_NaString, R_NamesSymbol, R_NilValue, R_UnboundValue, R_altrep_class_t, R_altrep_data1, R_altrep_data2,
    R_set_altrep_data1, R_set_altrep_data2, R_xlen_t, Rcomplex, SEXP, TAG,
};

/// The numbers of all of R's types.
pub const EVERY_TYPE: [u8; 26] = {
    let mut types = [0; 26];
    let mut i = 0;
    while i < types.len() {
        types[i] = i as u8;
        i += 1;
    }
    types
};

/// A function that not every R has, by its name; null if this one has not.
pub(crate) fn find(name: &CStr) -> *mut c_void {
    // SAFETY: a C string; R's library is loaded, and its symbols are found by all.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

/// `SEXPTYPE` of Rinternals.h.
pub type SexpType = u32;
pub const NILSXP: SexpType = 0;
pub const SYMSXP: SexpType = 1;
pub const LISTSXP: SexpType = 2;
pub const CLOSXP: SexpType = 3;
pub const ENVSXP: SexpType = 4;
pub const PROMSXP: SexpType = 5;
pub const LANGSXP: SexpType = 6;
pub const LGLSXP: SexpType = 10;
pub const INTSXP: SexpType = 13;
pub const REALSXP: SexpType = 14;
pub const CPLXSXP: SexpType = 15;
pub const STRSXP: SexpType = 16;
pub const DOTSXP: SexpType = 17;
pub const VECSXP: SexpType = 19;
pub const EXPRSXP: SexpType = 20;
pub const BCODESXP: SexpType = 21;
pub const EXTPTRSXP: SexpType = 22;
pub const WEAKREFSXP: SexpType = 23;
pub const RAWSXP: SexpType = 24;
pub const S4SXP: SexpType = 25;

unsafe extern "C-unwind" {
    // These do not raise errors, but take or give R's enums.
    pub fn TYPEOF(x: SEXP) -> c_int;
    pub fn R_altrep_inherits(x: SEXP, class: R_altrep_class_t) -> c_int;
    pub fn IS_S4_OBJECT(x: SEXP) -> c_int;

    // These raise errors: only inside `boundary::call`, or in frames without destructors.
    pub fn R_UnwindProtect(
        fun: unsafe extern "C-unwind" fn(*mut c_void) -> SEXP,
        data: *mut c_void,
        clean: unsafe extern "C-unwind" fn(*mut c_void, c_int),
        clean_data: *mut c_void,
        cont: SEXP,
    ) -> SEXP;
    pub fn R_ContinueUnwind(cont: SEXP) -> !;
    pub fn R_MakeUnwindCont() -> SEXP;
    pub fn R_gc();
    /// Not zero: an interrupt waits.
    pub static mut R_interrupts_suspended: c_int;
    pub fn R_PreserveObject(x: SEXP);
    pub fn R_ReleaseObject(x: SEXP);
    pub fn R_existsVarInFrame(env: SEXP, name: SEXP) -> c_int;
    pub fn R_withCallingErrorHandler(
        body: unsafe extern "C-unwind" fn(*mut c_void) -> SEXP,
        data: *mut c_void,
        handler: unsafe extern "C-unwind" fn(SEXP, *mut c_void) -> SEXP,
        handler_data: *mut c_void,
    ) -> SEXP;
    pub fn R_tryCatchError(
        body: unsafe extern "C-unwind" fn(*mut c_void) -> SEXP,
        data: *mut c_void,
        handler: unsafe extern "C-unwind" fn(SEXP, *mut c_void) -> SEXP,
        handler_data: *mut c_void,
    ) -> SEXP;
    pub fn Rf_coerceVector(x: SEXP, kind: SexpType) -> SEXP;
    pub fn Rf_protect(x: SEXP) -> SEXP;
    pub fn R_ProtectWithIndex(x: SEXP, index: *mut c_int);
    pub fn Rf_unprotect(n: c_int);
    pub fn Rf_allocVector(kind: SexpType, n: R_xlen_t) -> SEXP;
    pub fn Rf_asInteger(x: SEXP) -> c_int;
    pub fn Rf_xlength(x: SEXP) -> R_xlen_t;
    pub fn Rf_eval(call: SEXP, env: SEXP) -> SEXP;
    pub fn Rf_install(name: *const c_char) -> SEXP;
    pub fn Rf_lcons(car: SEXP, cdr: SEXP) -> SEXP;
    pub fn Rf_cons(car: SEXP, cdr: SEXP) -> SEXP;
    pub fn SET_TAG(x: SEXP, tag: SEXP);
    pub fn SETCAR(x: SEXP, value: SEXP) -> SEXP;
    pub fn SETCDR(x: SEXP, value: SEXP) -> SEXP;
    pub fn Rf_mkCharLenCE(bytes: *const c_char, n: c_int, encoding: c_int) -> SEXP;
    pub fn Rf_mkString(text: *const c_char) -> SEXP;
    pub fn Rf_translateCharUTF8(x: SEXP) -> *const c_char;
    pub fn STRING_ELT(x: SEXP, i: R_xlen_t) -> SEXP;
    pub fn SET_STRING_ELT(x: SEXP, i: R_xlen_t, v: SEXP);
    pub fn VECTOR_ELT(x: SEXP, i: R_xlen_t) -> SEXP;
    pub fn SET_VECTOR_ELT(x: SEXP, i: R_xlen_t, v: SEXP) -> SEXP;
    pub fn PRINTNAME(x: SEXP) -> SEXP;
    pub fn R_CHAR(x: SEXP) -> *const c_char;
    pub fn Rf_setAttrib(x: SEXP, name: SEXP, value: SEXP) -> SEXP;
    pub fn Rf_getAttrib(x: SEXP, name: SEXP) -> SEXP;
    pub fn R_do_slot_assign(x: SEXP, name: SEXP, value: SEXP) -> SEXP;
    pub fn Rf_allocS4Object() -> SEXP;
    pub fn Rf_allocList(n: c_int) -> SEXP;
    pub fn Rf_inherits(x: SEXP, class: *const c_char) -> c_int;
    pub fn Rf_installTrChar(name: SEXP) -> SEXP;
    pub fn R_lsInternal3(env: SEXP, all: c_int, sorted: c_int) -> SEXP;
    pub fn Rf_findVarInFrame(env: SEXP, name: SEXP) -> SEXP;
    pub fn Rf_defineVar(name: SEXP, value: SEXP, env: SEXP);
    pub fn R_BindingIsActive(name: SEXP, env: SEXP) -> c_int;
    pub fn R_BindingIsLocked(name: SEXP, env: SEXP) -> c_int;
    pub fn R_LockBinding(name: SEXP, env: SEXP);
    pub fn R_unLockBinding(name: SEXP, env: SEXP);
    pub fn R_IsPackageEnv(env: SEXP) -> c_int;
    pub fn R_IsNamespaceEnv(env: SEXP) -> c_int;
    pub fn Rf_type2char(kind: SexpType) -> *const c_char;
    pub fn Rf_asS4(x: SEXP, yes: c_int, complete: c_int) -> SEXP;
    pub fn Rf_copyMostAttrib(from: SEXP, to: SEXP);
    pub fn SHALLOW_DUPLICATE_ATTRIB(to: SEXP, from: SEXP);
    pub fn Rf_shallow_duplicate(x: SEXP) -> SEXP;
    pub fn Rf_GetOption1(name: SEXP) -> SEXP;
    pub fn R_RegisterCCallable(package: *const c_char, name: *const c_char, function: *const c_void);
    pub fn R_GetCCallable(package: *const c_char, name: *const c_char) -> *const c_void;
    pub fn R_alloc(n: usize, size: c_int) -> *mut c_char;
    pub fn R_MakeWeakRef(key: SEXP, value: SEXP, finalizer: SEXP, on_exit: c_int) -> SEXP;
    pub fn R_WeakRefKey(x: SEXP) -> SEXP;
    pub fn R_CheckUserInterrupt();
    pub fn Rprintf(format: *const c_char, ...);
    pub fn R_CheckStack2(bytes: usize);
    pub fn R_MakeExternalPtr(p: *mut c_void, tag: SEXP, protect: SEXP) -> SEXP;
    pub fn R_RegisterCFinalizerEx(x: SEXP, fun: unsafe extern "C-unwind" fn(SEXP), on_exit: c_int);
    pub fn R_new_altrep(class: R_altrep_class_t, data1: SEXP, data2: SEXP) -> SEXP;
    pub fn Rf_ScalarInteger(x: c_int) -> SEXP;
    pub fn Rf_ScalarString(x: SEXP) -> SEXP;
    pub fn Rf_ScalarReal(x: f64) -> SEXP;
    pub fn Rf_ScalarLogical(x: c_int) -> SEXP;
    pub fn R_ParseEvalString(text: *const c_char, env: SEXP) -> SEXP;
    pub fn R_FindNamespace(name: SEXP) -> SEXP;
    pub fn LENGTH(x: SEXP) -> c_int;
    pub fn Rf_getCharCE(x: SEXP) -> c_int;
    pub fn STRING_PTR(x: SEXP) -> *mut SEXP;
    pub fn DATAPTR_RO(x: SEXP) -> *const c_void;
    pub fn DATAPTR_OR_NULL(x: SEXP) -> *const c_void;
    pub fn INTEGER(x: SEXP) -> *mut c_int;
    pub fn LOGICAL(x: SEXP) -> *mut c_int;
    pub fn REAL(x: SEXP) -> *mut f64;
    pub fn COMPLEX(x: SEXP) -> *mut Rcomplex;
    pub fn RAW(x: SEXP) -> *mut u8;
    pub fn INTEGER_ELT(x: SEXP, i: R_xlen_t) -> c_int;
    pub fn REAL_ELT(x: SEXP, i: R_xlen_t) -> f64;
    pub fn INTEGER_GET_REGION(x: SEXP, i: R_xlen_t, n: R_xlen_t, buffer: *mut c_int) -> R_xlen_t;
    pub fn LOGICAL_GET_REGION(x: SEXP, i: R_xlen_t, n: R_xlen_t, buffer: *mut c_int) -> R_xlen_t;
    pub fn REAL_GET_REGION(x: SEXP, i: R_xlen_t, n: R_xlen_t, buffer: *mut f64) -> R_xlen_t;
    pub fn COMPLEX_GET_REGION(x: SEXP, i: R_xlen_t, n: R_xlen_t, buffer: *mut Rcomplex) -> R_xlen_t;
    pub fn RAW_GET_REGION(x: SEXP, i: R_xlen_t, n: R_xlen_t, buffer: *mut u8) -> R_xlen_t;
    pub fn INTEGER_IS_SORTED(x: SEXP) -> c_int;
    pub fn REAL_IS_SORTED(x: SEXP) -> c_int;
    pub fn INTEGER_NO_NA(x: SEXP) -> c_int;
    pub fn REAL_NO_NA(x: SEXP) -> c_int;
}

/// `UNKNOWN_SORTEDNESS` of Rinternals.h: INT_MIN.
pub const UNKNOWN_SORTEDNESS: c_int = c_int::MIN;
pub const CE_NATIVE: c_int = 0;
pub const CE_UTF8: c_int = 1;
pub const CE_LATIN1: c_int = 2;
pub const CE_BYTES: c_int = 3;
