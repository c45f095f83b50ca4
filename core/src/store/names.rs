//! Objects that are found by a name: cards, each a small file.
//!
//! - A card is valid as long as its owner lives: whether its ledger is there and locked tells, as for segments. It holds no segment; its owner does.
//! - All changes are made under the lock of the directory, and a card comes by a rename: it is seen whole or not at all. Reading takes no lock.
//! - A card is its owner's even if the rest of it is damaged. One of which nobody can say whose it is, is nobody's: replaced, and swept.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::card::{self, Card, Damage};
use super::fork::{self, Step};
use super::{Store, dir, scan};
use crate::{NameError, SegmentId, StoreError, id, sys};

/// A card that is being written.
const NEW: &str = ".new";

/// A name within a namespace: any two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The name in it.
    pub name: &'a str,
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' in the namespace '{}'", self.name, self.namespace)
    }
}

impl Name<'_> {
    /// With the length of the first part, so that no two names run into one another.
    fn file_name(&self) -> String {
        let len = (self.namespace.len() as u64).to_le_bytes().into_iter();
        let hash = id::fnv1a(len.chain(self.namespace.bytes()).chain(self.name.bytes()));
        SegmentId::from_bytes(hash.max(1).to_be_bytes()).to_string()
    }
}

/// What lies where the card of a name belongs.
enum Found {
    Absent,
    /// Of one whose process has ended.
    Dead,
    Card(Card),
    /// `Some`: whose it is can be told, and that process lives.
    Damaged(Damage, Option<SegmentId>),
}

/// The lock under which cards change.
struct Alone(File);

impl Drop for Alone {
    fn drop(&mut self) {
        sys::unlock(&self.0);
    }
}

impl Store {
    /// Gives an object a name: what opens it, and what is told of it. This process, which must hold it, owns the name until it ends.
    ///
    /// # Errors
    /// The name is taken, or there is no room.
    pub fn register(&self, name: Name<'_>, about: &[u8], value: &[u8]) -> Result<(), NameError> {
        let (len, most) = (card::len(name, about, value), card::LONGEST);
        if len > most {
            return Err(NameError::Large { what: name.to_string(), len, most });
        }
        let full = |e: &NameError| matches!(e, NameError::Store(StoreError::Full { .. }));
        self.with_room_unless(len, full, || self.try_register(name, about, value))
    }

    fn try_register(&self, name: Name<'_>, about: &[u8], value: &[u8]) -> Result<(), NameError> {
        let owner = self.ledger(&mut self.0.state.lock())?.name();
        let bytes = card::bytes(owner, name, about, value);
        let step = fork::step();
        let _alone = self.names_alone()?;
        self.check_free_in(name, &step)?;
        let failed = |e| StoreError::failed(&self.0.path, "writing the card of a name", e);
        Ok(self.write_card(&self.card_path(name), &bytes).map_err(failed)?)
    }

    fn write_card(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let new = self.0.names.join(NEW);
        // Of a writer that was killed. Not written into: whatever it is, it shall be a file of ours.
        match std::fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        let written = sys::write_at(&file, bytes, 0).and_then(|()| std::fs::rename(&new, path));
        if written.is_err() {
            // If that fails too, the next writer or sweep removes it.
            let _ = std::fs::remove_file(&new);
        }
        written
    }

    /// Whether a name could be registered now.
    ///
    /// # Errors
    /// It is taken.
    pub fn check_free(&self, name: Name<'_>) -> Result<(), NameError> {
        self.check_free_in(name, &fork::step())
    }

    fn check_free_in(&self, name: Name<'_>, step: &Step) -> Result<(), NameError> {
        match self.find_card(name, step)? {
            Found::Absent | Found::Dead | Found::Damaged(_, None) => Ok(()),
            Found::Card(_) => Err(NameError::Taken { what: name.to_string(), store: self.0.path.clone() }),
            Found::Damaged(damage, Some(_)) => Err(self.damaged(name, damage)),
        }
    }

    /// The card of a name; `None` if nobody who lives has registered it.
    ///
    /// # Errors
    /// Its bytes are not to be believed.
    pub fn card(&self, name: Name<'_>) -> Result<Option<Card>, NameError> {
        match self.find_card(name, &fork::step())? {
            Found::Absent | Found::Dead => Ok(None),
            Found::Card(card) => Ok(Some(card)),
            Found::Damaged(damage, _) => Err(self.damaged(name, damage)),
        }
    }

