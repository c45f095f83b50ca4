//! A segment with a control block of any bytes, beside a ledger of any bytes, through a few steps of whoever uses a store.
//!
//! An input: what the ledger and the times are ([`How`]), eight steps, a ticket, a control block, and the rest is the ledger.
//!
//! The laws, which `docs/lifetime.md` gives the reasons for:
//! - Whatever the control block says, an attach gives the value, changes no other byte of it, and spends no other ticket.
//! - What a living process's ledger names, or a ticket in flight points to, or this process holds, no step takes away.
//! - What none of them keeps goes with the next sweep. A ledger of the dead keeps nothing, and goes too.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cowshed_core::{AttachError, Kind, Segment, Store, Ticket};

use super::dice::Dice;
use super::handmade::{DATA_AT, HEADER, NAMES, build, get32, get64, id, numbers, put32, put64};
use super::{Target, odd, store_dir};

pub const TARGET: Target = Target { name: "ledger_and_control", run, seeds, mutate };

const CONTROL: usize = DATA_AT as usize - HEADER;
const OVERFLOW_AT: usize = 8;
/// How many references were sent.
const SENT_AT: usize = 16;
const TICKETS_AT: usize = 64;
const SLOT: usize = 16;

const STEPS: usize = 8;
/// Of a reference to the segment, in an input.
const TICKET_AT: usize = 1 + STEPS;
const CONTROL_AT: usize = TICKET_AT + 8;
const LEDGER_AT: usize = CONTROL_AT + CONTROL;
/// Where a ledger's entries begin.
const ENTRIES_AT: usize = 64;
/// An entry: an id, and what is for people.
const ENTRY: usize = 32;

/// Nanoseconds: a time further away is not believed.
const DAY: u64 = 24 * 3600 * 1_000_000_000;
/// A time so near may come while a step is under way.
const NEAR: u64 = 5_000_000_000;

/// Bits of the first byte.
struct How(u8);

impl How {
    /// The ledger's process is dead.
    fn dead(&self) -> bool {
        self.0 & 1 != 0
    }
    /// The control block's times count from now.
    fn relative(&self) -> bool {
        self.0 & 2 != 0
    }
    /// The ledger has the name that one has before it is linked where there is no `O_TMPFILE`.
    fn dotted(&self) -> bool {
        self.0 & 4 != 0
    }
}

pub fn run(input: &[u8]) {
    thread_local! {
        static SHED: RefCell<Option<Shed>> = const { RefCell::new(None) };
    }
    let Some((head, ledger)) = input.split_at_checked(LEDGER_AT) else { return };
    let how = How(head[0]);
    let mut control = head[CONTROL_AT..].to_vec();
    if how.relative() {
        let now = now();
        for at in times() {
            let time = now.wrapping_add(get64(&control, at));
            put64(&mut control, at, time);
        }
    }
    SHED.with_borrow_mut(|shed| {
        let shed = shed.get_or_insert_with(Shed::new);
        shed.put(&control);
        let names_it =
            ledger.get(ENTRIES_AT..).is_some_and(|slots| slots.chunks_exact(ENTRY).any(|s| s[..16] == id().bytes()));
        let mut walk = Walk {
            ticket: Ticket::from_bits(get64(head, TICKET_AT)),
            named: shed.put_ledger(&how, ledger) && names_it,
            held: None,
            claimed: None,
            exported: None,
            shed,
        };
        head[1..=STEPS].iter().for_each(|step| walk.step(*step));
    });
}

fn times() -> impl Iterator<Item = usize> {
    std::iter::once(OVERFLOW_AT).chain((TICKETS_AT..CONTROL).step_by(SLOT).map(|at| at + 8))
}

/// A store with the segment, two ledgers of living processes, and the place of one of a dead one.
struct Shed {
    store: Store,
    path: PathBuf,
    file: Option<File>,
    whole: Vec<u8>,
    living: [File; 2],
    dead: PathBuf,
}

