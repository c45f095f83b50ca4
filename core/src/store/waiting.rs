//! Small frozen segments that have no file yet: most small objects are never sent anywhere, and a file costs more than they do.
//!
//! - Such a segment is complete, in its maker's memory; nobody else knows its id. It is named, by the steps of `publish`, when somebody
//!   else may come to know it: at its first export, before its id is shown, before the store is listed, before a fork.
//! - What cannot be named at a fork (the store is full) never is: parent and child would give two files one name. It travels by value.
//! - What others are to write is never small enough to wait.

use std::sync::{Arc, OnceLock};

use super::ledger::Entry;
use super::{Lease, Live, Store, fork};
use crate::segment::{Backing, Bytes, Finished, Home, Segment, Writer};
use crate::{CreateError, Mode, NodeId, Table, sys};

/// A store where small segments wait for their names.
#[derive(Clone, Copy)]
pub struct Waiting(pub Store);

impl Backing for Waiting {
    type Writer = Writer;

    fn writer(&self, mode: Mode) -> Result<Writer, CreateError> {
        Ok(Writer::waiting(self.0, mode))
    }

    fn seal(&self, writer: Writer, table: &Table, root: NodeId) -> Result<Arc<Segment>, CreateError> {
        match writer.finish(table, root)? {
            Finished { file: None, header, known: Some(known), .. } => {
                let lease =
                    Lease { store: self.0, slot: OnceLock::new(), maker: true, forks: fork::count(), inode: None };
                let segment = Arc::new(Segment::new(header, table.copied(), Bytes::Copied(known), Home::Store(lease)));
                self.0.0.state.lock().waiting.insert(segment.id(), Arc::downgrade(&segment));
                self.0.tidy();
                Ok(segment)
            }
            finished => self.0.publish(finished, table, None),
        }
    }
}

impl Store {
    /// Whether the segment has its name, which it is given if it was waiting for it.
    pub fn named(&self, segment: &Segment) -> bool {
        self.ensure_named(segment).unwrap_or(false)
    }

    /// The same for who cannot do without.
    ///
    /// # Errors
    /// There is no room for its file.
    pub fn ensure_named(&self, segment: &Segment) -> Result<bool, CreateError> {
        let Some(lease) = segment.lease() else { return Ok(false) };
        if lease.slot.get().is_some() {
            return Ok(true);
        }
        if lease.forks != fork::count() {
            return Ok(false);
        }
        self.name(segment, lease).map(|()| true)
    }

    fn name(&self, segment: &Segment, lease: &Lease) -> Result<(), CreateError> {
        let (id, len) = (segment.id(), segment.header().file_len);
        let Some(bytes) = segment.copied() else { unreachable!("what waits is in memory") };
        self.ensure_budget(len)?;
        let file = self.unnamed_file()?;
        self.with_room(len, || sys::write_at(file.file(), bytes, 0)).map_err(|e| self.write_failed(e, len))?;
        let entry = Entry::of(segment.header());
        let (mut state, slot) = self.enter_with_room(entry)?;
        // Another thread may have been first.
        let Some(weak) = state.waiting.get(&id).cloned() else {
            state.ledger.as_mut().expect("entered").clear(slot);
            return Ok(());
        };
        self.link(&mut state, slot, id, file, false).map_err(|e| self.write_failed(e, len))?;
        let _ = lease.slot.set(slot);
        state.waiting.remove(&id);
        state.live.insert(id, Live { segment: weak, entry, slot, claimed: None });
        Ok(())
    }

    /// Names all that wait, as far as there is room.
    pub(super) fn name_waiting(&self) {
        let waiting: Vec<_> = self.0.state.lock().waiting.values().filter_map(std::sync::Weak::upgrade).collect();
        for segment in &waiting {
            self.named(segment);
        }
    }
}
