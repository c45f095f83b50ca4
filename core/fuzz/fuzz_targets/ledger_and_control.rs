#![no_main]

#[macro_use]
mod target;

target!(fuzzed::ledger_and_control::TARGET);
