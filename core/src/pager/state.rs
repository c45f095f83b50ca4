//! All areas of the process, and which of their pages go when memory is to be given back.
//!
//! Why no write is lost: a page that was not written is write-protected, or not there. A write to it waits until we let it through, and that,
//! like everything here, happens under the one lock, where the page is noted as written in the same breath. So whoever holds the lock, the
//! pager's thread or another, may give back what is not noted as written: no write has reached it. A page that was written is protected
//! before its bytes are copied, and goes, or counts as clean, only while it has stayed protected since.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::PagerError;
use super::layer::{self, Layer};
use super::queue::{Entry, Queue};
use super::region::{Block, Region, mask, runs};
use super::space;
use super::spill::Spill;
use super::uffd::{Put, Uffd};
use super::{BLOCK, BLOCK_PAGES, DEFAULT, PAGE, PagerLimits};
use crate::lock::Lock;

/// Clean pages that are kept whatever the limit: those just made are wanted by who waits, and one instruction may touch several.
const LEAST: usize = 512;
/// Written pages that are kept whatever the limit: an instruction that writes two must find both.
const LEAST_WRITTEN: usize = 64;
/// Most layers of an area; then they become one.
const MOST_LAYERS: usize = 8;
/// Pages that are given back together, beyond those that must be.
pub(super) const BATCH: usize = 256;
/// How long it is before pages that found no room are offered again.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) static PAGER: Lock<Pager> = Lock::new(Pager::new());
/// Notified when a generator that was run without the lock has returned.
static RETURNED: Condvar = Condvar::new();
/// How often another thread than the pager's came for what the pager's holds, and how often one had it: it lets those pass that came before.
static CAME: AtomicU64 = AtomicU64::new(0);
static PASSED: AtomicU64 = AtomicU64::new(0);
/// Areas that are gone. A fault read before the last of them went may be of an address that is another's now.
pub(super) static GONE: AtomicU64 = AtomicU64::new(0);

/// Pages of a block of the area that starts there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    start: usize,
    block: usize,
    pages: u64,
}

pub(super) type Guard = MutexGuard<'static, Pager>;

pub(super) struct Pager {
    /// Where the faults of this process come from; `None` before there is an area, and in a child without any.
    pub(super) uffd: Option<Uffd>,
    /// By address.
    pub(super) regions: BTreeMap<usize, Region>,
    ids: u64,
    pub(super) clean: Queue,
    pub(super) written: Queue,
    /// See [`PagerLimits`]; in pages.
    pub(super) most_clean: usize,
    pub(super) most_written: usize,
    spill_dir: Option<PathBuf>,
    spill: Spill,
    /// When the last attempt to spill found no room.
    refused: Option<Instant>,
    /// The area whose elements the pager's thread is making, without the lock.
    pub(super) filling: Option<u64>,
    /// Threads that wait for a generator to return.
    waiting: usize,
}

/// Takes the lock, on any thread but the pager's.
pub(super) fn lock() -> Guard {
    come(|| PAGER.lock())
}

/// Waits for what the pager's thread holds.
pub(super) fn come<T>(wait: impl FnOnce() -> T) -> T {
    CAME.fetch_add(1, Ordering::SeqCst);
    let got = wait();
    PASSED.fetch_add(1, Ordering::SeqCst);
    got
}

/// On the pager's thread: locks that are given back and taken again at once would keep others out for long.
pub(super) fn let_others_pass() {
    let came = CAME.load(Ordering::SeqCst);
    while PASSED.load(Ordering::SeqCst) < came {
        std::thread::yield_now();
    }
}

/// In a forked child, where nobody waits, and no generator runs.
pub(super) fn nobody_waits(pager: &mut Pager) {
    pager.waiting = 0;
    pager.filling = None;
    pager.regions.values_mut().for_each(|region| region.storing = false);
    PASSED.store(CAME.load(Ordering::SeqCst), Ordering::SeqCst);
}

/// Waits, without the lock, until no generator of the area that `busy` tells of runs.
pub(super) fn wait_while(mut pager: Guard, busy: impl Fn(&Pager) -> bool) -> Guard {
    while busy(&pager) {
        pager.waiting += 1;
        pager = RETURNED.wait(pager).unwrap_or_else(PoisonError::into_inner);
        pager.waiting -= 1;
    }
    pager
}

