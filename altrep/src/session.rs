//! R as the host of a share() or an open: its values, and what the user asked for.

use std::cell::Cell;

use cowshed_core::{Encoder, Flags, Host, Node, SegmentId, Shareable};

use crate::attributes::ELSEWHERE;
use crate::boundary::{Failure, R, Result};
use crate::element::Kind;
use crate::in_place::InPlace;
use crate::keeper::Keeper;
use crate::object::Object;
use crate::sexp::Sexp;
use crate::view::View;
use crate::{condition, door, interrupts, options, proxies, references, sys};

/// One call of share(), or one reference being opened.
pub struct Session {
    /// We are on R's thread.
    pub r: R,
    /// What was asked for.
    pub options: ShareOptions,
    /// Inside attributes nothing has to be shareable.
    attributes: Cell<u32>,
    /// A character vector was to be written through, which it cannot be.
    strings: Cell<bool>,
    /// What the views that are made now belong to, inside a container.
    keeper: Cell<Option<Keeper>>,
    /// Whether what is shared already is written again, because what holds it will open it from its node.
    afresh: Cell<bool>,
    /// Whether what is written makes a virtual vector: nothing in it is to become longer than it is.
    recipe: Cell<bool>,
    /// If environments are shared too: those that were met.
    environments: Option<InPlace>,
    /// Proxies of objects whose class packages share.
    pub(crate) proxies: proxies::Memo,
}

/// The arguments of share().
#[derive(Debug, Clone)]
pub struct ShareOptions {
    /// Flags of what is made.
    pub flags: Flags,
    /// Shorter vectors are not shared.
    pub min_length: usize,
    /// Whether attributes are shared too.
    pub shared_attributes: bool,
    /// Whether what cannot be shared is an error.
    pub must_work: bool,
    /// Whether it goes to a file of its own: all of it, what is shared already too, and what only R can send as R sends it.
    pub stored: bool,
}

impl ShareOptions {
    /// As R's options() say.
    ///
    /// # Errors
    /// One of them has a value that it cannot have.
    pub fn usual(r: R) -> Result<Self> {
        options::check_grace(r)?;
        Ok(ShareOptions {
            flags: options::flags(r)?,
            min_length: options::min_length(r)?,
            shared_attributes: options::shared_attributes(r)?,
            must_work: options::must_work(r)?,
            stored: false,
        })
    }

    /// For what R's hooks make, where the options have no say: whatever can be shared is.
    pub(crate) fn in_hook(flags: Flags) -> Self {
        ShareOptions { flags, min_length: 0, shared_attributes: true, must_work: false, stored: false }
    }
}

impl Session {
    /// With these options. Environments are left alone.
    pub fn new(r: R, options: ShareOptions) -> Self {
        Session {
            r,
            options,
            attributes: Cell::new(0),
            strings: Cell::new(false),
            keeper: Cell::new(None),
            afresh: Cell::new(false),
            recipe: Cell::new(false),
            environments: None,
            proxies: proxies::Memo::default(),
        }
    }

    /// A call of share(), which shares environments where they are.
    pub(crate) fn in_place(r: R, options: ShareOptions, environments: InPlace) -> Self {
        Session { environments: Some(environments), ..Session::new(r, options) }
    }

    /// The environments that were met; `None` where they are left alone, as with attributes that are not shared.
    pub(crate) fn environments(&self) -> Option<&InPlace> {
        self.environments.as_ref().filter(|_| self.options.shared_attributes || self.attributes.get() == 0)
    }

    /// Whether what is met now has to be shareable.
    pub(crate) fn must_work(&self) -> bool {
        let lenient = self.environments.as_ref().is_some_and(InPlace::is_lenient);
        self.options.must_work && self.attributes.get() == 0 && !self.recipe.get() && !lenient
    }

    /// Runs `body`, in which nothing has to be shareable: attributes travel as they can.
    pub(crate) fn in_attributes<T>(&self, body: impl FnOnce() -> T) -> T {
        self.attributes.set(self.attributes.get() + 1);
        let value = body();
        self.attributes.set(self.attributes.get() - 1);
        value
    }

    /// Whether flags of what is shared already are those that were asked for; what was left to the options does not change them.
    pub(crate) fn are_as_asked(&self, flags: Flags, kind: sys::SexpType) -> bool {
        let mut asked = self.environments.as_ref().map_or(Flags::all(), InPlace::asked);
        // Character vectors are never written through.
        asked.set(Flags::COPY_ON_WRITE, asked.contains(Flags::COPY_ON_WRITE) && kind != sys::STRSXP);
        (flags ^ self.options.flags) & asked == Flags::empty()
    }

