//! Which store a segment goes to, or comes from.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use cowshed_core::{AttachError, SegmentId, Store, default_store_path, usual_store_path};

use crate::boundary::{Failure, R, Result};
use crate::options;
use crate::sexp::Sexp;

/// The store in memory, or where `options(cowshed.store = )` says.
pub(crate) fn usual(r: R) -> Result<Store> {
    thread_local! {
        static MEMORY: Cell<Option<Store>> = const { Cell::new(None) };
    }
    let wanted = Sexp(options::store(r));
    if !wanted.is_null() {
        return within(r, wanted);
    }
    if let Some(store) = MEMORY.get() {
        return budgeted(r, store);
    }
    let store = at(usual_store_path())?;
    MEMORY.set(Some(store));
    budgeted(r, store)
}

/// Whoever may write to a store comes by here.
fn budgeted(r: R, store: Store) -> Result<Store> {
    store.set_budget(options::budget(r)?);
    Ok(store)
}

/// The store within a directory the user names.
pub(crate) fn within(r: R, directory: Sexp) -> Result<Store> {
    let one = |why: &str| Failure::new("argument", format!("`store` must be one directory's name, as a string{why}"));
    let named = directory.text(r)?.filter(|name| !name.is_empty()).map(PathBuf::from).ok_or_else(|| one(""))?;
    let absolute = match named.strip_prefix("~") {
        Ok(rest) => std::env::home_dir().map_or(named.clone(), |home| home.join(rest)),
        Err(_) => named,
    };
    if !absolute.is_absolute() {
        // It would be another store after setwd(), and objects that were shared before would not be found from it.
        let why = format!(", that begins with / or ~, not '{}'; see normalizePath()", absolute.display());
        return Err(one(&why));
    }
    budgeted(r, at(&default_store_path(&absolute))?)
}

fn at(path: &Path) -> Result<Store> {
    Ok(Store::open(path)?)
}

/// The store at a path that a reference to segment `id` names; never made.
pub(crate) fn of_reference(path: &Path, id: SegmentId) -> Result<Store> {
    let store = Store::find(path)?;
    store.ok_or_else(|| AttachError::Gone { id, store: path.to_owned() }.into())
}
