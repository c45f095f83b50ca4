//! A list: sharing it is sharing its elements. Replacing an element changes nobody else's list: R does that in a plain copy of the list.

use cowshed_altrep::core::{Claim, Encoder, Node, NodeId, Opener, Shareable};
use cowshed_altrep::{Registration, Result, Session, Sexp, attributes, inventory, lists, sys};

struct List;

inventory::submit!(Registration(&List));

impl Shareable<Session> for List {
    fn name(&self) -> &'static str {
        "r.list"
    }

    fn kinds(&self) -> &'static [u8] {
        const { &[sys::VECSXP as u8] }
    }

    fn claim(&self, _: &Session, _: Sexp) -> Claim {
        Claim::Type
    }

    fn encode(&self, session: &Session, list: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        let len = list.len(session.r)?;
        out.expect(len);
        let elements = (0..len).map(|i| out.encode(list.element(session.r, i)?)).collect::<Result<Vec<_>>>()?;
        let attributes = attributes::encode(session, list, out)?;
        let parts = elements.iter().copied().chain(attributes);
        let aux = attributes::bits(list) | attributes::structure(out, parts);
        let node = Node { length: elements.len() as u64, attributes, aux, ..Node::default() };
        out.node(self.name(), node, &elements)
    }

    fn open(&self, session: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        if let Some(list) = lists::lazy(session, node, from)? {
            attributes::restore(session, list, node, from)?;
            return Ok(list);
        }
        let list = lists::plain(session, node, from)?;
        attributes::restore(session, list, node, from)?;
        Ok(list)
    }

    fn replace(&self, session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        if let Some(list) = lists::lazy(session, node, from)? {
            attributes::take_over(session, original, list, node, from)?;
            return Ok(list);
        }
        let list = lists::replaced(session, original, node, from)?;
        attributes::take_over(session, original, list, node, from)?;
        Ok(list)
    }
}
