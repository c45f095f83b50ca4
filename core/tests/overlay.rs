//! Private pages over a frozen payload, and segments that their only maker still writes.

mod support;

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cowshed_core::fake::{Fake, FakeError, Value, registry};
use cowshed_core::{
    Backing, CreateError, Draft, Flags, Heap, Kind, Mode, Node, NodeId, Overlay, Payload, Segment, Store, open, share,
};
use support::{Dice, Dir, SmallDisk};

const PAGE: usize = 4096;
/// Bytes: copied, mapped as a segment but copied as an overlay, mapped, mapped with an odd end, large.
const SIZES: [usize; 6] = [8, 8_000, 40_000, 64 << 10, (1 << 20) + 8, 8 << 20];

fn numbers(host: &Fake, bytes: usize, seed: u64) -> Value {
    let mut dice = Dice(seed);
    host.numbers(&(0..bytes / 8).map(|_| (dice.roll() >> 20) as f64).collect::<Vec<_>>())
}

fn shared<B: Backing>(backing: &B, bytes: usize, seed: u64) -> (Arc<Segment>, Payload) {
    let host = Fake::default();
    let segment = share(&host, registry(), backing, numbers(&host, bytes, seed), Flags::default()).unwrap();
    let payload = segment.table().node(segment.root()).payload;
    assert_eq!(payload.len, bytes as u64);
    (segment, payload)
}

/// A store in a directory of its own, and the same one by another spelling: what another process sees.
struct Shed {
    dir: Dir,
    store: Store,
    other: Store,
}

impl Shed {
    fn new() -> Shed {
        Self::within(Dir::memory())
    }

    fn within(dir: Dir) -> Shed {
        let spelled = dir.path().join("..").join(dir.path().file_name().unwrap()).join("store");
        Shed { store: Store::open(&dir.store()).unwrap(), other: Store::open(&spelled).unwrap(), dir }
    }

    /// Segments that do not go. A process that another test starts has, until it runs its program, copies of our descriptors, and with them our locks.
    fn left(&self) -> usize {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            self.store.sweep();
            let left = support::segments(&self.dir.store()).len();
            if left == 0 || Instant::now() > until {
                return left;
            }
            sleep(Duration::from_millis(5));
        }
    }
}

fn bytes(overlay: &Overlay, payload: Payload) -> &[u8] {
    // SAFETY: the overlay is as long as its payload and nobody writes while the slice lives.
    unsafe { std::slice::from_raw_parts(overlay.pointer(), payload.len as usize) }
}

fn write(overlay: &Overlay, at: usize, byte: u8) {
    // SAFETY: the tests write within the payload only.
    unsafe { overlay.pointer().add(at).write_volatile(byte) }
}

#[test]
fn writes_to_an_overlay_never_reach_the_segment() {
    for dir in [Dir::memory(), Dir::disk()] {
        let shed = Shed::within(dir);
        for size in SIZES {
            let (segment, payload) = shared(&shed.store, size, 1);
            let before = segment.frozen(payload).unwrap().to_vec();
            let file = shed.dir.store().join("segments").join(segment.id().to_string());
            let whole = std::fs::read(&file).unwrap();
            let (one, two) = (Overlay::new(&segment, payload).unwrap(), Overlay::new(&segment, payload).unwrap());
            assert!(bytes(&one, payload) == before && bytes(&two, payload) == before);
            for (at, byte) in before.iter().enumerate() {
                write(&one, at, !byte);
            }
            assert!(bytes(&one, payload).iter().zip(&before).all(|(a, b)| *a == !b), "{size}: all was written");
            assert!(bytes(&two, payload) == before, "{size}: not to another overlay");
            assert!(segment.frozen(payload).unwrap() == before, "{size}: not to the segment");
            assert!(std::fs::read(&file).unwrap() == whole, "{size}: not to the file");
            let other = shed.other.attach(segment.id(), None).unwrap();
            assert!(other.frozen(payload).unwrap() == before, "{size}: not to others");
            assert!(one.dirty(&before) && !two.dirty(&before), "{size}");
        }
    }
}

