//! Environments are shared where they are: what is bound in them is replaced by its shared stand-in, once all of it is written.
//!
//! - A strategy that meets an environment, or a function, says so with [`Session::put_off`] and writes a node without contents.
//! - After the value that share() was given, what is bound is written into the same segment, also in environments that are met meanwhile.
//! - When every stand-in is made, the bindings are set. Until then an error leaves the environments as they were.
//! - A binding in which nothing is new, being shared already or nothing that can be, stays as it is.
//!
//! `docs/decisions/environments-in-place.md` says why.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;

use cowshed_core::{Encoder, Flags, NodeId, Opener};

use crate::boundary::Result;
use crate::element::is_vector;
use crate::environment::{Place, Stops};
use crate::object::Object;
use crate::session::Session;
use crate::sexp::Sexp;
use crate::walk::{self, Attributes, Reach, Step};
use crate::{lists, registry, sys};

/// What a call of share() remembers of the environments it met.
pub(crate) struct InPlace {
    stops: OnceCell<Stops>,
    /// The flags that were asked for, rather than left to the options: a view with others is not what was wanted.
    asked: Flags,
    met: RefCell<HashSet<usize>>,
    /// Not yet looked into, and whether all that is bound there has to be shareable.
    waiting: RefCell<Vec<(Sexp, bool)>>,
    written: RefCell<Vec<(Place, Sexp, NodeId)>>,
    /// Within environments of functions nothing has to be shareable.
    lenient: Cell<bool>,
}

impl InPlace {
    pub(crate) fn new(asked: Flags) -> Self {
        InPlace {
            stops: OnceCell::new(),
            asked,
            met: RefCell::default(),
            waiting: RefCell::default(),
            written: RefCell::default(),
            lenient: Cell::new(false),
        }
    }

    pub(crate) fn asked(&self) -> Flags {
        self.asked
    }

    pub(crate) fn is_lenient(&self) -> bool {
        self.lenient.get()
    }
}

impl Session {
    /// Says that an environment, or a function with its environments, was met: what is bound there will be shared, unless it is one that share()
    /// leaves alone.
    ///
    /// # Errors
    /// Under `mustWork`: it is one of those, or a function in whose environments nothing can be shared.
    pub fn put_off(&self, x: Sexp) -> Result<()> {
        let r = self.r;
        let function = x.kind() == sys::CLOSXP;
        let must_work = self.must_work();
        if must_work && function && !self.any_new_or_shared(x)? {
            return self.refuse_opaque(x);
        }
        let Some(in_place) = self.environments() else { return Ok(()) };
        if function {
            for env in in_place.stops().enclosures(r, x)? {
                in_place.meet(env, false);
            }
        } else if in_place.stops().has(r, x)? {
            return self.refuse_opaque(x);
        } else {
            in_place.meet(x, must_work);
        }
        Ok(())
    }

    /// Whether it is a part of R's object system (the definition of a class, a generic function): nothing that a strategy should touch.
    pub fn is_machinery(&self, x: Sexp) -> bool {
        // What R cannot tell is better left alone.
        walk::is_machinery(self.r, x).unwrap_or(true)
    }

    /// Does that for every environment and function in a value that is never shared itself, such as a formula. Whether there is any, or something
    /// else that only R can send.
    pub(crate) fn put_off_within(&self, x: Sexp) -> Result<bool> {
        let reach = Reach { attributes: Attributes::All, environments: false, language: true, shallow: false };
        let mut found = false;
        self.leniently(|| {
            walk::any(self.r, x, reach, |value| {
                let structure = matches!(
                    value.kind(),
                    sys::ENVSXP | sys::CLOSXP | sys::PROMSXP | sys::EXTPTRSXP | sys::WEAKREFSXP | sys::BCODESXP
                );
                let machinery = walk::is_machinery(self.r, value)?;
                found |= structure || machinery;
                if machinery {
                    return Ok(Step::Past);
                }
                match value.kind() {
                    // Of a formula it is what a function's is to the function.
                    sys::ENVSXP => self.put_off_outwards(value)?,
                    sys::CLOSXP => self.put_off(value)?,
                    _ => {}
                }
                Ok(if structure { Step::Past } else { Step::Into })
            })
        })?;
        Ok(found)
    }

    fn put_off_outwards(&self, env: Sexp) -> Result<()> {
        let Some(in_place) = self.environments() else { return Ok(()) };
        for env in in_place.stops().outwards(self.r, env)? {
            in_place.meet(env, false);
        }
        Ok(())
    }