impl Shed {
    fn new() -> Shed {
        let store = Store::open(&store_dir("ledger_and_control")).expect("a store");
        let ledgers = store.path().join("ledgers");
        let living = ["a".repeat(32), ".".to_owned() + &"b".repeat(32)].map(|name| {
            let file = File::options().read(true).write(true).create_new(true).open(ledgers.join(name));
            let file = file.expect("a ledger");
            // SAFETY: the descriptor is open.
            assert_eq!(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }, 0);
            file
        });
        let payload: Vec<u8> = (0..64).collect();
        let whole = build(&payload, &[numbers(DATA_AT, 8)], &[], &NAMES, 0);
        let path = store.path().join("segments").join(id().to_string());
        Shed { store, path, file: None, whole, living, dead: ledgers.join("c".repeat(32)) }
    }

    /// The segment with a control block, and nothing held of it.
    fn put(&mut self, control: &[u8]) {
        self.whole[HEADER..DATA_AT as usize].copy_from_slice(control);
        let file = self.file.take().filter(|file| file.metadata().is_ok_and(|m| m.nlink() > 0));
        let file = file.unwrap_or_else(|| {
            File::options().read(true).write(true).create_new(true).open(&self.path).expect("a file")
        });
        file.write_all_at(&self.whole, 0).expect("room for a file");
        self.file = Some(file);
    }

    /// Whether its process lives.
    fn put_ledger(&self, how: &How, bytes: &[u8]) -> bool {
        self.living.iter().for_each(|file| file.set_len(0).expect("room"));
        let _ = std::fs::remove_file(&self.dead);
        if how.dead() {
            std::fs::write(&self.dead, bytes).expect("room for a ledger");
        } else {
            self.living[usize::from(how.dotted())].write_all_at(bytes, 0).expect("room for a ledger");
        }
        !how.dead()
    }

    fn is_there(&self) -> bool {
        self.path.exists()
    }

    fn control(&self) -> Vec<u8> {
        let mut control = vec![0; CONTROL];
        let file = self.file.as_ref().expect("it was put");
        file.read_exact_at(&mut control, HEADER as u64).expect("a control block");
        control
    }
}

/// Some steps, and what is known meanwhile.
struct Walk<'a> {
    shed: &'a mut Shed,
    ticket: Option<Ticket>,
    /// By the ledger of a living process.
    named: bool,
    held: Option<Arc<Segment>>,
    /// The ticket that its holder spent last.
    claimed: Option<Ticket>,
    exported: Option<Ticket>,
}

/// What keeps a segment.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Kept {
    Yes,
    No,
    /// A time is too near to tell.
    Perhaps,
}

