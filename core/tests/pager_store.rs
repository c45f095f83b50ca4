//! Generators that take what was written, and generators that fail.

#![cfg(target_os = "linux")]

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use cowshed_core::{Area, FillError, Generator, PagerError, PagerLimits, Snapshot, set_pager_limits};
use support::Dir;
use support::sequence::{MISSING, PER, Sequence, element, get, read, set, shape};

fn alone(test: &str) -> bool {
    if !support::is_role(test) {
        support::in_a_process_of_its_own(test, || Ok(()));
    }
    support::is_role(test)
}

/// Keeps what it is given.
#[derive(Default)]
struct Keeper {
    kept: Mutex<HashMap<u64, u64>>,
    takes: AtomicBool,
}

impl Generator for Keeper {
    fn fill(&self, start: u64, out: &mut [u8]) -> Result<(), FillError> {
        Sequence::default().fill(start, out)?;
        let kept = self.kept.lock().unwrap();
        for (i, bytes) in (start..).zip(out.chunks_exact_mut(8)) {
            if let Some(value) = kept.get(&i) {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
        }
        Ok(())
    }

    fn store(&self, start: u64, bytes: &[u8]) -> Result<bool, FillError> {
        if !self.takes.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let numbers = bytes.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap()));
        self.kept.lock().unwrap().extend((start..).zip(numbers));
        Ok(true)
    }
}

fn keeper(takes: bool) -> Arc<Keeper> {
    Arc::new(Keeper { takes: takes.into(), ..Keeper::default() })
}

const N: u64 = (16 << 20) / 8 + 3;

#[test]
fn what_the_generator_takes_is_no_longer_changed() {
    if !alone("what_the_generator_takes_is_no_longer_changed") {
        return;
    }
    let keeper = keeper(true);
    let area = Area::new(Snapshot::new(keeper.clone(), shape(N))).unwrap();
    let places = || (0..N).step_by(5000).chain([N - 1]);
    for round in 1..4 {
        places().for_each(|i| set(&area, i, i + round));
        assert!(area.is_changed());
        assert_eq!(area.flush(), Ok(true));
        assert_eq!((area.is_changed(), area.changed_pages()), (false, 0));
        assert!(places().all(|i| keeper.kept.lock().unwrap()[&i] == i + round && get(&area, i) == i + round));
    }
    assert!(keeper.kept.lock().unwrap().keys().all(|i| *i < N));
    // Written again after it was taken, a page is changed again.
    set(&area, 0, 77);
    assert_eq!((area.is_changed(), area.changed_pages()), (true, 1));
}

#[test]
fn pages_are_offered_before_they_are_spilled() {
    if !alone("pages_are_offered_before_they_are_spilled") {
        return;
    }
    let dir = Dir::disk();
    set_pager_limits(PagerLimits { clean: 2 << 20, written: 1 << 20, spill: dir.path().join("not there") });
    let keeper = keeper(true);
    let area = Area::new(Snapshot::new(keeper.clone(), shape(N))).unwrap();
    for i in (0..N).step_by(PER as usize) {
        set(&area, i, i + 1);
    }
    assert!(area.changed_pages() <= 64 + 256, "{}", area.changed_pages());
    assert!((0..N).step_by(PER as usize).all(|i| get(&area, i) == i + 1 && get(&area, i + 1) == element(i + 1)));
    assert_eq!(area.flush(), Ok(true));
    assert!((0..N).step_by(PER as usize).all(|i| keeper.kept.lock().unwrap()[&i] == i + 1));
}

#[test]
fn what_was_spilled_is_taken_later() {
    if !alone("what_was_spilled_is_taken_later") {
        return;
    }
    let dir = Dir::disk();
    set_pager_limits(PagerLimits { clean: 2 << 20, written: 1 << 20, spill: dir.path().to_owned() });
    let keeper = keeper(false);
    let area = Area::new(Snapshot::new(keeper.clone(), shape(N))).unwrap();
    (0..N).step_by(700).for_each(|i| set(&area, i, i + 1));
    let changed = area.changed_pages();
    assert_eq!((area.flush(), area.changed_pages()), (Ok(false), changed));
    keeper.takes.store(true, Ordering::Relaxed);
    assert_eq!((area.flush(), area.changed_pages(), area.is_changed()), (Ok(true), 0, false));
    let value = |i| if i % 700 == 0 { i + 1 } else { element(i) };
    assert!((0..N).all(|i| get(&area, i) == value(i)));
    let all = read(&|start, out| area.read(start, out), 0, N as usize);
    assert!((0..N).zip(all).all(|(i, x)| x == value(i)));
}

#[test]
fn nothing_is_stored_that_a_snapshot_would_see() {
    if !alone("nothing_is_stored_that_a_snapshot_would_see") {
        return;
    }
    let keeper = keeper(true);
    let area = Area::new(Snapshot::new(keeper.clone(), shape(N))).unwrap();
    let before = area.snapshot().unwrap();
    set(&area, 3, 4);
    assert_eq!(area.flush(), Ok(false));
    assert_eq!((read(&|start, out| before.fill(start, out), 3, 1)[0], get(&area, 3)), (element(3), 4));
    let other = Area::new(before).unwrap();
    assert_eq!((area.flush(), get(&other, 3)), (Ok(false), element(3)));
    drop(other);
    assert_eq!((area.flush(), get(&area, 3)), (Ok(true), 4));
}

