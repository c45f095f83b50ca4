//! Objects that are made once per machine, by whichever process asks first: `docs/run-once.md`.
//!
//! - An id has one file, which is linked when it is complete and stays until it is freed. What is in it is its maker's business.
//! - A lock says that somebody is making it. It goes when its maker is done; if its maker dies, the next who asks takes it over.
//! - Nobody waits for the dead, and who waits uses no processor: it looks 20 times in the time that has passed, and every 250 ms.
//!
//! ```
//! use cowshed_core::{Once, OnceError, Turn};
//! use std::io::Write;
//!
//! let once = Once::new(&std::env::temp_dir(), "doc_", &std::process::id().to_string())?;
//! let enter = || once.enter(None, || Ok(()), |nap| Ok::<(), OnceError>(std::thread::sleep(nap)));
//! let Turn::Mine(maker) = enter()? else { panic!("nobody made it before") };
//! let new = maker.new_array()?;
//! new.file().write_all(b"...").unwrap();
//! new.commit()?;
//! drop(maker);
//! assert!(matches!(enter()?, Turn::Found(path) if path == once.array_path()));
//! assert_eq!(once.free()?.files, [once.array_path()]);
//! # Ok::<(), OnceError>(())
//! ```

mod error;
mod list;
mod maker;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use error::OnceError;
pub use list::{OnceEntry, OnceLock};
pub use maker::{Maker, NewArray};
pub(crate) use maker::{MakersHeld, makers_before_fork};

use maker::Attempt;

use crate::stored::{ARRAY_STRATEGY, Place};
use crate::{Segment, StoredError, open_stored};

/// Between two looks: this part of the time that was waited, within these bounds.
const NAP: u32 = 20;
const NAPS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(250));

const ARRAY: &str = ".npy";
const OBJECT: &str = ".cow";
const LOCK: &str = ".npy.lock";

/// What one id means in one directory.
#[derive(Debug, Clone)]
pub struct Once {
    dir: PathBuf,
    prefix: String,
    id: String,
}

/// What a process that asks is told.
#[derive(Debug)]
pub enum Turn {
    /// It is made: its file.
    Found(PathBuf),
    /// Make it, then drop the maker. Who drops it without having made it leaves the work to the next who asks.
    Mine(Maker),
}

/// What [`Once::free`] removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freed {
    /// Somebody was making it, or died as sharearray.
    pub lock: bool,
    /// The files with the object.
    pub files: Vec<PathBuf>,
}

/// What of another user's is opened: data, and nothing that a language runs or trusts.
const DATA: [&str; 9] = [
    "r.raw",
    "r.logical",
    "r.integer",
    "r.double",
    "r.complex",
    "r.character",
    "r.attributes",
    "r.list",
    ARRAY_STRATEGY,
];

/// Opens the file of an object that was found.
///
/// # Errors
/// As [`open_stored`]; and it is another user's, and has more in it than data.
pub fn open_found(path: &Path) -> Result<Arc<Segment>, StoredError> {
    let segment = open_stored(path)?;
    let owner = segment.place().map_or(0, Place::owner);
    let trusted = owner == 0 || owner == rustix::process::geteuid().as_raw();
    if trusted || segment.table().strategies().all(|name| DATA.contains(&name)) {
        return Ok(segment);
    }
    Err(StoredError::Stranger { path: path.to_owned(), uid: owner })
}

/// Whether an id can be one: one or more of `A-Z a-z 0-9 = + . _ -`.
pub fn valid_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"=+._-".contains(&b))
}

impl Once {
    /// The object with this id, in `shm_path`, its files' names beginning with `prefix`.
    ///
    /// # Errors
    /// The id or the prefix cannot be a part of a file's name.
    pub fn new(shm_path: &Path, prefix: &str, id: &str) -> Result<Once, OnceError> {
        if !valid_id(id) {
            return Err(OnceError::Id { id: id.to_owned() });
        }
        if prefix.contains(['/', '\0']) {
            return Err(OnceError::Prefix { prefix: prefix.to_owned() });
        }
        Ok(Once { dir: shm_path.to_owned(), prefix: prefix.to_owned(), id: id.to_owned() })
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file of an array, in numpy's format.
    pub fn array_path(&self) -> PathBuf {
        self.path(ARRAY)
    }

    /// The file of any other object, a stored segment.
    pub fn object_path(&self) -> PathBuf {
        self.path(OBJECT)
    }

    fn lock_path(&self) -> PathBuf {
        self.path(LOCK)
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.dir.join(format!("{}{}{ending}", self.prefix, self.id))
    }

    /// Finds the object, or waits for it, or is told to make it. `waiting` is called once, when the wait begins; `pause` sleeps so long.
    ///
    /// # Errors
    /// `timeout` has passed; the caller is amid making this very object; the directory cannot be used; what `waiting` or `pause` say.
    pub fn enter<E: From<OnceError>>(
        &self,
        timeout: Option<Duration>,
        waiting: impl FnOnce() -> Result<(), E>,
        mut pause: impl FnMut(Duration) -> Result<(), E>,
    ) -> Result<Turn, E> {
        // A time too long to be told is none.
        let (began, mut waiting) = (Instant::now(), Some(waiting));
        let until = timeout.and_then(|timeout| began.checked_add(timeout));
        loop {
            if let Some(path) = self.find()? {
                return Ok(Turn::Found(path));
            }
            match self.lock()? {
                // It was made while we looked for the lock.
                Attempt::Got(maker) => return Ok(self.made()?.map_or(Turn::Mine(maker), Turn::Found)),
                Attempt::Own => return Err(OnceError::Recursive { id: self.id.clone() }.into()),
                Attempt::Busy => {}
            }
            if let Some(say) = waiting.take() {
                say()?;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(OnceError::TimedOut { id: self.id.clone() }.into());
            }
            let nap = (began.elapsed() / NAP).clamp(NAPS.0, NAPS.1);
            pause(left.map_or(nap, |left| nap.min(left)))?;
        }
    }

    /// The object's file, if it is there and complete.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn find(&self) -> Result<Option<PathBuf>, OnceError> {
        // In this order: sharearray has its lock before there is a file, and until the file is complete.
        let made = self.made()?;
        match self.lock_len().filter(|_| made.is_some()) {
            Some(0) => return Ok(None),
            // If its maker died after the object was complete, it goes.
            Some(_) => drop(self.lock()),
            None => {}
        }
        Ok(made)
    }

    /// The object's file, if there is one.
    fn made(&self) -> Result<Option<PathBuf>, OnceError> {
        for path in [self.array_path(), self.object_path()] {
            match path.metadata() {
                Ok(_) => return Ok(Some(path)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(OnceError::failed(&path, "looking for it", e)),
            }
        }
        Ok(None)
    }

    /// Removes the object, and the lock of whoever is making it. Who has it open keeps it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn free(&self) -> Result<Freed, OnceError> {
        let remove = |path: &Path| match std::fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(OnceError::failed(path, "removing it", e)),
        };
        let mut freed = Freed { lock: remove(&self.lock_path())?, files: Vec::new() };
        for path in [self.array_path(), self.object_path()] {
            if remove(&path)? {
                freed.files.push(path);
            }
        }
        Ok(freed)
    }
}
