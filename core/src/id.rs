//! Names that cannot be guessed: segments and tickets.

use std::fmt;
use std::num::NonZeroU64;

/// The name of a segment: 128 random bits, 32 hex digits in a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId([u8; 16]);

impl SegmentId {
    /// A new one. The kernel's generator makes it, so no two machines or forks agree.
    pub fn random() -> Self {
        let id = SegmentId(random());
        if id.is_zero() { Self::random() } else { id }
    }

    /// That of memory with a name, the same in every process. A printed id is the name of itself.
    ///
    /// A hash will do: names come from this user alone, so nobody looks for two that collide.
    pub fn of_name(name: &str) -> Self {
        Self::parse(name).unwrap_or_else(|| SegmentId(fnv1a(name.bytes()).max(1).to_be_bytes()))
    }

    /// From its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        SegmentId(bytes)
    }

    /// Its 16 bytes.
    pub const fn bytes(&self) -> [u8; 16] {
        self.0
    }

    /// From 32 hex digits; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 32 || !text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let digit = |b: u8| if b <= b'9' { b - b'0' } else { b - b'a' + 10 };
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0]) << 4 | digit(pair[1]);
        }
        Some(SegmentId(bytes)).filter(|id| !id.is_zero())
    }

    /// All zero is the free slot of a ledger, never a segment.
    pub(crate) fn is_zero(&self) -> bool {
        self.0 == [0; 16]
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One reference in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(NonZeroU64);

impl Ticket {
    /// A new one.
    pub fn random() -> Self {
        loop {
            if let Some(ticket) = Self::from_bits(u64::from_ne_bytes(random())) {
                return ticket;
            }
        }
    }

    /// From its number; zero is none.
    pub fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Ticket)
    }

    /// Its number.
    pub const fn bits(self) -> u64 {
        self.0.get()
    }
}

/// FNV-1a of 128 bits.
pub(crate) fn fnv1a(bytes: impl Iterator<Item = u8>) -> u128 {
    const START: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = (1 << 88) + 0x13b;
    bytes.fold(START, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

/// `N` bytes from the kernel. For at most 256 bytes `getrandom(2)` is never short once the pool is ready.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => panic!("the kernel's random numbers are not to be had: {e}"),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_id_parses_to_itself() {
        for _ in 0..100 {
            let id = SegmentId::random();
            assert_eq!(SegmentId::parse(&id.to_string()), Some(id));
        }
    }

    #[test]
    fn a_name_gives_the_id_that_the_format_page_says() {
        // FNV-1a's published value for "a".
        assert_eq!(SegmentId::of_name("a").to_string(), "d228cb696f1a8caf78912b704e4a8964");
        assert_eq!(SegmentId::of_name("").to_string(), "6c62272e07bb014262b821756295c58d");
        let id = SegmentId::random();
        assert_eq!(SegmentId::of_name(&id.to_string()), id);
    }

    #[test]
    fn what_is_not_32_lower_hex_digits_is_no_id() {
        let zero = "0".repeat(32);
        for text in ["", "xyz", "../../../../../../etc/passwd00000", &"A".repeat(32), &"0".repeat(31), &zero] {
            assert_eq!(SegmentId::parse(text), None, "{text}");
        }
    }
}
