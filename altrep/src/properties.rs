//! sharedObjectProperties(): what a shared vector says of itself.

use std::collections::HashSet;

use cowshed_core::Flags;

use crate::boundary::{R, Result};
use crate::by_element;
use crate::element::Element;
use crate::object::Object;
use crate::sexp::Sexp;
use crate::sys::{self, SEXP};
use crate::verbs::shared;
use crate::view::Source;

/// What a vector of plain bytes is asked for, in SharedObject's order.
const PLAIN: [&str; 8] =
    ["dataId", "length", "totalSize", "dataType", "ownData", "copyOnWrite", "sharedSubset", "sharedCopy"];
/// A character vector's: the first six are SharedObject's.
const CHARACTER: [&str; 10] = [
    "length",
    "unitSize",
    "totalSize",
    "dataType",
    "uniqueChar",
    "copyOnWrite",
    "dataId",
    "ownData",
    "sharedSubset",
    "sharedCopy",
];

/// All properties of a shared vector, as a named list; R's NULL for what is not shared.
///
/// # Errors
/// Out of memory.
pub fn properties(r: R, x: Sexp) -> Result<Sexp> {
    let Some(object) = shared(x) else { return Ok(Sexp::null()) };
    let character = object.kind() == sys::STRSXP;
    let distinct = if character { distinct(object)? } else { 0 };
    let unit = if character { code_size(distinct) } else { by_element!(object.kind(), E => size_of_element::<E>(), 0) };
    let (len, flags) = (object.view().len(), object.flags());
    let names: &[&str] = if character { &CHARACTER } else { &PLAIN };
    r.named_list(names, |i| match names[i] {
        "dataId" => match data_id(x) {
            Some(id) => r.string(&id),
            None => r.missing_string(),
        },
        "length" => r.number(len as f64),
        "unitSize" => r.number(unit as f64),
        "totalSize" => r.number(len as f64 * unit as f64),
        "dataType" => r.integer(object.kind() as i32),
        "uniqueChar" => r.number(distinct as f64),
        "ownData" => r.logical(is_own(object)),
        "copyOnWrite" => r.logical(flags.contains(Flags::COPY_ON_WRITE)),
        "sharedSubset" => r.logical(flags.contains(Flags::SHARED_SUBSET)),
        _ => r.logical(flags.contains(Flags::SHARED_COPY)),
    })
}

/// The name of what a shared vector reads: `<segment>`, or `<segment>:<node>` for a part of one, which from here on is in the store. A draft
/// has the name that it is going to be sealed under. `None` for what is not shared, and for strings that were not sent yet.
pub fn data_id(x: Sexp) -> Option<String> {
    let view = shared(x)?.view();
    let source = view.source();
    if let Source::Segment(span) = &*source {
        if let Some(lease) = span.segment.lease() {
            // Without room there, the name is still the one that it would have.
            let _ = lease.store().named(&span.segment);
        }
    }
    match &*source {
        Source::Segment(span) if span.node == span.segment.root() => Some(span.segment.id().to_string()),
        Source::Segment(span) => Some(format!("{}:{}", span.segment.id(), span.node.0)),
        Source::Draft(draft) => draft.id().map(|id| id.to_string()),
        Source::Loose | Source::Broken(_) => None,
    }
}

/// Whether this process made it.
fn is_own(object: Object) -> bool {
    match &*object.view().source() {
        Source::Segment(span) => span.segment.is_own(),
        _ => true,
    }
}

fn size_of_element<E: Element>() -> usize {
    size_of::<E::C>()
}

/// Bytes of a code for one of so many strings, as SharedObject counts; our own layout may be another.
fn code_size(distinct: usize) -> usize {
    match distinct {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

/// Different strings of a character vector, NA counted as one, encodings told apart.
fn distinct(object: Object) -> Result<usize> {
    let view = object.view();
    let len = view.len();
    let Ok((text, start)) = view.text() else {
        // Not in a segment yet: R's strings are unique, so their addresses tell them apart.
        let strings = view.read()?.cast::<SEXP>();
        // SAFETY: loose strings are a plain vector of as many.
        return Ok((0..len).map(|i| unsafe { *strings.add(i) }).collect::<HashSet<_>>().len());
    };
    let codes = (start..start + len).filter_map(|i| text.code(i));
    if text.is_dictionary() {
        let mut met = vec![false; text.entries()];
        codes.for_each(|code| met[code] = true);
        return Ok(met.into_iter().filter(|m| *m).count());
    }
    let entries: HashSet<_> = codes.filter_map(|code| text.entry(code)).map(|e| (e.mark as u8, e.bytes)).collect();
    Ok(entries.len())
}
