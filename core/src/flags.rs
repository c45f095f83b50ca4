//! The three flags an R object carries.

use bitflags::bitflags;

bitflags! {
    /// How a shared object behaves when it is written to, subset or duplicated.
    ///
    /// Flags belong to one object of the host language, not to the segment it reads: two views of one segment may differ.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Flags: u8 {
        /// A write never reaches anybody else. Without it every assignment writes through, to every process.
        const COPY_ON_WRITE = 1;
        /// `x[i]` is shared too.
        const SHARED_SUBSET = 2;
        /// A duplicate is a new shared object. Means something only together with `COPY_ON_WRITE`.
        const SHARED_COPY = 4;
    }
}

impl Default for Flags {
    fn default() -> Self {
        Flags::COPY_ON_WRITE
    }
}
