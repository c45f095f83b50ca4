//! Laws of every backing, written once: what is sealed reads back, payloads lie as the format says, a failure leaves nothing.
//!
//! Below them what only a store does: small segments wait there for their names.

mod support;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use cowshed_core::fake::FakeError;
use cowshed_core::{
    Backing, Claim, CreateError, DispatchError, Encoder, Flags, Heap, Host, Kind, Mode, Node, NodeId, Opener, Registry,
    Segment, Shareable, Store, Stored, Table, Waiting, open, share,
};
use support::{Dice, Dir, SmallDisk};

/// A host of bytes and lists.
#[derive(Default)]
struct Bytes {
    things: RefCell<Vec<Thing>>,
    polls: Cell<u32>,
    interrupt_at: Cell<u32>,
}

#[derive(Clone)]
enum Thing {
    /// In memory: written in one go.
    Bytes(Vec<u8>),
    /// Written piece by piece.
    Stream(Vec<u8>),
    List(Vec<usize>),
    Odd,
}

impl Bytes {
    fn add(&self, thing: Thing) -> usize {
        self.things.borrow_mut().push(thing);
        self.things.borrow().len() - 1
    }

    fn thing(&self, value: usize) -> Thing {
        self.things.borrow()[value].clone()
    }
}

impl Host for Bytes {
    type Value = usize;
    type Error = FakeError;

    fn kind(&self, value: usize) -> u8 {
        match self.thing(value) {
            Thing::Bytes(_) | Thing::Stream(_) => 1,
            Thing::List(_) => 2,
            Thing::Odd => 31,
        }
    }

    fn describe(&self, value: usize) -> String {
        format!("class <kind {}>", self.kind(value))
    }

    fn identity(&self, value: usize) -> Option<usize> {
        Some(value)
    }

    fn poll(&self) -> Result<(), FakeError> {
        self.polls.set(self.polls.get() + 1);
        if self.polls.get() == self.interrupt_at.get() { Err(FakeError::Interrupted) } else { Ok(()) }
    }
}

struct Raw;

impl Shareable<Bytes> for Raw {
    fn name(&self) -> &'static str {
        "test.bytes"
    }

    fn kinds(&self) -> &'static [u8] {
        &[1]
    }

    fn claim(&self, _: &Bytes, _: usize) -> Claim {
        Claim::Type
    }

    fn encode(&self, host: &Bytes, value: usize, out: &mut Encoder<'_, Bytes>) -> Result<NodeId, FakeError> {
        let payload = match host.thing(value) {
            Thing::Bytes(bytes) => out.payload(&bytes)?,
            Thing::Stream(bytes) => {
                let mut due = 0;
                out.payload_from(bytes.len() as u64, |at, piece| {
                    assert_eq!(at, due, "pieces come in order");
                    due += piece.len() as u64;
                    assert!(due == bytes.len() as u64 || piece.len() % 16 == 0);
                    assert_eq!(piece.as_ptr() as usize % 16, 0);
                    piece.copy_from_slice(&bytes[at as usize..][..piece.len()]);
                    Ok(())
                })?
            }
            _ => unreachable!("claimed by kind"),
        };
        out.node(self.name(), Node { length: payload.len, payload, ..Node::default() }, &[])
    }

    fn open(&self, host: &Bytes, node: NodeId, from: &mut Opener<'_, Bytes>) -> Result<usize, FakeError> {
        let payload = from.node(node).payload;
        let at = from.segment().payload(payload);
        assert_eq!(at as usize % 16, 0, "a payload is aligned in memory too");
        // SAFETY: the table was checked, and nobody writes in these tests.
        let bytes = unsafe { std::slice::from_raw_parts(at, payload.len as usize) }.to_vec();
        assert_eq!(from.segment().frozen(payload).is_some(), from.segment().mode() == Mode::Frozen);
        let in_file = from.segment().lease().is_some() || from.segment().place().is_some();
        assert_eq!(from.segment().payload_mut(payload).is_some(), in_file && !frozen(from));
        Ok(host.add(Thing::Bytes(bytes)))
    }
}

fn frozen(from: &Opener<'_, Bytes>) -> bool {
    from.segment().mode() == Mode::Frozen
}

