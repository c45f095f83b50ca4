//! The strategy of character vectors.

use std::collections::HashMap;

use cowshed_core::{ByAddress, Claim, Encoder, Facts, Flags, Node, NodeId, Opener, Payload, Shareable};

use crate::boundary::{R, Result, call};
use crate::element::Kind;
use crate::session::Session;
use crate::sexp::Sexp;
use crate::span::Span;
use crate::strings::{self, Character};
use crate::sys::{self, R_xlen_t, SEXP};
use crate::text::{Builder, Entry, Mark};
use crate::view::View;
use crate::{Registration, attributes, locale, text};

struct Characters;

inventory::submit!(Registration(&Characters));

impl Shareable<Session> for Characters {
    fn name(&self) -> &'static str {
        Character::STRATEGY
    }

    fn kinds(&self) -> &'static [u8] {
        const { &[sys::STRSXP as u8] }
    }

    fn claim(&self, _: &Session, _: Sexp) -> Claim {
        Claim::Type
    }

    fn encode(&self, session: &Session, x: Sexp, out: &mut Encoder<'_, Session>) -> Result<NodeId> {
        let r = session.r;
        let len = x.len(r)?;
        let short = if len <= FEW && !x.is_altrep() { few(r, x, len, out)? } else { None };
        let (payload, has_na) = match short {
            Some(written) => written,
            None => {
                let builder = gather(r, x, len)?;
                let has_na = builder.has_na();
                let parts = builder.parts(locale::codeset(r)?);
                (out.payload_of(parts.iter().map(Vec::as_slice))?, has_na)
            }
        };
        let facts = if has_na { Facts::empty() } else { Facts::NO_NA };
        let attributes = attributes::encode(session, x, out)?;
        let aux = attributes::bits(x) | attributes::structure(out, attributes) | attributes::short(session, len);
        if len >= session.options.min_length && !session.options.flags.contains(Flags::COPY_ON_WRITE) {
            session.note_strings();
        }
        out.node(self.name(), Node { length: len as u64, payload, facts, attributes, aux, ..Node::default() }, &[])
    }

    fn open(&self, session: &Session, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let r = session.r;
        let view = view(node, from)?;
        let short = view.len() < session.options.min_length || from.node(node).aux & attributes::SHORT != 0;
        let object = session.object::<Character>(view, from.flags() | Flags::COPY_ON_WRITE)?;
        let x = Sexp(if short { strings::copy(r, object)? } else { object.sexp() });
        attributes::restore(session, x, node, from)?;
        Ok(x)
    }

    fn replace(&self, session: &Session, original: Sexp, node: NodeId, from: &mut Opener<'_, Session>) -> Result<Sexp> {
        let view = view(node, from)?;
        if view.len() < session.options.min_length {
            return Ok(original);
        }
        let x = session.object::<Character>(view, from.flags() | Flags::COPY_ON_WRITE)?;
        let x = Sexp(x.sexp());
        attributes::take_over(session, original, x, node, from)?;
        Ok(x)
    }
}

fn view(node: NodeId, from: &Opener<'_, Session>) -> Result<View> {
    let len = from.node(node).length;
    let view = Span::of_text(from.segment(), node, 0, len).map(|(span, text)| View::of_text(span, text, len as usize));
    Ok(view.ok_or_else(|| from.bad(node, "its strings do not fit its bytes"))?)
}

/// So many strings, and bytes of them with what precedes them, are written without gathering them.
const FEW: usize = 16;
const SMALL: usize = 512;

/// Writes the strings of a short plain vector, each an entry; and whether one is NA. `None`: they are too long.
fn few(r: R, x: Sexp, n: usize, out: &mut Encoder<'_, Session>) -> Result<Option<(Payload, bool)>> {
    let (mut entries, mut place) = ([Entry { mark: Mark::Na, bytes: &[] }; FEW], [0; SMALL]);
    for (i, entry) in entries[..n].iter_mut().enumerate() {
        *entry = self::entry(r, string(r, x, i)?)?;
    }
    let entries = &entries[..n];
    let Some(len) = text::few(entries, locale::codeset(r)?, &mut place) else { return Ok(None) };
    Ok(Some((out.payload(&place[..len])?, entries.iter().any(|e| e.mark == Mark::Na))))
}

