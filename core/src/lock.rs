//! A mutex that a fork leaves whole.
//!
//! - The standard library's, because a child can unlock it: it knows no other threads. One that lists its waiting threads (parking_lot's
//!   does) hands the lock to a thread that the child does not have, and stays locked for ever.
//! - A panic does not poison it: what it guards is changed in single steps.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

#[derive(Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Lock(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}
