//! Bad segments, built by hand from the tables of `docs/format.md`: nothing here uses the crate's own encoder, so the page is tested too.
//!
//! The law: whatever the bytes, a reader gives an error of the right kind or a correct value.

mod support;

use std::sync::Arc;

use cowshed_core::fake::{Fake, FakeError, Value, registry};
use cowshed_core::{
    Claim, Encoder, FormatError, Header, Kind, Node, NodeId, Opener, Registry, Segment, SegmentId, Shareable, Store,
    Table, open,
};
use support::handmade::*;
use support::{Dice, Dir, crc32};

#[test]
fn the_checksum_of_the_tests_is_the_ieee_one() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

/// `[[1, 2, 3], [4, 5]]`: nodes 0 and 1 are the numbers, node 2 the list.
fn sample() -> Vec<u8> {
    let mut payloads: Vec<u8> = [1.0f64, 2.0, 3.0].iter().flat_map(|n| n.to_ne_bytes()).collect();
    payloads.resize(64, 0);
    payloads.extend([4.0f64, 5.0].iter().flat_map(|n| n.to_ne_bytes()));
    build(&payloads, &[numbers(1216, 3), numbers(1280, 2), list(0, 2)], &[0, 1], &NAMES, 2)
}

const SHOWN: &str = "[[1, 2, 3], [4, 5]]";

/// The sample with one node changed and everything resealed.
fn sample_with(n: usize, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut b = sample();
    let at = get64(&b, TABLE_OFFSET) as usize + n * NODE;
    change(&mut b[at..at + NODE]);
    reseal(&mut b);
    b
}

/// A store into which files are put by hand.
struct Shed {
    _dir: Dir,
    store: Store,
}

impl Shed {
    fn new() -> Shed {
        let dir = Dir::memory();
        let store = Store::open(&dir.store()).unwrap();
        Shed { _dir: dir, store }
    }

    fn attach(&self, bytes: &[u8]) -> Result<Arc<Segment>, FakeError> {
        std::fs::write(self.store.path().join("segments").join(id().to_string()), bytes).unwrap();
        Ok(self.store.attach(id(), None)?)
    }

    /// What a reader makes of a file.
    fn read(&self, bytes: &[u8]) -> Result<String, FakeError> {
        self.read_with(registry(), bytes)
    }

    fn read_with(&self, registry: &Registry<Fake>, bytes: &[u8]) -> Result<String, FakeError> {
        let segment = self.attach(bytes)?;
        let host = Fake::default();
        let value = open(&host, registry, &segment, segment.root())?;
        Ok(host.show(value))
    }

    #[track_caller]
    fn expect(&self, bytes: &[u8], kind: Kind, why: &str) {
        match self.read(bytes) {
            Ok(value) => panic!("read as {value}, but: {why}"),
            Err(e) => {
                assert_eq!(e.kind(), Some(kind), "{e}");
                assert!(e.to_string().contains(why), "{e} does not say: {why}");
                assert!(e.to_string().contains(&id().to_string()), "{e} does not name the segment");
            }
        }
    }
}

#[test]
fn a_segment_built_from_the_page_is_read() {
    assert_eq!(Shed::new().read(&sample()).unwrap(), SHOWN);
}

#[test]
fn a_file_cut_anywhere_is_corrupt() {
    let (shed, whole) = (Shed::new(), sample());
    for len in 0..whole.len() {
        let why = if (len as u64) < DATA_AT { "shorter than a header" } else { "its header says" };
        shed.expect(&whole[..len], Kind::Corrupt, why);
    }
}

#[test]
fn a_large_file_cut_anywhere_is_corrupt() {
    // Above 16 KiB header and table are read on their own.
    let payload = vec![0; 100_000];
    let whole = build(&payload, &[numbers(4096, 10)], &[], &NAMES, 0);
    let shed = Shed::new();
    assert_eq!(shed.read(&whole).unwrap(), "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]");
    for len in (0..whole.len()).step_by(997).chain(whole.len() - 200..whole.len()) {
        shed.expect(&whole[..len], Kind::Corrupt, "it is");
    }
}

