//! Which pages of a private mapping were written: `/proc/self/pagemap`.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes of a page of this machine, as `pagemap` counts.
pub(crate) const SIZE: usize = 4096;

/// Pages that lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Address of the first, a multiple of the page size.
    start: usize,
    pub(crate) pages: u64,
}

impl Run {
    /// As a range of bytes within `len` bytes at `from`.
    pub(crate) fn range(&self, from: *const u8, len: usize) -> Range<usize> {
        let from = from as usize;
        let end = self.start + self.pages as usize * SIZE;
        self.start.max(from) - from..end.min(from + len) - from
    }
}

/// The pages of a private file mapping that are no longer the file's.
pub(crate) fn private(at: *const u8, len: usize) -> io::Result<Vec<Run>> {
    Map::open()?.private(at, len)
}

/// This process's page map, for whoever asks more than once.
pub(crate) struct Map(File);

impl Map {
    pub(crate) fn open() -> io::Result<Map> {
        if rustix::param::page_size() != SIZE {
            return Err(io::ErrorKind::Unsupported.into());
        }
        File::open("/proc/self/pagemap").map(Map)
    }

    /// The pages of a private file mapping that are no longer the file's: present or swapped, and neither file-backed nor shared.
    pub(crate) fn private(&self, at: *const u8, len: usize) -> io::Result<Vec<Run>> {
        let first = at as usize / SIZE;
        let last = (at as usize + len).div_ceil(SIZE);
        let mut entries = vec![0u8; (last - first).min(64 << 10) * 8];
        let mut runs: Vec<Run> = Vec::new();
        let mut page = first;
        while page < last {
            let n = ((last - page) * 8).min(entries.len());
            self.0.read_exact_at(&mut entries[..n], page as u64 * 8)?;
            for entry in entries[..n].chunks_exact(8) {
                let bits = u64::from_le_bytes(entry.try_into().expect("8 bytes"));
                let (present, swapped, of_file) = (bits >> 63 & 1, bits >> 62 & 1, bits >> 61 & 1);
                if present | swapped == 1 && of_file == 0 {
                    match runs.last_mut() {
                        Some(run) if run.start + run.pages as usize * SIZE == page * SIZE => run.pages += 1,
                        _ => runs.push(Run { start: page * SIZE, pages: 1 }),
                    }
                }
                page += 1;
            }
        }
        Ok(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memmap2::MmapOptions;

    #[test]
    fn exactly_the_pages_written_are_told() {
        let path = std::env::temp_dir().join(format!("pages-{}", std::process::id()));
        std::fs::write(&path, vec![7u8; 64 * SIZE]).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        // SAFETY: the file has no name any more.
        let mut map = unsafe { MmapOptions::new().map_copy(&file) }.unwrap();
        assert_eq!(map.iter().filter(|b| **b == 7).count(), 64 * SIZE);
        assert_eq!(private(map.as_ptr(), map.len()).unwrap(), []);
        for page in [3, 4, 40] {
            map[page * SIZE + 5] = 1;
        }
        let runs = private(map.as_ptr(), map.len()).unwrap();
        let at = |r: &Run| (r.range(map.as_ptr(), map.len()), r.pages);
        assert_eq!(runs.iter().map(at).collect::<Vec<_>>(), [(3 * SIZE..5 * SIZE, 2), (40 * SIZE..41 * SIZE, 1)]);
    }
}
