//! An S4 object that is no vector, list or function: sharing it is sharing its slots. Definitions of classes are none of them.

use cowshed_altrep::core::{Claim, Encoder, Node, NodeId, Opener, Shareable};
use cowshed_altrep::{Registration, Result, Session, Sexp, attributes, inventory, sys};

struct S4;

inventory::submit!(Registration(&S4));

impl Shareable<Session> for S4 {
    fn name(&self) -> &'static str {
        "r.S4"
    }

    fn kinds(&self) -> &'static [u8] {
        const { &[sys::S4SXP as u8] }
    }

    fn claim(&self, session: &Session, object: Sexp) -> Claim {
        if session.is_machinery(object) { Claim::No } else { Claim::Type }
    }

    fn encode(&self, session: &Session, object: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        let attributes = attributes::encode_slots(session, object, out)?;
        let aux = attributes::bits(object) | attributes::structure(out, attributes);
        out.node(self.name(), Node { attributes, aux, ..Node::default() }, &[])
    }

    fn open(&self, session: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let object = session.r.s4()?;
        attributes::restore(session, object, node, from)?;
        Ok(object)
    }

    fn replace(&self, session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        attributes::renew(session, original, node, from)
    }
}
