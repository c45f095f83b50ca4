//! An object whose class a package makes shareable from R: its proxy (what share_proxy() gives) is shared in its place.
//!
//! The one child is the proxy, the payload its origin: which package has the methods, and the class of the object.

use cowshed_altrep::core::{Claim, Encoder, Node, NodeId, Opener, Shareable};
use cowshed_altrep::{Registration, Result, Session, Sexp, attributes, inventory, proxies, sys, verbs};

struct Proxy;

inventory::submit!(Registration(&Proxy));

impl Shareable<Session> for Proxy {
    fn name(&self) -> &'static str {
        "r.proxy"
    }

    fn kinds(&self) -> &'static [u8] {
        // An object may be of any of R's types.
        &sys::EVERY_TYPE
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
        let child = child(node, from)?;
        let origin = proxies::read_origin(r, node, from)?;
        let proxy = from.open(child)?;
        proxies::restore(r, proxy, origin)
    }

    fn replace(&self, session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let (proxy, origin) = proxies::proxy(session, original)?;
        let child = child(node, from)?;
        let shared = from.replace(proxy, child)?;
        if !verbs::any_shared(session.r, shared)? {
            return Ok(original);
        }
        proxies::restore(session.r, shared, origin)
    }
}

/// The node of the proxy.
fn child(node: NodeId, from: &Opener<'_, Session>) -> Result<NodeId> {
    from.children(node).next().ok_or_else(|| from.bad(node, "it is a proxy of nothing").into())
}
