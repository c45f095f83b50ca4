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
        assert!(offset <= self.len && len <= self.len - offset);
        // SAFETY: within our mapping. Who calls this gives up what is there.
        let failed = unsafe { libc::madvise((self.start + offset) as *mut _, len, libc::MADV_DONTNEED) };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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

impl Drop for Space {
    fn drop(&mut self) {
        // SAFETY: our mapping, which nobody uses after us.
        unsafe { libc::munmap(self.start as *mut _, self.len) };
    }
}
