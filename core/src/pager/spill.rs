//! The file that changed pages go to: it has no name, and holes where nothing was put.
//!
//! - Each layer has an extent of it as long as its vector, so that a page's place follows from its number. What is not written costs nothing.
//! - A forked child inherits the descriptor and reads what was there. From then on neither side writes to that file, or cuts holes into it:
//!   each begins its own for what comes.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::sys;

/// Bytes of extents in one file, unless a single one is longer: file systems have a largest offset (ext4: 16 TiB).
const LONGEST: u64 = 8 << 40;

/// Forks on the way to this process since the pager began.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Before a fork: from now on there is another who reads the files.
pub(super) fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

struct SpillFile {
    file: File,
    /// [`FORKS`] when it was made.
    born: u64,
}

impl SpillFile {
    fn is_ours(&self) -> bool {
        self.born == FORKS.load(Ordering::Relaxed)
    }
}

/// The file that the next extents are of.
#[derive(Default)]
pub(super) struct Spill {
    current: Option<(Arc<SpillFile>, u64)>,
}

impl Spill {
    pub(super) const fn new() -> Spill {
        Spill { current: None }
    }

    /// Begins a new file for what comes.
    pub(super) fn renew(&mut self) {
        self.current = None;
    }

    /// A place for as many bytes, in a file of this directory.
    pub(super) fn extent(&mut self, dir: &Path, len: u64) -> io::Result<Extent> {
        let fits = |(file, end): &(Arc<SpillFile>, u64)| file.is_ours() && (*end == 0 || LONGEST - end >= len);
        let (file, end) = match self.current.take().filter(fits) {
            Some(current) => current,
            None => {
                let unnamed = sys::Unnamed::create(dir)?;
                // The name, where there is one, goes with `unnamed`.
                let file = unnamed.file().try_clone()?;
                (Arc::new(SpillFile { file, born: FORKS.load(Ordering::Relaxed) }), 0)
            }
        };
        let next = if end + len >= LONGEST { None } else { Some((file.clone(), end + len)) };
        self.current = next;
        Ok(Extent { file, at: end, len, used: AtomicBool::new(false) })
    }
}

/// A part of the file.
pub(super) struct Extent {
    file: Arc<SpillFile>,
    at: u64,
    len: u64,
    used: AtomicBool,
}

impl Extent {
    /// Whether it may still be written: no fork has given it to two.
    pub(super) fn is_ours(&self) -> bool {
        self.file.is_ours()
    }

    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.used.store(true, Ordering::Relaxed);
        sys::write_at(&self.file.file, bytes, self.at + offset)
    }

    pub(super) fn read(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.file.read_exact_at(out, self.at + offset)
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        if self.is_ours() && self.used.load(Ordering::Relaxed) {
            #[cfg(target_os = "linux")]
            let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            let (at, len) = (self.at as libc::off_t, self.len as libc::off_t);
            // Where there are no holes, the room comes back with the whole file.
            // SAFETY: the descriptor is open, and nobody reads the extent any more.
            unsafe { libc::fallocate(self.file.file.as_raw_fd(), mode, at, len) };
        }
    }
}
