//! The directory of a store: made private, refused if it is not.

use std::cell::Cell;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// Sealed segments, by id.
pub(super) const SEGMENTS: &str = "segments";
/// One file a process.
pub(super) const LEDGERS: &str = "ledgers";

/// Cards, by the hash of their names.
pub(super) const NAMES: &str = "names";

/// The store of this user within `base`.
pub fn default_store_path(base: &Path) -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    base.join(format!("cowshed-{uid}"))
}

/// Makes the directory and the two inside it, 0700, and checks that all three are ours alone.
pub(super) fn prepare(path: &Path) -> Result<(), StoreError> {
    private_dir(path)?;
    private_dir(&path.join(SEGMENTS))?;
    private_dir(&path.join(LEDGERS))
}

/// The same for the directory of names, which is made when it is first needed.
pub(super) fn prepare_names(path: &Path) -> Result<(), StoreError> {
    private_dir(path)?;
    private_dir(&path.join(NAMES))
}

/// Whether a store was made there.
pub(super) fn looks_like_one(path: &Path) -> bool {
    [SEGMENTS, LEDGERS].iter().all(|part| path.join(part).is_dir())
}

/// The store of this user in memory: [`default_store_path`], made once for each user that this process is.
pub fn usual_store_path() -> &'static Path {
    thread_local! {
        static LAST: Cell<Option<(u32, &'static Path)>> = const { Cell::new(None) };
    }
    let uid = rustix::process::geteuid().as_raw();
    match LAST.get() {
        Some((of, path)) if of == uid => path,
        _ => {
            let path: &'static Path = Box::leak(default_store_path(Path::new("/dev/shm")).into_boxed_path());
            LAST.set(Some((uid, path)));
            path
        }
    }
}

fn private_dir(path: &Path) -> Result<(), StoreError> {
    let unusable = |what| move |source| StoreError::failed(path, what, source);
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(unusable("making its directory")(e)),
        _ => {}
    }
    // Not followed: a symlink in a directory that everybody writes could lead anywhere.
    let meta = std::fs::symlink_metadata(path).map_err(unusable("looking at its directory"))?;
    let us = rustix::process::geteuid().as_raw();
    let why = if !meta.is_dir() {
        "it is not a directory".to_owned()
    } else if meta.uid() != us {
        format!("it belongs to user {}, and this process is user {us}", meta.uid())
    } else if meta.mode() & 0o077 != 0 {
        format!("others may enter it (mode {:o}; it must be 700)", meta.mode() & 0o777)
    } else {
        return Ok(());
    };
    Err(StoreError::Refused { path: path.to_owned(), why })
}
