//! Which files nobody refers to, and their removal; all of it under the directory's lock.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::caches::Cache;
use crate::files;
use crate::ledger::{Claim, Other};
use crate::place::{Entry, Place, Room};

/// What is in a cache's rooms, and what other living sessions hold of it. The ledgers of the dead are removed on the way.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) claim: Claim,
    objects: Vec<(Room, u64, PathBuf)>,
    numbers: HashSet<u64>,
    new: Vec<(String, PathBuf)>,
    alive: HashSet<String>,
    /// What the dead held.
    inherited: Claim,
}

impl Listed {
    /// `own` is this session's token.
    pub(crate) fn of(place: &Place, own: Option<&str>) -> io::Result<Listed> {
        let nothing = || Claim::These(BTreeSet::new());
        let mut listed = Listed {
            claim: nothing(),
            objects: Vec::new(),
            numbers: HashSet::new(),
            new: Vec::new(),
            alive: own.map(str::to_owned).into_iter().collect(),
            inherited: nothing(),
        };
        for room in place.rooms() {
            for (entry, path) in room.list()? {
                match entry {
                    Entry::Object { number, .. } => {
                        listed.numbers.insert(number);
                        listed.objects.push((room.clone(), number, path));
                    }
                    Entry::New(token) => listed.new.push((token, path)),
                    Entry::Ledger(token) if own == Some(token.as_str()) => {}
                    Entry::Ledger(token) => listed.other(token, &path)?,
                }
            }
        }
        Ok(listed)
    }

    fn other(&mut self, token: String, path: &Path) -> io::Result<()> {
        let Some(other) = Other::read(path)? else { return Ok(()) };
        let into = if other.alive { &mut self.claim } else { &mut self.inherited };
        *into = std::mem::replace(into, Claim::Everything).and(other.claim);
        if other.alive {
            self.alive.insert(token);
        } else {
            let _ = files::remove(path);
        }
        Ok(())
    }

    /// Known to have been a cache's, so that they may be removed wherever they are.
    pub(crate) fn left_by_the_dead(&self) -> impl Iterator<Item = u64> {
        let these = match &self.inherited {
            Claim::These(numbers) => Some(numbers),
            Claim::Everything => None,
        };
        these.into_iter().flatten().copied()
    }

    pub(crate) fn has_number(&self, number: u64) -> bool {
        self.numbers.contains(&number)
    }
}

/// Removes what is referred to by none of: the image just committed, this session, any living session. `refers_to` is `None` after a commit of another
/// image than the directory's own: then only what the dead were writing goes.
pub(crate) fn tidy(place: &Place, cache: &mut Cache, refers_to: Option<&[u64]>) -> io::Result<usize> {
    let listed = Listed::of(place, cache.token())?;
    for (token, path) in &listed.new {
        if !listed.alive.contains(token) {
            let _ = files::remove(path);
        }
    }
    let Some(refers_to) = refers_to else { return Ok(0) };
    if has_other_images(place) {
        return Ok(0);
    }
    let kept: HashSet<u64> = refers_to.iter().copied().collect();
    let own = cache.held.claim();
    cache.former.extend(listed.left_by_the_dead());
    let mut for_us_alone = 0;
    for (room, number, path) in &listed.objects {
        let needed_by_others = kept.contains(number) || listed.claim.has(*number);
        if own.has(*number) {
            for_us_alone += usize::from(!needed_by_others);
        // Beside the image a file of such a name may be the user's.
        } else if !needed_by_others && (room.is_ours() || cache.former.contains(number)) {
            let _ = files::remove(path);
        }
    }
    Ok(for_us_alone)
}

/// The image that a cache's files belong to.
pub(crate) fn own_image(place: &Place) -> PathBuf {
    place.dir().join(".RData")
}

pub(crate) fn is_own_image(place: &Place, image: &Path) -> bool {
    image == own_image(place)
}

/// Another image in the same directory, a line in a file. What it refers to is not known, so nothing is removed while it is there.
pub(crate) fn remember_image(place: &Place, image: &Path) -> io::Result<()> {
    let line = image.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let list = place.home().images();
    let known = fs::read_to_string(&list).unwrap_or_default();
    if known.lines().any(|known| known == line) {
        return Ok(());
    }
    writeln!(OpenOptions::new().create(true).append(true).open(list)?, "{line}")
}

pub(crate) fn has_other_images(place: &Place) -> bool {
    let known = place.rooms().iter().any(|room| {
        let list = fs::read_to_string(room.images()).unwrap_or_default();
        list.lines().any(|name| place.dir().join(name).exists())
    });
    // What the task packages that had such caches called theirs.
    known || ["all.rda", "R/all.rda"].iter().any(|name| place.dir().join(name).exists())
}
