//! A machine check of the lease protocol: every interleaving of a few processes, with a crash at every step.
//!
//! `docs/lifetime.md` is the protocol; this is a copy of it small enough to visit all its states. [`explore()`] starts at an
//! empty store, takes every possible next step of every process, and asks in each state it has not met before whether the
//! [laws](Law) hold. The search is breadth first, so what it finds is a shortest [`Counterexample`].
//!
//! - Reading order: `script` is the protocol as lists of acts; `world` the state; `errand`, `fork`, `collect` and `scan` carry the acts out;
//!   `numbering` tells which states count as one; `steps` says what may happen next; `laws` what must be true; `explore` searches.
//! - A [`Weakening`] breaks one rule of the protocol. `tests/lease_model.rs` has a counterexample for each, so the checker can tell.
//! - [`Bounds`] say how much there is of everything. Kills need no bound, and any process may die before any act.
//!
//! ```
//! use cowshed_tests::model::{Bounds, Weakening, explore};
//!
//! assert!(explore(&Bounds::SMALL).counterexample.is_none());
//!
//! let broken = Bounds::SMALL.weakened(Weakening::LinkBeforePublish);
//! let counterexample = explore(&broken).counterexample.expect("a sweep takes it");
//! println!("{counterexample}");
//! ```
//!
//! # What is modelled
//!
//! **Locks** belong to open file descriptions. The holder is the set of processes that have a descriptor of it: fork adds the child,
//! close and death take a process away, and the lock falls with the last one. `LOCK_EX` waits, `LOCK_EX|LOCK_NB` and
//! `LOCK_SH|LOCK_NB` do not. The directory `ledgers` has readers and at most one writer.
//!
//! **A listing is not atomic.** It returns every name that was there from its beginning to its end, and any choice of those that were
//! linked or unlinked meanwhile. Names are opened and looked at one by one, in any order.
//!
//! **Files outlive names.** Whoever has opened a segment may still lock it after it was unlinked, and finds link count 0.
//!
//! **A process** has one thing under way at a time: its own mutex sees to that, and fork's *prepare* takes it. It may seal, export,
//! attach (a reference, or by id), withdraw with a collect or without, sweep, press (the sweep of a full store), exit (close the ledger, then sweep), free, and fork, with
//! or without room for the child's ledger. A mapping may fail. A ticket's time may end at any moment after the ticket was written.
//!
//! **Afterwards.** From *every* state everybody is killed, every ticket ends, and a newcomer sweeps: the store must be empty. From every
//! state in which nobody is doing anything, each survivor sweeps alone: only what is held or in flight may be left.
//!
//! # What is left out, and why that is sound
//!
//! - *Views.* A process holds a segment or not. How many views it counts is its own affair.
//! - *Clocks.* A ticket has ended or not, and each ends when it likes: every order of every clock is among these.
//! - *A ledger's bytes.* An id is in or not, read in one step: entries keep their places, so an entry held throughout is seen.
//! - *The segments' listing* of a sweep is one step: a name linked meanwhile waits for the next sweep, one unlinked is absent when opened.
//! - *Open, lock, link count and tickets of a collector* are one step: nothing another process does between them changes what comes out.
//! - *The batch.* Unless [`Bounds::batch`] is set, withdraw collects at once or never; a sweep, which may come at any moment, stands for the
//!   batch.
//! - *exec* is a death: all descriptors close and the mappings go.
//! - *Numbers.* Processes are renumbered into a fixed order, since no step depends on a number.
//!
//! # What is not modelled
//!
//! Threads inside a process, except for a fork amid another thread's step ([`Weakening::ForkAmidStep`]); a fork that runs no
//! `pthread_atfork` handlers; a store removed under its users; torn or hostile control blocks; file systems without `flock` or `O_TMPFILE`;
//! several stores.

mod bounds;
mod collect;
mod errand;
mod explore;
mod fork;
mod laws;
mod numbering;
mod scan;
mod script;
mod set;
mod steps;
mod world;

pub use bounds::{Bounds, Weakening};
pub use explore::{Counterexample, Report, explore, explore_after};
pub use laws::Law;
pub use script::Act;
pub use steps::Step;
