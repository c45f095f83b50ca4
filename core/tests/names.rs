//! Names between processes: one of those who want a name gets it, it is free when its owner has ended, and no card is ever half of one.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use cowshed_core::{Name, NameError, Store};
use support::puppet::{Stage, play};
use support::{Dir, SmallDisk, cards};

/// Not a test: the life of the processes started below.
#[test]
fn puppet() {
    play();
}

const NAME: Name<'_> = Name { namespace: "ns", name: "x" };

fn value(store: Store, name: Name<'_>) -> Option<Vec<u8>> {
    store.card(name).unwrap().map(|card| card.value)
}

/// A store with one name, and its card's file.
fn registered() -> (Dir, Store, PathBuf) {
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    store.register(NAME, b"about", b"value").unwrap();
    let path = store.card_path(NAME);
    assert!(path.is_file());
    (dir, store, path)
}

#[test]
fn a_name_is_found_until_it_is_released_and_no_other_name_is() {
    let (dir, store, _) = registered();
    let card = store.card(NAME).unwrap().unwrap();
    assert_eq!((&card.about[..], &card.value[..]), (&b"about"[..], &b"value"[..]));
    assert!(store.owns(NAME) && store.has_card(NAME).unwrap());
    assert!(matches!(store.register(NAME, b"", b""), Err(NameError::Taken { .. })));
    assert!(matches!(store.check_free(NAME), Err(NameError::Taken { .. })));
    store.sweep();
    assert_eq!(value(store, NAME), Some(b"value".to_vec()));
    for (namespace, name) in [("ns", "y"), ("n", "sx"), ("nsx", ""), ("", "nsx"), ("x", "ns"), ("ns\0x", "")] {
        assert_eq!(value(store, Name { namespace, name }), None);
        assert!(!store.release(Name { namespace, name }).unwrap());
    }
    assert!(store.release(NAME).unwrap());
    assert!(!store.release(NAME).unwrap() && value(store, NAME).is_none() && !store.owns(NAME));
    assert_eq!(cards(&dir.store()), [""; 0]);
    store.register(NAME, b"", b"again").unwrap();
    let again = store.card(NAME).unwrap().unwrap();
    assert!(again.id != card.id && again.value == b"again");
}

#[test]
fn any_text_is_a_name_and_none_leaves_the_directory() {
    let dir = Dir::memory();
    let store = Store::open(&dir.store()).unwrap();
    let long = "long/".repeat(1000);
    let texts = ["", ".", "..", "../../etc/passwd", "a b", "grüße", ".new", "a.b", "a", "b", &long];
    let names: Vec<_> = texts.iter().flat_map(|namespace| texts.map(|name| Name { namespace, name })).collect();
    for name in &names {
        store.register(*name, b"", name.to_string().as_bytes()).unwrap();
    }
    for name in &names {
        assert_eq!(value(store, *name), Some(name.to_string().into_bytes()));
    }
    let files = cards(&dir.store());
    assert_eq!(files.len(), names.len());
    assert!(files.iter().all(|file| file.len() == 32));
    store.release_all_own().unwrap();
    assert_eq!(cards(&dir.store()), [""; 0]);
}

#[test]
fn of_processes_that_register_a_name_at_once_one_gets_it() {
    let stage = Stage::new();
    let mut puppets: Vec<_> = (0..4).map(|_| stage.puppet()).collect();
    puppets.iter_mut().for_each(|p| p.tell("compete 500"));
    let got: u32 = puppets.iter_mut().map(|p| p.answer().parse::<u32>().unwrap()).sum();
    assert_eq!(got, 500);
    puppets.into_iter().for_each(|p| p.leave("exit"));
    assert_eq!(cards(&stage.store()), [""; 0]);
    stage.expect_empty_after_a_sweep();
}

