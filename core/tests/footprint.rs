//! What sharing costs and saves, as a store tells it.

mod support;

use std::sync::Arc;
use std::time::Duration;

use cowshed_core::fake::{Fake, FakeError, registry};
use cowshed_core::{Flags, Overlay, Reported, Segment, SegmentId, Sent, Store, bytes_over, open, share};
use support::Dir;

const MINUTE: Duration = Duration::from_secs(60);

/// A store, and the same one by another spelling: with a ledger of its own, as another process.
struct Shed {
    _dir: Dir,
    store: Store,
    other: Store,
}

impl Shed {
    fn new() -> Shed {
        let dir = Dir::memory();
        let store = Store::open(&dir.store()).unwrap();
        let other = dir.path().join("..").join(dir.path().file_name().unwrap()).join(dir.store().file_name().unwrap());
        let other = Store::open(&other).unwrap();
        Shed { store, other, _dir: dir }
    }

    fn numbers(&self, n: usize) -> Arc<Segment> {
        let host = Fake::default();
        share(&host, registry(), &self.store, host.numbers(&vec![1.0; n]), Flags::default()).unwrap()
    }
}

fn reported(store: &Store, id: SegmentId) -> Reported {
    store.report().unwrap().into_iter().find(|one| one.listed.id == id).unwrap()
}

fn sent(references: u64, saved: u64) -> Option<Sent> {
    Some(Sent { references, saved })
}

#[test]
fn references_that_were_written_without_a_lock_are_counted_with_the_next_one_and_for_a_report() {
    let shed = Shed::new();
    let (store, segment) = (shed.store, shed.numbers(1000));
    assert_eq!(reported(&store, segment.id()).sent, sent(0, 0));
    store.export_saving(&segment, MINUTE, 7800).unwrap().unwrap();
    store.note_sent(&segment, 100);
    store.note_sent(&segment, 0);
    assert_eq!(reported(&shed.other, segment.id()).sent, sent(1, 7800), "nobody else knows yet");
    store.export_saving(&segment, MINUTE, 7800).unwrap().unwrap();
    assert_eq!(reported(&shed.other, segment.id()).sent, sent(4, 15_700));
    store.note_sent(&segment, 5);
    assert_eq!(reported(&store, segment.id()).sent, sent(5, 15_705));
    (0..256).for_each(|_| store.note_sent(&segment, 1));
    assert_eq!(reported(&shed.other, segment.id()).sent, sent(261, 15_961), "so many are not left for later");
}

#[test]
fn what_was_sent_is_counted_when_the_segment_is_given_up_and_what_is_freed_counts_no_more() {
    let shed = Shed::new();
    let segment = shed.numbers(1000);
    let id = segment.id();
    let ticket = shed.store.export_saving(&segment, MINUTE, 10).unwrap();
    shed.store.note_sent(&segment, 20);
    let held = shed.other.attach(id, ticket).unwrap();
    drop(segment);
    assert_eq!(reported(&shed.other, id).sent, sent(2, 30));
    assert!(shed.other.free(id).unwrap());
    shed.other.note_sent(&held, 1);
    assert_eq!(reported(&shed.other, id).sent, None);
}

#[test]
fn a_damaged_segment_has_no_counts() {
    let shed = Shed::new();
    let segment = shed.numbers(1000);
    let file =
        std::fs::File::options().write(true).open(shed.store.path().join("segments").join(segment.id().to_string()));
    std::os::unix::fs::FileExt::write_all_at(&file.unwrap(), b"garbage", 0).unwrap();
    assert_eq!(reported(&shed.store, segment.id()).sent, None);
}

