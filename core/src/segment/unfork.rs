//! Drafts across a fork: what parent and child write afterwards, neither shows the other.
//!
//! - A draft is mapped shared. Before a fork its mapping is replaced, at the same address, by a private one of the same file. From then
//!   on nobody writes the file, and both sides have private pages for what they write. It costs a system call, whatever the size.
//! - A draft that was forked is sealed by writing it anew, whether it could be parted or not.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

use memmap2::MmapMut;

use crate::lock::Lock;

/// Every draft of this process that is mapped and not sealed.
static DRAFTS: Lock<Vec<Arc<Place>>> = Lock::new(Vec::new());

/// Where a draft is mapped, in whole pages.
pub(crate) struct Place {
    address: usize,
    len: usize,
    offset: u64,
    file: RawFd,
    /// A fork has given the file to two.
    forked: AtomicBool,
    /// The mapping is private.
    parted: AtomicBool,
}

impl Place {
    /// Of a mapping of `file` from `offset` on.
    pub(super) fn of(map: &MmapMut, offset: u64, file: &File) -> Place {
        let before = map.as_ptr() as usize % rustix::param::page_size();
        let (address, len) = (map.as_ptr() as usize - before, map.len() + before);
        let (forked, parted) = (AtomicBool::new(false), AtomicBool::new(false));
        Place { address, len, offset: offset - before as u64, file: file.as_raw_fd(), forked, parted }
    }

    /// Whether a fork has given its file to another process too, so that neither may seal it.
    pub(super) fn is_forked(&self) -> bool {
        self.forked.load(Ordering::Relaxed)
    }

    /// Makes the mapping private, once. `file` is the one it maps.
    pub(super) fn part(&self, file: &impl AsRawFd) {
        if !self.parted.load(Ordering::Relaxed) && self.remap(file.as_raw_fd()).is_ok() {
            self.parted.store(true, Ordering::Relaxed);
        }
    }

    fn remap(&self, file: RawFd) -> io::Result<()> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE);
        // SAFETY: the pages are a mapping of ours of the same file and range, registered and so not yet unmapped; what is read there stays
        // the same, and mmap(2) replaces it at once.
        let at = unsafe {
            libc::mmap(self.address as *mut _, self.len, protection, flags, file, self.offset as libc::off_t)
        };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Keeps a draft's place in the list. Must go before its mapping does, and before its file is closed.
pub(super) struct Registered(Arc<Place>);

impl Registered {
    pub(super) fn new(place: Place) -> Registered {
        let place = Arc::new(place);
        DRAFTS.lock().push(place.clone());
        Registered(place)
    }

    pub(super) fn place(&self) -> &Place {
        &self.0
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut drafts = DRAFTS.lock();
        if let Some(i) = drafts.iter().position(|place| Arc::ptr_eq(place, &self.0)) {
            drafts.swap_remove(i);
        }
    }
}

/// What keeps drafts from coming and going while it lives.
pub(crate) type DraftsHeld = MutexGuard<'static, Vec<Arc<Place>>>;

/// In the parent, before a fork: what is returned is dropped after it, in parent and child.
pub(crate) fn drafts_before_fork() -> DraftsHeld {
    let drafts = DRAFTS.lock();
    for place in drafts.iter() {
        // A fork cannot be refused: without memory for the mapping the two go on writing the same pages, but what each seals is its own.
        place.forked.store(true, Ordering::Relaxed);
        place.part(&place.file);
    }
    drafts
}

#[cfg(test)]
mod tests {
    use super::*;
    use memmap2::MmapOptions;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_parted_mapping_reads_as_before_and_writes_for_itself() {
        let path = std::env::temp_dir().join(format!("unfork-{}", std::process::id()));
        std::fs::write(&path, vec![7u8; 3 * 4096]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        // SAFETY: the file has no name any more.
        let mut map = unsafe { MmapOptions::new().offset(64).len(8192).map_mut(&file) }.unwrap();
        let registered = Registered::new(Place::of(&map, 64, &file));
        map[1] = 1;
        drop(drafts_before_fork());
        assert!(registered.place().is_forked());
        assert_eq!((map[0], map[1], map[8191]), (7, 1, 7));
        map[2] = 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, 66).unwrap();
        assert_eq!((byte[0], map[2]), (7, 2));
        drop(registered);
        assert!(DRAFTS.lock().iter().all(|place| place.address != map.as_ptr() as usize & !4095));
    }
}
