//! How a virtual vector gets to another process: as what makes it again, or as data.
//!
//! - A recipe is a name, which tells who restores it, and an R object, which tells what; then come the steps by which the vector was derived.
//! - A vector that was written to, or whose source has no recipe, is sent as its data. So is one that is saved, as every shared object.
//! - share() writes the recipe into a segment, its parts shared like those of any list.

use cowshed_core::{Claim, Encoder, Flags, Node, NodeId, Opener, Shareable};

use super::{Object, closure, derived, wrapped};
use crate::boundary::{Failure, R, Result, call};
use crate::by_value::{self, By};
use crate::element::{Double, Element};
use crate::session::Session;
use crate::sexp::Sexp;
use crate::sys::{self, SEXP, SexpType};
use crate::{Registration, attributes, door};

/// What makes a virtual vector again.
#[derive(Debug, Clone)]
pub struct Recipe {
    name: String,
    state: Sexp,
    steps: Vec<Step>,
    always: bool,
}

/// How a vector came of another one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Its elements at `first`, `first + step`, ..., `len` of them.
    Part { first: u64, step: i64, len: u64 },
    /// Its elements as another type.
    Type(SexpType),
}

/// Name of the recipes of R functions.
pub(super) const FUNCTION: &str = "cowshed.function";
/// Name of those of wrapped vectors.
pub(super) const VECTOR: &str = "cowshed.vector";
/// Name of those that bring the R function that restores them.
const CALL: &str = "cowshed.call";

impl Recipe {
    /// What `name` restores of `state`.
    pub fn new(name: impl Into<String>, state: Sexp) -> Recipe {
        Recipe { name: name.into(), state, steps: Vec::new(), always: false }
    }

    /// What an R function gives for `state`. It is used where vectors are saved, too.
    ///
    /// # Errors
    /// Out of memory.
    pub fn of_call(r: R, function: Sexp, state: Sexp) -> Result<Recipe> {
        let state = r.list(2, |i| Ok([function, state][i]))?;
        Ok(Recipe { always: true, ..Recipe::new(CALL, state) })
    }

    pub(super) fn then(mut self, step: Step) -> Recipe {
        self.steps.push(step);
        self
    }

    /// As an R list: version; type and length of the vector; whether it is shared; name and state; three numbers for each step.
    fn as_list(&self, r: R, x: Object, shared: bool) -> Result<Sexp> {
        let numbers: Vec<f64> = self.steps.iter().flat_map(Step::numbers).collect();
        r.list(5, |i| match i {
            0 => r.integer(VERSION),
            1 => r.numbers(3, |i| [f64::from(x.kind()), x.get().len() as f64, f64::from(shared)][i]),
            2 => r.string(&self.name),
            3 => Ok(self.state),
            _ => r.numbers(numbers.len(), |i| numbers[i]),
        })
    }
}

const VERSION: i32 = 1;

impl Step {
    fn numbers(&self) -> [f64; 4] {
        match *self {
            Step::Part { first, step, len } => [0.0, first as f64, step as f64, len as f64],
            Step::Type(to) => [1.0, f64::from(to), 0.0, 0.0],
        }
    }

    fn parse(numbers: &[f64]) -> Option<Step> {
        match *numbers {
            [0.0, first, step, len] => Some(Step::Part { first: first as u64, step: step as i64, len: len as u64 }),
            [1.0, to, _, _] => Some(Step::Type(to as SexpType)),
            _ => None,
        }
    }
}

/// The error of a recipe that is nonsense.
pub(super) fn damaged(why: &str) -> Failure {
    Failure::new(
        "version",
        format!(
            "the recipe of a virtual vector is damaged or of another version of cowshed ({why}); use the same cowshed in every process"
        ),
    )
}

/// The recipe of a vector that is as its source makes it.
fn recipe(r: R, x: Object) -> Result<Option<Recipe>> {
    let this = x.get();
    if this.is_changed() || !this.source.has_recipe() {
        return Ok(None);
    }
    this.source.recipe(r, Sexp(x.sexp()))
}

/// For R to write in place of the data; `None` for the data.
pub(super) fn serialized_state(r: R, x: Object) -> Result<Option<SEXP>> {
    x.get().check()?;
    x.get().flush()?;
    let Some(recipe) = recipe(r, x)? else { return Ok(None) };
    if !recipe.always && by_value::now(r)? == By::Value {
        return Ok(None);
    }
    Ok(Some(recipe.as_list(r, x, x.get().is_shared())?.into_r()))
}

