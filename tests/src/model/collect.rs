//! Withdraw's collect, and the sweep.

use super::bounds::{Bounds, Weakening};
use super::scan::{Scan, Stage as ScanStage};
use super::script::Act;
use super::set::Set;
use super::steps::{Steps, step};
use super::world::{Op, World};

/// A collect or sweep under way.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Collect {
    /// Where it is.
    pub stage: Stage,
    /// What for.
    pub why: Why,
    /// Segments still to be locked.
    pub todo: Set,
    /// Segments locked and not ticketed.
    pub left: Set,
    /// Of these, those to unlink.
    pub doomed: Set,
    /// Its scan of the ledgers.
    pub scan: Scan,
}

/// What a collect is for.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Why {
    /// A withdrawal.
    #[default]
    Release,
    /// A sweep.
    Sweep,
    /// The sweep of a full store, to which tickets give way.
    Press,
    /// The sweep of a process that exits. Its own ledger is already closed.
    Exit,
}

/// Where a collect is.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// A sweep's first scan, which leaves out what the living hold.
    Filter,
    /// Locking the segments one after the other and reading their tickets.
    #[default]
    Gather,
    /// Scanning, with the locks.
    Scan,
    /// Unlinking, then unlocking.
    Unlink,
}

impl Collect {
    /// The collect of what has been withdrawn.
    pub fn release(todo: Set) -> Collect {
        Collect { todo, ..Collect::default() }
    }

    /// A sweep that has listed the segments.
    ///
    /// The listing is one step: a name linked meanwhile is left to the next sweep, one unlinked meanwhile is absent when opened.
    pub fn sweep(world: &World, who: usize, why: Why, bounds: &Bounds) -> Collect {
        let mut todo = world.named_segments();
        if bounds.has(Weakening::SweepSkipsStrangers) {
            todo = todo.common(world.ledgers[who].ids);
        }
        Collect { stage: Stage::Filter, why, todo, ..Collect::default() }
    }

    /// Whether the next act has to wait, and for whom.
    pub fn waits_for(&self, world: &World, bounds: &Bounds) -> Option<Set> {
        match self.stage {
            Stage::Filter | Stage::Scan => self.scan.waits_for(world),
            Stage::Gather if bounds.has(Weakening::CollectorWaits) => {
                let locked = |segment: usize| world.segments[segment].locked_by;
                let free = self.todo.iter().any(|segment| locked(segment).is_empty());
                // Which lock it waits for was decided when it began to wait.
                let first = self.todo.first().map(locked)?;
                (!free && !first.is_empty()).then_some(first)
            }
            _ => None,
        }
    }

    /// Adds what may come of the next act.
    pub fn step(self, world: &World, bounds: &Bounds, who: usize, out: &mut Steps) {
        match self.stage {
            Stage::Filter | Stage::Scan => self.step_scan(world, bounds, who, out),
            Stage::Gather => self.step_gather(world, bounds, who, out),
            Stage::Unlink => self.step_unlink(world, bounds, who, out),
        }
    }

    fn step_scan(self, world: &World, bounds: &Bounds, who: usize, out: &mut Steps) {
        self.scan.step(world, bounds, who, |label, mut next, scan| {
            let mut collect = Collect { scan, ..self };
            if scan.stage == ScanStage::Done {
                collect.scan = Scan::default();
                if self.stage == Stage::Filter {
                    collect.todo = self.todo.minus(scan.named);
                    collect.stage = Stage::Gather;
                } else {
                    collect.doomed = self.doomed.and(self.left.minus(scan.named));
                    collect.stage = Stage::Unlink;
                }
            }
            collect.settle(&mut next, who);
            out.push((label, next));
        });
    }

    /// Open, lock, link count and tickets in one step: only ends of tickets and the closing of other locks could come between,
    /// and each of these before the whole step gives the same.
    fn step_gather(self, world: &World, bounds: &Bounds, who: usize, out: &mut Steps) {
        let waits = bounds.has(Weakening::CollectorWaits);
        let choice = if waits { self.todo } else { Set::EMPTY };
        let first = self.todo.first().map_or(Set::EMPTY, Set::of);
        for number in choice.and(first).iter() {
            let segment = &world.segments[number];
            let mut next = *world;
            let mut collect = self;
            collect.todo.remove(number);
            let lockless = bounds.has(Weakening::CollectUnlocked);
            if waits && segment.named && !segment.locked_by.is_empty() {
                continue;
            }
            let busy = segment.named && !segment.locked_by.is_empty() && !lockless;
            if busy && bounds.batch && !bounds.has(Weakening::LaterIsNever) {
                next.processes[who].later.add(number);
            }
            let heeded = self.why != Why::Press && !bounds.has(Weakening::TicketsIgnored);
            let keeps = !segment.named || busy || (world.ticketed(number) && heeded);
            let mut act = Act::CollectorLeaves;
            if !keeps {
                act = Act::CollectorLocks;
                collect.left.add(number);
                if !lockless {
                    next.segments[number].locked_by = Set::of(who);
                }
                let own = world.ledgers[who].ids.has(number);
                if self.why == Why::Press && bounds.has(Weakening::PressScansNot) {
                    collect.doomed.add(number);
                }
                if world.processes[who].sole.has(number) && !segment.handed_out && !own {
                    act = Act::CollectorNeedsNoScan;
                    collect.doomed.add(number);
                }
            }
            collect.settle(&mut next, who);
            out.push((step(who, act, number as u8), next));
        }
    }

    fn step_unlink(mut self, world: &World, _bounds: &Bounds, who: usize, out: &mut Steps) {
        let mut next = *world;
        if let Some(number) = self.doomed.first() {
            self.doomed.remove(number);
            let flies = self.why == Why::Press && world.ticketed(number);
            next.segments[number].named = false;
            next.segments[number].gave_way = flies;
            next.processes[who].op = Op::Collect(self);
            let act = if flies { Act::UnlinkFlying } else { Act::UnlinkIdle };
            out.push((step(who, act, number as u8), next));
            return;
        }
        for number in self.left.iter() {
            next.close_segment(number, who);
        }
        self.left = Set::EMPTY;
        self.settle(&mut next, who);
        out.push((step(who, Act::CollectorUnlocks, 0), next));
    }

    /// Writes the collect back, moved on as far as no act is needed.
    fn settle(mut self, world: &mut World, who: usize) {
        if self.stage == Stage::Gather && self.todo.is_empty() {
            self.stage = if self.left.minus(self.doomed).is_empty() { Stage::Unlink } else { Stage::Scan };
        }
        if self.stage == Stage::Unlink && self.left.is_empty() {
            match self.why {
                Why::Exit => world.kill(who),
                Why::Release | Why::Sweep | Why::Press => world.processes[who].op = Op::Idle,
            }
        } else {
            world.processes[who].op = Op::Collect(self);
        }
    }
}
