//! How much of the protocol one exploration covers, and what may be broken in it on purpose.

/// The size of an exploration. Everything not limited here (ends of tickets, withdrawals, collections after a
/// withdrawal) may happen whenever it can.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Processes that exist from the start.
    pub processes: u8,
    /// Whether each of them holds the first segment from the start, the first one as its maker: a head start into what takes long.
    pub all_hold: bool,
    /// Children that may be forked, by anybody, children too.
    pub children: u8,
    /// Segments that may be sealed.
    pub segments: u8,
    /// References that may be exported.
    pub references: u8,
    /// Ticket slots of a control block (64 in the format; few, here, so that they overflow).
    pub slots: u8,
    /// Attaches of a reference, the same one or different ones.
    pub attaches: u8,
    /// Attaches by id: a named segment, or a child without a ledger that publishes again what it holds.
    pub attaches_by_id: u8,
    /// Sweeps, those at exit included.
    pub sweeps: u8,
    /// Presses: sweeps of a full store, to which references in flight give way.
    pub presses: u8,
    /// Explicit frees.
    pub frees: u8,
    /// Kills; [`Bounds::ANY`] for as many as there are processes.
    pub kills: u8,
    /// Whether making the child's ledger may fail (a full store).
    pub full_store: bool,
    /// Whether a process keeps what it has withdrawn and not collected in a batch, and collects that later. Without kills, sweeps and
    /// ends of tickets [`Law::NothingForgotten`](super::Law::NothingForgotten) is then asked too.
    pub batch: bool,
    /// What is broken.
    pub weakening: Option<Weakening>,
}

impl Bounds {
    /// No limit.
    pub const ANY: u8 = u8::MAX;

    /// One segment, and nothing that may be done with it except holding, letting go and dying.
    pub const SMALL: Bounds = Bounds {
        processes: 2,
        all_hold: false,
        children: 0,
        segments: 1,
        references: 0,
        slots: 1,
        attaches: 0,
        attaches_by_id: 0,
        sweeps: 1,
        presses: 0,
        frees: 0,
        kills: Bounds::ANY,
        full_store: false,
        batch: false,
        weakening: None,
    };

    /// The same with `weakening`.
    pub fn weakened(self, weakening: Weakening) -> Bounds {
        Bounds { weakening: Some(weakening), ..self }
    }

    /// Whether the protocol is broken in this way.
    #[inline]
    pub fn has(&self, weakening: Weakening) -> bool {
        self.weakening == Some(weakening)
    }
}

/// One rule of the protocol left out. The checker must notice each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weakening {
    /// Attach and export do not look at the link count once they have the lock.
    NoLinkCount,
    /// A scan lists the ledgers once.
    ScanListsOnce,
    /// A dead ledger is unlinked at once, whoever is listing.
    LedgersVanishAmidListings,
    /// Attach does not lock the segment.
    AttachUnlocked,
    /// Attach publishes after it has unlocked.
    PublishAfterUnlock,
    /// Attach clears the ticket before it publishes.
    ClaimBeforePublish,
    /// Attach clears the ticket before it has mapped.
    ClaimBeforeMap,
    /// Attach clears a slot without comparing the ticket's number.
    ClaimAnyTicket,
    /// Attach by id leaves `handed_out` alone.
    AttachNotNoted,
    /// Export writes its ticket without the lock.
    ExportUnlocked,
    /// Export overwrites a ticket when all slots are taken.
    NoOverflow,
    /// What gives way in a full store is unlinked without a look at who holds it.
    PressScansNot,
    /// A collector does not read the tickets.
    TicketsIgnored,
    /// A collector forgets what it finds locked.
    LaterIsNever,
    /// A collector does not lock the segment.
    CollectUnlocked,
    /// A collector waits for locks, several at a time and in any order.
    CollectorWaits,
    /// A sweep visits only the segments its own process holds or has held.
    SweepSkipsStrangers,
    /// Seal links the name before it publishes.
    LinkBeforePublish,
    /// A ledger is linked before it is locked.
    LedgerLinkedUnlocked,
    /// The child's ledger is linked before the parent's entries are copied into it.
    ChildLedgerLinkedEmpty,
    /// The child does not close its descriptor of the parent's ledger.
    ChildKeepsParentLedger,
    /// The child unlocks the parent's ledger where it should only close it.
    ChildUnlocksParentLedger,
    /// The parent does not close its descriptor of the child's ledger.
    ParentKeepsChildLedger,
    /// The short cut is taken although the maker has forked.
    ShortCutDespiteFork,
    /// The parent notes after the fork that it has forked, so the child does not know.
    ForkNotedByParentOnly,
    /// A thread forks while another one of the process holds a segment's lock.
    ForkAmidStep,
}
