//! What can go wrong with the file of a stored segment.

use std::io;
use std::path::{Path, PathBuf};

use crate::segment::Unread;
use crate::{FormatError, Kind};

/// A stored segment cannot be opened, checked or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// Nothing is there.
    #[error("there is no file '{}': it was moved or removed, or this machine does not see that directory; give the path where it is now", path.display())]
    Gone {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another segment than the one that was asked for.
    #[error("the file '{}' has another object by now; send it again, or open the file by its path", path.display())]
    Replaced {
        /// Where it is.
        path: PathBuf,
    },
    /// The bytes are not to be believed.
    #[error("the file '{}' cannot be used: {source}", path.display())]
    Format {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// A checksum does not fit.
    #[error("the file '{}' is damaged: its bytes {from} to {to} are not those that were stored; bring it back from a copy, or store the object again", path.display())]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// The first byte of the block that differs.
        from: u64,
        /// Its last.
        to: u64,
    },
    /// What every process writes must be writable.
    #[error(
        "the file '{}' is one that is written through, and may not be written by this user ({source}); ask its owner for write access",
        path.display()
    )]
    ReadOnly {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is another user's, and more than data.
    #[error(
        "the file '{}' is user {uid}'s and has R code or R objects in it that this user does not trust; have it made by this user, or open it by its path if you trust them",
        path.display()
    )]
    Stranger {
        /// Where it is.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// The system refused.
    #[error("the file '{}' cannot be used ({what}: {source}); check its path, what it is, and who may read it", path.display())]
    Io {
        /// Where it is.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl StoredError {
    /// Its class.
    pub const fn kind(&self) -> Kind {
        match self {
            StoredError::Gone { .. } | StoredError::Replaced { .. } => Kind::Gone,
            StoredError::Format { source: FormatError::Version { .. } | FormatError::ByteOrder, .. } => Kind::Version,
            StoredError::Format { .. } | StoredError::Damaged { .. } => Kind::Corrupt,
            StoredError::Stranger { .. } | StoredError::ReadOnly { .. } | StoredError::Io { .. } => Kind::Store,
        }
    }

    pub(super) fn failed(path: &Path, what: &'static str, source: io::Error) -> StoredError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => StoredError::Gone { path },
            _ => StoredError::Io { path, what, source },
        }
    }

    pub(super) fn unread(path: &Path, e: Unread) -> StoredError {
        match e {
            Unread::Format(source) => StoredError::Format { path: path.to_owned(), source },
            Unread::Io(source) => StoredError::failed(path, "reading it", source),
            Unread::Map(source) => StoredError::failed(path, "mapping it", source),
        }
    }
}
