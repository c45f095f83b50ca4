//! Writing a value into a segment: one pass, payloads first, the node table last.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::format::DEEPEST;
use crate::segment::zeros;
use crate::{
    Backing, ByAddress, DispatchError, Flags, Host, Mode, Node, NodeId, Payload, Registry, Segment, Sink, Table,
};

/// Shares a value: chooses strategies, writes, lets the host [finish](Host::finish), seals. Nothing is left behind on an error.
///
/// # Errors
/// The host's: no strategy, no room, or interrupted.
pub fn share<H: Host, B: Backing>(
    host: &H,
    registry: &Registry<H>,
    backing: &B,
    value: H::Value,
    flags: Flags,
) -> Result<Arc<Segment>, H::Error> {
    write(host, registry, backing, flags, |out| out.encode(value))
}

/// The same of what `root` describes, which may be no value of the host's.
///
/// # Errors
/// As [`share`], and those of `root`.
pub fn write<H: Host, B: Backing>(
    host: &H,
    registry: &Registry<H>,
    backing: &B,
    flags: Flags,
    root: impl FnOnce(&mut Encoder<'_, H>) -> Result<NodeId, H::Error>,
) -> Result<Arc<Segment>, H::Error> {
    let mode = if flags.contains(Flags::COPY_ON_WRITE) { Mode::Frozen } else { Mode::WriteThrough };
    let mut writer = backing.writer(mode)?;
    let table = SPARE.take().unwrap_or_default();
    let mut encoder = Encoder { host, registry, sink: &mut writer, table, seen: HashMap::default(), depth: 0 };
    let root = root(&mut encoder)?;
    host.finish(&mut encoder)?;
    let table = encoder.table;
    let segment = backing.seal(writer, &table, root)?;
    spare(table);
    Ok(segment)
}

thread_local! {
    /// The memory of the last table: fresh pages are dearer than what is written to them.
    static SPARE: Cell<Option<Table>> = const { Cell::new(None) };
}

/// Bytes that are kept from one table to the next, at most.
const SPARED: usize = 4 << 20;

fn spare(mut table: Table) {
    if table.capacity() <= SPARED {
        table.clear();
        SPARE.set(Some(table));
    }
}

/// What a strategy writes to: payloads, nodes, and other values.
pub struct Encoder<'a, H: Host + 'static> {
    host: &'a H,
    registry: &'a Registry<H>,
    sink: &'a mut dyn Sink,
    table: Table,
    /// Nodes of values met before, by identity.
    seen: HashMap<usize, NodeId, ByAddress>,
    depth: usize,
}

/// Elements streamed at a time when a source has no pointer: what a core's own cache holds.
const CHUNK: usize = 256 << 10;
/// Bytes written between two polls.
const POLL: usize = 16 << 20;

impl<H: Host> Encoder<'_, H> {
    /// Writes another value, whichever strategy it takes. One object met twice is one node.
    ///
    /// # Errors
    /// Those of the strategy.
    pub fn encode(&mut self, value: H::Value) -> Result<NodeId, H::Error> {
        let identity = self.host.identity(value);
        let seen = identity.and_then(|i| self.seen.get(&i));
        if let Some(node) = seen.filter(|node| self.host.stands(&self.table.node(**node))) {
            return Ok(*node);
        }
        if self.depth == DEEPEST {
            return Err(DispatchError::TooDeep { what: self.host.describe(value), deepest: DEEPEST }.into());
        }
        self.host.descend(self.depth)?;
        self.depth += 1;
        let node = self.registry.choose(self.host, value)?.encode(self.host, value, self);
        self.depth -= 1;
        let node = node?;
        if let Some(identity) = identity {
            self.seen.insert(identity, node);
        }
        Ok(node)
    }

    /// Says that so many values are about to come: memory is asked for once.
    pub fn expect(&mut self, values: usize) {
        self.table.expect(values);
    }

    /// Writes a payload that is in memory.
    ///
    /// # Errors
    /// No room, or interrupted.
    pub fn payload(&mut self, bytes: &[u8]) -> Result<Payload, H::Error> {
        let payload = self.sink.begin(bytes.len() as u64)?;
        self.write(bytes)?;
        Ok(payload)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), H::Error> {
        for chunk in bytes.chunks(POLL) {
            self.sink.append(chunk)?;
            if bytes.len() > POLL {
                self.host.poll()?;
            }
        }
        Ok(())
    }

    /// Writes a payload that lies in several pieces.
    ///
    /// # Errors
    /// No room, or interrupted.
    pub fn payload_of<'p>(&mut self, pieces: impl Iterator<Item = &'p [u8]> + Clone) -> Result<Payload, H::Error> {
        let payload = self.sink.begin(pieces.clone().map(|piece| piece.len() as u64).sum())?;
        for piece in pieces {
            self.write(piece)?;
        }
        Ok(payload)
    }

    /// Writes a payload of `len` zeros.
    ///
    /// # Errors
    /// No room, or interrupted.
    pub fn zeros(&mut self, len: u64) -> Result<Payload, H::Error> {
        zeros(&mut *self.sink, len, || self.host.poll())
    }

    /// Writes a payload of `len` bytes that is not in memory: `fill(offset, buffer)` makes it piece by piece, in order.
    /// Every piece but the last is a multiple of 16 bytes.
    ///
    /// # Errors
    /// No room, interrupted, or what `fill` says.
    pub fn payload_from(
        &mut self,
        len: u64,
        mut fill: impl FnMut(u64, &mut [u8]) -> Result<(), H::Error>,
    ) -> Result<Payload, H::Error> {
        let payload = self.sink.begin(len)?;
        // Sixteen-byte units give the buffer the alignment of every element type.
        let mut buffer = vec![0u128; CHUNK.min(len as usize).div_ceil(16)];
        let (mut at, mut unpolled) = (0, 0);
        while at < len {
            let n = CHUNK.min((len - at) as usize);
            let piece = &mut bytes_of(&mut buffer)[..n];
            fill(at, piece)?;
            self.sink.append(piece)?;
            (at, unpolled) = (at + n as u64, unpolled + n);
            if unpolled >= POLL {
                unpolled = 0;
                self.host.poll()?;
            }
        }
        Ok(payload)
    }

    /// A node by a number that came from outside; `None` if none of that number was added.
    pub fn get(&self, number: u32) -> Option<NodeId> {
        self.table.get(number)
    }

    /// A node that was added.
    pub fn written(&self, node: NodeId) -> Node {
        self.table.node(node)
    }

    /// Adds a node. `strategy` is the name of the caller, whose `open` will be asked for it.
    ///
    /// # Errors
    /// More parts than a segment numbers.
    pub fn node(&mut self, strategy: &'static str, node: Node, children: &[NodeId]) -> Result<NodeId, H::Error> {
        let id = self.table.push(node, strategy, children);
        if !self.table.fits() {
            return Err(crate::CreateError::TooManyParts { parts: self.table.len() }.into());
        }
        Ok(id)
    }
}

fn bytes_of(buffer: &mut [u128]) -> &mut [u8] {
    // SAFETY: any bytes are valid u8s, u8 needs no alignment, and the length is the same memory's.
    unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast(), size_of_val(buffer)) }
}

#[cfg(test)]
mod tests {
    use super::share;
    use crate::fake::{Fake, registry};
    use crate::{Flags, Heap, open};

    #[test]
    fn what_is_put_off_is_written_after_the_value_into_the_same_segment_and_once() {
        let host = Fake::default();
        let (both, late) = (host.numbers(&[1.0, 2.0]), host.numbers(&[3.0]));
        let value = host.list(&[both]);
        host.put_off(host.list(&[both, late]));
        let segment = share(&host, registry(), &Heap, value, Flags::default()).unwrap();
        assert_eq!(segment.table().len(), 4);
        assert_eq!(host.show(open(&host, registry(), &segment, segment.root()).unwrap()), "[[1, 2]]");
    }

    #[test]
    fn an_error_in_what_is_put_off_is_the_error_of_the_whole() {
        let host = Fake::default();
        host.put_off(host.odd());
        share(&host, registry(), &Heap, host.numbers(&[1.0]), Flags::default()).unwrap_err();
    }
}