/// The vector of a recipe. One that cannot be made again is a vector of the right length whose every access raises the reason: an error here would kill a
/// worker that only reads its socket.
pub(super) fn unserialize<E: Element>(r: R, state: SEXP) -> Result<SEXP> {
    let (list, len, _) = match parse(r, Sexp(state)) {
        Ok(parsed) => parsed,
        Err(Failure::Jump) => return Err(Failure::Jump),
        Err(failure) => return broken::<E>(r, 1, failure),
    };
    let restored = calmly(r, list).and_then(|x| match x.len(r)? as u64 {
        n if n == len && x.kind() == E::TYPE => Ok(x),
        n => Err(damaged(&format!("it gave {n} elements of type {}", door::type_name(x.kind() as u8)))),
    });
    match restored {
        Ok(x) => Ok(x.into_r()),
        Err(Failure::Jump) => Err(Failure::Jump),
        Err(failure) => broken::<E>(r, len, failure),
    }
}

fn broken<E: Element>(r: R, len: u64, failure: Failure) -> Result<SEXP> {
    let Failure::Error { message, .. } = failure else { return Err(failure) };
    super::source::broken::<E>(r, len, message).map(Sexp::into_r)
}

/// The list, the length it speaks of, and whether the vector is shared.
fn parse(r: R, state: Sexp) -> Result<(Sexp, u64, bool)> {
    let bad = || damaged("it is no list as it should be");
    if state.kind() != sys::VECSXP
        || state.len(r)? != 5
        || state.element(r, 0)?.as_number(r)? != Some(f64::from(VERSION))
    {
        return Err(bad());
    }
    let about = state.element(r, 1)?.elements::<Double>(r)?.ok_or_else(bad)?;
    let [_, len, shared] = *about else { return Err(bad()) };
    Ok((state, len as u64, shared != 0.0))
}

/// Restores a vector, an R error being a failure like others.
fn calmly(r: R, list: Sexp) -> Result<Sexp> {
    struct Job {
        list: Sexp,
        why: Option<String>,
    }
    unsafe extern "C-unwind" fn body(job: *mut std::ffi::c_void) -> SEXP {
        // SAFETY: `calmly` passes a pointer to its job, which outlives this call.
        let list = unsafe { (*job.cast::<Job>()).list };
        crate::boundary::guard(|r| restore(r, list)).into_r()
    }
    unsafe extern "C-unwind" fn handler(condition: SEXP, job: *mut std::ffi::c_void) -> SEXP {
        let why = crate::boundary::guard(|r| r.base(c"conditionMessage", Sexp(condition))?.text(r));
        // SAFETY: as above.
        unsafe { (*job.cast::<Job>()).why = Some(why.unwrap_or_default()) };
        // SAFETY: a constant of R's.
        unsafe { sys::R_NilValue }
    }
    let mut job = Job { list, why: None };
    let data: *mut std::ffi::c_void = (&raw mut job).cast();
    // SAFETY: functions as R wants them; the job outlives the call.
    let value = call(r, || unsafe { sys::R_tryCatchError(body, data, handler, data) })?;
    r.keep(value)?;
    match job.why {
        None => Ok(Sexp(value)),
        Some(why) => Err(Failure::new("generator", format!("a virtual vector cannot be made here: {why}"))),
    }
}

/// The vector that a list describes.
fn restore(r: R, list: Sexp) -> Result<Sexp> {
    let (_, _, shared) = parse(r, list)?;
    let name = list.element(r, 2)?.text(r)?.ok_or_else(|| damaged("it has no name"))?;
    let numbers = list.element(r, 4)?.elements::<Double>(r)?.unwrap_or_default();
    let steps =
        numbers.chunks(4).map(Step::parse).collect::<Option<Vec<_>>>().ok_or_else(|| damaged("a step is none"))?;
    let state = list.element(r, 3)?;
    let base = match name.as_str() {
        FUNCTION => closure::restore(r, state)?,
        VECTOR => wrapped::restore(r, state)?,
        CALL => called(r, state)?,
        _ => door::restore_virtual(r, &name, state)?,
    };
    let mut x = base;
    for step in steps {
        x = derive(r, x, step)?;
    }
    match Object::find(x.0) {
        Some(vector) if shared => vector.as_shared(r).map(|x| Sexp(x.sexp())),
        _ => Ok(x),
    }
}

/// What an R function gives for a state.
fn called(r: R, state: Sexp) -> Result<Sexp> {
    if state.kind() != sys::VECSXP || state.len(r)? != 2 {
        return Err(damaged("it is not one of a call"));
    }
    let (function, argument) = (state.element(r, 0)?, state.element(r, 1)?);
    let value = call(r, || {
        // SAFETY: all is protected while it is needed; a jump restores the protect stack.
        unsafe {
            let quote = sys::Rf_lcons(
                sys::Rf_install(c"quote".as_ptr()),
                sys::Rf_protect(sys::Rf_cons(argument.0, sys::R_NilValue)),
            );
            let arguments = sys::Rf_protect(sys::Rf_cons(sys::Rf_protect(quote), sys::R_NilValue));
            let expression = sys::Rf_protect(sys::Rf_lcons(function.0, arguments));
            let value = sys::Rf_eval(expression, sys::R_GlobalEnv);
            sys::Rf_unprotect(4);
            value
        }
    })?;
    r.keep(value).map(Sexp)
}

