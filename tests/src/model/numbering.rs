//! Which states count as one: what nobody can see any more is forgotten, and processes are numbered in a fixed order.

use super::set::Set;
use super::world::{Op, PROCESSES, SLOTS, World};

impl World {
    /// Forgets what nobody can see any more, and numbers the processes in a fixed order, so that fewer states differ.
    ///
    /// Any renumbering is sound: no step depends on a number, so the futures are the same up to the numbers. The second result
    /// has the new number of each old one.
    pub fn canonical(mut self) -> (World, [u8; PROCESSES]) {
        for ledger in &mut self.ledgers {
            if !ledger.named && ledger.locked_by.is_empty() {
                ledger.ids = Set::EMPTY;
            }
        }
        for segment in &mut self.segments {
            if segment.begun && !segment.named {
                segment.handed_out = false;
                segment.slots = [0; SLOTS];
                segment.overflow = Set::EMPTY;
            }
        }
        let named = self.named_segments();
        for process in &mut self.processes {
            process.sole = process.sole.common(named);
            process.later = process.later.common(named);
        }
        let mut order = [0, 1, 2, 3, 4];
        let key = |&who: &usize| (self.processes[who], self.ledgers[who]);
        order.sort_by_key(key);
        let mut to = [0, 1, 2, 3, 4];
        if order.is_sorted() {
            return (self, to);
        }
        for (new, &old) in order.iter().enumerate() {
            to[old] = new as u8;
        }
        (self.renamed(&to), to)
    }

    fn renamed(&self, to: &[u8; PROCESSES]) -> World {
        let mut world = *self;
        for segment in &mut world.segments {
            segment.locked_by = segment.locked_by.renamed(to);
        }
        for old in 0..PROCESSES {
            let new = usize::from(to[old]);
            let mut ledger = self.ledgers[old];
            ledger.locked_by = ledger.locked_by.renamed(to);
            world.ledgers[new] = ledger;
            let mut process = self.processes[old];
            match &mut process.op {
                Op::Idle => {}
                Op::Errand(errand) => errand.rename(to),
                Op::Collect(collect) => collect.scan.rename(to),
                Op::Child(parent) => *parent = to[usize::from(*parent)],
            }
            world.processes[new] = process;
        }
        world.scanners = world.scanners.renamed(to);
        world.undertaker = world.undertaker.renamed(to);
        world
    }
}
