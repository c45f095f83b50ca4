//! An object whose class a package makes shareable from R: its proxy (what share_proxy() gives) is shared in its place.
//!
//! The one child is the proxy, the payload its origin: which package has the methods, and the class of the object.

use cowshed_altrep::core::{Claim, Encoder, Node, NodeId, Opener, Shareable};
use cowshed_altrep::{Registration, Result, Session, Sexp, attributes, inventory, proxies, verbs};

struct Proxy;

inventory::submit!(Registration(&Proxy));

impl Shareable<Session> for Proxy {
    fn name(&self) -> &'static str {
        "r.proxy"
    }

    fn kinds(&self) -> &'static [u8] {
        // An object may be of any of R's types.
        const { &every_kind() }
    }

    fn claim(&self, session: &Session, x: Sexp) -> Claim {
        proxies::claim(session, x)
    }

    fn encode(&self, session: &Session, x: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        let (proxy, origin) = proxies::proxy(session, x)?;
        let child = proxies::within(session, x, || out.encode(proxy))?;
        let payload = proxies::write_origin(session.r, origin, out)?;
        // The object is made by a method in R, here and now: what holds it is no list that opens it later.
        let aux = attributes::STRUCTURE;
        out.node(self.name(), Node { length: 1, payload, aux, ..Node::default() }, &[child])
    }

    fn open(&self, session: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let r = session.r;
        let Some(child) = from.children(node).next() else {
            return Err(from.bad(node, "it is a proxy of nothing").into());
        };
        let origin = proxies::read_origin(r, node, from)?;
        let proxy = from.open(child)?;
        proxies::restore(r, proxy, origin)
    }

    fn replace(&self, session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let (proxy, origin) = proxies::proxy(session, original)?;
        let Some(child) = from.children(node).next() else {
            return Err(from.bad(node, "it is a proxy of nothing").into());
        };
        let shared = from.replace(proxy, child)?;
        if !verbs::any_shared(session.r, shared)? {
            return Ok(original);
        }
        proxies::restore(session.r, shared, origin)
    }
}

const fn every_kind() -> [u8; 26] {
    let mut kinds = [0; 26];
    let mut i = 0;
    while i < kinds.len() {
        kinds[i] = i as u8;
        i += 1;
    }
    kinds
}
