//! What a session does with its caches, a step of the protocol each.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{CacheError, Trying};
use crate::files;
use crate::image::{self, Commit, Committed, Stamp, stamp};
use crate::ledger::{Claim, Held, Ledger};
use crate::lock::Lock;
use crate::place::{Entry, Kind, Place, Room};
use crate::tidy::{self, Listed};

/// The caches that this process uses, by their directories.
#[derive(Debug, Default)]
pub struct Caches {
    caches: HashMap<PathBuf, Cache>,
    /// Images that are being written, with their locks.
    images: Vec<(PathBuf, File)>,
}

#[derive(Debug, Default)]
pub(crate) struct Cache {
    ledger: Option<Ledger>,
    pub(crate) held: Held,
    /// Numbers that were ours at any time: what may be removed where other people's files are too.
    pub(crate) former: BTreeSet<u64>,
    /// Numbers that this session gave, and that no image refers to yet.
    fresh: BTreeSet<u64>,
    /// Those whose files the system may not have written yet. A saved image must not refer to one.
    unsynced: BTreeSet<u64>,
    /// What the image with this stamp refers to.
    known: Option<(Stamp, BTreeSet<u64>)>,
    files: u64,
}

impl Caches {
    /// The name of a file to be written, which becomes an object's by [`Caches::number`]. If this process dies, whoever tidies removes it.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn new_file(&mut self, place: &Place) -> Result<PathBuf, CacheError> {
        let cache = self.caches.entry(place.dir().to_path_buf()).or_default();
        if !cache.ledger.as_ref().is_some_and(|ledger| ledger.is_own() && ledger.is_there()) {
            let lock = Lock::take(place)?;
            cache.write_ledger(place, &lock)?;
        }
        cache.files += 1;
        let token = cache.ledger.as_ref().map_or("", Ledger::token);
        Ok(place.home().new_file(token, cache.files))
    }

    /// Gives finished files the lowest numbers that are free, and holds them. All or none.
    ///
    /// # Errors
    /// The directory cannot be written: no number was given.
    pub fn number(&mut self, place: &Place, new: &[(PathBuf, Kind)]) -> Result<Vec<u64>, CacheError> {
        const TRIED: &str = "putting a file in its place";
        let dir = place.dir();
        let lock = Lock::take(place)?;
        let listed = Listed::of(place, self.token(place)).trying(dir, "reading its directory")?;
        let cache = self.caches.entry(dir.to_path_buf()).or_default();
        cache.former.extend(listed.left_by_the_dead());
        let free = |number: &u64| {
            let claimed = matches!(&listed.claim, Claim::These(numbers) if numbers.contains(number));
            !listed.has_number(*number) && !claimed && !cache.knows(*number) && !cache.held.has(*number)
        };
        let numbers: Vec<u64> = (1..).filter(free).take(new.len()).collect();
        // In the ledger before it is there to be tidied.
        cache.held.add(&numbers);
        let named = cache.write_ledger(place, &lock).and_then(|()| {
            for ((from, kind), number) in new.iter().zip(&numbers) {
                files::name_new(from, &place.home().object(*number, *kind, false)).trying(dir, TRIED)?;
            }
            Ok(())
        });
        match named {
            Ok(()) => {
                cache.former.extend(&numbers);
                cache.fresh.extend(&numbers);
                cache.unsynced.extend(&numbers);
                Ok(numbers)
            }
            Err(e) => {
                for ((_, kind), number) in new.iter().zip(&numbers) {
                    let _ = files::remove(&place.home().object(*number, *kind, false));
                }
                cache.held.drop(&numbers);
                let _ = cache.write_ledger(place, &lock);
                Err(e)
            }
        }
    }

    /// The files of these numbers. One that was out of sight is put back: somebody reads it still.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn locate(&mut self, place: &Place, numbers: &[u64]) -> Result<Vec<Option<PathBuf>>, CacheError> {
        let dir = place.dir();
        let _lock = if is_writable(place) { Lock::take_if_there(place)? } else { None };
        let mut found: HashMap<u64, (bool, PathBuf, PathBuf)> = HashMap::new();
        let mut rooms = place.rooms();
        // What is in the home comes last, and counts.
        rooms.reverse();
        for room in rooms {
            for (entry, path) in room.list().trying(dir, "reading its directory")? {
                let Entry::Object { number, kind, hidden } = entry else { continue };
                if !hidden || found.get(&number).is_none_or(|(hidden, ..)| *hidden) {
                    found.insert(number, (hidden, path, room.object(number, kind, false)));
                }
            }
        }
        let one = |number: &u64| {
            let (hidden, path, shown) = found.get(number)?;
            let back = *hidden && fs::rename(path, shown).is_ok();
            Some(if back { shown.clone() } else { path.clone() })
        };
        Ok(numbers.iter().map(one).collect())
    }

    /// Files that lie beside the image go into the home, if that is a directory of its own; one that is there already stays.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn adopt(&mut self, place: &Place, numbers: &[u64]) -> Result<(), CacheError> {
        let [home, other] = place.rooms();
        let stray = |number: &u64| other.object(*number, Kind::Rda, false);
        if !home.is_ours() || !is_writable(place) || !numbers.iter().any(|number| stray(number).exists()) {
            return Ok(());
        }
        let _lock = Lock::take(place)?;
        for number in numbers {
            let _ = files::name_new(&stray(number), &home.object(*number, Kind::Rda, false));
        }
        Ok(())
    }

    /// This session reads an image, and may then read whatever it refers to; until [`Caches::has_read`].
    ///
    /// # Errors
    /// The directory has no locks.
    pub fn will_read(&mut self, place: &Place) -> Result<(), CacheError> {
        let empty = |room: &Room| room.list().is_ok_and(|found| found.is_empty()) && !room.lock().exists();
        if place.rooms().iter().all(empty) {
            return Ok(());
        }
        self.change(place, |cache| cache.held.add_everything())
    }

    /// It has, and refers to these, which are held from now on. `image` has this stamp, if it is the directory's own.
    ///
    /// # Errors
    /// As before.
    pub fn has_read(&mut self, place: &Place, numbers: &[u64], image: Option<Stamp>) -> Result<(), CacheError> {
        let cache = self.caches.entry(place.dir().to_path_buf()).or_default();
        if let Some(stamp) = image {
            cache.known = Some((stamp, numbers.iter().copied().collect()));
        }
        if numbers.is_empty() && cache.held.is_empty() {
            return Ok(());
        }
        self.change(place, |cache| {
            cache.held.drop_everything();
            cache.held.add(numbers);
            cache.former.extend(numbers);
        })
    }

    /// Holds these too.
    ///
    /// # Errors
    /// As before.
    pub fn hold(&mut self, place: &Place, numbers: &[u64]) -> Result<(), CacheError> {
        self.change(place, |cache| cache.held.add(numbers))
    }

    /// No object of this session has these numbers any more. Their files stay where they are.
    pub fn let_go(&mut self, dir: &Path, numbers: &[u64]) {
        // In the ledger at the next occasion: until then it holds more than it has to.
        if let Some(cache) = self.caches.get_mut(dir) {
            cache.drop(numbers);
        }
    }

    /// The same, and the files go: those that the saved image or another session refers to, out of sight (if `hide`), the others for good.
    ///
    /// # Errors
    /// The directory cannot be read or locked.
    pub fn retire(&mut self, place: &Place, numbers: &[u64], hide: bool) -> Result<(), CacheError> {
        let dir = place.dir();
        let lock = Lock::take(place)?;
        let listed = Listed::of(place, self.token(place)).trying(dir, "reading its directory")?;
        let cache = self.caches.entry(dir.to_path_buf()).or_default();
        cache.former.extend(listed.left_by_the_dead());
        let referred = cache.referred(place).and(listed.claim);
        let fresh = std::mem::take(&mut cache.fresh);
        let needed =
            |cache: &Cache, number: &u64| cache.held.has(*number) || referred.has(*number) && !fresh.contains(number);
        cache.drop(numbers);
        for room in place.rooms() {
            for kind in Kind::ALL {
                for number in numbers {
                    let (shown, hidden) = (room.object(*number, kind, false), room.object(*number, kind, true));
                    if needed(cache, number) {
                        if hide && shown.exists() {
                            let _ = fs::rename(shown, hidden);
                        }
                    } else if files::remove(&shown).is_ok() {
                        let _ = files::remove(&hidden);
                    }
                }
            }
        }
        cache.fresh = fresh.into_iter().filter(|number| cache.held.has(*number)).collect();
        cache.write_ledger(place, &lock)
    }

    /// A new name for an object's file of another cache, as a file that is being written here.
    ///
    /// # Errors
    /// No room, or the file is gone.
    pub fn take(&mut self, place: &Place, from: &Path, copy: bool) -> Result<PathBuf, CacheError> {
        let new = self.new_file(place)?;
        files::twin(from, &new, copy).trying(place.dir(), "copying an object's file")?;
        Ok(new)
    }

    /// A file to write a new image to. It is given up by [`Caches::give_up_image`], or put in place by [`Caches::commit`].
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn new_image(&mut self, image: &Path) -> Result<PathBuf, CacheError> {
        let (path, lock) = image::new_image(image)?;
        self.images.push((path.clone(), lock));
        Ok(path)
    }

    /// Removes it, if it is there.
    pub fn give_up_image(&mut self, new: &Path) {
        let _ = files::remove(new);
        self.images.retain(|(path, _)| path != new);
    }

    /// The one step that changes what is saved: the new image takes the place of the old. Then files go that nobody refers to any more.
    ///
    /// # Errors
    /// The new image is not in place, and nothing has changed.
    pub fn commit(&mut self, place: &Place, commit: &Commit<'_>) -> Result<Committed, CacheError> {
        let needed = !commit.refers_to.is_empty() || !commit.drops.is_empty();
        let lock = if needed { Some(Lock::take(place)?) } else { Lock::take_if_there(place)? };
        let own = tidy::is_own_image(place, commit.image);
        if lock.is_some() && !own {
            tidy::remember_image(place, commit.image).trying(place.dir(), "remembering another image")?;
        }
        if let Some(cache) = self.caches.get_mut(place.dir()) {
            cache.sync(place, commit.refers_to)?;
        }
        let mut done = image::put(commit)?;
        self.images.retain(|(path, _)| path != commit.new);
        let cache = self.caches.entry(place.dir().to_path_buf()).or_default();
        cache.drop(commit.drops);
        for number in commit.refers_to {
            cache.fresh.remove(number);
        }
        if own {
            if let Some((_, before)) = cache.known.take() {
                cache.former.extend(before);
            }
            cache.known = Some((done.stamp, commit.refers_to.iter().copied().collect()));
        }
        if let Some(lock) = lock {
            // It is saved. What could not be tidied is tidied the next time.
            if cache.ledger.is_some() {
                let _ = cache.write_ledger(place, &lock);
            }
            // What the old image refers to may be needed again if the new one's name is not on the disk.
            let refers_to = commit.refers_to;
            done.kept = tidy::tidy(place, cache, (own && done.durable).then_some(refers_to)).unwrap_or(0);
        }
        Ok(done)
    }

    /// Once more what a commit does last, when this session holds less than it did.
    ///
    /// # Errors
    /// The directory cannot be read or locked.
    pub fn tidy(&mut self, place: &Place, refers_to: &[u64]) -> Result<(), CacheError> {
        let lock = Lock::take(place)?;
        let cache = self.caches.entry(place.dir().to_path_buf()).or_default();
        cache.write_ledger(place, &lock)?;
        tidy::tidy(place, cache, Some(refers_to)).trying(place.dir(), "reading its directory")?;
        Ok(())
    }

    /// The session ends: its ledgers go.
    pub fn close(&mut self) {
        for (_, cache) in self.caches.drain() {
            if let Some(ledger) = cache.ledger.filter(Ledger::is_own) {
                ledger.remove();
            }
        }
        self.images.clear();
    }

    fn token(&self, place: &Place) -> Option<&str> {
        let ledger = self.caches.get(place.dir())?.ledger.as_ref()?;
        ledger.is_own().then(|| ledger.token())
    }

    /// Changes what is held, and says so in the ledger. Where there can be none, as this user may not write there or there is no room for the smallest
    /// file, nobody is told: it can be read all the same.
    fn change(&mut self, place: &Place, change: impl FnOnce(&mut Cache)) -> Result<(), CacheError> {
        let cache = self.caches.entry(place.dir().to_path_buf()).or_default();
        change(cache);
        if !is_writable(place) {
            return Ok(());
        }
        match Lock::take(place).and_then(|lock| cache.write_ledger(place, &lock)) {
            Err(CacheError::Full { .. }) => Ok(()),
            other => other,
        }
    }
}

