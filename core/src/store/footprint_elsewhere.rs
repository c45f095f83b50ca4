//! `footprint` where there is no `/proc/<pid>/smaps`: nothing is known. Compiled, not tested.

use std::collections::HashSet;
use std::path::Path;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint {
    pub name: String,
    pub pss: u64,
    pub private: u64,
    pub whole: Option<(u64, u64)>,
}

pub(super) struct Files;

impl Files {
    pub(super) fn new(_: &Path, _: HashSet<(u64, u64)>) -> Files {
        Files
    }
}

pub(super) fn footprint(_: u32, _: (u64, u64), _: &Files) -> Option<Footprint> {
    None
}
