//! What the pager knows of one area: which of its pages are in memory, and which of those were written.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::ahead::Streams;
use super::layer;
use super::snapshot::View;
use super::space::Space;
use super::{BLOCK, BLOCK_PAGES, PAGE};
use crate::address::ByAddress;

/// The pages of a block that are in memory, a bit each.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Block {
    pub(super) present: u64,
    /// They are not what the layers and the generator give.
    pub(super) written: u64,
    /// Of those written: writes to them wait for us again.
    pub(super) protected: u64,
}

impl Block {
    pub(super) fn clean(&self) -> u64 {
        self.present & !self.written
    }
}

pub(super) struct Region {
    /// Never given twice.
    pub(super) id: u64,
    pub(super) space: Space,
    pub(super) view: View,
    /// See [`super::Snapshot`].
    pub(super) kin: Arc<()>,
    /// The newest layer is this area's alone, and grows.
    pub(super) own_layer: bool,
    pub(super) blocks: HashMap<usize, Block, ByAddress>,
    pub(super) streams: Streams,
    pub(super) clean: usize,
    pub(super) written: usize,
    /// Its generator is taking elements, without our lock.
    pub(super) storing: bool,
    /// The first failure of its generator at a fault.
    pub(super) failure: Option<String>,
    /// Why it has no pages any more.
    pub(super) dead: Option<String>,
}

impl Region {
    pub(super) fn new(id: u64, space: Space, view: View, kin: Arc<()>) -> Region {
        Region {
            id,
            space,
            view,
            kin,
            own_layer: false,
            blocks: HashMap::default(),
            streams: Streams::new(),
            clean: 0,
            written: 0,
            storing: false,
            failure: None,
            dead: None,
        }
    }

    pub(super) fn pages(&self) -> usize {
        self.space.len() / PAGE
    }

    pub(super) fn block(&self, block: usize) -> Block {
        self.blocks.get(&block).copied().unwrap_or_default()
    }

    /// Where the block is.
    pub(super) fn address_of(&self, block: usize) -> usize {
        self.space.start() + block * BLOCK
    }

    pub(super) fn is_present(&self, page: usize) -> bool {
        self.block(page / BLOCK_PAGES).present >> (page % BLOCK_PAGES) & 1 == 1
    }

    /// Those of the pages that are not in memory.
    pub(super) fn absent(&self, pages: Range<usize>) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut page = pages.start;
        while page < pages.end {
            let block = self.block(page / BLOCK_PAGES);
            let end = pages.end.min((page / BLOCK_PAGES + 1) * BLOCK_PAGES);
            for run in runs(!block.present) {
                let base = page / BLOCK_PAGES * BLOCK_PAGES;
                let run = (base + run.start).max(page)..(base + run.end).min(end);
                match found.last_mut() {
                    _ if run.is_empty() => {}
                    Some(last) if last.end == run.start => last.end = run.end,
                    _ => found.push(run),
                }
            }
            page = end;
        }
        found
    }

    /// The pages are not in memory any more; how many were.
    pub(super) fn forget(&mut self, pages: &Range<usize>) -> usize {
        let (mut page, mut gone) = (pages.start, 0);
        while page < pages.end {
            let (block, first) = (page / BLOCK_PAGES, page % BLOCK_PAGES);
            let last = (pages.end - page + first).min(BLOCK_PAGES);
            if let Some(known) = self.blocks.get_mut(&block) {
                gone += (known.present & mask(&(first..last))).count_ones() as usize;
                known.present &= !mask(&(first..last));
                if known.present == 0 {
                    self.blocks.remove(&block);
                }
            }
            page += last - first;
        }
        gone
    }

    /// Pages that are not what the generator gives.
    pub(super) fn changed_pages(&self) -> usize {
        let layers = &self.view.layers;
        let covered = |(block, b): (&usize, &Block)| {
            let has = |page: usize| layers.iter().any(|layer| layer.pages().has(block * BLOCK_PAGES + page));
            bits(b.written).filter(|page| has(*page)).count()
        };
        let both: usize = if layers.is_empty() { 0 } else { self.blocks.iter().map(covered).sum() };
        layer::count(layers) + self.written - both
    }

    pub(super) fn is_changed(&self) -> bool {
        self.written > 0 || self.view.is_changed()
    }

    /// The newest layer stays as it is.
    pub(super) fn freeze(&mut self) {
        self.own_layer = false;
    }
}

/// Runs of bits that are set.
pub(super) fn runs(mut bits: u64) -> impl Iterator<Item = Range<usize>> {
    std::iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let start = bits.trailing_zeros() as usize;
        let end = start + (bits >> start).trailing_ones() as usize;
        bits = if end == 64 { 0 } else { bits & (!0 << end) };
        Some(start..end)
    })
}

/// Bits that are set.
pub(super) fn bits(bits: u64) -> impl Iterator<Item = usize> {
    runs(bits).flatten()
}

/// The bits of a run.
pub(super) fn mask(run: &Range<usize>) -> u64 {
    (!0 >> (64 - run.len())) << run.start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_masks_are_each_others_inverse() {
        for bits in [0, 1, 1 << 63, !0, 0xf0f0, 0x8000_0000_0000_0001, 0x7fff_ffff_ffff_ffff] {
            assert_eq!(runs(bits).map(|run| mask(&run)).fold(0, |a, b| a | b), bits);
        }
        assert_eq!(runs(!0).collect::<Vec<_>>(), vec![0..64]);
        assert_eq!(bits(0x8000_0000_0000_0005).collect::<Vec<_>>(), [0, 2, 63]);
    }
}