#[test]
fn a_file_with_something_behind_it_is_corrupt() {
    let shed = Shed::new();
    for more in [1, 63, 4096, 100_000] {
        let mut b = sample();
        b.resize(b.len() + more, 0);
        shed.expect(&b, Kind::Corrupt, "its header says");
    }
}

#[test]
fn a_file_that_is_all_zero_or_all_ones_or_text_is_corrupt() {
    let shed = Shed::new();
    for b in [vec![0; 5000], vec![255; 5000], b"\x7fELF".repeat(2000), vec![0; 200_000]] {
        shed.expect(&b, Kind::Corrupt, "does not begin as a segment does");
    }
}

#[test]
fn a_file_that_is_not_there_is_gone() {
    let shed = Shed::new();
    let error = shed.store.attach(id(), None).unwrap_err();
    assert_eq!(error.kind(), Kind::Gone);
    assert!(error.to_string().contains(&id().to_string()), "{error}");
}

#[test]
fn what_is_not_a_file_is_an_error() {
    let shed = Shed::new();
    let path = shed.store.path().join("segments").join(id().to_string());
    std::fs::create_dir(&path).unwrap();
    assert_eq!(shed.store.attach(id(), None).unwrap_err().kind(), Kind::Store);
    std::fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    assert_eq!(shed.store.attach(id(), None).unwrap_err().kind(), Kind::Store);
}

#[test]
fn a_pipe_in_a_store_is_no_segment_and_nobody_waits_for_it() {
    // A listing opened it for reading and waited for a writer, for ever.
    const ME: &str = "a_pipe_in_a_store_is_no_segment_and_nobody_waits_for_it";
    if !support::is_role(ME) {
        return support::in_a_process_of_its_own(ME, || Ok(()));
    }
    let shed = Shed::new();
    let path = shed.store.path().join("segments").join(id().to_string());
    let path = std::ffi::CString::new(path.into_os_string().into_encoded_bytes()).unwrap();
    // SAFETY: the string is terminated and lives over the call.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    assert_eq!(shed.store.attach(id(), None).unwrap_err().kind(), Kind::Corrupt);
    assert!(shed.store.list().unwrap().iter().all(|found| found.about.is_none()));
    assert_eq!(shed.store.look(id()).err().unwrap().kind(), Kind::Corrupt);
}

#[test]
fn any_byte_of_the_header_flipped_is_noticed() {
    let shed = Shed::new();
    for at in 0..HEADER {
        for flip in [1, 0x80, 0xff] {
            let mut b = sample();
            b[at] ^= flip;
            let kind = if (VERSION..VERSION + 4).contains(&at) { Kind::Version } else { Kind::Corrupt };
            shed.expect(&b, kind, "it ");
        }
    }
}

#[test]
fn any_byte_of_the_table_flipped_is_noticed() {
    let (shed, whole) = (Shed::new(), sample());
    for at in get64(&whole, TABLE_OFFSET) as usize..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut b = whole.clone();
            b[at] ^= flip;
            shed.expect(&b, Kind::Corrupt, "checksum of its node table");
        }
    }
}

#[test]
fn any_byte_of_the_control_block_may_be_anything() {
    // No checksum covers it, and what it says of tickets is no part of the value.
    let (shed, mut dice) = (Shed::new(), Dice(7));
    for _ in 0..300 {
        let mut b = sample();
        b[128..1216].fill_with(|| dice.roll() as u8);
        assert_eq!(shed.read(&b).unwrap(), SHOWN);
    }
}

