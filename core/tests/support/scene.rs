//! What surrounds an operation that suffers a fault: who is there before and after it, and what they must find.

use std::collections::HashMap;

use super::puppet::{Puppet, Stage};

/// Milliseconds of grace that end only after the test.
pub const LONG: u32 = 600_000;
/// Numbers of a value whose segment is copied.
pub const SMALL: u32 = 10;
/// Numbers of a value whose segment is mapped.
pub const MAPPED: u32 = 5_000;
/// Numbers of a value whose segment is collected at once.
pub const LARGE: u32 = 140_000;

/// Who is there, and what they know.
pub struct Scene {
    pub stage: Stage,
    pub actor: Puppet,
    /// Whether the actor does.
    pub lives: bool,
    pub bystander: Puppet,
    /// Once the fault was.
    pub newcomer: Option<Puppet>,
    /// Of a fork.
    pub child: Option<Puppet>,
    /// A write gave an error: an entry that could not be cleared stays until its place is taken, or its process ends.
    pub ledgers_may_lag: bool,
    /// What the store had when the fault was over.
    pub after: Vec<String>,
    /// Ids and tickets.
    pub words: HashMap<&'static str, String>,
}

impl Scene {
    pub fn new() -> Scene {
        let stage = Stage::new();
        let (mut bystander, actor) = (stage.puppet(), stage.puppet());
        let mut words = HashMap::new();
        words.insert("held", bystander.ask(&format!("share held 2 {MAPPED}")));
        leave_dead_things(&stage);
        words.insert("flying", bystander.ask(&format!("share flying 3 {SMALL}")));
        words.insert("flight", bystander.ask(&format!("export flying {LONG}")));
        bystander.ask("drop flying");
        Scene {
            stage,
            actor,
            lives: true,
            bystander,
            newcomer: None,
            child: None,
            ledgers_may_lag: false,
            after: Vec::new(),
            words,
        }
    }

    pub fn word(&self, name: &str) -> String {
        self.words[name].clone()
    }

    pub fn newcomer(&mut self) -> &mut Puppet {
        self.newcomer.as_mut().expect("after the fault")
    }

    pub fn actor_makes(&mut self, how: &str, name: &'static str, seed: u32, n: u32) {
        let id = self.actor.ask(&format!("{how} {name} {seed} {n}"));
        self.words.insert(name, id);
    }

    /// The actor's first share, after which it has a ledger and has just swept.
    pub fn actor_has_shared(&mut self) {
        self.actor.ask(&format!("share first 8 {SMALL}"));
    }

    pub fn bystander_attaches(&mut self, name: &'static str) {
        let ticket = self.actor.ask(&format!("export {name} {LONG}"));
        let id = &self.words[name];
        self.bystander.expect(&format!("attach {name} {id} {ticket}"), "attached");
    }

    /// What a living process holds is right, stays, and can be sent.
    pub fn actor_has(&mut self, how: &str, name: &str, id: &str, seed: u32, n: u32) {
        self.actor.expect(&format!("{how} {name} {seed} {n}"), "right");
        self.newcomer().ask("sweep");
        let ticket = self.actor.ask(&format!("export {name} {LONG}"));
        self.newcomer_gets(how, name, id, &ticket, seed, n);
    }

    pub fn bystander_has(&mut self, name: &str, seed: u32, n: u32) {
        self.bystander.expect(&format!("same {name} {seed} {n}"), "right");
        let ticket = self.bystander.ask(&format!("export {name} {LONG}"));
        self.newcomer_gets("same", name, &self.word(name), &ticket, seed, n);
    }

    pub fn newcomer_gets(&mut self, how: &str, name: &str, id: &str, ticket: &str, seed: u32, n: u32) {
        let newcomer = self.newcomer();
        newcomer.expect(&format!("attach {name} {id} {ticket}"), "attached");
        newcomer.expect(&format!("{how} {name} {seed} {n}"), "right");
        newcomer.ask(&format!("drop {name}"));
    }

    /// Ids that a ledger has and the store has not, but for those that were freed.
    pub fn entries_of_nothing(&self) -> Vec<String> {
        let there = super::segments(&self.stage.store());
        let known = |id: &String| there.contains(id) || self.words.values().any(|word| word == id);
        let ledgers = super::ledgers(&self.stage.store()).into_iter();
        let bytes = ledgers.flat_map(|name| std::fs::read(self.stage.store().join("ledgers").join(name)));
        let ids = bytes.flat_map(|b| b[64..].chunks_exact(32).map(|slot| hex(&slot[..16])).collect::<Vec<_>>());
        ids.filter(|id| *id != "0".repeat(32) && !known(id)).collect()
    }

    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.actor.pid)).unwrap().count()
    }
}

/// The ledger of a dead process, a segment it held, and files that two others were about to name.
pub fn leave_dead_things(stage: &Stage) {
    let (segments, ledgers) = (stage.store().join("segments"), stage.store().join("ledgers"));
    let first = |dir: &std::path::Path| std::fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
    for (dir, id) in [(&segments, "d"), (&ledgers, "e")] {
        std::fs::copy(first(dir), dir.join(id.repeat(32))).unwrap();
        std::fs::write(dir.join(format!(".{}", id.repeat(32))), "").unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// References in flight, as the control blocks have them (`docs/format.md`): of which segment, and the ticket.
pub fn tickets(stage: &Stage) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for id in super::segments(&stage.store()) {
        let bytes = std::fs::read(stage.store().join("segments").join(&id)).unwrap();
        let slots = bytes.get(192..192 + 64 * 16).unwrap_or(&[]).chunks_exact(16);
        let taken = slots.map(|slot| u64::from_le_bytes(slot[..8].try_into().unwrap())).filter(|bits| *bits != 0);
        all.extend(taken.map(|bits| (id.clone(), bits)));
    }
    all
}
