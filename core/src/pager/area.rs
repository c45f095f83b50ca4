//! A pointer whose pages are made on first touch.

use std::io;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::PagerError;
use super::generator::{FillError, Generator, Shape, Shared};
use super::region::Region;
use super::snapshot::Snapshot;
use super::space::Space;
use super::state::{self, GONE, Guard};
use super::uffd::Uffd;
use super::{BLOCK_PAGES, PAGE, PagerLimits, fork, store, thread};

/// Bytes read at a time where pages may have been written.
const CHUNK: usize = 1 << 20;

static ENABLED: AtomicBool = AtomicBool::new(true);

/// Whether there are pointers whose pages are made on first touch; tried once a process.
///
/// # Errors
/// There are none, and why.
pub fn pager_available() -> Result<(), PagerError> {
    if !ENABLED.load(Ordering::Relaxed) {
        return Err(unavailable("it was turned off"));
    }
    probe().as_ref().map(|_| ()).map_err(unavailable)
}

/// Whether system calls, too, may touch pages that nobody touched before. Where not, they fail with `EFAULT`.
pub fn kernel_faults() -> bool {
    pager_available().is_ok() && *probe().as_ref().unwrap_or(&false)
}

/// Lets there be new areas, or none. Those there are stay.
pub fn set_pager_enabled(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// Sets how much memory the pages of all areas of this process take.
pub fn set_pager_limits(limits: PagerLimits) {
    state::lock().set_limits(limits);
}

fn unavailable(why: impl ToString) -> PagerError {
    PagerError::Unavailable { why: why.to_string() }
}

/// Opens one, registers a page, and says whether it serves system calls.
fn probe() -> &'static Result<bool, String> {
    static PROBE: OnceLock<Result<bool, String>> = OnceLock::new();
    PROBE.get_or_init(|| {
        if rustix::param::page_size() != PAGE {
            return Err(format!("pages of this machine are not of {PAGE} bytes"));
        }
        let (uffd, kernel) = Uffd::open()?;
        let tried = Space::reserve(PAGE).and_then(|space| uffd.register(space.start(), space.len()));
        uffd.close();
        tried.map(|()| kernel).map_err(|e| e.to_string())
    })
}

/// A vector in the address space: any code may read and write it there.
///
/// - Untouched it takes no memory. Pages are made by the generator at the first touch, and forgotten when there are too many
///   ([`set_pager_limits`]); those that were written are kept, at worst in a file.
/// - A page that its generator fails to make has missing values, and [`Area::failure`] says why.
/// - A forked child has its own; see [`Area::failure`] for one that could not get it.
/// - Dropped while somebody uses the pointer, that use is one of freed memory.
/// - Where faults of system calls are not served ([`kernel_faults`]), a page must be touched before a system call reads or writes it.
pub struct Area {
    start: usize,
    shape: Shape,
    generator: Shared,
}

impl Area {
    /// A pointer to the vector as it was.
    ///
    /// # Errors
    /// There are no such pointers here, no address space for this one, or the generator runs on one thread only.
    pub fn new(snapshot: Snapshot) -> Result<Area, PagerError> {
        if !snapshot.is_any_thread() {
            return Err(PagerError::NotAnyThread);
        }
        pager_available()?;
        fork::install();
        let shape = snapshot.shape().clone();
        let size = u128::from(shape.len) * shape.width as u128;
        let no_space = |source| PagerError::Reserve { size, source };
        let bytes = shape.bytes().and_then(|bytes| bytes.max(1).checked_next_multiple_of(PAGE));
        let bytes = bytes.ok_or_else(|| no_space(io::Error::from_raw_os_error(libc::ENOMEM)))?;
        let space = Space::reserve(bytes).map_err(no_space)?;
        let mut pager = state::lock();
        let uffd = match pager.uffd {
            Some(uffd) => uffd,
            None => {
                let (uffd, _) = Uffd::open().map_err(unavailable)?;
                thread::start(uffd).map_err(|e| {
                    uffd.close();
                    unavailable(format!("no thread: {e}"))
                })?;
                *pager.uffd.insert(uffd)
            }
        };
        uffd.register(space.start(), space.len()).map_err(|e| match e.raw_os_error() {
            Some(libc::ENOMEM) => no_space(e),
            _ => unavailable(e),
        })?;
        let (start, generator, id) = (space.start(), snapshot.generator().clone(), pager.next_id());
        pager.regions.insert(start, Region::new(id, space, snapshot.view, snapshot.kin));
        Ok(Area { start, shape, generator })
    }

