//! One state of the world: what the kernel keeps for the store, and what each process is about to do.

use super::bounds::Bounds;
use super::collect::{Collect, Why};
use super::errand::Errand;
use super::scan::Stage;
use super::set::Set;

/// Most processes, children included. A process has at most one ledger, which has its number.
pub const PROCESSES: usize = 5;
/// Most segments.
pub const SEGMENTS: usize = 2;
/// Most references.
pub const REFERENCES: usize = 3;
/// Most ticket slots.
pub const SLOTS: usize = 2;

/// A state. Equal states have equal futures.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct World {
    /// `segments/`, and files whose name is gone.
    pub segments: [Segment; SEGMENTS],
    /// `ledgers/`, and ledgers with no name.
    pub ledgers: [Ledger; PROCESSES],
    /// Processes with `LOCK_SH` on the directory `ledgers`.
    pub scanners: Set,
    /// The process with `LOCK_EX` on it.
    pub undertaker: Set,
    /// References, made or still to be made.
    pub references: [Reference; REFERENCES],
    /// Processes, living or not.
    pub processes: [Process; PROCESSES],
    /// What may still be begun.
    pub left: Left,
}

/// A segment's file.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Segment {
    /// Somebody has begun to seal it: it cannot be made once more.
    pub begun: bool,
    /// Its name is in the store; its link count is 1.
    pub named: bool,
    /// Somebody has freed it explicitly.
    pub freed: bool,
    /// It lost its name with references in flight, to a full store.
    pub gave_way: bool,
    /// `handed_out`.
    pub handed_out: bool,
    /// Tickets: 1 + the reference's number, 0 for a free slot.
    pub slots: [u8; SLOTS],
    /// References whose ticket found no slot: `overflow_until` is the latest of their times.
    pub overflow: Set,
    /// Processes with a descriptor of the open file description that has `LOCK_EX`; empty when nobody has it.
    pub locked_by: Set,
}

/// A ledger's file.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ledger {
    /// Its name is in the store.
    pub named: bool,
    /// The segments it names. One place an entry, and an entry keeps its place: so reading it is one step for each entry.
    pub ids: Set,
    /// Processes with a descriptor of the open file description that has `LOCK_EX`; empty when nobody has it.
    pub locked_by: Set,
}

/// A reference and the time of its ticket.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct Reference {
    /// Its export has begun.
    pub begun: bool,
    /// The segment it leads to.
    pub segment: u8,
    /// Its export has returned: it exists.
    pub made: bool,
    /// An attach of it got as far as claiming it.
    pub claimed: bool,
    /// Its time has ended.
    pub ended: bool,
}

/// A process.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Process {
    /// Where in its life it is.
    pub life: Life,
    /// What it is doing.
    pub op: Op,
    /// The segments it has views of and relies upon: their seal, attach or fork has returned.
    pub holds: Set,
    /// Of these and former ones: made by itself, and it has not forked since.
    pub sole: Set,
    /// Its batch: segments to be collected later.
    pub later: Set,
}

/// A process's life.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Life {
    /// Running.
    Alive,
    /// A child that may be forked.
    Unborn,
    /// Exited, killed, or never there.
    #[default]
    Dead,
}

/// What a process is doing. One thing at a time: a mutex of the process sees to it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Op {
    /// Nothing of ours.
    #[default]
    Idle,
    /// Seal, export, attach, free or fork.
    Errand(Errand),
    /// Collect or sweep.
    Collect(Collect),
    /// A child just forked: it has to close the parent's ledger.
    Child(u8),
}

/// What may still be begun.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the fields of Bounds of the same names say it")]
pub struct Left {
    pub attaches: u8,
    pub attaches_by_id: u8,
    pub sweeps: u8,
    pub presses: u8,
    pub frees: u8,
    pub kills: u8,
}