#[test]
fn any_byte_of_the_header_forged_gives_an_error_or_the_value() {
    let shed = Shed::new();
    for at in 0..HEADER_CRC {
        for flip in [1, 2, 3, 0x80, 0xff] {
            let mut b = sample();
            b[at] ^= flip;
            reseal_header(&mut b);
            match (at, shed.read(&b)) {
                // Zero bytes, what is for reports only, and the checksum of checksums, which nobody looks at here.
                (14..16 | 64..80 | 84..88 | 96.., result) | (88..96, result @ Ok(_)) => {
                    assert_eq!(result.unwrap(), SHOWN)
                }
                (ROOT..64, Ok(value)) => assert!(["[1, 2, 3]", "[4, 5]"].contains(&value.as_str()), "{value}"),
                (VERSION..ORDER, Err(e)) => assert_eq!(e.kind(), Some(Kind::Version), "byte {at}: {e}"),
                (ORDER, Err(e)) if flip == 3 => assert_eq!(e.kind(), Some(Kind::Version), "byte {at}: {e}"),
                (_, Err(e)) => assert_eq!(e.kind(), Some(Kind::Corrupt), "byte {at}: {e}"),
                (_, Ok(value)) => panic!("byte {at} forged was read as {value}"),
            }
        }
    }
}

#[test]
fn any_byte_of_the_table_forged_gives_an_error_or_a_value() {
    let (shed, whole) = (Shed::new(), sample());
    for at in get64(&whole, TABLE_OFFSET) as usize..whole.len() {
        for flip in [1, 2, 3, 0x40, 0x80, 0xff] {
            let mut b = whole.clone();
            b[at] ^= flip;
            reseal(&mut b);
            if let Err(e) = shed.read(&b) {
                assert!(matches!(e.kind(), Some(Kind::Corrupt | Kind::Plugin)), "byte {at}: {e}");
            }
        }
    }
}

/// `[[0], [1], ...]`, a table of several blocks.
fn large() -> Vec<u8> {
    let n = 2_000u32;
    let payloads: Vec<u8> = (0..n).flat_map(|i| [f64::from(i), 0.0]).flat_map(f64::to_ne_bytes).collect();
    let mut nodes: Vec<Raw> = (0..n).map(|i| numbers(DATA_AT + 16 * u64::from(i), 1)).collect();
    nodes.push(list(0, n));
    build(&payloads, &nodes, &(0..n).collect::<Vec<_>>(), &NAMES, n)
}

#[test]
fn a_large_table_is_read_where_it_is_looked_at() {
    let shed = Shed::new();
    let whole = large();
    let table = get64(&whole, TABLE_OFFSET) as usize;
    let mut b = whole.clone();
    // Of node 100, in the second block of nodes, and of child 1,000, in the second of children.
    b[table + 100 * NODE + LENGTH] ^= 1;
    b[table + 2_001 * NODE + 4 * 1_000] ^= 1;
    let segment = shed.attach(&b).unwrap();
    let child = |i| segment.table().child(segment.root(), i).unwrap();
    for good in [0, 63, 128, 767, 1_536, 1_999] {
        assert_eq!(segment.table().check(child(good)), Ok(()), "{good}");
        assert_eq!(segment.table().node(child(good)).payload.offset, DATA_AT + 16 * good as u64);
    }
    for bad in [64, 100, 127, 768, 1_535] {
        let why = segment.table().check(child(bad)).unwrap_err();
        assert!(why.contains("checksum") || why.contains("does not have"), "{why}");
        assert_eq!(segment.table().node(child(bad)), Node::default(), "{bad}: nothing of it is believed");
        assert_eq!(segment.table().strategy(child(bad)), "");
    }
    let all = open(&Fake::default(), registry(), &segment, segment.root()).unwrap_err();
    assert!(all.to_string().contains("checksum"), "{all}");
    drop(segment);
    assert!(shed.read(&whole).unwrap().ends_with("[1998], [1999]]"));
}

#[test]
fn any_byte_of_a_large_table_forged_gives_an_error_or_a_value() {
    let (shed, whole, mut dice) = (Shed::new(), large(), Dice(3));
    let table = get64(&whole, TABLE_OFFSET) as usize;
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut b = whole.clone();
        let at = table + dice.below(b.len() - table);
        b[at] = dice.below(256) as u8;
        let changed = b[at] != whole[at];
        if dice.below(2) == 0 {
            assert_eq!(shed.read(&b).is_err(), changed, "byte {at}");
            continue;
        }
        reseal(&mut b);
        refused += usize::from(shed.read(&b).is_err());
    }
    assert!(refused > 100, "{refused} refused");
}

