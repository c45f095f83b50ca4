//! Memory by name between processes: one of them makes it, whoever comes at the same time finds it, and nobody who is dead keeps it.

mod support;

use std::time::Duration;

use cowshed_core::{AllocateError, AttachError, SegmentId, Store};
use support::puppet::{Stage, play};
use support::{Dir, SmallDisk, segments};

/// Not a test: the life of the processes started below.
#[test]
fn puppet() {
    play();
}

#[test]
fn processes_that_allocate_a_name_at_once_all_get_the_same_memory() {
    let stage = Stage::new();
    let mut puppets: Vec<_> = (0..4).map(|_| stage.puppet()).collect();
    puppets.iter_mut().for_each(|p| p.tell("race 300"));
    puppets.iter_mut().for_each(|p| assert_eq!(p.answer(), "raced"));
    for i in 0..300 {
        puppets[0].expect(&format!("count race-{i} 0"), "4");
    }
    assert_eq!(stage.left().0, 300);
    puppets.into_iter().for_each(|p| p.leave("exit"));
    assert_eq!(stage.left(), (0, 0));
}

#[test]
fn memory_stays_with_its_last_holder_and_what_the_dead_wrote_is_not_found() {
    for how in ["exit", "_exit", "kill"] {
        let stage = Stage::new();
        let (mut maker, mut finder) = (stage.puppet(), stage.puppet());
        maker.expect("memory x 100 m", "allocated");
        maker.expect("count x 7", "7");
        finder.expect("memory y 50 m", "allocated");
        finder.expect("memory z 101 m", "has 100");
        finder.expect("count y 0", "7");
        if how == "kill" {
            maker.kill()
        } else {
            maker.leave(how)
        }
        let mut third = stage.puppet();
        third.expect("find x m", "found");
        third.expect("count x 0", "7");
        third.kill();
        finder.kill();
        // Nobody has swept. Larger than what was there, and zero.
        let mut newcomer = stage.puppet();
        newcomer.expect("find x m", "gone");
        newcomer.expect("memory x 200 m", "allocated");
        newcomer.expect("count x 0", "0");
        newcomer.leave("exit");
        stage.expect_empty_after_a_sweep();
    }
}

#[test]
fn a_freed_name_is_given_anew_and_the_holders_of_the_old_cannot_take_it_away() {
    // The old one's maker, which knows of nobody else who has that id, unlinked the new one when it let go of the old.
    let stage = Stage::new();
    let (mut a, mut b) = (stage.puppet(), stage.puppet());
    let id = SegmentId::of_name("m");
    a.expect(&format!("memory old {} m", 2 << 20), "allocated");
    a.expect("count old 1", "1");
    b.expect(&format!("free {id}"), "true");
    a.expect("find none m", "gone");
    b.expect(&format!("memory new {} m", 2 << 20), "allocated");
    b.expect("count new 0", "0");
    a.expect("count old 1", "2");
    b.expect("count new 5", "5");
    a.ask("drop old");
    a.ask("sweep");
    a.expect("find new m", "found");
    a.expect("count new 0", "5");
    a.ask("drop new");
    b.ask("drop new");
    b.ask("sweep");
    a.expect("find new m", "gone");
    a.leave("exit");
    b.leave("exit");
    assert_eq!(stage.left(), (0, 0));
}

#[test]
fn a_forked_child_holds_what_its_parent_allocated() {
    let stage = Stage::new();
    let mut parent = stage.puppet();
    parent.expect("memory x 100 m", "allocated");
    let mut child = stage.fork(&mut parent);
    parent.kill();
    let mut other = stage.puppet();
    other.ask("sweep");
    other.expect("find x m", "found");
    other.expect("count x 3", "3");
    child.expect("count x 1", "4");
    other.leave("exit");
    child.leave("exit");
    stage.expect_empty_after_a_sweep();
}

#[test]
fn names_freed_allocated_and_dropped_by_many_at_once_are_whole_and_leave_nothing() {
    let stage = Stage::new();
    let mut puppets: Vec<_> = (0..4).map(|_| stage.puppet()).collect();
    for (i, puppet) in puppets.iter_mut().enumerate() {
        puppet.tell(&format!("churn {i} 1500"));
    }
    std::thread::sleep(Duration::from_millis(700));
    puppets.pop().unwrap().kill();
    for puppet in &mut puppets {
        let done = puppet.answer();
        assert!(done.parse::<u64>().is_ok_and(|n| n > 10), "{done}");
    }
    puppets.into_iter().for_each(|p| p.leave("exit"));
    stage.expect_empty_after_a_sweep();
}

#[test]
fn memory_without_a_name_is_zero_writable_and_of_at_least_one_byte() {
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    for (asked, len) in [(0, 1), (1, 1), (100_000, 100_000), (3 << 20, 3 << 20)] {
        let memory = store.allocate(asked, None).unwrap();
        let payload = memory.memory(None).unwrap();
        assert_eq!(payload.len, len);
        let at = memory.payload_mut(payload).unwrap();
        // SAFETY: as long as the payload; nobody writes.
        assert!(unsafe { std::slice::from_raw_parts(at, len as usize) }.iter().all(|b| *b == 0));
        let id = memory.id();
        assert!(store.names(&memory) && memory.memory(Some(1)).is_none());
        drop(memory);
        store.sweep();
        assert!(matches!(store.reattach(id), Err(AttachError::Gone { .. })));
    }
}

#[test]
fn a_listing_tells_names_and_the_name_an_id_has_is_itself() {
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    let named = store.allocate(10, Some("grüße/..")).unwrap();
    let other = store.allocate(10, None).unwrap();
    let listed = store.list().unwrap();
    let name = |id| listed.iter().find(|l| l.id == id).unwrap().name.clone();
    assert_eq!((name(named.id()).as_deref(), name(other.id())), (Some("grüße/.."), None));
    assert_eq!(store.allocate(10, Some(&other.id().to_string())).unwrap().id(), other.id());
    assert_eq!(store.allocate(1, Some("grüße/..")).unwrap().id(), named.id());
}

#[test]
fn a_full_store_is_an_error_and_leaves_neither_name_nor_room_taken() {
    let Some(disk) = SmallDisk::mount(1024) else { return };
    let store = Store::open(&disk.store()).unwrap();
    for name in [None, Some("m")] {
        for len in [2 << 20, 1 << 40] {
            assert!(matches!(store.allocate(len, name), Err(AllocateError::Create(e)) if e.kind().word() == "full"));
            assert_eq!(segments(&disk.store()), [""; 0]);
        }
        drop(store.allocate(700 << 10, name).unwrap());
    }
}