impl Pager {
    const fn new() -> Pager {
        Pager {
            uffd: None,
            regions: BTreeMap::new(),
            ids: 0,
            clean: Queue::new(),
            written: Queue::new(),
            most_clean: DEFAULT.0 / PAGE,
            most_written: DEFAULT.1 / PAGE,
            spill_dir: None,
            spill: Spill::new(),
            refused: None,
            filling: None,
            waiting: 0,
        }
    }

    /// A generator has returned that ran without the lock.
    pub(super) fn returned(&self) {
        // A notification is a system call, whether anybody hears it or not.
        if self.waiting > 0 {
            RETURNED.notify_all();
        }
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub(super) fn set_limits(&mut self, limits: PagerLimits) {
        if self.spill_dir.as_ref() != Some(&limits.spill) {
            self.spill.renew();
            self.regions.values_mut().for_each(Region::freeze);
        }
        self.most_clean = (limits.clean / PAGE).max(LEAST);
        self.most_written = (limits.written / PAGE).max(LEAST_WRITTEN);
        self.spill_dir = Some(limits.spill);
        self.refused = None;
        self.trim_clean();
    }

    fn spill_dir(&self) -> PathBuf {
        self.spill_dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// The area of an address: where it starts.
    pub(super) fn start_of(&self, address: usize) -> Option<usize> {
        let (start, region) = self.regions.range(..=address).next_back()?;
        (address - start < region.space.len()).then_some(*start)
    }

    /// Puts pages of an area into place from `bytes`, protected but for the one that is `written`; which of them are there now.
    pub(super) fn place(
        &mut self,
        start: usize,
        pages: &Range<usize>,
        bytes: &[u8],
        written: Option<usize>,
        wake: bool,
    ) {
        let (Some(uffd), Some(region)) = (self.uffd, self.regions.get_mut(&start)) else { return };
        let written = written.filter(|page| pages.contains(page));
        let split = written.unwrap_or(pages.end);
        let parts =
            [(pages.start..split, true), (split..(split + 1).min(pages.end), false), (split + 1..pages.end, true)];
        for (part, protect) in parts.into_iter().filter(|(part, _)| !part.is_empty()) {
            let bytes = &bytes[(part.start - pages.start) * PAGE..(part.end - pages.start) * PAGE];
            uffd.copy(start + part.start * PAGE, bytes, protect, wake, |page, put| {
                let page = page - start / PAGE;
                let (bit, block) = (1 << (page % BLOCK_PAGES), page / BLOCK_PAGES);
                // What is there without our knowing is nothing we could make again.
                let written = put == Put::Held || !protect;
                if put == Put::Refused || region.is_present(page) {
                    return;
                }
                let known = region.blocks.entry(block).or_default();
                known.present |= bit;
                let (queue, count) = if written {
                    (&mut self.written, &mut region.written)
                } else {
                    (&mut self.clean, &mut region.clean)
                };
                if written {
                    known.written |= bit;
                }
                queue.push(start + block * BLOCK, bit);
                queue.pages += 1;
                *count += 1;
            });
        }
    }

    /// A page that is there is about to be written: notes it, and lets the write through.
    pub(super) fn let_write(&mut self, start: usize, page: usize) {
        let (Some(uffd), Some(region)) = (self.uffd, self.regions.get_mut(&start)) else { return };
        let (bit, number) = (1 << (page % BLOCK_PAGES), page / BLOCK_PAGES);
        let address = region.address_of(number);
        let Some(block) = region.blocks.get_mut(&number) else { return };
        if block.written & bit == 0 {
            block.written |= bit;
            region.clean -= 1;
            region.written += 1;
            self.clean.pages -= 1;
            self.written.pages += 1;
            self.written.push(address, bit);
        }
        block.protected &= !bit;
        // It fails for pages that are not ours any more: then nobody waits there.
        let _ = uffd.protect(start + page * PAGE, PAGE, false);
    }

    /// Written pages of a block that are what a layer or the generator gives are clean.
    pub(super) fn now_clean(&mut self, start: usize, block: usize, pages: u64) {
        let Some(region) = self.regions.get_mut(&start) else { return };
        let address = region.address_of(block);
        let Some(known) = region.blocks.get_mut(&block) else { return };
        let pages = pages & known.written & known.protected;
        (known.written, known.protected) = (known.written & !pages, known.protected & !pages);
        let n = pages.count_ones() as usize;
        region.written -= n;
        region.clean += n;
        self.written.pages -= n;
        self.clean.pages += n;
        self.clean.push(address, pages);
    }

    /// Gives those of the pages back that are clean.
    pub(super) fn discard(&mut self, start: usize, pages: Range<usize>) {
        let blocks = pages.start / BLOCK_PAGES..pages.end.div_ceil(BLOCK_PAGES);
        let found = blocks.map(|block| {
            let base = block * BLOCK_PAGES;
            let within = pages.start.max(base) - base..pages.end.min(base + BLOCK_PAGES) - base;
            Found { start, block, pages: mask(&within) }
        });
        self.discard_all(&found.collect::<Vec<_>>());
    }

    /// The same, for pages of blocks. Those that lie together go together.
    pub(super) fn discard_all(&mut self, blocks: &[Found]) {
        let mut all: Vec<(usize, Range<usize>)> = Vec::new();
        for found in blocks {
            let Some(region) = self.regions.get(&found.start) else { continue };
            for run in runs(found.pages & region.block(found.block).clean()) {
                let run = found.block * BLOCK_PAGES + run.start..found.block * BLOCK_PAGES + run.end;
                match all.last_mut() {
                    Some((start, last)) if *start == found.start && last.end == run.start => last.end = run.end,
                    _ => all.push((found.start, run)),
                }
            }
        }
        let part = |(start, run): &(usize, Range<usize>)| {
            self.regions.get(start).map(|region| region.space.part(run.start * PAGE, run.len() * PAGE))
        };
        let at_once = all.len() > 1 && space::discard_all(&all.iter().filter_map(part).collect::<Vec<_>>());
        for (start, run) in all {
            let Some(region) = self.regions.get_mut(&start) else { continue };
            if at_once || region.space.discard(run.start * PAGE, run.len() * PAGE).is_ok() {
                let gone = region.forget(&run);
                region.clean -= gone;
                self.clean.pages -= gone;
            }
        }
    }

    /// Gives clean pages back, the oldest first, until they are within their limit.
    pub(super) fn trim_clean(&mut self) {
        self.trim_clean_to(self.most_clean);
    }

    pub(super) fn trim_clean_to(&mut self, most: usize) {
        if self.clean.pages > most {
            let (mut found, mut pages) = (Vec::new(), 0);
            // A few more than must, so that many go together.
            let wanted = self.clean.pages - most + BATCH.min(most / 4);
            while pages < wanted {
                let Some(entry) = self.clean.pop() else { break };
                let Some((start, block)) = self.locate(entry) else { continue };
                let clean = self.regions.get(&start).map_or(0, |region| region.block(block).clean());
                pages += (entry.pages & clean).count_ones() as usize;
                found.push(Found { start, block, pages: entry.pages });
            }
            self.discard_all(&found);
        }
        let regions = &self.regions;
        self.clean.tidy(|entry| block_at(regions, entry.block).clean() & entry.pages != 0);
        self.written.tidy(|entry| block_at(regions, entry.block).written & entry.pages != 0);
    }

    /// All clean pages of an area.
    pub(super) fn discard_clean(&mut self, start: usize) {
        let all =
            |region: &Region| region.blocks.keys().map(|block| Found { start, block: *block, pages: !0 }).collect();
        let blocks: Vec<_> = self.regions.get(&start).map_or(Vec::new(), all);
        self.discard_all(&blocks);
    }

    /// The area and the number of a block.
    fn locate(&self, entry: Entry) -> Option<(usize, usize)> {
        let start = self.start_of(entry.block)?;
        Some((start, (entry.block - start) / BLOCK))
    }

    /// The oldest block with written pages, if they are more than `most` and there may be room for them.
    pub(super) fn next_to_spill(&mut self, most: usize) -> Option<(Entry, usize, usize)> {
        if self.written.pages <= most || self.refused.is_some_and(|at| at.elapsed() < PAUSE) {
            return None;
        }
        loop {
            let entry = self.written.pop()?;
            let Some((start, block)) = self.locate(entry) else { continue };
            let Some(region) = self.regions.get(&start) else { continue };
            match region.block(block).written & entry.pages {
                0 => {}
                // Another thread is about to find out which of them its generator takes.
                _ if region.storing => {
                    self.written.push(entry.block, entry.pages);
                    return None;
                }
                _ => return Some((entry, start, block)),
            }
        }
    }

    /// The pages of `entry` have found no room. They stay, and are not offered again at every fault.
    pub(super) fn refuse(&mut self, entry: Entry) {
        self.refused = Some(Instant::now());
        self.written.restore(entry);
    }

    /// Keeps writes to written pages of a block waiting; those that wait now.
    pub(super) fn protect(&mut self, start: usize, block: usize) -> u64 {
        let (Some(uffd), Some(region)) = (self.uffd, self.regions.get_mut(&start)) else { return 0 };
        let Some(known) = region.blocks.get_mut(&block) else { return 0 };
        for run in runs(known.written & !known.protected) {
            if uffd.protect(start + (block * BLOCK_PAGES + run.start) * PAGE, run.len() * PAGE, true).is_ok() {
                known.protected |= mask(&run);
            }
        }
        known.protected & known.written
    }

    /// Copies written pages of a block to the area's newest layer: they are clean then. Never while its generator takes elements.
    pub(super) fn copy_out(&mut self, start: usize, block: usize) -> Result<(), PagerError> {
        let pages = self.protect(start, block);
        if pages == 0 {
            return Ok(());
        }
        let dir = self.spill_dir();
        let full = |source| PagerError::Spill { dir: dir.clone(), size: pages.count_ones() as usize * PAGE, source };
        let layer = self.own_layer(start).map_err(full)?;
        for run in runs(pages) {
            let Some(region) = self.regions.get(&start) else { return Ok(()) };
            let (page, mut bytes) = (block * BLOCK_PAGES + run.start, vec![0; run.len() * PAGE]);
            region.space.copy_to(page * PAGE, &mut bytes);
            layer.put(page, &bytes).map_err(full)?;
            self.now_clean(start, block, mask(&run));
        }
        Ok(())
    }

    /// Copies written pages of a block to the area's newest layer, and says which may be given back.
    pub(super) fn spill(&mut self, start: usize, block: usize) -> (Found, Result<(), PagerError>) {
        let before = self.regions.get(&start).map_or(0, |r| r.block(block).written);
        let done = self.copy_out(start, block);
        let after = self.regions.get(&start).map_or(0, |r| r.block(block).written);
        (Found { start, block, pages: before & !after }, done)
    }

    /// The layer that the area may put pages into.
    fn own_layer(&mut self, start: usize) -> io::Result<Arc<Layer>> {
        let dir = self.spill_dir();
        let Some(region) = self.regions.get_mut(&start) else { return Err(io::ErrorKind::NotFound.into()) };
        if let Some(newest) = region.view.layers.first().filter(|layer| region.own_layer && layer.is_ours()) {
            return Ok(newest.clone());
        }
        let (pages, bytes) = (region.pages(), region.space.len() as u64);
        let layer = Arc::new(Layer::new(pages, self.spill.extent(&dir, bytes)?)?);
        let older = &region.view.layers;
        // What cannot be merged stays as it is: more layers cost time, and nothing else.
        region.view.layers = if older.len() >= MOST_LAYERS && layer::merge(older, &layer).is_ok() {
            [layer.clone()].into()
        } else {
            std::iter::once(&layer).chain(older.iter()).cloned().collect()
        };
        region.own_layer = true;
        Ok(layer)
    }
}

/// The block at an address.
fn block_at(regions: &BTreeMap<usize, Region>, address: usize) -> Block {
    let found = regions.range(..=address).next_back();
    found.map_or_else(Default::default, |(start, region)| region.block((address - start) / BLOCK))
}
