//! A store that runs full, or whose user allows it no more: errors that tell sizes and leave nothing, and who gives way before that.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cowshed_core::fake::{Fake, FakeError, Value, registry};
use cowshed_core::{AttachError, CreateError, Flags, Kind, Segment, SegmentId, Store, share, when_full};
use support::puppet::Stage;
use support::{Dir, SmallDisk};

#[test]
fn puppet() {
    support::puppet::play();
}

/// `len` bytes as one payload, and as payloads of 1,000 bytes.
fn large_and_small(len: usize) -> [(Fake, Value); 2] {
    let (a, b) = (Fake::default(), Fake::default());
    let large = a.numbers(&vec![1.0; len / 8]);
    let parts: Vec<_> = (0..len / 1000).map(|_| b.numbers(&[1.0; 125])).collect();
    let small = b.list(&parts);
    [(a, large), (b, small)]
}

fn share_fake(store: &Store, host: &Fake, value: Value) -> Result<Arc<Segment>, FakeError> {
    share(host, registry(), store, value, Flags::default())
}

#[test]
fn a_full_store_is_an_error_that_tells_sizes_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount(1024) else { return };
    let store = Store::open(&disk.store()).unwrap();
    let free = disk.free_bytes();
    for (host, value) in large_and_small(2 << 20) {
        let error = share_fake(&store, &host, value).unwrap_err();
        let text = error.to_string();
        let FakeError::Create(CreateError::Full { path, asked, free: told }) = error else { panic!("{error}") };
        assert_eq!(path, disk.store());
        assert!(asked > 0 && told <= 1 << 20, "{text}");
        assert!(text.contains(&format!("no room for {asked} bytes")) && text.contains("rm()"), "{text}");
        assert_eq!(support::segments(&disk.store()).len(), 0);
    }
    assert_eq!(disk.free_bytes(), free, "every page was given back");
    // And the next one that fits is shared.
    let host = Fake::default();
    share_fake(&store, &host, host.numbers(&[1.0; 1000])).unwrap();
}

#[test]
fn a_store_with_any_few_pages_left_shares_or_says_that_it_is_full() {
    // With a page for the segment and none for the ledger the error used to be that the store cannot be used, which is another class
    // and another remedy.
    for pages in 0..6u64 {
        let Some(disk) = SmallDisk::mount(256) else { return };
        let store = Store::open(&disk.store()).unwrap();
        std::fs::write(disk.path().join("ballast"), vec![1; (disk.free_bytes() - pages * 4096) as usize]).unwrap();
        assert_eq!(disk.free_bytes(), pages * 4096);
        let host = Fake::default();
        match share_fake(&store, &host, host.numbers(&[1.0, 2.0])) {
            Ok(_) => assert!(pages >= 2, "{pages} pages"),
            Err(e) => {
                assert_eq!(e.kind(), Some(Kind::Full), "{pages} pages: {e}");
                assert!(pages < 4, "{pages} pages: {e}");
                assert_eq!(support::segments(&disk.store()).len(), 0);
            }
        }
        store.sweep();
        assert_eq!(support::segments(&disk.store()).len(), 0);
        std::fs::remove_file(disk.path().join("ballast")).unwrap();
        share_fake(&store, &host, host.numbers(&[1.0, 2.0])).unwrap();
    }
}

#[test]
fn a_store_full_of_what_nobody_holds_makes_room_for_small_objects_too() {
    // Only payloads from 32 KiB up used to sweep before they gave up.
    let Some(disk) = SmallDisk::mount(1024) else { return };
    let store = Store::open(&disk.store()).unwrap();
    let host = Fake::default();
    let value = host.numbers(&[1.0; 1000]);
    // The store has just been swept, so the next share will not do it by itself.
    drop(share_fake(&store, &host, value));
    let mut idle = 0;
    while std::fs::write(disk.store().join("segments").join(format!("{idle:032x}")), [0; 8192]).is_ok() {
        idle += 1;
    }
    assert!(idle > 100);
    for _ in 0..20 {
        share_fake(&store, &host, value).unwrap();
    }
}

#[test]
fn a_file_size_limit_is_a_full_store_not_a_death() {
    const ME: &str = "a_file_size_limit_is_a_full_store_not_a_death";
    if !support::is_role(ME) {
        return support::in_a_process_of_its_own(ME, || support::limit(libc::RLIMIT_FSIZE, 100_000));
    }
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    for (host, value) in large_and_small(1 << 20) {
        let error = share_fake(&store, &host, value).unwrap_err();
        assert_eq!(error.kind(), Some(Kind::Full), "{error}");
        assert_eq!(support::segments(&dir.store()).len(), 0);
    }
    let host = Fake::default();
    share_fake(&store, &host, host.numbers(&[1.0; 100])).unwrap();
}

