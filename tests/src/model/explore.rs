//! The search: breadth first, so the first counterexample is a shortest one.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::{Duration, Instant};

use super::bounds::Bounds;
use super::laws::{Law, aftermath, broken_now, newcomer_empties, quiet, survivors_tidy};
use super::script::Act;
use super::steps::{Step, Steps, next_steps};
use super::world::{Left, PROCESSES, World};

/// What an exploration found.
#[derive(Debug)]
pub struct Report {
    /// Different states, up to the numbers of processes.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// Steps to the state farthest from the start.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// The acts that were taken anywhere.
    pub acts: HashSet<Act>,
    /// A shortest way to break a law.
    pub counterexample: Option<Counterexample>,
}

/// A law, and the steps after which it is broken.
#[derive(Debug)]
pub struct Counterexample {
    /// The law.
    pub law: Law,
    /// The steps from the start.
    pub steps: Vec<Step>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} states, {} steps, depth {}, {:.1} s",
            self.states,
            self.steps,
            self.depth,
            self.time.as_secs_f64()
        )?;
        match &self.counterexample {
            None => write!(f, ", every law holds"),
            Some(counterexample) => write!(f, "\n{counterexample}"),
        }
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken in {} steps", self.law, self.steps.len())?;
        for step in &self.steps {
            write!(f, "\n  {step}")?;
        }
        Ok(())
    }
}

/// Visits every state that `bounds` allow, or as many as it takes to break a law.
pub fn explore(bounds: &Bounds) -> Report {
    explore_after(bounds, &[])
}

/// The same, but only the states that follow on `way`: each process's next acts, with its number.
///
/// # Panics
///
/// If `way` cannot be gone.
pub fn explore_after(bounds: &Bounds, way: &[(u8, Act)]) -> Report {
    let start = Instant::now();
    let mut search = Search::new(bounds, way);
    search.visit(search.first.canonical().0, 0);
    let mut steps = Steps::new();
    let mut at = 0;
    let mut depth = 0;
    let mut level_ends = 1;
    let mut broken = None;
    while broken.is_none() && at < search.states.len() {
        if at == level_ends {
            depth += 1;
            level_ends = search.states.len();
        }
        let world = search.states[at].0;
        broken = search.judge(&world).map(|law| (law, at));
        next_steps(&world, bounds, &mut steps);
        search.steps += steps.len();
        for (step, next) in &steps {
            search.acts |= 1 << (step.act as u64);
            search.visit(next.canonical().0, at as u32);
        }
        at += 1;
    }
    let acts = search.acts;
    Report {
        states: search.states.len(),
        steps: search.steps,
        depth,
        time: start.elapsed(),
        acts: Act::ALL.iter().copied().filter(|&act| acts & (1 << (act as u64)) != 0).collect(),
        counterexample: broken.map(|(law, at)| Counterexample { law, steps: search.way_to(at) }),
    }
}

type Fast<K, V> = HashMap<K, V, BuildHasherDefault<WordHasher>>;

struct Search<'a> {
    bounds: &'a Bounds,
    /// Where it starts, before any renumbering, and how that was reached.
    first: World,
    way: Vec<Step>,
    /// Every state, with the one it was reached from.
    states: Vec<(World, u32)>,
    /// The number of a state by its hash; on a collision the next hash is taken, so states are told apart exactly.
    numbers: Fast<u64, u32>,
    steps: usize,
    acts: u64,
    judged: HashSet<World, BuildHasherDefault<WordHasher>>,
}

impl<'a> Search<'a> {
    fn new(bounds: &'a Bounds, acts: &[(u8, Act)]) -> Self {
        let mut first = World::first(bounds);
        let mut way = vec![];
        let mut steps = Steps::new();
        for (who, act) in acts {
            next_steps(&first, bounds, &mut steps);
            let fits = |(step, _): &&(Step, World)| step.who == *who && step.act == *act;
            let (step, next) = steps.iter().find(fits).unwrap_or_else(|| panic!("process {who} cannot {act:?} here"));
            way.push(*step);
            first = *next;
        }
        Search {
            bounds,
            first,
            way,
            states: Vec::new(),
            numbers: Fast::default(),
            steps: 0,
            acts: 0,
            judged: HashSet::default(),
        }
    }

    fn visit(&mut self, world: World, from: u32) {
        let mut hasher = WordHasher::default();
        world.hash(&mut hasher);
        let mut hash = hasher.finish();
        while let Some(&number) = self.numbers.get(&hash) {
            if self.states[number as usize].0 == world {
                return;
            }
            hash = hash.wrapping_add(1);
        }
        self.numbers.insert(hash, self.states.len() as u32);
        self.states.push((world, from));
    }

    fn judge(&mut self, world: &World) -> Option<Law> {
        if let Some(law) = broken_now(world, self.bounds) {
            return Some(law);
        }
        let after = aftermath(world);
        if self.judged.insert(after) && !newcomer_empties(&after, self.bounds) {
            return Some(Law::NewcomerEmptiesStore);
        }
        if quiet(world) {
            let mut alone = *world;
            alone.left = Left::default();
            if self.judged.insert(alone) && !survivors_tidy(&alone, self.bounds) {
                return Some(Law::SurvivorTidies);
            }
        }
        None
    }

    /// The steps to a state, with the numbers that the processes had at the start.
    fn way_to(&self, mut at: usize) -> Vec<Step> {
        let mut path = vec![];
        while at != 0 {
            path.push(at);
            at = self.states[at].1 as usize;
        }
        let mut steps = Steps::new();
        let mut way = self.way.clone();
        let mut names: [u8; PROCESSES] = [0, 1, 2, 3, 4];
        rename(&mut names, &self.first.canonical().1);
        while let Some(target) = path.pop() {
            let (target, from) = self.states[target];
            next_steps(&self.states[from as usize].0, self.bounds, &mut steps);
            let (step, to) = steps
                .iter()
                .find_map(|(step, next)| {
                    let (next, to) = next.canonical();
                    (next == target).then_some((*step, to))
                })
                .expect("every state on the way is a next one");
            way.push(step.renamed(&names));
            rename(&mut names, &to);
        }
        way
    }
}

/// The names under new numbers.
fn rename(names: &mut [u8; PROCESSES], to: &[u8; PROCESSES]) {
    let before = *names;
    for (old, &new) in to.iter().enumerate() {
        names[usize::from(new)] = before[old];
    }
}

/// Multiply and rotate: the states are many and small, and nobody chooses them to collide.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
