//! One walk over a value and all that is in it: what share(), unshare() and is.shared() ask before they do anything.
//!
//! - Environments are entered once each, after the value they were met in: a graph with cycles needs no recursion.
//! - An environment that is a value is entered alone; those of a function up to where they are no more the function's ([`Stops`]).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use cowshed_core::DEEPEST;

use crate::attributes;
use crate::boundary::{R, Result, call};
use crate::cells;
use crate::environment::{self, Place, Stops};
use crate::proxies;
use crate::sexp::Sexp;
use crate::sys::{self, SEXP};

/// How far a walk goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    pub(crate) attributes: Attributes,
    /// Into environments, and through functions into theirs.
    pub(crate) environments: bool,
    /// Into calls and expressions.
    pub(crate) language: bool,
    /// What lies deeper than a segment can hold counts as found: share() has its own error for it.
    pub(crate) shallow: bool,
}

/// Which attributes count. The slots of an S4 object always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attributes {
    None,
    /// Those that share() replaces.
    Sharable,
    All,
}

/// What to do about a value that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Look into it.
    Into,
    /// Go on without.
    Past,
    /// Found: the walk is over.
    Stop,
}

/// Whether `visit`, which sees `x` and every value in it, says [`Step::Stop`] of one.
pub(crate) fn any(r: R, x: Sexp, reach: Reach, mut visit: impl FnMut(Sexp) -> Result<Step>) -> Result<bool> {
    Walk { r, reach, depth: 0, stops: None, met: HashSet::new(), waiting: Vec::new(), visit: &mut visit }.run(x)
}

/// All environments in `x`, those of functions included, in which something may be changed in place.
pub(crate) fn environments(r: R, x: Sexp) -> Result<Vec<Sexp>> {
    let reach = Reach { attributes: Attributes::All, environments: true, language: true, shallow: false };
    let visit = &mut |_| Ok(Step::Into);
    let mut walk = Walk { r, reach, depth: 0, stops: None, met: HashSet::new(), waiting: Vec::new(), visit };
    walk.run(x)?;
    Ok(walk.met.into_iter().map(Sexp).collect())
}

/// What stands in an environment: its bindings, and those of its attributes that count.
pub(crate) fn places(r: R, env: Sexp, which: Attributes) -> Result<Vec<(Place, Sexp)>> {
    let mut places = environment::bindings(r, env)?;
    for cell in attributes::cells(env) {
        // SAFETY: a cell of a pairlist.
        let (name, value) = unsafe { (sys::TAG(cell), Sexp(sys::CAR(cell))) };
        if counts(r, env, name, value, which)? {
            places.push((Place::Cell(cell), value));
        }
    }
    Ok(places)
}

fn counts(r: R, x: Sexp, name: SEXP, value: Sexp, which: Attributes) -> Result<bool> {
    match which {
        Attributes::All => Ok(true),
        Attributes::None if !x.is_s4() => Ok(false),
        Attributes::None | Attributes::Sharable => attributes::is_sharable(r, x, name, value),
    }
}

thread_local! {
    /// What R said of a class, by its name and its package's: a class does not become a part of the object system later, and R takes 4 us to say so.
    static MACHINERY: RefCell<HashMap<Vec<u8>, bool>> = RefCell::default();
}

/// Whether it is a part of R's object system, such as every reference object carries: nothing that share() would touch.
pub(crate) fn is_machinery(r: R, x: Sexp) -> Result<bool> {
    let part = match x.kind() {
        sys::S4SXP => c"classRepresentation",
        sys::CLOSXP => c"genericFunction",
        _ => return Ok(false),
    };
    if !x.is_s4() {
        return Ok(false);
    }
    let class = class_and_package(r, x)?;
    if let Some(known) = MACHINERY.with_borrow(|known| known.get(&class).copied()) {
        return Ok(known);
    }
    let is_part = x.extends(r, part)?;
    MACHINERY.with_borrow_mut(|known| known.insert(class, is_part));
    Ok(is_part)
}

