//! A file that is nobody's segment, mapped for one who may write: what is written is private, the rest is the file's.
//!
//! - One that is cut under its mapping is missing values, and lost from then on, as a segment is: `cut`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{MmapMut, MmapOptions};

use super::{Mapped, mapping, pages};

/// Bytes whose pages are looked at together.
const LOOK: usize = 1 << 28;

/// Bytes of a file, and what was written over them.
pub struct PrivateFile(Mapped<MmapMut>);

impl PrivateFile {
    /// The `len` bytes from `offset` on. `missing` is what stands, in every eight bytes, for those of a file that was cut.
    ///
    /// # Errors
    /// The file has not so many, or there is no mapping to be had.
    pub fn new(file: BorrowedFd<'_>, offset: u64, len: usize, missing: u64) -> io::Result<PrivateFile> {
        let end = offset.checked_add(len as u64).ok_or(io::ErrorKind::InvalidInput)?;
        if u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0) < end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !mapping::is_worth(len as u64) {
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        }
        let mut options = MmapOptions::new();
        // Pages that are not written are the file's own, and need no swap.
        options.offset(offset).len(len).no_reserve_swap();
        // SAFETY: a private mapping, of which nobody makes a reference: readers go by pointers, and expect what is in the file.
        let map = Mapped::new(unsafe { options.map_copy(file.as_raw_fd()) }?, offset);
        map.is_missing(missing);
        Ok(PrivateFile(map))
    }

    /// Where the bytes are; valid while this lives.
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr().cast_mut()
    }

    /// Whether bytes were found missing.
    pub fn is_lost(&self) -> bool {
        self.0.is_lost()
    }

    /// Whether anything was written; `None` where the system does not tell.
    pub fn is_changed(&self) -> Option<bool> {
        let pages = pages::Map::open().ok()?;
        for at in (0..self.0.len()).step_by(LOOK) {
            // SAFETY: within the mapping.
            let start = unsafe { self.0.as_ptr().add(at) };
            if !pages.private(start, LOOK.min(self.0.len() - at)).ok()?.is_empty() {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Writes to `other`, of the same bytes of the same file, what was written here.
    ///
    /// # Errors
    /// The system does not tell what was written.
    pub fn write_to(&self, other: &PrivateFile) -> io::Result<()> {
        let len = self.0.len();
        if len != other.0.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for run in pages::private(self.0.as_ptr(), len)? {
            let range = run.range(self.0.as_ptr(), len);
            // SAFETY: within both mappings, which are as long and do not overlap.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    self.as_ptr().add(range.start),
                    other.as_ptr().add(range.start),
                    range.len(),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    fn scratch(bytes: &[u8], name: &str) -> (std::path::PathBuf, File) {
        let path = std::env::temp_dir().join(format!("private-file-{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        (path, file)
    }

    fn at(map: &PrivateFile, i: usize) -> u8 {
        // SAFETY: within the mapping.
        unsafe { map.as_ptr().add(i).read_volatile() }
    }

    #[test]
    fn what_is_written_is_private_and_goes_to_another() {
        let (path, file) = scratch(&vec![7; 3 << 20], "write");
        let of = |offset| PrivateFile::new(file.as_fd(), offset, 2 << 20, 0).unwrap();
        for offset in [0, 24, 5000] {
            let (one, other) = (of(offset), of(offset));
            assert_eq!((at(&one, 0), one.is_changed()), (7, Some(false)));
            for i in [0, 4095, 1 << 20, (2 << 20) - 1] {
                // SAFETY: within the mapping.
                unsafe { one.as_ptr().add(i).write_volatile(9) };
            }
            assert_eq!((one.is_changed(), other.is_changed(), at(&other, 0)), (Some(true), Some(false), 7));
            one.write_to(&other).unwrap();
            for i in 0..2 << 20 {
                assert_eq!(at(&one, i), at(&other, i));
            }
            assert_eq!(at(&of(offset), 0), 7);
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn more_than_the_file_has_is_no_mapping() {
        let (path, file) = scratch(&[7; 100_000], "short");
        for (offset, len) in [(0, 100_001), (1, 100_000), (u64::MAX, 1), (u64::MAX - 10, 100)] {
            assert!(PrivateFile::new(file.as_fd(), offset, len, 0).is_err());
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_cut_is_missing_values_and_lost() {
        let (path, file) = scratch(&vec![7; 1 << 20], "cut");
        let missing = u64::from_ne_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
        let map = PrivateFile::new(file.as_fd(), 0, 1 << 20, missing).unwrap();
        assert_eq!((at(&map, 1 << 19), map.is_lost()), (7, false));
        file.set_len(4096).unwrap();
        assert_eq!([at(&map, 1 << 19), at(&map, (1 << 19) + 7)], [1, 8]);
        assert!(map.is_lost());
        assert_eq!(at(&map, 100), 7);
        std::fs::remove_file(path).unwrap();
    }
}