    /// Where it is; as long as its shape says, and no longer than the area lives.
    pub fn as_ptr(&self) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut(self.start)
    }

    /// How many elements, and how large.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What makes the elements that were not written.
    pub fn generator(&self) -> &Shared {
        &self.generator
    }

    /// Reads whole elements from `start` on, without a fault: what was not written comes from the generator, which runs on this thread.
    ///
    /// # Errors
    /// The generator's; there are no such elements; or a forked child has lost the area.
    pub fn read(&self, start: u64, out: &mut [u8]) -> Result<(), FillError> {
        let width = self.shape.width;
        let ends = start.checked_add((out.len() / width) as u64);
        if out.len() % width != 0 || ends.is_none_or(|end| end > self.shape.len) {
            let (bytes, len) = (out.len(), self.shape.len);
            return Err(FillError::Failed(format!(
                "{bytes} bytes from element {start} on are not within {len} elements"
            )));
        }
        let mut offset = start as usize * width;
        let whole = self.with(|region| region.written == 0);
        for chunk in out.chunks_mut(if whole { usize::MAX } else { CHUNK }) {
            self.read_chunk(offset, chunk)?;
            offset += chunk.len();
        }
        Ok(())
    }

    fn read_chunk(&self, offset: usize, out: &mut [u8]) -> Result<(), FillError> {
        // `out` may be pages that another fault must make, so it is not touched under the lock.
        let (view, held) = self.with(|region| {
            if let Some(why) = &region.dead {
                return Err(FillError::Failed(why.clone()));
            }
            Ok((region.view.clone(), written_bytes(region, offset..offset + out.len())))
        })?;
        let width = self.shape.width;
        let mut at = 0;
        for (from, bytes) in held {
            if from > at {
                view.fill(((offset + at) / width) as u64, &mut out[at..from])?;
            }
            at = from + bytes.len();
            out[from..at].copy_from_slice(&bytes);
        }
        if at < out.len() { view.fill(((offset + at) / width) as u64, &mut out[at..]) } else { Ok(()) }
    }

    /// Whether any page was written since its generator made it.
    pub fn is_changed(&self) -> bool {
        self.with(|region| region.is_changed())
    }

    /// How many were.
    pub fn changed_pages(&self) -> usize {
        self.with(|region| region.changed_pages())
    }

    /// Bytes of its pages that are in memory.
    pub fn resident_bytes(&self) -> usize {
        self.with(|region| (region.clean + region.written) * PAGE)
    }

    /// The first failure of its generator at a touch, or why a forked child has lost it.
    pub fn failure(&self) -> Option<String> {
        self.with(|region| region.dead.clone().or_else(|| region.failure.clone()))
    }

    /// The same, and forgets it: pages that were not written are made anew.
    pub fn take_failure(&self) -> Option<String> {
        let mut pager = state::lock();
        let region = pager.regions.get_mut(&self.start)?;
        let failure = region.failure.take();
        let dead = region.dead.clone();
        if failure.is_some() {
            pager.discard_clean(self.start);
        }
        dead.or(failure)
    }

    /// The vector as it is now. Neither sees what is written to the other from now on.
    ///
    /// # Errors
    /// There is no room for what was written; it stays as it is.
    pub fn snapshot(&self) -> Result<Snapshot, PagerError> {
        let mut pager = self.wait_for_generator();
        let Some(region) = pager.regions.get(&self.start) else { return Err(unavailable("the area is gone")) };
        if let Some(why) = &region.dead {
            return Err(unavailable(why));
        }
        let mut written: Vec<usize> =
            region.blocks.iter().filter(|(_, block)| block.written != 0).map(|(number, _)| *number).collect();
        written.sort_unstable();
        for block in written {
            pager.copy_out(self.start, block)?;
        }
        let Some(region) = pager.regions.get_mut(&self.start) else { return Err(unavailable("the area is gone")) };
        region.freeze();
        let snapshot = Snapshot { view: region.view.clone(), kin: region.kin.clone() };
        pager.trim_clean();
        Ok(snapshot)
    }

    /// Offers what was written to the generator; whether it took all of it, so that nothing is changed any more.
    ///
    /// # Errors
    /// The generator's. What it has not taken stays changed.
    pub fn flush(&self) -> Result<bool, FillError> {
        store::flush(state::lock(), self.start)
    }

    fn with<T>(&self, f: impl FnOnce(&Region) -> T) -> T {
        f(&state::lock().regions[&self.start])
    }

    /// The lock, when no generator of ours is taking elements.
    fn wait_for_generator(&self) -> Guard {
        let storing = |pager: &state::Pager| pager.regions.get(&self.start).is_some_and(|region| region.storing);
        state::wait_while(state::lock(), storing)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        let busy = |pager: &state::Pager| {
            let region = pager.regions.get(&self.start);
            region.is_some_and(|region| region.storing || pager.filling == Some(region.id))
        };
        let mut pager = state::wait_while(state::lock(), busy);
        let Some(region) = pager.regions.remove(&self.start) else { return };
        GONE.fetch_add(1, Ordering::SeqCst);
        pager.clean.pages -= region.clean;
        pager.written.pages -= region.written;
        drop(pager);
        // Its generator may be dropped with it, and so not under the lock. Unmapped pages are registered nowhere any more.
        drop(region);
    }
}

/// Bytes of the range that were written and are in memory, each run with its place in the range.
fn written_bytes(region: &Region, range: Range<usize>) -> Vec<(usize, Vec<u8>)> {
    let mut found = Vec::new();
    if region.written == 0 {
        return found;
    }
    for page in range.start / PAGE..range.end.div_ceil(PAGE) {
        if region.block(page / BLOCK_PAGES).written >> (page % BLOCK_PAGES) & 1 == 1 {
            let (from, to) = ((page * PAGE).max(range.start), ((page + 1) * PAGE).min(range.end));
            let mut bytes = vec![0; to - from];
            region.space.copy_to(from, &mut bytes);
            found.push((from - range.start, bytes));
        }
    }
    found
}
