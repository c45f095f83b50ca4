//! What becomes of written pages: their generator may take them; those that are too many are spilled.

use super::generator::FillError;
use super::region::{mask, runs};
use super::state::{self, BATCH, Guard};
use super::thread::caught;
use super::{BLOCK_PAGES, PAGE, layer};
use std::ops::Range;
use std::sync::Arc;

/// Spills the oldest written pages until they are within their limit, after their generator had the choice.
pub(super) fn trim_written(mut pager: Guard) -> Guard {
    let limit = pager.most_written;
    let (mut spilled, least) = (Vec::new(), limit - BATCH.min(limit / 4));
    while let Some((entry, start, block)) = pager.next_to_spill(least) {
        // What the generator does not take, or cannot, is kept.
        (pager, _) = offer(pager, start, block);
        let (found, done) = pager.spill(start, block);
        spilled.push(found);
        if done.is_err() {
            pager.refuse(entry);
        }
    }
    pager.discard_all(&spilled);
    pager
}

/// Offers the written pages of a block to their generator; whether it took all of them.
pub(super) fn offer(mut pager: Guard, start: usize, block: usize) -> (Guard, Result<bool, FillError>) {
    if !may_store(&pager, start) {
        return (pager, Ok(false));
    }
    let pages = pager.protect(start, block);
    let Some(region) = pager.regions.get_mut(&start) else { return (pager, Ok(true)) };
    let runs: Vec<(Range<usize>, Vec<u8>)> = runs(pages)
        .map(|run| {
            let from = (block * BLOCK_PAGES + run.start) * PAGE;
            let mut bytes =
                vec![0; (run.len() * PAGE).min(region.view.shape.bytes().unwrap_or(0).saturating_sub(from))];
            region.space.copy_to(from, &mut bytes);
            (run, bytes)
        })
        .collect();
    let view = region.view.clone();
    region.storing = true;
    drop(pager);
    let (mut took, mut all) = (0, Ok(true));
    for (run, bytes) in runs {
        let first = ((block * BLOCK_PAGES + run.start) * PAGE / view.shape.width) as u64;
        match caught(|| view.generator.store(first, &bytes)) {
            Ok(true) => took |= mask(&run),
            Ok(false) => all = all.map(|_| false),
            Err(e) => all = Err(e),
        }
    }
    drop(view);
    let mut pager = state::lock();
    if let Some(region) = pager.regions.get_mut(&start) {
        region.storing = false;
        // Pages written once more meanwhile are protected no longer: they are in memory, and newer than what any layer has.
        let known = region.block(block);
        for page in super::region::bits(took & known.protected) {
            region.view.layers.iter().for_each(|layer| layer.pages().clear(block * BLOCK_PAGES + page));
        }
    }
    pager.now_clean(start, block, took);
    pager.returned();
    (pager, all)
}

/// Whether nobody else would see what the generator takes, and it is not taking anything.
fn may_store(pager: &Guard, start: usize) -> bool {
    pager.regions.get(&start).is_some_and(|region| !region.storing && Arc::strong_count(&region.kin) == 1)
}

/// Offers all that was written to the generator; whether it took all of it.
pub(super) fn flush(mut pager: Guard, start: usize) -> Result<bool, FillError> {
    pager = state::wait_while(pager, |pager| pager.regions.get(&start).is_some_and(|region| region.storing));
    let mut all = Ok(true);
    let note = |all: Result<bool, FillError>, one| match (all, one) {
        (Err(e), _) | (_, Err(e)) => Err(e),
        (Ok(a), Ok(b)) => Ok(a && b),
    };
    let mut blocks: Vec<usize> = pager.regions.get(&start).map_or(Vec::new(), |region| {
        region.blocks.iter().filter(|(_, block)| block.written != 0).map(|(number, _)| *number).collect()
    });
    blocks.sort_unstable();
    for block in blocks {
        let one;
        (pager, one) = offer(pager, start, block);
        all = note(all, one);
    }
    let mut page = 0;
    while let Some(next) = next_spilled(&pager, start, page) {
        let one;
        (pager, one) = offer_spilled(pager, start, next);
        all = note(all, one);
        page = next + 1;
    }
    let changed = pager.regions.get(&start).is_some_and(super::region::Region::is_changed);
    all.map(|_| !changed)
}

/// The first page from `page` on that a layer has and the generator may take.
fn next_spilled(pager: &Guard, start: usize, page: usize) -> Option<usize> {
    let region = pager.regions.get(&start).filter(|_| may_store(pager, start))?;
    layer::next(&region.view.layers, page, region.pages())
}

/// Offers a page that a layer has.
fn offer_spilled(mut pager: Guard, start: usize, page: usize) -> (Guard, Result<bool, FillError>) {
    let Some(region) = pager.regions.get_mut(&start) else { return (pager, Ok(true)) };
    if region.block(page / BLOCK_PAGES).written >> (page % BLOCK_PAGES) & 1 == 1 {
        // Offered already, as it is in memory.
        return (pager, Ok(false));
    }
    let view = region.view.clone();
    region.storing = true;
    drop(pager);
    let len = view.shape.bytes().unwrap_or(0).saturating_sub(page * PAGE).min(PAGE);
    let mut bytes = vec![0; len];
    let took = layer::read(&view.layers, page * PAGE, &mut bytes)
        .and_then(|_| caught(|| view.generator.store((page * PAGE / view.shape.width) as u64, &bytes)));
    drop(view);
    let mut pager = state::lock();
    if let Some(region) = pager.regions.get_mut(&start) {
        region.storing = false;
        if took == Ok(true) {
            region.view.layers.iter().for_each(|layer| layer.pages().clear(page));
        }
    }
    pager.returned();
    (pager, took)
}