fn derive(r: R, x: Sexp, step: Step) -> Result<Sexp> {
    let of = Object::find(x.0).ok_or_else(|| damaged("a step of what is no virtual vector"))?;
    let made = match step {
        Step::Part { first, step, len } => derived::part(r, of, first, step, len)?,
        Step::Type(to) => derived::converted(r, of, to)?,
    };
    made.map(|x| Sexp(x.sexp())).ok_or_else(|| damaged("a step that does not fit its vector"))
}

/// The strategy of virtual vectors that have a recipe: it is what is shared, and every process makes the elements for itself.
struct Recipes;

inventory::submit!(Registration(&Recipes));

impl Shareable<Session> for Recipes {
    fn name(&self) -> &'static str {
        "r.virtual"
    }

    fn kinds(&self) -> &'static [u8] {
        const { &[sys::RAWSXP as u8, sys::LGLSXP as u8, sys::INTSXP as u8, sys::REALSXP as u8, sys::CPLXSXP as u8] }
    }

    fn claim(&self, session: &Session, x: Sexp) -> Claim {
        self.ask(session, x).unwrap_or(Claim::No)
    }

    fn ask(&self, session: &Session, x: Sexp) -> Result<Claim> {
        if !x.is_altrep() || !session.options.flags.contains(Flags::COPY_ON_WRITE) {
            return Ok(Claim::No);
        }
        let Some(x) = Object::find(x.0) else { return Ok(Claim::No) };
        x.get().flush()?;
        // Its author may have none for this one.
        let has_recipe = session.r.scope(|| Ok(recipe(session.r, x)?.is_some()))?;
        Ok(if has_recipe { Claim::Class(u32::MAX - 1) } else { Claim::No })
    }

    fn encode(&self, session: &Session, x: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        let list = list_of(session.r, x, true)?;
        let recipe = session.in_recipe(|| out.encode(list))?;
        let attributes = attributes::encode(session, x, out)?;
        let parts = [recipe].into_iter().chain(attributes);
        let aux = attributes::bits(x) | attributes::structure(out, parts);
        out.node(self.name(), Node { length: x.len(session.r)? as u64, attributes, aux, ..Node::default() }, &[recipe])
    }

    fn open(&self, session: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let recipe = child(node, from)?;
        let list = from.open(recipe)?;
        let x = self.make(session.r, node, from, list)?;
        attributes::restore(session, x, node, from)?;
        Ok(x)
    }

    fn replace(&self, session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let recipe = child(node, from)?;
        let list = list_of(session.r, original, true)?;
        let list = from.replace(list, recipe)?;
        let x = self.make(session.r, node, from, list)?;
        attributes::take_over(session, original, x, node, from)?;
        Ok(x)
    }
}

impl Recipes {
    fn make(&self, r: R, node: NodeId, from: &Opener<'_, Session>, list: Sexp) -> Result<Sexp> {
        let x = calmly(r, list)?;
        if x.len(r)? as u64 != from.node(node).length {
            return Err(from.bad(node, "its recipe makes a vector of another length").into());
        }
        match Object::find(x.0) {
            Some(vector) => vector.as_shared(r).map(|x| Sexp(x.sexp())),
            None => Ok(x),
        }
    }
}

fn child(node: NodeId, from: &Opener<'_, Session>) -> Result<NodeId> {
    from.children(node).next().ok_or_else(|| from.bad(node, "it is a virtual vector without a recipe").into())
}

/// The recipe of a shared vector, for a walk over what it holds.
pub(crate) fn parts(r: R, x: Sexp) -> Result<Sexp> {
    list_of(r, x, false)
}

/// The vector of a shared vector's recipe in which nothing is shared any more.
pub(crate) fn unshared(r: R, x: Sexp, parts: Sexp) -> Result<Sexp> {
    let plain = calmly(r, parts)?;
    // SAFETY: both R objects.
    call(r, || unsafe { sys::SHALLOW_DUPLICATE_ATTRIB(plain.0, x.0) })?;
    Ok(plain)
}

fn list_of(r: R, x: Sexp, shared: bool) -> Result<Sexp> {
    let gone = || Failure::new("internal", "a virtual vector has lost its recipe");
    let x = Object::find(x.0).ok_or_else(gone)?;
    recipe(r, x)?.ok_or_else(gone)?.as_list(r, x, shared)
}
