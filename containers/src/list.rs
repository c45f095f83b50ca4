//! A list: sharing it is sharing its elements. The list itself stays a plain one, so that replacing an element changes nobody else's.

use cowshed_altrep::core::{Claim, Encoder, Node, NodeId, Opener, Shareable};
use cowshed_altrep::{Registration, Result, Session, Sexp, attributes, inventory, sys};

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
        let elements =
            (0..list.len(session.r)?).map(|i| out.encode(list.element(session.r, i)?)).collect::<Result<Vec<_>>>()?;
        let attributes = attributes::encode(session, list, out)?;
        let parts = elements.iter().copied().chain(attributes);
        let aux = attributes::bits(list) | attributes::structure(out, parts);
        let node = Node { length: elements.len() as u64, attributes, aux, ..Node::default() };
        out.node(self.name(), node, &elements)
    }

    fn open(&self, session: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let elements: Vec<_> = from.children(node).collect();
        let list = session.r.list(elements.len(), |i| from.open(elements[i]))?;
        attributes::restore(session, list, node, from)?;
        Ok(list)
    }

    fn replace(&self, session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let r = session.r;
        let list = r.shallow_duplicate(original)?;
        for (i, element) in from.children(node).enumerate() {
            r.set_element(list, i, || from.replace(original.element(r, i)?, element))?;
        }
        attributes::take_over(session, original, list, node, from)?;
        Ok(list)
    }
}
