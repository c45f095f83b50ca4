//! What fork(2) does, and the child's first step.

use super::bounds::{Bounds, Weakening};
use super::errand::Errand;
use super::script::{Act, Verb};
use super::set::Set;
use super::steps::{Steps, step};
use super::world::{Life, Op, Process, World};

/// fork(2): the child has every descriptor and all memory of the parent, and none of its threads.
pub fn clone_process(fork: &Errand, world: &mut World, bounds: &Bounds, parent: usize) {
    let child = usize::from(fork.with);
    let ledger = world.has_ledger(parent);
    if fork.verb == Verb::ForkBare {
        world.processes[parent].sole = Set::EMPTY;
    }
    for ledger in &mut world.ledgers {
        if ledger.locked_by.has(parent) {
            ledger.locked_by.add(child);
        }
    }
    for segment in &mut world.segments {
        if segment.locked_by.has(parent) {
            segment.locked_by.add(child);
        }
    }
    let closes = ledger && !bounds.has(Weakening::ChildKeepsParentLedger);
    let Process { holds, sole, later, .. } = world.processes[parent];
    let newborn = &mut world.processes[child];
    newborn.life = Life::Alive;
    newborn.op = if closes { Op::Child(parent as u8) } else { Op::Idle };
    newborn.sole = sole;
    newborn.later = later;
    if fork.verb == Verb::Fork {
        newborn.holds = holds;
    }
}

/// The child's part after a fork.
pub fn step_child(world: &World, bounds: &Bounds, child: usize, parent: usize, out: &mut Steps) {
    let mut next = *world;
    next.processes[child].op = Op::Idle;
    let act = if bounds.has(Weakening::ChildUnlocksParentLedger) {
        next.ledgers[parent].locked_by = Set::EMPTY;
        Act::UnlockParentLedger
    } else {
        next.ledgers[parent].locked_by.remove(child);
        Act::CloseParentLedger
    };
    out.push((step(child, act, parent as u8), next));
}

/// A thread of `who` forks while another one holds a segment's lock: the whole fork at once.
pub fn step_fork_amid(world: &World, bounds: &Bounds, who: usize, child: usize, out: &mut Steps) {
    let mut next = *world;
    let fork = Errand { verb: Verb::Fork, at: 0, segment: 0, with: child as u8 };
    for act in [Act::MakeChildLedger, Act::CopyLedger, Act::LinkChildLedger, Act::Clone] {
        fork.perform(act, &mut next, bounds, who);
    }
    next.ledgers[child].locked_by.remove(who);
    next.ledgers[who].locked_by.remove(child);
    next.processes[child].op = Op::Idle;
    out.push((step(who, Act::ForkAmidStep, child as u8), next));
}