fn class_and_package(r: R, x: Sexp) -> Result<Vec<u8>> {
    let mut names = proxies::class_of(r, x)?;
    let package = call(r, || {
        // SAFETY: an R object, and symbols; what the attribute holds lives as long as the object.
        unsafe {
            let class = sys::Rf_getAttrib(x.0, sys::R_ClassSymbol);
            Sexp(sys::Rf_getAttrib(class, sys::Rf_install(c"package".as_ptr())))
        }
    })?;
    names.extend(package.text(r)?.unwrap_or_default().into_bytes());
    Ok(names)
}

struct Walk<'a> {
    r: R,
    reach: Reach,
    depth: usize,
    stops: Option<Stops>,
    met: HashSet<SEXP>,
    waiting: Vec<Sexp>,
    visit: &'a mut dyn FnMut(Sexp) -> Result<Step>,
}

impl Walk<'_> {
    fn run(&mut self, x: Sexp) -> Result<bool> {
        if self.value(x)? {
            return Ok(true);
        }
        while let Some(env) = self.waiting.pop() {
            for (_, value) in places(self.r, env, self.reach.attributes)? {
                if self.value(value)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn value(&mut self, x: Sexp) -> Result<bool> {
        if self.reach.shallow && self.depth == DEEPEST {
            return Ok(true);
        }
        self.depth += 1;
        let found = self.here_or_within(x)?;
        self.depth -= 1;
        Ok(found)
    }

    fn here_or_within(&mut self, x: Sexp) -> Result<bool> {
        match (self.visit)(x)? {
            Step::Stop => return Ok(true),
            Step::Past => return Ok(false),
            Step::Into => {}
        }
        if is_machinery(self.r, x)? {
            return Ok(false);
        }
        let Reach { environments, language, .. } = self.reach;
        let found = match x.kind() {
            sys::VECSXP => self.elements(x)?,
            sys::LISTSXP => self.cells(x)?,
            sys::EXPRSXP if language => self.elements(x)?,
            sys::LANGSXP if language => self.cells(x)?,
            sys::CLOSXP if environments => self.wait_for(x, true)?,
            // Its attributes are a part of it.
            sys::ENVSXP => return if environments { self.wait_for(x, false) } else { Ok(false) },
            _ => false,
        };
        Ok(found || self.attributes(x)?)
    }

    fn elements(&mut self, x: Sexp) -> Result<bool> {
        let r = self.r;
        r.check_stack()?;
        for i in 0..x.len(r)? {
            if r.scope(|| self.value(x.element(r, i)?))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn cells(&mut self, x: Sexp) -> Result<bool> {
        self.r.check_stack()?;
        for value in cells::values(x) {
            if self.value(value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn attributes(&mut self, x: Sexp) -> Result<bool> {
        if self.reach.attributes == Attributes::None && !x.is_s4() {
            return Ok(false);
        }
        for (name, value) in attributes::values(x) {
            if counts(self.r, x, name, value, self.reach.attributes)? {
                self.r.check_stack()?;
                if self.value(value)? {
                    return Ok(true);
                }
                if x.kind() == sys::LANGSXP && value.kind() == sys::ENVSXP && self.reach.environments {
                    // A formula's environment is to it what a function's is.
                    self.wait_for(value, true)?;
                }
            }
        }
        Ok(false)
    }

    /// Queues an environment or those of a function; `outwards` with its parents. Nothing is found by that.
    fn wait_for(&mut self, x: Sexp, outwards: bool) -> Result<bool> {
        let (r, stops) = (self.r, self.stops.get_or_insert_with(Stops::new));
        let environments = if x.kind() == sys::CLOSXP {
            stops.enclosures(r, x)?
        } else if outwards {
            stops.outwards(r, x)?
        } else if stops.has(r, x)? {
            Vec::new()
        } else {
            vec![x]
        };
        for env in environments {
            if self.met.insert(env.0) {
                self.waiting.push(env);
            }
        }
        Ok(false)
    }
}
