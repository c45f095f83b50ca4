//! Pointers whose pages are made on first touch, by userfaultfd(2), in bounded memory.
//!
//! - A [`Generator`] makes elements. A [`Snapshot`] is a vector of them as it was at a moment; an [`Area`] is a pointer to one, to read and
//!   to write.
//! - Pages come into memory at the first touch and are forgotten, the oldest first, when all areas together have more than [`PagerLimits::clean`].
//!   Pages that were written are kept: beyond [`PagerLimits::written`] in a file.
//! - One thread serves the faults of all areas of a process; a forked child has its own.
//!
//! Reading order: `area`, the pointer; `thread`, what a fault does; `state`, what is in memory and why no write is lost; `store` and `layer`,
//! where written pages go; `fork`.

#[cfg(target_os = "linux")]
mod ahead;
#[cfg_attr(not(target_os = "linux"), path = "area_elsewhere.rs")]
mod area;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is written"))]
mod bitmap;
mod error;
#[cfg(target_os = "linux")]
mod fork;
mod generator;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is written"))]
mod layer;
#[cfg(target_os = "linux")]
mod nearby;
#[cfg(target_os = "linux")]
mod queue;
#[cfg(target_os = "linux")]
mod region;
mod snapshot;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is written"))]
mod space;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is written"))]
mod spill;
#[cfg(target_os = "linux")]
mod state;
#[cfg(target_os = "linux")]
mod store;
#[cfg(target_os = "linux")]
mod thread;
#[cfg(target_os = "linux")]
mod uffd;

use std::path::PathBuf;

pub use area::{Area, kernel_faults, pager_available, set_pager_enabled, set_pager_limits};
pub use error::PagerError;
pub use generator::{FillError, Generator, Shape, Shared};
pub use snapshot::Snapshot;

/// Bytes of a page.
const PAGE: usize = 4096;
/// Pages of a block: as many as a word has bits.
#[cfg(target_os = "linux")]
const BLOCK_PAGES: usize = 64;
/// Bytes of a block.
#[cfg(target_os = "linux")]
const BLOCK: usize = BLOCK_PAGES * PAGE;

/// Bytes of clean and of written pages, unless it is said otherwise.
const DEFAULT: (usize, usize) = (64 << 20, 256 << 20);

/// How much memory the pages of all areas of a process take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagerLimits {
    /// Bytes of pages that can be made again. A few MiB are kept whatever it says.
    pub clean: usize,
    /// Bytes of pages that were written. Those beyond are spilled.
    pub written: usize,
    /// The directory where they are spilled to.
    pub spill: PathBuf,
}

impl Default for PagerLimits {
    fn default() -> PagerLimits {
        PagerLimits { clean: DEFAULT.0, written: DEFAULT.1, spill: std::env::temp_dir() }
    }
}
