//! Areas: what the pointer shows, and what becomes of what is written there.

#![cfg(target_os = "linux")]

mod support;

use std::sync::{Arc, Mutex};

use cowshed_core::{Area, FillError, Generator, PagerLimits, Snapshot, set_pager_limits};
use support::sequence::{PER, area, element, get, read, sequence, set, shape};
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
