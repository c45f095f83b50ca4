//! Our side of the C table: each function of [`Host`] around the safe vocabulary.
//!
//! An encoder or opener is valid within the callback it was given to, and only in the innermost one: any other is refused.

use std::ffi::{c_char, c_int, c_void};

use cowshed_core::{NodeId, Payload};

use super::abi::{self, Host, Node, Piece, Strategy};
use super::foreign::{Encoding, Opening, is_current, required, set_message, shown};
use super::virtuals;
use crate::boundary::{Failure, Result, guard};
use crate::sexp::Sexp;
use crate::sys::SEXP;
use crate::{attributes, by_element, vector};

static TABLE: Host = Host {
    size: size_of::<Host>() as u32,
    abi: abi::ABI,
    register_strategy,
    unregister,
    fail,
    write,
    encode,
    write_attributes,
    add_node,
    read_node,
    child,
    bytes,
    vector,
    open,
    replace,
    restore_attributes,
    take_attributes,
    corrupt,
    register_virtual: virtuals::register_virtual,
    virtual_vector: virtuals::virtual_vector,
    stop: virtuals::stop,
};

/// What `R_GetCCallable("cowshed", "cowshed_host")` is: gives the table, which lives for ever.
pub extern "C" fn table() -> *const Host {
    &raw const TABLE
}

/// The same, for strategies and virtual vectors that are in cowshed's own library.
pub fn own_table() -> &'static Host {
    &TABLE
}

fn misuse(why: impl Into<String>) -> Failure {
    Failure::new("plugin", why)
}

unsafe extern "C-unwind" fn register_strategy(strategy: *const Strategy) {
    guard(|r| {
        // SAFETY: the header asks for a strategy; the first four fields are the same in all versions.
        let first = unsafe { (&raw const (*strategy).size, &raw const (*strategy).abi) };
        // SAFETY: as above.
        let (size, abi) = unsafe { (*first.0, *first.1) };
        // SAFETY: as above.
        let (name, package) =
            unsafe { (required((*strategy).name, "name")?, required((*strategy).package, "package")?) };
        if abi != abi::ABI || (size as usize) < size_of::<Strategy>() {
            let mut nothing = EMPTY;
            (nothing.size, nothing.abi) = (size, abi);
            return super::register(r, &nothing, name, package);
        }
        // SAFETY: it has our version and at least our size.
        super::register(r, unsafe { &*strategy }, name, package)
    });
}

const EMPTY: Strategy = Strategy {
    size: 0,
    abi: 0,
    name: std::ptr::null(),
    package: std::ptr::null(),
    class_name: std::ptr::null(),
    kinds: 0,
    flags: 0,
    state: std::ptr::null_mut(),
    claim: None,
    encode: None,
    open: None,
    replace: None,
};

unsafe extern "C-unwind" fn unregister(package: *const c_char) -> c_int {
    // SAFETY: the header asks for a C string.
    guard(|_| Ok(super::unregister(unsafe { required(package, "package") }?) as c_int))
}

unsafe extern "C-unwind" fn fail(message: *const c_char) -> c_int {
    // SAFETY: the header asks for a C string.
    set_message(unsafe { shown(message) });
    1
}

/// Runs `body` on the encoder that a plugin gave back.
fn encoding<T>(out: *mut abi::Encoder, body: impl FnOnce(&mut Encoding<'_, '_>) -> Result<T>) -> T {
    guard(|_| {
        if !is_current(out.cast()) {
            return Err(misuse("a sharing strategy used an encoder that is not the one of its callback"));
        }
        // SAFETY: it is that of the callback under way, whose frame waits for it and holds no reference in use.
        body(unsafe { &mut *out.cast::<Encoding<'_, '_>>() })
    })
}

/// The same for an opener.
fn opening<T>(from: *mut abi::Opener, body: impl FnOnce(&mut Opening<'_, '_>) -> Result<T>) -> T {
    guard(|_| {
        if !is_current(from.cast()) {
            return Err(misuse("a sharing strategy used an opener that is not the one of its callback"));
        }
        // SAFETY: as in `encoding`.
        body(unsafe { &mut *from.cast::<Opening<'_, '_>>() })
    })
}

unsafe extern "C-unwind" fn write(out: *mut abi::Encoder, pieces: *const Piece, count: u32) -> abi::Payload {
    encoding(out, |e| {
        let pieces = (0..count as usize).map(|i| -> &[u8] {
            // SAFETY: the header asks for `count` pieces, which stay while they are written.
            unsafe {
                let Piece { bytes, length } = *pieces.add(i);
                if length == 0 { &[] } else { std::slice::from_raw_parts(bytes.cast(), length as usize) }
            }
        });
        let payload = e.out.payload_of(pieces)?;
        e.written.push(payload);
        Ok(abi::Payload { offset: payload.offset, length: payload.len })
    })
}

unsafe extern "C-unwind" fn encode(out: *mut abi::Encoder, x: SEXP) -> u32 {
    encoding(out, |e| Ok(e.out.encode(Sexp(x))?.0))
}

unsafe extern "C-unwind" fn write_attributes(out: *mut abi::Encoder, x: SEXP) -> u32 {
    encoding(out, |e| Ok(attributes::encode(e.session, Sexp(x), e.out)?.map_or(abi::NONE, |node| node.0)))
}

