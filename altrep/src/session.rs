//! R as the host of a share() or an open: its values, and what the user asked for.

use std::cell::Cell;

use cowshed_core::{Flags, Host, SegmentId, Shareable};

use crate::boundary::{Failure, R, Result, call};
use crate::sexp::Sexp;
use crate::{condition, door, options, sys};

/// One call of share(), or one reference being opened.
#[derive(Debug)]
pub struct Session {
    /// We are on R's thread.
    pub r: R,
    /// What was asked for.
    pub options: ShareOptions,
    /// Inside attributes nothing has to be shareable.
    attributes: Cell<u32>,
    /// A character vector was to be written through, which it cannot be.
    strings: Cell<bool>,
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
        })
    }

    /// For what R's hooks make, where the options have no say: whatever can be shared is.
    pub(crate) fn in_hook(flags: Flags) -> Self {
        ShareOptions { flags, min_length: 0, shared_attributes: true, must_work: false }
    }
}

impl Session {
    /// With these options.
    pub fn new(r: R, options: ShareOptions) -> Self {
        Session { r, options, attributes: Cell::new(0), strings: Cell::new(false) }
    }

    /// Runs `body`, in which nothing has to be shareable: attributes travel as they can.
    pub(crate) fn in_attributes<T>(&self, body: impl FnOnce() -> T) -> T {
        self.attributes.set(self.attributes.get() + 1);
        let value = body();
        self.attributes.set(self.attributes.get() - 1);
        value
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
        if !self.options.must_work || self.attributes.get() > 0 || value.is_null() {
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
        Some(value.0 as usize)
    }

    fn descend(&self) -> Result<()> {
        self.r.check_stack()
    }

    fn poll(&self) -> Result<()> {
        // SAFETY: raises R's interrupt, which `call` catches.
        call(self.r, || unsafe { sys::R_CheckUserInterrupt() })
    }

    fn provide(&self, segment: SegmentId, name: &str) -> Result<&'static dyn Shareable<Self>> {
        door::provide(self.r, segment, name)
    }
}
