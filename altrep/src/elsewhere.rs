//! The strategy of what is shared already, inside a list or the like that is shared now: it stays where it is, with no copy.
//!
//! The container then travels as R's structure, with a reference for each such part.

use cowshed_core::{Claim, Encoder, Node, NodeId, Opener, Shareable};

use crate::attributes::{ELSEWHERE, STRUCTURE};
use crate::boundary::Result;
use crate::object::Object;
use crate::session::Session;
use crate::sexp::Sexp;
use crate::{Registration, lists, sys};

struct Elsewhere;

inventory::submit!(Registration(&Elsewhere));

impl Shareable<Session> for Elsewhere {
    fn name(&self) -> &'static str {
        "r.elsewhere"
    }

    fn kinds(&self) -> &'static [u8] {
        const {
            &[
                sys::RAWSXP as u8,
                sys::LGLSXP as u8,
                sys::INTSXP as u8,
                sys::REALSXP as u8,
                sys::CPLXSXP as u8,
                sys::STRSXP as u8,
                sys::VECSXP as u8,
            ]
        }
    }

    fn claim(&self, session: &Session, x: Sexp) -> Claim {
        if x.is_altrep() && !session.writes_afresh() && is_as_wished(session, x) {
            Claim::Class(u32::MAX)
        } else {
            Claim::No
        }
    }

    fn encode(&self, _: &Session, _: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        out.node(self.name(), Node { aux: STRUCTURE | ELSEWHERE, ..Node::default() }, &[])
    }

    fn open(&self, _: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        Err(from.bad(node, "it is in another segment").into())
    }

    fn replace(&self, _: &Session, original: Sexp, _: NodeId, _: &mut Opener<'_, Session>) -> Result<Sexp> {
        Ok(original)
    }
}

/// Whether it is shared, as it was shared, and with the flags that are asked for now.
fn is_as_wished(session: &Session, x: Sexp) -> bool {
    if let Some(vector) = Object::find(x.0) {
        return session.are_as_asked(vector.flags(), vector.kind()) && vector.view().is_shared();
    }
    Object::find_list(x.0)
        .is_some_and(|list| session.are_as_asked(list.flags(), sys::VECSXP) && !lists::is_changed(list))
}
