//! What is done with single files, so that nothing of them is lost when the machine stops.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What was written is on the disk.
///
/// # Errors
/// Those of the system, a full disk among them that noticed late.
pub fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The names in a directory are on the disk.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        // There are file systems that have nothing to do for it, and say so.
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// What was written to many files is on the disk, and their names in these directories.
pub(crate) fn sync_all(files: &[PathBuf], dirs: &[PathBuf]) -> io::Result<()> {
    /// So many wait for the disk longer than for everything that is to be written there, whoever wrote it.
    const MANY: usize = 16;
    match files {
        [] => return Ok(()),
        [first, ..] if files.len() >= MANY => rustix::fs::syncfs(File::open(first)?)?,
        some => some.iter().try_for_each(|file| sync_file(file))?,
    }
    dirs.iter().filter(|dir| dir.exists()).try_for_each(|dir| sync_dir(dir))
}

/// A second name for a file, or a copy where there can be none. An error leaves nothing.
pub(crate) fn twin(from: &Path, to: &Path, copy: bool) -> io::Result<()> {
    if !copy && fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let copied = fs::copy(from, to).map(|_| ());
    if copied.is_err() {
        let _ = fs::remove_file(to);
    }
    copied
}

/// Gives a finished file a name that nothing has; `AlreadyExists` if something has it.
pub(crate) fn name_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(e),
        // A file system without second names. Under the directory's lock nobody else takes the name meanwhile.
        Err(_) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether two files are equal. One that does not exist equals none.
///
/// # Errors
/// One of them cannot be read.
pub fn have_same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    let (Some(mut a), Some(mut b)) = (open(a)?, open(b)?) else { return Ok(false) };
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let mut of_a = vec![0; 1 << 16];
    let mut of_b = of_a.clone();
    loop {
        let n = a.read(&mut of_a)?;
        if n == 0 {
            return Ok(b.read(&mut of_b)? == 0);
        }
        match b.read_exact(&mut of_b[..n]) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        if of_a[..n] != of_b[..n] {
            return Ok(false);
        }
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
