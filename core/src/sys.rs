//! The operating system's edge: files without a name, locks that die with their process, the clock.
//!
//! Linux and other Unixes. A platform without `flock` gets a sibling file with the same signatures.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
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
    /// In the directory where it will be linked. Nobody but this user may open it.
    pub(crate) fn create(dir: &Path) -> io::Result<Unnamed> {
        Self::with_mode(dir, FILE_MODE)
    }

    /// The same, open to whom the process's umask lets.
    pub(crate) fn create_by_umask(dir: &Path) -> io::Result<Unnamed> {
        Self::with_mode(dir, Mode::from_raw_mode(0o666))
    }

    fn with_mode(dir: &Path, mode: Mode) -> io::Result<Unnamed> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        match rustix::fs::open(dir, flags, mode) {
            Ok(fd) => Ok(Unnamed { file: fd.into(), dotted: Dotted(None) }),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
                Self::dotted(dir, mode)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn dotted(dir: &Path, mode: Mode) -> io::Result<Unnamed> {
        loop {
            let path = dir.join(format!(".{}", crate::SegmentId::random()));
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = File::from(rustix::fs::open(&path, flags, mode)?);
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

    /// The same for a name that anybody may think of: one that exists is an error, `AlreadyExists`, however the file was made.
    pub(crate) fn link_new(self, target: &Path) -> io::Result<File> {
        let Unnamed { file, dotted } = self;
        match &dotted.0 {
            // Then `dotted` removes its own name. Killed in between, the name is there and its maker dead: a sweep removes both.
            Some(from) => rustix::fs::linkat(CWD, from, CWD, target, AtFlags::empty())?,
            None => return Unnamed { file, dotted }.link(target),
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

/// Opens a file of a store by name: never through a symlink, never inherited by a child that execs. Never waiting, either: a pipe that lies
/// there would have a reader wait for its writer. To a regular file that flag is nothing.
pub(crate) fn open(path: &Path, write: bool) -> io::Result<File> {
    let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
    let fd: OwnedFd =
        rustix::fs::open(path, access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK, Mode::empty())?;
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

/// Gives the lock back. Closing is not enough where something else keeps the opening: a mapping made of it, or a child forked meanwhile
/// by another thread. Never for a ledger, whose lock a fork shares.
pub(crate) fn unlock(file: &File) {
    // Nothing to do about a failure: it is the lock of this opening, or none.
    let _ = rustix::fs::flock(file, FlockOperation::Unlock);
}

/// Which file it is, as long as anybody has it open or mapped.
pub(crate) fn inode(file: &File) -> io::Result<u64> {
    Ok(rustix::fs::fstat(file)?.st_ino as u64)
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

/// Whether the file system of `dir` has fewer bytes left than these, or no file. A call that failed for want of room may have other reasons.
pub(crate) fn is_short(dir: &Path, bytes: u64) -> bool {
    let none =
        |s: rustix::fs::StatVfs| s.f_bavail.saturating_mul(s.f_frsize) < bytes || s.f_files > 0 && s.f_favail == 0;
    rustix::fs::statvfs(dir).is_ok_and(none)
}

/// Whether files of `dir` are in memory.
pub(crate) fn is_memory(dir: &Path) -> bool {
    const TMPFS: i64 = 0x0102_1994;
    rustix::fs::statfs(dir).is_ok_and(|s| s.f_type == TMPFS)
}

/// Bytes the file system of `dir` has in all.
pub(crate) fn capacity(dir: &Path) -> io::Result<u64> {
    let s = rustix::fs::statvfs(dir)?;
    Ok(s.f_blocks.saturating_mul(s.f_frsize))
}

/// Writes all of it: `pwrite`, which tells a full store by an error where a mapping would by SIGBUS.
pub(crate) fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let _quiet = NoFileSizeSignal::new();
    // write_all_at goes on where write(2) stopped: it takes at most 0x7ffff000 bytes at a time.
    file.write_all_at(bytes, at)
}

/// Has the file system set space aside, which reads as zeros. False if it cannot, and they must be written.
#[cfg(target_os = "linux")]
pub(crate) fn reserve(file: &File, at: u64, len: u64) -> io::Result<bool> {
    let _quiet = NoFileSizeSignal::new();
    loop {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), at, len) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Has the file system set space aside: not known how.
#[cfg(not(target_os = "linux"))]
pub(crate) fn reserve(_: &File, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

/// Whether a write failed because a file may not be that large. No room made elsewhere helps it.
pub(crate) fn is_too_large(e: &io::Error) -> bool {
    e.raw_os_error() == Some(libc::EFBIG)
}

/// Whether a write failed for want of room.
pub(crate) fn is_full(e: &io::Error) -> bool {
    let full = [libc::ENOSPC, libc::EDQUOT, libc::ENOMEM];
    e.raw_os_error().is_some_and(|e| full.contains(&e))
}

/// Whether the process, or the machine, has all the files open that it may.
pub(crate) fn is_out_of_descriptors(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Keeps SIGXFSZ from this thread while it lives: over the process's file size limit a write shall fail, not kill.
///
/// By the thread's mask: the disposition is the whole process's, so two threads that change and restore it would undo each other.
struct NoFileSizeSignal(Option<libc::sigset_t>);

impl NoFileSizeSignal {
    fn new() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
        NoFileSizeSignal(limit.and_then(|_| {
            let mut before = no_signals();
            // SAFETY: both sets are initialised and live over the call.
            let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &file_size_signal(), &mut before) };
            (failed == 0 && !has_file_size_signal(&before)).then_some(before)
        }))
    }
}

impl Drop for NoFileSizeSignal {
    fn drop(&mut self) {
        let Some(before) = self.0 else { return };
        let (mut pending, mut taken) = (no_signals(), 0);
        // SAFETY: the set lives over the call.
        unsafe { libc::sigpending(&mut pending) };
        if has_file_size_signal(&pending) {
            // SAFETY: both live over the call. It is pending, so this does not wait.
            unsafe { libc::sigwait(&file_size_signal(), &mut taken) };
        }
        // SAFETY: `before` is the mask this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    }
}

fn no_signals() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) initialises the set it is given.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn file_size_signal() -> libc::sigset_t {
    let mut set = no_signals();
    // SAFETY: the set is initialised.
    unsafe { libc::sigaddset(&mut set, libc::SIGXFSZ) };
    set
}

fn has_file_size_signal(set: &libc::sigset_t) -> bool {
    // SAFETY: the set is initialised.
    unsafe { libc::sigismember(set, libc::SIGXFSZ) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_linked_once_however_the_file_was_made() {
        let dir = std::env::temp_dir().join(format!("link-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let made: [fn(&Path) -> io::Result<Unnamed>; 2] = [Unnamed::create, |dir| Unnamed::dotted(dir, FILE_MODE)];
        for (i, make) in made.into_iter().enumerate() {
            let target = dir.join(i.to_string());
            let file = make(&dir).unwrap().link_new(&target).unwrap();
            assert_eq!(links(&file).unwrap(), 1);
            for other in made {
                let taken = other(&dir).unwrap().link_new(&target).err().unwrap();
                assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
            }
            assert_eq!(inode(&open(&target, false).unwrap()).unwrap(), inode(&file).unwrap());
        }
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2, "no dotted name is left");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
