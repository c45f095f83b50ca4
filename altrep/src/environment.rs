//! Environments, as far as C code can look into them without running anything: their bindings, parents, and where a walk over them stops.
//!
//! - An active binding is never called, an unforced promise never forced: neither is a [`Place`].
//! - A forced promise, also one in `...`, is the place of its value.
//! - A lock on a binding is opened to put an equal value there, and closed again.

use std::collections::HashSet;
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::attributes;
use crate::boundary::{R, Result, call};
use crate::sexp::Sexp;
use crate::symbols;
use crate::sys::{self, R_xlen_t, SEXP};

/// A function of R's that takes an object and gives one. R 4.5 has new names for two of them and means to hide the old ones.
struct Getter(AtomicPtr<()>);

static PARENT: Getter = Getter(AtomicPtr::new(null_mut()));
static ENCLOSURE: Getter = Getter(AtomicPtr::new(null_mut()));
static PROMISED: Getter = Getter(AtomicPtr::new(null_mut()));

impl Getter {
    fn look_up(&self, names: &[&CStr]) {
        for name in names {
            let found = sys::find(name);
            if !found.is_null() {
                self.0.store(found.cast(), Ordering::Relaxed);
                return;
            }
        }
    }

    /// What it gives; `unknown` if this R does not have it.
    ///
    /// # Safety
    /// `x` is of the type that the function takes.
    unsafe fn get(&self, x: SEXP, unknown: SEXP) -> SEXP {
        let function = self.0.load(Ordering::Relaxed);
        if function.is_null() {
            return unknown;
        }
        // SAFETY: R's function, which takes an object and gives one.
        let function = unsafe { std::mem::transmute::<*mut (), unsafe extern "C" fn(SEXP) -> SEXP>(function) };
        // SAFETY: the caller's; it only reads a field.
        unsafe { function(x) }
    }
}

pub(crate) fn init() {
    PARENT.look_up(&[c"R_ParentEnv", c"ENCLOS"]);
    ENCLOSURE.look_up(&[c"R_ClosureEnv", c"CLOENV"]);
    PROMISED.look_up(&[c"PRVALUE"]);
}

fn parent(env: SEXP) -> SEXP {
    // SAFETY: an environment; a constant of R's.
    unsafe { PARENT.get(env, sys::R_EmptyEnv) }
}

/// The environments that no walk enters: the search path with the global and the base environment, packages, namespaces and their imports, the
/// empty environment; what C code of a package stands behind; and the source text of functions.
pub(crate) struct Stops(HashSet<SEXP>);

impl Stops {
    pub(crate) fn new() -> Stops {
        let mut stops = HashSet::new();
        // SAFETY: constants of R's.
        let (mut env, empty, base) = unsafe { (sys::R_GlobalEnv, sys::R_EmptyEnv, sys::R_BaseNamespace) };
        while env != empty {
            stops.insert(env);
            env = parent(env);
        }
        stops.extend([empty, base]);
        Stops(stops)
    }

    pub(crate) fn has(&self, r: R, env: Sexp) -> Result<bool> {
        if self.0.contains(&env.0) {
            return Ok(true);
        }
        // SAFETY: an environment.
        if call(r, || unsafe { sys::R_IsNamespaceEnv(env.0) != 0 || sys::R_IsPackageEnv(env.0) != 0 })? {
            return Ok(true);
        }
        Ok(env.inherits(r, c"srcfile")? || env.inherits(r, c"UserDefinedDatabase")? || is_imports(r, env)?)
    }

    /// The environments of a closure: its own and the parents of that, up to a stop.
    pub(crate) fn enclosures(&self, r: R, closure: Sexp) -> Result<Vec<Sexp>> {
        // SAFETY: a closure; a constant of R's.
        let env = unsafe { ENCLOSURE.get(closure.0, sys::R_EmptyEnv) };
        self.outwards(r, Sexp(env))
    }

    /// An environment and its parents, up to a stop.
    pub(crate) fn outwards(&self, r: R, env: Sexp) -> Result<Vec<Sexp>> {
        let mut all = Vec::new();
        let mut env = env;
        while env.kind() == sys::ENVSXP && !self.has(r, env)? {
            all.push(env);
            env = Sexp(parent(env.0));
        }
        Ok(all)
    }
}

