//! The bytes of a segment, as `docs/format.md` lays them down.
//!
//! - Everything here works on byte slices; nothing opens a file.
//! - Bytes are hostile until [`Header::parse`] and [`Table::parse`] have checked them; the nodes of a large table are checked when they are
//!   looked at, and empty if they fail.
//! - Offsets are computed from one another, so the page and the code cannot drift apart unnoticed.

mod control;
mod header;
mod node;
mod rows;
mod table;

pub(crate) use control::Patch;
pub use control::{Control, Sent, TICKET_SLOTS};
pub(crate) use header::is_magic;
pub use header::{Checksums, Header, Mode};
pub use node::{Facts, Node, NodeId, Payload};
pub(crate) use table::Encoded;
pub use table::Table;

/// Where the control block begins.
pub(crate) const CONTROL_AT: u64 = header::LEN as u64;
/// Where the first payload may begin.
pub(crate) const DATA_AT: u64 = CONTROL_AT + control::LEN as u64;
/// Every payload and the node table begin at a multiple of this.
pub(crate) const ALIGN: u64 = 64;
/// Payloads from this size begin at a multiple of [`PAGE`], so that private pages of neighbours do not meet.
pub(crate) const LARGE: u64 = 32 << 10;
/// From this size a payload begins on a line of the processor's cache; smaller ones lie close together.
const MEDIUM: u64 = 1 << 10;

/// What the offset of a payload of `len` bytes is a multiple of.
pub(crate) fn alignment(len: u64) -> u64 {
    match len {
        LARGE.. => PAGE,
        MEDIUM.. => ALIGN,
        _ => 16,
    }
}
/// Alignment of large payloads. A constant of the format, not the machine's page size.
pub(crate) const PAGE: u64 = 4096;

/// Values within values, at most. A writer refuses to go deeper and a reader does not believe it: each level takes stack, a thread has
/// 2 MiB of it, and a chain that is a cycle never ends.
pub const DEEPEST: usize = 1_200;

/// `at` moved up to a multiple of `align`, a power of two.
pub(crate) const fn align_up(at: u64, align: u64) -> u64 {
    (at + align - 1) & !(align - 1)
}

/// Little-endian numbers at fixed places of a slice that is long enough (the callers' lengths are constants).
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_format_page() {
        assert_eq!((CONTROL_AT, DATA_AT), (128, 1216));
        assert_eq!(DATA_AT % ALIGN, 0);
    }
}
