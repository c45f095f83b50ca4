//! A file in a store, attached and looked at everywhere.
//!
//! An input is two bytes that say what is made of the rest, and the rest: header, payloads and table of a file, most often without a
//! control block, which is zeros then. See [`How`].
//!
//! The laws:
//! - A file is refused as corrupt or as another version's, with its id in the message, or it is attached.
//! - Whether its table is read at once or where it is looked at makes no difference: the same files are refused, and the same nodes are found.
//! - A node is what the page says of its 48 bytes, its children and attributes exist, its bytes are the file's; or nothing of it is believed.
//! - By its path, as a stored object, it is opened or refused as by its id; checking its checksums ends with a word.
//! - A table that is overwritten while it is read leads nowhere outside the segment.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;

use cowshed_core::fake::Fake;
use cowshed_core::{
    AttachError, FormatError, Header, Kind, Mode, Node, NodeId, Overlay, Payload, Segment, Store, StoredError, Table,
    open, open_stored, verify_stored,
};

use super::handmade::*;
use super::{Target, segment_inputs as inputs, segment_opened as opened, store_dir};

pub const TARGET: Target = Target { name: "segment", run, seeds: inputs::seeds, mutate: inputs::mutate };

/// What is made of an input: bits of its first byte. Checksums would stop every change, so all but a few inputs repair some.
struct How(u8);

impl How {
    /// Which checksums are repaired: none; the header's; the index's too; the blocks' too.
    fn repaired(&self) -> u8 {
        self.0 & 3
    }
    /// The file ends where the header says.
    fn fitted(&self) -> bool {
        self.0 & 4 != 0
    }
    /// Payloads are followed by so many zeros that the file is mapped.
    fn padded(&self) -> bool {
        self.0 & 8 != 0
    }
    /// Nodes and children are repeated until the table is read where it is looked at.
    fn inflated(&self) -> bool {
        self.0 & 16 != 0
    }
    /// The control block is in the input.
    fn controlled(&self) -> bool {
        self.0 & 32 != 0
    }
    /// The last three bytes flip one of the table, after all repairs: its place, and which bits.
    fn damaged(&self) -> bool {
        self.0 & 64 != 0
    }
}

/// A second byte below this has the whole store listed too, which takes long.
const LISTED: u8 = 4;
/// The largest table that is made out of counts.
const LARGEST: usize = 64 << 10;
/// More than a table that is read at once.
const LARGE: usize = 17 << 10;

pub fn run(input: &[u8]) {
    thread_local! {
        static SHED: RefCell<Option<Shed>> = const { RefCell::new(None) };
    }
    let Some((&[how, also], rest)) = input.split_first_chunk() else { return };
    let bytes = file(&How(how), rest);
    SHED.with_borrow_mut(|shed| shed.get_or_insert_with(Shed::new).try_out(&bytes, also < LISTED));
}

/// The bytes of the file.
fn file(how: &How, rest: &[u8]) -> Vec<u8> {
    let (rest, flip) = match rest.split_last_chunk::<3>() {
        Some((rest, flip)) if how.damaged() => (rest, Some(flip)),
        _ => (rest, None),
    };
    let mut b = rest.to_vec();
    if b.len() < HEADER {
        return b;
    }
    if !how.controlled() {
        b.splice(HEADER..HEADER, [0; DATA_AT as usize - HEADER]);
    }
    if how.fitted() {
        fit(&mut b);
    }
    if how.padded() {
        pad(&mut b);
    }
    if how.inflated() {
        inflate(&mut b);
    }
    if how.repaired() > 0 {
        b[ID..ID + 16].copy_from_slice(&id().bytes());
    }
    if how.repaired() > 2 {
        reseal_blocks(&mut b);
    }
    if how.repaired() > 1 {
        reseal_index(&mut b);
    }
    if how.repaired() > 0 {
        reseal_header(&mut b);
    }
    if let (Some(&[low, high, bits]), Some(parts)) = (flip, parts(&b)) {
        let table = &mut b[parts.nodes.start..];
        let at = usize::from(u16::from_le_bytes([low, high])).checked_rem(table.len());
        at.into_iter().for_each(|at| table[at] ^= bits);
    }
    b
}

