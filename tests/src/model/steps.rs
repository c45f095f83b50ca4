//! Everything that can happen next in a state.

use std::fmt;

use super::bounds::{Bounds, Weakening};
use super::collect::{Collect, Why};
use super::errand::{Errand, NONE};
use super::fork::{step_child, step_fork_amid};
use super::script::{Act, Verb};
use super::set::Set;
use super::world::{Life, Op, PROCESSES, World};

/// What happens, and the state after it.
pub type Steps = Vec<(Step, World)>;

/// One atomic thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// To which process, or by which.
    pub who: u8,
    /// What.
    pub act: Act,
    /// The segment, reference, ledger or child it is about, as the act says.
    pub on: u8,
}

/// Short for the struct.
pub fn step(who: usize, act: Act, on: u8) -> Step {
    Step { who: who as u8, act, on }
}

impl Step {
    /// The same step with the processes' names.
    pub fn renamed(self, names: &[u8]) -> Step {
        let on_process = self.act.on_process();
        Step {
            who: names[usize::from(self.who)],
            on: if on_process { names[usize::from(self.on)] } else { self.on },
            ..self
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.act {
            Act::TicketEnds => write!(f, "time: ticket {} ends", self.on),
            act if self.on == NONE => write!(f, "P{}: {act:?}", self.who),
            act => write!(f, "P{}: {act:?} {}", self.who, self.on),
        }
    }
}

/// Everything that can happen next.
pub fn next_steps(world: &World, bounds: &Bounds, out: &mut Steps) {
    out.clear();
    for who in world.living() {
        if world.left.kills > 0 {
            let mut killed = *world;
            killed.kill(who);
            if world.left.kills != Bounds::ANY {
                killed.left.kills -= 1;
            }
            out.push((step(who, Act::Kill, NONE), killed));
        }
        act(world, bounds, who, out);
    }
    for (number, reference) in world.references.iter().enumerate() {
        if reference.ended || !world.segments[usize::from(reference.segment)].named {
            continue;
        }
        let segment = &world.segments[usize::from(reference.segment)];
        if segment.slots.contains(&(number as u8 + 1)) || segment.overflow.has(number) {
            let mut next = *world;
            next.references[number].ended = true;
            out.push((step(0, Act::TicketEnds, number as u8), next));
        }
    }
}

/// What the process can do next of its own.
pub fn act(world: &World, bounds: &Bounds, who: usize, out: &mut Steps) {
    match world.processes[who].op {
        Op::Idle => begin(world, bounds, who, out),
        Op::Errand(errand) => {
            errand.step(world, bounds, who, out);
            let locks = |s: &super::world::Segment| s.locked_by.has(who);
            if bounds.has(Weakening::ForkAmidStep) && world.segments.iter().any(locks) {
                if let Some(child) = unborn(world) {
                    step_fork_amid(world, bounds, who, child, out);
                }
            }
        }
        Op::Collect(collect) => collect.step(world, bounds, who, out),
        Op::Child(parent) => step_child(world, bounds, who, usize::from(parent), out),
    }
}

/// For whom the process waits.
pub fn waits_for(world: &World, bounds: &Bounds, who: usize) -> Option<Set> {
    match world.processes[who].op {
        Op::Errand(errand) => errand.waits_for(world, bounds),
        Op::Collect(collect) => collect.waits_for(world, bounds),
        Op::Idle | Op::Child(_) => None,
    }
}

/// A child nobody is forking.
fn unborn(world: &World) -> Option<usize> {
    let taken = |child: usize| {
        world.processes.iter().any(|process| matches!(process.op, Op::Errand(errand) if errand.child() == Some(child)))
    };
    (0..PROCESSES).find(|&child| world.processes[child].life == Life::Unborn && !taken(child))
}

/// What an idle process can begin. Beginning does the first act too.
fn begin(world: &World, bounds: &Bounds, who: usize, out: &mut Steps) {
    let segments = usize::from(bounds.segments);
    if let Some(new) = (0..segments).find(|&number| !world.segments[number].begun) {
        let mut next = *world;
        next.segments[new].begun = true;
        Errand::new(world, who, Verb::Seal, new, NONE).step(&next, bounds, who, out);
    }
    for held in world.processes[who].holds.iter() {
        begin_export(world, bounds, who, held, out);
        withdraw(world, bounds, who, held, out);
    }
    let later = world.processes[who].later;
    if !later.is_empty() {
        let mut next = *world;
        next.processes[who].later = Set::EMPTY;
        next.processes[who].op = Op::Collect(Collect::release(later));
        out.push((step(who, Act::CollectBatch, NONE), next));
    }
    begin_attach(world, bounds, who, out);
    for number in world.named_segments().iter() {
        if world.left.frees > 0 {
            let mut next = *world;
            next.left.frees -= 1;
            Errand::new(world, who, Verb::Free, number, NONE).step(&next, bounds, who, out);
        }
    }
    if world.left.sweeps > 0 {
        let mut next = *world;
        next.left.sweeps -= 1;
        next.begin_sweep(who, Why::Sweep, bounds);
        out.push((step(who, Act::BeginSweep, NONE), next));
        out.push((step(who, Act::BeginExit, NONE), exit(world, bounds, who)));
    }
    if world.left.presses > 0 {
        let mut next = *world;
        next.left.presses -= 1;
        next.begin_sweep(who, Why::Press, bounds);
        out.push((step(who, Act::BeginPress, NONE), next));
    }
    if let Some(child) = unborn(world) {
        let with = child as u8;
        if world.has_ledger(who) {
            Errand::new(world, who, Verb::Fork, 0, with).step(world, bounds, who, out);
        }
        if !world.has_ledger(who) || bounds.full_store {
            Errand::new(world, who, Verb::ForkBare, 0, with).step(world, bounds, who, out);
        }
    }
}

fn begin_export(world: &World, bounds: &Bounds, who: usize, held: usize, out: &mut Steps) {
    let unmade = |&number: &usize| !world.references[number].begun;
    let Some(reference) = (0..usize::from(bounds.references)).find(unmade) else {
        return;
    };
    let mut next = *world;
    next.references[reference].begun = true;
    next.references[reference].segment = held as u8;
    let export = Errand::new(world, who, Verb::Export, held, reference as u8);
    export.step(&next, bounds, who, out);
}

/// The last view goes. The collect follows at once (a large segment) or later (a small one).
fn withdraw(world: &World, bounds: &Bounds, who: usize, held: usize, out: &mut Steps) {
    let mut next = *world;
    next.processes[who].holds.remove(held);
    next.ledgers[who].ids.remove(held);
    let mut batched = next;
    if bounds.batch {
        batched.processes[who].later.add(held);
    }
    out.push((step(who, Act::Withdraw, held as u8), batched));
    next.processes[who].op = Op::Collect(Collect::release(Set::of(held)));
    out.push((step(who, Act::WithdrawAndCollect, held as u8), next));
}

/// Only of segments that are still there: finding nothing at once teaches nothing.
fn begin_attach(world: &World, bounds: &Bounds, who: usize, out: &mut Steps) {
    for (number, reference) in world.references.iter().enumerate() {
        let segment = usize::from(reference.segment);
        if world.left.attaches > 0 && reference.made && world.segments[segment].named {
            let mut next = *world;
            next.left.attaches -= 1;
            let attach = Errand::new(world, who, Verb::Attach, segment, number as u8);
            attach.step(&next, bounds, who, out);
        }
    }
    if world.left.attaches_by_id > 0 {
        for segment in world.named_segments().iter() {
            if !world.processes[who].holds.has(segment) {
                let mut next = *world;
                next.left.attaches_by_id -= 1;
                let attach = Errand::new(world, who, Verb::Attach, segment, NONE);
                attach.step(&next, bounds, who, out);
            }
        }
    }
}

/// The process lets go of everything by closing its ledger, and sweeps.
fn exit(world: &World, bounds: &Bounds, who: usize) -> World {
    let mut next = *world;
    next.left.sweeps -= 1;
    next.processes[who].holds = Set::EMPTY;
    next.processes[who].sole = Set::EMPTY;
    next.ledgers[who].locked_by.remove(who);
    next.begin_sweep(who, Why::Exit, bounds);
    next
}
