//! Choosing the strategy: by type first, then the strongest claim.

use crate::{Claim, DispatchError, Host, Shareable};

/// All strategies of a process, by kind of value and by name.
pub struct Registry<H: Host + 'static> {
    by_kind: [Vec<&'static dyn Shareable<H>>; 32],
    all: Vec<&'static dyn Shareable<H>>,
}

impl<H: Host> Registry<H> {
    /// From the strategies registered.
    pub fn new(strategies: impl IntoIterator<Item = &'static dyn Shareable<H>>) -> Self {
        let mut registry = Registry { by_kind: Default::default(), all: strategies.into_iter().collect() };
        // Link order is no order: what is registered must not decide what is chosen or listed first.
        registry.all.sort_by_key(|s| s.name());
        for strategy in &registry.all {
            for &kind in strategy.kinds() {
                registry.by_kind[usize::from(kind) % 32].push(*strategy);
            }
        }
        registry
    }

    /// All strategies, sorted by name.
    pub fn all(&self) -> &[&'static dyn Shareable<H>] {
        &self.all
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.all.iter().map(|s| s.name())
    }

    /// The strategy of a value.
    ///
    /// # Errors
    /// [`DispatchError::Unclaimed`] if nobody wants it, [`DispatchError::Tie`] if two want it equally, or what a strategy says when asked.
    pub fn choose(&self, host: &H, value: H::Value) -> Result<&'static dyn Shareable<H>, H::Error> {
        let mut best: Option<(Claim, &'static dyn Shareable<H>)> = None;
        let mut tied = None;
        for strategy in &self.by_kind[usize::from(host.kind(value)) % 32] {
            let claim = strategy.ask(host, value)?;
            match best {
                _ if claim == Claim::No => {}
                Some((b, _)) if claim < b => {}
                Some((b, _)) if claim == b => tied = Some(*strategy),
                _ => (best, tied) = (Some((claim, *strategy)), None),
            }
        }
        match (best, tied) {
            (Some((_, first)), Some(second)) => {
                let [first, second] = [first, second].map(|s| (s.package(), s.name()));
                Err(DispatchError::Tie { first, second, what: host.describe(value) }.into())
            }
            (Some((_, strategy)), None) => Ok(strategy),
            (None, _) => Err(DispatchError::Unclaimed { what: host.describe(value) }.into()),
        }
    }

    /// The strategy of a name read from a segment.
    pub fn by_name(&self, name: &str) -> Option<&'static dyn Shareable<H>> {
        self.all.binary_search_by(|s| s.name().cmp(name)).ok().map(|i| self.all[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, FakeError, Value, registry};
    use crate::{Encoder, Flags, Heap, NodeId, Opener, open, share};

    struct Other {
        name: &'static str,
        package: &'static str,
        claim: Claim,
    }

    impl Shareable<Fake> for Other {
        fn name(&self) -> &'static str {
            self.name
        }

        fn package(&self) -> &'static str {
            self.package
        }

        fn kinds(&self) -> &'static [u8] {
            &[1]
        }

        fn claim(&self, _: &Fake, _: Value) -> Claim {
            self.claim
        }

        fn encode(&self, _: &Fake, _: Value, _: &mut Encoder<'_, Fake>) -> Result<NodeId, FakeError> {
            unreachable!("only asked")
        }

        fn open(&self, _: &Fake, _: NodeId, _: &mut Opener<'_, Fake>) -> Result<Value, FakeError> {
            unreachable!("only asked")
        }
    }

    const ONE: Other = Other { name: "one.a", package: "one", claim: Claim::Class(3) };
    const TWO: Other = Other { name: "two.b", package: "two", claim: Claim::Class(3) };
    const LESS: Other = Other { name: "less.c", package: "less", claim: Claim::Class(2) };

    #[test]
    fn the_most_specific_wins_whatever_the_order() {
        let host = Fake::default();
        let value = host.numbers(&[1.0]);
        let own = registry().by_name("fake.numbers").expect("the fake's own");
        for all in [[&ONE as &dyn Shareable<Fake>, &LESS, own], [own, &LESS, &ONE]] {
            let chosen = Registry::new(all).choose(&host, value).expect("one is the most specific");
            assert_eq!(chosen.name(), "one.a");
        }
    }

    #[test]
    fn a_tie_names_both_packages_and_less_specific_ones_are_none() {
        let host = Fake::default();
        let value = host.numbers(&[1.0]);
        let tie = Registry::new([&LESS as &dyn Shareable<Fake>, &TWO, &ONE]).choose(&host, value).err();
        let said = tie.expect("two are equal").to_string();
        assert!(said.contains("'one' (strategy 'one.a') and 'two' (strategy 'two.b')"), "{said}");
    }

    #[test]
    fn a_strategy_that_nobody_has_is_an_error_that_names_it() {
        let host = Fake::default();
        let value = host.numbers(&[1.0]);
        let segment = share(&host, registry(), &Heap, value, Flags::COPY_ON_WRITE).expect("it is shared");
        let error = open(&host, &Registry::new([]), &segment, segment.root()).expect_err("nothing opens it");
        assert!(error.to_string().contains("'fake.numbers'"), "{error}");
    }
}
