//! What can go wrong with a directory of cached objects.

use std::io;
use std::path::{Path, PathBuf};

/// A message says what was tried, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// No room, or no more of it for this user.
    #[error(
        "no room in '{}' ({what}: {source}); make room there and try again: nothing that was saved before has changed, and what is in memory is still there",
        dir.display()
    )]
    Full {
        /// The directory of the cache.
        dir: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The directory cannot be read or written, or its file system has no locks.
    #[error(
        "the cache in '{}' cannot be used ({what}: {source}); its directory must exist, be writable, and be on a file system with flock(2)",
        dir.display()
    )]
    Unusable {
        /// The directory of the cache.
        dir: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has had the lock for very long: it is stopped, or its file system hangs.
    #[error(
        "the cache in '{}' has been locked by another process for a minute, which is stopped or waits for its disk; let it go on or end it, and try again",
        dir.display()
    )]
    Busy {
        /// The directory of the cache.
        dir: PathBuf,
    },
}

impl CacheError {
    pub(crate) fn new(dir: &Path, what: &'static str, source: io::Error) -> Self {
        let dir = dir.to_path_buf();
        if is_full(&source) {
            CacheError::Full { dir, what, source }
        } else {
            CacheError::Unusable { dir, what, source }
        }
    }

    /// The last word of the class of the R error.
    pub const fn word(&self) -> &'static str {
        match self {
            CacheError::Full { .. } => "full",
            CacheError::Unusable { .. } | CacheError::Busy { .. } => "store",
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(errno, Some(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT | rustix::io::Errno::FBIG))
}

/// Whether nothing can be written there at all, whatever is tried.
pub(crate) fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// What was tried, to an error of the system.
pub(crate) trait Trying<T> {
    fn trying(self, dir: &Path, what: &'static str) -> Result<T, CacheError>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying(self, dir: &Path, what: &'static str) -> Result<T, CacheError> {
        self.map_err(|source| CacheError::new(dir, what, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_directory_that_cannot_be_used() {
        let full = CacheError::new(Path::new("/d"), "writing", rustix::io::Errno::NOSPC.into());
        assert_eq!(full.word(), "full");
        assert!(full.to_string().contains("'/d'"));
        assert_eq!(CacheError::new(Path::new("/d"), "writing", rustix::io::Errno::ACCESS.into()).word(), "store");
    }
}