/// Whether it holds what a namespace imports.
fn is_imports(r: R, env: Sexp) -> Result<bool> {
    for (name, value) in attributes::values(env) {
        // SAFETY: a symbol's name is a C string.
        let name = unsafe { CStr::from_ptr(sys::R_CHAR(sys::PRINTNAME(name))) };
        if name == c"name" && value.text(r)?.is_some_and(|text| text.starts_with("imports:")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where a value stands that may be replaced in place by an equal one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Binding {
        env: SEXP,
        name: SEXP,
    },
    /// Of a pairlist that belongs to an environment: its attributes, or its `...`.
    Cell(SEXP),
}

impl Place {
    /// Puts `value` there, through a lock.
    pub(crate) fn set(self, r: R, value: Sexp) -> Result<()> {
        match self {
            Place::Binding { env, name } => call(r, || {
                // SAFETY: an environment that has the binding, which is not active: R has nothing to complain of between the locks.
                unsafe {
                    let locked = sys::R_BindingIsLocked(name, env) != 0;
                    if locked {
                        sys::R_unLockBinding(name, env);
                    }
                    sys::Rf_defineVar(name, value.0, env);
                    if locked {
                        sys::R_LockBinding(name, env);
                    }
                }
            }),
            // SAFETY: a cell.
            Place::Cell(cell) => call(r, || unsafe { sys::SETCAR(cell, value.0) }).map(drop),
        }
    }
}

/// The places of the bindings of `env`, and what is there. The values stay as long as they are bound.
pub(crate) fn bindings(r: R, env: Sexp) -> Result<Vec<(Place, Sexp)>> {
    let mut places = Vec::new();
    each_binding(r, env, false, |name, value| {
        let Some(value) = value else { return Ok(()) };
        if value.kind() == sys::DOTSXP {
            places.extend(dots(value));
        } else {
            places.push((Place::Binding { env: env.0, name }, value));
        }
        Ok(())
    })?;
    Ok(places)
}

/// Calls `each` with the name and the value of each binding, in the order of their names if `sorted`. There is no value where looking would run
/// something, and none for an argument that is missing.
fn each_binding(r: R, env: Sexp, sorted: bool, mut each: impl FnMut(SEXP, Option<Sexp>) -> Result<()>) -> Result<()> {
    r.scope(|| {
        // SAFETY: an environment.
        let names = call(r, || unsafe { sys::R_lsInternal3(env.0, 1, sorted.into()) })?;
        r.keep(names)?;
        for i in 0..Sexp(names).len(r)? {
            r.scope(|| {
                // SAFETY: within its length.
                let name = call(r, || unsafe { sys::Rf_installTrChar(sys::STRING_ELT(names, i as R_xlen_t)) })?;
                each(name, bound(r, env, name)?)
            })?;
        }
        Ok(())
    })
}

fn bound(r: R, env: Sexp, name: SEXP) -> Result<Option<Sexp>> {
    // SAFETY: an environment that has the binding.
    if call(r, || unsafe { sys::R_BindingIsActive(name, env.0) })? != 0 {
        return Ok(None);
    }
    // SAFETY: as above; not active, so nothing runs.
    let value = call(r, || unsafe { sys::Rf_findVarInFrame(env.0, name) })?;
    r.keep(value)?;
    Ok(settled(value))
}

/// A value as it is seen from R: that of a promise, if it was forced.
fn settled(value: SEXP) -> Option<Sexp> {
    // SAFETY: constants of R's.
    let (unbound, missing) = unsafe { (sys::R_UnboundValue, sys::R_MissingArg) };
    let value = match Sexp(value).kind() {
        // SAFETY: a promise.
        sys::PROMSXP => unsafe { PROMISED.get(value, unbound) },
        _ => value,
    };
    (value != unbound && value != missing).then_some(Sexp(value))
}

/// The places of the arguments in `...`.
fn dots(dots: Sexp) -> impl Iterator<Item = (Place, Sexp)> {
    let cells = std::iter::successors(Some(dots.0), |cell| {
        // SAFETY: a cell of a pairlist.
        Some(unsafe { sys::CDR(*cell) })
    });
    // SAFETY: a constant of R's.
    let end = unsafe { sys::R_NilValue };
    cells.take_while(move |cell| *cell != end).filter_map(|cell| {
        // SAFETY: as above.
        let value = settled(unsafe { sys::CAR(cell) })?;
        // R evaluates what stands here when the argument is used: it must be a value that stays what it is.
        let stays = matches!(value.kind(), sys::LGLSXP..=sys::RAWSXP | sys::S4SXP | sys::ENVSXP | sys::CLOSXP)
            && value.kind() != sys::DOTSXP;
        stays.then_some((Place::Cell(cell), value))
    })
}

/// The bindings of an environment as a list with their names, sorted: NULL for an active binding, for a promise that was not forced, for `...` and for
/// what is missing. `None` if `x` is no environment, or one that share() leaves alone.
///
/// # Errors
/// Out of memory.
pub fn listed(r: R, x: Sexp) -> Result<Option<Sexp>> {
    if x.kind() != sys::ENVSXP || Stops::new().has(r, x)? {
        return Ok(None);
    }
    let mut found = Vec::new();
    each_binding(r, x, true, |name, value| {
        found.push((name, value.filter(|value| value.kind() != sys::DOTSXP)));
        Ok(())
    })?;
    let list = r.list(found.len(), |i| Ok(found[i].1.unwrap_or(Sexp::null())))?;
    let names = symbols::strings(r, found.iter().map(|(name, _)| *name))?;
    // SAFETY: names of the right number.
    call(r, || unsafe { sys::Rf_setAttrib(list.0, sys::Rf_install(c"names".as_ptr()), names.0) })?;
    Ok(Some(list))
}