#[test]
fn a_name_is_free_when_its_owner_has_ended_and_not_before() {
    for how in ["exit", "_exit", "kill"] {
        let stage = Stage::new();
        let (mut owner, mut other) = (stage.puppet(), stage.puppet());
        owner.expect("register ns x first", "registered");
        other.expect("card ns x", "first");
        other.expect("owns ns x", "false");
        other.expect("register ns x second", "taken");
        if how == "kill" {
            owner.kill()
        } else {
            owner.leave(how)
        }
        // Nobody has swept, if it was killed.
        other.expect("card ns x", "none");
        other.expect("release ns x", "false");
        other.expect("register ns x second", "registered");
        other.expect("card ns x", "second");
        other.kill();
        stage.expect_empty_after_a_sweep();
    }
}

#[test]
fn anybody_may_release_a_name_and_its_owner_sees_it() {
    let stage = Stage::new();
    let (mut owner, mut other) = (stage.puppet(), stage.puppet());
    owner.expect("register ns x first", "registered");
    other.expect("release ns x", "true");
    owner.expect("owns ns x", "false");
    owner.expect("release ns x", "false");
    other.expect("register ns x second", "registered");
    owner.expect("owns ns x", "false");
    owner.expect("card ns x", "second");
    owner.leave("exit");
    other.expect("card ns x", "second");
    other.leave("exit");
    stage.expect_empty_after_a_sweep();
}

#[test]
fn a_forked_child_owns_none_of_its_parents_names() {
    for how in ["exit", "_exit", "kill"] {
        let stage = Stage::new();
        let mut parent = stage.puppet();
        // Something is held, so that the child has a ledger from the beginning.
        parent.ask("share held 1 10");
        parent.expect("register ns x parent", "registered");
        let mut child = stage.fork(&mut parent);
        child.expect("owns ns x", "false");
        child.expect("card ns x", "parent");
        child.expect("register ns x child", "taken");
        child.expect("register ns y child", "registered");
        parent.expect("card ns y", "child");
        if how == "kill" {
            child.kill()
        } else {
            child.leave(how)
        }
        parent.ask("sweep");
        parent.expect("card ns x", "parent");
        parent.expect("card ns y", "none");
        parent.expect("register ns y parent", "registered");
        // The other way round.
        let mut child = stage.fork(&mut parent);
        parent.kill();
        child.expect("card ns x", "none");
        child.expect("register ns x child", "registered");
        child.leave("exit");
        stage.expect_empty_after_a_sweep();
    }
}

#[test]
fn names_registered_read_and_released_by_many_who_are_killed_are_whole_and_leave_nothing() {
    let stage = Stage::new();
    for round in 0..8 {
        let mut puppets: Vec<_> = (0..3).map(|_| stage.puppet()).collect();
        for (i, puppet) in puppets.iter_mut().enumerate() {
            puppet.tell(&format!("shuffle {} 250", 10 * round + i));
        }
        std::thread::sleep(Duration::from_millis(100 + 17 * round as u64));
        puppets.pop().unwrap().kill();
        for puppet in &mut puppets {
            let done = puppet.answer();
            assert!(done.parse::<u64>().is_ok_and(|n| n > 10), "{done}");
        }
        puppets.into_iter().for_each(|p| p.kill());
    }
    stage.expect_empty_after_a_sweep();
}

#[test]
fn a_damaged_card_is_an_error_stays_its_owners_and_can_be_released() {
    let good = {
        let (_dir, _, path) = registered();
        std::fs::read(path).unwrap()
    };
    for (at, cut) in [(30, None), (60, None), (90, None), (0, Some(30)), (0, Some(good.len() - 1))] {
        let (dir, store, path) = registered();
        let mut bad = std::fs::read(&path).unwrap();
        match cut {
            Some(n) => bad.truncate(n),
            None => bad[at] ^= 1,
        }
        std::fs::write(&path, &bad).unwrap();
        let error = store.card(NAME).unwrap_err();
        assert_eq!(error.kind().word(), "corrupt", "{error}");
        assert!(
            error.to_string().contains("'x' in the namespace 'ns'") && error.to_string().contains("releaseVariables()")
        );
        assert_eq!(store.register(NAME, b"", b"").unwrap_err().kind().word(), "corrupt");
        store.sweep();
        assert!(store.has_card(NAME).unwrap() && store.release(NAME).unwrap());
        store.register(NAME, b"", b"anew").unwrap();
        assert_eq!(cards(&dir.store()).len(), 1);
    }
}