struct List;

impl Shareable<Bytes> for List {
    fn name(&self) -> &'static str {
        "test.list"
    }

    fn kinds(&self) -> &'static [u8] {
        &[2]
    }

    fn claim(&self, _: &Bytes, _: usize) -> Claim {
        Claim::Type
    }

    fn encode(&self, host: &Bytes, value: usize, out: &mut Encoder<'_, Bytes>) -> Result<NodeId, FakeError> {
        let Thing::List(values) = host.thing(value) else { unreachable!("claimed by kind") };
        let children = values.into_iter().map(|v| out.encode(v)).collect::<Result<Vec<_>, _>>()?;
        out.node(self.name(), Node { length: children.len() as u64, ..Node::default() }, &children)
    }

    fn open(&self, host: &Bytes, node: NodeId, from: &mut Opener<'_, Bytes>) -> Result<usize, FakeError> {
        let values = from.children(node).map(|c| from.open(c)).collect::<Result<Vec<_>, _>>()?;
        Ok(host.add(Thing::List(values)))
    }
}

fn registry() -> Registry<Bytes> {
    Registry::new([&Raw as &dyn Shareable<Bytes>, &List])
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| dice.roll().to_ne_bytes()).collect();
    bytes.truncate(len);
    bytes
}

fn write<B: Backing>(backing: &B, host: &Bytes, value: usize, flags: Flags) -> Result<Arc<Segment>, FakeError> {
    share(host, &registry(), backing, value, flags)
}

/// All bytes of a segment, in order of its lists.
fn read(segment: &Arc<Segment>) -> Vec<Vec<u8>> {
    fn walk(host: &Bytes, value: usize, out: &mut Vec<Vec<u8>>) {
        match host.thing(value) {
            Thing::List(values) => values.into_iter().for_each(|v| walk(host, v, out)),
            Thing::Bytes(bytes) | Thing::Stream(bytes) => out.push(bytes),
            Thing::Odd => unreachable!(),
        }
    }
    let host = Bytes::default();
    let value = open(&host, &registry(), segment, segment.root()).unwrap();
    let mut all = Vec::new();
    walk(&host, value, &mut all);
    all
}

const SIZES: [usize; 22] = [
    0, 1, 63, 64, 65, 1215, 1216, 4095, 4096, 4097, 15_000, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 65_536,
    262_144, 262_145, 1_048_576, 1_048_577,
];

const BOTH: [Flags; 2] = [Flags::COPY_ON_WRITE, Flags::empty()];

fn one_payload_of_any_size_reads_back<B: Backing>(backing: &B, again: impl Fn(&Segment) -> Option<Arc<Segment>>) {
    for size in SIZES {
        for flags in BOTH {
            for kind in [Thing::Bytes as fn(_) -> _, Thing::Stream] {
                let host = Bytes::default();
                let bytes = noise(size, size as u64);
                let segment = write(backing, &host, host.add(kind(bytes.clone())), flags).unwrap();
                assert!(read(&segment) == [bytes.as_slice()], "{size} bytes");
                if let Some(other) = again(&segment) {
                    assert!(read(&other) == [bytes.as_slice()], "{size} bytes, attached");
                    assert_eq!(other.header(), segment.header());
                }
            }
        }
    }
}

fn many_payloads_mixed_read_back<B: Backing>(backing: &B, again: impl Fn(&Segment) -> Option<Arc<Segment>>) {
    let mut dice = Dice(3);
    for round in 0..30 {
        let host = Bytes::default();
        let mut all = Vec::new();
        let mut lists = Vec::new();
        for _ in 0..1 + dice.below(4) {
            let values = (0..dice.below(20)).map(|_| {
                let size = SIZES[dice.below(if round < 25 { 17 } else { SIZES.len() })];
                let bytes = noise(size, dice.roll());
                all.push(bytes.clone());
                host.add(if dice.below(2) == 0 { Thing::Bytes(bytes) } else { Thing::Stream(bytes) })
            });
            let values = values.collect();
            lists.push(host.add(Thing::List(values)));
        }
        let root = host.add(Thing::List(lists));
        let segment = write(backing, &host, root, BOTH[round % 2]).unwrap();
        assert!(read(&segment) == all, "round {round}");
        assert!(again(&segment).is_none_or(|s| read(&s) == all), "round {round}, attached");
    }
}

