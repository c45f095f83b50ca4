//! What a fork and an exit do to the leases of a process, and to what it is making once.
//!
//! `prepare` runs in the parent before the fork and takes our locks, so the child gets them unlocked-to-be; `parent` and `child` run after it.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{MutexGuard, Once};

use super::ledger::Ledger;
use super::{State, Store};
use crate::lock::Lock;
use crate::once::{MakersHeld, makers_before_fork};
use crate::segment::{DraftsHeld, MappingsHeld, drafts_before_fork, mappings_before_fork};

/// Every store this process has opened.
pub(super) static STORES: Lock<Vec<Store>> = Lock::new(Vec::new());

/// Our locks over a fork: no other thread is halfway through anything, in the parent or in what the child inherits.
struct Held {
    _step: Step,
    states: Vec<MutexGuard<'static, State>>,
    _stores: MutexGuard<'static, Vec<Store>>,
    _drafts: DraftsHeld,
    _mappings: MappingsHeld,
    makers: MakersHeld,
}

thread_local! {
    /// The hooks of a fork run on the thread that forks, in the child too.
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Forks on the way from the first process that opened a store to this one, this one's own included.
static FORKS: AtomicU64 = AtomicU64::new(0);
/// [`FORKS`] when this process was born.
static BORN: AtomicU64 = AtomicU64::new(0);

/// Held while a step keeps a file locked, by whichever thread: a child forked amid it would inherit the locked descriptor.
static STEPS: Lock<()> = Lock::new(());

thread_local! {
    /// Steps this thread is in: a finalizer amid one begins another.
    static STEPS_BEGUN: Cell<u32> = const { Cell::new(0) };
}

/// A step under way.
pub(crate) struct Step(Option<MutexGuard<'static, ()>>);

/// Begins a step.
pub(crate) fn step() -> Step {
    let begun = STEPS_BEGUN.get();
    let guard = (begun == 0).then(|| STEPS.lock());
    STEPS_BEGUN.set(begun + 1);
    Step(guard)
}

impl Drop for Step {
    fn drop(&mut self) {
        STEPS_BEGUN.set(STEPS_BEGUN.get() - 1);
        drop(self.0.take());
    }
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
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the functions live as long as the process: the library is linked `nodelete`.
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
        // SAFETY: as above.
        unsafe { libc::atexit(at_exit) };
    });
}

extern "C" fn prepare() {
    let step = step();
    let stores = STORES.lock();
    // A segment may be named on one side of a fork only, so what still waits has its name before, or never.
    stores.iter().for_each(Store::name_waiting);
    let mut states: Vec<_> = stores.iter().map(|store| store.0.state.lock()).collect();
    // Before the fork, so that the child knows it too; after the locks, so that no segment is made in between with a count that is over.
    FORKS.fetch_add(1, Ordering::Relaxed);
    for state in &mut states {
        // An empty ledger has nothing to pass on: the child makes its own when it needs one.
        state.childs = state.ledger.as_ref().filter(|l| !l.is_empty()).and_then(|l| l.twin().ok());
    }
    HELD.set(Some(Held {
        _step: step,
        states,
        _stores: stores,
        _drafts: drafts_before_fork(),
        _mappings: mappings_before_fork(),
        makers: makers_before_fork(),
    }));
}

extern "C" fn parent() {
    after(|state| state.childs = None, |_| {});
}

extern "C" fn child() {
    BORN.store(FORKS.load(Ordering::Relaxed), Ordering::Relaxed);
    // Closes our descriptor of the parent's ledger. If ours could not be made we have none, and the next use republishes.
    // What the parent had still to collect, or to count, the parent does.
    let states = |state: &mut State| {
        state.ledger = state.childs.take();
        state.ledger.iter().for_each(Ledger::sign);
        state.pending.clear();
        state.uncounted.clear();
        state.waiting.clear();
    };
    after(states, MakersHeld::close);
}

fn after(states: impl Fn(&mut State), makers: impl Fn(&mut MakersHeld)) {
    let Some(mut held) = HELD.take() else { return };
    held.states.iter_mut().for_each(|state| states(state));
    makers(&mut held.makers);
}

extern "C" fn at_exit() {
    let Some(stores) = STORES.try_lock().map(|s| s.clone()) else { return };
    for store in stores {
        store.retire();
    }
}
