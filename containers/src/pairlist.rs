//! A pairlist: as a list, it is shared by its elements, and stays a pairlist.

use cowshed_altrep::core::{Claim, Encoder, Node, NodeId, Opener, Shareable};
use cowshed_altrep::{Registration, Result, Session, Sexp, attributes, cells, inventory, serialized, sys};

struct Pairlist;

inventory::submit!(Registration(&Pairlist));

impl Shareable<Session> for Pairlist {
    fn name(&self) -> &'static str {
        "r.pairlist"
    }

    fn kinds(&self) -> &'static [u8] {
        const { &[sys::LISTSXP as u8] }
    }

    fn claim(&self, _: &Session, _: Sexp) -> Claim {
        Claim::Type
    }

    fn encode(&self, session: &Session, list: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        let tags = cells::tags(session.r, list)?;
        let payload = serialized::with_bytes(session.r, tags, |bytes| out.payload(bytes))?;
        let values = cells::values(list).into_iter().map(|value| out.encode(value)).collect::<Result<Vec<_>>>()?;
        let attributes = attributes::encode(session, list, out)?;
        let parts = values.iter().copied().chain(attributes);
        let aux = attributes::bits(list) | attributes::structure(out, parts);
        let node = Node { length: values.len() as u64, payload, attributes, aux, ..Node::default() };
        out.node(self.name(), node, &values)
    }

    fn open(&self, session: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let tags = serialized::read(session.r, node, from)?.strings(session.r)?;
        let values: Vec<_> = from.children(node).collect();
        if tags.len() != values.len() {
            return Err(from.bad(node, "its names do not fit its elements").into());
        }
        let list = cells::pairlist(session.r, &tags, |i| from.open(values[i]))?;
        attributes::restore(session, list, node, from)?;
        Ok(list)
    }

    fn replace(&self, session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let values: Vec<_> = from.children(node).collect();
        let list = cells::renew(session.r, original, |i, value| from.replace(value, values[i]))?;
        if session.options.shared_attributes { attributes::renew(session, list, node, from) } else { Ok(list) }
    }
}