    /// Whether share() has anything to do for `x`, environments included.
    pub(crate) fn any_new(&self, x: Sexp) -> Result<bool> {
        walk::any(self.r, x, self.reach(true), |value| {
            Ok(if self.is_new(value)? { Step::Stop } else { self.step(value) })
        })
    }

    /// Whether there is something in a function that is shared, or can be.
    fn any_new_or_shared(&self, function: Sexp) -> Result<bool> {
        walk::any(self.r, function, Reach { language: false, ..self.reach(true) }, |value| {
            let found = Object::find(value.0).is_some() || self.is_new(value)?;
            Ok(if found { Step::Stop } else { Step::Into })
        })
    }

    fn reach(&self, environments: bool) -> Reach {
        let attributes = if self.options.shared_attributes { Attributes::Sharable } else { Attributes::None };
        // A formula's environment is in an attribute of a call.
        Reach { attributes, environments, language: true, shallow: true }
    }

    fn is_new(&self, value: Sexp) -> Result<bool> {
        Ok(is_vector(value.kind()) && value.len(self.r)? >= self.options.min_length && !self.is_settled(value))
    }

    /// Whether it is a view that share() would give back as it is.
    fn is_settled(&self, value: Sexp) -> bool {
        self.environments().is_some()
            && Object::find(value.0)
                .is_some_and(|object| object.view().is_shared() && self.are_as_asked(object.flags(), object.kind()))
    }

    fn step(&self, value: Sexp) -> Step {
        // A shared list is not opened for what may be in it.
        let list = || Object::find_list(value.0).is_some_and(|list| !lists::is_changed(list));
        if Object::find(value.0).is_some() || list() { Step::Past } else { Step::Into }
    }

    /// Writes what was put off.
    pub(crate) fn write_environments(&self, out: &mut Encoder<'_, Session>) -> Result<()> {
        let Some(in_place) = self.environments() else { return Ok(()) };
        let which = self.reach(false).attributes;
        loop {
            let Some((env, must_work)) = in_place.waiting.borrow_mut().pop() else { return Ok(()) };
            for (place, value) in walk::places(self.r, env, which)? {
                let mut write = || self.write_bound(place, value, out);
                if must_work { write()? } else { self.leniently(write)? }
            }
        }
    }

    fn write_bound(&self, place: Place, value: Sexp, out: &mut Encoder<'_, Session>) -> Result<()> {
        let Some(in_place) = self.environments() else { return Ok(()) };
        let r = self.r;
        if walk::is_machinery(r, value)? {
            return Ok(());
        }
        if registry().choose(self, value)?.is_opaque() {
            self.refuse_opaque(value)?;
            return self.put_off_within(value).map(drop);
        }
        // Environments in what has nothing new have yet to be looked into.
        let new = self.must_work() && !is_vector(value.kind())
            || walk::any(r, value, self.reach(false), |part| {
                match part.kind() {
                    _ if self.is_new(part)? => return Ok(Step::Stop),
                    sys::ENVSXP | sys::CLOSXP => self.put_off(part)?,
                    sys::LANGSXP | sys::EXPRSXP => {
                        self.put_off_within(part)?;
                        return Ok(Step::Past);
                    }
                    _ => {}
                }
                Ok(self.step(part))
            })?;
        if new {
            let node = out.encode(value)?;
            in_place.written.borrow_mut().push((place, value, node));
        }
        Ok(())
    }

    /// Puts the stand-ins of what was written where the originals are: all of them or, on an error, none.
    pub(crate) fn rebind(&self, from: &mut Opener<'_, Session>) -> Result<()> {
        let Some(in_place) = self.environments() else { return Ok(()) };
        let r = self.r;
        let written = in_place.written.take();
        let stand_ins = r.list(written.len(), |i| from.replace(written[i].1, written[i].2))?;
        for (i, (place, original, _)) in written.into_iter().enumerate() {
            r.scope(|| {
                let shared = stand_ins.element(r, i)?;
                if shared == original { Ok(()) } else { place.set(r, shared) }
            })?;
        }
        Ok(())
    }

    fn leniently<T>(&self, body: impl FnOnce() -> T) -> T {
        let Some(in_place) = self.environments() else { return body() };
        let before = in_place.lenient.replace(true);
        let value = body();
        in_place.lenient.set(before);
        value
    }
}

impl InPlace {
    fn stops(&self) -> &Stops {
        self.stops.get_or_init(Stops::new)
    }

    fn meet(&self, env: Sexp, must_work: bool) {
        if self.met.borrow_mut().insert(env.0 as usize) {
            self.waiting.borrow_mut().push((env, must_work));
        }
    }
}