fn payloads_lie_as_the_format_says<B: Backing>(backing: &B, file: impl Fn(&Segment) -> Option<Vec<u8>>) {
    let host = Bytes::default();
    let values = SIZES.iter().chain(&SIZES).map(|&n| host.add(Thing::Bytes(vec![0xff; n]))).collect();
    let segment = write(backing, &host, host.add(Thing::List(values)), Flags::default()).unwrap();
    let mut end = 1216;
    let bytes = file(&segment);
    for child in segment.table().children(segment.root()) {
        let payload = segment.table().node(child).payload;
        if payload.len == 0 {
            assert_eq!(payload.offset, 0);
            continue;
        }
        assert!(payload.offset >= end, "payloads follow one another");
        assert_eq!(
            payload.offset
                % if payload.len >= 32 << 10 {
                    4096
                } else if payload.len >= 1 << 10 {
                    64
                } else {
                    16
                },
            0,
            "{payload:?}"
        );
        if let Some(bytes) = &bytes {
            assert!(bytes[end as usize..payload.offset as usize].iter().all(|b| *b == 0), "gaps are zero");
        }
        end = payload.offset + payload.len;
    }
    let header = segment.header();
    assert!(header.table_offset >= end && header.table_offset % 64 == 0);
    assert_eq!(header.table_offset + header.table_len(), header.file_len);
    assert!(bytes.is_none_or(|b| b.len() as u64 == header.file_len));
}

fn an_interrupted_encode_leaves_nothing<B: Backing>(backing: &B, left: impl Fn() -> usize) {
    let host = Bytes::default();
    let small = host.add(Thing::Bytes(noise(100, 1)));
    let large = host.add(Thing::Bytes(noise(40 << 20, 2)));
    let stream = host.add(Thing::Stream(noise(40 << 20, 3)));
    let root = host.add(Thing::List(vec![small, large, stream]));
    write(backing, &host, root, Flags::default()).unwrap();
    let polls = host.polls.get();
    assert!(polls >= 5, "long work polls: {polls}");
    for at in 1..=polls {
        host.polls.set(0);
        host.interrupt_at.set(at);
        let error = write(backing, &host, root, Flags::default()).unwrap_err();
        assert!(matches!(error, FakeError::Interrupted), "{error}");
        assert_eq!(left(), 0);
    }
}

fn one_object_met_twice_is_written_once<B: Backing>(backing: &B) {
    let host = Bytes::default();
    let bytes = host.add(Thing::Bytes(noise(100_000, 1)));
    let twin = host.add(Thing::Bytes(noise(100_000, 1)));
    let inner = host.add(Thing::List(vec![bytes, bytes]));
    let root = host.add(Thing::List(vec![inner, bytes, inner, twin]));
    let segment = write(backing, &host, root, Flags::default()).unwrap();
    assert_eq!(segment.table().len(), 4, "equal is not the same");
    assert!(segment.header().file_len < 220_000);
    assert_eq!(read(&segment).len(), 6);
}

fn what_nobody_claims_is_an_error_and_leaves_nothing<B: Backing>(backing: &B, left: impl Fn() -> usize) {
    let host = Bytes::default();
    let odd = host.add(Thing::Odd);
    let large = host.add(Thing::Bytes(noise(3 << 20, 2)));
    let root = host.add(Thing::List(vec![large, odd]));
    for value in [odd, root] {
        let error = write(backing, &host, value, Flags::default()).unwrap_err();
        assert_eq!(error.kind(), Some(Kind::Unshareable));
        assert_eq!(error.to_string(), "an object of class <kind 31> cannot be shared");
        assert_eq!(left(), 0);
    }
}

