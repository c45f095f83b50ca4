//! Generators of which every element is known, and ways to touch an area.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cowshed_core::{Area, FillError, Generator, Shape, Snapshot};

pub const PAGE: usize = 4096;
/// Elements of a page.
pub const PER: u64 = 512;
pub const MISSING: u64 = 0x7ff0_0000_0000_07a2;

pub const GIB: u64 = 1 << 30;

/// What [`Sequence`] gives.
pub fn element(i: u64) -> u64 {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// Elements of 8 bytes, and how many were asked for.
#[derive(Default)]
pub struct Sequence(pub AtomicU64);

impl Generator for Sequence {
    fn fill(&self, start: u64, out: &mut [u8]) -> Result<(), FillError> {
        self.0.fetch_add(out.len() as u64 / 8, Ordering::Relaxed);
        for (i, bytes) in (start..).zip(out.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&element(i).to_le_bytes());
        }
        Ok(())
    }
}

pub fn shape(len: u64) -> Shape {
    let mut missing = [0; 16];
    missing[..8].copy_from_slice(&MISSING.to_le_bytes());
    Shape { len, width: 8, missing }
}

pub fn sequence(len: u64) -> Snapshot {
    Snapshot::new(Arc::new(Sequence::default()), shape(len))
}

pub fn area(bytes: u64) -> Area {
    Area::new(sequence(bytes / 8)).unwrap()
}

/// Element `i` by the pointer.
pub fn get(area: &Area, i: u64) -> u64 {
    assert!(i < area.shape().len);
    // SAFETY: within the area.
    unsafe { area.as_ptr().cast::<u64>().add(i as usize).read_volatile() }
}

/// Writes element `i` by the pointer.
pub fn set(area: &Area, i: u64, value: u64) {
    assert!(i < area.shape().len);
    // SAFETY: within the area, in which no reference points.
    unsafe { area.as_ptr().cast::<u64>().add(i as usize).write_volatile(value) };
}

/// What is asked for elements.
pub type Ask<'a> = &'a dyn Fn(u64, &mut [u8]) -> Result<(), FillError>;

/// Elements without the pointer.
pub fn read(from: Ask, start: u64, n: usize) -> Vec<u64> {
    let mut out = vec![0; n * 8];
    from(start, &mut out).unwrap();
    out.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect()
}

/// A line of `/proc/self/status`, in bytes.
pub fn status(line: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':')).unwrap();
    found.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}
