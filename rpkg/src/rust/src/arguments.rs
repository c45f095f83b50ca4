//! R's arguments, checked: a wrong one is an error of class `cowshed_error_argument` that names it.

use std::time::Duration;

use cowshed_altrep::core::Name;
use cowshed_altrep::verbs::bad_argument;
use cowshed_altrep::{R, Result, Sexp};

/// TRUE or FALSE, or `None` for NULL ("not said").
pub(crate) fn flag(r: R, name: &str, x: Sexp) -> Result<Option<bool>> {
    if x.is_null() {
        return Ok(None);
    }
    x.as_flag(r)?.map(Some).ok_or_else(|| bad_argument(format!("`{name}` must be TRUE or FALSE, not {}", x.shown(r))))
}

/// A whole number of at least 0, or `None` for NULL.
pub(crate) fn count(r: R, name: &str, x: Sexp) -> Result<Option<usize>> {
    if x.is_null() {
        return Ok(None);
    }
    let whole = x.as_number(r)?.filter(|n| n.fract() == 0.0 && (0.0..9e15).contains(n));
    whole
        .map(|n| Some(n as usize))
        .ok_or_else(|| bad_argument(format!("`{name}` must be one whole number of 0 or more, not {}", x.shown(r))))
}

/// The same, not NULL.
pub(crate) fn whole(r: R, name: &str, x: Sexp) -> Result<usize> {
    count(r, name, x)?.ok_or_else(|| bad_argument(format!("`{name}` must be a whole number, not NULL")))
}

/// One string that is not empty.
pub(crate) fn name(r: R, argument: &str, x: Sexp) -> Result<String> {
    let text = x.text(r)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| bad_argument(format!("`{argument}` must be one id or name, as a string, not {}", x.shown(r))))
}

/// One string.
pub(crate) fn text(r: R, argument: &str, x: Sexp) -> Result<String> {
    x.text(r)?.ok_or_else(|| bad_argument(format!("`{argument}` must be one string, not {}", x.shown(r))))
}

/// A time; `None` for a negative one: no limit.
pub(crate) fn seconds(r: R, x: Sexp) -> Result<Option<Duration>> {
    let seconds = x.as_number(r)?.filter(|n| !n.is_nan());
    let seconds =
        seconds.ok_or_else(|| bad_argument(format!("`timeout` must be one number of seconds, not {}", x.shown(r))))?;
    // More than can be told is no limit either.
    Ok(Duration::try_from_secs_f64(seconds).ok())
}

/// A variable's name within its namespace.
pub(crate) struct Variable {
    namespace: String,
    name: String,
}

impl Variable {
    /// Of two strings.
    pub(crate) fn of(r: R, namespace: Sexp, name: Sexp) -> Result<Variable> {
        let text =
            |x: Sexp| x.text(r)?.ok_or_else(|| bad_argument(format!("a name must be a string, not {}", x.shown(r))));
        Ok(Variable { namespace: text(namespace)?, name: text(name)? })
    }

    /// As the store takes it.
    pub(crate) fn name(&self) -> Name<'_> {
        Name { namespace: &self.namespace, name: &self.name }
    }
}
