//! Seal, export, attach, free and fork: one act at a time.

use super::bounds::{Bounds, Weakening};
use super::fork::clone_process;
use super::script::{Act, Verb, script};
use super::set::Set;
use super::steps::{Steps, step};
use super::world::{Op, World};

/// No reference.
pub const NONE: u8 = u8::MAX;

/// A verb under way.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Errand {
    /// Which.
    pub verb: Verb,
    /// The next act of its script.
    pub at: u8,
    /// The segment it is about; for a fork 0.
    pub segment: u8,
    /// The reference of an attach or export, or [`NONE`]; the child of a fork.
    pub with: u8,
}

impl Errand {
    /// The verb before its first act.
    pub fn new(world: &World, who: usize, verb: Verb, segment: usize, with: u8) -> Errand {
        let makes_ledger = matches!(verb, Verb::Seal | Verb::Attach);
        Errand { verb, at: if makes_ledger && world.has_ledger(who) { 2 } else { 0 }, segment: segment as u8, with }
    }

    /// The child being forked.
    pub fn child(&self) -> Option<usize> {
        matches!(self.verb, Verb::Fork | Verb::ForkBare).then_some(usize::from(self.with))
    }

    /// Whether the process has a ledger that nobody can see yet, or one not yet locked.
    pub fn making_ledger(&self) -> bool {
        matches!(self.verb, Verb::Seal | Verb::Attach) && self.at < 2
    }

    /// Follows a renumbering of the processes.
    pub fn rename(&mut self, to: &[u8]) {
        if let Some(child) = self.child() {
            self.with = to[child];
        }
    }

    /// Whether the next act has to wait, and for whom.
    pub fn waits_for(&self, world: &World, bounds: &Bounds) -> Option<Set> {
        let holders = world.segments[usize::from(self.segment)].locked_by;
        let act = script(self.verb, bounds)[usize::from(self.at)];
        (act == Act::Lock && !holders.is_empty()).then_some(holders)
    }

    /// Adds what may come of the next act.
    pub fn step(self, world: &World, bounds: &Bounds, who: usize, out: &mut Steps) {
        if self.waits_for(world, bounds).is_some() {
            return;
        }
        let acts = script(self.verb, bounds);
        let act = acts[usize::from(self.at)];
        let mut next = *world;
        let done = match act {
            Act::Map => {
                let mut failed = *world;
                self.fail(&mut failed, bounds, who);
                out.push((step(who, Act::MapFails, self.segment), failed));
                true
            }
            _ => self.perform(act, &mut next, bounds, who),
        };
        if !done {
            self.fail(&mut next, bounds, who);
            out.push((step(who, Act::Gone, self.segment), next));
            return;
        }
        let at = self.at + 1;
        next.processes[who].op = Op::Errand(Errand { at, ..self });
        if usize::from(at) == acts.len() {
            self.finish(&mut next, bounds, who);
        }
        out.push((step(who, act, self.subject(act)), next));
    }

    fn subject(&self, act: Act) -> u8 {
        match act {
            Act::WriteTicket | Act::Claim => self.with,
            _ => self.child().map_or(self.segment, |child| child as u8),
        }
    }

    /// Does one act; false when the segment turns out to be gone.
    pub fn perform(&self, act: Act, world: &mut World, bounds: &Bounds, who: usize) -> bool {
        let number = usize::from(self.segment);
        let with = usize::from(self.with);
        match act {
            Act::MakeLedger | Act::LockLedger => world.ledgers[who].locked_by = Set::of(who),
            Act::LinkLedger => world.link_ledger(who),
            Act::Publish => world.ledgers[who].ids.add(number),
            Act::LinkName => world.segments[number].named = true,
            Act::Open | Act::CheckLinkCount => return world.segments[number].named,
            Act::Lock => world.segments[number].locked_by = Set::of(who),
            Act::WriteTicket => self.write_ticket(world, bounds),
            Act::NoteHandedOut => world.segments[number].handed_out = true,
            Act::Claim => self.claim(world, bounds, who),
            Act::Unlock => world.close_segment(number, who),
            Act::UnlinkFreed => {
                world.segments[number].named = false;
                world.segments[number].freed = true;
            }
            Act::MakeChildLedger => {
                world.ledgers[with].locked_by = Set::of(who);
                if !bounds.has(Weakening::ForkNotedByParentOnly) && !bounds.has(Weakening::ShortCutDespiteFork) {
                    world.processes[who].sole = Set::EMPTY;
                }
            }
            Act::CopyLedger => world.ledgers[with].ids = world.ledgers[who].ids,
            Act::LinkChildLedger => world.link_ledger(with),
            Act::Clone => clone_process(self, world, bounds, who),
            Act::CloseChildLedger => world.ledgers[with].locked_by.remove(who),
            other => unreachable!("{other:?} is in no script"),
        }
        true
    }

    /// The attach or export ends with nothing done: by value, gone, or not mapped.
    fn fail(&self, world: &mut World, bounds: &Bounds, who: usize) {
        let number = usize::from(self.segment);
        let before = &script(self.verb, bounds)[..usize::from(self.at)];
        if self.with != NONE && before.contains(&Act::Claim) {
            world.references[usize::from(self.with)].claimed = false;
        }
        if !world.processes[who].holds.has(number) {
            world.ledgers[who].ids.remove(number);
        }
        world.close_segment(number, who);
        world.processes[who].op = Op::Idle;
    }

    fn finish(&self, world: &mut World, bounds: &Bounds, who: usize) {
        let number = usize::from(self.segment);
        let with = usize::from(self.with);
        world.processes[who].op = Op::Idle;
        match self.verb {
            Verb::Seal => {
                world.processes[who].holds.add(number);
                world.processes[who].sole.add(number);
            }
            Verb::Attach => {
                world.processes[who].holds.add(number);
                if self.with != NONE {
                    world.references[with].claimed = true;
                }
            }
            Verb::Export => world.references[with].made = true,
            Verb::Fork if !bounds.has(Weakening::ShortCutDespiteFork) => {
                world.processes[who].sole = Set::EMPTY;
            }
            Verb::Free | Verb::Fork | Verb::ForkBare => {}
        }
    }

    /// A slot that is free or whose ticket has ended; else the overflow.
    fn write_ticket(&self, world: &mut World, bounds: &Bounds) {
        let ended = world.references.map(|reference| reference.ended);
        let segment = &mut world.segments[usize::from(self.segment)];
        let slots = &mut segment.slots[..usize::from(bounds.slots)];
        let free = |&slot: &u8| slot == 0 || ended[usize::from(slot) - 1];
        if let Some(place) = slots.iter().position(free) {
            slots[place] = self.with + 1;
        } else if bounds.has(Weakening::NoOverflow) {
            slots[0] = self.with + 1;
        } else {
            segment.overflow.add(usize::from(self.with));
        }
    }

    /// Clears the ticket's slot, if it has one. The claim is good if the claimant is in its ledger.
    fn claim(&self, world: &mut World, bounds: &Bounds, who: usize) {
        if self.with == NONE {
            return;
        }
        if world.ledgers[who].ids.has(usize::from(self.segment)) {
            world.references[usize::from(self.with)].claimed = true;
        }
        let any = bounds.has(Weakening::ClaimAnyTicket);
        for slot in &mut world.segments[usize::from(self.segment)].slots {
            if *slot == self.with + 1 || any {
                *slot = 0;
            }
        }
    }
}
