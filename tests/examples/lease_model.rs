//! Explores the lease protocol further than the tests do.
//!
//! ```text
//! cargo run -p cowshed-tests --release --example lease_model            # half a minute, 1 GB
//! cargo run -p cowshed-tests --release --example lease_model -- --deep  # minutes, 8 GB
//! ```
//!
//! Exits with 1 and the steps if a law can be broken.

use std::process::ExitCode;

use cowshed_tests::model::{Bounds, explore};

const WIDE: &[(&str, Bounds)] = &[
    (
        "three processes, two references, an attach by id",
        Bounds { processes: 3, references: 2, attaches: 2, attaches_by_id: 1, sweeps: 0, ..Bounds::SMALL },
    ),
    ("a fork, a reference, a sweep", Bounds { children: 1, references: 1, attaches: 1, ..Bounds::SMALL }),
    (
        "two holders, a fork in a full store, a reference, a sweep",
        Bounds { all_hold: true, children: 1, references: 1, attaches: 1, full_store: true, ..Bounds::SMALL },
    ),
    (
        "two segments, a reference, attaches by id, a sweep",
        Bounds { segments: 2, references: 1, attaches: 1, attaches_by_id: 1, ..Bounds::SMALL },
    ),
];

const DEEP: &[(&str, Bounds)] = &[
    ("two holders, two forks, a sweep", Bounds { all_hold: true, children: 2, ..Bounds::SMALL }),
    (
        "two holders, three references in two slots, a sweep",
        Bounds { all_hold: true, references: 3, slots: 2, attaches: 3, ..Bounds::SMALL },
    ),
    (
        "a fork, a reference, an attach by id, a sweep",
        Bounds { children: 1, references: 1, attaches: 1, attaches_by_id: 1, ..Bounds::SMALL },
    ),
    (
        "three holders, two forks, a reference",
        Bounds { processes: 3, all_hold: true, children: 2, references: 1, attaches: 1, sweeps: 0, ..Bounds::SMALL },
    ),
    (
        "two segments, two sweeps, a free, a reference",
        Bounds { segments: 2, sweeps: 2, frees: 1, references: 1, attaches: 1, ..Bounds::SMALL },
    ),
];

fn main() -> ExitCode {
    let deep = std::env::args().any(|argument| argument == "--deep");
    let mut broken = false;
    for (what, bounds) in WIDE.iter().chain(if deep { DEEP } else { &[] }) {
        let report = explore(bounds);
        println!("{what}: {report}");
        broken |= report.counterexample.is_some();
    }
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
