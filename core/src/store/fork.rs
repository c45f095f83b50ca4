//! What a fork and an exit do to the leases of a process.
//!
//! `prepare` runs in the parent before the fork and takes our locks, so the child gets them unlocked-to-be; `parent` and `child` run after it.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, ReentrantMutex, ReentrantMutexGuard};

use super::Store;

/// Every store this process has opened.
pub(super) static STORES: Mutex<Vec<Store>> = Mutex::new(Vec::new());

/// Forks on the way from the first process that opened a store to this one, this one's own included.
static FORKS: AtomicU64 = AtomicU64::new(0);
/// [`FORKS`] when this process was born.
static BORN: AtomicU64 = AtomicU64::new(0);

/// Held while a step keeps a segment locked, by whichever thread: a child forked amid it would inherit the locked descriptor.
static STEPS: ReentrantMutex<()> = ReentrantMutex::new(());

/// Begins a step. A finalizer amid one begins another.
pub(super) fn step() -> ReentrantMutexGuard<'static, ()> {
    STEPS.lock()
}

/// How often this process has forked, and its ancestors before it was born.
pub(super) fn count() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// The count at this process's birth: what was made at a lower one, an ancestor made.
pub(super) fn born() -> u64 {
    BORN.load(Ordering::Relaxed)
}

/// Registers the hooks, once a process; a forked child has them by inheritance.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the functions live as long as the process: the library is linked `nodelete`.
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
        // SAFETY: as above.
        unsafe { libc::atexit(at_exit) };
    });
}

extern "C" fn prepare() {
    std::mem::forget(step());
    let stores = STORES.lock();
    // Before the fork, so that the child knows it too; after the locks, so that no segment is made in between with a count that is over.
    let states: Vec<_> = stores.iter().map(|store| store.0.state.lock()).collect();
    FORKS.fetch_add(1, Ordering::Relaxed);
    for mut state in states {
        // An empty ledger has nothing to pass on: the child makes its own when it needs one.
        state.childs = state.ledger.as_ref().filter(|l| !l.is_empty()).and_then(|l| l.twin().ok());
        // Held over the fork, so that no other thread is halfway through; `after` unlocks.
        std::mem::forget(state);
    }
    std::mem::forget(stores);
    crate::segment::before_fork();
}

extern "C" fn parent() {
    after(|state| state.childs = None);
}

extern "C" fn child() {
    BORN.store(FORKS.load(Ordering::Relaxed), Ordering::Relaxed);
    // Closes our descriptor of the parent's ledger. If ours could not be made we have none, and the next use republishes.
    // What the parent had still to collect, the parent collects.
    after(|state| {
        state.ledger = state.childs.take();
        state.pending.clear();
    });
}

fn after(f: impl Fn(&mut super::State)) {
    crate::segment::after_fork();
    // SAFETY: `prepare` locked and forgot the guard on this same thread, so the data is ours.
    let stores = unsafe { &*STORES.data_ptr() };
    for store in stores {
        // SAFETY: as above.
        f(unsafe { &mut *store.0.state.data_ptr() });
        // SAFETY: as above; this thread holds the lock.
        unsafe { store.0.state.force_unlock() };
    }
    // SAFETY: as above.
    unsafe { STORES.force_unlock() };
    // SAFETY: as above.
    unsafe { STEPS.force_unlock() };
}

extern "C" fn at_exit() {
    let Some(stores) = STORES.try_lock().map(|s| s.clone()) else { return };
    for store in stores {
        store.retire();
    }
}
