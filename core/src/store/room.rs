//! Room in a store that has none left: what is tried before that is an error.
//!
//! No lock of ours is held meanwhile: both ways drop segments.

use std::io;
use std::sync::{MutexGuard, OnceLock};

use super::ledger::Slot;
use super::{State, Store};
use crate::{CreateError, SegmentId, StoreError, sys};

/// Ways to make room, the cheaper first. How many segments went.
const WAYS: [fn(&Store) -> usize; 2] = [Store::sweep, Store::relieve];

static RELIEF: OnceLock<fn()> = OnceLock::new();

/// Says what to call when a store is full, before that is an error: it drops views that nobody uses any more, as a collection of R's does. Whichever
/// thread found the store full calls it.
pub fn when_full(relief: fn()) {
    let _ = RELIEF.set(relief);
}

impl Store {
    /// Does it, and if there is no room, once more after each way to make some.
    pub(crate) fn with_room<T>(&self, attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let mut outcome = attempt();
        for make_room in WAYS {
            match &outcome {
                Err(e) if sys::is_full(e) => make_room(self),
                _ => break,
            };
            outcome = attempt();
        }
        outcome
    }

    /// Sees to it before anything is written that `len` bytes fit, making room if they do not.
    pub(crate) fn ensure_room(&self, len: u64) -> Result<(), CreateError> {
        let free = || sys::free_bytes(&self.0.path).unwrap_or(u64::MAX);
        for make_room in WAYS {
            if free() >= len {
                return Ok(());
            }
            make_room(self);
        }
        match free() {
            enough if enough >= len => Ok(()),
            free => Err(CreateError::Full { path: self.0.path.clone(), asked: len, free }),
        }
    }

    /// Has the host let go of what nobody in this process uses any more, and sweeps. How many segments went.
    fn relieve(&self) -> usize {
        RELIEF.get().map_or(0, |relief| {
            relief();
            self.sweep()
        })
    }

    /// Enters a segment in the ledger, making room if there is none. Returns with the state locked, so that what is entered is also made live.
    pub(super) fn enter_with_room(&self, id: SegmentId) -> Result<(MutexGuard<'_, State>, Slot), StoreError> {
        for make_room in WAYS {
            let mut state = self.0.state.lock();
            match self.enter(&mut state, id) {
                Err(StoreError::Unusable { source, .. }) if sys::is_full(&source) => {}
                other => return other.map(|slot| (state, slot)),
            }
            drop(state);
            make_room(self);
        }
        let mut state = self.0.state.lock();
        let slot = self.enter(&mut state, id)?;
        Ok((state, slot))
    }

    /// The error for a write that failed: the store is full, or something else.
    pub(crate) fn write_failed(&self, source: io::Error, asked: u64) -> CreateError {
        let path = self.0.path.clone();
        if source.raw_os_error() == Some(libc::EFBIG) {
            return CreateError::FileSize { path, asked };
        }
        if sys::is_full(&source) {
            let free = sys::free_bytes(&path).unwrap_or(0);
            return CreateError::Full { path, asked, free };
        }
        CreateError::Write { path, asked, source }
    }
}
