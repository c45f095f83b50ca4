//! The lease protocol keeps its laws, and the checker notices when it does not.
//!
//! The sizes here take seconds. `cargo run -p cowshed-tests --release --example lease_model -- --deep` goes further.

use std::collections::HashSet;

use cowshed_tests::model::{Act, Bounds, Law, Report, Weakening, explore, explore_after};

/// Two processes and a reference.
const FLIGHT: Bounds = Bounds { references: 1, attaches: 1, ..Bounds::SMALL };

/// One process that made a segment, and one that attaches it by id.
const BY_ID: Bounds = Bounds { attaches_by_id: 1, ..Bounds::SMALL };

/// One process, which may fork.
const FORK: Bounds = Bounds { children: 1, ..Bounds::SMALL };

/// Two processes that hold a segment, and a child.
const FORK_OF_HOLDER: Bounds = Bounds { all_hold: true, ..FORK };

fn run(what: &str, bounds: &Bounds) -> Report {
    let report = explore(bounds);
    println!("{what}: {report}");
    report
}

#[track_caller]
fn assert_holds(what: &str, bounds: Bounds) -> Report {
    let report = run(what, &bounds);
    assert!(report.counterexample.is_none(), "{what}: {report}");
    report
}

#[track_caller]
fn assert_breaks(weakening: Weakening, law: Law, bounds: Bounds) {
    let report = run(&format!("{weakening:?}"), &bounds.weakened(weakening));
    let found = report.counterexample.map(|found| found.law);
    assert_eq!(found, Some(law), "{weakening:?} went unnoticed");
}

mod protocol {
    use super::*;

    #[test]
    fn references_passed_on_and_attached_twice_lose_and_leak_nothing() {
        assert_holds(
            "three processes, two references, one slot",
            Bounds { processes: 3, references: 2, attaches: 2, sweeps: 0, ..Bounds::SMALL },
        );
        assert_holds("three processes, a reference, a sweep", Bounds { processes: 3, attaches: 2, ..FLIGHT });
    }

    #[test]
    fn tickets_beyond_the_slots_lose_and_leak_nothing() {
        assert_holds(
            "two holders, three references, two slots",
            Bounds { all_hold: true, references: 3, slots: 2, attaches: 2, sweeps: 0, ..Bounds::SMALL },
        );
    }

    #[test]
    fn forks_lose_and_leak_nothing() {
        assert_holds("a fork, by id", Bounds { ..FORK });
        assert_holds("two forks of three holders", Bounds { processes: 3, children: 2, sweeps: 0, ..FORK_OF_HOLDER });
    }

    #[test]
    fn a_child_without_a_ledger_loses_and_leaks_nothing() {
        assert_holds("a fork in a full store", Bounds { full_store: true, attaches_by_id: 1, ..FORK });
    }

    #[test]
    fn references_that_cross_a_fork_lose_and_leak_nothing() {
        assert_holds(
            "three holders, a fork, a reference",
            Bounds { processes: 3, references: 1, attaches: 1, sweeps: 0, ..FORK_OF_HOLDER },
        );
    }

    #[test]
    fn two_segments_and_a_free_lose_and_leak_nothing() {
        assert_holds("two segments, a reference, a free", Bounds { segments: 2, frees: 1, sweeps: 1, ..FLIGHT });
    }

    #[test]
    fn what_gives_way_in_a_full_store_is_held_by_nobody() {
        assert_holds("three processes, a reference, a press", Bounds { processes: 3, presses: 1, sweeps: 0, ..FLIGHT });
        assert_holds("a fork of two holders, a press", Bounds { presses: 1, sweeps: 0, ..FORK_OF_HOLDER });
        let twice = Bounds { references: 2, attaches: 2, attaches_by_id: 1, presses: 2, sweeps: 0, ..Bounds::SMALL };
        assert_holds("two references, two presses, an attach by id", twice);
    }

    #[test]
    fn batches_forget_nothing() {
        let batch = Bounds { all_hold: true, batch: true, sweeps: 0, ..FLIGHT };
        let three = Bounds { processes: 3, ..batch };
        assert_holds("three holders with batches", three);
        assert_holds("the same, nobody killed", Bounds { kills: 0, ..three });
        let two = Bounds { segments: 2, attaches_by_id: 1, ..batch };
        assert_holds("batches of two segments", two);
        assert_holds("the same, nobody killed", Bounds { kills: 0, ..two });
    }

    /// A law about something that never happens is worth nothing.
    #[test]
    fn every_act_of_the_protocol_is_taken() {
        let everything = Bounds { attaches_by_id: 1, frees: 1, presses: 1, batch: true, ..FLIGHT };
        let mut taken = HashSet::new();
        for bounds in [everything, FORK] {
            taken.extend(assert_holds("every act", bounds).acts);
        }
        let of_weakenings = [Act::LockLedger, Act::UnlockParentLedger, Act::ForkAmidStep];
        for act in Act::ALL {
            assert_eq!(taken.contains(act), !of_weakenings.contains(act), "{act:?}");
        }
    }
}

