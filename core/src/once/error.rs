//! What can go wrong with an object that is made once.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Kind, sys};

/// An object cannot be made once, found or freed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnceError {
    /// It cannot be a part of a file's name.
    #[error("invalid id: {id}; it must be of letters, digits and any of =+._-")]
    Id {
        /// The id.
        id: String,
    },
    /// It cannot be the beginning of a file's name.
    #[error("invalid prefix: {prefix}; it must have no slash")]
    Prefix {
        /// The prefix.
        prefix: String,
    },
    /// The wait is over.
    #[error("timed out waiting for {id} to unlock (be created)")]
    TimedOut {
        /// The id.
        id: String,
    },
    /// What makes an object asks for it.
    #[error(
        "'{id}' is asked for by what makes it, which would wait for itself; make it of something else, or under another id"
    )]
    Recursive {
        /// The id.
        id: String,
    },
    /// Somebody made it meanwhile.
    #[error("'{}' is there already: somebody freed the lock under which it was made, and was faster", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// No room.
    #[error("no room for '{}': free what is no longer needed there, or use another directory", path.display())]
    Full {
        /// Which file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("'{}' cannot be used ({what}: {source}); check that its directory is there, and who may write in it", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl OnceError {
    /// Its class.
    pub const fn kind(&self) -> Kind {
        match self {
            OnceError::Id { .. } | OnceError::Prefix { .. } | OnceError::Recursive { .. } => Kind::Argument,
            OnceError::TimedOut { .. } => Kind::Timeout,
            OnceError::Exists { .. } => Kind::Exists,
            OnceError::Full { .. } => Kind::Full,
            OnceError::Io { .. } => Kind::Store,
        }
    }

    pub(crate) fn failed(path: &Path, what: &'static str, source: io::Error) -> OnceError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::AlreadyExists => OnceError::Exists { path },
            _ if sys::is_full(&source) => OnceError::Full { path },
            _ => OnceError::Io { path, what, source },
        }
    }
}
