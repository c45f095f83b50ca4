//! The lock of a directory: held for as long as something is looked at and changed, a few milliseconds.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{CacheError, Trying};
use crate::place::Place;

/// Held until it is dropped. A process that dies lets go of it.
#[derive(Debug)]
pub(crate) struct Lock {
    _files: Vec<File>,
}

/// How long another process may have it.
const PATIENCE: Duration = Duration::from_secs(60);

impl Lock {
    /// Of both rooms, that beside the image first; the room of new files is made if there is none.
    pub(crate) fn take(place: &Place) -> Result<Lock, CacheError> {
        std::fs::create_dir_all(place.home().path()).trying(place.dir(), "making its directory")?;
        Lock::of(place, true)
    }

    /// The same where nothing is to be made: `None` if no session has ever been here.
    pub(crate) fn take_if_there(place: &Place) -> Result<Option<Lock>, CacheError> {
        let there = place.rooms().iter().any(|room| room.lock().exists());
        if there { Lock::of(place, false).map(Some) } else { Ok(None) }
    }

    fn of(place: &Place, make: bool) -> Result<Lock, CacheError> {
        let mut files = Vec::new();
        let mut rooms = place.rooms();
        rooms.sort_by_key(|room| room.is_ours());
        for room in rooms {
            let path = room.lock();
            let make = make && room.path() == place.home().path();
            if !make && !path.exists() {
                continue;
            }
            let file = open(&path, make).trying(place.dir(), "opening its lock")?;
            wait_for(&file, place.dir())?;
            files.push(file);
        }
        Ok(Lock { _files: files })
    }
}

fn open(path: &Path, make: bool) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).create(make).truncate(false).open(path) {
        // A lock can be taken of what one may only read.
        Err(e) if crate::error::is_read_only(&e) => File::open(path),
        other => other,
    }
}

fn wait_for(file: &File, dir: &Path) -> Result<(), CacheError> {
    let begun = Instant::now();
    while !try_lock(file).trying(dir, "locking it")? {
        if begun.elapsed() > PATIENCE {
            return Err(CacheError::Busy { dir: dir.to_path_buf() });
        }
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Takes the lock of a file if nobody has it.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}