fn what_nests_too_deep_is_refused_when_written_not_when_read<B: Backing>(backing: &B, left: impl Fn() -> usize) {
    // There was no limit for the writer: a list of 6,000 levels was sealed, and then could not be opened.
    let host = Bytes::default();
    let mut value = host.add(Thing::Bytes(vec![1, 2, 3]));
    for _ in 1..1200 {
        value = host.add(Thing::List(vec![value]));
    }
    let segment = write(backing, &host, value, Flags::default()).unwrap();
    assert_eq!(read(&segment), [[1, 2, 3]]);
    drop(segment);
    let deeper = host.add(Thing::List(vec![value]));
    let error = write(backing, &host, deeper, Flags::default()).unwrap_err();
    assert!(matches!(error, FakeError::Dispatch(DispatchError::TooDeep { deepest: 1200, .. })), "{error}");
    assert_eq!(left(), 0);
    // Nothing of the failure sticks to what comes after.
    assert_eq!(read(&write(backing, &host, value, Flags::default()).unwrap()), [[1, 2, 3]]);
}

fn a_hundred_thousand_parts_read_back<B: Backing>(backing: &B) {
    let host = Bytes::default();
    let values = (0..100_000u32).map(|i| host.add(Thing::Bytes(i.to_ne_bytes().to_vec()))).collect();
    let segment = write(backing, &host, host.add(Thing::List(values)), Flags::default()).unwrap();
    assert!(read(&segment).iter().zip(0u32..).all(|(b, i)| *b == i.to_ne_bytes()));
}

/// A store of its own, counted after what was given up is collected.
struct Shed {
    dir: Dir,
    store: Store,
    /// The same directory by another spelling: another store, as another process would have.
    other: Store,
}

impl Shed {
    fn new(dir: Dir) -> Shed {
        let store = Store::open(&dir.store()).unwrap();
        let spelled = dir.path().join("..").join(dir.path().file_name().unwrap()).join("store");
        Shed { store, other: Store::open(&spelled).unwrap(), dir }
    }

    fn again(&self, segment: &Segment) -> Option<Arc<Segment>> {
        Some(self.other.attach(segment.id(), None).unwrap())
    }

    fn left(&self) -> usize {
        self.store.sweep();
        support::segments(&self.dir.store()).len()
    }

    fn file(&self, segment: &Segment) -> Option<Vec<u8>> {
        Some(std::fs::read(self.dir.store().join("segments").join(segment.id().to_string())).unwrap())
    }
}

/// The same, where small segments wait for their names until somebody asks.
struct Patient {
    shed: Shed,
    waiting: Waiting,
}

impl Patient {
    fn new() -> Patient {
        let shed = Shed::new(Dir::memory());
        Patient { waiting: Waiting(shed.store), shed }
    }

    fn again(&self, segment: &Segment) -> Option<Arc<Segment>> {
        assert!(self.shed.store.named(segment));
        self.shed.again(segment)
    }

    fn left(&self) -> usize {
        self.shed.left()
    }

    fn file(&self, segment: &Segment) -> Option<Vec<u8>> {
        assert!(self.shed.store.named(segment));
        self.shed.file(segment)
    }
}

/// The laws for one backing.
macro_rules! laws {
    ($name:ident, $shed:expr, $backing:ident, $again:expr, $left:expr, $file:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn one_payload_of_any_size_reads_back() {
                let shed = $shed;
                super::one_payload_of_any_size_reads_back(&shed.$backing, |s| $again(&shed, s));
                assert_eq!($left(&shed), 0);
            }

            #[test]
            fn many_payloads_mixed_read_back() {
                let shed = $shed;
                super::many_payloads_mixed_read_back(&shed.$backing, |s| $again(&shed, s));
                assert_eq!($left(&shed), 0);
            }

            #[test]
            fn payloads_lie_as_the_format_says() {
                let shed = $shed;
                super::payloads_lie_as_the_format_says(&shed.$backing, |s| $file(&shed, s));
            }

            #[test]
            fn an_interrupted_encode_leaves_nothing() {
                let shed = $shed;
                super::an_interrupted_encode_leaves_nothing(&shed.$backing, || $left(&shed));
            }

            #[test]
            fn one_object_met_twice_is_written_once() {
                super::one_object_met_twice_is_written_once(&$shed.$backing);
            }

            #[test]
            fn what_nobody_claims_is_an_error_and_leaves_nothing() {
                let shed = $shed;
                super::what_nobody_claims_is_an_error_and_leaves_nothing(&shed.$backing, || $left(&shed));
            }

            #[test]
            fn what_nests_too_deep_is_refused_when_written_not_when_read() {
                let shed = $shed;
                super::what_nests_too_deep_is_refused_when_written_not_when_read(&shed.$backing, || $left(&shed));
            }

            #[test]
            fn a_hundred_thousand_parts_read_back() {
                super::a_hundred_thousand_parts_read_back(&$shed.$backing);
            }
        }
    };
}

