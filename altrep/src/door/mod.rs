//! Strategies of other packages: libraries that are loaded later hand them over through a C table.
//!
//! - [`abi`] defines the table; `host` is our side of it; `foreign` is a strategy that was handed over, as dispatch sees it.
//! - [`registry`] is a snapshot that never changes. Registering makes a new one: whoever is at work finishes with the old one, and asking costs one
//!   load. Snapshots and strategies are never freed, as packages are loaded a few times in a process's life.
//! - A library whose functions we keep stays mapped, whatever R unloads.

pub mod abi;
mod foreign;
#[cfg(test)]
mod header;
mod host;
mod virtuals;

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use cowshed_core::{Registry, SegmentId, Shareable};

use crate::boundary::{Failure, R, Result};
use crate::serialized::evaluate;
use crate::session::Session;
use crate::sexp::Sexp;
use crate::{Registration, sys};
use abi::Strategy;
use foreign::Foreign;

pub use host::{own_table, table};
pub(crate) use virtuals::restore as restore_virtual;

thread_local! {
    /// What other libraries have registered.
    static FOREIGN: RefCell<Vec<&'static Foreign>> = const { RefCell::new(Vec::new()) };
}

static CURRENT: AtomicPtr<Registry<Session>> = AtomicPtr::new(null_mut());

/// Every strategy this process has now.
#[inline]
pub fn registry() -> &'static Registry<Session> {
    let current = CURRENT.load(Ordering::Acquire);
    if current.is_null() {
        return rebuild();
    }
    // SAFETY: `rebuild` leaks what it stores.
    unsafe { &*current }
}

#[cold]
fn rebuild() -> &'static Registry<Session> {
    let own = inventory::iter::<Registration>.into_iter().map(|r| r.0);
    let foreign: Vec<&'static Foreign> = FOREIGN.with_borrow(Clone::clone);
    let all = own.chain(foreign.into_iter().map(|f| f as &'static dyn Shareable<Session>));
    let registry: &'static Registry<Session> = Box::leak(Box::new(Registry::new(all)));
    CURRENT.store(std::ptr::from_ref(registry).cast_mut(), Ordering::Release);
    registry
}

/// A plugin's strategy, for a list of them.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its name.
    pub name: &'static str,
    /// "Rust" or "C".
    pub door: &'static str,
    /// The package that registered it.
    pub package: &'static str,
    /// SEXPTYPEs.
    pub kinds: &'static [u8],
    /// The version of the interface it was built for.
    pub abi: u32,
}

/// What other packages have registered, by name.
pub fn plugins() -> Vec<Plugin> {
    let mut plugins: Vec<_> = FOREIGN.with_borrow(|all| all.iter().map(|f| f.plugin()).collect());
    plugins.sort_by_key(|p| p.name);
    plugins
}

/// Adds what a plugin handed over.
fn register(r: R, strategy: &Strategy, name: &str, package: &str) -> Result<()> {
    let refuse = |why: String| {
        let what = format!("the sharing strategy '{name}' of the package '{package}' is refused: {why}");
        Err(Failure::new("plugin", what))
    };
    if strategy.abi != abi::ABI || (strategy.size as usize) < size_of::<Strategy>() {
        return refuse(format!(
            "it was built for version {} of cowshed's plugin interface, and this cowshed has version {}; install the newest cowshed, then \
             '{package}' again from source",
            strategy.abi,
            abi::ABI
        ));
    }
    let begins = name.rsplit_once('.').is_some_and(|(first, last)| first == package && !last.is_empty());
    if !begins {
        return refuse(format!("its name must be '{package}.' and a name without dots"));
    }
    let foreign = match Foreign::new(strategy, name, package) {
        Ok(foreign) => foreign,
        Err(why) => return refuse(why.to_owned()),
    };
    let same = |other: &&'static Foreign| other.plugin().name == name;
    if let Some(other) = FOREIGN.with_borrow(|all| all.iter().copied().find(same)) {
        // A package that is loaded again hands its strategies over again.
        if other.library() != foreign.library() {
            return refuse(format!(
                "the package '{}' has registered that name already; they are the libraries {} and {}",
                other.plugin().package,
                foreign.library().display(),
                other.library().display()
            ));
        }
    } else if let Some(own) = registry().by_name(name) {
        return refuse(format!("the package '{}' has registered that name already", own.package()));
    }
    foreign.keep_library();
    FOREIGN.with_borrow_mut(|all| {
        all.retain(|other| !same(other));
        all.push(Box::leak(Box::new(foreign)));
    });
    rebuild();
    watch(r, package)
}