    /// Runs `body`, which writes the parts of an object that opens them from their nodes: none may be in another segment.
    pub(crate) fn afresh<T>(&self, body: impl FnOnce() -> T) -> T {
        let before = self.afresh.replace(true);
        let value = body();
        self.afresh.set(before);
        value
    }

    /// Runs `body`, which writes what makes a virtual vector.
    pub(crate) fn in_recipe<T>(&self, body: impl FnOnce() -> T) -> T {
        let before = self.recipe.replace(true);
        let value = body();
        self.recipe.set(before);
        value
    }

    /// Whether this does.
    pub(crate) fn is_in_recipe(&self) -> bool {
        self.recipe.get()
    }

    /// Whether what is shared already has to be written again.
    pub(crate) fn writes_afresh(&self) -> bool {
        self.options.stored || self.afresh.get()
    }

    /// Runs `body`, in which the parts of a container are made: their views belong together.
    ///
    /// # Errors
    /// Those of `body`, or out of memory.
    pub(crate) fn together<T>(&self, body: impl FnOnce(Keeper) -> Result<T>) -> Result<T> {
        if let Some(keeper) = self.keeper.get() {
            return body(keeper);
        }
        // Protected by the scope that we are called in, which outlives `body`.
        let keeper = Keeper::new(self.r)?;
        self.together_with(keeper, || body(keeper))
    }

    /// The same with a keeper that there is, and that stays while `body` runs.
    pub(crate) fn together_with<T>(&self, keeper: Keeper, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = self.keeper.replace(Some(keeper));
        let made = body();
        self.keeper.set(before);
        made
    }

    /// A new shared vector.
    pub(crate) fn object<K: Kind>(&self, view: View, flags: Flags) -> Result<Object> {
        match self.keeper.get() {
            Some(keeper) => Object::kept::<K>(self.r, keeper, view, flags),
            None => Object::new::<K>(self.r, view, flags),
        }
    }

    /// Notes a character vector that was to be written through.
    pub(crate) fn note_strings(&self) {
        self.strings.set(self.attributes.get() == 0 || self.strings.get());
    }

    /// Warns once, if there was one: what happens instead is never silent.
    pub(crate) fn warn_of_strings(&self) -> Result<()> {
        if self.strings.get() { condition::warn_strings(self.r) } else { Ok(()) }
    }

    /// The error under `mustWork` for a value that can only travel as bytes; NULL is always fine.
    pub(crate) fn refuse_opaque(&self, value: Sexp) -> Result<()> {
        if !self.must_work() || value.is_null() || value.is_null_of_s4() {
            return Ok(());
        }
        let class = value.class(self.r)?;
        Err(Failure::new(
            "unshareable",
            format!(
                "The object of the class {class} cannot be shared.\nTo suppress this error and return the same object, \n\
                 provide `mustWork = FALSE` as a function argument\nor change its default value in the package settings\n"
            ),
        ))
    }
}

impl Host for Session {
    type Value = Sexp;
    type Error = Failure;

    fn kind(&self, value: Sexp) -> u8 {
        value.kind() as u8
    }

    fn describe(&self, value: Sexp) -> String {
        value.class(self.r).map_or_else(|_| "an unknown class".to_owned(), |class| format!("the class {class}"))
    }

    fn identity(&self, value: Sexp) -> Option<usize> {
        // What only one thing refers to is met once. R counts references to vectors and lists.
        let once = value.is_vector() && references::at_most_one(value.0);
        (!once).then_some(value.0 as usize)
    }

    fn stands(&self, node: &Node) -> bool {
        node.aux & ELSEWHERE == 0 || !self.writes_afresh()
    }

    fn descend(&self, depth: usize) -> Result<()> {
        // A look at the stack is dear, and each leaves room for so many levels.
        if depth % crate::sexp::LEVELS == 0 { self.r.check_stack() } else { Ok(()) }
    }

    fn finish(&self, out: &mut Encoder<'_, Session>) -> Result<()> {
        self.write_environments(out)
    }

    fn poll(&self) -> Result<()> {
        interrupts::heed(self.r)
    }

    fn provide(&self, segment: SegmentId, name: &str) -> Result<&'static dyn Shareable<Self>> {
        door::provide(self.r, segment, name)
    }
}