#[test]
fn a_ledger_over_the_file_size_limit_is_an_error_not_a_death() {
    // The ledger was written without heeding the limit: SIGXFSZ killed the process at its 1,021st object.
    const ME: &str = "a_ledger_over_the_file_size_limit_is_an_error_not_a_death";
    if !support::is_role(ME) {
        return support::in_a_process_of_its_own(ME, || support::limit(libc::RLIMIT_FSIZE, 8192));
    }
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    let host = Fake::default();
    let value = host.numbers(&[1.0]);
    let mut held = Vec::new();
    let error = loop {
        match share_fake(&store, &host, value) {
            Ok(segment) => held.push(segment),
            Err(e) => break e,
        }
        assert!(held.len() < 1000, "a ledger of 8,192 bytes names 254 segments");
    };
    assert_eq!(error.kind(), Some(Kind::Full), "{error}");
    assert_eq!(support::segments(&dir.store()).len(), held.len());
    // What is held is intact, and there is room again when one goes.
    held.pop();
    share_fake(&store, &host, value).unwrap();
    assert!(held.iter().all(|s| s.header().node_count == 1));
}

#[test]
fn threads_that_meet_the_file_size_limit_together_live() {
    // The signal used to be ignored for the whole process and then restored: whoever restored it first let the others die.
    const ME: &str = "threads_that_meet_the_file_size_limit_together_live";
    if !support::is_role(ME) {
        return support::in_a_process_of_its_own(ME, || support::limit(libc::RLIMIT_FSIZE, 100_000));
    }
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let host = Fake::default();
                let value = host.numbers(&[1.0; 20_000]);
                for _ in 0..500 {
                    assert_eq!(share_fake(&store, &host, value).unwrap_err().kind(), Some(Kind::Full));
                }
            });
        }
    });
    // Outside of a write the signal is what it was: deadly.
    // SAFETY: asks for the disposition, sets nothing.
    let disposition = unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGXFSZ, std::ptr::null(), &mut now);
        now.sa_sigaction
    };
    assert_eq!(disposition, libc::SIG_DFL);
    assert_eq!(support::segments(&dir.store()).len(), 0);
}

#[test]
fn a_quota_of_open_files_is_an_error_that_leaves_nothing() {
    const ME: &str = "a_quota_of_open_files_is_an_error_that_leaves_nothing";
    if !support::is_role(ME) {
        return support::in_a_process_of_its_own(ME, || support::limit(libc::RLIMIT_NOFILE, 24));
    }
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    let host = Fake::default();
    let value = host.numbers(&[1.0]);
    drop(share_fake(&store, &host, value).unwrap());
    let mut hogs = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hogs.push(file);
    }
    for left in 0..8 {
        if let Err(error) = share_fake(&store, &host, value) {
            assert!(matches!(error.kind(), Some(Kind::Store | Kind::Memory)), "{left} left: {error}");
        }
        hogs.pop();
    }
    drop(hogs);
    share_fake(&store, &host, value).unwrap();
    store.sweep();
    assert_eq!(support::segments(&dir.store()).len(), 0);
}

const MINUTE: Duration = Duration::from_secs(60);

/// A megabyte.
fn large(store: &Store) -> Result<Arc<Segment>, FakeError> {
    let host = Fake::default();
    share_fake(store, &host, host.numbers(&vec![1.0; 1 << 17]))
}

/// Shared, sent for so long, and dropped.
fn in_flight(store: &Store, grace: Duration) -> SegmentId {
    let segment = large(store).unwrap();
    store.export(&segment, grace).unwrap().unwrap();
    segment.id()
}

#[test]
fn references_nobody_claims_give_way_in_a_full_store_the_oldest_first() {
    let Some(disk) = SmallDisk::mount(8 << 10) else { return };
    let store = Store::open(&disk.store()).unwrap();
    let held = large(&store).unwrap();
    store.export(&held, MINUTE).unwrap().unwrap();
    let sent: Vec<_> = (0..6).map(|_| in_flight(&store, MINUTE)).collect();
    // The first two make room for these two, and no more than that.
    let new = [large(&store).unwrap(), large(&store).unwrap()];
    let there: Vec<_> = sent.iter().map(|&id| store.has(id)).collect();
    assert_eq!(there, [false, false, true, true, true, true]);
    assert!(matches!(store.attach(sent[0], None), Err(AttachError::Gone { .. })));
    let last = store.attach(sent[5], None).unwrap();
    // What is held never does.
    assert!(store.has(held.id()));
    let kept: Vec<_> = std::iter::from_fn(|| large(&store).ok()).collect();
    assert_eq!(kept.len(), 3);
    assert!([&held, &last, &new[0], &new[1]].iter().all(|segment| store.has(segment.id())));
}

#[test]
fn the_reference_that_would_end_first_gives_way_first() {
    let Some(disk) = SmallDisk::mount(4 << 10) else { return };
    let store = Store::open(&disk.store()).unwrap();
    let (long, short) = (in_flight(&store, 2 * MINUTE), in_flight(&store, MINUTE));
    let _held = [large(&store).unwrap(), large(&store).unwrap()];
    assert!(store.has(long) && !store.has(short));
}

