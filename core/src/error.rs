//! What can go wrong, one enum a verb. A message says what failed, on which name and size, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::{SegmentId, sys};

/// The class of an error, for a host that has classes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The segment's name is not in its store.
    Gone,
    /// The reference is of another machine, or of this one before it was started.
    Machine,
    /// The bytes are not what a writer of this format leaves.
    Corrupt,
    /// Written by another version, or on a machine of another byte order.
    Version,
    /// No room in the store.
    Full,
    /// The store cannot be used.
    Store,
    /// The value cannot be shared, or no strategy opens it.
    Unshareable,
    /// Memory or mappings ran out.
    Memory,
    /// There is memory of that name, and it is too small.
    Size,
    /// The name is somebody's.
    Exists,
    /// A strategy of another package is missing, or stands against another one.
    Plugin,
    /// Somebody else was not done in time.
    Timeout,
    /// What was asked for cannot be meant.
    Argument,
}

impl Kind {
    /// As a word, for class names.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Gone => "gone",
            Kind::Machine => "machine",
            Kind::Corrupt => "corrupt",
            Kind::Version => "version",
            Kind::Full => "full",
            Kind::Store => "store",
            Kind::Unshareable => "unshareable",
            Kind::Memory => "memory",
            Kind::Size => "size",
            Kind::Exists => "exists",
            Kind::Plugin => "plugin",
            Kind::Timeout => "timeout",
            Kind::Argument => "argument",
        }
    }
}

/// A store cannot be opened or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory cannot be made, or read, or written.
    #[error(
        "the store '{}' cannot be used ({what}: {source}); choose a directory you can write with options(cowshed.store = )",
        path.display()
    )]
    Unusable {
        /// The store.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Not a page is left, for what this process must write there before it may hold anything.
    #[error(
        "no room in the store '{}' ({what}); remove shared objects you no longer need (rm(), gc()), enlarge it (docker run --shm-size, \
         or mount -o remount,size=), or choose a directory with options(cowshed.store = )",
        path.display()
    )]
    Full {
        /// The store.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
    },
    /// Something is wrong with whose it is or what it is.
    #[error("the store '{}' is refused: {why}; remove it, or choose another directory with options(cowshed.store = )", path.display())]
    Refused {
        /// The store.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Locks do not hold there, so nobody could tell who lives.
    #[error(
        "the store '{}' is on a file system without working flock(2); choose a local directory with options(cowshed.store = )",
        path.display()
    )]
    NoLocks {
        /// The store.
        path: PathBuf,
    },
}