/// Elements looked at before deciding for or against a dictionary.
const SAMPLE: usize = 4096;

/// Below this length a dictionary is not worth a look.
const SHORT: usize = 64;

/// All strings of a vector, gathered for writing.
fn gather(r: R, x: Sexp, n: usize) -> Result<Builder> {
    let mut known = Known::default();
    // A sample spread over the vector decides: at least half of it repeats what was seen before.
    let sample = if n < SHORT { 0 } else { n.min(SAMPLE) };
    for k in 0..sample {
        known.insert(string(r, x, n / sample * k)?, 0);
    }
    let dictionary = sample > 0 && known.len() * 2 <= sample && n < u32::MAX as usize;
    known.clear();
    let mut builder = Builder::new(n, dictionary);
    for i in 0..n {
        let string = string(r, x, i)?;
        if !dictionary {
            add(r, &mut builder, string)?;
            continue;
        }
        let code = match known.get(&string) {
            Some(code) => *code,
            None => {
                let code = add(r, &mut builder, string)?;
                known.insert(string, code);
                code
            }
        };
        builder.code(code);
    }
    Ok(builder)
}

/// R's strings are unique per content and encoding, so their addresses tell them apart.
type Known = HashMap<SEXP, u32, ByAddress>;

/// Element `i`. Of a plain vector it is that vector's own; of an ALTREP's it is kept while its entry is copied.
fn string(r: R, x: Sexp, i: usize) -> Result<SEXP> {
    // SAFETY: an R object.
    if unsafe { sys::ALTREP(x.0) } == 0 {
        // SAFETY: within its length.
        return Ok(unsafe { sys::STRING_ELT(x.0, i as R_xlen_t) });
    }
    // SAFETY: as above; another package's class may raise an error.
    call(r, || unsafe { sys::STRING_ELT(x.0, i as R_xlen_t) })
}

fn add(r: R, builder: &mut Builder, string: SEXP) -> Result<u32> {
    Ok(builder.entry(entry(r, string)?))
}

/// A string's bytes as they are written; they stay while the vector that has it does, or until R's .Call ends.
fn entry<'a>(r: R, string: SEXP) -> Result<Entry<'a>> {
    // SAFETY: a constant of R's.
    if string == unsafe { sys::R_NaString } {
        return Ok(Entry { mark: Mark::Na, bytes: &[] });
    }
    // SAFETY: an R string, reachable from the vector.
    let bytes = unsafe { strings::bytes_of(string) };
    // SAFETY: as above.
    let mark = match unsafe { sys::Rf_getCharCE(string) } {
        sys::CE_UTF8 => Mark::Utf8,
        sys::CE_LATIN1 => Mark::Latin1,
        sys::CE_BYTES => Mark::Bytes,
        _ if bytes.is_ascii() || locale::codeset(r)? != locale::OTHER => Mark::Native,
        _ => return translated(r, string),
    };
    Ok(Entry { mark, bytes })
}

/// A string of an encoding that R cannot mark, as UTF-8. What has no meaning in it (any byte above 127 in the C locale) stays as it is.
fn translated<'a>(r: R, string: SEXP) -> Result<Entry<'a>> {
    // SAFETY: an R string; the translation lives until R's .Call ends.
    let text = call(r, || unsafe { sys::Rf_translateCharUTF8(string) })?;
    // SAFETY: a C string.
    let text = unsafe { std::ffi::CStr::from_ptr(text) }.to_bytes();
    // SAFETY: an R string, reachable from the vector.
    let bytes = unsafe { strings::bytes_of(string) };
    // R writes a byte that it cannot translate as `<e4>`.
    let brackets = |bytes: &[u8]| bytes.iter().filter(|b| **b == b'<').count();
    if brackets(text) > brackets(bytes) {
        return Ok(Entry { mark: Mark::Native, bytes });
    }
    Ok(Entry { mark: Mark::Utf8, bytes: text })
}
