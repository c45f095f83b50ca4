//! A crowd of processes at the same segments. `COWSHED_STORM=64x1000x60` is 64 processes, 1,000 segments, 60 seconds.

mod support;

use std::time::{Duration, Instant};

use support::puppet::{Stage, play};

/// Not a test: the life of the processes started below.
#[test]
fn puppet() {
    play();
}

/// Processes, segments, seconds.
fn size() -> [u64; 3] {
    let Ok(size) = std::env::var("COWSHED_STORM") else { return [16, 200, 4] };
    let numbers: Option<Vec<u64>> = size.split('x').map(|n| n.parse().ok()).collect();
    numbers.and_then(|n| n.try_into().ok()).expect("COWSHED_STORM is PROCESSESxSEGMENTSxSECONDS")
}

#[test]
fn a_storm_of_processes_that_attach_export_drop_and_sweep_sees_right_values_and_leaves_nothing() {
    let [processes, segments, seconds] = size();
    let stage = Stage::new();
    let mut maker = stage.puppet();
    let ids = maker.ask(&format!("stock {segments}"));
    let mut workers: Vec<_> = (0..processes).map(|_| stage.puppet()).collect();
    let start = Instant::now();
    for (i, worker) in workers.iter_mut().enumerate() {
        worker.tell(&format!("stress {i} {} {ids}", seconds * 1000));
    }
    let mut totals = [0, 0];
    for worker in &mut workers {
        let answer = worker.answer_after(Duration::from_secs(seconds));
        let done: Option<Vec<u64>> = answer.split(' ').map(|n| n.parse().ok()).collect();
        let done = done.unwrap_or_else(|| panic!("{answer}"));
        assert!(done[0] > 0, "a worker never had a turn");
        totals = [totals[0] + done[0], totals[1] + done[1]];
    }
    let took = start.elapsed().as_secs_f64();
    println!(
        "storm of {processes} processes, {segments} segments, {took:.1} s: {} attached ({:.0} a second), {} read and right",
        totals[0],
        totals[0] as f64 / took,
        totals[1]
    );
    maker.ask("sweep");
    assert_eq!(stage.left(), (segments as usize, processes as usize + 1), "its maker holds each of them");
    for (i, worker) in workers.into_iter().enumerate() {
        if i % 2 == 0 { worker.leave("exit") } else { worker.kill() }
    }
    maker.leave("exit");
    stage.expect_empty_after_a_sweep();
}
