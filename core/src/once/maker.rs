//! The lock of an object that is being made, and what only its holder does.
//!
//! - Born locked and not empty, so an empty lock is sharearray's, and one that can be locked belongs to the dead.
//! - Who locks it is its owner only if its path still means that file: it may have been removed meanwhile.
//! - A lock is the process's that took it: a forked child closes it, and leaves the name alone.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::thread::ThreadId;

use super::{Once, OnceError};
use crate::headroom;
use crate::lock::Lock;
use crate::sys::{self, Unnamed};

/// The right, and the duty, to make an object. Dropped, it passes to the next who asks, who finds the object if it was made.
#[derive(Debug)]
pub struct Maker {
    once: Once,
    file: Inode,
}

/// Device and number.
type Inode = (u64, u64);

/// What this process is making.
static MAKERS: Lock<Vec<Held>> = Lock::new(Vec::new());

pub(crate) struct Held {
    file: File,
    inode: Inode,
    thread: ThreadId,
}

/// What this process is making, over a fork.
pub(crate) struct MakersHeld(MutexGuard<'static, Vec<Held>>);

/// Before a fork: no other thread is amid taking one.
pub(crate) fn makers_before_fork() -> MakersHeld {
    MakersHeld(MAKERS.lock())
}

impl MakersHeld {
    /// In the child: they are its parent's. Closing does not unlock.
    pub(crate) fn close(&mut self) {
        self.0.clear();
    }
}

/// What became of an attempt at the lock.
pub(super) enum Attempt {
    Got(Maker),
    /// Somebody else has it.
    Busy,
    /// This thread has it.
    Own,
}

impl Once {
    /// Takes the lock, if that can be had at once.
    pub(super) fn lock(&self) -> Result<Attempt, OnceError> {
        crate::store::install_fork_hooks();
        // A child that another thread forks meanwhile would keep a lock that is in no list yet.
        let _step = crate::store::locking_step();
        let path = self.lock_path();
        loop {
            let there = match sys::open(&path, false) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => match self.new_lock(&path)? {
                    Some(maker) => return Ok(Attempt::Got(maker)),
                    None => continue,
                },
                // Another user's, who lets nobody read it.
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied && path.symlink_metadata().is_ok() => {
                    return Ok(Attempt::Busy);
                }
                Err(e) => return Err(OnceError::failed(&path, "opening its lock", e)),
            };
            let failed = |e| OnceError::failed(&path, "taking its lock", e);
            let about = there.metadata().map_err(failed)?;
            if !about.is_file() {
                return Err(failed(io::ErrorKind::InvalidInput.into()));
            }
            let inode = (about.dev(), about.ino());
            if MAKERS.lock().iter().any(|held| held.inode == inode && held.thread == std::thread::current().id()) {
                return Ok(Attempt::Own);
            }
            if about.len() == 0 || !sys::try_lock(&there, true).map_err(failed)? {
                return Ok(Attempt::Busy);
            }
            if means(&path, inode) {
                return Ok(Attempt::Got(self.maker(there, inode)));
            }
        }
    }

    /// A lock where there is none; `None` if somebody was faster.
    fn new_lock(&self, path: &Path) -> Result<Option<Maker>, OnceError> {
        let failed = |e| OnceError::failed(path, "making its lock", e);
        let new = Unnamed::create_by_umask(&self.dir).map_err(failed)?;
        let mut text = new.file();
        writeln!(text, "{}", std::process::id()).map_err(failed)?;
        let about = text.metadata().map_err(failed)?;
        sys::lock_exclusive(new.file()).map_err(failed)?;
        match new.link_new(path) {
            Ok(file) => Ok(Some(self.maker(file, (about.dev(), about.ino())))),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }

    fn maker(&self, file: File, inode: Inode) -> Maker {
        MAKERS.lock().push(Held { file, inode, thread: std::thread::current().id() });
        Maker { once: self.clone(), file: inode }
    }

    /// Bytes of the lock, if there is one: of sharearray's 0.
    pub(super) fn lock_len(&self) -> Option<u64> {
        self.lock_path().metadata().ok().map(|about| about.len())
    }
}

fn means(path: &Path, inode: Inode) -> bool {
    path.symlink_metadata().is_ok_and(|about| (about.dev(), about.ino()) == inode)
}

impl Maker {
    /// A file for the array.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn new_array(&self) -> Result<NewArray, OnceError> {
        let path = self.once.array_path();
        let file = Unnamed::create_by_umask(&self.once.dir).map_err(|e| OnceError::failed(&path, "making it", e))?;
        Ok(NewArray { file, path, dir: self.once.dir.clone(), end: 0 })
    }

    /// Where an object that is no array goes: what [`crate::Stored`] takes.
    pub fn path_of_object(&self) -> PathBuf {
        self.once.object_path()
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        let mut makers = MAKERS.lock();
        // In a forked child it is not there.
        let Some(at) = makers.iter().position(|held| held.inode == self.file) else { return };
        let held = makers.swap_remove(at);
        let path = self.once.lock_path();
        if means(&path, self.file) {
            // Another user's that we took over may not be ours to remove: unlocked, it keeps nobody.
            let _ = std::fs::remove_file(path);
        }
        // A child that another thread forks now has a copy of the descriptor until it closes it.
        sys::unlock(&held.file);
    }
}

/// A file without a name, to be filled with an array. Dropped, it is gone.
pub struct NewArray {
    file: Unnamed,
    path: PathBuf,
    dir: PathBuf,
    /// Where [`NewArray::write`] goes on.
    end: u64,
}

impl NewArray {
    /// The file, open for reading and writing.
    pub fn file(&self) -> &File {
        self.file.file()
    }

    /// Says how many bytes there will be.
    ///
    /// # Errors
    /// The directory is in memory, and there is not so much left: who took it would be killed.
    pub fn expect(&self, bytes: u64) -> Result<(), OnceError> {
        let fits = !sys::is_memory(&self.dir) || headroom::is_enough(bytes);
        if fits { Ok(()) } else { Err(OnceError::Full { path: self.path.clone() }) }
    }

    /// Writes on.
    ///
    /// # Errors
    /// No room, or the system refuses.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), OnceError> {
        let written = sys::write_at(self.file.file(), bytes, self.end);
        self.end += bytes.len() as u64;
        written.map_err(|e| OnceError::failed(&self.path, "writing it", e))
    }

    /// Gives it its name; on a disk, when it is there.
    ///
    /// # Errors
    /// There is a file of that name, or the system refuses.
    pub fn commit(self) -> Result<PathBuf, OnceError> {
        let NewArray { file, path, dir, .. } = self;
        let synced = if sys::is_memory(&dir) { Ok(()) } else { file.file().sync_all() };
        match synced.and_then(|()| file.link_new(&path)) {
            Ok(_) => Ok(path),
            Err(e) => Err(OnceError::failed(&path, "giving it its name", e)),
        }
    }
}