mod weakening {
    use super::*;

    /// An attacher has opened the file; a collector unlinks it and lets go of the lock; the attacher takes the lock of a file
    /// without a name and believes that it holds something.
    #[test]
    fn no_link_count_loses_what_is_held() {
        assert_breaks(Weakening::NoLinkCount, Law::HeldSegmentStays, BY_ID);
    }

    /// A collector's listing misses the ledger of a child that is being forked; the child's ledger is linked, the parent withdraws, and
    /// only then the collector reads the parent's.
    #[test]
    fn one_listing_loses_what_a_child_holds() {
        assert_breaks(Weakening::ScanListsOnce, Law::HeldSegmentStays, FORK_OF_HOLDER);
    }

    /// A collector lists. Meanwhile a holder forks and dies: the listing has the name of neither, or only the dead one's. In the next
    /// listing the child forks and dies, and the grandchild's sweep unlinks the child's ledger: the listing has the names of neither.
    /// No name was new, and the grandchild's segment goes. The search starts in the first listing, after the first death.
    #[test]
    fn ledgers_that_vanish_amid_listings_lose_what_a_grandchild_holds() {
        let bounds = Bounds { children: 2, ..FORK_OF_HOLDER };
        let way = [
            (0, Act::WithdrawAndCollect),
            (1, Act::MakeChildLedger),
            (1, Act::CopyLedger),
            (0, Act::CollectorLocks),
            (0, Act::ShareLedgers),
            (0, Act::BeginListing),
            (1, Act::LinkChildLedger),
            (1, Act::Clone),
            (1, Act::Kill),
        ];
        let weakening = Weakening::LedgersVanishAmidListings;
        let report = explore_after(&bounds.weakened(weakening), &way);
        println!("{weakening:?}: {report}");
        let found = report.counterexample.expect("a counterexample");
        assert_eq!(found.law, Law::HeldSegmentStays);

        let report = explore_after(&bounds, &way);
        println!("the same way without it: {report}");
        assert!(report.counterexample.is_none(), "{report}");
    }

    /// Between an attacher's look at the link count and its entry a collector scans and unlinks.
    #[test]
    fn attach_without_the_lock_loses_what_is_held() {
        assert_breaks(Weakening::AttachUnlocked, Law::HeldSegmentStays, BY_ID);
    }

    /// The ticket is cleared, the lock free, the entry not yet there: a collector sees neither ticket nor holder.
    #[test]
    fn publishing_after_unlocking_loses_what_is_in_flight() {
        assert_breaks(Weakening::PublishAfterUnlock, Law::FlyingSegmentStays, FLIGHT);
    }

    /// The ticket is cleared and the attacher dies, or cannot map, before anything came of it: nobody has the segment, and the
    /// reference is worth nothing.
    #[test]
    fn claiming_before_publishing_loses_what_is_in_flight() {
        assert_breaks(Weakening::ClaimBeforePublish, Law::FlyingSegmentStays, FLIGHT);
    }

    /// The ticket is cleared, then the mapping fails (no address space, a corrupt table): the attach failed, but the reference is spent.
    #[test]
    fn claiming_before_mapping_loses_what_is_in_flight() {
        assert_breaks(Weakening::ClaimBeforeMap, Law::FlyingSegmentStays, FLIGHT);
    }

    /// A reference that overflowed is attached and clears the slot of another one, which is then in flight without a ticket.
    #[test]
    fn claiming_any_ticket_loses_another_reference() {
        assert_breaks(
            Weakening::ClaimAnyTicket,
            Law::FlyingSegmentStays,
            Bounds { all_hold: true, references: 2, sweeps: 0, ..FLIGHT },
        );
    }

    /// An attacher by id leaves `handed_out` at 0, so the maker's collect believes that nobody else can hold the segment.
    #[test]
    fn attach_without_a_note_loses_what_is_held() {
        assert_breaks(Weakening::AttachNotNoted, Law::HeldSegmentStays, BY_ID);
    }

    /// A collector has read that there is no ticket; the exporter writes one and withdraws; the collector's scan finds no holder.
    #[test]
    fn exporting_without_the_lock_loses_what_is_in_flight() {
        assert_breaks(Weakening::ExportUnlocked, Law::FlyingSegmentStays, Bounds { references: 1, ..BY_ID });
    }

    /// The second ticket takes the place of the first, and its time ends before the first reference arrives.
    #[test]
    fn tickets_without_overflow_lose_what_is_in_flight() {
        assert_breaks(Weakening::NoOverflow, Law::FlyingSegmentStays, Bounds { references: 2, attaches: 0, ..FLIGHT });
    }

    /// A reference is in flight and its maker holds the segment: full or not, the store keeps that.
    #[test]
    fn a_press_that_does_not_scan_loses_what_is_held() {
        assert_breaks(Weakening::PressScansNot, Law::HeldSegmentStays, Bounds { presses: 1, ..FLIGHT });
    }