/// A segment cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The store has no room.
    #[error(
        "no room for {asked} bytes in the store '{}': {free} bytes are free; remove shared objects you no longer need (rm(), gc()), \
         enlarge it (docker run --shm-size, or mount -o remount,size=), or choose a directory with options(cowshed.store = )",
        path.display()
    )]
    Full {
        /// The store.
        path: PathBuf,
        /// Bytes wanted.
        asked: u64,
        /// Bytes free.
        free: u64,
    },
    /// The budget that the user set for the store is spent.
    #[error(
        "no room for {asked} bytes in the store '{}': it holds {used} of the {budget} bytes that options(cowshed.maxStore = ) allows; \
         remove shared objects you no longer need (rm(), gc(); sharedObjectReport() shows who holds what), or allow more",
        path.display()
    )]
    Budget {
        /// The store.
        path: PathBuf,
        /// Bytes wanted.
        asked: u64,
        /// Bytes in use.
        used: u64,
        /// Bytes allowed.
        budget: u64,
    },
    /// The store is in memory, and there is not so much left.
    #[error(
        "no room for {asked} bytes in the store '{}', which is in memory: the machine, or the container or job this process is in, has {left} \
         bytes left; free memory, ask for more (docker run -m, sbatch --mem), or choose a directory on disk with options(cowshed.store = )",
        path.display()
    )]
    Memory {
        /// The store.
        path: PathBuf,
        /// Bytes wanted.
        asked: u64,
        /// Bytes of memory left.
        left: u64,
    },
    /// A file may not be that large: `ulimit -f`, or a limit of the file system.
    #[error("{asked} bytes are more than a file in the store '{}' may have; raise this process's limit (ulimit -f)", path.display())]
    FileSize {
        /// The store.
        path: PathBuf,
        /// Bytes wanted.
        asked: u64,
    },
    /// Writing failed otherwise.
    #[error("writing {asked} bytes to the store '{}' failed: {source}; choose another directory with options(cowshed.store = )", path.display())]
    Write {
        /// The store.
        path: PathBuf,
        /// Bytes wanted.
        asked: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The disk has no room for a stored segment.
    #[error(
        "no room for {asked} bytes in the file '{}': {free} bytes are free there; remove files you no longer need, or choose another directory",
        path.display()
    )]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// Bytes wanted.
        asked: u64,
        /// Bytes free.
        free: u64,
    },
    /// What would be stored there must not take another file's place.
    #[error("there is a file '{}' already; remove it first (freeSharedFile()), or choose another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file of a stored segment cannot be made or written.
    #[error("the file '{}' cannot be stored ({what}: {source}); choose a directory that is there and that you can write", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// More nodes or names than the format counts.
    #[error("the object has more parts ({parts}) than a segment can number; share its parts one by one")]
    TooManyParts {
        /// How many.
        parts: usize,
    },
    /// The sealed segment cannot be mapped.
    #[error(
        "segment {id} of {len} bytes cannot be mapped: {source}; free memory or raise ulimit -v and vm.max_map_count"
    )]
    Map {
        /// The segment.
        id: SegmentId,
        /// Its size.
        len: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A draft whose sealing failed before.
    #[error("the object could not be sealed in its store before; share() it again")]
    Spent,
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A segment cannot be attached, or its name cannot be found again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// No such name in the store.
    #[error(
        "segment {id} is gone from the store '{}': its last holder let it go, or it was freed, or had to give way in a full store, before this \
         process attached it; keep the shared object alive until every worker has it, or raise options(cowshed.grace = ) where the \
         reference was made; or it is another user's or another container's, whose store is not this one: from there, send the data \
         (withSharedSerialization(by = \"value\"))",
        store.display()
    )]
    Gone {
        /// The segment.
        id: SegmentId,
        /// Where it was looked for.
        store: PathBuf,
    },
    /// It is in the memory of another machine.
    #[error(
        "this reference to shared object {id} was made on another machine, or on this one before it was restarted; shared memory does not \
         cross machines: send the data, with withSharedSerialization(..., by = \"value\") or unshare(x), or share the object on the machine \
         that uses it"
    )]
    Machine {
        /// The segment.
        id: SegmentId,
    },
    /// The bytes are not to be believed.
    #[error("segment {id} in the store '{}' cannot be read: {source}", store.display())]
    Format {
        /// The segment.
        id: SegmentId,
        /// Where it is.
        store: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// The system refused.
    #[error("segment {id} in the store '{}' cannot be opened ({what}: {source})", store.display())]
    Io {
        /// The segment.
        id: SegmentId,
        /// Where it is.
        store: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Memory cannot be allocated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AllocateError {
    /// It is there, and too small.
    #[error(
        "{asked} bytes were requested under the name '{name}', and the memory of that name in the store '{}' has {has} bytes; \
         request at most as many, free it first (freeSharedMemory()), or choose another name",
        store.display()
    )]
    Small {
        /// Its name.
        name: String,
        /// Bytes wanted.
        asked: u64,
        /// Bytes there are.
        has: u64,
        /// Where it is.
        store: PathBuf,
    },
    /// It is not there, and cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// It is there, and cannot be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
}

/// A name cannot be registered, looked up or released.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// A living process has registered it.
    #[error(
        "Variable was already registered! A living process has registered {what} in the store '{}'; release it first (releaseVariables()), \
         or choose another name",
        store.display()
    )]
    Taken {
        /// The name.
        what: String,
        /// Where it is.
        store: PathBuf,
    },
    /// The card's bytes are not to be believed.
    #[error("the card of {what} in the store '{}' is corrupt ({why}); release the variable (releaseVariables()) and register it again", store.display())]
    Corrupt {
        /// The name.
        what: String,
        /// Where it is.
        store: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// Another version of the format.
    #[error(
        "the card of {what} in the store '{}' has format version {found}, and this cowshed reads version {reads}; use the same cowshed in \
         every process",
        store.display()
    )]
    Version {
        /// The name.
        what: String,
        /// Where it is.
        store: PathBuf,
        /// In the file.
        found: u32,
        /// Ours.
        reads: u32,
    },
    /// What cannot be shared of the object is more than a card may have.
    #[error(
        "{what} cannot be registered: the parts of it that cannot be shared are {len} bytes, and a card has {most} at the most; register \
         its data without them"
    )]
    Large {
        /// The name.
        what: String,
        /// Bytes there would be.
        len: u64,
        /// Bytes there may be.
        most: u64,
    },
    /// The system refused.
    #[error("the card of {what} in the store '{}' cannot be used ({tried}: {source})", store.display())]
    Io {
        /// The name.
        what: String,
        /// Where it is.
        store: PathBuf,
        /// What was tried.
        tried: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The bytes of a segment are not what a writer of this format leaves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Not a segment, damaged, or cut.
    #[error("it is corrupt ({0}); share the object again")]
    Corrupt(&'static str),
    /// The file system tells another size than the header.
    #[error("it is corrupt (its header says {said} bytes, the file has {has}); share the object again")]
    Length {
        /// In the header.
        said: u64,
        /// In the file system.
        has: u64,
    },
    /// Another format version.
    #[error(
        "it has format version {found}, and this cowshed reads version {reads}; use the same cowshed in every process"
    )]
    Version {
        /// In the file.
        found: u32,
        /// Ours.
        reads: u32,
    },
    /// A machine of another byte order wrote it.
    #[error("a machine of another byte order wrote it; share the object on this machine")]
    ByteOrder,
}

