//! How much memory areas take, and what happens where there is too little of anything.

#![cfg(target_os = "linux")]

mod support;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use cowshed_core::{
    Area, Generator, PagerError, PagerLimits, Snapshot, kernel_faults, pager_available, set_pager_enabled,
    set_pager_limits,
};
use support::sequence::{GIB, PER, Sequence, area, element, get, read, sequence, set, shape, status};
use support::{Dice, Dir, SmallDisk};

const MIB: usize = 1 << 20;

fn alone(test: &str) -> bool {
    alone_with(test, || Ok(()))
}

fn alone_with(test: &str, prepare: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static) -> bool {
    if !support::is_role(test) && !long() {
        support::in_a_process_of_its_own(test, prepare);
    }
    support::is_role(test) || long()
}

fn limits(clean: usize, written: usize, spill: PathBuf) {
    set_pager_limits(PagerLimits { clean, written, spill });
}

/// Whether this is the long form, which is run test by test: `PAGER_LONG=1 timeout 900 cargo test --test pager_limits -- --exact NAME`.
fn long() -> bool {
    std::env::var_os("PAGER_LONG").is_some()
}

#[test]
fn a_pass_takes_no_more_memory_than_it_may() {
    if !alone("a_pass_takes_no_more_memory_than_it_may") {
        return;
    }
    let dir = Dir::disk();
    limits(16 * MIB, 16 * MIB, dir.path().to_owned());
    let bytes = if long() { 64 * GIB } else { 8 * GIB };
    let area = area(bytes);
    let before = status("VmHWM");
    let mut dice = Dice(1);
    let written: HashMap<u64, u64> = (0..1000).map(|k| (dice.roll() % (bytes / 8), k)).collect();
    written.iter().for_each(|(i, k)| set(&area, *i, *k));
    // An element of each page.
    assert!(
        (0..bytes / 8).step_by(PER as usize).all(|i| get(&area, i) == written.get(&i).copied().unwrap_or(element(i)))
    );
    assert!(written.iter().all(|(i, k)| get(&area, *i) == *k));
    let more = status("VmHWM") - before;
    assert!(more <= 16 * MIB + 16 * MIB, "{} MiB", more / MIB);
    assert!(area.resident_bytes() <= 16 * MIB + MIB + 1000 * 4096);
}

/// Three threads write while pages are given back and spilled. Long: a million writes in 512 GiB.
#[test]
fn scattered_writes_of_three_threads_are_all_kept() {
    if !alone("scattered_writes_of_three_threads_are_all_kept") {
        return;
    }
    let dir = Dir::disk();
    limits(8 * MIB, 16 * MIB, dir.path().to_owned());
    let (bytes, each) = if long() { (512 * GIB, 333_334) } else { (64 * GIB, 30_000) };
    let area = area(bytes);
    let before = status("VmHWM");
    let (n, area) = (bytes / 8, &area);
    // Thread t's places are t modulo 3.
    let place = move |dice: &mut Dice, t: u64| dice.roll() % (n / 3) * 3 + t;
    std::thread::scope(|scope| {
        for t in 0..3 {
            scope.spawn(move || {
                let mut dice = Dice(t);
                for k in 0..each {
                    let i = place(&mut dice, t);
                    set(area, i, i ^ 1);
                    // What makes the others' pages go.
                    if k % 8 == 0 {
                        let i = place(&mut dice, t);
                        let x = get(area, i);
                        assert!(x == element(i) || x == i ^ 1);
                    }
                }
            });
        }
    });
    let more = status("VmHWM") - before;
    let mut pages = std::collections::HashSet::new();
    for t in 0..3 {
        let mut dice = Dice(t);
        for k in 0..each {
            let i = place(&mut dice, t);
            assert_eq!(get(area, i), i ^ 1);
            let neighbour = i / PER * PER + (i + 1) % PER;
            let x = get(area, neighbour);
            assert!(x == element(neighbour) || x == neighbour ^ 1);
            pages.insert(i / PER);
            if k % 8 == 0 {
                place(&mut dice, t);
            }
        }
    }
    assert_eq!(area.changed_pages(), pages.len());
    // The layer has a bit for each page: 16 MiB for 512 GiB.
    assert!(more <= 24 * MIB + 16 * MIB + if long() { 16 * MIB } else { 2 * MIB }, "{} MiB", more / MIB);
}