/// Cuts or prolongs the file to where its header says that its table ends.
fn fit(b: &mut Vec<u8>) {
    let [nodes, children, names] = [NODE_COUNT, CHILD_COUNT, NAMES_LEN].map(|at| get32(b, at));
    let table = nodes as usize * NODE + children as usize * 4 + names as usize + 4 * blocks(nodes, children);
    let at = usize::try_from(get64(b, TABLE_OFFSET)).ok().filter(|at| *at <= b.len());
    if let Some(at) = at.filter(|_| table <= LARGEST) {
        b.resize((at + table).max(DATA_AT as usize), 0);
        let len = b.len() as u64;
        put64(b, FILE_LEN, len);
    }
}

/// Zeros before the table.
fn pad(b: &mut Vec<u8>) {
    let Some(Parts { nodes, .. }) = parts(b) else { return };
    b.splice(nodes.start..nodes.start, std::iter::repeat_n(0, LARGE.next_multiple_of(4096)));
    let added = LARGE.next_multiple_of(4096) as u64;
    for at in [TABLE_OFFSET, FILE_LEN] {
        let n = get64(b, at).wrapping_add(added);
        put64(b, at, n);
    }
}

/// The nodes and children again and again.
fn inflate(b: &mut Vec<u8>) {
    let Some(Parts { nodes, children, names }) = parts(b).filter(|p| p.names.end <= b.len()) else { return };
    if nodes.is_empty() || nodes.len() + children.len() > LARGEST {
        return;
    }
    let times = |part: &[u8], len: usize| part.repeat(len.div_ceil(part.len().max(1)));
    let more = [times(&b[nodes.clone()], LARGE), times(&b[children], 2 * BLOCK), b[names].to_vec()];
    b.truncate(nodes.start);
    let counts = [more[0].len() / NODE, more[1].len() / 4].map(|n| n as u32);
    more.iter().for_each(|part| b.extend(part));
    b.resize(b.len() + 4 * blocks(counts[0], counts[1]), 0);
    put32(b, NODE_COUNT, counts[0]);
    put32(b, CHILD_COUNT, counts[1]);
    let len = b.len() as u64;
    put64(b, FILE_LEN, len);
}

/// A store, and the one file in it: written anew for each input, made anew when it was collected.
struct Shed {
    store: Store,
    path: PathBuf,
    file: Option<File>,
}

impl Shed {
    fn new() -> Shed {
        let store = Store::open(&store_dir("segment")).expect("a store");
        Shed { store, path: store.path().join("segments").join(id().to_string()), file: None }
    }

    fn put(&mut self, bytes: &[u8]) {
        let file = self.file.take().filter(|file| file.metadata().is_ok_and(|m| m.nlink() > 0));
        let file = file.unwrap_or_else(|| {
            let _ = std::fs::remove_file(&self.path);
            File::options().read(true).write(true).create_new(true).open(&self.path).expect("a file")
        });
        file.set_len(bytes.len() as u64).and_then(|()| file.write_all_at(bytes, 0)).expect("room for a file");
        self.file = Some(file);
    }

    fn try_out(&mut self, bytes: &[u8], listed: bool) {
        self.put(bytes);
        let attached = self.store.attach(id(), None);
        match &attached {
            Ok(segment) => {
                let (Seen { good, all }, whole) = (look_at_all(segment, bytes), whole(bytes));
                assert!(good || whole.is_err(), "good at once, and not where it was looked at");
                assert!(!(good && all) || whole.is_ok(), "good where it was looked at, and at once {:?}", whole.err());
                self.open(segment);
            }
            Err(e) => {
                assert!(matches!(e.kind(), Kind::Corrupt | Kind::Version), "{e}");
                assert!(e.to_string().contains(&id().to_string()), "{e}");
                let Err(why) = whole(bytes) else { panic!("refused, but good if read at once: {e}") };
                match e {
                    AttachError::Format { source, .. } if !how_large(bytes) => assert_eq!(*source, why),
                    _ => {}
                }
            }
        }
        self.open_by_path(attached.as_ref().ok());
        if let Some(segment) = attached.as_ref().ok().filter(|_| how_large(bytes)) {
            self.look_while_it_changes(segment, bytes);
        }
        if listed {
            let found = self.store.list().expect("a list").into_iter().find(|found| found.id == id());
            if let Ok(segment) = &attached {
                let found = found.expect("what is held is listed");
                assert_eq!(found.size, bytes.len() as u64);
                assert_eq!(found.about.is_some(), whole(bytes).is_ok());
                assert!(found.about.as_ref().is_none_or(|about| about.header == *segment.header()));
            }
        }
    }