#[test]
fn threads_that_write_while_pages_are_taken_lose_nothing() {
    if !alone("threads_that_write_while_pages_are_taken_lose_nothing") {
        return;
    }
    let dir = Dir::disk();
    set_pager_limits(PagerLimits { clean: 2 << 20, written: 1 << 20, spill: dir.path().to_owned() });
    let keeper = keeper(true);
    let area = Area::new(Snapshot::new(keeper.clone(), shape(N))).unwrap();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|t| {
                let area = &area;
                scope.spawn(move || {
                    for round in 1..=20 {
                        (t..N).step_by(3001).for_each(|i| set(area, i, i + round));
                    }
                })
            })
            .collect();
        let mut n = 0;
        while !writers.iter().all(|w| w.is_finished()) {
            keeper.takes.store(n % 3 > 0, Ordering::Relaxed);
            area.flush().unwrap();
            n += 1;
        }
    });
    let value = |i| if i % 3001 < 3 { i + 20 } else { element(i) };
    assert!((0..N).all(|i| get(&area, i) == value(i)));
    keeper.takes.store(true, Ordering::Relaxed);
    assert_eq!(area.flush(), Ok(true));
    let all = read(&|start, out| keeper.fill(start, out), 0, N as usize);
    assert!((0..N).zip(all).all(|(i, x)| x == value(i)));
}

/// Fails for elements from 10,000 on, below 20,000.
struct Failing {
    panics: bool,
    heals: AtomicBool,
    calls: AtomicU32,
}

impl Generator for Failing {
    fn fill(&self, start: u64, out: &mut [u8]) -> Result<(), FillError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if start < 20_000 && start + out.len() as u64 / 8 > 10_000 && !self.heals.load(Ordering::Relaxed) {
            assert!(!self.panics, "no such elements");
            return Err(FillError::Failed("no such elements".into()));
        }
        Sequence::default().fill(start, out)
    }
}

#[test]
fn what_cannot_be_made_is_missing_and_the_reason_is_kept() {
    if !alone("what_cannot_be_made_is_missing_and_the_reason_is_kept") {
        return;
    }
    // Which would tell of every page.
    std::panic::set_hook(Box::new(|_| {}));
    for panics in [false, true] {
        let generator = Arc::new(Failing { panics, heals: false.into(), calls: 0.into() });
        let area = Area::new(Snapshot::new(generator.clone(), shape(N))).unwrap();
        assert_eq!((get(&area, 0), area.failure()), (element(0), None));
        // A pass: pages before and after those that fail are whole, whatever was made ahead.
        let value = |i| if (19 * PER..40 * PER).contains(&i) { MISSING } else { element(i) };
        assert!((0..N).all(|i| get(&area, i) == value(i)));
        let failure = area.failure().unwrap();
        assert!(failure.contains("no such elements"), "{failure}");
        assert!(!area.is_changed());
        if !panics {
            assert!(area.read(10_000, &mut [0; 8]).is_err());
            assert!(area.read(20_000, &mut [0; 8]).is_ok());
        }
        generator.heals.store(true, Ordering::Relaxed);
        assert_eq!(area.take_failure(), Some(failure));
        assert_eq!(area.take_failure(), None);
        assert!((0..N).all(|i| get(&area, i) == element(i)));
    }
}

struct OneThread;

impl Generator for OneThread {
    fn fill(&self, _: u64, _: &mut [u8]) -> Result<(), FillError> {
        Err(FillError::Host)
    }

    fn is_any_thread(&self) -> bool {
        false
    }
}

#[test]
fn a_generator_of_one_thread_gets_no_pointer() {
    let made = Area::new(Snapshot::new(Arc::new(OneThread), shape(10)));
    assert!(matches!(made.map(drop), Err(PagerError::NotAnyThread)));
}

/// Reads one area to make the other, and makes and drops areas while it does.
struct Of(Snapshot, Mutex<Option<Area>>, Arc<Area>);

impl Generator for Of {
    fn fill(&self, start: u64, out: &mut [u8]) -> Result<(), FillError> {
        *self.1.lock().unwrap() = Area::new(self.0.clone()).ok();
        self.2.read(start, out)
    }
}

#[test]
fn a_generator_may_read_and_make_and_drop_areas() {
    if !alone("a_generator_may_read_and_make_and_drop_areas") {
        return;
    }
    let inner = Snapshot::new(Arc::new(Sequence::default()), shape(N));
    let source = Arc::new(Area::new(inner.clone()).unwrap());
    (0..N).step_by(777).for_each(|i| set(&source, i, 1));
    let outer = Area::new(Snapshot::new(Arc::new(Of(inner, Mutex::default(), source)), shape(N))).unwrap();
    assert!((0..N).all(|i| get(&outer, i) == if i % 777 == 0 { 1 } else { element(i) }));
    assert_eq!(outer.failure(), None);
}