impl World {
    /// The start.
    pub fn first(bounds: &Bounds) -> World {
        let mut processes = [Process::default(); PROCESSES];
        for (number, process) in processes.iter_mut().enumerate() {
            if number < usize::from(bounds.processes) {
                process.life = Life::Alive;
            } else if number < usize::from(bounds.processes + bounds.children) {
                process.life = Life::Unborn;
            }
        }
        let mut segments = [Segment::default(); SEGMENTS];
        let mut ledgers = [Ledger::default(); PROCESSES];
        if bounds.all_hold {
            segments[0].begun = true;
            segments[0].named = true;
            segments[0].handed_out = bounds.processes > 1;
            processes[0].sole = Set::of(0);
            for who in 0..usize::from(bounds.processes) {
                processes[who].holds = Set::of(0);
                ledgers[who].named = true;
                ledgers[who].ids = Set::of(0);
                ledgers[who].locked_by = Set::of(who);
            }
        }
        World {
            segments,
            ledgers,
            scanners: Set::EMPTY,
            undertaker: Set::EMPTY,
            references: Default::default(),
            processes,
            left: Left {
                attaches: bounds.attaches,
                attaches_by_id: bounds.attaches_by_id,
                sweeps: bounds.sweeps,
                presses: bounds.presses,
                frees: bounds.frees,
                kills: bounds.kills,
            },
        }
    }

    /// Whether the process runs.
    #[inline]
    pub fn alive(&self, who: usize) -> bool {
        self.processes[who].life == Life::Alive
    }

    /// The processes that run.
    pub fn living(&self) -> impl Iterator<Item = usize> {
        (0..PROCESSES).filter(|&who| self.alive(who))
    }

    /// Whether the process has a ledger, linked yet or not.
    #[inline]
    pub fn has_ledger(&self, who: usize) -> bool {
        self.ledgers[who].locked_by.has(who)
    }

    /// The segments with a name.
    pub fn named_segments(&self) -> Set {
        let mut named = Set::EMPTY;
        for (number, segment) in self.segments.iter().enumerate() {
            if segment.named {
                named.add(number);
            }
        }
        named
    }

    /// The ledgers with a name.
    pub fn named_ledgers(&self) -> Set {
        let mut named = Set::EMPTY;
        for (number, ledger) in self.ledgers.iter().enumerate() {
            if ledger.named {
                named.add(number);
            }
        }
        named
    }

    /// Whether a reference to the segment has a ticket whose time has not ended.
    pub fn ticketed(&self, segment: usize) -> bool {
        let segment = &self.segments[segment];
        let standing = |reference: usize| !self.references[reference].ended;
        let in_slot = |&slot: &u8| slot != 0 && standing(usize::from(slot) - 1);
        segment.slots.iter().any(in_slot) || segment.overflow.iter().any(standing)
    }

    /// link(2) of a ledger. A listing under way may return it or not.
    pub fn link_ledger(&mut self, ledger: usize) {
        self.ledgers[ledger].named = true;
        self.touch_listings(ledger);
    }

    /// unlink(2) of a ledger. A listing under way may return it or not.
    pub fn unlink_ledger(&mut self, ledger: usize) {
        if self.ledgers[ledger].named {
            self.ledgers[ledger].named = false;
            self.touch_listings(ledger);
        }
    }

    fn touch_listings(&mut self, ledger: usize) {
        for process in &mut self.processes {
            if let Op::Collect(Collect { scan, .. }) = &mut process.op {
                if scan.stage == Stage::Listing {
                    scan.throughout.remove(ledger);
                    scan.perhaps.add(ledger);
                }
            }
        }
    }

    /// close(2) of the process's descriptors of a segment's lock.
    pub fn close_segment(&mut self, segment: usize, who: usize) {
        self.segments[segment].locked_by.remove(who);
    }

    /// SIGKILL, or the last step of an exit: the kernel closes every descriptor.
    pub fn kill(&mut self, who: usize) {
        let forking = match self.processes[who].op {
            Op::Errand(errand) => errand.child(),
            _ => None,
        };
        if let Some(child) = forking {
            let child = &mut self.processes[child];
            if child.life == Life::Unborn {
                child.life = Life::Dead;
            }
        }
        self.processes[who] = Process::default();
        for segment in &mut self.segments {
            segment.locked_by.remove(who);
        }
        for ledger in &mut self.ledgers {
            ledger.locked_by.remove(who);
        }
        self.scanners.remove(who);
        self.undertaker.remove(who);
    }

    /// Lets the process begin a sweep, on its way out or not.
    pub fn begin_sweep(&mut self, who: usize, why: Why, bounds: &Bounds) {
        let collect = Collect::sweep(self, who, why, bounds);
        self.processes[who].op = Op::Collect(collect);
    }
}
