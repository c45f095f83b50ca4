//! What makes the elements of a virtual vector.

use std::sync::Arc;

/// Makes elements on demand.
///
/// - The same elements come out whenever they are asked for, but for what [`Generator::store`] took.
/// - It is asked for elements within the vector only, a whole number of them, from any thread and from several at once unless it says otherwise.
/// - It must not read the pages of any virtual vector: the thread that would make them may be the one that runs it.
pub trait Generator: Send + Sync {
    /// Writes the elements from `start` on (the first is 0) to `out`, all of it.
    ///
    /// # Errors
    /// They cannot be made. What `out` holds then is not used.
    fn fill(&self, start: u64, out: &mut [u8]) -> Result<(), FillError>;

    /// Whether it can be called on any thread. One that cannot is never asked while a page is waited for.
    fn is_any_thread(&self) -> bool {
        true
    }

    /// Takes elements that were written; `false` if it keeps none, and then they are kept for it.
    ///
    /// # Errors
    /// They cannot be taken. They are kept for it then, too.
    fn store(&self, start: u64, bytes: &[u8]) -> Result<bool, FillError> {
        let _ = (start, bytes);
        Ok(false)
    }
}

/// Why elements cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FillError {
    /// The generator failed, and why.
    #[error("{0}")]
    Failed(String),
    /// The host language is on its way out of the call (an error or an interrupt of its own): let it go on.
    #[error("the host is leaving the call")]
    Host,
}

/// A vector whose elements are made on demand: how many, how large, and what stands for one that cannot be made.
#[derive(Clone)]
pub struct Shape {
    /// Elements.
    pub len: u64,
    /// Bytes of one: 1, 4, 8 or 16.
    pub width: usize,
    /// The bytes of a missing value; the first `width` count.
    pub missing: [u8; 16],
}

impl Shape {
    /// Bytes of all of it; `None` if no address space is that large.
    pub fn bytes(&self) -> Option<usize> {
        usize::try_from(self.len).ok()?.checked_mul(self.width).filter(|bytes| isize::try_from(*bytes).is_ok())
    }

    /// Fills `out`, which may begin and end within an element, with missing values; `offset` is its place in the vector, in bytes.
    pub fn fill_missing(&self, offset: usize, out: &mut [u8]) {
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = self.missing[(offset + i) % self.width];
        }
    }
}

/// A generator that several vectors may have.
pub type Shared = Arc<dyn Generator>;