#[test]
fn no_address_space_is_an_error_that_says_so() {
    let prepare = || support::limit(libc::RLIMIT_AS, 8 << 30);
    if !alone_with("no_address_space_is_an_error_that_says_so", prepare) {
        return;
    }
    for len in [GIB * 64, u64::MAX, 1 << 60] {
        let error = Area::new(sequence(len)).map(drop).unwrap_err();
        assert!(matches!(error, PagerError::Reserve { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("ulimit -v") && text.contains(&(u128::from(len) * 8).to_string()), "{text}");
    }
    assert_eq!(get(&area(GIB), 9), element(9));
}

/// Writes many pages where there is no room for them; then all are there, and there is an error for a snapshot.
fn keeps_all_in_memory(spill: PathBuf) {
    limits(2 * MIB, MIB, spill);
    let area = area(GIB);
    let places = || (0..GIB / 8).step_by(32_768);
    places().for_each(|i| set(&area, i, i));
    assert!(places().all(|i| get(&area, i) == i && get(&area, i + 1) == element(i + 1)));
    assert_eq!(area.changed_pages(), 4096);
    assert!(area.resident_bytes() >= 8 * MIB);
    let error = area.snapshot().map(drop).unwrap_err();
    assert!(matches!(error, PagerError::Spill { .. }), "{error:?}");
    assert!(places().all(|i| get(&area, i) == i));
    places().for_each(|i| set(&area, i, i + 1));
    assert!(places().all(|i| get(&area, i) == i + 1));
    assert_eq!((area.changed_pages(), area.failure()), (4096, None));
    let dir = Dir::disk();
    limits(2 * MIB, MIB, dir.path().to_owned());
    let snapshot = area.snapshot().unwrap();
    places().for_each(|i| set(&area, i, 0));
    assert!(places().all(|i| read(&|s, o| snapshot.fill(s, o), i, 1) == [i + 1]));
}

#[test]
fn a_directory_that_is_not_there_loses_nothing() {
    if alone("a_directory_that_is_not_there_loses_nothing") {
        let dir = Dir::disk();
        keeps_all_in_memory(dir.path().join("missing"));
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    if alone("a_full_disk_loses_nothing") {
        if let Some(disk) = SmallDisk::mount(2048) {
            keeps_all_in_memory(disk.path().to_owned());
        }
    }
}

#[test]
fn a_limit_on_files_loses_nothing() {
    if alone("a_limit_on_files_loses_nothing") {
        let dir = Dir::disk();
        // Soft, so that it can be lifted.
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: lives over the call.
        unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
        limit.rlim_cur = MIB as libc::rlim_t;
        // SAFETY: as above.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) };
        limits(2 * MIB, MIB, dir.path().to_owned());
        let area = area(GIB);
        let places = || (0..GIB / 8).step_by(32_768);
        places().for_each(|i| set(&area, i, i));
        assert!(matches!(area.snapshot().map(drop), Err(PagerError::Spill { .. })));
        assert!(places().all(|i| get(&area, i) == i && get(&area, i + 1) == element(i + 1)));
    }
}

#[test]
fn turned_off_there_are_none() {
    if !alone("turned_off_there_are_none") {
        return;
    }
    let before = area(GIB);
    set_pager_enabled(false);
    assert!(matches!(pager_available(), Err(PagerError::Unavailable { .. })) && !kernel_faults());
    let error = Area::new(sequence(10)).map(drop).unwrap_err();
    assert!(error.to_string().contains("turned off"), "{error}");
    assert_eq!(get(&before, 1), element(1));
    set_pager_enabled(true);
    assert!(pager_available().is_ok());
    assert_eq!(get(&area(GIB), 1), element(1));
}

/// As in a container whose seccomp profile refuses the call.
#[test]
fn refused_by_the_system_there_is_an_error_that_says_so() {
    let prepare = || support::limit(libc::RLIMIT_NOFILE, 64);
    if !alone_with("refused_by_the_system_there_is_an_error_that_says_so", prepare) {
        return;
    }
    let held: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    let error = pager_available().unwrap_err();
    assert!(matches!(error, PagerError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("userfaultfd(2): "), "{error}");
    drop(held);
}

#[test]
fn reading_without_the_pointer_takes_no_page() {
    if !alone("reading_without_the_pointer_takes_no_page") {
        return;
    }
    let generator = Arc::new(Sequence::default());
    let area = Area::new(Snapshot::new(generator.clone(), shape(GIB))).unwrap();
    let asked = || generator.0.swap(0, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(read(&|s, o| area.read(s, o), GIB - 3, 3), [element(GIB - 3), element(GIB - 2), element(GIB - 1)]);
    assert_eq!((asked(), area.resident_bytes()), (3, 0));
    // Touched at random, pages are made one at a time.
    let mut dice = Dice(5);
    (0..1000).for_each(|_| _ = get(&area, dice.roll() % GIB));
    assert!(asked() <= 1000 * PER && area.resident_bytes() <= 1000 * 4096);
}
