//! An environment: it is shared where it is, by what is bound in it, and stays the same one. Its node has no contents: only R itself can send it.

use cowshed_altrep::attributes::STRUCTURE;
use cowshed_altrep::core::{Claim, Encoder, Node, NodeId, Opener, Shareable};
use cowshed_altrep::{Registration, Result, Session, Sexp, inventory, sys};

struct Environment;

inventory::submit!(Registration(&Environment));

impl Shareable<Session> for Environment {
    fn name(&self) -> &'static str {
        "r.environment"
    }

    fn kinds(&self) -> &'static [u8] {
        const { &[sys::ENVSXP as u8] }
    }

    fn claim(&self, session: &Session, _: Sexp) -> Claim {
        if session.options.stored { Claim::No } else { Claim::Type }
    }

    fn encode(&self, session: &Session, environment: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        session.put_off(environment)?;
        out.node(self.name(), Node { aux: STRUCTURE, ..Node::default() }, &[])
    }

    fn open(&self, _: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        Err(from.bad(node, "it is an environment, which only R itself can send").into())
    }

    fn replace(&self, _: &Session, original: Sexp, _: NodeId, _: &mut Opener<'_, Session>) -> Result<Sexp> {
        Ok(original)
    }
}