#[test]
fn another_version_is_refused_whatever_else_the_header_says() {
    let shed = Shed::new();
    for version in [0, 2, 3, 256, u32::MAX] {
        let mut b = sample();
        put32(&mut b, VERSION, version);
        shed.expect(&b, Kind::Version, &format!("format version {version}"));
        // A later version may lay out the rest, checksum included, in another way.
        b[ORDER..HEADER].fill(0x5a);
        shed.expect(&b, Kind::Version, "reads version 1");
    }
}

#[test]
fn the_other_byte_order_is_refused_and_no_byte_order_is_corrupt() {
    let shed = Shed::new();
    let mut b = sample();
    b[ORDER] ^= 3;
    reseal_header(&mut b);
    shed.expect(&b, Kind::Version, "another byte order");
    for order in [0, 3, 255] {
        b[ORDER] = order;
        reseal_header(&mut b);
        shed.expect(&b, Kind::Corrupt, "its byte order is none");
    }
}

#[test]
fn a_mode_that_is_none_is_corrupt() {
    let shed = Shed::new();
    for mode in [2, 3, 255] {
        let mut b = sample();
        b[MODE] = mode;
        reseal_header(&mut b);
        shed.expect(&b, Kind::Corrupt, "its mode is none");
    }
}

#[test]
fn a_segment_under_the_name_of_another_is_corrupt() {
    let mut b = sample();
    b[ID..ID + 16].copy_from_slice(&SegmentId::random().bytes());
    reseal_header(&mut b);
    Shed::new().expect(&b, Kind::Corrupt, "names another segment");
}

#[test]
fn a_table_that_does_not_end_where_the_file_ends_is_corrupt() {
    let shed = Shed::new();
    let cases: [(usize, u32); 9] = [
        (NODE_COUNT, u32::MAX),
        (NODE_COUNT, 0),
        (NODE_COUNT, 4),
        (CHILD_COUNT, u32::MAX),
        (CHILD_COUNT, 0),
        (CHILD_COUNT, 3),
        (NAMES_LEN, u32::MAX),
        (NAMES_LEN, 0),
        (NAMES_LEN, 1 << 31),
    ];
    for (at, n) in cases {
        let mut b = sample();
        put32(&mut b, at, n);
        reseal_header(&mut b);
        shed.expect(&b, Kind::Corrupt, "does not end where the file ends");
    }
    let offsets = [0, 64, 1152, 1215, 1217, 1280, 1345, u64::MAX, u64::MAX - 63, u64::MAX - 200, 1 << 63, 1 << 32];
    for offset in offsets {
        let mut b = sample();
        put64(&mut b, TABLE_OFFSET, offset);
        reseal_header(&mut b);
        shed.expect(&b, Kind::Corrupt, "does not end where the file ends");
    }
}

#[test]
fn a_table_within_the_control_block_is_corrupt() {
    // Everything adds up, but the payloads would begin before 1216.
    let mut b = build(&[], &[list(0, 0)], &[], &NAMES, 0);
    let table = b.split_off(1216);
    b.truncate(1152);
    b.extend(table);
    b.resize(1216 + 64, 0);
    let end = b.len() as u64;
    put64(&mut b, FILE_LEN, end);
    put64(&mut b, TABLE_OFFSET, 1152);
    put32(&mut b, NAMES_LEN, (end - 1152 - 48) as u32);
    reseal(&mut b);
    Shed::new().expect(&b, Kind::Corrupt, "does not end where the file ends");
}

#[test]
fn a_table_at_an_odd_place_is_corrupt() {
    let mut b = build(&[], &[list(0, 0)], &[], &NAMES, 0);
    b.splice(1216..1216, [0; 8]);
    let end = b.len() as u64;
    put64(&mut b, FILE_LEN, end);
    put64(&mut b, TABLE_OFFSET, 1224);
    reseal(&mut b);
    Shed::new().expect(&b, Kind::Corrupt, "does not end where the file ends");
}

