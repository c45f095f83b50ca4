//! The strategy of last resort: R's own serialization, as bytes in the segment. Such a value travels, but is not shared.
//!
//! - What refers to an environment, or to anything else of which there is one, has no bytes: in them it would become another one. Only R itself, in the
//!   serialization of the whole, can send it.
//! - R's empty symbol, an argument without a default, has no bytes either: no function can be called with it.

use cowshed_core::{Claim, Encoder, Node, NodeId, Opener, Shareable};

use crate::attributes::STRUCTURE;
use crate::boundary::{R, Result, call};
use crate::element::{Raw, plain};
use crate::session::Session;
use crate::sexp::Sexp;
use crate::sys;
use crate::{Registration, by_value};

/// The strategy.
pub(crate) const NAME: &str = "r.serialized";

struct Serialized;

inventory::submit!(Registration(&Serialized));

impl Shareable<Session> for Serialized {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kinds(&self) -> &'static [u8] {
        &sys::EVERY_TYPE
    }

    fn claim(&self, _: &Session, _: Sexp) -> Claim {
        Claim::Fallback
    }

    fn encode(&self, session: &Session, value: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        session.refuse_opaque(value)?;
        if !session.options.stored && session.put_off_within(value)? {
            return out.node(self.name(), Node { aux: STRUCTURE, ..Node::default() }, &[]);
        }
        if value == Sexp::missing_argument() {
            return out.node(self.name(), Node::default(), &[]);
        }
        let payload = with_bytes(session.r, value, |bytes| out.payload(bytes))?;
        out.node(self.name(), Node { length: payload.len, payload, ..Node::default() }, &[])
    }

    fn open(&self, session: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        if from.node(node).aux & STRUCTURE != 0 {
            return Err(from.bad(node, "it refers to what only R itself can send").into());
        }
        if from.node(node).payload.len == 0 {
            return Ok(Sexp::missing_argument());
        }
        read(session.r, node, from)
    }

    fn replace(&self, _: &Session, original: Sexp, _: NodeId, _: &mut Opener<'_, Session>) -> Result<Sexp> {
        Ok(original)
    }

    fn is_opaque(&self) -> bool {
        true
    }
}

/// Lends `body` a value's serialization: native byte order, version 3, and data in place of any reference.
///
/// # Errors
/// Those of `body`, or out of memory.
pub fn with_bytes<T>(r: R, value: Sexp, body: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
    r.scope(|| {
        let raw =
            by_value::forced(|| evaluate(r, c"function(x) serialize(x, NULL, xdr = FALSE, version = 3L)", value))?;
        assert!(raw.kind() == sys::RAWSXP, "serialize(x, NULL) gives a raw vector");
        // SAFETY: protected in this scope.
        body(unsafe { std::slice::from_raw_parts(sys::RAW(raw.0), sys::Rf_xlength(raw.0) as usize) })
    })
}

/// The value that a node's payload serializes.
///
/// # Errors
/// It serializes none.
pub fn read(r: R, node: NodeId, from: &Opener<'_, Session>) -> Result<Sexp> {
    let payload = from.node(node).payload;
    let start = from.segment().payload(payload);
    // SAFETY: a payload of the checked table.
    let raw = plain::<Raw>(r, payload.len as usize, |out| unsafe {
        std::ptr::copy_nonoverlapping(start, out, payload.len as usize);
    })?;
    evaluate(r, c"unserialize", Sexp(raw))
}

/// Calls an R function, given as text, in base.
pub(crate) fn evaluate(r: R, function: &std::ffi::CStr, argument: Sexp) -> Result<Sexp> {
    let value = call(r, || {
        // SAFETY: all is protected while it is needed; a jump restores the protect stack.
        unsafe {
            let function = sys::Rf_protect(sys::R_ParseEvalString(function.as_ptr(), sys::R_BaseEnv));
            let quote = sys::Rf_lcons(sys::Rf_install(c"quote".as_ptr()), sys::Rf_cons(argument.0, sys::R_NilValue));
            let arguments = sys::Rf_protect(sys::Rf_cons(quote, sys::R_NilValue));
            let expression = sys::Rf_protect(sys::Rf_lcons(function, arguments));
            let value = sys::Rf_eval(expression, sys::R_BaseEnv);
            sys::Rf_unprotect(3);
            value
        }
    })?;
    r.keep(value).map(Sexp)
}
