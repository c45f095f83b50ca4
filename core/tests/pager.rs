//! Areas: what the pointer shows, and what becomes of what is written there.

#![cfg(target_os = "linux")]

mod support;

use cowshed_core::{Area, Generator, PagerLimits, set_pager_limits};
use support::sequence::{PER, area, element, get, read, sequence, set};
use support::{Dice, Dir};

/// Whether this is the process in which `test` runs: limits are a process's, and a hang must not be this one's.
fn alone(test: &str) -> bool {
    if !support::is_role(test) {
        support::in_a_process_of_its_own(test, || Ok(()));
    }
    support::is_role(test)
}

fn limit(clean: usize, written: usize, dir: &Dir) {
    set_pager_limits(PagerLimits { clean, written, spill: dir.path().to_owned() });
}

#[test]
fn every_element_is_what_the_generator_gives() {
    if !alone("every_element_is_what_the_generator_gives") {
        return;
    }
    // The last page ends beyond the last element.
    let n = 3 * PER * 64 + 5;
    let forwards = Area::new(sequence(n)).unwrap();
    assert!((0..n).all(|i| get(&forwards, i) == element(i)));
    let backwards = Area::new(sequence(n)).unwrap();
    assert!((0..n).rev().all(|i| get(&backwards, i) == element(i)));
    let anyhow = Area::new(sequence(n)).unwrap();
    let mut dice = Dice(1);
    assert!((0..10_000).map(|_| dice.roll() % n).all(|i| get(&anyhow, i) == element(i)));
    // SAFETY: within the last page, which is mapped whole.
    let beyond = unsafe { std::slice::from_raw_parts(forwards.as_ptr().add(n as usize * 8), 4096 - 40) };
    assert!(beyond.iter().all(|b| *b == 0));
    for area in [forwards, backwards, anyhow] {
        assert_eq!((area.is_changed(), area.changed_pages(), area.failure()), (false, 0, None));
    }
}

#[test]
fn what_is_written_stays() {
    if !alone("what_is_written_stays") {
        return;
    }
    let dir = Dir::disk();
    limit(2 << 20, 1 << 20, &dir);
    let area = area(1 << 30);
    let (mut dice, n) = (Dice(2), (1 << 30) / 8);
    let mut written = std::collections::BTreeMap::new();
    for k in 0..20_000 {
        let i = dice.roll() % n;
        // A third is read before it is written.
        if k % 3 == 0 {
            assert_eq!(get(&area, i), written.get(&i).copied().unwrap_or(element(i)));
        }
        set(&area, i, k);
        written.insert(i, k);
    }
    assert!(area.is_changed());
    let pages: std::collections::BTreeSet<u64> = written.keys().map(|i| i / PER).collect();
    assert_eq!(area.changed_pages(), pages.len());
    assert!(area.resident_bytes() <= 5 << 20, "{}", area.resident_bytes());
    let ask = |start, out: &mut [u8]| area.read(start, out);
    for (i, k) in &written {
        assert_eq!(read(&ask, *i, 1), [*k]);
        assert_eq!(get(&area, *i), *k);
        let page = i / PER * PER;
        let expected: Vec<u64> = (page..page + PER).map(|i| written.get(&i).copied().unwrap_or(element(i))).collect();
        assert_eq!(read(&ask, page, PER as usize), expected);
    }
}

#[test]
fn a_snapshot_and_its_area_do_not_see_each_others_writes() {
    if !alone("a_snapshot_and_its_area_do_not_see_each_others_writes") {
        return;
    }
    let dir = Dir::disk();
    limit(2 << 20, 1 << 20, &dir);
    let (n, step) = ((64 << 20) / 8, 1000);
    let first = area(64 << 20);
    let mut taken = Vec::new();
    // More layers than an area has.
    for k in 0..20 {
        (0..n).step_by(step).skip(k).step_by(7).for_each(|i| set(&first, i, k as u64));
        taken.push(first.snapshot().unwrap());
    }
    let expected = |i: u64, last: usize| {
        let j = (i / step as u64) as usize;
        (i % step as u64 == 0).then(|| (0..=last).rev().find(|k| j >= *k && (j - k) % 7 == 0)).flatten()
    };
    let value = |i: u64, last: usize| expected(i, last).map_or(element(i), |k| k as u64);
    (0..n).step_by(17).for_each(|i| set(&first, i, 99));
    for (last, snapshot) in taken.iter().enumerate().step_by(6).chain([(19, &taken[19])]) {
        assert!(snapshot.is_changed());
        let second = Area::new(snapshot.clone()).unwrap();
        let ask = |start, out: &mut [u8]| snapshot.fill(start, out);
        for i in (0..n - 3000).step_by(40_009) {
            let all: Vec<u64> = (i..i + 3000).map(|i| value(i, last)).collect();
            assert!(read(&ask, i, 3000) == all, "from {i} on, snapshot {last}");
            assert!((i..i + 3000).all(|i| get(&second, i) == value(i, last)), "from {i} on, snapshot {last}");
        }
        assert!(second.is_changed());
        (0..n).step_by(5000).for_each(|i| set(&second, i, 98));
    }
    assert!((0..n).step_by(17).all(|i| get(&first, i) == 99));
    assert!((0..n).step_by(5000).filter(|i| i % 17 != 0).all(|i| get(&first, i) == value(i, 19)));
    assert!(!sequence(n).is_changed());
}

