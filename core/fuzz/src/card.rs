//! A card of any bytes where that of a name belongs, through a few steps of whoever uses names.
//!
//! An input: how it lies there ([`How`]), five steps, and the card.
//!
//! The laws, which `docs/lifetime.md` gives the reasons for:
//! - What is read of a card is what the tables of `docs/format.md` say, or an error that says why not.
//! - A card whose owner lives stays until it is released, be it damaged, and no step changes it. Any other is replaced, and goes with the next sweep.
//! - No step touches the card of another name.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use cowshed_core::{Card, Name, NameError, SegmentId, Store};

use super::dice::Dice;
use super::handmade::{get32, get64, put32, put64};
use super::{Target, crc32, odd, store_dir};

pub const TARGET: Target = Target { name: "card", run, seeds, mutate };

const NAME: Name<'_> = Name { namespace: "grüße", name: "x" };
/// One that is registered all the time, by this process.
const OTHER: Name<'_> = Name { namespace: "grüße", name: "y" };

const STEPS: usize = 5;
const CARD_AT: usize = 1 + STEPS;
/// Within a card.
const OWNER: usize = 8;
const VERSION: usize = 24;
const CRC: usize = 28;
const ID: usize = 32;
const LENGTHS: usize = 48;
const FIXED: usize = 80;
const LONGEST: u64 = 2 << 30;

/// The ledgers of a process that lives, and of one that is dead.
const LIVING: [u8; 16] = [0xaa; 16];
const DEAD: [u8; 16] = [0xcc; 16];

/// Bits of the first byte.
struct How(u8);

impl How {
    /// Whose it is; `None`: as its bytes say.
    fn owner(&self, own: [u8; 16]) -> Option<[u8; 16]> {
        [None, Some(LIVING), Some(DEAD), Some(own)][usize::from(self.0 & 3)]
    }
    /// The last length is made that of what is left.
    fn fits(&self) -> bool {
        self.0 & 4 != 0
    }
    /// The checksum is right: an attacker can do that, too.
    fn summed(&self) -> bool {
        self.0 & 8 != 0
    }
    /// A killed writer left one.
    fn beside_a_new_one(&self) -> bool {
        self.0 & 16 != 0
    }
    fn link(&self) -> bool {
        self.0 & 0xe0 == 0x20
    }
    fn too_long(&self) -> bool {
        self.0 & 0xe0 == 0x40
    }
}

pub fn run(input: &[u8]) {
    thread_local! {
        static SHED: RefCell<Option<Shed>> = const { RefCell::new(None) };
    }
    let Some((head, card)) = input.split_at_checked(CARD_AT) else { return };
    SHED.with_borrow_mut(|shed| {
        let shed = shed.get_or_insert_with(Shed::new);
        let mut lies = shed.put(&How(head[0]), card.to_vec());
        for step in &head[1..] {
            lies = shed.step(*step, lies);
        }
    });
}

/// What lies where the card of the name belongs.
#[derive(Debug, Clone, PartialEq)]
enum Lies {
    Nothing,
    /// Whose it is cannot be told.
    Nobodys,
    OfTheDead,
    /// Of one who lives; `Some`: of this version.
    Damaged(Option<u32>),
    Whole(Card),
}

impl Lies {
    fn is_kept(&self) -> bool {
        matches!(self, Lies::Damaged(_) | Lies::Whole(_))
    }
}

/// A store with two ledgers beside our own, and another name that is ours.
struct Shed {
    store: Store,
    path: PathBuf,
    new: PathBuf,
    dead: PathBuf,
    own: [u8; 16],
    _living: File,
}

