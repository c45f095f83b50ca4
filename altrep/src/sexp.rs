//! R values for safe code: what strategies outside this crate are written with.

use std::ffi::{CStr, CString};

use crate::boundary::{R, Result, call};
use crate::element::{Double, plain};
use crate::sys::{self, R_xlen_t, SEXP, SexpType};

/// Levels of a walk that a look at the stack is good for.
pub(crate) const LEVELS: usize = 8;

/// An R value.
///
/// - Whatever this crate hands out as one is protected until the call from R that it happened in returns, or is part of something that is.
/// - Copying one copies the handle, as R's own variables do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sexp(pub(crate) SEXP);

impl Sexp {
    /// R's NULL.
    pub fn null() -> Sexp {
        // SAFETY: a constant of R's.
        Sexp(unsafe { sys::R_NilValue })
    }

    /// R's empty symbol: an argument without a default.
    pub(crate) fn missing_argument() -> Sexp {
        // SAFETY: a constant of R's.
        Sexp(unsafe { sys::R_MissingArg })
    }

    /// R's number of its type, as `SEXPTYPE` in Rinternals.h.
    pub fn kind(self) -> SexpType {
        // SAFETY: an R object.
        unsafe { sys::TYPEOF(self.0) as SexpType }
    }

    /// Whether it is a vector, lists included.
    pub(crate) fn is_vector(self) -> bool {
        matches!(
            self.kind(),
            sys::LGLSXP | sys::INTSXP | sys::REALSXP | sys::CPLXSXP | sys::STRSXP | sys::RAWSXP | sys::VECSXP
        )
    }

    /// Whether it is NULL.
    pub fn is_null(self) -> bool {
        self == Self::null()
    }

    /// Its length in elements; 1 for what has none.
    ///
    /// # Errors
    /// Those of another package's ALTREP.
    pub fn len(self, r: R) -> Result<usize> {
        if !self.is_altrep() {
            // SAFETY: an R object; nothing can fail.
            return Ok(unsafe { sys::Rf_xlength(self.0) } as usize);
        }
        // SAFETY: an R object.
        call(r, || unsafe { sys::Rf_xlength(self.0) } as usize)
    }

    /// Element `i` of a list or expression vector; `i` must be below its length.
    ///
    /// # Errors
    /// Those of another package's ALTREP.
    pub fn element(self, r: R, i: usize) -> Result<Sexp> {
        assert!(
            matches!(self.kind(), sys::VECSXP | sys::EXPRSXP) && i < self.len(r)?,
            "element {i} of a list that has no such element"
        );
        if !self.is_altrep() {
            // SAFETY: a list that has it, and keeps it.
            return Ok(Sexp(unsafe { sys::VECTOR_ELT(self.0, i as R_xlen_t) }));
        }
        // SAFETY: a list that has it.
        let element = call(r, || unsafe { sys::VECTOR_ELT(self.0, i as R_xlen_t) })?;
        // An ALTLIST may have made it just now.
        r.keep(element).map(Sexp)
    }

    /// An argument that R passed.
    ///
    /// # Safety
    /// `x` is an R object that stays protected while the handle is used.
    pub unsafe fn from_r(x: SEXP) -> Sexp {
        Sexp(x)
    }

    /// For R to return.
    pub fn into_r(self) -> SEXP {
        self.0
    }

    /// TRUE or FALSE; `None` for anything else.
    ///
    /// # Errors
    /// Those of another package's ALTREP.
    pub fn as_flag(self, r: R) -> Result<Option<bool>> {
        if self.kind() != sys::LGLSXP || self.len(r)? != 1 {
            return Ok(None);
        }
        // SAFETY: a logical vector of one element.
        let value = call(r, || unsafe { *sys::LOGICAL(self.0) })?;
        Ok((value != i32::MIN).then_some(value != 0))
    }

    /// One integer or double that is not NA; `None` for anything else.
    ///
    /// # Errors
    /// Those of another package's ALTREP.
    pub fn as_number(self, r: R) -> Result<Option<f64>> {
        if !matches!(self.kind(), sys::INTSXP | sys::REALSXP) || self.len(r)? != 1 {
            return Ok(None);
        }
        let value = match self.kind() {
            // SAFETY: one element.
            sys::INTSXP => f64::from(call(r, || unsafe { sys::INTEGER_ELT(self.0, 0) })?),
            // SAFETY: as above.
            _ => call(r, || unsafe { sys::REAL_ELT(self.0, 0) })?,
        };
        let missing = value.is_nan() || (self.kind() == sys::INTSXP && value == f64::from(i32::MIN));
        Ok((!missing).then_some(value))
    }

