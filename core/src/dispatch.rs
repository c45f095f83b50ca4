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