    /// The maker exports and withdraws; its collect sees no holder.
    #[test]
    fn ignoring_tickets_loses_what_is_in_flight() {
        assert_breaks(Weakening::TicketsIgnored, Law::FlyingSegmentStays, FLIGHT);
    }

    /// Two holders: one's collect sees the other's entry; the other withdraws and finds the segment locked by that collect. Each leaves it to the
    /// other.
    #[test]
    fn forgetting_what_was_locked_keeps_it_until_a_sweep() {
        assert_breaks(
            Weakening::LaterIsNever,
            Law::NothingForgotten,
            Bounds { all_hold: true, batch: true, sweeps: 0, kills: 0, ..Bounds::SMALL },
        );
    }

    /// A process attaches after the collector's last listing.
    #[test]
    fn collecting_without_the_lock_loses_what_is_held() {
        assert_breaks(Weakening::CollectUnlocked, Law::HeldSegmentStays, BY_ID);
    }

    /// Two collectors hold a lock each and wait for the other's.
    #[test]
    fn collectors_that_wait_wait_for_ever() {
        assert_breaks(Weakening::CollectorWaits, Law::WaitEnds, Bounds { segments: 2, sweeps: 2, ..Bounds::SMALL });
    }

    /// The maker is killed; a newcomer that sweeps only its own leaves the segment for ever.
    #[test]
    fn sweeping_only_ones_own_leaks() {
        assert_breaks(Weakening::SweepSkipsStrangers, Law::NewcomerEmptiesStore, Bounds::SMALL);
    }

    /// A sweep meets the name while no ledger has the id.
    #[test]
    fn sealing_before_publishing_loses_what_is_held() {
        assert_breaks(Weakening::LinkBeforePublish, Law::HeldSegmentStays, Bounds::SMALL);
    }

    /// A scan finds the new ledger unlocked and takes its process for dead.
    #[test]
    fn linking_a_ledger_before_locking_it_buries_the_living() {
        assert_breaks(Weakening::LedgerLinkedUnlocked, Law::LivingLedgerStays, Bounds::SMALL);
    }

    /// A scan reads the child's ledger while it is empty, then the parent's after the parent has withdrawn.
    #[test]
    fn linking_the_childs_ledger_before_copying_loses_what_the_child_holds() {
        assert_breaks(Weakening::ChildLedgerLinkedEmpty, Law::HeldSegmentStays, FORK_OF_HOLDER);
    }

    /// The parent is killed; its ledger stays locked through the child's descriptor.
    #[test]
    fn a_child_that_keeps_the_parents_descriptor_keeps_the_dead_alive() {
        assert_breaks(Weakening::ChildKeepsParentLedger, Law::DeadLedgerIsUnlocked, FORK);
    }

    /// The lock belongs to the open file description that both share: the parent's ledger is unlocked while the parent lives.
    #[test]
    fn a_child_that_unlocks_the_parents_ledger_buries_the_living() {
        assert_breaks(Weakening::ChildUnlocksParentLedger, Law::LivingLedgerStays, FORK);
    }

    /// The child is killed; its ledger stays locked through the parent's descriptor.
    #[test]
    fn a_parent_that_keeps_the_childs_descriptor_keeps_the_dead_alive() {
        assert_breaks(Weakening::ParentKeepsChildLedger, Law::DeadLedgerIsUnlocked, FORK);
    }

    /// Never handed out, but the child's ledger has it: the maker withdraws and unlinks without a scan.
    #[test]
    fn the_short_cut_despite_a_fork_loses_what_the_child_holds() {
        assert_breaks(Weakening::ShortCutDespiteFork, Law::HeldSegmentStays, FORK);
    }

    /// The child's memory says that it is the maker and has never forked: it withdraws and unlinks what its parent holds.
    #[test]
    fn a_fork_noted_by_the_parent_only_loses_what_the_parent_holds() {
        assert_breaks(Weakening::ForkNotedByParentOnly, Law::HeldSegmentStays, FORK);
    }

    /// The child inherits the descriptor that another thread was holding a segment's lock with, and knows nothing of it: the segment is
    /// locked for as long as the child lives, so no sweep can collect it.
    #[test]
    fn a_fork_amid_a_step_leaks_while_the_child_lives() {
        assert_breaks(Weakening::ForkAmidStep, Law::SurvivorTidies, Bounds { references: 1, ..FORK });
    }

    /// The same descriptor makes an attach, the child's own one too, wait for ever. The search starts after the fork.
    #[test]
    fn a_fork_amid_a_step_blocks_attaches_for_ever() {
        let bounds = Bounds { kills: 0, all_hold: true, ..Bounds { children: 1, sweeps: 0, ..FLIGHT } };
        let bounds = bounds.weakened(Weakening::ForkAmidStep);
        let way = [(0, Act::Open), (0, Act::Lock), (0, Act::ForkAmidStep)];
        let report = explore_after(&bounds, &way);
        println!("ForkAmidStep: {report}");
        let found = report.counterexample.expect("a counterexample");
        assert_eq!(found.law, Law::WaitEnds);
    }
}
