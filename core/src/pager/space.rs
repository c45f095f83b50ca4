//! Address space: pages that cost nothing until they are touched.

use std::io;

/// Zeros that nobody touched yet, readable and writable. Never a Rust reference: others write there whenever they like.
pub(super) struct Space {
    start: usize,
    len: usize,
}

impl Space {
    /// Whole pages, one at least.
    pub(super) fn reserve(len: usize) -> io::Result<Space> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: mmap(2) chooses the address, so nothing of anybody's is replaced.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Space { start: at as usize, len }) }
    }

    pub(super) fn start(&self) -> usize {
        self.start
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Gives the memory of whole pages back; they are untouched again.
    pub(super) fn discard(&self, offset: usize, len: usize) -> io::Result<()> {
        let part = self.part(offset, len);
        // SAFETY: within our mapping. Who calls this gives up what is there.
        let failed = unsafe { libc::madvise(part.iov_base, part.iov_len, libc::MADV_DONTNEED) };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// A part of it, for [`discard_all`].
    pub(super) fn part(&self, offset: usize, len: usize) -> libc::iovec {
        assert!(offset <= self.len && len <= self.len - offset);
        libc::iovec { iov_base: (self.start + offset) as *mut _, iov_len: len }
    }

    /// Makes every touch a SIGSEGV.
    pub(super) fn close(&self) {
        // SAFETY: within our mapping, of which there is no reference.
        unsafe { libc::mprotect(self.start as *mut _, self.len, libc::PROT_NONE) };
    }

    /// Copies bytes of pages that are there.
    pub(super) fn copy_to(&self, offset: usize, out: &mut [u8]) {
        assert!(offset <= self.len && out.len() <= self.len - offset);
        // SAFETY: within our mapping, readable, and `out` is not in it: it would be a reference to what others write.
        // Whoever has the pointer may write there meanwhile, as from another thread of theirs: they get some of both.
        unsafe { std::ptr::copy_nonoverlapping((self.start + offset) as *const u8, out.as_mut_ptr(), out.len()) };
    }
}

/// Gives the memory of parts of spaces back, with one flush of the other processors' page tables for all (a flush for each took 20 times as
/// long). `false` where the kernel does not do that (before Linux 6.13), or stopped amid it.
#[cfg(target_os = "linux")]
pub(super) fn discard_all(parts: &[libc::iovec]) -> bool {
    /// Parts that the call takes at once.
    const MOST: usize = 1024;
    use std::os::fd::AsRawFd;
    let pid = rustix::process::getpid();
    let Ok(this) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return false };
    parts.chunks(MOST).all(|parts| {
        let (advice, flags) = (libc::MADV_DONTNEED, 0);
        // SAFETY: the parts are of our own mappings. Who calls this gives up what is there.
        let done = unsafe {
            libc::syscall(libc::SYS_process_madvise, this.as_raw_fd(), parts.as_ptr(), parts.len(), advice, flags)
        };
        usize::try_from(done).is_ok_and(|done| done == parts.iter().map(|part| part.iov_len).sum())
    })
}

impl Drop for Space {
    fn drop(&mut self) {
        // SAFETY: our mapping, which nobody uses after us.
        unsafe { libc::munmap(self.start as *mut _, self.len) };
    }
}