#[test]
fn a_write_next_to_another_payload_stays_on_its_own_pages() {
    let shed = Shed::new();
    let host = Fake::default();
    let parts: Vec<_> = (0..4).map(|i| numbers(&host, 65_544, i)).collect();
    let segment = share(&host, registry(), &shed.store, host.list(&parts), Flags::default()).unwrap();
    let payloads: Vec<_> = segment.table().children(segment.root()).map(|c| segment.table().node(c).payload).collect();
    let before: Vec<_> = payloads.iter().map(|p| segment.frozen(*p).unwrap().to_vec()).collect();
    let overlays: Vec<_> = payloads.iter().map(|p| Overlay::new(&segment, *p).unwrap()).collect();
    for at in [0, 65_543] {
        write(&overlays[1], at, !before[1][at]);
    }
    for (i, overlay) in overlays.iter().enumerate() {
        assert_eq!(overlay.dirty(&before[i]), i == 1);
        assert_eq!(overlay.pages_written(), Some(if i == 1 { 2 } else { 0 }));
        assert!(i == 1 || bytes(overlay, payloads[i]) == before[i]);
    }
}

#[test]
fn dirty_and_pages_written_are_exact() {
    let shed = Shed::new();
    let mut dice = Dice(5);
    for size in SIZES {
        let (segment, payload) = shared(&shed.store, size, 2);
        let frozen = segment.frozen(payload).unwrap();
        for round in 0..4 {
            let overlay = Overlay::new(&segment, payload).unwrap();
            assert_eq!(overlay.is_copy(), size < 64 << 10);
            assert!(!overlay.dirty(frozen));
            // Reading is no writing.
            assert!(bytes(&overlay, payload) == frozen);
            assert!(!overlay.dirty(frozen));
            let mut pages = std::collections::HashSet::new();
            for _ in 0..[0, 1, 5, 300][round] {
                let at = if dice.below(4) == 0 { size - 1 } else { dice.below(size) };
                write(&overlay, at, !frozen[at]);
                pages.insert(at / PAGE);
            }
            assert_eq!(overlay.dirty(frozen), !pages.is_empty(), "{size}, round {round}");
            if !overlay.is_copy() {
                assert_eq!(overlay.pages_written(), Some(pages.len() as u64), "{size}, round {round}");
            }
        }
    }
}

#[test]
fn an_overlay_of_a_window_counts_only_its_own_pages() {
    let shed = Shed::new();
    let (segment, whole) = shared(&shed.store, 1 << 20, 2);
    // Neither end on a page.
    let payload = Payload { offset: whole.offset + 8_200, len: 400_000 };
    let frozen = segment.frozen(payload).unwrap();
    let overlay = Overlay::new(&segment, payload).unwrap();
    assert!(!overlay.is_copy() && bytes(&overlay, payload) == frozen);
    for at in [0, 1, 399_999] {
        write(&overlay, at, !frozen[at]);
    }
    assert_eq!(overlay.pages_written(), Some(2));
    let other = overlay.fork(&segment, payload).unwrap();
    assert!(bytes(&other, payload) == bytes(&overlay, payload));
    assert_eq!(other.pages_written(), Some(2));
}

#[test]
fn a_fork_of_an_overlay_copies_only_the_pages_written() {
    let shed = Shed::new();
    for size in [64 << 10, (1 << 20) + 8, 8 << 20] {
        let (segment, payload) = shared(&shed.store, size, 3);
        let frozen = segment.frozen(payload).unwrap();
        let one = Overlay::new(&segment, payload).unwrap();
        for at in [0, size / 2, size - 1] {
            write(&one, at, !frozen[at]);
        }
        let two = one.fork(&segment, payload).expect("a few pages of many");
        assert!(!two.is_copy());
        assert_eq!(two.pages_written(), Some(3), "{size}");
        assert!(bytes(&two, payload) == bytes(&one, payload), "{size}");
        // From here on they are two.
        write(&one, 1, 1 + one_byte(&two, 1));
        write(&two, 2, 1 + one_byte(&one, 2));
        assert_ne!(one_byte(&one, 1), one_byte(&two, 1));
        assert_ne!(one_byte(&one, 2), one_byte(&two, 2));
        // Of a clean one nothing is copied; of one mostly written a plain copy is better.
        assert_eq!(Overlay::new(&segment, payload).unwrap().fork(&segment, payload).unwrap().pages_written(), Some(0));
        for page in 0..size / PAGE / 2 {
            write(&one, page * PAGE, 7);
        }
        assert!(one.fork(&segment, payload).is_none(), "{size}");
    }
}

fn one_byte(overlay: &Overlay, at: usize) -> u8 {
    // SAFETY: the tests read within the payload only.
    unsafe { overlay.pointer().add(at).read_volatile() & 0x7f }
}

