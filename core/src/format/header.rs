//! The first 128 bytes: what a segment is and where its node table lies.

use super::node::NODE_LEN;
use super::table::checksums_len;
use super::{ALIGN, DATA_AT, u32_at, u64_at};
use crate::{FormatError, SegmentId};

/// Bytes of a header.
pub(crate) const LEN: usize = 128;
const MAGIC: [u8; 8] = *b"cowshed\n";
const VERSION: u32 = 1;
const CRC_AT: usize = LEN - 4;
const ORDER: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };

/// Whether a payload may change after sealing. For life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Never: views are copy-on-write.
    Frozen,
    /// By every holder, seen by every holder.
    WriteThrough,
}

/// The header of a sealed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its id, also its file name.
    pub id: SegmentId,
    /// Frozen or write-through.
    pub mode: Mode,
    /// Bytes in the whole file.
    pub file_len: u64,
    /// Where the node table begins.
    pub table_offset: u64,
    /// Nodes in it.
    pub node_count: u32,
    /// Entries in its child array.
    pub child_count: u32,
    /// Bytes of its name array.
    pub names_len: u32,
    /// Which node share() was called on.
    pub root: u32,
    /// Seconds since 1970.
    pub created: u64,
    /// The maker's user.
    pub uid: u32,
    /// The maker's process, in its own pid space.
    pub pid: u32,
    /// CRC-32 of the node table's names and checksums.
    pub index_crc: u32,
    /// Those of the payloads.
    pub checksums: Checksums,
}

/// Where the checksums of the payloads are: in stored segments that are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksums {
    /// Where they begin; 0 if there are none.
    pub offset: u64,
    /// The CRC-32 of them.
    pub crc: u32,
}

impl Checksums {
    /// Bytes of the file that have one checksum.
    pub(crate) const BLOCK: u64 = 1 << 20;

    /// Bytes of all: four for each block before them.
    pub(crate) const fn len(self) -> u64 {
        match self.offset.checked_sub(DATA_AT) {
            Some(covered) => covered.div_ceil(Self::BLOCK) * 4,
            None => 0,
        }
    }
}

/// Whether a file begins as segments do.
pub(crate) fn is_magic(bytes: &[u8]) -> bool {
    bytes == MAGIC
}

impl Header {
    /// The header as bytes, its checksum last.
    pub fn bytes(&self) -> [u8; LEN] {
        let mut b = [0; LEN];
        b[0..8].copy_from_slice(&MAGIC);
        b[8..12].copy_from_slice(&VERSION.to_le_bytes());
        b[12] = ORDER;
        b[13] = matches!(self.mode, Mode::WriteThrough).into();
        b[16..32].copy_from_slice(&self.id.bytes());
        b[32..40].copy_from_slice(&self.file_len.to_le_bytes());
        b[40..48].copy_from_slice(&self.table_offset.to_le_bytes());
        for (at, number) in [
            (48, self.node_count),
            (52, self.child_count),
            (56, self.names_len),
            (60, self.root),
            (72, self.uid),
            (76, self.pid),
            (80, self.index_crc),
            (84, self.checksums.crc),
        ] {
            b[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        b[64..72].copy_from_slice(&self.created.to_le_bytes());
        b[88..96].copy_from_slice(&self.checksums.offset.to_le_bytes());
        let crc = crc32fast::hash(&b[..CRC_AT]);
        b[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        b
    }

    /// Checks 1 to 3 of the format page. `bytes` is the beginning of the file, `file_len` what the file system tells.
    ///
    /// # Errors
    /// [`FormatError`], which says which check failed.
    pub fn parse(bytes: &[u8], file_len: u64) -> Result<Header, FormatError> {
        let corrupt = |why| Err(FormatError::Corrupt(why));
        let Some(b) = bytes.get(..LEN).filter(|_| file_len >= DATA_AT) else {
            return corrupt("it is shorter than a header");
        };
        if b[0..8] != MAGIC {
            return corrupt("it does not begin as a segment does");
        }
        // The version comes before the checksum: a later version may lay the rest out differently.
        let found = u32_at(b, 8);
        if found != VERSION {
            return Err(FormatError::Version { found, reads: VERSION });
        }
        if crc32fast::hash(&b[..CRC_AT]) != u32_at(b, CRC_AT) {
            return corrupt("the checksum of its header does not fit");
        }
        if b[12] != ORDER {
            return if b[12] == 1 || b[12] == 2 {
                Err(FormatError::ByteOrder)
            } else {
                corrupt("its byte order is none")
            };
        }
        let mode = match b[13] {
            0 => Mode::Frozen,
            1 => Mode::WriteThrough,
            _ => return corrupt("its mode is none"),
        };
        let header = Header {
            id: SegmentId::from_bytes(b[16..32].try_into().expect("16 bytes")),
            mode,
            file_len: u64_at(b, 32),
            table_offset: u64_at(b, 40),
            node_count: u32_at(b, 48),
            child_count: u32_at(b, 52),
            names_len: u32_at(b, 56),
            root: u32_at(b, 60),
            created: u64_at(b, 64),
            uid: u32_at(b, 72),
            pid: u32_at(b, 76),
            index_crc: u32_at(b, 80),
            checksums: Checksums { offset: u64_at(b, 88), crc: u32_at(b, 84) },
        };
        if header.file_len != file_len {
            return Err(FormatError::Length { said: header.file_len, has: file_len });
        }
        let fits = header.table_offset >= DATA_AT
            && header.table_offset % ALIGN == 0
            && header.table_offset.checked_add(header.table_len()) == Some(file_len);
        if !fits {
            return corrupt("its node table does not end where the file ends");
        }
        let sums = header.checksums;
        let end = sums.offset.checked_add(sums.len()).and_then(|end| end.checked_next_multiple_of(ALIGN));
        if sums.offset != 0 && (sums.offset < DATA_AT || sums.offset % ALIGN != 0 || end != Some(header.table_offset)) {
            return corrupt("its checksums do not end where its node table begins");
        }
        if header.root >= header.node_count {
            return corrupt("its root is not one of its nodes");
        }
        Ok(header)
    }

    /// Bytes of the node table: at most 2^32 x 48 + 2^32 x 4 + 2^32 and the checksums, so no overflow.
    pub const fn table_len(&self) -> u64 {
        self.node_count as u64 * NODE_LEN as u64 + self.child_count as u64 * 4 + self.index_len()
    }

    /// Bytes of its last part: names and checksums.
    pub const fn index_len(&self) -> u64 {
        self.names_len as u64 + checksums_len(self.node_count, self.child_count)
    }
}
