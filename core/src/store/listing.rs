//! What a store has, for people who look.
//!
//! - Segments by their names; and what was freed, which has no name any more, by the ledgers of those who still hold it.
//! - Nothing is locked while a segment is looked at: what is told of it was true a moment ago.

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;

use super::footprint::{Files, Footprint, footprint};
use super::ledger::Entry;
use super::scan::{Owner, each_entry};
use super::{Store, collect, control, fork, memory};
use crate::segment::read_whole;
use crate::{Header, NodeId, SegmentId, Sent, sys};

/// A segment as a listing shows it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its id.
    pub id: SegmentId,
    /// Bytes of its file.
    pub size: u64,
    /// When it was made, in seconds since 1970; 0 if its bytes cannot be believed.
    pub created: u64,
    /// Its name, if it is memory with one.
    pub name: Option<String>,
    /// What it says of itself, if its bytes can be believed; `None` too if it was freed.
    pub about: Option<About>,
}

/// What a segment says of itself.
#[derive(Debug, Clone)]
pub struct About {
    /// Its header.
    pub header: Header,
    /// The strategy of what was shared.
    pub strategy: String,
    /// Elements of it.
    pub length: u64,
}

/// The same, and who has it.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The segment.
    pub listed: Listed,
    /// Whether it was freed: it has no name, and memory until its holders have let go.
    pub freed: bool,
    /// Processes that hold it, by their numbers in their own pid spaces.
    pub holders: Vec<u32>,
    /// References in flight that have tickets of their own.
    pub in_flight: usize,
    /// Whether there are more.
    pub more_in_flight: bool,
    /// References to it that were serialized, those of other processes perhaps a little late; `None` if that cannot be read, or it was freed.
    pub sent: Option<Sent>,
}

/// A living process that holds segments.
#[derive(Debug, Clone)]
pub struct Holding {
    /// Its number in its own pid space.
    pub pid: u32,
    /// How many segments it holds.
    pub segments: usize,
    /// What that costs it; `None` if it cannot be looked at from here.
    pub footprint: Option<Footprint>,
}

impl Store {
    /// What the store has, after collecting, and after naming what waits in this process. Not what was freed.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<Listed>> {
        self.name_waiting();
        self.sweep();
        let ids = collect::names(&self.0.segments)?;
        Ok(ids.into_iter().filter_map(|id| self.look_at(id).ok().map(|(listed, _)| listed)).collect())
    }

    /// The same with who has it; also what was freed and is still held.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn report(&self) -> io::Result<Vec<Reported>> {
        self.name_waiting();
        self.count_sent();
        self.sweep();
        let before = self.census()?;
        let mut reports = HashMap::new();
        for id in collect::names(&self.0.segments)? {
            let Ok((listed, control)) = self.look_at(id) else { continue };
            let (in_flight, more_in_flight) = control.as_ref().map_or((0, false), |c| c.in_flight(sys::now()));
            let (holders, sent) = (Vec::new(), control.map(|c| c.sent()));
            reports.insert(id, Reported { listed, freed: false, holders, in_flight, more_in_flight, sent });
        }
        for (id, (entry, holders)) in self.census()? {
            match reports.entry(id) {
                Occupied(report) => report.into_mut().holders = holders,
                // Held before and after we looked for its name; a maker that is about to give it one was not there before.
                Vacant(place) if before.contains_key(&id) && !self.has(id) => {
                    let listed = Listed { id, size: entry.len, created: entry.created, name: None, about: None };
                    place.insert(Reported {
                        listed,
                        freed: true,
                        holders,
                        in_flight: 0,
                        more_in_flight: false,
                        sent: None,
                    });
                }
                Vacant(_) => {}
            }
        }
        Ok(reports.into_values().collect())
    }

    /// Who holds anything, and what that costs; the process with the lowest number first.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn holdings(&self) -> io::Result<Vec<Holding>> {
        let mut held: HashMap<Owner, HashSet<SegmentId>> = HashMap::new();
        let step = fork::step();
        each_entry(&self.0.ledgers, &step, |owner, entry| {
            held.entry(owner).or_default().insert(entry.id);
        })?;
        drop(step);
        let named = collect::names(&self.0.segments)?;
        let metadata = named.into_iter().filter_map(|id| std::fs::symlink_metadata(self.segment_path(id)).ok());
        let files = Files::new(&self.0.segments, metadata.map(|file| (file.dev(), file.ino())).collect());
        let holding = |(owner, ids): (Owner, HashSet<_>)| {
            let footprint = footprint(owner.pid, owner.ledger, &files);
            Holding { pid: owner.pid, segments: ids.len(), footprint }
        };
        let mut holdings: Vec<_> = held.into_iter().map(holding).collect();
        holdings.sort_by_key(|holding| holding.pid);
        Ok(holdings)
    }

    /// How often each segment that this process has open is referred to in it.
    pub fn readers(&self) -> HashMap<SegmentId, usize> {
        self.0.state.lock().live.iter().map(|(id, live)| (*id, live.segment.strong_count())).collect()
    }

    /// What living processes hold, and which.
    fn census(&self) -> io::Result<HashMap<SegmentId, (Entry, Vec<u32>)>> {
        let mut held = HashMap::new();
        let step = fork::step();
        each_entry(&self.0.ledgers, &step, |Owner { pid, .. }, entry| {
            let (_, holders): &mut (_, Vec<_>) = held.entry(entry.id).or_insert((entry, Vec::new()));
            // Freed and allocated again under its name, it may be in one ledger twice.
            if !holders.contains(&pid) {
                holders.push(pid);
            }
        })?;
        Ok(held)
    }

    fn look_at(&self, id: SegmentId) -> io::Result<(Listed, Option<crate::Control>)> {
        let file = sys::open(&self.segment_path(id), false)?;
        let size = file.metadata()?.len();
        let unknown = Listed { id, size, created: 0, name: None, about: None };
        let Ok((header, table)) = read_whole(&file, Some(id)) else { return Ok((unknown, None)) };
        let root = table.node(NodeId(header.root));
        let about = About { strategy: table.strategy_of(&root).to_owned(), length: root.length, header };
        let listed =
            Listed { created: about.header.created, name: memory::name(&file, &table), about: Some(about), ..unknown };
        Ok((listed, control::read(&file).ok()))
    }

    /// Bytes of all files that have a name.
    pub(super) fn used(&self) -> u64 {
        let ids = collect::names(&self.0.segments).unwrap_or_default();
        let sizes = ids.into_iter().filter_map(|id| std::fs::symlink_metadata(self.segment_path(id)).ok());
        sizes.map(|file| file.len()).sum()
    }
}