#[test]
fn an_overlay_works_when_the_name_is_gone() {
    for wipe in [false, true] {
        for size in SIZES {
            let shed = Shed::new();
            let (segment, payload) = shared(&shed.store, size, 4);
            let before = segment.frozen(payload).unwrap().to_vec();
            let early = Overlay::new(&segment, payload).unwrap();
            write(&early, 0, !before[0]);
            if wipe {
                std::fs::remove_dir_all(shed.dir.store()).unwrap();
            } else {
                assert!(shed.store.free(segment.id()).unwrap());
            }
            // One made before reads and writes on.
            write(&early, size - 1, !before[size - 1]);
            assert!(bytes(&early, payload)[1..size - 1] == before[1..size - 1]);
            assert!(early.dirty(&before));
            assert!(early.fork(&segment, payload).is_none(), "there is no file to map again");
            // One made now is a copy.
            let late = Overlay::new(&segment, payload).unwrap();
            assert!(late.is_copy() && bytes(&late, payload) == before && !late.dirty(&before));
            write(&late, 0, !before[0]);
            assert!(late.dirty(&before));
            assert!(segment.frozen(payload).unwrap() == before);
        }
    }
}

#[test]
fn an_overlay_outlives_its_segment() {
    let shed = Shed::new();
    for size in SIZES {
        let (segment, payload) = shared(&shed.store, size, 4);
        let before = segment.frozen(payload).unwrap().to_vec();
        let overlay = Overlay::new(&segment, payload).unwrap();
        write(&overlay, 0, !before[0]);
        drop(segment);
        assert_eq!(shed.left(), 0);
        assert!(bytes(&overlay, payload)[1..] == before[1..]);
        assert!(overlay.dirty(&before));
    }
}

#[test]
fn an_overlay_on_the_heap_is_a_copy() {
    for size in SIZES {
        let (segment, payload) = shared(&Heap, size, 4);
        let overlay = Overlay::new(&segment, payload).unwrap();
        let frozen = segment.frozen(payload).unwrap();
        assert!(overlay.is_copy() && bytes(&overlay, payload) == frozen && !overlay.dirty(frozen));
        write(&overlay, 0, !frozen[0]);
        assert!(overlay.dirty(frozen) && segment.frozen(payload).unwrap()[0] != bytes(&overlay, payload)[0]);
    }
}

#[test]
fn an_overlay_of_a_write_through_segment_shows_others_writes_until_it_is_detached() {
    let shed = Shed::new();
    for size in SIZES {
        let host = Fake::default();
        let segment = share(&host, registry(), &shed.store, numbers(&host, size, 1), Flags::empty()).unwrap();
        assert_eq!(segment.mode(), Mode::WriteThrough);
        let payload = segment.table().node(segment.root()).payload;
        let live = segment.payload_mut(payload).unwrap();
        let overlay = Overlay::new(&segment, payload).unwrap();
        let last = payload.len as usize - 1;
        // SAFETY: within the payload, on this thread alone.
        let write_live = |byte: u8| unsafe { live.add(last).write(byte) };
        write_live(1);
        assert_eq!(bytes(&overlay, payload)[last], 1, "{size}: it is read only, so it is live");
        write(&overlay, 0, 9);
        overlay.detach();
        write_live(2);
        assert_eq!(bytes(&overlay, payload)[last], 1, "{size}: written and detached, it is its own");
        assert_eq!(bytes(&overlay, payload)[0], 9);
    }
}

#[test]
fn overlays_of_a_process_and_its_forked_child_are_two() {
    const ME: &str = "overlays_of_a_process_and_its_forked_child_are_two";
    if !support::is_role(ME) {
        return support::in_a_process_of_its_own(ME, || Ok(()));
    }
    let shed = Shed::new();
    let (segment, payload) = shared(&shed.store, 1 << 20, 4);
    let before = segment.frozen(payload).unwrap().to_vec();
    let overlay = Overlay::new(&segment, payload).unwrap();
    write(&overlay, 0, !before[0]);
    // SAFETY: the child does what any thread may, and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        support::end_this_process_in_time();
        let inherited = overlay.pages_written() == Some(1) && bytes(&overlay, payload)[0] == !before[0];
        write(&overlay, 0, before[0]);
        write(&overlay, 500_000, !before[500_000]);
        let own = overlay.pages_written() == Some(2) && overlay.dirty(&before);
        let late = Overlay::new(&segment, payload).is_ok_and(|o| bytes(&o, payload) == before);
        // SAFETY: ends the process.
        unsafe { libc::_exit(if inherited && own && late { 0 } else { 1 }) }
    }
    let mut status = 0;
    // SAFETY: `status` lives over the call. The whole process is under the watch of its starter.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child found something wrong");
    assert_eq!(overlay.pages_written(), Some(1));
    assert!(bytes(&overlay, payload)[0] == !before[0] && bytes(&overlay, payload)[1..] == before[1..]);
    assert!(segment.frozen(payload).unwrap() == before);
}

