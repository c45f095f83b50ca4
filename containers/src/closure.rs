//! A function: sharing it is sharing what is bound in its environments, where it is. Only its attributes may be replaced, in a copy.

use cowshed_altrep::attributes::{self, STRUCTURE};
use cowshed_altrep::core::{Claim, Encoder, Node, NodeId, Opener, Shareable};
use cowshed_altrep::{Registration, Result, Session, Sexp, inventory, sys};

struct Closure;

inventory::submit!(Registration(&Closure));

impl Shareable<Session> for Closure {
    fn name(&self) -> &'static str {
        "r.closure"
    }

    fn kinds(&self) -> &'static [u8] {
        const { &[sys::CLOSXP as u8] }
    }

    fn claim(&self, session: &Session, function: Sexp) -> Claim {
        if session.options.stored || session.is_machinery(function) { Claim::No } else { Claim::Type }
    }

    fn encode(&self, session: &Session, function: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        session.put_off(function)?;
        // A method of a reference class is found by what it says of itself: that stays.
        let own = !function.is_s4() && attributes::any_sharable(session.r, function)?;
        let attributes = if own { attributes::encode(session, function, out)? } else { None };
        out.node(self.name(), Node { attributes, aux: STRUCTURE, ..Node::default() }, &[])
    }

    fn open(&self, _: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        Err(from.bad(node, "it is a function, which only R itself can send").into())
    }

    fn replace(&self, session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        if session.options.shared_attributes { attributes::renew(session, original, node, from) } else { Ok(original) }
    }
}
