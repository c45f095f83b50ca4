//! Pages that were written, in a file: over what a generator gives, and over older layers.

use std::io;
use std::sync::Arc;

use super::bitmap::Bitmap;
use super::spill::Extent;
use super::{FillError, PAGE};

/// - While it is one area's newest, that area puts pages there. Frozen, it is shared, and its pages stay as they are.
/// - A page is in the file before its bit is set.
pub(super) struct Layer {
    pages: Bitmap,
    extent: Extent,
}

/// The newest first. An [`Arc`], so that whoever reads takes them along at the cost of a count.
pub(super) type Layers = Arc<[Arc<Layer>]>;

impl Layer {
    pub(super) fn new(pages: usize, extent: Extent) -> io::Result<Layer> {
        Ok(Layer { pages: Bitmap::new(pages)?, extent })
    }

    pub(super) fn pages(&self) -> &Bitmap {
        &self.pages
    }

    /// Whether pages may still be put there.
    pub(super) fn is_ours(&self) -> bool {
        self.extent.is_ours()
    }

    /// Puts whole pages there.
    pub(super) fn put(&self, page: usize, bytes: &[u8]) -> io::Result<()> {
        self.extent.write(bytes, (page * PAGE) as u64)?;
        (page..page + bytes.len() / PAGE).for_each(|page| self.pages.set(page));
        Ok(())
    }

    /// Reads bytes of a page that it has.
    fn read(&self, offset: usize, out: &mut [u8]) -> Result<(), FillError> {
        let failed =
            |e| FillError::Failed(format!("changed elements cannot be read back from where they were spilled to: {e}"));
        self.extent.read(out, offset as u64).map_err(failed)
    }
}

/// The first page from `page` on and before `end` that a layer has.
pub(super) fn next(layers: &[Arc<Layer>], page: usize, end: usize) -> Option<usize> {
    layers.iter().fold(None, |found, layer| layer.pages.next(page, found.unwrap_or(end)).or(found))
}

/// Reads bytes of a page, which begin at `offset`, from the newest layer that has it; `false` if none has.
pub(super) fn read(layers: &[Arc<Layer>], offset: usize, out: &mut [u8]) -> Result<bool, FillError> {
    match layers.iter().find(|layer| layer.pages.has(offset / PAGE)) {
        Some(layer) => layer.read(offset, out).map(|()| true),
        None => Ok(false),
    }
}

/// How many pages any layer has.
pub(super) fn count(layers: &[Arc<Layer>]) -> usize {
    match layers {
        [] => 0,
        [one] => one.pages.count(),
        all => {
            let pages = std::iter::successors(next(all, 0, usize::MAX), |page| next(all, page + 1, usize::MAX));
            pages.count()
        }
    }
}

/// Puts what the layers have into one.
pub(super) fn merge(layers: &[Arc<Layer>], into: &Layer) -> Result<(), FillError> {
    let mut bytes = [0; PAGE];
    let mut at = next(layers, 0, usize::MAX);
    while let Some(page) = at {
        if read(layers, page * PAGE, &mut bytes)? {
            into.put(page, &bytes).map_err(|e| FillError::Failed(e.to_string()))?;
        }
        at = next(layers, page + 1, usize::MAX);
    }
    Ok(())
}
