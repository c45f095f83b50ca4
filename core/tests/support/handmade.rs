//! Segments made by hand from the tables of `docs/format.md`, with nothing of the crate's own encoder: so the page is tested too.

#![allow(dead_code, reason = "whoever includes it uses a part")]

use std::ops::Range;

use cowshed_core::SegmentId;

use super::crc32;

pub const HEADER: usize = 128;
pub const DATA_AT: u64 = 1216;
pub const NODE: usize = 48;

pub const MAGIC: usize = 0;
pub const VERSION: usize = 8;
pub const ORDER: usize = 12;
pub const MODE: usize = 13;
pub const ID: usize = 16;
pub const FILE_LEN: usize = 32;
pub const TABLE_OFFSET: usize = 40;
pub const NODE_COUNT: usize = 48;
pub const CHILD_COUNT: usize = 52;
pub const NAMES_LEN: usize = 56;
pub const ROOT: usize = 60;
pub const INDEX_CRC: usize = 80;
pub const CHECKSUMS_CRC: usize = 84;
pub const CHECKSUMS: usize = 88;
pub const HEADER_CRC: usize = 124;

pub const STRATEGY: usize = 0;
pub const ATTRIBUTES: usize = 4;
pub const LENGTH: usize = 8;
pub const PAYLOAD_OFFSET: usize = 16;
pub const PAYLOAD_LEN: usize = 24;
pub const FIRST_CHILD: usize = 32;
pub const CHILDREN: usize = 36;

pub const BLOCK: usize = 3072;

/// The id of all of them.
pub fn id() -> SegmentId {
    SegmentId::from_bytes(*b"\x01handmade\xff\xfe\x80\x00abc")
}

pub const NAMES: [&str; 2] = ["fake.numbers", "fake.list"];

/// A node as the page's table lays it down.
#[derive(Clone, Copy, Default)]
pub struct Raw {
    pub strategy: u16,
    pub attributes: u32,
    pub length: u64,
    pub payload: (u64, u64),
    pub children: (u32, u32),
}

pub fn node(raw: Raw) -> [u8; NODE] {
    let mut b = [0; NODE];
    b[STRATEGY..2].copy_from_slice(&raw.strategy.to_le_bytes());
    b[ATTRIBUTES..8].copy_from_slice(&raw.attributes.to_le_bytes());
    b[LENGTH..16].copy_from_slice(&raw.length.to_le_bytes());
    b[PAYLOAD_OFFSET..24].copy_from_slice(&raw.payload.0.to_le_bytes());
    b[PAYLOAD_LEN..32].copy_from_slice(&raw.payload.1.to_le_bytes());
    b[FIRST_CHILD..36].copy_from_slice(&raw.children.0.to_le_bytes());
    b[CHILDREN..40].copy_from_slice(&raw.children.1.to_le_bytes());
    b
}

pub fn numbers(at: u64, n: u64) -> Raw {
    Raw { strategy: 0, length: n, payload: (at, 8 * n), ..Raw::default() }
}

pub fn list(first: u32, n: u32) -> Raw {
    Raw { strategy: 1, length: n.into(), children: (first, n), ..Raw::default() }
}

/// A whole file: header, control, payloads, table, both checksums.
pub fn build(payloads: &[u8], nodes: &[Raw], children: &[u32], names: &[&str], root: u32) -> Vec<u8> {
    let mut b = vec![0; DATA_AT as usize];
    b.extend(payloads);
    b.resize(b.len().next_multiple_of(64), 0);
    let table_offset = b.len() as u64;
    b.extend(nodes.iter().flat_map(|n| node(*n)));
    b.extend(children.iter().flat_map(|c| c.to_le_bytes()));
    let before = b.len();
    for name in names {
        b.extend((name.len() as u16).to_le_bytes());
        b.extend(name.as_bytes());
    }
    let names_len = (b.len() - before) as u32;
    b[MAGIC..8].copy_from_slice(b"cowshed\n");
    b[VERSION] = 1;
    b[ORDER] = if cfg!(target_endian = "little") { 1 } else { 2 };
    b[ID..ID + 16].copy_from_slice(&id().bytes());
    b.resize(b.len() + 4 * blocks(nodes.len() as u32, children.len() as u32), 0);
    let len = b.len() as u64;
    put64(&mut b, FILE_LEN, len);
    put64(&mut b, TABLE_OFFSET, table_offset);
    put32(&mut b, NODE_COUNT, nodes.len() as u32);
    put32(&mut b, CHILD_COUNT, children.len() as u32);
    put32(&mut b, NAMES_LEN, names_len);
    put32(&mut b, ROOT, root);
    reseal(&mut b);
    b
}

/// Makes all checksums fit again, as far as there are any: an attacker can, too.
pub fn reseal(b: &mut [u8]) {
    reseal_blocks(b);
    reseal_index(b);
    reseal_header(b);
}

/// Those of the blocks of nodes and children.
pub fn reseal_blocks(b: &mut [u8]) {
    let Some(Parts { nodes, children, names }) = parts(b) else { return };
    let chunks = [nodes, children].map(|part| b[part].chunks(BLOCK));
    let crcs: Vec<u8> = chunks.into_iter().flatten().flat_map(|c| crc32(c).to_le_bytes()).collect();
    if let Some(checksums) = b.get_mut(names.end..).and_then(|rest| rest.get_mut(..crcs.len())) {
        checksums.copy_from_slice(&crcs);
    }
}

/// That of the names and of the blocks' checksums.
pub fn reseal_index(b: &mut [u8]) {
    let Some(Parts { names, .. }) = parts(b) else { return };
    let crc = crc32(&b[names.start..]);
    put32(b, INDEX_CRC, crc);
}

/// That of the header.
pub fn reseal_header(b: &mut [u8]) {
    let crc = crc32(&b[..HEADER_CRC]);
    put32(b, HEADER_CRC, crc);
}

/// Where the parts of the node table lie.
pub struct Parts {
    pub nodes: Range<usize>,
    pub children: Range<usize>,
    /// May end behind the file; the others do not.
    pub names: Range<usize>,
}

/// As the header says; `None` if they are not in the file.
pub fn parts(b: &[u8]) -> Option<Parts> {
    let [nodes, children, names] = [NODE_COUNT, CHILD_COUNT, NAMES_LEN].map(|at| get32(b, at) as usize);
    let table = usize::try_from(get64(b, TABLE_OFFSET)).ok()?;
    let index = (nodes * NODE + children * 4).checked_add(table).filter(|at| *at <= b.len())?;
    let middle = table + nodes * NODE;
    Some(Parts { nodes: table..middle, children: middle..index, names: index..index + names })
}

pub fn put32(b: &mut [u8], at: usize, n: u32) {
    b[at..at + 4].copy_from_slice(&n.to_le_bytes());
}

pub fn put64(b: &mut [u8], at: usize, n: u64) {
    b[at..at + 8].copy_from_slice(&n.to_le_bytes());
}

pub fn get64(b: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(b[at..at + 8].try_into().unwrap())
}

pub fn get32(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(b[at..at + 4].try_into().unwrap())
}

/// Checksums of a table of so many nodes and children.
pub fn blocks(nodes: u32, children: u32) -> usize {
    (nodes as usize * NODE).div_ceil(BLOCK) + (children as usize * 4).div_ceil(BLOCK)
}
