//! The protocol of a cache: numbers, what is held, the one rename, and what is removed afterwards; with sessions that are other processes, and are killed.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cowshed_cache::{Caches, Commit, Kind, Place, stamp};

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("cowshed-cache-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn place(&self) -> Place {
        Place::new(&self.0, true)
    }

    fn image(&self) -> PathBuf {
        self.0.join(".RData")
    }

    /// The names of all files in `mlazy` but the lock and the ledgers.
    fn objects(&self) -> Vec<String> {
        self.names(|name| !name.starts_with(".lock") && !name.starts_with(".session"))
    }

    fn ledgers(&self) -> usize {
        self.names(|name| name.starts_with(".session")).len()
    }

    fn names(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let names = fs::read_dir(self.0.join("mlazy")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| wanted(name)).collect();
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn object(caches: &mut Caches, place: &Place, text: &str) -> u64 {
    let file = caches.new_file(place).unwrap();
    fs::write(&file, text).unwrap();
    caches.number(place, &[(file, Kind::Rda)]).unwrap()[0]
}

fn save(caches: &mut Caches, dir: &Dir, text: &str, refers_to: &[u64], drops: &[u64]) -> cowshed_cache::Committed {
    let new = caches.new_image(&dir.image()).unwrap();
    fs::write(&new, text).unwrap();
    let commit = Commit { new: &new, image: &dir.image(), refers_to, drops, known: stamp(&dir.image()) };
    caches.commit(&dir.place(), &commit).unwrap()
}

#[test]
fn a_number_is_the_lowest_that_no_file_has_in_either_room_or_format_seen_or_hidden() {
    let dir = Dir::new("numbers");
    fs::create_dir_all(dir.0.join("mlazy")).unwrap();
    for taken in ["mlazy/obj1.rda", "mlazy/obj3.seg", "mlazy/.obj4.rda", "obj5.rda"] {
        fs::write(dir.0.join(taken), taken).unwrap();
    }
    // An image that this session has not read may refer to anything: that is no reason not to find a number.
    fs::write(dir.image(), "image").unwrap();
    let mut caches = Caches::default();
    assert_eq!(object(&mut caches, &dir.place(), "a"), 2);
    assert_eq!(object(&mut caches, &dir.place(), "b"), 6);
    assert_eq!(fs::read_to_string(dir.0.join("mlazy/obj3.seg")).unwrap(), "mlazy/obj3.seg");
}

#[test]
fn a_changed_object_has_two_files_until_the_image_is_in_place() {
    let dir = Dir::new("commit");
    let mut caches = Caches::default();
    let old = object(&mut caches, &dir.place(), "old");
    assert!(save(&mut caches, &dir, "image 1", &[old], &[]).replaced);
    let new = object(&mut caches, &dir.place(), "new");
    assert_eq!(dir.objects(), ["obj1.rda", "obj2.rda"]);
    let same = save(&mut caches, &dir, "image 1", &[old], &[]);
    assert!(!same.replaced && !same.saved_elsewhere);
    assert!(save(&mut caches, &dir, "image 2", &[new], &[old]).replaced);
    assert_eq!(dir.objects(), ["obj2.rda"]);
    assert_eq!(object(&mut caches, &dir.place(), "again"), 1);
}

#[test]
fn what_the_saved_image_refers_to_is_hidden_and_comes_back_and_what_it_does_not_goes() {
    let dir = Dir::new("retire");
    let place = dir.place();
    let mut caches = Caches::default();
    let (saved, unsaved) = (object(&mut caches, &place, "saved"), object(&mut caches, &place, "unsaved"));
    save(&mut caches, &dir, "image", &[saved], &[]);
    caches.retire(&place, &[saved, unsaved], true).unwrap();
    assert_eq!(dir.objects(), [".obj1.rda"]);
    let found = caches.locate(&place, &[saved, unsaved]).unwrap();
    assert_eq!(found, [Some(dir.0.join("mlazy/obj1.rda")), None]);
    caches.retire(&place, &[saved], false).unwrap();
    assert_eq!(dir.objects(), ["obj1.rda"]);
    save(&mut caches, &dir, "nothing", &[], &[]);
    assert_eq!(dir.objects(), Vec::<String>::new());
}

// A number that was given and given up stayed one that no image could refer to: what another session then had under it was removed.
#[test]
fn a_number_that_somebody_else_got_since_is_his() {
    let dir = Dir::new("reused");
    let place = dir.place();
    let (mut a, mut b) = (Caches::default(), Caches::default());
    let given_up = object(&mut a, &place, "a's");
    save(&mut a, &dir, "without", &[], &[given_up]);
    let number = object(&mut b, &place, "b's");
    assert_eq!(number, given_up);
    save(&mut b, &dir, "with", &[number], &[]);
    a.will_read(&place).unwrap();
    a.has_read(&place, &[number], None).unwrap();
    b.close();
    a.retire(&place, &[number], false).unwrap();
    assert_eq!(dir.objects(), ["obj1.rda"]);
}

#[test]
fn an_image_that_another_session_saved_is_told() {
    let dir = Dir::new("elsewhere");
    let mut caches = Caches::default();
    let known = save(&mut caches, &dir, "mine", &[], &[]).stamp;
    fs::write(dir.0.join("theirs"), "longer than mine").unwrap();
    fs::rename(dir.0.join("theirs"), dir.image()).unwrap();
    let new = caches.new_image(&dir.image()).unwrap();
    fs::write(&new, "mine again").unwrap();
    let commit = Commit { new: &new, image: &dir.image(), refers_to: &[], drops: &[], known };
    assert!(caches.commit(&dir.place(), &commit).unwrap().saved_elsewhere);
    assert_eq!(fs::read_to_string(dir.image()).unwrap(), "mine again");
}

#[test]
fn nothing_is_removed_beside_the_image_that_was_never_ours() {
    let dir = Dir::new("flat");
    let place = Place::new(&dir.0, false);
    fs::write(dir.0.join("obj1.rda"), "the user's").unwrap();
    let mut caches = Caches::default();
    let ours = object(&mut caches, &place, "ours");
    assert_eq!(ours, 2);
    for (text, refers, drops) in [("1", vec![ours], vec![]), ("2", vec![], vec![ours])] {
        let new = caches.new_image(&dir.image()).unwrap();
        fs::write(&new, text).unwrap();
        let commit =
            Commit { new: &new, image: &dir.image(), refers_to: &refers, drops: &drops, known: stamp(&dir.image()) };
        caches.commit(&place, &commit).unwrap();
    }
    assert_eq!(fs::read_to_string(dir.0.join("obj1.rda")).unwrap(), "the user's");
    assert!(!dir.0.join("obj2.rda").exists());
}

#[test]
fn an_image_under_another_name_keeps_what_it_refers_to() {
    let dir = Dir::new("other");
    let mut caches = Caches::default();
    let old = object(&mut caches, &dir.place(), "old");
    let other = dir.0.join("before.RData");
    let new = caches.new_image(&other).unwrap();
    fs::write(&new, "before").unwrap();
    let commit = Commit { new: &new, image: &other, refers_to: &[old], drops: &[], known: None };
    caches.commit(&dir.place(), &commit).unwrap();
    save(&mut caches, &dir, "without", &[], &[old]);
    assert_eq!(dir.objects(), [".images", "obj1.rda"]);
    fs::remove_file(other).unwrap();
    save(&mut caches, &dir, "once more", &[], &[]);
    assert_eq!(dir.objects(), [".images"]);
}

#[test]
fn what_a_living_session_holds_stays_and_what_a_killed_one_left_goes() {
    let dir = Dir::new("sessions");
    let mut caches = Caches::default();
    let shared = object(&mut caches, &dir.place(), "shared");
    save(&mut caches, &dir, "image 1", &[shared], &[]);
    // It reads the image, writes an object of its own, and is amid another.
    let mut session = Session::start(&dir, "reader");
    assert_eq!(session.says(), "ready");
    assert_eq!(dir.ledgers(), 2);
    save(&mut caches, &dir, "image 2", &[], &[shared]);
    let kept = dir.objects();
    assert!(kept.contains(&"obj1.rda".to_owned()) && kept.contains(&"obj2.rda".to_owned()), "{kept:?}");
    assert_eq!(kept.len(), 3, "{kept:?}");
    session.kill();
    save(&mut caches, &dir, "image 3", &[], &[]);
    assert_eq!(dir.objects(), Vec::<String>::new());
    assert_eq!(dir.ledgers(), 1);
    assert!(!fs::read_dir(&dir.0).unwrap().any(|e| e.unwrap().file_name().to_string_lossy().contains("RData.new")));
    caches.close();
    assert_eq!(dir.ledgers(), 0);
}

#[test]
fn a_session_that_is_about_to_read_keeps_everything() {
    let dir = Dir::new("about");
    let mut caches = Caches::default();
    let one = object(&mut caches, &dir.place(), "one");
    save(&mut caches, &dir, "image 1", &[one], &[]);
    let mut session = Session::start(&dir, "about-to-read");
    assert_eq!(session.says(), "ready");
    save(&mut caches, &dir, "image 2", &[], &[one]);
    assert_eq!(dir.objects(), ["obj1.rda"]);
    session.kill();
}

#[test]
fn sessions_at_once_never_get_the_same_number() {
    let dir = Dir::new("crowd");
    let mut sessions: Vec<_> = (0..4).map(|_| Session::start(&dir, "number")).collect();
    let mut given: Vec<String> = sessions
        .iter_mut()
        .flat_map(|session| session.says().split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    given.sort();
    let all = given.len();
    given.dedup();
    assert_eq!((given.len(), all), (100, 100));
    assert_eq!(dir.objects().len(), 100);
}

/// Not a test of its own: what the processes do that the tests start.
#[test]
fn session() {
    let (Ok(dir), Ok(what)) = (std::env::var("COWSHED_CACHE_DIR"), std::env::var("COWSHED_CACHE_DO")) else { return };
    let place = Place::new(&dir, true);
    let mut caches = Caches::default();
    match what.as_str() {
        "reader" => {
            caches.will_read(&place).unwrap();
            caches.has_read(&place, &[1], Some(stamp(&Path::new(&dir).join(".RData")))).unwrap();
            object(&mut caches, &place, "of the reader");
            let amid = caches.new_file(&place).unwrap();
            fs::write(amid, "half").unwrap();
            caches.new_image(&Path::new(&dir).join(".RData")).unwrap();
            println!("\n> ready");
        }
        "about-to-read" => {
            caches.will_read(&place).unwrap();
            println!("\n> ready");
        }
        _ => {
            let numbers: Vec<_> = (0..25).map(|i| object(&mut caches, &place, &i.to_string()).to_string()).collect();
            println!("\n> {}", numbers.join(" "));
        }
    }
    // Until it is killed, or forgotten.
    std::thread::sleep(std::time::Duration::from_secs(60));
}

struct Session(Child, BufReader<std::process::ChildStdout>);

impl Session {
    fn start(dir: &Dir, what: &str) -> Session {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "session", "--nocapture"])
            .env("COWSHED_CACHE_DIR", &dir.0)
            .env("COWSHED_CACHE_DO", what)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Session(child, out)
    }

    fn says(&mut self) -> String {
        for line in self.1.by_ref().lines() {
            if let Some(said) = line.unwrap().strip_prefix("> ") {
                return said.to_owned();
            }
        }
        panic!("the session ended and said nothing");
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