    /// Whether there is one, be it damaged.
    ///
    /// # Errors
    /// The store refuses.
    pub fn has_card(&self, name: Name<'_>) -> Result<bool, NameError> {
        Ok(!matches!(self.find_card(name, &fork::step())?, Found::Absent | Found::Dead))
    }

    /// Takes a name away; whether it was registered. Whoever holds the object keeps it.
    ///
    /// # Errors
    /// The store refuses.
    pub fn release(&self, name: Name<'_>) -> Result<bool, NameError> {
        let step = fork::step();
        let Some(_alone) = self.names_alone_if_there()? else { return Ok(false) };
        let found = self.find_card(name, &step)?;
        let path = self.card_path(name);
        match found {
            Found::Absent => Ok(false),
            Found::Dead => {
                // If that fails, a sweep does it.
                let _ = std::fs::remove_file(path);
                Ok(false)
            }
            Found::Card(_) | Found::Damaged(..) => {
                std::fs::remove_file(path).map(|()| true).map_err(self.failed(name, "removing it"))
            }
        }
    }

    /// The same if this process owns it.
    ///
    /// # Errors
    /// The store refuses.
    pub fn release_own(&self, name: Name<'_>) -> Result<bool, NameError> {
        let _step = fork::step();
        let Some(_alone) = self.names_alone_if_there()? else { return Ok(false) };
        if !self.owns(name) {
            return Ok(false);
        }
        std::fs::remove_file(self.card_path(name)).map(|()| true).map_err(self.failed(name, "removing it"))
    }

    /// Releases all names that this process owns.
    ///
    /// # Errors
    /// The store refuses.
    pub fn release_all_own(&self) -> Result<(), StoreError> {
        let _step = fork::step();
        let Some(_alone) = self.names_alone_if_there()? else { return Ok(()) };
        let failed = |e| StoreError::failed(&self.0.path, "listing its names", e);
        for path in self.card_paths().map_err(failed)? {
            if self.is_own(&path) {
                let _ = std::fs::remove_file(path);
            }
        }
        Ok(())
    }

    /// Whether this process registered what the name means now. A forked child did not.
    pub fn owns(&self, name: Name<'_>) -> bool {
        self.is_own(&self.card_path(name))
    }

    fn is_own(&self, path: &Path) -> bool {
        let own = self.0.state.lock().ledger.as_ref().map(|ledger| ledger.name());
        own.is_some() && owner_of(path).is_ok_and(|owner| owner.flatten() == own)
    }

    /// The file that a name's card is, if there is one.
    pub fn card_path(&self, name: Name<'_>) -> PathBuf {
        self.0.names.join(name.file_name())
    }