#[test]
fn private_bytes_are_told_by_segment_and_only_as_long_as_they_are_there() {
    let shed = Shed::new();
    let (large, small) = (shed.numbers(1 << 17), shed.numbers(1000));
    let payload = |segment: &Segment| segment.table().node(segment.root()).payload;
    let over = |segment: &Segment| bytes_over().get(&segment.id()).copied();
    assert_eq!((over(&large), over(&small)), (None, None));
    let overlays: Vec<_> = (0..2).map(|_| Overlay::new(&large, payload(&large)).unwrap()).collect();
    assert_eq!(over(&large), Some(0));
    for (overlay, pages) in overlays.iter().zip([&[0, 100, 101][..], &[7]]) {
        // SAFETY: within the payload, and nobody else's.
        pages.iter().for_each(|page| unsafe { *overlay.pointer().add(page * 4096 + 9) = 1 });
    }
    assert_eq!(over(&large), Some(4 * 4096));
    let copied = Overlay::new(&small, payload(&small)).unwrap();
    assert_eq!(over(&small), Some(8000));
    drop((overlays, copied));
    assert_eq!((over(&large), over(&small)), (None, None));
}

#[test]
fn the_bytes_of_a_part_are_its_own_and_the_roots_are_all() {
    let shed = Shed::new();
    let host = Fake::default();
    let [a, b, c] = [100, 200, 300].map(|n| host.numbers(&vec![1.0; n]));
    let list = host.list(&[host.list(&[a, b]), c]);
    let segment = share(&host, registry(), &shed.store, list, Flags::default()).unwrap();
    let parts: Vec<_> = segment.table().children(segment.root()).map(|part| segment.bytes_of(part)).collect();
    assert_eq!(parts, [2400, 2400]);
    assert!((4800..5200).contains(&segment.bytes_of(segment.root())), "{}", segment.bytes_of(segment.root()));
    // A list that holds itself many times over is walked for a while, not for ever.
    let mut deep = host.list(&[a, a]);
    for _ in 0..60 {
        deep = host.list(&[deep, deep]);
    }
    let segment = share(&host, registry(), &shed.store, host.list(&[deep]), Flags::default()).unwrap();
    let part = segment.table().child(segment.root(), 0).unwrap();
    assert!(segment.bytes_of(part) < 800 << 14);
}

#[test]
#[cfg(target_os = "linux")]
fn each_ledger_is_a_process_and_a_page_is_told_of_whoever_read_it() -> Result<(), FakeError> {
    let shed = Shed::new();
    assert_eq!(shed.store.holdings().unwrap().len(), 0);
    let (large, _small) = (shed.numbers(1 << 17), shed.numbers(10));
    let held = shed.other.attach(large.id(), None).unwrap();
    assert_eq!(shed.store.readers()[&large.id()], 1);
    open(&Fake::default(), registry(), &held, held.root())?;
    let overlay = Overlay::new(&large, large.table().node(large.root()).payload).unwrap();
    // SAFETY: within the payload, and nobody else's.
    unsafe { *overlay.pointer() = 1 };
    let holdings = shed.store.holdings().unwrap();
    let mut segments: Vec<_> = holdings.iter().map(|one| (one.pid, one.segments)).collect();
    segments.sort();
    assert_eq!(segments, [(std::process::id(), 1), (std::process::id(), 2)]);
    for one in holdings {
        let footprint = one.footprint.unwrap();
        // Both ledgers are this process's.
        assert!((1 << 20..5 << 19).contains(&footprint.pss), "{footprint:?}");
        assert_eq!(footprint.private, 4096);
        let (rss, pss) = footprint.whole.unwrap();
        assert!(rss >= pss && pss >= footprint.pss, "{footprint:?}");
    }
    Ok(())
}

#[test]
fn a_pid_without_the_ledger_open_is_somebody_elses() {
    let shed = Shed::new();
    let _held = shed.numbers(1000);
    for pid in [1, std::os::unix::process::parent_id(), u32::MAX] {
        for ledger in support::ledgers(shed.store.path()) {
            let ledger = std::fs::File::options().write(true).open(shed.store.path().join("ledgers").join(ledger));
            std::os::unix::fs::FileExt::write_all_at(&ledger.unwrap(), &pid.to_le_bytes(), 8).unwrap();
        }
        let holdings = shed.store.holdings().unwrap();
        assert_eq!(holdings.iter().map(|one| (one.pid, one.segments)).collect::<Vec<_>>(), [(pid, 1)]);
        assert!(holdings[0].footprint.is_none());
    }
}
