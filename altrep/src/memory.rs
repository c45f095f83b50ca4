//! Memory by size, id and name: what SharedObject calls its low level, for R and for C.
//!
//! - What a process allocates or maps it holds until it frees it, or ends: `HELD` is the list. A forked child has it too.
//! - An id is that of a segment, `<segment>` or `<segment>:<node>` as share() gives them, or the name under which memory was allocated.
//! - Freeing takes the name away; pointers stay valid in every process that has them, this one's R objects included.
//! - Called on R's thread alone. R is never called while the list is locked.

use std::collections::HashMap;
use std::ffi::c_void;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use cowshed_core::{AttachError, Flags, Mode, Opener, Payload, Segment, SegmentId, Store, check_memory_name};

use crate::boundary::{Failure, R, Result, call};
use crate::session::{Session, ShareOptions};
use crate::sexp::Sexp;
use crate::{registry, stores, sys};

struct Held {
    segment: Arc<Segment>,
    store: Store,
    mapped: bool,
    /// Given up when it is unmapped.
    release: bool,
}

/// An id, and the directory of its store.
type Key = (SegmentId, &'static Path);

/// What this process holds.
static HELD: LazyLock<Mutex<HashMap<Key, Held>>> = LazyLock::new(Mutex::default);

/// Segments allocated without a name.
static ALLOCATED: AtomicU64 = AtomicU64::new(0);

fn held() -> MutexGuard<'static, HashMap<Key, Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this process holds memory by that id, whatever R objects there are.
pub(crate) fn is_held(store: Store, id: SegmentId) -> bool {
    held().contains_key(&(id, store.path()))
}

/// What an id or name means.
struct Address {
    id: SegmentId,
    node: Option<u32>,
}

impl Address {
    fn parse(text: &str) -> Address {
        let part = || {
            let (segment, node) = text.split_once(':')?;
            Some(Address { id: SegmentId::parse(segment)?, node: Some(node.parse().ok()?) })
        };
        part().unwrap_or_else(|| Address { id: SegmentId::of_name(text), node: None })
    }
}

/// Where the list may have it.
fn keys(id: SegmentId) -> impl Iterator<Item = Key> {
    Store::all().into_iter().map(move |store| (id, store.path()))
}

/// The store that has a segment: the one share() would use now, or any other that this process uses.
fn store_of(r: R, id: SegmentId) -> Result<Store> {
    let usual = stores::usual(r)?;
    let has = |store: &Store| store.has(id);
    Ok(if has(&usual) { usual } else { Store::all().into_iter().find(has).unwrap_or(usual) })
}

fn gone(text: &str, store: Store) -> Failure {
    let message = format!(
        "there is no shared memory '{text}' in the store '{}': it was never allocated, it was freed, or every process that held it has \
         ended; allocate it again, or keep a process that holds it",
        store.path().display()
    );
    Failure::new("gone", message)
}

/// What an id means now, attached.
fn attach(r: R, text: &str) -> Result<(Store, Arc<Segment>, Payload)> {
    let address = Address::parse(text);
    let store = store_of(r, address.id)?;
    let segment = found(text, store, store.reattach(address.id))?;
    let payload = segment.memory(address.node).ok_or_else(|| gone(text, store))?;
    Ok((store, segment, payload))
}

/// The value that was shared as the segment with this id, as a process that has a reference to all of it opens it.
///
/// # Errors
/// It is gone, or a strategy that it needs is not here.
pub fn open_whole(r: R, text: &str) -> Result<Sexp> {
    let (_, segment, _) = attach(r, text)?;
    let flags = if segment.mode() == Mode::Frozen { Flags::COPY_ON_WRITE } else { Flags::empty() };
    let session = Session::new(r, ShareOptions { flags, ..ShareOptions::usual(r)? });
    Opener::new(&session, registry(), &segment, flags).open(segment.root())
}

/// How many bytes it has, without holding it.
fn measure(r: R, text: &str) -> Result<u64> {
    let address = Address::parse(text);
    let store = store_of(r, address.id)?;
    let (header, table) = found(text, store, store.look(address.id))?;
    table.memory(&header, address.node).map(|payload| payload.len).ok_or_else(|| gone(text, store))
}

fn found<T>(text: &str, store: Store, outcome: std::result::Result<T, AttachError>) -> Result<T> {
    outcome.map_err(|e| match e {
        AttachError::Gone { .. } => gone(text, store),
        other => other.into(),
    })
}

/// Puts it on the list; what is there under the same name and is another, freed since, is let go.
fn hold(store: Store, segment: &Arc<Segment>, mapped: bool) {
    let new = || Held { segment: Arc::clone(segment), store, mapped: false, release: false };
    let mut list = held();
    let entry = list.entry((segment.id(), store.path())).or_insert_with(new);
    let old = (!Arc::ptr_eq(&entry.segment, segment)).then(|| std::mem::replace(entry, new()));
    entry.mapped |= mapped;
    drop(list);
    // Not while the list is locked.
    drop(old);
}

/// Lets go of what others have freed and nobody here has mapped: now and then, when the list has grown.
fn forget_freed() {
    static NEXT: AtomicUsize = AtomicUsize::new(64);
    let mut list = held();
    if list.len() < NEXT.load(Ordering::Relaxed) {
        return;
    }
    let is_freed = |held: &Held| !held.mapped && !held.store.names(&held.segment);
    let keys: Vec<Key> = list.iter().filter(|(_, held)| is_freed(held)).map(|(key, _)| *key).collect();
    let freed: Vec<_> = keys.iter().filter_map(|key| list.remove(key)).collect();
    NEXT.store((2 * list.len()).max(64), Ordering::Relaxed);
    drop(list);
    drop(freed);
}

/// allocateSharedMemory(): the id of `len` bytes of zeros, at least 1, or of what has that name already; an empty name is none.
///
/// # Errors
/// No room, the memory of that name is smaller, or the name is none.
pub fn allocate(r: R, len: u64, name: &str) -> Result<String> {
    forget_freed();
    let store = stores::usual(r)?;
    if name.is_empty() {
        let segment = store.allocate(len, None)?;
        ALLOCATED.fetch_add(1, Ordering::Relaxed);
        hold(store, &segment, false);
        return Ok(segment.id().to_string());
    }
    check_memory_name(name).map_err(|why| Failure::new("argument", why))?;
    if Address::parse(name).node.is_some() {
        return Err(Failure::new(
            "argument",
            format!("'{name}' is an id of a part of shared memory; choose another name"),
        ));
    }
    let segment = store.allocate(len, Some(name))?;
    hold(store, &segment, false);
    Ok(name.to_owned())
}

/// Where the memory is in this process: valid until it is unmapped or freed here. Written only if it was allocated, or shared with
/// copyOnWrite = FALSE.
///
/// # Errors
/// There is no such memory.
pub fn map(r: R, id: &str) -> Result<*mut c_void> {
    map_held(r, id).map(|(_, address)| address)
}

fn map_held(r: R, id: &str) -> Result<(Arc<Segment>, *mut c_void)> {
    forget_freed();
    let (store, segment, payload) = attach(r, id)?;
    hold(store, &segment, true);
    let address = segment.payload(payload).cast_mut().cast();
    Ok((segment, address))
}

/// mapSharedMemory(): the address as an external pointer, behind which the memory stays for as long as R has it.
///
/// # Errors
/// There is no such memory.
pub fn map_pointer(r: R, id: &str) -> Result<Sexp> {
    // SAFETY: allocation; both addresses are filled in below.
    let keeper = call(r, || unsafe { sys::R_MakeExternalPtr(null_mut(), sys::R_NilValue, sys::R_NilValue) })?;
    r.keep(keeper)?;
    // SAFETY: `let_go` takes a null address too.
    call(r, || unsafe { sys::R_RegisterCFinalizerEx(keeper, let_go, 0) })?;
    // SAFETY: the keeper is protected.
    let pointer = call(r, || unsafe { sys::R_MakeExternalPtr(null_mut(), sys::R_NilValue, keeper) })?;
    r.keep(pointer)?;
    let (segment, address) = map_held(r, id)?;
    // SAFETY: an external pointer; from here on its finalizer owns this part of the segment.
    unsafe { libR_sys::R_SetExternalPtrAddr(keeper, Arc::into_raw(segment).cast_mut().cast()) };
    // SAFETY: an external pointer.
    unsafe { libR_sys::R_SetExternalPtrAddr(pointer, address) };
    Ok(Sexp(pointer))
}

/// The finalizer. Runs inside R's collector: calls nothing of R's that allocates.
unsafe extern "C-unwind" fn let_go(keeper: sys::SEXP) {
    // SAFETY: R passes the external pointer it was registered for.
    let address = unsafe { sys::R_ExternalPtrAddr(keeper) };
    if address.is_null() {
        return;
    }
    // SAFETY: as above; a second call finds nothing.
    unsafe { libR_sys::R_ClearExternalPtr(keeper) };
    // SAFETY: `map_pointer` made it of an `Arc`, and this is its only end.
    let segment = unsafe { Arc::from_raw(address.cast_const().cast::<Segment>()) };
    // A panic must not cross R's collector; there is nobody to tell.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(segment)));
}

/// unmapSharedMemory(): pointers from C are invalid from now on. The memory stays, and this process goes on holding it, unless it was
/// freed or is to be released after use.
pub fn unmap(id: &str) {
    let address = Address::parse(id);
    let mut list = held();
    let mut over = Vec::new();
    for key in keys(address.id) {
        let Some(held) = list.get_mut(&key) else { continue };
        held.mapped = false;
        if held.release || !held.store.names(&held.segment) {
            over.extend(list.remove(&key));
        }
    }
    drop(list);
    drop(over);
}

/// freeSharedMemory(): takes the name away, and lets go of it here. Who has it elsewhere keeps it.
///
/// # Errors
/// The store refuses.
pub fn free(r: R, id: &str) -> Result<()> {
    let address = Address::parse(id);
    let store = store_of(r, address.id)?;
    store.free(address.id).map_err(|e| {
        Failure::new(
            "store",
            format!("shared memory '{id}' in the store '{}' cannot be freed: {e}", store.path().display()),
        )
    })?;
    let freed = held().remove(&(address.id, store.path()));
    drop(freed);
    Ok(())
}

/// hasSharedMemory(): whether it is there and anybody holds it, once what waits to be released has gone.
///
/// # Errors
/// The store cannot be used.
pub fn has(r: R, id: &str) -> Result<bool> {
    let address = Address::parse(id);
    let store = store_of(r, address.id)?;
    if !store.has(address.id) {
        return Ok(false);
    }
    store.sweep();
    if address.node.is_none() {
        return Ok(store.has(address.id));
    }
    match measure(r, id) {
        Ok(_) => Ok(true),
        Err(Failure::Error { class: "gone", .. }) => Ok(false),
        Err(e) => Err(e),
    }
}

/// getSharedMemorySize(): its bytes.
///
/// # Errors
/// There is no such memory.
pub fn size(r: R, id: &str) -> Result<f64> {
    measure(r, id).map(|len| len as f64)
}

/// Whether this process has mapped it and not unmapped it since.
pub fn is_mapped(id: &str) -> bool {
    let address = Address::parse(id);
    let list = held();
    keys(address.id).any(|key| list.get(&key).is_some_and(|held| held.mapped))
}

/// Whether it is let go of when it is unmapped; `change` says so.
///
/// # Errors
/// This process has neither allocated nor mapped it.
pub fn release_after_use(r: R, id: &str, change: Option<bool>) -> Result<bool> {
    let address = Address::parse(id);
    let store = store_of(r, address.id)?;
    let mut list = held();
    let Some(held) = list.get_mut(&(address.id, store.path())) else {
        return Err(Failure::new(
            "gone",
            format!("shared memory '{id}' is not mapped in this process; call mapSharedMemory() first"),
        ));
    };
    held.release = change.unwrap_or(held.release);
    Ok(held.release)
}

/// How many segments this process has allocated without a name.
pub fn last_index() -> f64 {
    ALLOCATED.load(Ordering::Relaxed) as f64
}
