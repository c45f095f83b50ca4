//! A host without R, for tests and examples: numbers and lists in an arena.
//!
//! It is public so that the crates and the tests around core can use it; nothing of it is in the R package.

use std::cell::{Cell, RefCell};

use crate::{
    AttachError, Claim, CreateError, DispatchError, Encoder, Host, Kind, Node, NodeId, Opener, Registry, Shareable,
};

/// A value: a place in the arena of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Value(usize);

#[derive(Debug, Clone, PartialEq)]
enum Thing {
    Numbers(Vec<f64>),
    List(Vec<Value>),
    /// Of a type nobody claims.
    Odd,
}

/// The host: an arena of values.
#[derive(Default)]
pub struct Fake {
    arena: RefCell<Vec<Thing>>,
    /// Written after the value that is shared.
    put_off: RefCell<Vec<Value>>,
    /// `poll` fails when this many polls are left; `None` never.
    interrupt_after: Cell<Option<u32>>,
}

/// The host's error.
#[derive(Debug, thiserror::Error)]
pub enum FakeError {
    /// A segment could not be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// Or attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Or no strategy fits.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// As by Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl FakeError {
    /// Its class.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            FakeError::Create(e) => Some(e.kind()),
            FakeError::Attach(e) => Some(e.kind()),
            FakeError::Dispatch(e) => Some(e.kind()),
            FakeError::Interrupted => None,
        }
    }
}

impl Fake {
    /// A vector of numbers.
    pub fn numbers(&self, numbers: &[f64]) -> Value {
        self.push(Thing::Numbers(numbers.to_vec()))
    }

    /// A list of values.
    pub fn list(&self, values: &[Value]) -> Value {
        self.push(Thing::List(values.to_vec()))
    }

    /// A value nobody can share.
    pub fn odd(&self) -> Value {
        self.push(Thing::Odd)
    }

    /// Has a value written after the one that is shared.
    pub fn put_off(&self, value: Value) {
        self.put_off.borrow_mut().push(value);
    }

    /// Makes the `n`th poll from now an interrupt.
    pub fn interrupt_after(&self, n: u32) {
        self.interrupt_after.set(Some(n));
    }

    /// A value as text.
    pub fn show(&self, value: Value) -> String {
        let thing = self.thing(value);
        let parts: Vec<_> = match thing {
            Thing::Numbers(numbers) => numbers.iter().map(f64::to_string).collect(),
            Thing::List(values) => values.iter().map(|v| self.show(*v)).collect(),
            Thing::Odd => return "?".to_owned(),
        };
        format!("[{}]", parts.join(", "))
    }

    /// Whether two values are one object.
    pub fn same(&self, a: Value, b: Value) -> bool {
        a == b
    }

    /// The values of a list.
    pub fn values(&self, value: Value) -> Vec<Value> {
        match self.thing(value) {
            Thing::List(values) => values,
            _ => Vec::new(),
        }
    }

    fn thing(&self, value: Value) -> Thing {
        self.arena.borrow()[value.0].clone()
    }

    fn push(&self, thing: Thing) -> Value {
        self.arena.borrow_mut().push(thing);
        Value(self.arena.borrow().len() - 1)
    }
}

impl Host for Fake {
    type Value = Value;
    type Error = FakeError;

    fn kind(&self, value: Value) -> u8 {
        match self.thing(value) {
            Thing::Numbers(_) => 1,
            Thing::List(_) => 2,
            Thing::Odd => 3,
        }
    }

    fn describe(&self, value: Value) -> String {
        format!("class <fake {}>", self.kind(value))
    }

    fn identity(&self, value: Value) -> Option<usize> {
        Some(value.0)
    }

    fn finish(&self, out: &mut Encoder<'_, Self>) -> Result<(), FakeError> {
        for value in self.put_off.take() {
            out.encode(value)?;
        }
        Ok(())
    }

    fn poll(&self) -> Result<(), FakeError> {
        match self.interrupt_after.get() {
            Some(0) => Err(FakeError::Interrupted),
            left => {
                self.interrupt_after.set(left.map(|n| n - 1));
                Ok(())
            }
        }
    }
}

/// The two strategies of the fake host.
pub fn registry() -> &'static Registry<Fake> {
    static REGISTRY: std::sync::OnceLock<Registry<Fake>> = std::sync::OnceLock::new();
    REGISTRY.get_or_init(|| Registry::new([&Numbers as &dyn Shareable<Fake>, &List]))
}

struct Numbers;

impl Shareable<Fake> for Numbers {
    fn name(&self) -> &'static str {
        "fake.numbers"
    }

    fn kinds(&self) -> &'static [u8] {
        &[1]
    }

    fn claim(&self, _: &Fake, _: Value) -> Claim {
        Claim::Type
    }

    fn encode(&self, host: &Fake, value: Value, out: &mut Encoder<'_, Fake>) -> Result<NodeId, FakeError> {
        let Thing::Numbers(numbers) = host.thing(value) else { unreachable!("claimed by kind") };
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
        let payload = out.payload(&bytes)?;
        out.node(self.name(), Node { length: numbers.len() as u64, payload, ..Node::default() }, &[])
    }

    fn open(&self, host: &Fake, node: NodeId, from: &mut Opener<'_, Fake>) -> Result<Value, FakeError> {
        let Node { length, payload, .. } = from.node(node);
        if length.checked_mul(8) != Some(payload.len) {
            return Err(from.bad(node, "its length does not fit its payload").into());
        }
        let bytes = from.segment().frozen(payload).ok_or_else(|| from.bad(node, "it is not frozen"))?;
        let numbers: Vec<_> =
            bytes.chunks_exact(8).map(|n| f64::from_ne_bytes(n.try_into().expect("8 bytes"))).collect();
        Ok(host.numbers(&numbers))
    }
}

struct List;

impl Shareable<Fake> for List {
    fn name(&self) -> &'static str {
        "fake.list"
    }

    fn kinds(&self) -> &'static [u8] {
        &[2]
    }

    fn claim(&self, _: &Fake, _: Value) -> Claim {
        Claim::Type
    }

    fn encode(&self, host: &Fake, value: Value, out: &mut Encoder<'_, Fake>) -> Result<NodeId, FakeError> {
        let children = host.values(value).into_iter().map(|v| out.encode(v)).collect::<Result<Vec<_>, _>>()?;
        out.node(self.name(), Node { length: children.len() as u64, ..Node::default() }, &children)
    }

    fn open(&self, host: &Fake, node: NodeId, from: &mut Opener<'_, Fake>) -> Result<Value, FakeError> {
        let values = from.children(node).map(|c| from.open(c)).collect::<Result<Vec<_>, _>>()?;
        Ok(host.list(&values))
    }
}
