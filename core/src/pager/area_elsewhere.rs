//! `area` where faults are not handed to processes: there is none. Compiled, not tested.

#![allow(missing_docs, reason = "`area.rs` has them")]

use std::convert::Infallible;

use super::PagerLimits;
use super::error::PagerError;
use super::generator::{FillError, Shape, Shared};
use super::snapshot::Snapshot;

fn unavailable() -> PagerError {
    PagerError::Unavailable { why: "userfaultfd(2) is Linux's".into() }
}

pub fn pager_available() -> Result<(), PagerError> {
    Err(unavailable())
}

pub fn kernel_faults() -> bool {
    false
}

pub fn set_pager_enabled(_: bool) {}

pub fn set_pager_limits(_: PagerLimits) {}

pub struct Area(Infallible);

impl Area {
    pub fn new(_: Snapshot) -> Result<Area, PagerError> {
        Err(unavailable())
    }

    pub fn as_ptr(&self) -> *mut u8 {
        match self.0 {}
    }

    pub fn shape(&self) -> &Shape {
        match self.0 {}
    }

    pub fn generator(&self) -> &Shared {
        match self.0 {}
    }

    pub fn read(&self, _: u64, _: &mut [u8]) -> Result<(), FillError> {
        match self.0 {}
    }

    pub fn is_changed(&self) -> bool {
        match self.0 {}
    }

    pub fn changed_pages(&self) -> usize {
        match self.0 {}
    }

    pub fn resident_bytes(&self) -> usize {
        match self.0 {}
    }

    pub fn failure(&self) -> Option<String> {
        match self.0 {}
    }

    pub fn take_failure(&self) -> Option<String> {
        match self.0 {}
    }

    pub fn snapshot(&self) -> Result<Snapshot, PagerError> {
        match self.0 {}
    }

    pub fn flush(&self) -> Result<bool, FillError> {
        match self.0 {}
    }
}