/// No strategy fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// Nobody claims the value.
    #[error("an object of {what} cannot be shared")]
    Unclaimed {
        /// The value, described.
        what: String,
    },
    /// Two claim it equally.
    #[error(
        "the packages '{}' (strategy '{}') and '{}' (strategy '{}') both claim an object of {what} and neither is more specific; \
         unload one of the two packages",
        first.0, first.1, second.0, second.1
    )]
    Tie {
        /// One package and its strategy.
        first: (&'static str, &'static str),
        /// The other.
        second: (&'static str, &'static str),
        /// The value, described.
        what: String,
    },
    /// Values within values, too many.
    #[error(
        "an object of {what} lies more than {deepest} levels deep in the object shared; share the inner parts one by one"
    )]
    TooDeep {
        /// The value, described.
        what: String,
        /// Levels there may be.
        deepest: usize,
    },
    /// A segment needs a strategy that is not registered here.
    #[error(
        "segment {id} needs the sharing strategy '{name}', which this process does not have; install and load the package that provides it"
    )]
    Unknown {
        /// The segment.
        id: SegmentId,
        /// The strategy.
        name: String,
    },
    /// A strategy found its node to be nonsense.
    #[error("node {node} of segment {id} is corrupt: {why}; share the object again")]
    BadNode {
        /// The segment.
        id: SegmentId,
        /// The node.
        node: u32,
        /// Why.
        why: &'static str,
    },
}

impl StoreError {
    /// For a failed call on a store: it is full, or something else.
    pub(crate) fn failed(path: &Path, what: &'static str, source: io::Error) -> StoreError {
        let path = path.to_owned();
        if sys::is_full(&source) {
            return StoreError::Full { path, what };
        }
        StoreError::Unusable { path, what, source }
    }

    /// Its class.
    pub const fn kind(&self) -> Kind {
        match self {
            StoreError::Full { .. } => Kind::Full,
            _ => Kind::Store,
        }
    }
}

impl CreateError {
    /// Its class.
    pub const fn kind(&self) -> Kind {
        match self {
            CreateError::Full { .. }
            | CreateError::Budget { .. }
            | CreateError::Memory { .. }
            | CreateError::NoSpace { .. }
            | CreateError::FileSize { .. } => Kind::Full,
            CreateError::Write { .. } | CreateError::Unwritable { .. } | CreateError::Spent => Kind::Store,
            CreateError::Exists { .. } => Kind::Exists,
            CreateError::Store(e) => e.kind(),
            CreateError::TooManyParts { .. } => Kind::Unshareable,
            CreateError::Map { .. } => Kind::Memory,
        }
    }
}

impl AllocateError {
    /// Its class.
    pub const fn kind(&self) -> Kind {
        match self {
            AllocateError::Small { .. } => Kind::Size,
            AllocateError::Create(e) => e.kind(),
            AllocateError::Attach(e) => e.kind(),
        }
    }
}

impl NameError {
    /// Its class.
    pub const fn kind(&self) -> Kind {
        match self {
            NameError::Taken { .. } => Kind::Exists,
            NameError::Corrupt { .. } => Kind::Corrupt,
            NameError::Version { .. } => Kind::Version,
            NameError::Large { .. } => Kind::Unshareable,
            NameError::Io { .. } => Kind::Store,
            NameError::Store(e) => e.kind(),
        }
    }
}

impl AttachError {
    /// Its class.
    pub const fn kind(&self) -> Kind {
        match self {
            AttachError::Gone { .. } => Kind::Gone,
            AttachError::Machine { .. } => Kind::Machine,
            AttachError::Format { source: FormatError::Version { .. } | FormatError::ByteOrder, .. } => Kind::Version,
            AttachError::Format { .. } => Kind::Corrupt,
            AttachError::Io { .. } => Kind::Store,
            AttachError::Store(e) => e.kind(),
        }
    }
}

impl DispatchError {
    /// Its class.
    pub const fn kind(&self) -> Kind {
        match self {
            DispatchError::BadNode { .. } => Kind::Corrupt,
            DispatchError::Tie { .. } | DispatchError::Unknown { .. } => Kind::Plugin,
            _ => Kind::Unshareable,
        }
    }
}
