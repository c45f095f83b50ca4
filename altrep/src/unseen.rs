//! Whether a value may change without an assignment to the variable that holds it.

use crate::boundary::{R, Result};
use crate::named::holds_environments;
use crate::object::Object;
use crate::sexp::Sexp;
use crate::sys;
use crate::walk::{self, Attributes, Reach, Step};

/// It holds an environment (not one that is attached, a package's or a namespace), an external pointer, or memory that others write to.
///
/// # Errors
/// Those of another package's ALTREP list.
pub fn may_change_unseen(r: R, x: Sexp) -> Result<bool> {
    let reach = Reach { attributes: Attributes::All, environments: false, language: true, shallow: false };
    let found = walk::any(r, x, reach, |part| {
        let written_by_others = || Object::find(part.0).is_some_and(|object| !object.view().live().is_null());
        let found = matches!(part.kind(), sys::EXTPTRSXP | sys::WEAKREFSXP) || written_by_others();
        Ok(if found { Step::Stop } else { Step::Into })
    })?;
    Ok(found || holds_environments(r, x)?)
}
