//! A vector as it was at a moment: what its generator gives, under the pages that were written.

use std::sync::Arc;

use super::PAGE;
use super::generator::{FillError, Generator, Shape, Shared};
use super::layer::{self, Layers};

/// Where elements come from. What the pager reads with: it does not count as kin.
#[derive(Clone)]
pub(super) struct View {
    pub(super) generator: Shared,
    pub(super) shape: Shape,
    pub(super) layers: Layers,
}

impl View {
    /// Fills `out` with whole elements. Each byte is asked of one source only.
    pub(super) fn fill(&self, start: u64, out: &mut [u8]) -> Result<(), FillError> {
        if self.layers.is_empty() {
            return self.generator.fill(start, out);
        }
        let from = start as usize * self.shape.width;
        let mut at = 0;
        while at < out.len() {
            let (page, end) = ((from + at) / PAGE, (from + out.len()).div_ceil(PAGE));
            let written = layer::next(&self.layers, page, end);
            let gap = written.map_or(out.len(), |page| (page * PAGE).saturating_sub(from).max(at));
            if gap > at {
                self.generator.fill(((from + at) / self.shape.width) as u64, &mut out[at..gap])?;
                at = gap;
            }
            if let Some(page) = written {
                let end = ((page + 1) * PAGE - from).min(out.len());
                // Not straight into `out`: it may be pages that nobody touched yet, which a system call may not be able to fill.
                let mut bytes = [0; PAGE];
                let bytes = &mut bytes[..end - at];
                if !layer::read(&self.layers, from + at, bytes)? {
                    // Its generator took it meanwhile.
                    continue;
                }
                out[at..end].copy_from_slice(bytes);
                at = end;
            }
        }
        Ok(())
    }

    /// The same where a page may end beyond the last element; bytes there are 0. `offset` is that of a page.
    pub(super) fn fill_pages(&self, offset: usize, out: &mut [u8]) -> Result<(), FillError> {
        let bytes = self.shape.bytes().unwrap_or(0).saturating_sub(offset).min(out.len());
        out[bytes..].fill(0);
        if bytes == 0 {
            return Ok(());
        }
        self.fill((offset / self.shape.width) as u64, &mut out[..bytes])
    }

    /// Pages that a layer has.
    pub(super) fn is_changed(&self) -> bool {
        self.layers.iter().any(|layer| layer.pages().count() > 0)
    }
}

/// A vector as it was at a moment. A clone is the same one, and costs nothing.
///
/// - It stays as it is when the area it was taken of is written, and the other way round.
/// - Its generator takes no changed elements while there are two of a kin (snapshots and areas made of one another): the others would see them.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) view: View,
    /// One for all that were made of one another.
    pub(super) kin: Arc<()>,
}

impl Snapshot {
    /// What the generator gives, with nothing written.
    pub fn new(generator: Shared, shape: Shape) -> Snapshot {
        Snapshot { view: View { generator, shape, layers: Arc::new([]) }, kin: Arc::new(()) }
    }

    /// How many elements, and how large.
    pub fn shape(&self) -> &Shape {
        &self.view.shape
    }

    /// What makes the elements that were not written.
    pub fn generator(&self) -> &Shared {
        &self.view.generator
    }

    /// Whether any page was written.
    pub fn is_changed(&self) -> bool {
        self.view.is_changed()
    }

    /// Whether it has no kin.
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.kin) == 1
    }
}

impl Generator for Snapshot {
    fn fill(&self, start: u64, out: &mut [u8]) -> Result<(), FillError> {
        self.view.fill(start, out)
    }

    fn is_any_thread(&self) -> bool {
        self.view.generator.is_any_thread()
    }
}