impl Shed {
    fn new() -> Shed {
        let store = Store::open(&store_dir("card")).expect("a store");
        store.register(OTHER, b"about", b"other").expect("a name");
        let other = std::fs::read(store.card_path(OTHER)).expect("a card");
        let ledger = |id| store.path().join("ledgers").join(SegmentId::from_bytes(id).to_string());
        let living = File::create_new(ledger(LIVING)).expect("a ledger");
        // SAFETY: the descriptor is open.
        assert_eq!(unsafe { libc::flock(living.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }, 0);
        Shed {
            path: store.card_path(NAME),
            new: store.path().join("names/.new"),
            dead: ledger(DEAD),
            own: other[OWNER..VERSION].try_into().expect("16 bytes"),
            _living: living,
            store,
        }
    }

    fn put(&self, how: &How, mut card: Vec<u8>) -> Lies {
        if let (Some(owner), true) = (how.owner(self.own), card.len() >= VERSION) {
            card[OWNER..VERSION].copy_from_slice(&owner);
        }
        repair(&mut card, how);
        for path in [&self.path, &self.new] {
            let _ = std::fs::remove_file(path);
        }
        std::fs::write(&self.dead, b"").expect("room for a ledger");
        if how.beside_a_new_one() || how.link() {
            std::fs::write(&self.new, &card).expect("room for a card");
        }
        if how.link() {
            std::os::unix::fs::symlink(&self.new, &self.path).expect("a link");
            return Lies::Nobodys;
        }
        std::fs::write(&self.path, &card).expect("room for a card");
        if how.too_long() {
            File::options().write(true).open(&self.path).and_then(|f| f.set_len(LONGEST + 1)).expect("a long file");
            card.resize(card.len().max(VERSION), 0);
        }
        let whole = if how.too_long() { Err(None) } else { read(&card) };
        match owner(&card) {
            None => Lies::Nobodys,
            Some(owner) if owner != LIVING && owner != self.own => Lies::OfTheDead,
            Some(_) => whole.map_or_else(Lies::Damaged, Lies::Whole),
        }
    }

    /// Does a step, and says what lies there now.
    fn step(&self, step: u8, lies: Lies) -> Lies {
        let bytes = bytes_of(&self.path);
        let own = lies.is_kept() && self.owner_there() == Some(self.own);
        let after = match step % 8 {
            1 => self.look(lies, own),
            2 => self.register(&[step; 3], &vec![step; usize::from(step) * 40], lies),
            3 => {
                let there = !matches!(lies, Lies::Nothing | Lies::OfTheDead);
                assert_eq!(self.store.release(NAME).expect("it can be removed"), there);
                Lies::Nothing
            }
            4 => {
                assert_eq!(self.store.release_own(NAME).expect("it can be removed"), own);
                if own { Lies::Nothing } else { lies }
            }
            5 => {
                self.store.sweep();
                assert!(!self.new.exists() && !self.dead.exists(), "what the dead left stayed");
                if lies.is_kept() { lies } else { Lies::Nothing }
            }
            6 => {
                self.store.release_all_own().expect("names that can be removed");
                self.store.register(OTHER, b"about", b"other").expect("a name that was released");
                assert!(!self.new.exists());
                if own { Lies::Nothing } else { lies }
            }
            _ => lies,
        };
        let other = self.store.card(OTHER).expect("a whole card").expect("it is registered");
        assert_eq!((&other.about[..], &other.value[..]), (&b"about"[..], &b"other"[..]));
        assert_eq!(std::fs::symlink_metadata(&self.path).is_err(), after == Lies::Nothing, "{after:?} after {step}");
        if after.is_kept() && step % 8 != 2 {
            assert!(bytes_of(&self.path) == bytes, "a step changed the card of one who lives");
        }
        after
    }

    fn look(&self, lies: Lies, own: bool) -> Lies {
        match (self.store.card(NAME), &lies) {
            (Ok(None), Lies::Nothing | Lies::OfTheDead) => {}
            (Ok(Some(card)), Lies::Whole(whole)) => assert!(card == *whole),
            (Err(e), Lies::Nobodys | Lies::Damaged(_)) => is_told(&e, &lies),
            (found, _) => panic!("{found:?} of {lies:?}"),
        }
        assert_eq!(self.store.has_card(NAME).expect("a file"), !matches!(lies, Lies::Nothing | Lies::OfTheDead));
        assert_eq!(self.store.owns(NAME), own);
        assert_eq!(self.store.check_free(NAME).is_err(), lies.is_kept());
        lies
    }

    fn register(&self, about: &[u8], value: &[u8], lies: Lies) -> Lies {
        match self.store.register(NAME, about, value) {
            Ok(()) => {
                assert!(!lies.is_kept(), "a name was taken from {lies:?}");
                assert!(!self.new.exists() && self.store.owns(NAME));
                let card = self.store.card(NAME).expect("a whole card").expect("it was registered");
                assert_eq!((&card.about[..], &card.value[..]), (about, value));
                assert_eq!(read(&std::fs::read(&self.path).expect("a card")), Ok(card.clone()));
                Lies::Whole(card)
            }
            Err(e) => {
                assert!(lies.is_kept(), "{e} of {lies:?}");
                is_told(&e, &lies);
                lies
            }
        }
    }

    fn owner_there(&self) -> Option<[u8; 16]> {
        owner(&bytes_of(&self.path)?)
    }
}

/// As far as it counts: the long ones are empty behind that.
fn bytes_of(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read;
    let (mut bytes, file) = (Vec::new(), File::open(path).ok()?);
    file.take(1 << 16).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn is_told(e: &NameError, lies: &Lies) {
    let right = match (e, lies) {
        (NameError::Taken { .. }, Lies::Whole(_)) => true,
        (NameError::Corrupt { .. }, Lies::Nobodys | Lies::Damaged(None)) => true,
        (NameError::Version { found, .. }, Lies::Damaged(Some(version))) => found == version,
        _ => false,
    };
    assert!(right, "{e} of {lies:?}");
}

fn owner(b: &[u8]) -> Option<[u8; 16]> {
    b.starts_with(b"cowcard\n").then(|| b.get(OWNER..VERSION)?.try_into().ok()).flatten()
}

/// What a card says, by the page's table alone; the version if it is another one.
fn read(b: &[u8]) -> Result<Card, Option<u32>> {
    if b.len() < FIXED {
        return Err(None);
    }
    if get32(b, VERSION) != 1 {
        return Err(Some(get32(b, VERSION)));
    }
    let lengths = [0, 1, 2, 3].map(|i| u128::from(get64(b, LENGTHS + 8 * i)));
    if lengths.iter().sum::<u128>() != (b.len() - FIXED) as u128 || crc32(&b[ID..]) != get32(b, CRC) {
        return Err(None);
    }
    let [namespace, name, about, _] = lengths.map(|len| len as usize);
    let (texts, rest) = b[FIXED..].split_at(namespace + name);
    if texts.split_at(namespace) != (NAME.namespace.as_bytes(), NAME.name.as_bytes()) {
        return Err(None);
    }
    let (about, value) = rest.split_at(about);
    let id = SegmentId::from_bytes(b[ID..LENGTHS].try_into().expect("16 bytes"));
    Ok(Card { id, about: about.to_vec(), value: value.to_vec() })
}

fn repair(card: &mut [u8], how: &How) {
    if card.len() < FIXED {
        return;
    }
    if how.fits() {
        let before = (0..3).fold(0u64, |sum, i| sum.wrapping_add(get64(card, LENGTHS + 8 * i)));
        let left = ((card.len() - FIXED) as u64).wrapping_sub(before);
        put64(card, LENGTHS + 24, left);
    }
    if how.summed() {
        let crc = crc32(&card[ID..]);
        put32(card, CRC, crc);
    }
}

fn card(name: Name<'_>, about: &[u8], value: &[u8]) -> Vec<u8> {
    let parts = [name.namespace.as_bytes(), name.name.as_bytes(), about, value];
    let lengths = parts.iter().flat_map(|part| (part.len() as u64).to_le_bytes());
    let head = [&b"cowcard\n"[..], &LIVING, &1u32.to_le_bytes(), &[0; 4], &[7; 16]].concat();
    let mut card: Vec<u8> = head.into_iter().chain(lengths).chain(parts.concat()).collect();
    repair(&mut card, &How(8));
    card
}

fn seeds() -> Vec<Vec<u8>> {
    let good = card(NAME, b"about", b"value");
    let cards = [
        good.clone(),
        card(NAME, b"", b""),
        card(OTHER, b"", &[255; 300]),
        good[..FIXED].to_vec(),
        good[..20].to_vec(),
    ];
    let walks = [[1, 2, 5, 1, 3], [2, 1, 3, 10, 1], [4, 1, 6, 2, 4], [5, 1, 18, 5, 6], [3, 1, 2, 2, 1]];
    let mut seeds = Vec::new();
    for (i, card) in cards.iter().enumerate() {
        for (j, walk) in walks.iter().enumerate() {
            for owner in 0..4 {
                let how = owner | [0, 8, 12, 16, 28, 32, 64][(i + 2 * j + usize::from(owner)) % 7];
                seeds.push([&[how][..], walk, card].concat());
            }
        }
    }
    seeds
}

/// Changes how it lies there, a step, a length or the version.
fn mutate(dice: &mut Dice, input: &mut [u8]) {
    if input.len() < CARD_AT + FIXED {
        return;
    }
    let room = input.len() - CARD_AT - FIXED;
    match dice.below(8) {
        0..2 => input[0] = dice.roll() as u8,
        2..4 => input[1 + dice.below(STEPS)] = dice.roll() as u8,
        4 => put32(input, CARD_AT + VERSION, dice.below(3) as u32),
        5 => {
            let number = odd(dice, room);
            put64(input, CARD_AT + LENGTHS + 8 * dice.below(4), number);
        }
        6 => {
            // One part ends a byte earlier or later, and so the next begins.
            let at = CARD_AT + LENGTHS + 8 * dice.below(3);
            let (a, b) = (get64(input, at), get64(input, at + 8));
            put64(input, at, a.wrapping_add(1));
            put64(input, at + 8, b.wrapping_sub(1));
        }
        _ => input[CARD_AT + dice.below(OWNER)] ^= 1 << dice.below(8),
    }
}