/// Bits of `aux` below the plugin's own: R's object bits, and what the host notes.
const OWN_AUX: u32 = 8;

unsafe extern "C-unwind" fn add_node(
    out: *mut abi::Encoder,
    node: *const Node,
    children: *const u32,
    count: u32,
) -> u32 {
    encoding(out, |e| {
        // SAFETY: the header asks for a node.
        let node = unsafe { *node };
        let known = |number: u32| {
            e.out.get(number).ok_or_else(|| {
                misuse(format!("the sharing strategy '{}' named a node that it has not added", e.strategy))
            })
        };
        let children = (0..count as usize)
            // SAFETY: the header asks for `count` children.
            .map(|i| known(unsafe { *children.add(i) }))
            .collect::<Result<Vec<NodeId>>>()?;
        let attributes = if node.attributes == abi::NONE { None } else { Some(known(node.attributes)?) };
        let payload = Payload { offset: node.payload.offset, len: node.payload.length };
        if payload != Payload::default() && !e.written.contains(&payload) {
            return Err(misuse(format!(
                "the sharing strategy '{}' named a payload that it has not written",
                e.strategy
            )));
        }
        if node.aux >> (64 - OWN_AUX) != 0 {
            return Err(misuse(format!("the sharing strategy '{}' gave a node an aux of 2^56 or more", e.strategy)));
        }
        let bits = if attributes.is_some() { attributes::bits(e.value) } else { 0 };
        // A strategy of another package makes its object here and now, so that its errors are share()'s.
        let aux = (node.aux << OWN_AUX) | bits | attributes::STRUCTURE;
        let node = cowshed_core::Node { length: node.length, payload, attributes, aux, ..Default::default() };
        Ok(e.out.node(e.strategy, node, &children)?.0)
    })
}

/// A node by the number that a plugin gave.
fn known(o: &Opening<'_, '_>, id: u32) -> Result<NodeId> {
    let table = o.from.segment().table();
    table.get(id).ok_or_else(|| nonsense(o, id, "there is no such node"))
}

fn nonsense(o: &Opening<'_, '_>, id: u32, why: &str) -> Failure {
    let segment = o.from.segment().id();
    Failure::new("corrupt", format!("node {id} of segment {segment} is corrupt: {why}; share the object again"))
}

unsafe extern "C-unwind" fn read_node(from: *mut abi::Opener, id: u32, node: *mut Node) {
    opening(from, |o| {
        let read = o.from.node(known(o, id)?);
        // SAFETY: the header asks for a node with its size set.
        let size = unsafe { (*node).size };
        if (size as usize) < size_of::<Node>() {
            return Err(misuse("a sharing strategy read a node without setting its size"));
        }
        let found = Node {
            size,
            attributes: read.attributes.map_or(abi::NONE, |a| a.0),
            length: read.length,
            payload: abi::Payload { offset: read.payload.offset, length: read.payload.len },
            aux: read.aux >> OWN_AUX,
            child_count: read.child_count,
            reserved: 0,
        };
        // SAFETY: it has room for as much.
        unsafe { node.write(found) };
        Ok(())
    });
}

unsafe extern "C-unwind" fn child(from: *mut abi::Opener, id: u32, i: u32) -> u32 {
    opening(from, |o| {
        let child = o.from.children(known(o, id)?).nth(i as usize);
        Ok(child.ok_or_else(|| nonsense(o, id, "it lacks a child"))?.0)
    })
}

unsafe extern "C-unwind" fn bytes(from: *mut abi::Opener, id: u32) -> *const c_void {
    opening(from, |o| Ok(o.from.segment().payload(o.from.node(known(o, id)?).payload).cast()))
}

unsafe extern "C-unwind" fn vector(from: *mut abi::Opener, id: u32, kind: u32, offset: u64, length: u64) -> SEXP {
    opening(from, |o| {
        let node = known(o, id)?;
        by_element!(
            kind,
            E => Ok(vector::part::<E>(o.session, o.from, node, offset, length)?
                .ok_or_else(|| nonsense(o, id, "a vector does not fit its payload"))?.0),
            Err(misuse(format!("a sharing strategy asked for a vector of type {kind}, which has no views")))
        )
    })
}

unsafe extern "C-unwind" fn open(from: *mut abi::Opener, id: u32) -> SEXP {
    opening(from, |o| Ok(o.from.open(known(o, id)?)?.0))
}

unsafe extern "C-unwind" fn replace(from: *mut abi::Opener, original: SEXP, id: u32) -> SEXP {
    opening(from, |o| Ok(o.from.replace(Sexp(original), known(o, id)?)?.0))
}

unsafe extern "C-unwind" fn restore_attributes(from: *mut abi::Opener, id: u32, x: SEXP) {
    opening(from, |o| attributes::restore(o.session, Sexp(x), known(o, id)?, o.from));
}

unsafe extern "C-unwind" fn take_attributes(from: *mut abi::Opener, original: SEXP, id: u32, x: SEXP) {
    opening(from, |o| attributes::take_over(o.session, Sexp(original), Sexp(x), known(o, id)?, o.from));
}

unsafe extern "C-unwind" fn corrupt(from: *mut abi::Opener, id: u32, why: *const c_char) {
    // SAFETY: the header asks for a C string.
    let why = unsafe { shown(why) };
    opening::<()>(from, move |o| Err(nonsense(o, id, &why)));
}
