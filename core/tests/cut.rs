//! A file cut under its readers: missing values in place of a signal that kills, and a mark that stays.

mod support;

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use cowshed_core::fake::{Fake, registry};
use cowshed_core::{Draft, Flags, Node, Overlay, Payload, Segment, Store, any_lost, share, when_cut};
use support::Dir;

const MISSING: u64 = 0x7ff0_0000_0000_07a2;

fn in_a_process_of_its_own(test: &str) -> bool {
    if !support::is_role(test) {
        support::in_a_process_of_its_own(test, || Ok(()));
        return false;
    }
    when_cut(|strategy| if strategy == "fake.numbers" { MISSING } else { 0 });
    true
}

/// `n` numbers, all one.
fn numbers(store: &Store, n: usize, flags: Flags) -> (Arc<Segment>, Payload) {
    let host = Fake::default();
    let segment = share(&host, registry(), store, host.numbers(&vec![1.0; n]), flags).unwrap();
    let payload = segment.table().node(segment.root()).payload;
    (segment, payload)
}

fn cut(dir: &Dir, segment: &Segment, len: u64) {
    let path = dir.store().join("segments").join(segment.id().to_string());
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn number(at: *const u8, i: usize) -> u64 {
    // SAFETY: within the numbers at `at`.
    unsafe { at.cast::<u64>().add(i).read_volatile() }
}

#[test]
fn what_was_cut_reads_as_missing_and_the_segment_is_lost() {
    if !in_a_process_of_its_own("what_was_cut_reads_as_missing_and_the_segment_is_lost") {
        return;
    }
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    // More than is mended at a time.
    let n = 9 << 20;
    for flags in [Flags::default(), Flags::empty()] {
        let (segment, payload) = numbers(&store, n, flags);
        let (whole, other) = (numbers(&store, n, flags), segment.payload(payload));
        cut(&dir, &segment, payload.offset + 40_960);
        assert_eq!(number(other, 5119), 1f64.to_bits());
        assert!(!segment.is_lost());
        assert!((5120..n).step_by(512).all(|i| number(other, i) == MISSING));
        assert_eq!(number(other, n - 1), MISSING);
        assert!(segment.is_lost() && any_lost());
        // What is mended can be written where it could be before, and the others are whole.
        if let Some(at) = segment.payload_mut(payload) {
            // SAFETY: within the payload, and nobody else has it.
            unsafe { at.cast::<u64>().add(n - 1).write_volatile(7) };
            assert_eq!(number(other, n - 1), 7);
        }
        assert!(!whole.0.is_lost());
        assert_eq!(number(whole.0.payload(whole.1), n - 1), 1f64.to_bits());
    }
}

#[test]
fn a_file_cut_to_nothing_is_read_through_overlays_and_sealed_drafts() {
    if !in_a_process_of_its_own("a_file_cut_to_nothing_is_read_through_overlays_and_sealed_drafts") {
        return;
    }
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    let (segment, payload) = numbers(&store, 1 << 20, Flags::default());
    let overlay = Overlay::new(&segment, payload).unwrap();
    // SAFETY: within the overlay.
    unsafe { overlay.pointer().cast::<u64>().write_volatile(7) };
    cut(&dir, &segment, 0);
    assert_eq!(number(overlay.pointer(), 1 << 19), MISSING);
    assert_eq!(number(overlay.pointer(), 0), MISSING, "the kernel takes private pages too");
    assert!(overlay.is_lost() && !segment.is_lost());
    assert_eq!(number(segment.payload(payload), 1 << 19), MISSING);
    assert!(segment.is_lost());
    let mut draft = Draft::new(store, &vec![1; 1 << 20]).unwrap();
    let sealed = draft.seal("fake.numbers", Node { length: 1 << 17, ..Node::default() }).unwrap();
    cut(&dir, &sealed, 0);
    assert_eq!(number(sealed.payload(sealed.table().node(sealed.root()).payload), 1 << 16), MISSING);
    assert!(sealed.is_lost());
}

#[test]
fn many_threads_may_meet_a_cut_at_once_and_a_fork_amid_it_lives() {
    if !in_a_process_of_its_own("many_threads_may_meet_a_cut_at_once_and_a_fork_amid_it_lives") {
        return;
    }
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    for _ in 0..20 {
        let n = 1 << 20;
        let (segment, payload) = numbers(&store, n, Flags::default());
        cut(&dir, &segment, 0);
        let at = segment.payload(payload) as usize;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    assert!((thread..n).step_by(997).all(|i| number(at as *const u8, i) == MISSING));
                });
            }
            // SAFETY: the child reads and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                support::end_this_process_in_time();
                let right = (0..n).step_by(997).all(|i| number(at as *const u8, i) == MISSING);
                // SAFETY: ends the child.
                unsafe { libc::_exit(if right { 0 } else { 1 }) };
            }
            let mut status = 0;
            // SAFETY: our child.
            unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!(status, 0);
        });
    }
}

#[test]
fn a_fault_that_is_not_ours_is_what_it_was() {
    const ME: &str = "a_fault_that_is_not_ours_is_what_it_was";
    if !support::is_role(ME) {
        let exe = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new(exe);
        let status = command.args(["--exact", ME, "--nocapture", "--test-threads=1"]).env("ROLE", ME).status().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGBUS));
        return;
    }
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    let _ours = numbers(&store, 1 << 20, Flags::default());
    let path = dir.path().join("foreign");
    std::fs::write(&path, vec![1; 1 << 20]).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    // SAFETY: a new mapping, which is to fail.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            1 << 20,
            libc::PROT_READ,
            libc::MAP_SHARED,
            std::os::fd::AsRawFd::as_raw_fd(&file),
            0,
        )
    };
    file.set_len(0).unwrap();
    // The directory goes before the process does.
    drop(dir);
    number(at.cast_const().cast(), 100);
    unreachable!("the page is not there");
}