#[test]
fn a_root_that_is_no_node_is_corrupt() {
    let shed = Shed::new();
    for root in [3, 4, u32::MAX] {
        let mut b = sample();
        put32(&mut b, ROOT, root);
        reseal_header(&mut b);
        shed.expect(&b, Kind::Corrupt, "its root is not one of its nodes");
    }
    shed.expect(&build(&[], &[], &[], &NAMES, 0), Kind::Corrupt, "its root is not one of its nodes");
}

#[test]
fn counts_that_would_be_huge_are_refused_before_anything_is_allocated() {
    for (nodes, children, names) in [(u32::MAX, u32::MAX, u32::MAX), (u32::MAX, 0, 0), (1, u32::MAX, u32::MAX)] {
        let mut b = sample();
        put32(&mut b, NODE_COUNT, nodes);
        put32(&mut b, CHILD_COUNT, children);
        put32(&mut b, NAMES_LEN, names);
        // A length that fits them: the file could be sparse.
        let checksums = 4 * blocks(nodes, children) as u64;
        let len = 1216 + u64::from(nodes) * 48 + u64::from(children) * 4 + u64::from(names) + checksums;
        put64(&mut b, TABLE_OFFSET, 1216);
        put64(&mut b, FILE_LEN, len);
        put32(&mut b, ROOT, 0);
        reseal_header(&mut b);
        assert_eq!(
            Header::parse(&b, b.len() as u64),
            Err(FormatError::Length { said: len, has: b.len() as u64 }),
            "what the file system tells counts"
        );
        let header = Header::parse(&b, len).unwrap();
        assert_eq!(header.table_len(), len - 1216);
        assert!(matches!(Table::parse(&header, &b[1216..]), Err(FormatError::Corrupt(_))));
    }
}

#[test]
fn a_strategy_without_a_name_is_corrupt() {
    let shed = Shed::new();
    for strategy in [2u16, 3, u16::MAX] {
        let b = sample_with(0, |n| n[STRATEGY..2].copy_from_slice(&strategy.to_le_bytes()));
        shed.expect(&b, Kind::Corrupt, "strategy has no name");
    }
    shed.expect(&build(&[], &[list(0, 0)], &[], &[], 0), Kind::Corrupt, "strategy has no name");
}

#[test]
fn a_strategy_this_process_does_not_have_is_named() {
    let shed = Shed::new();
    for name in ["pkg.matrix", "", "fake.numbers2", "fake.number", "été"] {
        let b = build(&[], &[list(0, 0)], &[], &["fake.numbers", name], 0);
        shed.expect(&b, Kind::Plugin, &format!("'{name}'"));
    }
}

#[test]
fn names_that_are_cut_or_not_utf8_are_corrupt() {
    let shed = Shed::new();
    let with_names = |names: &[u8]| {
        let mut b = build(&[], &[list(0, 0)], &[], &[], 0);
        // Before the checksum of the one block.
        b.splice(b.len() - 4..b.len() - 4, names.iter().copied());
        let end = b.len() as u64;
        put64(&mut b, FILE_LEN, end);
        put32(&mut b, NAMES_LEN, names.len() as u32);
        reseal(&mut b);
        b
    };
    for cut in [&b"\x05"[..], b"\x05\x00abcd", b"\xff\xffabc", b"\x01\x00a\x01", b"\x00\x00\x01\x00"] {
        shed.expect(&with_names(cut), Kind::Corrupt, "name is cut");
    }
    for bad in [&b"\x01\x00\xff"[..], b"\x02\x00\xc3\x28", b"\x01\x00a\x02\x00\xed\xa0"] {
        shed.expect(&with_names(bad), Kind::Corrupt, "not UTF-8");
    }
}

#[test]
fn attributes_that_are_no_node_are_corrupt() {
    let shed = Shed::new();
    for attributes in [4, 5, u32::MAX] {
        let b = sample_with(1, |n| put32(n, ATTRIBUTES, attributes));
        shed.expect(&b, Kind::Corrupt, "attributes are not one of its nodes");
    }
    // 1 + the number of the last node.
    assert_eq!(shed.read(&sample_with(1, |n| put32(n, ATTRIBUTES, 3))).unwrap(), SHOWN);
}

