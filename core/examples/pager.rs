//! What a pointer costs whose pages are made on first touch, beside the same generator without one.
//!
//! `cargo run --release -p cowshed-core --example pager -- [GIB]`: a pass over GIB (8) GiB of a sequence of doubles, summed through the
//! pointer, and through small buffers in the same run; random touches; peak memory.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use cowshed_core::{Area, FillError, Generator, PagerLimits, Shape, Snapshot, kernel_faults, set_pager_limits};

const MIB: usize = 1 << 20;

struct Sequence;

impl Generator for Sequence {
    fn fill(&self, start: u64, out: &mut [u8]) -> Result<(), FillError> {
        for (i, number) in out.chunks_exact_mut(8).enumerate() {
            number.copy_from_slice(&((start + i as u64) as f64).to_ne_bytes());
        }
        Ok(())
    }
}

fn area(bytes: u64) -> Area {
    let shape = Shape { len: bytes / 8, width: 8, missing: [0; 16] };
    Area::new(Snapshot::new(Arc::new(Sequence), shape)).unwrap()
}

/// As a compiler does it that may reorder: eight sums side by side.
fn sum(numbers: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    for eight in numbers.chunks_exact(8) {
        sums.iter_mut().zip(eight).for_each(|(sum, x)| *sum += x);
    }
    sums.iter().sum()
}

/// GB/s of the best of three.
fn speed(bytes: u64, mut pass: impl FnMut() -> f64) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        black_box(pass());
        best = best.min(start.elapsed().as_secs_f64());
    }
    bytes as f64 / best / 1e9
}

fn buffered(bytes: u64, buffer: usize) -> f64 {
    let mut numbers = vec![0f64; buffer / 8];
    speed(bytes, || {
        let mut total = 0.0;
        for start in (0..bytes / 8).step_by(buffer / 8) {
            // SAFETY: numbers are bytes, and any bytes are numbers.
            let out = unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), buffer) };
            Sequence.fill(start, out).unwrap();
            total += sum(&numbers);
        }
        total
    })
}

fn pointed(area: &Area) -> f64 {
    // SAFETY: as long as the area, which nobody writes.
    let numbers = unsafe { std::slice::from_raw_parts(area.as_ptr().cast::<f64>(), area.shape().len as usize) };
    speed(area.shape().len * 8, || sum(numbers))
}

/// Microseconds of a touch.
fn random(area: &Area, touches: u64, write: bool) -> f64 {
    let pages = area.shape().len / 512;
    let mut x = 1u64;
    let start = Instant::now();
    for _ in 0..touches {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // SAFETY: within the area.
        let at = unsafe { area.as_ptr().cast::<f64>().add(((x >> 20) % pages * 512) as usize) };
        // SAFETY: as above.
        unsafe { if write { at.write_volatile(1.0) } else { _ = black_box(at.read_volatile()) } };
    }
    start.elapsed().as_secs_f64() * 1e6 / touches as f64
}

fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn main() {
    let gib: u64 = std::env::args().nth(1).map_or(8, |n| n.parse().unwrap());
    println!("faults of system calls are served: {}", kernel_faults());
    let alone: Vec<f64> = [16 << 10, 64 << 10, 256 << 10, MIB].map(|buffer| buffered(gib << 30, buffer)).to_vec();
    println!("small buffers of 16K, 64K, 256K, 1M: {alone:.1?} GB/s");
    let best = alone.iter().copied().fold(0.0, f64::max);
    for clean in [8, 64, 256] {
        set_pager_limits(PagerLimits { clean: clean * MIB, ..PagerLimits::default() });
        let area = area(gib << 30);
        forget_peak();
        let before = peak();
        let speed = pointed(&area);
        let over = (peak() as f64 - (clean * MIB) as f64) / MIB as f64;
        println!(
            "sequential, {clean:3} MiB kept: {speed:.2} GB/s, {:.3} of small buffers (wanted: {:.3}); peak {over:+.1} MiB from the limit, {:.1} before",
            speed / best,
            2.3 / 19.0,
            before as f64 / MIB as f64
        );
    }
    set_pager_limits(PagerLimits::default());
    let large = area(512 << 30);
    println!("random reads in 512 GiB: {:.2} us a touch", random(&large, 200_000, false));
    println!("random writes there, all kept in memory: {:.2} us a touch", random(&large, 60_000, true));
    println!("random writes there, most of them spilled: {:.2} us a touch", random(&large, 200_000, true));
    let start = Instant::now();
    drop((0..1000).map(|_| area(1 << 30)).collect::<Vec<_>>());
    println!("an area made and dropped: {:.1} us", start.elapsed().as_secs_f64() * 1e3);
}