    /// As one that is stored for good. Its id may be any.
    fn open_by_path(&self, attached: Option<&Arc<Segment>>) {
        let stored = open_stored(&self.path);
        match &stored {
            Ok(segment) => {
                assert!(attached.is_some() || segment.id() != id(), "refused by id, and not by path");
                self.open(segment);
            }
            Err(e) => {
                assert!(matches!(e.kind(), Kind::Corrupt | Kind::Version), "{e}");
                assert!(attached.is_none(), "refused by path, and not by id: {e}");
            }
        }
        if let Err(e) = verify_stored::<StoredError>(&self.path, || Ok(())) {
            assert!(matches!(e.kind(), Kind::Corrupt | Kind::Version), "{e}");
        }
    }

    /// The table is overwritten with itself, moved, once its checksums were looked at: what is read from then on must still be within the segment.
    fn look_while_it_changes(&self, segment: &Arc<Segment>, bytes: &[u8]) {
        let table = &bytes[segment.header().table_offset as usize..];
        let file = self.file.as_ref().expect("it was put");
        for by in [4, 8, NODE + 16] {
            let (end, start) = table.split_at(by.min(table.len()));
            file.write_all_at(&[start, end].concat(), segment.header().table_offset).expect("no more room than before");
            look_at_limits(segment, bytes);
            self.open(segment);
        }
        file.write_all_at(table, segment.header().table_offset).expect("no more room than before");
    }

    /// As a value, and under a writable pointer.
    fn open(&self, segment: &Arc<Segment>) {
        opened::start();
        let host = Fake::default();
        if let Err(e) = open(&host, opened::registry(), segment, segment.root()) {
            assert!(matches!(e.kind(), Some(Kind::Corrupt | Kind::Plugin)), "{e}");
        }
        let payload = segment.table().node(segment.root()).payload;
        let overlay = Overlay::new(segment, payload).expect("an overlay");
        assert_eq!(ends(overlay.pointer(), payload.len), ends(segment.payload(payload), payload.len));
    }
}

/// Whether its table is too large to be read at once.
fn how_large(bytes: &[u8]) -> bool {
    Header::parse(bytes, bytes.len() as u64).is_ok_and(|header| header.table_len() > 16 << 10)
}

/// What reading all of the table at once says.
fn whole(bytes: &[u8]) -> Result<(Header, Table), FormatError> {
    let header = Header::parse(bytes, bytes.len() as u64)?;
    if header.id != id() {
        return Err(FormatError::Corrupt("its header names another segment"));
    }
    let table = Table::parse(&header, &bytes[header.table_offset as usize..])?;
    Ok((header, table))
}

/// What was seen of a table.
struct Seen {
    /// Every node and child could be believed.
    good: bool,
    /// Every entry of the child array is some node's.
    all: bool,
}

