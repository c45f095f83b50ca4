//! Which objects there are, and which are being made.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{ARRAY, LOCK, OBJECT, Once, OnceError, valid_id};
use crate::sys;

/// An id that is made, or being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceEntry {
    /// The id.
    pub id: String,
    /// Its file, if it is made.
    pub path: Option<PathBuf>,
    /// Bytes of that.
    pub bytes: u64,
    /// When that was last changed, in seconds since 1970; if there is none, the lock.
    pub modified: i64,
    /// The user whose it is.
    pub uid: u32,
    /// Its lock.
    pub lock: OnceLock,
}

/// What a lock says of its maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnceLock {
    /// There is none.
    None,
    /// At work; its pid, if it can be told.
    Held(Option<u32>),
    /// Dead: the next who asks makes it.
    Left,
    /// Sharearray's: nobody can tell.
    Foreign,
}

impl Once {
    /// All ids in a directory, in order.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn list(shm_path: &Path, prefix: &str) -> Result<Vec<OnceEntry>, OnceError> {
        let mut found: BTreeMap<String, OnceEntry> = BTreeMap::new();
        let failed = |e| OnceError::failed(shm_path, "listing it", e);
        for file in std::fs::read_dir(shm_path).map_err(failed)? {
            let file = file.map_err(failed)?;
            let name = file.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else { continue };
            let Some((id, ending)) = [LOCK, ARRAY, OBJECT].iter().find_map(|e| Some((name.strip_suffix(e)?, *e)))
            else {
                continue;
            };
            // One that went meanwhile is none.
            let Some(about) = file.metadata().ok().filter(|about| about.is_file() && valid_id(id)) else { continue };
            let entry = found.entry(id.to_owned()).or_insert_with(|| OnceEntry {
                id: id.to_owned(),
                path: None,
                bytes: 0,
                modified: about.mtime(),
                uid: about.uid(),
                lock: OnceLock::None,
            });
            if ending == LOCK {
                entry.lock = state(&file.path(), about.len());
            } else if entry.path.is_none() || ending == ARRAY {
                entry.path = Some(file.path());
                (entry.bytes, entry.modified, entry.uid) = (about.len(), about.mtime(), about.uid());
            }
        }
        Ok(found.into_values().collect())
    }
}

fn state(path: &Path, len: u64) -> OnceLock {
    if len == 0 {
        return OnceLock::Foreign;
    }
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return OnceLock::None,
        Err(_) => return OnceLock::Held(None),
    };
    // Shared: two who look do not take one another for a maker; who asks for the id meanwhile asks again soon.
    match sys::open(path, false).and_then(|file| sys::try_lock(&file, false)) {
        Ok(true) => OnceLock::Left,
        _ => OnceLock::Held(text.trim().parse().ok()),
    }
}
