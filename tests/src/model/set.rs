//! A set of small numbers: processes, ledgers, segments or references.

use std::fmt;

/// At most eight members, each below eight. The order of [`Set::iter`] is ascending.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set(u8);

impl Set {
    /// No members.
    pub const EMPTY: Set = Set(0);

    /// One member.
    #[inline]
    pub fn of(member: usize) -> Set {
        Set(1 << member)
    }

    /// Whether `member` is in.
    #[inline]
    pub fn has(self, member: usize) -> bool {
        self.0 & (1 << member) != 0
    }

    /// Whether there are no members.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both.
    #[inline]
    pub fn and(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }

    /// This without the members of `other`.
    #[inline]
    pub fn minus(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }

    /// The members of both.
    #[inline]
    pub fn common(self, other: Set) -> Set {
        Set(self.0 & other.0)
    }

    /// Whether every member is in `other`.
    #[inline]
    pub fn within(self, other: Set) -> bool {
        self.0 & !other.0 == 0
    }

    /// Adds one.
    #[inline]
    pub fn add(&mut self, member: usize) {
        self.0 |= 1 << member;
    }

    /// Takes one away.
    #[inline]
    pub fn remove(&mut self, member: usize) {
        self.0 &= !(1 << member);
    }

    /// The smallest member.
    #[inline]
    pub fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    /// The members, ascending.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let member = Set(rest).first()?;
            rest &= rest - 1;
            Some(member)
        })
    }

    /// Every subset, this set itself and the empty one included.
    pub fn subsets(self) -> impl Iterator<Item = Set> {
        let mut next = Some(self.0);
        std::iter::from_fn(move || {
            let this = next?;
            next = (this != 0).then(|| (this - 1) & self.0);
            Some(Set(this))
        })
    }

    /// The same set after member `m` has been renamed to `to[m]`.
    #[inline]
    pub fn renamed(self, to: &[u8]) -> Set {
        let mut set = Set::EMPTY;
        for member in self.iter() {
            set.add(to[member] as usize);
        }
        set
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