    /// As a message about a wrong argument shows it: a single value itself, else class and length.
    pub fn shown(self, r: R) -> String {
        // SAFETY: an R object.
        let bare = unsafe { sys::OBJECT(self.0) } == 0;
        if bare
            && matches!(self.kind(), sys::LGLSXP | sys::INTSXP | sys::REALSXP | sys::STRSXP)
            && self.len(r).ok() == Some(1)
        {
            let code = r.base(c"deparse", self).and_then(|code| code.strings(r)).unwrap_or_default().concat();
            if (1..=60).contains(&code.len()) {
                return code;
            }
        }
        let class = self.class(r).unwrap_or_default();
        let len = self.len(r).unwrap_or_default();
        format!("an object of class {class} and length {len}")
    }

    /// Its class as a message shows it: `<a, b>`.
    pub(crate) fn class(self, r: R) -> Result<String> {
        let class = r.base(c"class", self)?;
        Ok(format!("<{}>", class.strings(r)?.join(", ")))
    }

    /// Whether this is one of the strings of its class attribute; S4's classes extend others without having them there.
    pub(crate) fn inherits(self, r: R, class: &CStr) -> Result<bool> {
        // SAFETY: an R object and a C string.
        Ok(call(r, || unsafe { sys::Rf_inherits(self.0, class.as_ptr()) })? != 0)
    }

    /// Whether it is an S4 object of this class, or of one that extends it.
    pub(crate) fn extends(self, r: R, class: &CStr) -> Result<bool> {
        if !self.is_s4() {
            return Ok(false);
        }
        r.scope(|| {
            let value = call(r, || {
                // SAFETY: all is protected while it is needed; a jump restores the protect stack.
                unsafe {
                    let class = sys::Rf_protect(sys::Rf_mkString(class.as_ptr()));
                    let arguments = sys::Rf_protect(sys::Rf_cons(class, sys::R_NilValue));
                    let arguments = sys::Rf_protect(sys::Rf_cons(quoted(self.0), arguments));
                    let expression = sys::Rf_protect(sys::Rf_lcons(sys::Rf_install(c"inherits".as_ptr()), arguments));
                    let value = sys::Rf_eval(expression, sys::R_BaseEnv);
                    sys::Rf_unprotect(4);
                    value
                }
            })?;
            r.keep(value)?;
            Ok(Sexp(value).as_flag(r)? == Some(true))
        })
    }

    /// Whether it is the symbol that a slot holds in place of NULL.
    pub(crate) fn is_null_of_s4(self) -> bool {
        // SAFETY: a symbol's name is a C string.
        self.kind() == sys::SYMSXP && unsafe { CStr::from_ptr(sys::R_CHAR(sys::PRINTNAME(self.0))) } == c"\x01NULL\x01"
    }

    /// Whether it has a class of its own, by an attribute.
    pub fn is_object(self) -> bool {
        // SAFETY: an R object.
        unsafe { sys::OBJECT(self.0) != 0 }
    }

    /// Whether it is an S4 object.
    pub fn is_s4(self) -> bool {
        // SAFETY: an R object.
        unsafe { sys::IS_S4_OBJECT(self.0) != 0 }
    }

    /// Whether it is an alternative representation, of whichever package.
    pub fn is_altrep(self) -> bool {
        // SAFETY: an R object.
        unsafe { sys::ALTREP(self.0) != 0 }
    }

    /// The one string of a character vector; `None` for NA, and for anything else.
    ///
    /// # Errors
    /// Those of another package's ALTREP, or a string that cannot be translated.
    pub fn text(self, r: R) -> Result<Option<String>> {
        if self.kind() != sys::STRSXP || self.len(r)? != 1 {
            return Ok(None);
        }
        // SAFETY: within its length.
        let element = call(r, || unsafe { sys::STRING_ELT(self.0, 0) })?;
        // SAFETY: a constant of R's.
        let missing = element == unsafe { libR_sys::R_NaString };
        if missing { Ok(None) } else { Ok(self.strings(r)?.pop()) }
    }

