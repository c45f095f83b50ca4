//! Payloads of zeros: vectors that are made to be filled.

use std::sync::Arc;

use super::{Backing, Segment, Sink};
use crate::{CreateError, Mode, Node, Payload, Table};

/// Zeros written at a time.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// Writes a payload of `len` zeros, pages and all: what is only promised is SIGBUS later on a full store. `poll` is asked at every MB.
pub(crate) fn zeros<E: From<CreateError>>(
    sink: &mut (impl Sink + ?Sized),
    len: u64,
    mut poll: impl FnMut() -> Result<(), E>,
) -> Result<Payload, E> {
    let payload = sink.begin(len)?;
    if sink.zeros(len)? {
        return Ok(payload);
    }
    let mut left = len;
    while left > 0 {
        let n = left.min(ZEROS.len() as u64);
        sink.append(&ZEROS[..n as usize])?;
        left -= n;
        poll()?;
    }
    Ok(payload)
}

impl Segment {
    /// A sealed segment of one node, whose payload is `len` zeros.
    ///
    /// # Errors
    /// No room, or what `poll` says; nothing is left behind.
    pub fn zeroed<B: Backing, E: From<CreateError>>(
        backing: &B,
        mode: Mode,
        strategy: &'static str,
        node: Node,
        len: u64,
        poll: impl FnMut() -> Result<(), E>,
    ) -> Result<Arc<Segment>, E> {
        let mut writer = backing.writer(mode)?;
        let payload = zeros(&mut writer, len, poll)?;
        let mut table = Table::default();
        let root = table.push(Node { payload, ..node }, strategy, &[]);
        Ok(backing.seal(writer, &table, root)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Heap;

    #[test]
    fn a_segment_of_zeros_has_as_many_as_were_asked_for() {
        for len in [0, 1, 8, 40_000, 3 << 20] {
            let node = Node { length: len, ..Node::default() };
            let made = Segment::zeroed(&Heap, Mode::WriteThrough, "r.raw", node, len, || Ok::<_, CreateError>(()));
            let segment = made.unwrap();
            let node = segment.table().node(segment.root());
            assert_eq!((node.length, node.payload.len), (len, len));
            let start = segment.payload(node.payload);
            // SAFETY: the payload's bytes, which nobody else has.
            assert!((0..len as usize).all(|i| unsafe { start.add(i).read() } == 0));
        }
    }

    #[test]
    fn a_poll_that_refuses_ends_the_work() {
        let mut polls = 0;
        let made = Segment::zeroed(&Heap, Mode::Frozen, "r.raw", Node::default(), 9 << 20, || {
            polls += 1;
            if polls < 3 { Ok(()) } else { Err(CreateError::Spent) }
        });
        assert!(made.is_err());
        assert_eq!(polls, 3);
    }
}
