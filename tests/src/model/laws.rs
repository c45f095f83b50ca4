//! What must be true: in every state, and after everybody has stopped.

use std::fmt;

use super::bounds::Bounds;
use super::collect::Why;
use super::set::Set;
use super::steps::{Steps, act, waits_for};
use super::world::{Left, Life, Op, PROCESSES, Process, Reference, World};

/// A law that does not hold in some state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// A segment that a living process holds keeps its name, unless somebody frees it.
    HeldSegmentStays,
    /// A segment with a reference in flight keeps its name, unless somebody frees it, or it gives way in a full store.
    FlyingSegmentStays,
    /// A living process's ledger is in the store, locked, and names what it holds.
    LivingLedgerStays,
    /// When nobody is doing anything, no ledger of the dead is locked.
    DeadLedgerIsUnlocked,
    /// When nobody is doing anything, a segment that is idle is in somebody's batch. Asked where nobody was killed, exited or swept,
    /// and no ticket has ended; after these it is a sweep that remembers.
    NothingForgotten,
    /// Who waits for a lock waits for somebody who will let go of it.
    WaitEnds,
    /// Once everybody is dead and every ticket has ended, one sweep of a newcomer leaves an empty store.
    NewcomerEmptiesStore,
    /// When nobody is doing anything, one sweep of a survivor leaves only what is held or in flight, and the ledgers of the living.
    SurvivorTidies,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The first law broken in this state, of those that a look at the state itself decides.
pub fn broken_now(world: &World, bounds: &Bounds) -> Option<Law> {
    let named = world.named_segments();
    let (mut freed, mut gave_way) = (Set::EMPTY, Set::EMPTY);
    for (number, segment) in world.segments.iter().enumerate() {
        if segment.freed {
            freed.add(number);
        }
        if segment.gave_way {
            gave_way.add(number);
        }
    }
    for who in world.living() {
        let process = &world.processes[who];
        if !process.holds.within(named.and(freed)) {
            return Some(Law::HeldSegmentStays);
        }
        let ledger = &world.ledgers[who];
        let making = matches!(process.op, Op::Errand(errand) if errand.making_ledger());
        let lost = ledger.locked_by.has(who) && !making && !ledger.named;
        let unlocked = ledger.named && ledger.locked_by.is_empty() && !exiting(process) && !making;
        if lost || unlocked || !process.holds.within(ledger.ids) {
            return Some(Law::LivingLedgerStays);
        }
    }
    for reference in &world.references {
        let flies = reference.made && !reference.claimed && !reference.ended;
        if flies && !named.and(freed).and(gave_way).has(usize::from(reference.segment)) {
            return Some(Law::FlyingSegmentStays);
        }
    }
    if quiet(world) {
        for ledger in 0..PROCESSES {
            if !world.alive(ledger) && !world.ledgers[ledger].locked_by.is_empty() {
                return Some(Law::DeadLedgerIsUnlocked);
            }
        }
        if bounds.batch && bounds.kills == 0 && bounds.sweeps == 0 && !remembered(world) {
            return Some(Law::NothingForgotten);
        }
    }
    (!waits_end(world, bounds)).then_some(Law::WaitEnds)
}

/// Whether each segment is held, ticketed, in a batch, or one whose ticket has ended.
fn remembered(world: &World) -> bool {
    let mut known = Set::EMPTY;
    for process in &world.processes {
        known = known.and(process.holds).and(process.later);
    }
    for reference in &world.references {
        if reference.ended {
            known.add(usize::from(reference.segment));
        }
    }
    let mut named = world.named_segments().iter();
    named.all(|segment| known.has(segment) || world.ticketed(segment))
}

fn exiting(process: &Process) -> bool {
    matches!(process.op, Op::Collect(collect) if collect.why == Why::Exit)
}

/// Whether nobody is doing anything.
pub fn quiet(world: &World) -> bool {
    world.processes.iter().all(|process| process.op == Op::Idle)
}

/// Whether every waiting process is at the end of a chain of processes of which the last one moves.
fn waits_end(world: &World, bounds: &Bounds) -> bool {
    let mut moving = Set::EMPTY;
    let mut waiting = Set::EMPTY;
    for who in world.living() {
        if waits_for(world, bounds, who).is_some() {
            waiting.add(who);
        } else if world.processes[who].op != Op::Idle {
            moving.add(who);
        }
    }
    while !waiting.is_empty() {
        let freed =
            waiting.iter().find(|&who| waits_for(world, bounds, who).is_some_and(|holders| holders.within(moving)));
        let Some(who) = freed else { return false };
        waiting.remove(who);
        moving.add(who);
    }
    true
}

/// The state after everybody was killed in this one and every ticket has ended.
pub fn aftermath(world: &World) -> World {
    let mut after = *world;
    for who in 0..PROCESSES {
        after.kill(who);
    }
    for slot in after.segments.iter_mut() {
        slot.slots = Default::default();
        slot.overflow = Set::EMPTY;
        slot.locked_by = Set::EMPTY;
        slot.begun = true;
        slot.freed = false;
        slot.gave_way = false;
    }
    after.references = [Reference::default(); super::world::REFERENCES];
    after.left = Left::default();
    after.canonical().0
}

/// Whether a newcomer's sweep empties the store of this aftermath.
pub fn newcomer_empties(aftermath: &World, bounds: &Bounds) -> bool {
    let mut world = *aftermath;
    // A newcomer without a ledger: that its number is that of some dead one's ledger does not matter.
    world.processes[0].life = Life::Alive;
    sweep_alone(&mut world, 0, bounds) && world.named_segments().is_empty() && world.named_ledgers().is_empty()
}

/// Whether each survivor's sweep of this quiet state leaves only what it should.
pub fn survivors_tidy(world: &World, bounds: &Bounds) -> bool {
    world.living().all(|who| {
        let mut after = *world;
        if !sweep_alone(&mut after, who, bounds) {
            return false;
        }
        let mut wanted = Set::EMPTY;
        let mut ledgers = Set::EMPTY;
        for other in after.living() {
            wanted = wanted.and(after.ledgers[other].ids);
            if after.has_ledger(other) {
                ledgers.add(other);
            }
        }
        after.named_ledgers().within(ledgers)
            && after.named_segments().iter().all(|segment| wanted.has(segment) || after.ticketed(segment))
    })
}

/// One whole sweep with nobody else moving; false when it does not end.
fn sweep_alone(world: &mut World, who: usize, bounds: &Bounds) -> bool {
    world.begin_sweep(who, Why::Sweep, bounds);
    let mut steps = Steps::new();
    for _ in 0..200 {
        if world.processes[who].op == Op::Idle {
            return true;
        }
        steps.clear();
        act(world, bounds, who, &mut steps);
        let Some((_, next)) = steps.first() else {
            return false;
        };
        *world = *next;
    }
    false
}
