//! A pointer to elements that lie in a file as they are: a private mapping of it, which the kernel itself makes page by page. It needs no userfaultfd.
//!
//! - What is written stays in private pages; the file is never written.
//! - A file that is cut under it gives missing values, and [`FileArea::is_lost`] says so from then on (`segment/cut.rs`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{MmapMut, MmapOptions};

use super::PAGE;
use super::generator::Shape;
use crate::segment::{Mapped, private_ranges};

/// A vector whose elements are the bytes of a file from some place on.
///
/// - Pages that nobody wrote are the file's: what others write there shows. Dropped while somebody uses the pointer, that use is one of freed memory.
pub struct FileArea {
    map: Mapped<MmapMut>,
}

impl FileArea {
    /// Maps the elements of `file` from byte `offset` on. `strategy` is the strategy of such vectors: it tells what is missing if the file is cut.
    ///
    /// # Errors
    /// The file is shorter; `offset` is no multiple of an element's size; no address space.
    pub fn new(file: BorrowedFd<'_>, offset: u64, shape: &Shape, strategy: &'static str) -> io::Result<FileArea> {
        let bytes = shape.bytes().filter(|bytes| *bytes > 0).ok_or(io::ErrorKind::InvalidInput)?;
        let end = offset.checked_add(bytes as u64).ok_or(io::ErrorKind::InvalidInput)?;
        if offset % shape.width as u64 != 0 || (rustix::fs::fstat(file)?.st_size as u64) < end {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut options = MmapOptions::new();
        // Untouched pages are the file's own: they need no swap reserved.
        options.offset(offset).len(bytes).no_reserve_swap();
        // SAFETY: it is read and written by pointers alone: the file may change under it, and be cut, which is mended.
        let map = unsafe { options.map_copy(file.as_raw_fd()) }?;
        let map = Mapped::new(map, offset);
        map.holds(strategy);
        Ok(FileArea { map })
    }

    /// Where the first element is.
    pub fn as_ptr(&self) -> *mut u8 {
        self.map.as_ptr().cast_mut()
    }

    /// Whether bytes of the file were found missing.
    pub fn is_lost(&self) -> bool {
        self.map.is_lost()
    }

    /// Whether any page was written; where the kernel does not tell, it may have been.
    pub fn is_changed(&self) -> bool {
        private_ranges(self.map.as_ptr(), self.map.len()).map_or(true, |runs| !runs.is_empty())
    }

    /// How many were, as far as the kernel tells.
    pub fn changed_pages(&self) -> usize {
        let runs = private_ranges(self.map.as_ptr(), self.map.len()).unwrap_or_default();
        runs.into_iter().map(|range| range.len().div_ceil(PAGE)).sum()
    }

    /// Another one with the same bytes, of the same place of the same file; what is written to either the other does not see.
    ///
    /// # Errors
    /// As [`FileArea::new`]; or the kernel does not tell which pages were written.
    pub fn again(
        &self,
        file: BorrowedFd<'_>,
        offset: u64,
        shape: &Shape,
        strategy: &'static str,
    ) -> io::Result<FileArea> {
        let other = FileArea::new(file, offset, shape, strategy)?;
        for range in private_ranges(self.map.as_ptr(), self.map.len())? {
            // SAFETY: both mappings are as long, the range lies within, and they do not overlap.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    self.as_ptr().add(range.start),
                    other.as_ptr().add(range.start),
                    range.len(),
                );
            }
        }
        Ok(other)
    }
}
