//! Areas across a fork: parent and child have the same at first, and then each its own.

#![cfg(target_os = "linux")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use cowshed_core::{Area, Generator, PagerLimits, Snapshot, set_pager_limits};
use support::sequence::{PER, area, element, get, read, sequence, set};
use support::{Dice, Dir};

fn alone(test: &str) -> bool {
    if !support::is_role(test) {
        support::in_a_process_of_its_own(test, || Ok(()));
    }
    support::is_role(test)
}

/// What a child says at its end, or the signal that ended it, negated.
struct Child(libc::pid_t);

impl Child {
    /// A forked process that runs `f` and ends with 0 if that is true.
    fn fork(f: impl FnOnce() -> bool) -> Child {
        // SAFETY: the child runs what it may run after a fork of a process whose other threads hold no lock it takes, and leaves by _exit.
        match unsafe { libc::fork() } {
            0 => {
                support::end_this_process_in_time();
                let well = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
                // SAFETY: nothing of the parent's is run at this end.
                unsafe { libc::_exit(if well.unwrap_or(false) { 0 } else { 1 }) }
            }
            pid => {
                assert!(pid > 0);
                Child(pid)
            }
        }
    }

    fn end(self) -> i32 {
        let mut status = 0;
        // SAFETY: `status` lives over the call.
        assert_eq!(unsafe { libc::waitpid(self.0, &mut status, 0) }, self.0);
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
    }
}

const N: u64 = (64 << 20) / 8;

fn limits(dir: &Dir) {
    set_pager_limits(PagerLimits { clean: 2 << 20, written: 1 << 20, spill: dir.path().to_owned() });
}

/// Every `step`-th element is `value`, the others are as made.
fn is(area: &Area, step: usize, value: impl Fn(u64) -> u64) -> bool {
    (0..N).step_by(step).all(|i| get(area, i) == value(i) && get(area, (i + 1) % N) == element((i + 1) % N))
}

#[test]
fn each_side_of_a_fork_has_what_was_there_and_its_own_writes() {
    if !alone("each_side_of_a_fork_has_what_was_there_and_its_own_writes") {
        return;
    }
    let dir = Dir::disk();
    limits(&dir);
    let (written, clean) = (area(N * 8), area(N * 8));
    // Most is spilled, some is in memory, written and clean.
    (0..N).step_by(1000).for_each(|i| set(&written, i, i + 1));
    (0..N).step_by(5).take(1000).for_each(|i| assert_eq!(get(&clean, i), element(i)));
    let changed = written.changed_pages();
    let child = Child::fork(|| {
        let all = written.changed_pages() == changed && !clean.is_changed();
        let same = is(&written, 1000, |i| i + 1) && is(&clean, 999, element);
        (0..N).step_by(1000).for_each(|i| set(&written, i, i + 2));
        (0..N).step_by(999).for_each(|i| set(&clean, i, 3));
        let snapshot = written.snapshot().unwrap();
        let grandchild = Child::fork(|| {
            let same = is(&written, 1000, |i| i + 2) && is(&clean, 999, |_| 3);
            (0..N).step_by(1000).for_each(|i| set(&written, i, 0));
            same && is(&written, 1000, |_| 0) && read(&|s, o| written.read(s, o), 1000, 1) == [0]
        });
        (0..N).step_by(999).for_each(|i| set(&clean, i, 4));
        let own = is(&written, 1000, |i| i + 2) && is(&clean, 999, |_| 4);
        let kept = read(&|s, o| snapshot.fill(s, o), 2000, 2) == [2002, element(2001)];
        all && same && own && kept && grandchild.end() == 0 && is(&written, 1000, |i| i + 2)
    });
    // At the same time.
    (0..N).step_by(1000).for_each(|i| set(&written, i, i + 9));
    assert_eq!(child.end(), 0);
    assert!(is(&written, 1000, |i| i + 9) && is(&clean, 999, element));
    assert!(!clean.is_changed());
}

#[test]
fn a_snapshot_of_before_is_whole_on_both_sides() {
    if !alone("a_snapshot_of_before_is_whole_on_both_sides") {
        return;
    }
    let dir = Dir::disk();
    limits(&dir);
    let snapshot = {
        let area = area(N * 8);
        (0..N).step_by(1000).for_each(|i| set(&area, i, i + 1));
        area.snapshot().unwrap()
    };
    let whole = |snapshot: &Snapshot| {
        let all = read(&|s, o| snapshot.fill(s, o), 0, N as usize);
        (0..N).all(|i| all[i as usize] == if i % 1000 == 0 { i + 1 } else { element(i) })
    };
    for _ in 0..12 {
        let child = Child::fork(|| {
            let area = Area::new(snapshot.clone()).unwrap();
            (0..N).step_by(1000).for_each(|i| set(&area, i, 5));
            let whole = whole(&snapshot) && is(&area, 1000, |_| 5);
            drop((area, snapshot.clone()));
            whole
        });
        assert_eq!(child.end(), 0);
    }
    assert!(whole(&snapshot));
}

