//! Objects made once per machine: the rules of `docs/run-once.md`, with threads, forked children and what dead makers leave.

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cowshed_core::{Kind, Once, OnceError, OnceLock, Turn, valid_id};
use support::Dir;

fn enter(once: &Once, timeout: Option<f64>) -> Result<Turn, OnceError> {
    let nap = |nap| {
        std::thread::sleep(nap);
        Ok(())
    };
    once.enter(timeout.map(Duration::from_secs_f64), || Ok(()), nap)
}

fn make(turn: Turn, bytes: &[u8]) {
    let Turn::Mine(maker) = turn else { panic!("it is made") };
    let new = maker.new_array().unwrap();
    new.file().write_all(bytes).unwrap();
    new.commit().unwrap();
}

fn in_dir() -> (Dir, Once) {
    let dir = Dir::memory();
    let once = Once::new(dir.path(), "p_", "x").unwrap();
    (dir, once)
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn lock(dir: &Dir) -> PathBuf {
    dir.path().join("p_x.npy.lock")
}

#[test]
fn ids_are_names_of_files() {
    for good in ["a", "A-9=+._", "..", "a.npy"] {
        assert!(valid_id(good), "{good}");
    }
    for bad in ["", "a\n", "a/b", "ä", "a b", "a\0"] {
        assert!(!valid_id(bad), "{bad:?}");
        assert_eq!(Once::new(Path::new("/tmp"), "p", bad).unwrap_err().kind(), Kind::Argument);
    }
    assert!(matches!(Once::new(Path::new("/tmp"), "../p", "x"), Err(OnceError::Prefix { .. })));
}

#[test]
fn what_was_made_is_found_and_nothing_else_stays() {
    let (dir, once) = in_dir();
    make(enter(&once, None).unwrap(), b"bytes");
    assert_eq!(names(dir.path()), ["p_x.npy"]);
    let Turn::Found(path) = enter(&once, None).unwrap() else { panic!("it is not found") };
    assert_eq!(fs::read(path).unwrap(), b"bytes");
    assert!(!once.free().unwrap().lock);
    assert!(names(dir.path()).is_empty());
    assert_eq!(once.free().unwrap().files.len(), 0);
}

#[test]
fn of_many_who_ask_at_once_one_makes_it() {
    let (_dir, once) = in_dir();
    let (made, begin) = (AtomicU32::new(0), Barrier::new(16));
    std::thread::scope(|threads| {
        for _ in 0..16 {
            threads.spawn(|| {
                begin.wait();
                if let turn @ Turn::Mine(_) = enter(&once, Some(30.0)).unwrap() {
                    made.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(20));
                    make(turn, b"x");
                }
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
}

#[test]
fn one_that_fails_leaves_the_work_to_one_who_waits() {
    let (dir, once) = in_dir();
    let first = enter(&once, None).unwrap();
    std::thread::scope(|threads| {
        let second = threads.spawn(|| make(enter(&once, Some(30.0)).unwrap(), b"second"));
        std::thread::sleep(Duration::from_millis(50));
        drop(first);
        second.join().unwrap();
    });
    assert_eq!(names(dir.path()), ["p_x.npy"]);
}

// Sharearray's waiters found no file, and those after them a lock that stayed for ever.
#[test]
fn the_lock_of_a_dead_maker_is_taken_over() {
    let (dir, once) = in_dir();
    fs::write(lock(&dir), "12345\n").unwrap();
    assert_eq!(Once::list(dir.path(), "p_").unwrap()[0].lock, OnceLock::Left);
    make(enter(&once, Some(0.0)).unwrap(), b"x");
    assert_eq!(names(dir.path()), ["p_x.npy"]);
    // It had made it, and died before it removed its lock.
    fs::write(lock(&dir), "12345\n").unwrap();
    assert!(matches!(enter(&once, Some(0.0)).unwrap(), Turn::Found(_)));
    assert_eq!(names(dir.path()), ["p_x.npy"]);
}

#[test]
fn an_empty_lock_is_honoured_until_it_goes_also_where_there_is_a_file() {
    let (dir, once) = in_dir();
    File::create(lock(&dir)).unwrap();
    fs::write(once.array_path(), b"half").unwrap();
    let began = Instant::now();
    let error = enter(&once, Some(0.2)).unwrap_err();
    assert_eq!(error.to_string(), "timed out waiting for x to unlock (be created)");
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(Once::list(dir.path(), "p_").unwrap()[0].lock, OnceLock::Foreign);
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| enter(&once, Some(30.0)).unwrap());
        std::thread::sleep(Duration::from_millis(50));
        fs::write(once.array_path(), b"half and half").unwrap();
        fs::remove_file(lock(&dir)).unwrap();
        assert!(matches!(waits.join().unwrap(), Turn::Found(_)));
    });
}

#[test]
fn the_wait_is_announced_once_and_what_the_pause_says_ends_it() {
    let (_dir, once) = in_dir();
    let turn = enter(&once, None).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let (mut said, mut naps) = (0, Vec::new());
            let say = || {
                said += 1;
                Ok(())
            };
            let pause = |nap| {
                naps.push(nap);
                std::thread::sleep(nap);
                if naps.len() == 40 { Err(OnceError::Prefix { prefix: "interrupted".into() }) } else { Ok(()) }
            };
            let ended = once.enter(None, say, pause);
            assert!(matches!(ended, Err(OnceError::Prefix { .. })));
            assert_eq!(said, 1);
            assert_eq!(naps[0], Duration::from_millis(1));
            assert!(naps[39] > naps[0] && naps[39] <= Duration::from_millis(250));
        });
    });
    make(turn, b"x");
}

