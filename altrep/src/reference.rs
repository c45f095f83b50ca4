//! What travels between processes in place of the data: 56 bytes, and the store's directory if it is not the usual one, or the path of the file that has it for good.
//!
//! It is the state R's serialize() writes for a view; `docs/format.md` has the layout. Bytes from outside are checked; what is left unsaid here
//! is checked at attach.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cowshed_core::{Flags, Machine, SegmentId, Ticket, usual_store_path};

const VERSION: u8 = 2;
const FIXED: usize = 56;

/// A view, as another process can make it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) id: SegmentId,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) flags: Flags,
    pub(crate) node: u32,
    /// Whether the node is of another package's strategy, and the view is of a part of its bytes.
    pub(crate) part: bool,
    /// First element and number of elements of the view within its node.
    pub(crate) start: u64,
    pub(crate) len: u64,
    /// Where it was made. On any other it is not looked for: there, the same name may be of other memory.
    pub(crate) machine: Machine,
    /// The directory of its store; or, `stored`, the path of its own file.
    pub(crate) store: Cow<'static, Path>,
    pub(crate) stored: bool,
}

impl Reference {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let elsewhere = if self.stored { 2 } else { (self.store != usual_store_path()).into() };
        let mut b = Vec::with_capacity(FIXED);
        b.extend([VERSION, self.flags.bits(), elsewhere, self.part.into()]);
        b.extend(self.node.to_le_bytes());
        b.extend(self.id.bytes());
        for number in [self.ticket.map_or(0, Ticket::bits), self.start, self.len, self.machine.bits()] {
            b.extend(number.to_le_bytes());
        }
        if elsewhere > 0 {
            b.extend(self.store.as_os_str().as_bytes());
        }
        b
    }

    /// `None` if they are not the bytes of a reference of this version.
    pub(crate) fn parse(b: &[u8]) -> Option<Reference> {
        let (fixed, rest) = b.split_at_checked(FIXED)?;
        let u64_at = |at: usize| u64::from_le_bytes(fixed[at..at + 8].try_into().expect("8 bytes"));
        let store = match fixed[2] {
            0 if rest.is_empty() => usual_store_path().into(),
            1 | 2 if rest.first() == Some(&b'/') => Path::new(OsStr::from_bytes(rest)).to_owned().into(),
            _ => return None,
        };
        let reference = Reference {
            id: SegmentId::from_bytes(fixed[8..24].try_into().expect("16 bytes")),
            ticket: Ticket::from_bits(u64_at(24)),
            flags: Flags::from_bits(fixed[1])?,
            part: fixed[3] == 1,
            node: u32::from_le_bytes(fixed[4..8].try_into().expect("4 bytes")),
            start: u64_at(32),
            len: u64_at(40),
            machine: Machine::from_bits(u64_at(48)),
            store,
            stored: fixed[2] == 2,
        };
        (fixed[0] == VERSION && fixed[3] <= 1).then_some(reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(store: Cow<'static, Path>) -> Reference {
        Reference {
            id: SegmentId::random(),
            ticket: Some(Ticket::random()),
            flags: Flags::COPY_ON_WRITE | Flags::SHARED_COPY,
            node: 7,
            part: true,
            start: 1 << 40,
            len: 3,
            machine: Machine::from_bits(0x0123_4567_89ab_cdef),
            stored: false,
            store,
        }
    }

    #[test]
    fn a_reference_reads_back_and_in_the_usual_store_is_56_bytes() {
        let usual = reference(usual_store_path().into());
        assert_eq!(usual.bytes().len(), 56);
        let stored = Reference { stored: true, ..reference(Path::new("/tmp/ä/x.cowshed").into()) };
        for r in [usual, reference(Path::new("/tmp/ä/cowshed-0").into()), stored] {
            assert_eq!(Reference::parse(&r.bytes()), Some(r));
        }
    }

    #[test]
    fn what_is_cut_longer_or_of_another_version_is_no_reference() {
        let bytes = reference(usual_store_path().into()).bytes();
        assert!((0..FIXED).all(|n| Reference::parse(&bytes[..n]).is_none()));
        assert_eq!(Reference::parse(&[&bytes[..], b"x"].concat()), None);
        for version in [0, 1, 3, 255] {
            assert_eq!(Reference::parse(&[&[version], &bytes[1..]].concat()), None);
        }
        assert_eq!(Reference::parse(&[&[VERSION, 255], &bytes[2..]].concat()), None);
    }

    #[test]
    fn the_machine_is_in_the_last_eight_bytes_and_any_number_is_one() {
        let bytes = reference(usual_store_path().into()).bytes();
        assert_eq!(bytes[48..], 0x0123_4567_89ab_cdef_u64.to_le_bytes());
        for bits in [0, 1, u64::MAX] {
            let parsed = Reference::parse(&[&bytes[..48], &bits.to_le_bytes()].concat());
            assert_eq!(parsed.map(|r| r.machine.bits()), Some(bits));
        }
    }
}
