//! Strategies for opening whatever the bytes say, with an end: nodes that have the same children twice double with each level.

use std::cell::Cell;

use cowshed_core::fake::{Fake, FakeError, Value};
use cowshed_core::{Claim, Encoder, Node, NodeId, Opener, Registry, Shareable};

/// Values that are opened of one segment, at most, and bytes.
const MOST: u64 = 200;
const MOST_BYTES: u64 = 64 << 10;

thread_local! {
    static LEFT: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Begins to count.
pub fn start() {
    LEFT.set((MOST, MOST_BYTES));
}

fn spend(bytes: u64) -> bool {
    let (values, left) = LEFT.get();
    LEFT.set((values.saturating_sub(1), left.saturating_sub(bytes)));
    values > 0 && left >= bytes
}

/// Under the names that the fake host's own have.
pub fn registry() -> &'static Registry<Fake> {
    static REGISTRY: std::sync::OnceLock<Registry<Fake>> = std::sync::OnceLock::new();
    REGISTRY.get_or_init(|| Registry::new([&NUMBERS as &dyn Shareable<Fake>, &LIST]))
}

static NUMBERS: Opened = Opened { name: "fake.numbers", open: numbers };
static LIST: Opened = Opened { name: "fake.list", open: list };

fn numbers(host: &Fake, node: NodeId, from: &mut Opener<'_, Fake>) -> Result<Value, FakeError> {
    let Node { length, payload, .. } = from.node(node);
    if length.checked_mul(8) != Some(payload.len) || !spend(payload.len) {
        return Err(from.bad(node, "its length does not fit its payload").into());
    }
    let bytes = from.segment().frozen(payload).ok_or_else(|| from.bad(node, "it is not frozen"))?;
    // All of them, without a copy of all.
    let all = bytes.iter().fold(0, |all, byte| all ^ byte);
    Ok(host.numbers(&[all.into()]))
}

/// Its attributes too, which the fake host has none of.
fn list(host: &Fake, node: NodeId, from: &mut Opener<'_, Fake>) -> Result<Value, FakeError> {
    if !spend(0) {
        return Err(from.bad(node, "it has too many parts").into());
    }
    let mut values = from.children(node).map(|c| from.open(c)).collect::<Result<Vec<_>, _>>()?;
    if let Some(attributes) = from.node(node).attributes {
        values.push(from.open(attributes)?);
    }
    Ok(host.list(&values))
}

type Open = fn(&Fake, NodeId, &mut Opener<'_, Fake>) -> Result<Value, FakeError>;

struct Opened {
    name: &'static str,
    open: Open,
}

impl Shareable<Fake> for Opened {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kinds(&self) -> &'static [u8] {
        &[]
    }

    fn claim(&self, _: &Fake, _: Value) -> Claim {
        Claim::No
    }

    fn encode(&self, _: &Fake, _: Value, _: &mut Encoder<'_, Fake>) -> Result<NodeId, FakeError> {
        unreachable!("claims nothing")
    }

    fn open(&self, host: &Fake, node: NodeId, from: &mut Opener<'_, Fake>) -> Result<Value, FakeError> {
        (self.open)(host, node, from)
    }
}