/// Everything a reader can ask of a segment, compared with the file.
fn look_at_all(segment: &Segment, bytes: &[u8]) -> Seen {
    let (header, table) = (segment.header(), segment.table());
    assert_eq!(Ok(header), Header::parse(bytes, bytes.len() as u64).as_ref());
    let parts = parts(bytes).expect("it was checked");
    assert_eq!(table.len(), parts.nodes.len() / NODE);
    assert!(table.get(header.root).is_some() && table.get(table.len() as u32).is_none());
    assert_eq!(table.check(segment.root()), Ok(()), "a root that cannot be believed");
    let names = names(&bytes[parts.names]);
    let children: Vec<u32> = bytes[parts.children].chunks_exact(4).map(|child| get32(child, 0)).collect();
    let (mut good, mut seen, mut lists) = (true, vec![false; children.len()], HashSet::new());
    for (number, row) in bytes[parts.nodes].chunks_exact(NODE).enumerate() {
        let id = table.get(number as u32).expect("below their count");
        let node = table.node(id);
        if table.check(id).is_err() {
            assert_eq!((node, table.strategy(id)), (Node::default(), ""), "nothing of a bad node is believed");
            assert_eq!((table.children(id).len(), table.child(id, 0)), (0, None));
            good = false;
            continue;
        }
        assert_eq!(node.length, get64(row, LENGTH));
        assert_eq!((node.payload.offset, node.payload.len), (get64(row, PAYLOAD_OFFSET), get64(row, PAYLOAD_LEN)));
        assert_eq!((node.first_child, node.child_count), (get32(row, FIRST_CHILD), get32(row, CHILDREN)));
        assert_eq!(node.attributes.map_or(0, |a| a.0 + 1), get32(row, ATTRIBUTES));
        assert!(node.attributes.is_none_or(|a| table.get(a.0).is_some()));
        assert_eq!(table.strategy_of(&node).as_bytes(), names[usize::from(node.strategy)]);
        assert_eq!(table.child_of(&node, node.child_count as usize), None);
        let aligned = match node.payload.len {
            0x8000.. => 4096,
            1024.. => 64,
            _ => 16,
        };
        assert_eq!(node.payload.offset % aligned, 0, "{node:?}");
        look_at_payload(segment, bytes, node.payload);
        if !lists.insert((node.first_child, node.child_count)) {
            continue;
        }
        for (i, at) in (node.first_child as usize..).take(node.child_count as usize).enumerate() {
            if !std::mem::replace(&mut seen[at], true) {
                let child = table.child_of(&node, i).expect("below their count");
                assert!(table.get(child.0).is_none_or(|child| child.0 == children[at]));
                good &= table.get(child.0).is_some();
            }
        }
    }
    let root = segment.root();
    assert_eq!(table.strategy(root), table.strategy_of(&table.node(root)));
    assert_eq!(table.children(root).last(), table.child(root, table.children(root).len().wrapping_sub(1)));
    look_at_payload(segment, bytes, segment.memory(None).expect("the root is a node"));
    Seen { good, all: seen.into_iter().all(|seen| seen) }
}

/// What no table may say, whatever it says.
fn look_at_limits(segment: &Segment, bytes: &[u8]) {
    let table = segment.table();
    for id in (0..table.len() as u32).filter_map(|number| table.get(number)) {
        let node = table.node(id);
        look_at_payload(segment, bytes, node.payload);
        assert!(node.attributes.is_none_or(|a| table.get(a.0).is_some()));
        assert!(table.children(id).take(8).all(|child| table.get(child.0).is_some() || child == NodeId::default()));
        table.strategy(id);
    }
    look_at_payload(segment, bytes, segment.memory(None).expect("the root is a node"));
}

fn names(mut b: &[u8]) -> Vec<&[u8]> {
    let mut names = Vec::new();
    while let Some((&len, rest)) = b.split_first_chunk() {
        let (name, rest) = rest.split_at(u16::from_le_bytes(len).into());
        names.push(name);
        b = rest;
    }
    names
}

fn look_at_payload(segment: &Segment, bytes: &[u8], payload: Payload) {
    let Payload { offset, len } = payload;
    if len > 0 {
        let end = offset.checked_add(len).expect("no overflow");
        assert!(offset >= DATA_AT && end <= segment.header().table_offset, "{payload:?}");
    }
    let range = if len > 0 { offset as usize..(offset + len) as usize } else { 0..0 };
    let expected = ends(bytes[range].as_ptr(), len);
    assert_eq!(ends(segment.payload(payload), len), expected);
    assert_eq!(
        segment.frozen(payload).map(|b| (b.len() as u64, ends(b.as_ptr(), len))),
        match segment.mode() {
            Mode::Frozen => Some((len, expected)),
            Mode::WriteThrough => None,
        }
    );
    if let Some(start) = segment.payload_mut(payload).filter(|_| len > 0) {
        assert_eq!(segment.mode(), Mode::WriteThrough);
        // SAFETY: a byte of the payload, which nobody else has mapped.
        unsafe { start.write_volatile(start.read_volatile()) };
    }
}

/// The first, the middle and the last of `len` bytes.
fn ends(start: *const u8, len: u64) -> Option<[u8; 3]> {
    let len = usize::try_from(len).expect("lengths of this machine");
    // SAFETY: the bytes are said to be there, and that is what is tried.
    (len > 0).then(|| [0, len / 2, len - 1].map(|at| unsafe { start.add(at).read_volatile() }))
}