#[test]
fn children_outside_the_child_array_are_corrupt() {
    let shed = Shed::new();
    for (first, n) in
        [(0, 3), (1, 2), (3, 0), (2, 1), (u32::MAX, u32::MAX), (u32::MAX, 1), (1, u32::MAX), (u32::MAX, 3)]
    {
        let b = sample_with(2, |b| {
            put32(b, FIRST_CHILD, first);
            put32(b, CHILDREN, n);
        });
        shed.expect(&b, Kind::Corrupt, "children are not in the child array");
    }
    for child in [3, u32::MAX] {
        let b = build(&[], &[list(0, 1)], &[child], &NAMES, 0);
        shed.expect(&b, Kind::Corrupt, "a child is not one of its nodes");
    }
}

#[test]
fn a_payload_outside_the_payloads_is_corrupt() {
    let shed = Shed::new();
    let end = 1344;
    let cases = [
        (0, 24),
        (64, 24),
        (128, 24),
        (1152, 24),
        (end, 8),
        (end - 64, 72),
        (1216, end - 1216 + 8),
        (1217, 24),
        (1220, 24),
        (1240, 24),
        (u64::MAX, 24),
        (u64::MAX - 63, 64),
        (u64::MAX - 63, 24),
        (1216, u64::MAX),
        (1216, u64::MAX - 1215),
        (1 << 63, 1 << 63),
        (64, 0),
        (1 << 40, 0),
    ];
    for (offset, len) in cases {
        let b = sample_with(0, |n| {
            put64(n, LENGTH, len / 8);
            put64(n, PAYLOAD_OFFSET, offset);
            put64(n, PAYLOAD_LEN, len);
        });
        shed.expect(&b, Kind::Corrupt, "a payload lies outside the payloads");
    }
}

#[test]
fn a_large_payload_that_does_not_begin_on_a_page_is_corrupt() {
    // The reader used to check for 64 bytes only, where the page asks 4,096 of payloads from 32 KiB: private pages of two
    // neighbours could meet.
    let shed = Shed::new();
    let (small, large) = (32 << 10, 8000);
    let payload = vec![0; 80_000];
    for at in [1216, 1280, 4096 + 64, 8192 - 64] {
        let b = build(&payload, &[numbers(at, small / 8)], &[], &NAMES, 0);
        shed.expect(&b, Kind::Corrupt, "a payload lies outside the payloads");
        let b = build(&payload, &[numbers(at, small / 8 - 1)], &[], &NAMES, 0);
        shed.read(&b).unwrap();
    }
    shed.read(&build(&payload, &[numbers(4096, large)], &[], &NAMES, 0)).unwrap();
    shed.read(&build(&payload, &[numbers(8192, small / 8)], &[], &NAMES, 0)).unwrap();
}

#[test]
fn a_length_that_does_not_fit_its_payload_is_corrupt() {
    let shed = Shed::new();
    for length in [0, 2, 4, 1 << 61, u64::MAX] {
        let b = sample_with(0, |n| put64(n, LENGTH, length));
        shed.expect(&b, Kind::Corrupt, "its length does not fit");
    }
}

#[test]
fn a_cycle_of_children_ends_with_an_error() {
    let shed = Shed::new();
    // A node that is its own child, first or second; two that are each other's; a cycle behind good nodes.
    let itself = build(&[], &[list(0, 1)], &[0], &NAMES, 0);
    let twice = build(&[], &[list(0, 2)], &[0, 0], &NAMES, 0);
    let pair = build(&[], &[list(0, 1), list(1, 1)], &[1, 0], &NAMES, 1);
    let behind = build(&[], &[list(0, 0), list(0, 3)], &[0, 0, 1], &NAMES, 1);
    for b in [itself, twice, pair, behind] {
        shed.expect(&b, Kind::Corrupt, "nested deeper");
    }
}

#[test]
fn a_cycle_among_very_many_nodes_ends_before_the_stack() {
    // The opener used to go 5,000 levels deep before it gave up, which overflowed the 2 MiB of stack this thread has.
    let n = 200_000;
    let nodes: Vec<_> = (0..n).map(|i| list(i, 1)).collect();
    let children: Vec<_> = (0..n).map(|i| (i + 1) % n).collect();
    let shed = Shed::new();
    shed.expect(&build(&[], &nodes, &children, &NAMES, 0), Kind::Corrupt, "nested deeper");
}