#[test]
fn many_small_references_give_way_to_one_large_object() {
    let Some(disk) = SmallDisk::mount(2 << 10) else { return };
    let store = Store::open(&disk.store()).unwrap();
    let host = Fake::default();
    for _ in 0..220 {
        let small = share_fake(&store, &host, host.numbers(&[1.0; 512])).unwrap();
        store.export(&small, MINUTE).unwrap().unwrap();
    }
    large(&store).unwrap();
    // As many as it took.
    assert!(support::segments(&disk.store()).len() > 50);
}

#[test]
fn a_budget_is_an_error_that_tells_sizes_and_leaves_nothing() {
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    store.set_budget(Some(3 << 20));
    let held = [large(&store).unwrap(), large(&store).unwrap()];
    let error = large(&store).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), Some(Kind::Full), "{text}");
    let FakeError::Create(CreateError::Budget { asked, used, budget, .. }) = error else { panic!("{text}") };
    assert!(asked >= 1 << 20 && used >= 2 << 20 && budget == 3 << 20, "{text}");
    assert!(text.contains(&format!("holds {used} of the {budget} bytes that options(cowshed.maxStore = )")), "{text}");
    assert_eq!(support::segments(&dir.store()).len(), 2);
    // In many small payloads, in memory by name, in a draft: none gets around it.
    let host = Fake::default();
    let parts: Vec<_> = (0..1050).map(|_| host.numbers(&[1.0; 125])).collect();
    assert_eq!(share_fake(&store, &host, host.list(&parts)).unwrap_err().kind(), Some(Kind::Full));
    assert_eq!(store.allocate(2 << 20, Some("m")).unwrap_err().kind(), Kind::Full);
    assert_eq!(cowshed_core::Draft::new(store, &vec![0; 2 << 20]).err().unwrap().kind(), Kind::Full);
    assert_eq!(support::segments(&dir.store()).len(), 2);
    // What goes makes room, and so does what is only on its way.
    drop(held);
    in_flight(&store, MINUTE);
    in_flight(&store, MINUTE);
    large(&store).unwrap();
    store.set_budget(None);
    let _more: Vec<_> = (0..5).map(|_| large(&store).unwrap()).collect();
}

#[test]
fn a_host_that_holds_twice_what_it_needed_is_asked_what_it_still_needs() {
    const ME: &str = "a_host_that_holds_twice_what_it_needed_is_asked_what_it_still_needs";
    if !support::is_role(ME) {
        return support::in_a_process_of_its_own(ME, || Ok(()));
    }
    static ASKED: AtomicU32 = AtomicU32::new(0);
    when_full(|| {
        ASKED.fetch_add(1, Ordering::Relaxed);
    });
    let Some(disk) = SmallDisk::mount(160 << 10) else { return };
    let store = Store::open(&disk.store()).unwrap();
    // A sixteenth of the store is allowed always: 10 MB.
    let held: Vec<_> = (0..100).map(|_| large(&store).unwrap()).collect();
    let asked = ASKED.load(Ordering::Relaxed);
    // At 10 MB, at 20, 40 and 80.
    assert!((3..=5).contains(&asked), "{asked} times");
    // One that lets go as it goes on is never asked.
    drop(held);
    (0..100).for_each(|_| drop(large(&store).unwrap()));
    assert_eq!(ASKED.load(Ordering::Relaxed), asked);
}

#[test]
fn a_report_tells_who_holds_what_and_what_was_freed() {
    let stage = Stage::new();
    let store = Store::open(&stage.store()).unwrap();
    let mut holder = stage.puppet();
    let id = SegmentId::parse(&holder.ask("share a 1 20000")).unwrap();
    let mut child = stage.fork(&mut holder);
    holder.ask("export a 60000");
    let ours = large(&store).unwrap();
    let sent = in_flight(&store, MINUTE);
    let report = |id: SegmentId| store.report().unwrap().into_iter().find(|one| one.listed.id == id);
    let one = report(id).unwrap();
    let mut holders = one.holders.clone();
    holders.sort_unstable();
    let mut expected = [holder.pid as u32, child.pid as u32];
    expected.sort_unstable();
    assert_eq!((holders.as_slice(), one.in_flight, one.freed), (expected.as_slice(), 1, false));
    let about = one.listed.about.clone().unwrap();
    assert_eq!((about.strategy.as_str(), about.length), ("fake.list", 2));
    assert_eq!(about.header.pid, holder.pid as u32);
    assert_eq!(report(ours.id()).unwrap().holders, [std::process::id()]);
    assert_eq!(report(sent).unwrap().holders, [0; 0]);
    // Freed, it is told of until its last holder has let go.
    let size = one.listed.size;
    assert!(store.free(id).unwrap());
    let freed = report(id).unwrap();
    assert!(freed.freed && freed.listed.about.is_none() && freed.listed.size == size && freed.listed.created > 0);
    assert_eq!(freed.holders.len(), 2);
    assert!(store.list().unwrap().iter().all(|listed| listed.id != id));
    child.ask("drop a");
    assert_eq!(report(id).unwrap().holders, [holder.pid as u32]);
    holder.expect("check a 1 20000", "right");
    holder.leave("exit");
    assert!(report(id).is_none());
}