impl Cache {
    /// What the saved image refers to, or may.
    fn referred(&self, place: &Place) -> Claim {
        if tidy::has_other_images(place) {
            return Claim::Everything;
        }
        let now = stamp(&tidy::own_image(place));
        match &self.known {
            Some((then, numbers)) if *then == now => Claim::These(numbers.clone()),
            _ if now.is_some() => Claim::Everything,
            _ => Claim::These(BTreeSet::new()),
        }
    }

    /// No object has these any more. What is not held may get another session's object: nothing that was known of it is true then.
    fn drop(&mut self, numbers: &[u64]) {
        self.held.drop(numbers);
        for number in numbers.iter().filter(|number| !self.held.has(**number)) {
            self.fresh.remove(number);
            self.unsynced.remove(number);
        }
    }

    /// Whether the image that this session knows refers to it, whatever became of the file.
    fn knows(&self, number: u64) -> bool {
        self.known.as_ref().is_some_and(|(_, numbers)| numbers.contains(&number))
    }

    /// The files of these are on the disk.
    fn sync(&mut self, place: &Place, numbers: &[u64]) -> Result<(), CacheError> {
        let these: Vec<u64> = numbers.iter().copied().filter(|number| self.unsynced.contains(number)).collect();
        if these.is_empty() {
            return Ok(());
        }
        let paths = place.rooms().into_iter().flat_map(|room| {
            let of = move |number| Kind::ALL.map(|kind| room.object(number, kind, false));
            these.clone().into_iter().flat_map(of)
        });
        let rooms = place.rooms().map(|room| room.path().to_path_buf());
        files::sync_all(&paths.filter(|path| path.exists()).collect::<Vec<_>>(), &rooms)
            .trying(place.dir(), "writing objects")?;
        for number in these {
            self.unsynced.remove(&number);
        }
        Ok(())
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.ledger.as_ref().filter(|ledger| ledger.is_own()).map(Ledger::token)
    }

    fn write_ledger(&mut self, place: &Place, _lock: &Lock) -> Result<(), CacheError> {
        let tried = "writing what this session reads";
        let ledger = match &mut self.ledger {
            Some(ledger) if ledger.is_own() && ledger.is_there() => ledger,
            // None, or one whose directory was removed, or that of the process we were forked from, which is closed by this.
            other => other.insert(Ledger::new(&place.home()).trying(place.dir(), tried)?),
        };
        ledger.write(&self.held).trying(place.dir(), tried)
    }
}

fn is_writable(place: &Place) -> bool {
    let home = place.home();
    let dir = if home.path().exists() { home.path() } else { place.dir() };
    let may = rustix::fs::access(dir, rustix::fs::Access::WRITE_OK);
    !matches!(may, Err(e) if crate::error::is_read_only(&io::Error::from(e)))
}
