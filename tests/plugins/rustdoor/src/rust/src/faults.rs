//! Strategies that go wrong, each for lists of a class of its own: cowshed's tests see what becomes of that.

use cowshed_plugins::prelude::*;

/// What goes wrong.
enum Fault {
    /// A panic while writing.
    Panics,
    /// A panic while asked.
    ClaimPanics,
    /// An error while writing, when much was written.
    Fails,
    /// An error while the value is made again.
    OpenPanics,
    /// An R error within a call of R.
    Stops,
    /// A node of nobody's.
    Invents,
}

macro_rules! faults {
    ($($fault:ident $name:literal $class:literal;)*) => {$(
        inventory::submit!(Registration(&(const { Faulty { fault: Fault::$fault, name: $name, class: $class } })));
    )*};
}

faults! {
    Panics "rustdoor.panics" "rustdoor_panics";
    ClaimPanics "rustdoor.claim" "rustdoor_claim";
    Fails "rustdoor.fails" "rustdoor_fails";
    OpenPanics "rustdoor.open" "rustdoor_open";
    Stops "rustdoor.stops" "rustdoor_stops";
    Invents "rustdoor.invents" "rustdoor_invents";
}

struct Faulty {
    fault: Fault,
    name: &'static str,
    class: &'static str,
}

impl Shareable for Faulty {
    fn name(&self) -> &'static str {
        self.name
    }

    fn class(&self) -> Option<&'static str> {
        Some(self.class)
    }

    fn kinds(&self) -> &'static [u8] {
        &[kind::LIST]
    }

    fn claim(&self, _: R, _: Sexp) -> Result<Option<Claim>> {
        assert!(!matches!(self.fault, Fault::ClaimPanics), "asked for too much");
        Ok(None)
    }

    fn encode(&self, r: R, x: Sexp, out: &mut Encoder<'_>) -> Result<NodeId> {
        let payload = out.payload(&vec![1; 1 << 20])?;
        match self.fault {
            Fault::Panics => panic!("wrote too much"),
            Fault::Fails => Err(Failure::new("plugin", "it does not want to")),
            // A list has as many elements as it has, and R says so.
            Fault::Stops => {
                out.attributes(r.list(usize::MAX >> 1, |_| Ok(x))?).and(Err(Failure::new("plugin", "unreachable")))
            }
            Fault::Invents => out.node(Node { payload: Payload::default(), aux: u64::MAX, ..Node::default() }, &[]),
            Fault::ClaimPanics | Fault::OpenPanics => out.node(Node { payload, ..Node::default() }, &[]),
        }
    }

    fn open(&self, _: R, _: NodeId, _: &mut Opener<'_>) -> Result<Sexp> {
        panic!("opened too much")
    }
}