#[test]
fn forks_amid_faults_of_other_threads_leave_both_sides_whole() {
    if !alone("forks_amid_faults_of_other_threads_leave_both_sides_whole") {
        return;
    }
    let dir = Dir::disk();
    limits(&dir);
    let (shared, quiet) = (area(N * 8), area(N * 8));
    (0..N).step_by(2000).for_each(|i| set(&quiet, i, i));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for t in 0..3u64 {
            let (shared, done) = (&shared, &done);
            scope.spawn(move || {
                let mut dice = Dice(t);
                while !done.load(Ordering::Relaxed) {
                    let i = dice.roll() % (N / 3) * 3 + t;
                    let before = get(shared, i);
                    assert!(before == element(i) || before == i, "element {i} is {before}");
                    set(shared, i, i);
                }
            });
        }
        for _ in 0..20 {
            let child = Child::fork(|| {
                let seen = (0..N).step_by(301).all(|i| [element(i), i].contains(&get(&shared, i)));
                (0..N).step_by(2000).for_each(|i| set(&quiet, i, i + 1));
                seen && (0..N).step_by(2000).all(|i| get(&quiet, i) == i + 1 && get(&quiet, i + 1) == element(i + 1))
            });
            assert_eq!(child.end(), 0);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!((0..N).step_by(2000).all(|i| get(&quiet, i) == i));
}

#[test]
fn a_fork_without_areas_can_make_some() {
    if !alone("a_fork_without_areas_can_make_some") {
        return;
    }
    drop(area(N * 8));
    let child = Child::fork(|| get(&area(N * 8), 5) == element(5));
    assert_eq!((child.end(), get(&area(N * 8), 5)), (0, element(5)));
}

/// No descriptor may be opened: so there are no faults to be had.
#[test]
fn a_child_that_gets_no_pages_of_its_own_sees_no_zeros() {
    if !alone("a_child_that_gets_no_pages_of_its_own_sees_no_zeros") {
        return;
    }
    let area = area(N * 8);
    set(&area, 0, 1);
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: lives over the call.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut before) };
    let none = libc::rlimit { rlim_cur: 0, rlim_max: before.rlim_max };
    // SAFETY: as above.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &none) };
    let told = Child::fork(|| {
        let told = area.failure().is_some_and(|why| why.contains("fork")) && area.read(0, &mut [0; 8]).is_err();
        told && area.snapshot().is_err() && area.take_failure().is_some()
    });
    let touched = Child::fork(|| {
        // AddressSanitizer has a handler of its own, which exits.
        // SAFETY: the default is what a process begins with.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        get(&area, N - 1) != 0
    });
    // SAFETY: as above.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &before) };
    assert_eq!((told.end(), touched.end()), (0, -libc::SIGSEGV));
    assert_eq!((get(&area, N - 1), get(&area, 0), area.failure()), (element(N - 1), 1, None));
}

#[test]
fn an_ordinary_user_has_areas_before_and_after_a_fork() {
    if !alone("an_ordinary_user_has_areas_before_and_after_a_fork") {
        return;
    }
    let child = Child::fork(|| {
        // SAFETY: system calls with numbers.
        let ordinary = unsafe { libc::geteuid() != 0 || libc::setgid(65_534) == 0 && libc::setuid(65_534) == 0 };
        let area = area(N * 8);
        set(&area, 7, 8);
        let child = Child::fork(|| get(&area, 7) == 8 && is(&area, 999, element));
        ordinary && is(&area, 999, element) && child.end() == 0 && area.failure().is_none()
    });
    assert_eq!(child.end(), 0);
}

#[test]
fn a_child_reads_what_the_parents_generator_makes_page_by_page() {
    if !alone("a_child_reads_what_the_parents_generator_makes_page_by_page") {
        return;
    }
    let area = Area::new(sequence(N)).unwrap();
    for k in 0..50 {
        assert_eq!(get(&area, k * PER), element(k * PER));
        let child = Child::fork(|| (0..100).all(|j| get(&area, (k + j) * PER) == element((k + j) * PER)));
        assert_eq!(child.end(), 0);
    }
}
