//! Room in a store that has none left: what is tried before that is an error.
//!
//! - There is none when the file system is full, when the store's budget is spent, which a user may set below it, or when the store is in memory and
//!   the machine, or our container, has none left.
//! - References in flight that nobody has claimed give way last, and the ones that would end first go first (`press`).
//! - No lock of ours is held meanwhile: all ways drop segments.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, OnceLock};

use super::ledger::{Entry, Slot};
use super::{State, Store};
use crate::{CreateError, StoreError, headroom, sys};

/// Ways to make room for so many bytes, the gentler first. How many segments went.
const WAYS: [fn(&Store, u64) -> usize; 3] = [|store, _| store.sweep(), |store, _| store.relieve(), Store::press];
/// The same after a call failed, perhaps for another reason: references give way only if the file system says itself that it is full.
const AFTER_A_FAILURE: [fn(&Store, u64) -> usize; 3] =
    [
        WAYS[0],
        WAYS[1],
        |store, wanted| {
            if sys::is_short(store.path(), wanted + PAGES) { store.press(wanted) } else { 0 }
        },
    ];
/// What a small segment and its ledger take beside its bytes.
const PAGES: u64 = 64 << 10;

static RELIEF: OnceLock<fn()> = OnceLock::new();

/// Says what to call when memory is to be given back: it drops views that nobody uses any more, as a collection of R's does. Whichever thread found
/// the store full, or holds much, calls it.
pub fn when_full(relief: fn()) {
    let _ = RELIEF.set(relief);
}

/// Has the host let go of what nobody uses any more.
pub(crate) fn let_go() {
    if let Some(relief) = RELIEF.get() {
        relief();
    }
}

/// No room, and how many bytes too few there are.
struct Shortage {
    bytes: u64,
    error: CreateError,
}

impl Store {
    /// How many bytes the files of this store may have in all, as far as this process may add to them. `None`: what its file system has room for.
    pub fn set_budget(&self, bytes: Option<u64>) {
        self.0.budget.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Does it, and if there is no room for `wanted` bytes (or as few as there may be), again after each way to make some.
    pub(crate) fn with_room<T>(&self, wanted: u64, attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
        self.with_room_unless(wanted, sys::is_full, attempt)
    }

    /// The same where another error says that there is no room.
    pub(super) fn with_room_unless<T, E>(
        &self,
        wanted: u64,
        full: impl Fn(&E) -> bool,
        attempt: impl Fn() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut outcome = attempt();
        for make_room in AFTER_A_FAILURE {
            loop {
                match &outcome {
                    Err(e) if full(e) => {}
                    _ => return outcome,
                }
                let gone = make_room(self, wanted);
                outcome = attempt();
                if gone == 0 {
                    break;
                }
            }
        }
        outcome
    }

    /// Sees to it before `asked` bytes are written that they fit, behind those of the same segment `written` already; makes room if they do not.
    pub(crate) fn ensure_room(&self, asked: u64, written: u64) -> Result<(), CreateError> {
        self.relieved(|| {
            let short = self.shortage_of_space(asked).or_else(|| self.shortage_of_budget(asked + written));
            short.or_else(|| self.shortage_of_memory(asked))
        })
    }

    /// The same for a segment of `len` bytes that are all written: only the budget could be short.
    pub(crate) fn ensure_budget(&self, len: u64) -> Result<(), CreateError> {
        self.relieved(|| self.shortage_of_budget(len))
    }

    fn relieved(&self, shortage: impl Fn() -> Option<Shortage>) -> Result<(), CreateError> {
        let mut short = shortage();
        for make_room in WAYS {
            match &short {
                Some(Shortage { bytes, .. }) => make_room(self, *bytes),
                None => return Ok(()),
            };
            short = shortage();
        }
        short.map_or(Ok(()), |short| Err(short.error))
    }

    fn shortage_of_space(&self, asked: u64) -> Option<Shortage> {
        let free = sys::free_bytes(self.path()).unwrap_or(u64::MAX);
        let error = || CreateError::Full { path: self.path().to_owned(), asked, free };
        (asked > free).then(|| Shortage { bytes: asked - free, error: error() })
    }

    /// Of what is small against any machine's memory nobody asks.
    fn shortage_of_memory(&self, asked: u64) -> Option<Shortage> {
        if !self.0.in_memory || asked < headroom::MUCH {
            return None;
        }
        let left = headroom::left();
        let error = || CreateError::Memory { path: self.path().to_owned(), asked, left };
        (asked > left).then(|| Shortage { bytes: asked - left, error: error() })
    }

    fn shortage_of_budget(&self, asked: u64) -> Option<Shortage> {
        let budget = self.0.budget.load(Ordering::Relaxed);
        if budget == u64::MAX {
            return None;
        }
        let used = self.used();
        let bytes = used.saturating_add(asked).saturating_sub(budget);
        let error = || CreateError::Budget { path: self.path().to_owned(), asked, used, budget };
        (bytes > 0).then(|| Shortage { bytes, error: error() })
    }

    /// Has the host let go of what nobody in this process uses any more, and sweeps. How many segments went.
    pub(super) fn relieve(&self) -> usize {
        let_go();
        self.sweep()
    }

    /// Enters a segment in the ledger, making room if there is none. Returns with the state locked, so that what is entered is also made live.
    pub(super) fn enter_with_room(&self, entry: Entry) -> Result<(MutexGuard<'_, State>, Slot), StoreError> {
        for make_room in AFTER_A_FAILURE {
            let mut state = self.0.state.lock();
            match self.enter(&mut state, entry) {
                Err(StoreError::Full { .. }) => {}
                other => return other.map(|slot| (state, slot)),
            }
            drop(state);
            make_room(self, 1);
        }
        let mut state = self.0.state.lock();
        let slot = self.enter(&mut state, entry)?;
        Ok((state, slot))
    }

    /// The error for a write that failed: the store is full, or something else.
    pub(crate) fn write_failed(&self, source: io::Error, asked: u64) -> CreateError {
        let path = self.0.path.clone();
        if sys::is_too_large(&source) {
            return CreateError::FileSize { path, asked };
        }
        if sys::is_full(&source) {
            return self.full(asked);
        }
        CreateError::Write { path, asked, source }
    }

    pub(super) fn full(&self, asked: u64) -> CreateError {
        CreateError::Full { path: self.0.path.clone(), asked, free: sys::free_bytes(&self.0.path).unwrap_or(0) }
    }
}
