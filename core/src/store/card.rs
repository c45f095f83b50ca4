//! The bytes of a card, the file that a registered name is: `docs/format.md`.
//!
//! - They are hostile until checked: [`Card::parse`] believes nothing that it has not compared.
//! - The owner alone is read before that, by [`owner`]: whose a damaged card is decides who may replace it.

use super::names::Name;
use crate::SegmentId;

const MAGIC: &[u8; 8] = b"cowcard\n";
const VERSION: u32 = 1;
/// Magic and owner, of any version.
pub(super) const HEAD: usize = 24;
const FIXED: usize = 80;
const CRC_AT: usize = 28;
const SUMMED_FROM: usize = 32;
/// More is not believed, and not written.
pub(super) const LONGEST: u64 = 2 << 30;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Another one each time a name is registered.
    pub id: SegmentId,
    /// What is told of the object without opening it: the host's own bytes.
    pub about: Vec<u8>,
    /// What opens it: the host's own bytes.
    pub value: Vec<u8>,
}

/// Why a card is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    Corrupt(&'static str),
    Version(u32),
}

/// The name of the owner's ledger; `None` if these are not the first bytes of a card.
pub(super) fn owner(head: &[u8]) -> Option<SegmentId> {
    let (magic, rest) = head.split_at_checked(MAGIC.len())?;
    (magic == MAGIC).then(|| rest.first_chunk()).flatten().map(|id| SegmentId::from_bytes(*id))
}

/// A card's bytes, with an id of its own.
pub(super) fn bytes(owner: SegmentId, name: Name<'_>, about: &[u8], value: &[u8]) -> Vec<u8> {
    let parts = [name.namespace.as_bytes(), name.name.as_bytes(), about, value];
    let mut b = Vec::with_capacity(FIXED + parts.iter().map(|part| part.len()).sum::<usize>());
    b.extend(MAGIC);
    b.extend(owner.bytes());
    b.extend(VERSION.to_le_bytes());
    b.extend([0; 4]);
    b.extend(SegmentId::random().bytes());
    b.extend(parts.iter().flat_map(|part| (part.len() as u64).to_le_bytes()));
    parts.iter().for_each(|part| b.extend(*part));
    let crc = crc32fast::hash(&b[SUMMED_FROM..]);
    b[CRC_AT..SUMMED_FROM].copy_from_slice(&crc.to_le_bytes());
    b
}

/// How long it is.
pub(super) fn len(name: Name<'_>, about: &[u8], value: &[u8]) -> u64 {
    (FIXED + name.namespace.len() + name.name.len() + about.len() + value.len()) as u64
}

impl Card {
    /// The card that has this name; anything else is damage.
    pub(super) fn parse(b: &[u8], name: Name<'_>) -> Result<Card, Damage> {
        let corrupt = |why| Err(Damage::Corrupt(why));
        if owner(b).is_none() {
            return corrupt("it does not begin as one");
        }
        let Some((fixed, mut rest)) = b.split_at_checked(FIXED) else { return corrupt("it was cut") };
        let u32_at = |at: usize| u32::from_le_bytes(fixed[at..at + 4].try_into().expect("4 bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(fixed[at..at + 8].try_into().expect("8 bytes"));
        if u32_at(HEAD) != VERSION {
            return Err(Damage::Version(u32_at(HEAD)));
        }
        let mut part = |i: usize| {
            let (part, after) = rest.split_at_checked(usize::try_from(u64_at(48 + 8 * i)).ok()?)?;
            rest = after;
            Some(part)
        };
        let parts = (part(0), part(1), part(2), part(3));
        let (Some(namespace), Some(variable), Some(about), Some(value)) = parts else { return corrupt("it was cut") };
        if !rest.is_empty() {
            return corrupt("it is longer than it says");
        }
        if crc32fast::hash(&b[SUMMED_FROM..]) != u32_at(CRC_AT) {
            return corrupt("its checksum is wrong");
        }
        if namespace != name.namespace.as_bytes() || variable != name.name.as_bytes() {
            return corrupt("it has another name");
        }
        let id = SegmentId::from_bytes(fixed[32..48].try_into().expect("16 bytes"));
        Ok(Card { id, about: about.to_vec(), value: value.to_vec() })
    }

    /// The version this crate reads.
    pub(super) const fn reads() -> u32 {
        VERSION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Name<'_> = Name { namespace: "grüße", name: "x" };

    #[test]
    fn a_card_reads_back_and_no_two_have_one_id() {
        let ledger = SegmentId::random();
        for (about, value) in [(&b""[..], &b""[..]), (b"about", b"value"), (&[0; 5000], &[255; 70000])] {
            let written = bytes(ledger, NAME, about, value);
            assert_eq!(written.len() as u64, len(NAME, about, value));
            assert_eq!(owner(&written), Some(ledger));
            let card = Card::parse(&written, NAME).unwrap();
            assert_eq!((&card.about[..], &card.value[..]), (about, value));
            assert_ne!(Card::parse(&bytes(ledger, NAME, about, value), NAME).unwrap().id, card.id);
        }
    }

    #[test]
    fn what_is_cut_longer_or_changed_anywhere_is_damage() {
        let good = bytes(SegmentId::random(), NAME, b"about", b"value");
        for n in 0..good.len() {
            assert!(matches!(Card::parse(&good[..n], NAME), Err(Damage::Corrupt(_))), "cut at {n}");
        }
        assert!(Card::parse(&[&good[..], b"x"].concat(), NAME).is_err());
        for (at, bit) in (0..good.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            // Another owner is another owner: whether one lives, its ledger tells.
            let foreign = (8..HEAD).contains(&at);
            assert_eq!(Card::parse(&bad, NAME).is_ok(), foreign, "bit {bit} of byte {at}");
        }
    }

    #[test]
    fn lengths_that_overflow_and_other_versions_and_names_are_told_apart() {
        let good = bytes(SegmentId::random(), NAME, b"about", b"value");
        for at in [48, 56, 64, 72] {
            let mut bad = good.clone();
            bad[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
            assert_eq!(Card::parse(&bad, NAME), Err(Damage::Corrupt("it was cut")));
        }
        let mut newer = good.clone();
        newer[HEAD] = 2;
        assert_eq!(Card::parse(&newer, NAME), Err(Damage::Version(2)));
        let other = Name { namespace: "grüße", name: "y" };
        assert_eq!(Card::parse(&good, other), Err(Damage::Corrupt("it has another name")));
    }
}
