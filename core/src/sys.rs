//! The operating system's edge: files without a name, locks that die with their process, the clock.
//!
//! Linux and other Unixes. A platform without `flock` gets a sibling file with the same signatures.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};

/// Owner reads and writes, nobody else.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Nanoseconds of the clock that all processes of a machine share and that never jumps.
pub(crate) fn now() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// A file nobody can find yet. Dropped without [`Unnamed::link`], it is gone.
pub(crate) struct Unnamed {
    file: File,
    dotted: Dotted,
}

/// Where the file system has no `O_TMPFILE`: a private dotted name, locked so that a sweep can tell a dead one.
struct Dotted(Option<PathBuf>);

impl Unnamed {
    /// In the directory where it will be linked.
    pub(crate) fn create(dir: &Path) -> io::Result<Unnamed> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        match rustix::fs::open(dir, flags, FILE_MODE) {
            Ok(fd) => Ok(Unnamed { file: fd.into(), dotted: Dotted(None) }),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
                Self::dotted(dir)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn dotted(dir: &Path) -> io::Result<Unnamed> {
        loop {
            let path = dir.join(format!(".{}", crate::SegmentId::random()));
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = File::from(rustix::fs::open(&path, flags, FILE_MODE)?);
            lock_exclusive(&file)?;
            // A sweep may have taken it for a dead one between its birth and its lock.
            if links(&file)? > 0 {
                return Ok(Unnamed { file, dotted: Dotted(Some(path)) });
            }
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name. `target` must be unguessable: a name that exists is an error (or, dotted, replaced).
    pub(crate) fn link(self, target: &Path) -> io::Result<File> {
        let Unnamed { file, mut dotted } = self;
        match &dotted.0 {
            Some(from) => {
                rustix::fs::rename(from, target)?;
                dotted.0 = None;
            }
            None => {
                let magic = format!("/proc/self/fd/{}", file.as_raw_fd());
                rustix::fs::linkat(CWD, &magic, CWD, target, AtFlags::SYMLINK_FOLLOW)?;
            }
        }
        Ok(file)
    }
}

impl Drop for Dotted {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Nothing to do about a failure: the next sweep finds it unlocked.
            let _ = rustix::fs::unlink(path);
        }
    }
}

/// Opens a directory, to lock it.
pub(crate) fn open_dir(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Waits for a lock that others may hold at the same time.
pub(crate) fn lock_shared(file: &File) -> io::Result<()> {
    loop {
        match rustix::fs::flock(file, FlockOperation::LockShared) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Opens a file of a store by name: never through a symlink, never inherited by a child that execs.
pub(crate) fn open(path: &Path, write: bool) -> io::Result<File> {
    let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
    let fd: OwnedFd = rustix::fs::open(path, access | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    Ok(fd.into())
}

/// Waits for the lock. It goes when the last descriptor of this opening closes, by SIGKILL too.
pub(crate) fn lock_exclusive(file: &File) -> io::Result<()> {
    loop {
        match rustix::fs::flock(file, FlockOperation::LockExclusive) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Gives a lock back. Never for a ledger: its description is shared with forked children.
pub(crate) fn unlock(file: &File) {
    // Cannot fail for a descriptor that is open.
    let _ = rustix::fs::flock(file, FlockOperation::Unlock);
}

/// Takes the lock if nobody has it.
pub(crate) fn try_lock(file: &File, exclusive: bool) -> io::Result<bool> {
    let operation =
        if exclusive { FlockOperation::NonBlockingLockExclusive } else { FlockOperation::NonBlockingLockShared };
    match rustix::fs::flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Names a file has. 0: unlinked, though this opening still reads it.
pub(crate) fn links(file: &File) -> io::Result<u64> {
    Ok(rustix::fs::fstat(file)?.st_nlink as u64)
}

/// Bytes free to us in the file system of `dir`.
pub(crate) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let s = rustix::fs::statvfs(dir)?;
    Ok(s.f_bavail.saturating_mul(s.f_frsize))
}

/// Ignores SIGXFSZ while it lives: over the process's file size limit a write shall fail, not kill.
pub(crate) struct NoFileSizeSignal(Option<libc::sighandler_t>);

impl NoFileSizeSignal {
    pub(crate) fn new() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
        // SAFETY: SIG_IGN is a valid disposition for SIGXFSZ.
        NoFileSizeSignal(limit.map(|_| unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) }))
    }
}

impl Drop for NoFileSizeSignal {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            // SAFETY: `before` is what signal(2) returned for the same signal.
            unsafe { libc::signal(libc::SIGXFSZ, before) };
        }
    }
}
