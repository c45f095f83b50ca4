//! Why there is no pointer.

use std::io;
use std::path::PathBuf;

/// A pointer whose pages are made on first touch cannot be had, or not be frozen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PagerError {
    /// The system hands no faults to its processes, or not to this one.
    #[error(
        "pages cannot be made on first touch here: {why}; allow userfaultfd(2) (Linux 5.11 or later; in a container, its seccomp profile), \
         or use the elements without a pointer"
    )]
    Unavailable {
        /// What was tried, and what the system said.
        why: String,
    },
    /// No address space.
    #[error(
        "no address space for the {size} bytes of a vector ({source}); raise the limit (`ulimit -v unlimited`), or use the elements \
         without a pointer"
    )]
    Reserve {
        /// Bytes of the vector.
        size: u128,
        /// What the system said.
        source: io::Error,
    },
    /// No room for changed pages. They are kept in memory.
    #[error("no room for {size} bytes of changed pages in '{}' ({source}); free some, or choose another directory to spill to", dir.display())]
    Spill {
        /// Where they were to go.
        dir: PathBuf,
        /// Bytes that were to go there.
        size: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The generator runs on a thread of its own, and pages are made on another.
    #[error("the elements can be made on one thread only, and pages are made on another: make all of them first")]
    NotAnyThread,
}