/// Has R take a package's strategies away when its namespace is unloaded. R calls `R_unload_<package>` only of libraries whose symbols it looks up.
fn watch(r: R, package: &str) -> Result<()> {
    thread_local! {
        static WATCHED: RefCell<HashSet<String>> = RefCell::default();
    }
    if !WATCHED.with_borrow_mut(|watched| watched.insert(package.to_owned())) {
        return Ok(());
    }
    let hook = c"function(package) setHook(packageEvent(package, 'onUnload'), function(...) {
        if (isNamespaceLoaded('cowshed')) asNamespace('cowshed')$unregister_plugins(package)
    })";
    let package = r.string(package)?;
    r.scope(|| evaluate(r, hook, package).map(|_| ()))
}

/// Takes a package's strategies away; how many there were.
pub fn unregister(package: &str) -> usize {
    let before = FOREIGN.with_borrow(Vec::len);
    FOREIGN.with_borrow_mut(|all| all.retain(|f| f.plugin().package != package));
    let gone = before - FOREIGN.with_borrow(Vec::len);
    if gone > 0 {
        rebuild();
    }
    gone
}

/// The strategy of a name that a segment needs and nobody has registered: loads the package that the name begins with.
pub(crate) fn provide(r: R, segment: SegmentId, name: &str) -> Result<&'static dyn Shareable<Session>> {
    let package = name.rsplit_once('.').map_or("", |(package, _)| package);
    if ["r", "memory"].contains(&package) {
        let why = format!(
            "segment {segment} needs the sharing strategy '{name}' of another version of cowshed; use the same cowshed in every process"
        );
        return Err(Failure::new("version", why));
    }
    let why = load_named(r, name)?;
    if let Some(strategy) = registry().by_name(name) {
        return Ok(strategy);
    }
    let why = why.unwrap_or_else(|| "it is loaded, and has no such strategy".to_owned());
    Err(Failure::new(
        "plugin",
        format!(
            "segment {segment} needs the sharing strategy '{name}' of the package '{package}', which this process does not have ({why}); \
             install the package '{package}' where this process finds it"
        ),
    ))
}

/// Loads the package that a strategy's name, or the like, begins with; why not, if that fails.
fn load_named(r: R, name: &str) -> Result<Option<String>> {
    let package = name.rsplit_once('.').map_or("", |(package, _)| package);
    // What a segment says is not to be believed: a name with a slash would load code from anywhere.
    let is_name = package.starts_with(|c: char| c.is_ascii_alphabetic())
        && package.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    if is_name { load(r, package) } else { Ok(Some("that is no name of a package".to_owned())) }
}

/// Loads a package's namespace; why not, if that fails.
fn load(r: R, package: &str) -> Result<Option<String>> {
    let load: &CStr = c"function(package) tryCatch({ loadNamespace(package); NULL }, error = conditionMessage)";
    let package = r.string(package)?;
    r.scope(|| evaluate(r, load, package)?.text(r))
}

/// A copy of a C string that lives for ever; `None` if it is null or not UTF-8.
///
/// # Safety
/// `text` is null or a C string.
unsafe fn owned(text: *const std::ffi::c_char) -> Option<&'static str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(text) }.to_str().ok()?;
    Some(Box::leak(text.to_owned().into_boxed_str()))
}

/// R's name of a type, as typeof() gives it.
pub fn type_name(kind: u8) -> String {
    // SAFETY: R's table of names; an unknown number gives a name too.
    let name = unsafe { sys::Rf_type2char(kind.into()) };
    if name.is_null() {
        return kind.to_string();
    }
    // SAFETY: a C string that lives for ever.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}

/// The one object of R's that a plugin's function gave; an error instead of a null pointer.
fn given(r: R, value: sys::SEXP, failure: impl FnOnce() -> Failure) -> Result<Sexp> {
    if value.is_null() { Err(failure()) } else { r.keep(value).map(Sexp) }
}

/// An address within a library, as dladdr(3) wants it.
fn address(function: *const ()) -> *const c_void {
    function.cast()
}