    fn find_card(&self, name: Name<'_>, step: &Step) -> Result<Found, NameError> {
        let failed = |what| self.failed(name, what);
        let file = match sys::open(&self.card_path(name), false) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(e) if e.raw_os_error() == Some(libc::ELOOP) => {
                return Ok(Found::Damaged(Damage::Corrupt("it is a link"), None));
            }
            other => other.map_err(failed("opening it"))?,
        };
        let meta = file.metadata().map_err(failed("looking at it"))?;
        if !meta.is_file() {
            return Ok(Found::Damaged(Damage::Corrupt("it is no file"), None));
        }
        let Some(owner) = head_of(&file).map_err(failed("reading it"))? else {
            return Ok(Found::Damaged(Damage::Corrupt("it does not begin as one"), None));
        };
        if !scan::lives(&self.ledger_path(owner), step).map_err(failed("looking for its owner"))? {
            return Ok(Found::Dead);
        }
        let damaged = |why| Ok(Found::Damaged(Damage::Corrupt(why), Some(owner)));
        let mut bytes = Vec::new();
        if meta.len() > card::LONGEST || bytes.try_reserve_exact(meta.len() as usize).is_err() {
            return damaged("it is too long");
        }
        bytes.resize(meta.len() as usize, 0);
        match file.read_exact_at(&mut bytes, 0) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return damaged("it was cut"),
            other => other.map_err(failed("reading it"))?,
        }
        Ok(Card::parse(&bytes, name).map_or_else(|damage| Found::Damaged(damage, Some(owner)), Found::Card))
    }

    fn ledger_path(&self, ledger: SegmentId) -> PathBuf {
        self.0.ledgers.join(ledger.to_string())
    }

    fn damaged(&self, name: Name<'_>, damage: Damage) -> NameError {
        let (what, store) = (name.to_string(), self.0.path.clone());
        match damage {
            Damage::Corrupt(why) => NameError::Corrupt { what, store, why },
            Damage::Version(found) => NameError::Version { what, store, found, reads: Card::reads() },
        }
    }

    fn failed(&self, name: Name<'_>, tried: &'static str) -> impl Fn(io::Error) -> NameError {
        let (what, store) = (name.to_string(), self.0.path.clone());
        move |source| NameError::Io { what: what.clone(), store: store.clone(), tried, source }
    }

    /// Waits for the lock, within a step: a child forked amid it would inherit it.
    fn names_alone(&self) -> Result<Alone, StoreError> {
        loop {
            dir::prepare_names(&self.0.path)?;
            if let Some(alone) = self.names_alone_if_there()? {
                return Ok(alone);
            }
        }
    }

    fn names_alone_if_there(&self) -> Result<Option<Alone>, StoreError> {
        let failed = |e| StoreError::failed(&self.0.path, "locking its names", e);
        loop {
            let names = match sys::open_dir(&self.0.names) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => other.map_err(failed)?,
            };
            sys::lock_exclusive(&names).map_err(failed)?;
            let alone = Alone(names);
            // The store may have been wiped, and made anew, while we waited.
            let inode = sys::inode(&alone.0).map_err(failed)?;
            if std::fs::symlink_metadata(&self.0.names).is_ok_and(|meta| meta.ino() == inode) {
                return Ok(Some(alone));
            }
        }
    }

    fn card_paths(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.0.names) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()?;
        let ours = names.into_iter().filter(|name| name == NEW || is_card(name));
        Ok(ours.map(|name| self.0.names.join(name)).collect())
    }

    /// Removes cards of the dead, and what a killed writer left. Whether some are left because somebody else was at it.
    pub(super) fn sweep_names(&self, step: &Step) -> io::Result<bool> {
        // Who is dead stays dead, and who was seen alive may be seen dead by the next sweep.
        let mut lives = HashMap::new();
        let mut is_kept = |path: &Path| -> io::Result<bool> {
            if path.file_name() == Some(OsStr::new(NEW)) {
                return Ok(false);
            }
            Ok(match owner_of(path)? {
                None => true,
                Some(None) => false,
                Some(Some(owner)) => match lives.get(&owner) {
                    Some(lives) => *lives,
                    None => *lives.entry(owner).or_insert(scan::lives(&self.ledger_path(owner), step)?),
                },
            })
        };
        let mut over = Vec::new();
        for path in self.card_paths()? {
            if !is_kept(&path)? {
                over.push(path);
            }
        }
        if over.is_empty() {
            return Ok(false);
        }
        let names = sys::open_dir(&self.0.names)?;
        if !sys::try_lock(&names, true)? {
            return Ok(true);
        }
        let _alone = Alone(names);
        for path in over {
            // Registered anew meanwhile, it is another's.
            if !is_kept(&path)? {
                let _ = std::fs::remove_file(path);
            }
        }
        Ok(false)
    }
}

fn is_card(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| SegmentId::parse(name).is_some())
}

/// Whose a card is: `None` if there is no card, `Some(None)` if that cannot be told.
fn owner_of(path: &Path) -> io::Result<Option<Option<SegmentId>>> {
    let file = match sys::open(path, false) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.raw_os_error() == Some(libc::ELOOP) => return Ok(Some(None)),
        other => other?,
    };
    if !file.metadata()?.is_file() {
        return Ok(Some(None));
    }
    head_of(&file).map(Some)
}

fn head_of(file: &File) -> io::Result<Option<SegmentId>> {
    let mut head = [0; card::HEAD];
    match file.read_exact_at(&mut head, 0) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        other => other.map(|()| card::owner(&head)),
    }
}
