//! The image (`.RData`): which one is there, and how a new one takes its place.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{CacheError, Trying};
use crate::files;
use crate::lock::try_lock;

/// Tells one image from the next: none of them is ever written in place by us, and others change size or time.
pub type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// Of the file; `None` if there is none.
pub fn stamp(image: &Path) -> Stamp {
    let about = fs::metadata(image).ok()?;
    Some((about.dev(), about.ino(), about.len(), about.mtime(), about.mtime_nsec()))
}

/// What is to be committed.
#[derive(Debug, Clone)]
pub struct Commit<'a> {
    /// The new image, of [`new_image`].
    pub new: &'a Path,
    /// What it replaces.
    pub image: &'a Path,
    /// The numbers that it refers to.
    pub refers_to: &'a [u64],
    /// The numbers that the session's objects no longer have, once it is in place.
    pub drops: &'a [u64],
    /// The image that the session knows, which it read or wrote last.
    pub known: Stamp,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Of the image that is in place now.
    pub stamp: Stamp,
    /// Whether it is another one than before; if it would have been the same, it was left.
    pub replaced: bool,
    /// Whether the one before was not the one that the session knew.
    pub saved_elsewhere: bool,
    /// Whether its name is known to be on the disk. Until it is, no file goes.
    pub durable: bool,
    /// How many files are there still for no other reason than that this session holds them.
    pub kept: usize,
}

/// A new, empty file beside the image, and its lock: as long as that is held nobody removes it. What the dead left there goes.
///
/// # Errors
/// The directory cannot be written.
pub fn new_image(image: &Path) -> Result<(PathBuf, File), CacheError> {
    let image = real(image);
    let dir = dir_of(&image);
    remove_abandoned(&image);
    let prefix = prefix_of(&image);
    for k in 0u64.. {
        let path = dir.join(format!("{prefix}{}-{k}", std::process::id()));
        let file = match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            other => other.trying(dir, "making a new image")?,
        };
        // Another saver may have taken it for abandoned before it had the lock.
        let locked = try_lock(&file).trying(dir, "locking a new image")?;
        if locked && file.metadata().is_ok_and(|about| about.nlink() > 0) {
            return Ok((path, file));
        }
    }
    unreachable!("there are more numbers than files")
}

/// Puts it in place. What was there stays if it is the same.
pub(crate) fn put(commit: &Commit<'_>) -> Result<Committed, CacheError> {
    let image = real(commit.image);
    let dir = dir_of(&image);
    files::sync_file(commit.new).trying(dir, "writing the new image")?;
    let before = stamp(&image);
    // One that is not there any more was removed, not saved.
    let saved_elsewhere = before.is_some() && before != commit.known;
    if files::have_same_bytes(commit.new, &image).trying(dir, "reading the image")? {
        files::remove(commit.new).trying(dir, "removing the new image")?;
        return Ok(Committed { stamp: before, replaced: false, saved_elsewhere, durable: true, kept: 0 });
    }
    if let Ok(about) = fs::metadata(&image) {
        // Who may read it stays as it was; if that cannot be, as it is for new files.
        let _ = fs::set_permissions(commit.new, about.permissions());
    }
    fs::rename(commit.new, &image).trying(dir, "putting the new image in place")?;
    // It is in place whatever comes now.
    let durable = files::sync_dir(dir).is_ok();
    Ok(Committed { stamp: stamp(&image), replaced: true, saved_elsewhere, durable, kept: 0 })
}

/// Through symbolic links: the file is replaced, not a link to it.
fn real(image: &Path) -> PathBuf {
    fs::canonicalize(image).unwrap_or_else(|_| image.to_path_buf())
}

fn dir_of(image: &Path) -> &Path {
    image.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn prefix_of(image: &Path) -> String {
    let name = image.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!(".{}.new-", name.trim_start_matches('.'))
}

/// Best effort: what cannot be removed now is removed by the next who saves.
fn remove_abandoned(image: &Path) {
    let prefix = prefix_of(image);
    let Ok(entries) = fs::read_dir(dir_of(image)) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        if let Ok(file) = File::open(entry.path()) {
            if matches!(try_lock(&file), Ok(true)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
