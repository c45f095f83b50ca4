//! What travels in place of data: the bytes of a reference (`docs/format.md`), and what they refer to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cowshed_core::{
    AttachError, Kind, Machine, Segment, SegmentId, Store, StoredError, Ticket, open_stored, usual_store_path,
};
use pyo3::prelude::*;

use crate::failure::{Failure, Result};
use crate::nodes::Nodes;
use crate::value::{Data, Value};

const VERSION: u8 = 2;
const FIXED: usize = 56;

/// A vector or list in a segment.
struct Reference {
    id: SegmentId,
    ticket: Option<Ticket>,
    node: u32,
    /// Whether the node is of another package's strategy.
    part: bool,
    start: u64,
    len: u64,
    machine: Machine,
    /// The directory of its store; or, `stored`, the path of its own file.
    place: PathBuf,
    stored: bool,
}

impl Reference {
    /// `None` if they are not the bytes of a reference of this version.
    fn parse(bytes: &[u8]) -> Option<Reference> {
        let (fixed, rest) = bytes.split_at_checked(FIXED)?;
        let u64_at = |at: usize| u64::from_le_bytes(fixed[at..at + 8].try_into().expect("8 bytes"));
        let place = match fixed[2] {
            0 if rest.is_empty() => usual_store_path(),
            1 | 2 if rest.first() == Some(&b'/') => Path::new(OsStr::from_bytes(rest)),
            _ => return None,
        };
        let reference = Reference {
            id: SegmentId::from_bytes(fixed[8..24].try_into().expect("16 bytes")),
            ticket: Ticket::from_bits(u64_at(24)),
            node: u32::from_le_bytes(fixed[4..8].try_into().expect("4 bytes")),
            part: fixed[3] == 1,
            start: u64_at(32),
            len: u64_at(40),
            machine: Machine::from_bits(u64_at(48)),
            place: place.to_owned(),
            stored: fixed[2] == 2,
        };
        (fixed[0] == VERSION && fixed[3] <= 1 && !place.as_os_str().as_bytes().contains(&0)).then_some(reference)
    }

    fn attach(&self) -> Result<Arc<Segment>> {
        if self.stored {
            let segment = open_stored(&self.place)?;
            if segment.id() != self.id {
                return Err(StoredError::Replaced { path: self.place.clone() }.into());
            }
            return Ok(segment);
        }
        if !self.machine.may_be(Machine::this()) {
            return Err(AttachError::Machine { id: self.id }.into());
        }
        // Never made: the bytes may say any directory.
        let store = Store::find(&self.place)?;
        let store = store.ok_or_else(|| AttachError::Gone { id: self.id, store: self.place.clone() })?;
        Ok(store.attach(self.id, self.ticket)?)
    }
}

/// What `bytes`, the state of an object of one of R's classes of ours, refer to.
pub(crate) fn open(py: Python<'_>, class: &str, bytes: &[u8], depth: usize) -> Result<Data> {
    let Some(reference) = Reference::parse(bytes) else {
        let why = "a shared object's reference is damaged or of another version of cowshed; use the same cowshed in every process";
        return Err(Failure::new(Kind::Version, why));
    };
    let segment = reference.attach()?;
    let data = match segment.table().get(reference.node) {
        Some(node) => {
            Nodes::new(py, &segment, depth).part(node, class, reference.part, reference.start, reference.len)?
        }
        None => None,
    };
    data.ok_or_else(|| {
        let why = format!("segment {} has no such vector as its reference says; share the object again", reference.id);
        Failure::new(Kind::Corrupt, why)
    })
}

/// The whole object that a segment is.
pub(crate) fn root(py: Python<'_>, segment: &Arc<Segment>) -> Result<Value> {
    Nodes::new(py, segment, 0).open(segment.root())
}