fn fill(draft: &Draft, seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let bytes: Vec<u8> = (0..draft.len() / 8).flat_map(|_| ((dice.roll() >> 20) as f64).to_ne_bytes()).collect();
    // SAFETY: the draft is as long, and nobody else writes it.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), draft.pointer(), bytes.len()) };
    bytes
}

fn seal(mut draft: Draft) -> Result<Arc<Segment>, CreateError> {
    let length = draft.len() / 8;
    draft.seal("fake.numbers", Node { length, ..Node::default() })
}

#[test]
fn a_sealed_draft_is_read_by_whoever_opens_it() {
    for dir in [Dir::memory(), Dir::disk()] {
        let shed = Shed::within(dir);
        for size in [0].into_iter().chain(SIZES) {
            let draft = Draft::new(shed.store, &vec![0xa5; size]).unwrap();
            assert_eq!((draft.len(), draft.is_empty()), (size as u64, size == 0));
            assert_eq!(draft.pointer() as usize % 64, 0);
            if size > 0 {
                // SAFETY: the draft has at least one byte.
                assert_eq!(unsafe { draft.pointer().read() }, 0xa5, "it begins as a copy");
            }
            assert_eq!(shed.left(), 0, "{size}: nobody finds a draft");
            let (pointer, expected) = (draft.pointer(), fill(&draft, 9));
            let segment = seal(draft).unwrap();
            assert_eq!(segment.mode(), Mode::Frozen);
            let payload = segment.table().node(NodeId(0)).payload;
            assert!(segment.frozen(payload).unwrap() == expected);
            assert!(size == 0 || segment.payload(payload) == pointer, "the pointer stays valid");
            let other = shed.other.attach(segment.id(), None).unwrap();
            assert!(other.frozen(payload).unwrap() == expected, "{size}");
            let (host, again) = (Fake::default(), Fake::default());
            let (a, b) = (
                open(&host, registry(), &segment, segment.root()).unwrap(),
                open(&again, registry(), &other, other.root()).unwrap(),
            );
            assert_eq!(host.show(a), again.show(b));
            drop((segment, other));
            assert_eq!(shed.left(), 0, "{size}");
        }
    }
}

#[test]
fn an_overlay_of_a_sealed_draft_is_private() {
    let shed = Shed::new();
    for size in SIZES {
        let draft = Draft::new(shed.store, &vec![0; size]).unwrap();
        let expected = fill(&draft, 9);
        let segment = seal(draft).unwrap();
        let payload = segment.table().node(NodeId(0)).payload;
        let overlay = Overlay::new(&segment, payload).unwrap();
        assert!(!overlay.dirty(&expected));
        write(&overlay, size - 1, !expected[size - 1]);
        assert!(overlay.dirty(&expected) && segment.frozen(payload).unwrap() == expected);
        let other = shed.other.attach(segment.id(), None).unwrap();
        assert!(other.frozen(payload).unwrap() == expected);
    }
}

#[test]
fn a_draft_given_up_leaves_nothing() {
    let shed = Shed::new();
    for size in SIZES {
        fill(&Draft::new(shed.store, &vec![0; size]).unwrap(), 1);
        assert_eq!(shed.left(), 0);
    }
}