impl Walk<'_> {
    fn step(&mut self, step: u8) {
        let (there, kept) = (self.shed.is_there(), self.kept());
        let (mut may_go, mut must_go) = (kept != Kept::Yes, false);
        match step % 10 {
            1 => {
                let gone = self.shed.store.sweep();
                must_go = kept == Kept::No;
                assert_eq!(gone > 0, there && !self.shed.is_there());
                assert!(!self.shed.dead.exists(), "a ledger of the dead stayed");
            }
            2 => {
                let listed = self.shed.store.list().expect("a list");
                must_go = kept == Kept::No;
                assert_eq!(listed.iter().any(|l| l.id == id() && l.about.is_some()), self.shed.is_there());
            }
            3 => self.attach(self.ticket),
            4 => self.attach(None),
            5 => self.export(usize::from(step / 10)),
            6 => {
                self.held = None;
                may_go = self.kept() != Kept::Yes;
            }
            7 => self.attach(self.exported),
            8 => {
                let looked = self.shed.store.look(id());
                must_go = kept == Kept::No && self.held.is_none();
                assert_eq!(looked.is_ok(), self.shed.is_there());
                assert!(looked.is_ok_and(|(header, _)| header.id == id()) || !self.shed.is_there());
            }
            9 => {
                assert_eq!(self.shed.store.free(id()).expect("it can be unlinked"), there);
                (may_go, must_go) = (true, true);
            }
            _ => {}
        }
        match (there, self.shed.is_there()) {
            (true, false) => assert!(may_go, "a segment that was kept is gone"),
            (true, true) => assert!(!must_go, "a segment that nothing keeps stayed"),
            (false, after) => assert!(!after, "a segment came back"),
        }
        assert!(self.shed.living.iter().all(|ledger| ledger.metadata().is_ok_and(|m| m.nlink() == 1)));
    }

    fn kept(&self) -> Kept {
        if self.named || self.held.is_some() { Kept::Yes } else { in_flight(&self.shed.control(), now()) }
    }

    fn attach(&mut self, ticket: Option<Ticket>) {
        let (there, before) = (self.shed.is_there(), self.shed.control());
        let attached = match self.shed.store.attach(id(), ticket) {
            Err(e) => {
                assert!(matches!(e, AttachError::Gone { .. }) && e.kind() == Kind::Gone, "{e}");
                assert!(!there && self.held.is_none());
                return;
            }
            Ok(attached) => attached,
        };
        assert!(there || self.held.is_some());
        let root = attached.table().node(attached.root());
        assert_eq!(attached.frozen(root.payload), Some(&self.shed.whole[DATA_AT as usize..][..64]));
        let mut expected = before;
        let known = self.held.is_some();
        if there && (!known || ticket.is_some() && ticket != self.claimed) {
            hand_out(&mut expected);
            if let Some(at) = ticket.and_then(|t| slots().find(|at| get64(&expected, *at) == t.bits())) {
                expected[at..at + SLOT].fill(0);
            }
        }
        assert!(self.shed.control() == expected, "an attach changed something else of the control block");
        if !known || ticket.is_some() {
            self.claimed = ticket;
        }
        assert!(self.held.as_ref().is_none_or(|held| Arc::ptr_eq(held, &attached)));
        self.held = Some(attached);
    }

    fn export(&mut self, grace: usize) {
        let Some(held) = &self.held else { return };
        let long = [60, 3600, 24 * 3600, 1 << 40, u64::MAX];
        let grace = long.get(grace % 7).map_or(Duration::from_nanos(grace as u64), |s| Duration::from_secs(*s));
        let (there, mut before) = (self.shed.is_there(), self.shed.control());
        let earlier = now();
        let ticket = self.shed.store.export(held, grace).expect("a control block that can be written");
        assert_eq!(ticket.is_some(), there);
        let Some(ticket) = ticket else { return };
        self.exported = Some(ticket);
        let after = self.shed.control();
        hand_out(&mut before);
        let sent = get64(&before, SENT_AT).saturating_add(1);
        put64(&mut before, SENT_AT, sent);
        match slots().find(|at| get64(&after, *at) == ticket.bits()) {
            Some(at) => {
                let taken = get64(&before, at) != 0 && runs(get64(&before, at + 8), earlier) == Kept::Yes;
                assert!(!taken, "a ticket that was in flight is lost");
                before[at..at + SLOT].copy_from_slice(&after[at..at + SLOT]);
            }
            None => {
                assert!(slots().all(|at| get64(&before, at) != 0 && runs(get64(&before, at + 8), earlier) != Kept::No));
                let (was, is) = (get64(&before, OVERFLOW_AT), get64(&after, OVERFLOW_AT));
                assert!(is >= was || runs(was, earlier) != Kept::Yes, "tickets without a slot end earlier");
                put64(&mut before, OVERFLOW_AT, is);
            }
        }
        assert!(after == before, "an export changed something else of the control block");
        assert!(grace < Duration::from_secs(60) || in_flight(&after, now()) == Kept::Yes);
    }
}

fn slots() -> impl Iterator<Item = usize> {
    (TICKETS_AT..CONTROL).step_by(SLOT)
}

fn hand_out(control: &mut [u8]) {
    if get32(control, 0) == 0 {
        put32(control, 0, 1);
    }
}