    /// The strings of a character vector; nothing of any other.
    ///
    /// # Errors
    /// A string that cannot be translated.
    pub fn strings(self, r: R) -> Result<Vec<String>> {
        if self.kind() != sys::STRSXP {
            return Ok(Vec::new());
        }
        (0..self.len(r)?)
            .map(|i| {
                // SAFETY: within its length; the translation lives until R's .Call ends.
                let text = call(r, || unsafe { sys::Rf_translateCharUTF8(sys::STRING_ELT(self.0, i as R_xlen_t)) })?;
                // SAFETY: a C string.
                Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
            })
            .collect()
    }
}

impl R {
    /// Calls a function of base R with one argument.
    pub(crate) fn base(self, function: &CStr, argument: Sexp) -> Result<Sexp> {
        let value = call(self, || {
            // SAFETY: the call is protected while it is evaluated; a jump restores the protect stack.
            unsafe {
                let arguments = sys::Rf_cons(quoted(argument.0), sys::R_NilValue);
                let expression = sys::Rf_protect(sys::Rf_lcons(sys::Rf_install(function.as_ptr()), arguments));
                let value = sys::Rf_eval(expression, sys::R_BaseEnv);
                sys::Rf_unprotect(1);
                value
            }
        })?;
        self.keep(value).map(Sexp)
    }

    /// Sees to it that the stack holds another [`LEVELS`] levels of a walk, with R's functions below it.
    pub(crate) fn check_stack(self) -> Result<()> {
        // SAFETY: raises R's own error about the C stack, which `call` catches.
        call(self, || unsafe { sys::R_CheckStack2(LEVELS * (32 << 10)) })
    }

    /// Prints text, as R prints.
    ///
    /// # Errors
    /// Those of whoever R prints to.
    pub fn print(self, text: &str) -> Result<()> {
        let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
        let text = text.as_ptr();
        // SAFETY: a C string, printed as one; `call` catches what R raises.
        call(self, || unsafe { sys::Rprintf(c"%s".as_ptr(), text) })
    }

    /// TRUE or FALSE.
    ///
    /// # Errors
    /// Out of memory.
    pub fn logical(self, value: bool) -> Result<Sexp> {
        // SAFETY: allocation.
        self.keep(call(self, || unsafe { sys::Rf_ScalarLogical(value.into()) })?).map(Sexp)
    }

    /// One integer.
    ///
    /// # Errors
    /// Out of memory.
    pub fn integer(self, value: i32) -> Result<Sexp> {
        // SAFETY: allocation.
        self.keep(call(self, || unsafe { sys::Rf_ScalarInteger(value) })?).map(Sexp)
    }

    /// One double.
    ///
    /// # Errors
    /// Out of memory.
    pub fn number(self, value: f64) -> Result<Sexp> {
        self.numbers(1, |_| value)
    }

    /// A double vector.
    ///
    /// # Errors
    /// Out of memory.
    pub fn numbers(self, n: usize, value: impl Fn(usize) -> f64) -> Result<Sexp> {
        // SAFETY: the new vector has `n` elements.
        plain::<Double>(self, n, |out| (0..n).for_each(|i| unsafe { *out.add(i) = value(i) })).map(Sexp)
    }

    /// One string.
    ///
    /// # Errors
    /// Out of memory.
    pub fn string(self, value: &str) -> Result<Sexp> {
        self.strings(1, |_| value.to_owned())
    }

    /// `NA_character_`.
    ///
    /// # Errors
    /// Out of memory.
    pub fn missing_string(self) -> Result<Sexp> {
        // SAFETY: allocation, and a constant of R's.
        self.keep(call(self, || unsafe { sys::Rf_ScalarString(libR_sys::R_NaString) })?).map(Sexp)
    }

    /// A character vector.
    ///
    /// # Errors
    /// Out of memory.
    pub fn strings(self, n: usize, value: impl Fn(usize) -> String) -> Result<Sexp> {
        // SAFETY: allocation.
        let strings = call(self, || unsafe { sys::Rf_allocVector(sys::STRSXP, n as R_xlen_t) })?;
        self.keep(strings)?;
        for i in 0..n {
            let text = value(i);
            let (start, len) = (text.as_ptr().cast(), text.len() as i32);
            // SAFETY: pointer and length are the string's own, which outlives the call.
            call(self, || unsafe {
                sys::SET_STRING_ELT(strings, i as R_xlen_t, sys::Rf_mkCharLenCE(start, len, sys::CE_UTF8));
            })?;
        }
        Ok(Sexp(strings))
    }