#[test]
fn what_threads_write_amid_snapshots_is_in_one_or_the_next() {
    if !alone("what_threads_write_amid_snapshots_is_in_one_or_the_next") {
        return;
    }
    let dir = Dir::disk();
    limit(2 << 20, 1 << 20, &dir);
    let (area, n) = (area(32 << 20), (32 << 20) / 8);
    let mut snapshots = Vec::new();
    std::thread::scope(|scope| {
        // Each element is written once, in order.
        let writers: Vec<_> = (0..3u64)
            .map(|t| {
                let area = &area;
                scope.spawn(move || (t * 100..n).step_by(300).for_each(|i| set(area, i, i << 1)))
            })
            .collect();
        while !writers.iter().all(|w| w.is_finished()) {
            snapshots.push(area.snapshot().unwrap());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    });
    snapshots.push(area.snapshot().unwrap());
    for snapshot in snapshots.iter().rev().step_by(snapshots.len().div_ceil(20)) {
        let all = read(&|start, out| snapshot.fill(start, out), 0, n as usize);
        for t in 0..3 {
            let written = |i: &u64| all[*i as usize] == i << 1;
            let last = (t * 100..n).step_by(300).take_while(written).count();
            let rest = (t * 100..n).step_by(300).skip(last);
            assert!(rest.into_iter().all(|i| all[i as usize] == element(i)), "an older write is not there, a newer is");
        }
    }
    let all = read(&|start, out| snapshots[snapshots.len() - 1].fill(start, out), 0, n as usize);
    assert!((0..n).step_by(100).all(|i| all[i as usize] == i << 1));
    assert!((0..n).all(|i| get(&area, i) == if i % 100 == 0 { i << 1 } else { element(i) }));
}

#[test]
fn an_area_of_no_elements_and_one_of_single_bytes() {
    if !alone("an_area_of_no_elements_and_one_of_single_bytes") {
        return;
    }
    struct Bytes;
    impl Generator for Bytes {
        fn fill(&self, start: u64, out: &mut [u8]) -> Result<(), cowshed_core::FillError> {
            assert!(start + out.len() as u64 <= 100_001, "asked past the end");
            (start..).zip(out).for_each(|(i, b)| *b = i as u8);
            Ok(())
        }
    }
    let none = area(0);
    // SAFETY: the one page there is.
    assert_eq!(unsafe { none.as_ptr().read_volatile() }, 0);
    assert!(none.read(0, &mut []).is_ok() && none.read(0, &mut [0; 8]).is_err() && none.read(1, &mut []).is_err());
    let shape = cowshed_core::Shape { len: 100_001, width: 1, missing: [9; 16] };
    let bytes = Area::new(cowshed_core::Snapshot::new(std::sync::Arc::new(Bytes), shape)).unwrap();
    // SAFETY: within the area, which nobody writes.
    assert!((0..100_001).all(|i| unsafe { bytes.as_ptr().add(i).read_volatile() } == i as u8));
    assert_eq!(bytes.failure(), None);
}

#[test]
fn an_area_is_read_into_another_one() {
    if !alone("an_area_is_read_into_another_one") {
        return;
    }
    let dir = Dir::disk();
    limit(2 << 20, 1 << 20, &dir);
    let (from, to, n) = (area(8 << 20), area(8 << 20), 1 << 20);
    (0..n).step_by(999).for_each(|i| set(&from, i, 5));
    // SAFETY: the area's bytes, which nobody else uses while the slice lives.
    let out = unsafe { std::slice::from_raw_parts_mut(to.as_ptr(), 8 << 20) };
    from.read(0, out).unwrap();
    assert!((0..n).all(|i| get(&to, i) == if i % 999 == 0 { 5 } else { element(i) }));
}

#[test]
fn a_thousand_areas_at_once() {
    if !alone("a_thousand_areas_at_once") {
        return;
    }
    let areas: Vec<Area> = (0..1000).map(|_| area(64 << 30)).collect();
    for (k, area) in (0..).zip(&areas) {
        set(area, k * 1_000_003, k);
    }
    assert!((0..).zip(&areas).all(|(k, area)| get(area, k * 1_000_003) == k && get(area, 7) == element(7)));
    assert!(areas.iter().all(|area| area.changed_pages() == 1 && area.resident_bytes() >= 4096));
}
