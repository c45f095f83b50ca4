//! The scan of the ledgers: repeated listings, locks tried, ids read, dead ledgers buried.

use super::bounds::{Bounds, Weakening};
use super::errand::NONE;
use super::script::Act;
use super::set::Set;
use super::steps::{Step, step};
use super::world::World;

/// A scan under way.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Scan {
    /// Where it is.
    pub stage: Stage,
    /// Names it has had from any listing.
    pub seen: Set,
    /// In a listing: names that were there when it began and are still there. It returns all of these.
    pub throughout: Set,
    /// In a listing: names linked or unlinked since it began. It returns any of these.
    pub perhaps: Set,
    /// Names of the last listing that are still to be looked at.
    pub todo: Set,
    /// Ledgers found dead.
    pub dead: Set,
    /// What it is for: the segments that ledgers of the living name.
    pub named: Set,
}

/// Where a scan is.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// About to take `LOCK_SH` on the directory.
    #[default]
    Enter,
    /// About to list.
    List,
    /// Amid getdents(2).
    Listing,
    /// Looking at the ledgers of the last listing.
    Look,
    /// The lock of this one was taken, by a living process: about to read it.
    Read(u8),
    /// The lock of this one could be had: about to unlink it (only under a weakening).
    Bury(u8),
    /// About to try `LOCK_EX` on the directory.
    Leave,
    /// Unlinking dead ledgers under it.
    Clean,
    /// Over.
    Done,
}

impl Scan {
    /// Follows a renumbering of the processes.
    pub fn rename(&mut self, to: &[u8]) {
        for set in [&mut self.seen, &mut self.throughout, &mut self.perhaps, &mut self.todo, &mut self.dead] {
            *set = set.renamed(to);
        }
        if let Stage::Read(ledger) | Stage::Bury(ledger) = &mut self.stage {
            *ledger = to[usize::from(*ledger)];
        }
    }

    /// Whether the next act has to wait, and for whom.
    pub fn waits_for(&self, world: &World) -> Option<Set> {
        (self.stage == Stage::Enter && !world.undertaker.is_empty()).then_some(world.undertaker)
    }

    /// Hands `emit` what may come of the next act.
    pub fn step(self, world: &World, bounds: &Bounds, who: usize, mut emit: impl FnMut(Step, World, Scan)) {
        let at_once = bounds.has(Weakening::LedgersVanishAmidListings);
        let mut next = *world;
        let mut scan = self;
        match self.stage {
            Stage::Enter => {
                if self.waits_for(world).is_some() {
                    return;
                }
                next.scanners.add(who);
                scan.stage = Stage::List;
                emit(step(who, Act::ShareLedgers, NONE), next, scan);
            }
            Stage::List => {
                scan.throughout = world.named_ledgers();
                scan.stage = Stage::Listing;
                emit(step(who, Act::BeginListing, NONE), next, scan);
            }
            Stage::Listing => {
                for extra in self.perhaps.subsets() {
                    let new = self.throughout.and(extra).minus(self.seen);
                    let mut scan = Scan {
                        throughout: Set::EMPTY,
                        perhaps: Set::EMPTY,
                        seen: self.seen.and(new),
                        todo: new,
                        stage: Stage::Look,
                        ..self
                    };
                    if new.is_empty() {
                        scan.stage = Stage::Leave;
                    }
                    emit(step(who, Act::EndListing, NONE), next, scan);
                }
            }
            Stage::Look => {
                for ledger in self.todo.iter() {
                    let mut scan = self;
                    scan.todo.remove(ledger);
                    if world.ledgers[ledger].named {
                        if !world.ledgers[ledger].locked_by.is_empty() {
                            scan.stage = Stage::Read(ledger as u8);
                        } else if at_once {
                            scan.stage = Stage::Bury(ledger as u8);
                        } else {
                            scan.dead.add(ledger);
                        }
                    }
                    let scan = scan.settled(bounds);
                    emit(step(who, Act::OpenLedger, ledger as u8), next, scan);
                }
            }
            Stage::Read(ledger) => {
                scan.named = self.named.and(world.ledgers[usize::from(ledger)].ids);
                scan.stage = Stage::Look;
                let scan = scan.settled(bounds);
                emit(step(who, Act::ReadLedger, ledger), next, scan);
            }
            Stage::Bury(ledger) => {
                next.unlink_ledger(usize::from(ledger));
                scan.stage = Stage::Look;
                let scan = scan.settled(bounds);
                emit(step(who, Act::UnlinkDeadLedger, ledger), next, scan);
            }
            Stage::Leave => {
                next.scanners.remove(who);
                scan = self.over();
                if self.dead.is_empty() {
                    emit(step(who, Act::EndScan, NONE), next, scan);
                } else if next.scanners.is_empty() && next.undertaker.is_empty() {
                    next.undertaker = Set::of(who);
                    scan.dead = self.dead;
                    scan.stage = Stage::Clean;
                    emit(step(who, Act::LockLedgersAlone, NONE), next, scan);
                } else {
                    emit(step(who, Act::LeaveDeadLedgers, NONE), next, scan);
                }
            }
            Stage::Clean => {
                if self.dead.is_empty() {
                    next.undertaker.remove(who);
                    emit(step(who, Act::EndScan, NONE), next, self.over());
                }
                for ledger in self.dead.iter() {
                    let mut next = next;
                    let mut scan = self;
                    next.unlink_ledger(ledger);
                    scan.dead.remove(ledger);
                    emit(step(who, Act::UnlinkDeadLedger, ledger as u8), next, scan);
                }
            }
            Stage::Done => unreachable!("a scan that is over is not stepped"),
        }
    }

    /// Moves on once every name of the last listing has been looked at.
    fn settled(mut self, bounds: &Bounds) -> Scan {
        if self.stage == Stage::Look && self.todo.is_empty() {
            self.stage = if bounds.has(Weakening::ScanListsOnce) { Stage::Leave } else { Stage::List };
        }
        self
    }

    /// Over; only the outcome is kept.
    fn over(self) -> Scan {
        Scan { stage: Stage::Done, named: self.named, ..Scan::default() }
    }
}
