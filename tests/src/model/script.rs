//! The protocol as data: the acts of each verb in order, and the same with one rule broken.

use super::bounds::{Bounds, Weakening};

/// What a process sets out to do.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs, reason = "the verbs of docs/lifetime.md")]
pub enum Verb {
    #[default]
    Seal,
    Export,
    Attach,
    Free,
    Fork,
    /// A fork when the child's ledger cannot be made.
    ForkBare,
}

/// The acts, and the list of all of them, from one list.
macro_rules! acts {
    ($($act:ident,)*) => {
        /// One atomic act: of a process, or of the world on it. The names are those of the steps in `docs/lifetime.md`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs, reason = "the steps of docs/lifetime.md")]
        pub enum Act {
            $($act,)*
        }

        impl Act {
            /// Every act.
            pub const ALL: &[Act] = &[$(Act::$act,)*];
        }
    };
}

acts! {
    MakeLedger,
    LinkLedger,
    LockLedger,
    Publish,
    LinkName,
    Open,
    Lock,
    CheckLinkCount,
    Map,
    WriteTicket,
    NoteHandedOut,
    Claim,
    Unlock,
    UnlinkFreed,
    MakeChildLedger,
    CopyLedger,
    LinkChildLedger,
    Clone,
    CloseChildLedger,
    CloseParentLedger,
    UnlockParentLedger,
    ForkAmidStep,
    Gone,
    MapFails,
    Withdraw,
    WithdrawAndCollect,
    CollectBatch,
    BeginSweep,
    BeginPress,
    BeginExit,
    CollectorLocks,
    CollectorLeaves,
    CollectorNeedsNoScan,
    UnlinkIdle,
    UnlinkFlying,
    CollectorUnlocks,
    ShareLedgers,
    BeginListing,
    EndListing,
    OpenLedger,
    ReadLedger,
    LockLedgersAlone,
    LeaveDeadLedgers,
    UnlinkDeadLedger,
    EndScan,
    TicketEnds,
    Kill,
}

impl Act {
    /// Whether it is about another process or its ledger, rather than about a segment or reference.
    pub fn on_process(self) -> bool {
        matches!(
            self,
            MakeChildLedger
                | CopyLedger
                | LinkChildLedger
                | Clone
                | CloseChildLedger
                | CloseParentLedger
                | UnlockParentLedger
                | ForkAmidStep
                | OpenLedger
                | ReadLedger
                | UnlinkDeadLedger
        )
    }
}

use Act::*;

/// The acts of `verb`. Those of [`Verb::Seal`] and [`Verb::Attach`] open with two that make the ledger, skipped by a process that
/// has one.
pub fn script(verb: Verb, bounds: &Bounds) -> &'static [Act] {
    match verb {
        Verb::Seal => seal(bounds),
        Verb::Export => export(bounds),
        Verb::Attach => attach(bounds),
        Verb::Free => &[Open, Lock, UnlinkFreed, Unlock],
        Verb::Fork => fork(bounds),
        Verb::ForkBare => &[Clone],
    }
}

fn seal(bounds: &Bounds) -> &'static [Act] {
    match bounds.weakening {
        Some(Weakening::LinkBeforePublish) => &[MakeLedger, LinkLedger, LinkName, Publish],
        Some(Weakening::LedgerLinkedUnlocked) => &[LinkLedger, LockLedger, Publish, LinkName],
        _ => &[MakeLedger, LinkLedger, Publish, LinkName],
    }
}

fn export(bounds: &Bounds) -> &'static [Act] {
    match bounds.weakening {
        Some(Weakening::ExportUnlocked) => &[Open, CheckLinkCount, WriteTicket, NoteHandedOut],
        Some(Weakening::NoLinkCount) => &[Open, Lock, WriteTicket, NoteHandedOut, Unlock],
        _ => &[Open, Lock, CheckLinkCount, WriteTicket, NoteHandedOut, Unlock],
    }
}

#[rustfmt::skip]
fn attach(bounds: &Bounds) -> &'static [Act] {
    match bounds.weakening {
        Some(Weakening::NoLinkCount) =>
            &[MakeLedger, LinkLedger, Open, Lock, Publish, Map, NoteHandedOut, Claim, Unlock],
        Some(Weakening::AttachUnlocked) =>
            &[MakeLedger, LinkLedger, Open, CheckLinkCount, Publish, Map, NoteHandedOut, Claim],
        Some(Weakening::PublishAfterUnlock) =>
            &[MakeLedger, LinkLedger, Open, Lock, CheckLinkCount, Map, NoteHandedOut, Claim, Unlock, Publish],
        Some(Weakening::ClaimBeforePublish) =>
            &[MakeLedger, LinkLedger, Open, Lock, CheckLinkCount, Claim, Publish, Map, NoteHandedOut, Unlock],
        Some(Weakening::ClaimBeforeMap) =>
            &[MakeLedger, LinkLedger, Open, Lock, CheckLinkCount, Publish, NoteHandedOut, Claim, Unlock, Map],
        Some(Weakening::AttachNotNoted) =>
            &[MakeLedger, LinkLedger, Open, Lock, CheckLinkCount, Publish, Map, Claim, Unlock],
        Some(Weakening::LedgerLinkedUnlocked) =>
            &[LinkLedger, LockLedger, Open, Lock, CheckLinkCount, Publish, Map, NoteHandedOut, Claim, Unlock],
        _ =>
            &[MakeLedger, LinkLedger, Open, Lock, CheckLinkCount, Publish, Map, NoteHandedOut, Claim, Unlock],
    }
}

fn fork(bounds: &Bounds) -> &'static [Act] {
    match bounds.weakening {
        Some(Weakening::ChildLedgerLinkedEmpty) => {
            &[MakeChildLedger, LinkChildLedger, CopyLedger, Clone, CloseChildLedger]
        }
        Some(Weakening::ParentKeepsChildLedger) => &[MakeChildLedger, CopyLedger, LinkChildLedger, Clone],
        _ => &[MakeChildLedger, CopyLedger, LinkChildLedger, Clone, CloseChildLedger],
    }
}