/// Whether a ticket keeps the segment.
fn in_flight(control: &[u8], now: u64) -> Kept {
    let slots = slots().filter(|at| get64(control, *at) != 0).map(|at| at + 8);
    let all: Vec<_> = slots.chain([OVERFLOW_AT]).map(|at| runs(get64(control, at), now)).collect();
    [Kept::Yes, Kept::Perhaps].into_iter().find(|kept| all.contains(kept)).unwrap_or(Kept::No)
}

/// Whether a time keeps, from `now` on and for some seconds.
fn runs(until: u64, now: u64) -> Kept {
    match until.checked_sub(now) {
        None | Some(0) => Kept::No,
        Some(left) if left <= NEAR => Kept::Perhaps,
        Some(left) if left <= DAY => Kept::Yes,
        Some(left) if left <= DAY + NEAR => Kept::Perhaps,
        Some(_) => Kept::No,
    }
}

/// CLOCK_MONOTONIC, in nanoseconds.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives over the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn seeds() -> Vec<Vec<u8>> {
    let entry = |id: [u8; 16]| [id, [5; 16]].concat();
    let ledger =
        |ids: &[[u8; 16]]| [b"cowledg\n".to_vec(), vec![0; 56], ids.iter().copied().flat_map(entry).collect()].concat();
    let ledgers = [vec![], ledger(&[]), ledger(&[[0; 16], id().bytes(), [3; 16]]), ledger(&[[7; 16]])[..70].to_vec()];
    let ticket = 0x1234_5678u64;
    let (none, mut one, mut full) = (vec![0; CONTROL], vec![0; CONTROL], vec![255; CONTROL]);
    put64(&mut one, TICKETS_AT + SLOT, ticket);
    put64(&mut one, TICKETS_AT + SLOT + 8, 60 * NEAR);
    for at in slots() {
        put64(&mut full, at + 8, 60 * NEAR);
    }
    let walks =
        [[1, 2, 8, 4, 9, 6, 4, 0], [3, 5, 6, 1, 7, 6, 1, 2], [4, 65, 6, 8, 7, 6, 1, 0], [4, 5, 9, 5, 3, 6, 4, 8]];
    let mut seeds = Vec::new();
    for (i, ledger) in ledgers.iter().enumerate() {
        for (j, control) in [&none, &one, &full, &vec![255; CONTROL]].into_iter().enumerate() {
            for (k, walk) in walks.iter().enumerate() {
                let how = [2, 3, 0, 6, 2][(i + j + k) % 5];
                seeds.push([&[how][..], walk, &ticket.to_le_bytes(), control, ledger].concat());
            }
        }
    }
    seeds
}

/// Changes a step, a ticket's slot, a time or an entry of the ledger.
fn mutate(dice: &mut Dice, input: &mut [u8]) {
    if input.len() < LEDGER_AT {
        return;
    }
    let ticket = get64(input, TICKET_AT);
    let slot = CONTROL_AT + TICKETS_AT + SLOT * dice.below(64);
    match dice.below(8) {
        0 => input[0] = dice.below(8) as u8,
        1..4 => input[1 + dice.below(STEPS)] = dice.roll() as u8,
        4 => put64(input, slot, if dice.below(2) == 0 { ticket } else { dice.below(3) as u64 }),
        5 => {
            let at = if dice.below(4) == 0 { CONTROL_AT + OVERFLOW_AT } else { slot + 8 };
            let time = [odd(dice, 0), 60 * NEAR, DAY, DAY - 60 * NEAR, DAY + 60 * NEAR][dice.below(5)];
            put64(input, at, time);
        }
        6 => put64(input, TICKET_AT, dice.below(3) as u64),
        _ => {
            let entries = (input.len() - LEDGER_AT).saturating_sub(ENTRIES_AT) / ENTRY;
            if entries > 0 {
                let at = LEDGER_AT + ENTRIES_AT + ENTRY * dice.below(entries);
                let named = if dice.below(2) == 0 { id().bytes() } else { [0; 16] };
                input[at..at + 16].copy_from_slice(&named);
            }
        }
    }
}