/// A list whose attributes are opened too.
struct Attributed;

impl Shareable<Fake> for Attributed {
    fn name(&self) -> &'static str {
        "test.attributed"
    }

    fn kinds(&self) -> &'static [u8] {
        &[]
    }

    fn claim(&self, _: &Fake, _: Value) -> Claim {
        Claim::No
    }

    fn encode(&self, _: &Fake, _: Value, _: &mut Encoder<'_, Fake>) -> Result<NodeId, FakeError> {
        unreachable!("claims nothing")
    }

    fn open(&self, host: &Fake, node: NodeId, from: &mut Opener<'_, Fake>) -> Result<Value, FakeError> {
        let mut values = from.children(node).map(|c| from.open(c)).collect::<Result<Vec<_>, _>>()?;
        if let Some(attributes) = from.node(node).attributes {
            values.push(from.open(attributes)?);
        }
        Ok(host.list(&values))
    }
}

#[test]
fn a_cycle_of_attributes_ends_with_an_error() {
    let attributed = Registry::new([&Attributed as &dyn Shareable<Fake>]);
    let shed = Shed::new();
    let with = |attributes, first, n| Raw { attributes, children: (first, n), ..Raw::default() };
    let names = ["test.attributed"];
    let good = build(&[], &[with(2, 0, 0), with(0, 0, 0)], &[], &names, 0);
    assert_eq!(shed.read_with(&attributed, &good).unwrap(), "[[]]");
    let itself = build(&[], &[with(1, 0, 0)], &[], &names, 0);
    let pair = build(&[], &[with(2, 0, 0), with(1, 0, 0)], &[], &names, 0);
    let mixed = build(&[], &[with(2, 0, 0), with(0, 0, 1)], &[0], &names, 0);
    for b in [itself, pair, mixed] {
        let error = shed.read_with(&attributed, &b).unwrap_err();
        assert_eq!(error.kind(), Some(Kind::Corrupt), "{error}");
    }
}

#[test]
fn an_error_at_attach_holds_nothing() {
    // A refused segment must not stay in the ledger, or nobody could ever collect it.
    let shed = Shed::new();
    let mut b = sample();
    b[HEADER_CRC] ^= 1;
    shed.expect(&b, Kind::Corrupt, "checksum of its header");
    assert_eq!(shed.store.sweep(), 1);
    assert!(support::segments(shed.store.path()).is_empty());
}

/// Some bytes of a segment changed: here and there, at the places of fields, at the end.
fn mutate(dice: &mut Dice, whole: &[u8]) -> Vec<u8> {
    let mut b = whole.to_vec();
    let table = get64(whole, TABLE_OFFSET) as usize;
    for _ in 0..1 + dice.below(4) {
        let odd = [0, 1, 2, 3, 48, 64, 1216, 1280, 1344, u32::MAX.into(), 1 << 31, 1 << 63, u64::MAX, u64::MAX - 63];
        let value = odd[dice.below(odd.len())];
        match dice.below(6) {
            0 => {
                let at = dice.below(b.len());
                b[at] = dice.roll() as u8;
            }
            1 => {
                let at = dice.below(HEADER);
                b[at] ^= 1 << dice.below(8);
            }
            2 => {
                let at = [NODE_COUNT, CHILD_COUNT, NAMES_LEN, ROOT][dice.below(4)];
                put32(&mut b, at, value as u32);
            }
            3 => {
                let at = [FILE_LEN, TABLE_OFFSET][dice.below(2)];
                put64(&mut b, at, value);
            }
            4 if table + NODE <= b.len() => {
                let at = table + NODE * dice.below((b.len() - table) / NODE);
                match dice.below(3) {
                    0 => put64(&mut b, at + [LENGTH, PAYLOAD_OFFSET, PAYLOAD_LEN][dice.below(3)], value),
                    1 => put32(&mut b, at + [ATTRIBUTES, FIRST_CHILD, CHILDREN][dice.below(3)], value as u32),
                    _ => b[at + dice.below(NODE)] = dice.roll() as u8,
                }
            }
            4 => {}
            _ if dice.below(4) == 0 => {
                let len = HEADER + dice.below(b.len());
                b.resize(len, dice.roll() as u8);
            }
            _ => {
                let at = dice.below(b.len());
                b[at] = value as u8;
            }
        }
    }
    // Mostly resealed, so that the checks behind the checksums are reached; now and then with a length that fits.
    if dice.below(3) > 0 {
        let len = b.len() as u64;
        put64(&mut b, FILE_LEN, len);
    }
    if dice.below(8) > 0 {
        reseal(&mut b);
    }
    b
}

