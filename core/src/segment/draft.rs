//! One vector that its only maker still writes: mapped shared, without a name, sealed at its first export.

use std::fs::File;
use std::sync::Arc;

use memmap2::{MmapMut, MmapOptions};

use super::unfork::{Place, Registered};
use super::zeros::zeros;
use super::{Segment, Sink, Writer};
use crate::{Backing, CreateError, Mode, Node, Payload, SegmentId, Store, Table};

/// A segment of one payload that is still written through a pointer.
///
/// - Nobody else can find it, so there is one writer.
/// - Its space is written, not merely promised, before it is mapped: a full store is an error here, never SIGBUS later.
/// - Across a fork, parent and child each have it for themselves: see `unfork`.
/// - [`Draft::seal`] makes it frozen. The pointer stays valid, and the bytes must not be written any more.
pub struct Draft {
    /// `None` once it was sealed. Goes before the mapping does.
    registered: Option<Registered>,
    /// `None` once sealing was tried.
    writer: Option<Writer>,
    /// `None` once it was sealed: the segment has it.
    map: Option<MmapMut>,
    pointer: *mut u8,
    payload: Payload,
    store: Store,
}

impl Draft {
    /// A draft that begins as a copy of `bytes`.
    ///
    /// # Errors
    /// No room, or no memory to map it.
    pub fn new(store: Store, bytes: &[u8]) -> Result<Draft, CreateError> {
        let (writer, payload) = write(store, bytes)?;
        Self::map(store, writer, payload)
    }

    /// A draft of `len` zero bytes. `poll` is asked now and then whether to go on.
    ///
    /// # Errors
    /// No room, no memory to map it, or what `poll` says.
    pub fn zeroed<E: From<CreateError>>(
        store: Store,
        len: u64,
        poll: impl FnMut() -> Result<(), E>,
    ) -> Result<Draft, E> {
        let mut writer = store.writer(Mode::Frozen)?;
        let payload = zeros(&mut writer, len, poll)?;
        writer.flush()?;
        Ok(Self::map(store, writer, payload)?)
    }

    fn map(store: Store, writer: Writer, payload: Payload) -> Result<Draft, CreateError> {
        let id = writer.id();
        let len = payload.len;
        // SAFETY: the file has no name and this is its only mapping, so nobody else reads or writes it.
        let map = unsafe { MmapOptions::new().offset(payload.offset).len(len.max(1) as usize).map_mut(writer.file()) };
        let map = map.map_err(|source| CreateError::Map { id, len, source })?;
        let registered = Registered::new(Place::of(&map, payload.offset, writer.file()));
        let pointer = map.as_ptr().cast_mut();
        Ok(Draft { pointer, registered: Some(registered), writer: Some(writer), map: Some(map), payload, store })
    }

    /// Where its bytes are, aligned to 64, valid while the draft, or the segment sealed from it, lives.
    pub fn pointer(&self) -> *mut u8 {
        self.pointer
    }

    /// Bytes it holds.
    pub fn len(&self) -> u64 {
        self.payload.len
    }

    /// The id it will be sealed under, unless the process forks before; `None` once sealing has failed.
    pub fn id(&self) -> Option<SegmentId> {
        self.writer.as_ref().map(Writer::id)
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.payload.len == 0
    }

    /// Seals it as a segment of one node. `node`'s payload is filled in.
    ///
    /// # Errors
    /// No room for the node table, or the store is gone. The draft stays readable and writable, but cannot be sealed any more.
    pub fn seal(&mut self, strategy: &'static str, node: Node) -> Result<Arc<Segment>, CreateError> {
        let writer = self.writer.as_ref().ok_or(CreateError::Spent)?;
        let file = writer.file().try_clone().map_err(|e| self.store.write_failed(e, self.payload.len))?;
        let (Some(mut writer), Some(registered)) = (self.writer.take(), &self.registered) else {
            return Err(CreateError::Spent);
        };
        if registered.place().is_forked() {
            // The file is what both sides of the fork read where neither has written: neither may write it again.
            // SAFETY: the mapping is as long as the payload, and nobody writes it while we are here.
            let bytes = unsafe { std::slice::from_raw_parts(self.pointer, self.payload.len as usize) };
            writer = write(self.store, bytes)?.0;
        }
        let sealed = self.publish(writer, strategy, node);
        if sealed.is_err() {
            self.keep_to_itself(&file);
        }
        self.registered = None;
        sealed
    }

    fn publish(&mut self, writer: Writer, strategy: &'static str, node: Node) -> Result<Arc<Segment>, CreateError> {
        let mut table = Table::default();
        let root = table.push(Node { payload: self.payload, ..node }, strategy, &[]);
        self.store.publish(writer.finish(&table, root)?, &table, Some((&mut self.map, self.payload.offset)))
    }

    /// Without its file, a later fork could not part it.
    fn keep_to_itself(&mut self, file: &File) {
        if let Some(registered) = &self.registered {
            registered.place().part(file);
        }
    }
}

/// A payload of `bytes` in a new file. Its place is the same whatever the bytes.
fn write(store: Store, bytes: &[u8]) -> Result<(Writer, Payload), CreateError> {
    let mut writer = store.writer(Mode::Frozen)?;
    let payload = writer.begin(bytes.len() as u64)?;
    writer.append(bytes)?;
    writer.flush()?;
    Ok((writer, payload))
}