    /// A list of `n` elements, each made by `element` and let go of once it is in the list.
    ///
    /// # Errors
    /// Those of `element`, or out of memory.
    pub fn list(self, n: usize, mut element: impl FnMut(usize) -> Result<Sexp>) -> Result<Sexp> {
        // SAFETY: allocation.
        let list = call(self, || unsafe { sys::Rf_allocVector(sys::VECSXP, n as R_xlen_t) })?;
        self.keep(list)?;
        for i in 0..n {
            self.set_element(Sexp(list), i, || element(i))?;
        }
        Ok(Sexp(list))
    }

    /// A list with names.
    ///
    /// # Errors
    /// As [`R::list`].
    pub fn named_list(self, names: &[&str], element: impl FnMut(usize) -> Result<Sexp>) -> Result<Sexp> {
        let list = self.list(names.len(), element)?;
        let names = self.strings(names.len(), |i| names[i].to_owned())?;
        // SAFETY: names of the right number.
        call(self, || unsafe { sys::Rf_setAttrib(list.0, sys::Rf_install(c"names".as_ptr()), names.0) })?;
        Ok(list)
    }

    /// A copy of `list` whose elements, attributes included, are the same objects.
    ///
    /// # Errors
    /// Out of memory.
    pub fn shallow_duplicate(self, list: Sexp) -> Result<Sexp> {
        // SAFETY: an R object.
        let copy = call(self, || unsafe { sys::Rf_shallow_duplicate(list.0) })?;
        self.keep(copy).map(Sexp)
    }

    /// An S4 object without slots.
    ///
    /// # Errors
    /// Out of memory.
    pub fn s4(self) -> Result<Sexp> {
        // SAFETY: allocation.
        let object = call(self, || unsafe { sys::Rf_allocS4Object() })?;
        self.keep(object).map(Sexp)
    }

    /// Puts what `element` makes at place `i` of a list that nobody else has yet.
    ///
    /// # Errors
    /// Those of `element`.
    pub fn set_element(self, list: Sexp, i: usize, element: impl FnOnce() -> Result<Sexp>) -> Result<()> {
        self.scope(|| {
            let value = element()?;
            assert!(
                list.kind() == sys::VECSXP && !list.is_altrep() && i < list.len(self)?,
                "no place {i} to set in a list"
            );
            // SAFETY: a plain list that has the place; nothing can fail.
            unsafe { sys::SET_VECTOR_ELT(list.0, i as R_xlen_t, value.0) };
            Ok(())
        })
    }
}

/// Calls an R function.
pub(crate) fn run(r: R, function: SEXP, arguments: &[Sexp]) -> Result<Sexp> {
    let value = call(r, || {
        // SAFETY: all is protected while it is needed; a jump restores the protect stack.
        unsafe {
            let mut list = sys::Rf_protect(sys::R_NilValue);
            for argument in arguments.iter().rev() {
                list = sys::Rf_cons(quoted(argument.0), list);
                sys::Rf_unprotect(1);
                sys::Rf_protect(list);
            }
            let expression = sys::Rf_protect(sys::Rf_lcons(function, list));
            let value = sys::Rf_eval(expression, sys::R_GlobalEnv);
            sys::Rf_unprotect(2);
            value
        }
    })?;
    r.keep(value).map(Sexp)
}

/// `quote(x)` for what evaluates to something else than itself. Unprotected.
pub(crate) unsafe fn quoted(x: SEXP) -> SEXP {
    const SELF_EVALUATING: std::ops::RangeInclusive<SexpType> = sys::LGLSXP..=sys::VECSXP;
    // SAFETY: an R object.
    if SELF_EVALUATING.contains(&(unsafe { sys::TYPEOF(x) } as SexpType)) {
        return x;
    }
    // SAFETY: cons protects its arguments.
    unsafe { sys::Rf_lcons(sys::Rf_install(c"quote".as_ptr()), sys::Rf_cons(x, sys::R_NilValue)) }
}