#[test]
fn a_header_and_table_that_parse_promise_what_they_say() {
    let (whole, mut dice) = (sample(), Dice(1));
    let mut parsed = 0;
    for _ in 0..60_000 {
        let b = mutate(&mut dice, &whole);
        let Ok(header) = Header::parse(&b, b.len() as u64) else { continue };
        let Ok(table) = Table::parse(&header, &b[header.table_offset as usize..]) else { continue };
        parsed += 1;
        assert!(table.get(header.root).is_some());
        for id in (0..table.len() as u32).map(|i| table.get(i).unwrap()) {
            let node = table.node(id);
            assert!(table.children(id).all(|c| table.get(c.0).is_some()));
            assert!(node.attributes.is_none_or(|a| table.get(a.0).is_some()));
            assert!(table.strategy(id).len() < b.len());
            let end = node.payload.offset.checked_add(node.payload.len).unwrap();
            assert!(node.payload.len == 0 || node.payload.offset >= DATA_AT && end <= header.table_offset);
        }
    }
    assert!(parsed > 1000, "the loop tests only the first checks: {parsed}");
}

#[test]
fn whatever_lies_in_a_store_gives_an_error_or_a_value() {
    let (shed, whole, mut dice) = (Shed::new(), sample(), Dice(2));
    let (mut read, mut refused) = (0, 0);
    for _ in 0..8_000 {
        let b = mutate(&mut dice, &whole);
        match shed.read(&b) {
            Ok(_) => read += 1,
            Err(e) => {
                assert!(matches!(e.kind(), Some(Kind::Corrupt | Kind::Version | Kind::Plugin)), "{e}");
                refused += 1;
            }
        }
    }
    assert!(read > 100 && refused > 1000, "{read} read, {refused} refused");
}

/// A ledger of a process that lives as long as what is returned.
fn ledger_of_another(store: &Store) -> std::fs::File {
    use std::os::fd::AsRawFd;
    let ledger = std::fs::File::create_new(store.path().join("ledgers").join("a".repeat(32))).unwrap();
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::flock(ledger.as_raw_fd(), libc::LOCK_EX) }, 0);
    ledger
}

#[test]
fn a_ledger_longer_than_memory_ends_nobody() {
    // It was read whole, into as much memory as it had bytes: none to be had was the end of every process that swept.
    let shed = Shed::new();
    let ledger = ledger_of_another(&shed.store);
    for len in [1 << 50, 1 << 40] {
        ledger.set_len(len).unwrap();
        assert_eq!(shed.read(&sample()).unwrap(), SHOWN);
        // Nobody can tell what it names, so nothing goes.
        assert_eq!(shed.store.sweep(), 0);
    }
    ledger.set_len(0).unwrap();
    assert_eq!(shed.store.sweep(), 1);
}

#[test]
fn a_ledger_of_many_pieces_is_read_to_its_end() {
    use std::os::unix::fs::FileExt;
    let shed = Shed::new();
    let ledger = ledger_of_another(&shed.store);
    for slot in [0, 2047, 2048, 4095, 4096, 100_000] {
        ledger.set_len(0).unwrap();
        ledger.write_all_at(&[id().bytes(), [0; 16]].concat(), 64 + 32 * slot).unwrap();
        drop(shed.attach(&sample()).unwrap());
        assert_eq!(shed.store.sweep(), 0, "slot {slot}");
    }
}