#[test]
fn a_draft_of_a_process_and_its_forked_child_are_two() {
    // It was one mapping, shared: each saw what the other wrote, and whoever sealed it froze bytes that the other went on writing. The
    // second to seal it failed, because it had the same name.
    const ME: &str = "a_draft_of_a_process_and_its_forked_child_are_two";
    if !support::is_role(ME) {
        return support::in_a_process_of_its_own(ME, || Ok(()));
    }
    let shed = Shed::new();
    for size in SIZES {
        for child_first in [true, false] {
            let draft = Draft::new(shed.store, &vec![0; size]).unwrap();
            let before = fill(&draft, 1);
            let read = |at: usize| {
                // SAFETY: within the draft.
                unsafe { draft.pointer().add(at).read_volatile() }
            };
            let put = |at: usize, byte| {
                // SAFETY: within the draft.
                unsafe { draft.pointer().add(at).write_volatile(byte) }
            };
            let (up, down) = (std::os::unix::net::UnixStream::pair().unwrap(), !before[0]);
            let (mut ours, mut theirs) = up;
            let wait = |stream: &mut std::os::unix::net::UnixStream| {
                let mut byte = [0];
                std::io::Read::read_exact(stream, &mut byte).unwrap();
            };
            let tell = |stream: &mut std::os::unix::net::UnixStream| std::io::Write::write_all(stream, &[1]).unwrap();
            // SAFETY: this process has one thread that does anything, and the child leaves by _exit.
            let child = unsafe { libc::fork() };
            if child == 0 {
                support::end_this_process_in_time();
                if child_first {
                    put(size - 1, !before[size - 1]);
                    tell(&mut theirs);
                }
                wait(&mut theirs);
                let unseen = read(0) == before[0];
                put(size - 1, !before[size - 1]);
                let segment = seal(draft).unwrap();
                let sealed = segment.frozen(segment.table().node(NodeId(0)).payload).unwrap();
                let own = sealed[..size - 1] == before[..size - 1] && sealed[size - 1] == !before[size - 1];
                let again = shed.other.attach(segment.id(), None).unwrap();
                let same = again.frozen(segment.table().node(NodeId(0)).payload).unwrap() == sealed;
                // SAFETY: ends the process.
                unsafe { libc::_exit(if unseen && own && same { 0 } else { 1 }) }
            }
            if child_first {
                wait(&mut ours);
            }
            assert_eq!(read(size - 1), before[size - 1], "{size}: the child's write is its own");
            put(0, down);
            tell(&mut ours);
            let mut status = 0;
            // SAFETY: `status` lives over the call. The whole process is under the watch of its starter.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0, "{size}: the child found something wrong");
            let pointer = draft.pointer().cast_const();
            let segment = seal(draft).unwrap();
            let payload = segment.table().node(NodeId(0)).payload;
            assert_eq!(segment.payload(payload), pointer, "the pointer stays valid");
            let other = shed.other.attach(segment.id(), None).unwrap();
            for sealed in [&segment, &other].map(|s| s.frozen(payload).unwrap()) {
                assert!(sealed[0] == down && sealed[1..] == before[1..], "{size}");
            }
        }
        assert_eq!(shed.left(), 0);
    }
}

#[test]
fn a_draft_is_sealed_into_a_store_that_was_wiped_meanwhile() {
    let shed = Shed::new();
    for size in SIZES {
        let draft = Draft::new(shed.store, &vec![0; size]).unwrap();
        let expected = fill(&draft, 3);
        std::fs::remove_dir_all(shed.dir.store()).unwrap();
        let segment = seal(draft).unwrap();
        let payload = segment.table().node(NodeId(0)).payload;
        let other = shed.other.attach(segment.id(), None).unwrap();
        assert!(other.frozen(payload).unwrap() == expected);
    }
}

#[test]
fn a_draft_in_a_full_store_is_an_error_when_it_is_made_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount(1024) else { return };
    let store = Store::open(&disk.store()).unwrap();
    for size in [2 << 20, 1 << 30] {
        let error = Draft::new(store, &vec![1; size]).map(|d| d.len()).unwrap_err();
        assert_eq!(error.kind(), Kind::Full, "{error}");
        assert!(support::segments(&disk.store()).is_empty());
    }
    let draft = Draft::new(store, &vec![1; 700_000]).unwrap();
    // All of its space is there: writing every byte of it in a store that has filled up since is no SIGBUS.
    let mut ballast = 0;
    while std::fs::write(disk.path().join(format!("ballast{ballast}")), [0; PAGE]).is_ok() {
        ballast += 1;
    }
    let expected = fill(&draft, 5);
    let error = seal(draft).unwrap_err();
    assert_eq!(error.kind(), Kind::Full, "{error}");
    assert!(support::segments(&disk.store()).is_empty());
    for i in 0..=ballast {
        std::fs::remove_file(disk.path().join(format!("ballast{i}"))).unwrap();
    }
    let draft = Draft::new(store, &expected).unwrap();
    let segment = seal(draft).unwrap();
    assert!(segment.frozen(segment.table().node(NodeId(0)).payload).unwrap() == expected);
}

#[test]
fn a_view_of_numbers_needs_a_frozen_segment() {
    let shed = Shed::new();
    let host = Fake::default();
    let segment = share(&host, registry(), &shed.store, numbers(&host, 800, 1), Flags::empty()).unwrap();
    let error = open(&host, registry(), &segment, segment.root()).unwrap_err();
    assert!(matches!(error, FakeError::Dispatch(_)), "{error}");
}