#[test]
fn a_card_of_which_nobody_can_say_whose_it_is_is_an_error_is_replaced_and_is_swept() {
    let nobodys: [fn(&Path); 4] = [
        |path| std::fs::write(path, b"").unwrap(),
        |path| std::fs::write(path, b"cowcard\nand no owner").unwrap(),
        |path| std::fs::write(path, [7; 200]).unwrap(),
        |path| {
            std::fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
        },
    ];
    for damage in nobodys {
        let (dir, store, path) = registered();
        damage(&path);
        assert_eq!(store.card(NAME).unwrap_err().kind().word(), "corrupt");
        store.register(NAME, b"", b"anew").unwrap();
        assert_eq!(value(store, NAME), Some(b"anew".to_vec()));
        damage(&path);
        store.sweep();
        assert_eq!(cards(&dir.store()), [""; 0]);
        assert_eq!(value(store, NAME), None);
    }
    // Another's card under this name is no answer.
    let (_dir, store, path) = registered();
    let other = Name { name: "y", ..NAME };
    store.register(other, b"", b"other").unwrap();
    std::fs::copy(store.card_path(other), path).unwrap();
    assert_eq!(store.card(NAME).unwrap_err().kind().word(), "corrupt");
    assert_eq!(value(store, other), Some(b"other".to_vec()));
}

#[test]
fn a_card_of_another_version_says_so_and_is_swept_when_its_owner_is_dead() {
    let (dir, store, path) = registered();
    let mut newer = std::fs::read(&path).unwrap();
    newer[24] = 2;
    std::fs::write(&path, &newer).unwrap();
    assert_eq!(store.card(NAME).unwrap_err().kind().word(), "version");
    store.sweep();
    assert_eq!(cards(&dir.store()).len(), 1);
    newer[8..24].copy_from_slice(&[3; 16]);
    std::fs::write(&path, &newer).unwrap();
    assert_eq!(value(store, NAME), None);
    store.sweep();
    assert_eq!(cards(&dir.store()), [""; 0]);
}

#[test]
fn what_a_killed_writer_left_is_overwritten_and_swept() {
    let (dir, store, _) = registered();
    let new = dir.store().join("names/.new");
    std::fs::write(&new, b"half").unwrap();
    store.register(Name { name: "y", ..NAME }, b"", b"y").unwrap();
    assert!(!new.exists());
    std::fs::write(&new, b"half").unwrap();
    store.sweep();
    assert!(!new.exists());
    assert_eq!(cards(&dir.store()).len(), 2);
}

#[test]
fn a_wiped_store_works_again_and_has_no_names() {
    let (dir, store, _) = registered();
    for part in ["", "names", "ledgers"] {
        std::fs::remove_dir_all(dir.store().join(part)).unwrap();
        store.sweep();
        assert!(value(store, NAME).is_none() && !store.release(NAME).unwrap() && !store.owns(NAME), "{part}");
        store.register(NAME, b"", b"anew").unwrap();
        assert_eq!(value(store, NAME), Some(b"anew".to_vec()));
    }
}

#[test]
fn a_full_store_is_an_error_and_leaves_no_card() {
    let Some(disk) = SmallDisk::mount(256) else { return };
    let store = Store::open(&disk.store()).unwrap();
    store.register(NAME, b"", b"fits").unwrap();
    let (other, before) = (Name { name: "y", ..NAME }, disk.free_bytes());
    let error = store.register(other, b"", &vec![1; 300 << 10]).unwrap_err();
    assert_eq!(error.kind().word(), "full", "{error}");
    assert_eq!((cards(&disk.store()).len(), disk.free_bytes()), (1, before));
    // Not a page is left.
    std::fs::write(disk.path().join("filler"), vec![1; before as usize]).unwrap();
    assert_eq!(store.register(other, b"", b"small").unwrap_err().kind().word(), "full");
    assert_eq!(cards(&disk.store()).len(), 1);
    assert_eq!(value(store, NAME), Some(b"fits".to_vec()));
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    store.register(other, b"", b"small").unwrap();
}