#[test]
fn who_makes_it_and_asks_for_it_is_told_so() {
    let (_dir, once) = in_dir();
    let _turn = enter(&once, None).unwrap();
    assert!(matches!(enter(&once, None), Err(OnceError::Recursive { .. })));
}

#[test]
fn a_lock_that_was_freed_under_its_maker_is_not_removed_twice() {
    let (dir, once) = in_dir();
    let first = enter(&once, None).unwrap();
    assert!(once.free().unwrap().lock);
    let second = enter(&once, None).unwrap();
    drop(first);
    assert_eq!(names(dir.path()), ["p_x.npy.lock"]);
    make(second, b"x");
    assert_eq!(names(dir.path()), ["p_x.npy"]);
}

#[test]
fn what_is_there_by_the_time_it_is_made_is_not_replaced() {
    let (_dir, once) = in_dir();
    let Turn::Mine(maker) = enter(&once, None).unwrap() else { panic!("it is made") };
    fs::write(once.array_path(), b"first").unwrap();
    let error = maker.new_array().unwrap().commit().unwrap_err();
    assert_eq!(error.kind(), Kind::Exists);
    assert_eq!(fs::read(once.array_path()).unwrap(), b"first");
}

// A pool of workers that outlived its killed parent would have kept the lock.
#[test]
fn a_forked_child_neither_keeps_nor_gives_up_the_lock() {
    let (dir, once) = in_dir();
    let maker = in_child(|| {
        let turn = enter(&once, None).unwrap();
        in_child(|| drop(turn));
        std::thread::sleep(Duration::from_secs(60));
    });
    let until = Instant::now() + Duration::from_secs(20);
    while names(dir.path()).is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(names(dir.path()), ["p_x.npy.lock"]);
    assert!(enter(&once, Some(0.0)).is_err());
    // SAFETY: our child.
    unsafe { libc::kill(maker, libc::SIGKILL) };
    // SAFETY: as above.
    unsafe { libc::waitpid(maker, std::ptr::null_mut(), 0) };
    make(enter(&once, Some(10.0)).unwrap(), b"x");
}

/// A forked child that does this, and then nothing for some time. Its pid.
fn in_child(what: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child takes no lock that a test's other threads may have held, but for those that the crate's own hooks take care of.
    let child = unsafe { libc::fork() };
    if child == 0 {
        what();
        std::thread::sleep(Duration::from_secs(20));
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(0) };
    }
    // What it holds is used in the child only.
    std::mem::forget(what);
    child
}

#[test]
fn a_list_tells_what_is_made_and_by_whom() {
    let (dir, once) = in_dir();
    make(enter(&once, None).unwrap(), b"12345");
    let other = Once::new(dir.path(), "p_", "y").unwrap();
    let _turn = enter(&other, None).unwrap();
    fs::write(dir.path().join("p_z.cow"), b"").unwrap();
    fs::write(dir.path().join("another.npy"), b"").unwrap();
    let list = Once::list(dir.path(), "p_").unwrap();
    let shown: Vec<_> = list.iter().map(|e| (e.id.as_str(), e.path.is_some(), e.bytes, e.lock)).collect();
    let held = OnceLock::Held(Some(std::process::id()));
    assert_eq!(shown, [("x", true, 5, OnceLock::None), ("y", false, 0, held), ("z", true, 0, OnceLock::None)]);
}

#[test]
fn a_directory_that_is_not_there_is_an_error_that_says_so() {
    let once = Once::new(Path::new("/nowhere"), "p_", "x").unwrap();
    let error = enter(&once, None).unwrap_err();
    assert_eq!(error.kind(), Kind::Store);
    assert!(error.to_string().contains("/nowhere/p_x"), "{error}");
    assert!(Once::list(Path::new("/nowhere"), "p_").is_err());
}
