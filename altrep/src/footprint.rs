//! What sharing costs and saves: for sharedMemoryReport().

use cowshed_core::{Holding, Reported, bytes_over};

use crate::boundary::{R, Result};
use crate::{memory, stores, verbs};

/// A segment, and what this process has of it.
#[derive(Debug, Clone)]
pub struct Cost {
    /// The segment, who holds it, and how often it was sent.
    pub reported: Reported,
    /// Views in this process. A list is one, each of its elements that was looked at another.
    pub views: usize,
    /// Bytes that those have privately, because they were written or had to be copied.
    pub copied: u64,
}

/// What the store share() would use now has, after collecting; and the processes that hold it.
///
/// # Errors
/// It cannot be used.
pub fn footprint(r: R) -> Result<(Vec<Cost>, Vec<Holding>)> {
    let store = stores::usual(r)?;
    let unlistable = verbs::unlistable(store);
    let reported = store.report().map_err(&unlistable)?;
    let (readers, copied) = (store.readers(), bytes_over());
    let cost = |reported: Reported| {
        let id = reported.listed.id;
        let readers = readers.get(&id).copied().unwrap_or(0);
        let views = readers.saturating_sub(memory::is_held(store, id).into());
        Cost { views, copied: copied.get(&id).copied().unwrap_or(0), reported }
    };
    let costs = reported.into_iter().map(cost).collect();
    Ok((costs, store.holdings().map_err(&unlistable)?))
}