struct OnHeap {
    heap: Heap,
}

laws!(heap, OnHeap { heap: Heap }, heap, |_: &OnHeap, _: &Segment| None, |_: &OnHeap| 0, |_: &OnHeap, _: &Segment| {
    None
});
laws!(memory, Shed::new(Dir::memory()), store, Shed::again, Shed::left, Shed::file);
laws!(waiting, Patient::new(), waiting, Patient::again, Patient::left, Patient::file);
/// Stored for good, and removed at once: a path is used up by what is stored there.
struct Passing(Dir);

impl Passing {
    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("x.cowshed")
    }
}

struct Stores {
    passing: Passing,
}

impl Backing for Passing {
    type Writer = <Stored as Backing>::Writer;

    fn writer(&self, mode: Mode) -> Result<Self::Writer, CreateError> {
        Stored::new(&self.path()).writer(mode)
    }

    fn seal(&self, writer: Self::Writer, table: &Table, root: NodeId) -> Result<Arc<Segment>, CreateError> {
        let segment = Stored::new(&self.path()).seal(writer, table, root)?;
        std::fs::remove_file(self.path()).unwrap();
        Ok(segment)
    }
}

fn stores() -> Stores {
    Stores { passing: Passing(Dir::disk()) }
}

laws!(
    stored,
    stores(),
    passing,
    |_: &Stores, _: &Segment| None,
    |stores: &Stores| std::fs::read_dir(stores.passing.0.path()).unwrap().count(),
    |_: &Stores, _: &Segment| None
);
laws!(disk, Shed::new(Dir::disk()), store, Shed::again, Shed::left, Shed::file);

#[test]
fn a_small_frozen_segment_waits_and_is_named_when_it_is_sent_listed_or_asked() {
    let patient = Patient::new();
    let dir = patient.shed.dir.store();
    let (host, raw) = (Bytes::default(), Thing::Bytes);
    let make = |len: usize, flags| write(&patient.waiting, &host, host.add(raw(noise(len, 1))), flags).unwrap();
    let wait = [make(0, Flags::default()), make(100, Flags::default()), make(15_000, Flags::default())];
    assert!(support::segments(&dir).is_empty() && support::ledgers(&dir).is_empty());
    let at_once = [make(100, Flags::empty()), make(16 << 10, Flags::default())];
    assert_eq!(support::segments(&dir).len(), 2);
    // By an export ...
    assert!(patient.shed.store.export(&wait[1], std::time::Duration::from_secs(60)).unwrap().is_some());
    assert_eq!(support::segments(&dir).len(), 3);
    assert_eq!(read(&patient.shed.again(&wait[1]).unwrap()), [noise(100, 1)]);
    // ... or for a listing.
    assert_eq!(patient.shed.store.list().unwrap().len(), 5);
    drop((wait, at_once));
    // Which ends only when its reference in flight does.
    assert_eq!(patient.left(), 1);
}

#[test]
fn a_segment_that_waits_in_a_full_store_stays_readable_and_is_named_once_there_is_room() {
    let Some(disk) = SmallDisk::mount(256) else { return };
    let store = Store::open(&disk.store()).unwrap();
    let host = Bytes::default();
    let segment = write(&Waiting(store), &host, host.add(Thing::Bytes(noise(9000, 1))), Flags::default()).unwrap();
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; disk.free_bytes() as usize]).unwrap();
    assert!(!store.named(&segment));
    assert!(store.export(&segment, std::time::Duration::from_secs(60)).unwrap().is_none());
    assert_eq!(support::segments(&disk.store()).len(), 0);
    assert_eq!(read(&segment), [noise(9000, 1)]);
    std::fs::remove_file(ballast).unwrap();
    assert!(store.named(&segment));
    assert_eq!(support::segments(&disk.store()), [segment.id().to_string()]);
}
