//! Objects in files that stay: `share(x, store = )`, SharedObject(store = ), and opening, checking and removing what they made.
//!
//! - A file holds one object. Vectors, and what is made of them, are views of it wherever it is opened; a reference to one is the file's path.
//! - What only R can send (calls, functions of the workspace or of packages) is in the file as R's serialization, each by itself. What holds an
//!   environment or pointer of its own, which two of its parts may refer to, is in the file as a whole so, and made anew each time the file is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cowshed_core::{
    Flags, Host, Mode, Node, Opener, Segment, SegmentId, Stored, StoredError, Verified, open_stored, remove_stored,
    same_stored, verify_stored, write,
};

use crate::boundary::{Failure, R, Result};
use crate::element::Element;
use crate::environment::Stops;
use crate::object::Object;
use crate::session::{Session, ShareOptions};
use crate::sexp::Sexp;
use crate::verbs::{Wish, bad_argument};
use crate::walk::{self, Attributes, Reach, Step};
use crate::{attributes, proxies, registry, serialized, sys};

/// The ending of the files' names.
const ENDING: &str = "cowshed";

/// share(x, store = ): `x` in a file there. What is in it as a whole is given back as it is; else the view of the file.
///
/// # Errors
/// No room, a file that is there already, no such directory, interrupted, or (under `mustWork`) not shareable.
pub fn share(r: R, x: Sexp, wish: &Wish) -> Result<Sexp> {
    let session = Session::new(r, wish.options(r)?);
    let whole = is_whole(&session, x)?;
    if whole {
        session.refuse_opaque(x)?;
    }
    let segment = put(&session, x, whole, &target(r, wish.store)?)?;
    session.warn_of_strings()?;
    if whole {
        return Ok(x);
    }
    Opener::new(&session, registry(), &segment, session.options.flags).replace(x, segment.root())
}

/// Writes any object to a file, which nobody changes.
///
/// # Errors
/// As [`share`].
pub fn save(r: R, x: Sexp, path: &Path) -> Result<()> {
    let session = Session::new(r, ShareOptions { stored: true, ..ShareOptions::in_hook(Flags::COPY_ON_WRITE) });
    let whole = is_whole(&session, x)?;
    put(&session, x, whole, path).map(drop)
}

fn put(session: &Session, x: Sexp, whole: bool, path: &Path) -> Result<Arc<Segment>> {
    write(session, registry(), &Stored::new(path), session.options.flags, |out| {
        if !whole {
            return out.encode(x);
        }
        let payload = serialized::with_bytes(session.r, x, |bytes| out.payload(bytes))?;
        out.node(serialized::NAME, Node { length: payload.len, payload, ..Node::default() }, &[])
    })
}

/// Whether there is something in it of which there is one, and that more than one part may refer to: then R must write the whole.
fn is_whole(session: &Session, x: Sexp) -> Result<bool> {
    let (r, stops) = (session.r, Stops::new());
    let reach = Reach { attributes: Attributes::All, environments: false, language: true, shallow: false };
    walk::any(r, x, reach, |value| {
        let one = match value.kind() {
            sys::ENVSXP => !stops.has(r, value)?,
            sys::CLOSXP => !stops.enclosures(r, value)?.is_empty(),
            sys::PROMSXP | sys::EXTPTRSXP | sys::WEAKREFSXP => true,
            // What a package shares its own way is not R's to send.
            _ => return Ok(if proxies::is_proxied(session, value)? { Step::Past } else { Step::Into }),
        };
        Ok(if one { Step::Stop } else { Step::Past })
    })
}

/// SharedObject(store = ): a vector of `len` zeros with these attributes, in a file that is written through.
///
/// # Errors
/// As [`share`].
pub fn blank<E: Element>(r: R, like: Sexp, len: usize, wish: &Wish) -> Result<Sexp> {
    if wish.flags[0] == Some(true) {
        return Err(bad_argument(
            "with `store`, what is assigned goes to the file: `copyOnWrite` cannot be TRUE; fill it first, then open it with \
             openSharedFile(copyOnWrite = TRUE), or share() it",
        ));
    }
    let options = wish.options(r)?;
    let flags = options.flags - Flags::COPY_ON_WRITE;
    let session = Session::new(r, ShareOptions { flags, min_length: 0, ..options });
    let segment = write(&session, registry(), &Stored::new(&target(r, wish.store)?), flags, |out| {
        let payload = out.zeros((len * size_of::<E::C>()) as u64)?;
        let attributes = attributes::encode(&session, like, out)?;
        let aux = attributes::bits(like) | attributes::structure(out, attributes);
        let node = Node { length: len as u64, payload, attributes, aux, ..Node::default() };
        out.node(E::STRATEGY, node, &[])
    })?;
    Opener::new(&session, registry(), &segment, flags).open(segment.root())
}

/// The object in a file, under the flags that are wished.
///
/// # Errors
/// No such file, none of ours, a strategy that this process lacks, or copyOnWrite = FALSE for what nobody changes.
pub fn open(r: R, path: &Path, wish: &Wish) -> Result<Sexp> {
    let segment = open_stored(path)?;
    let options = wish.options(r)?;
    let mut flags = options.flags;
    let through = segment.mode() == Mode::WriteThrough;
    if !through && wish.flags[0] == Some(false) {
        return Err(bad_argument(format!(
            "'{}' was stored with copyOnWrite = TRUE and is not written through; to have one that is, open it and share(x, copyOnWrite = FALSE, \
             store = ) it under another name",
            path.display()
        )));
    }
    flags.set(Flags::COPY_ON_WRITE, wish.flags[0].unwrap_or(!through));
    let session = Session::new(r, ShareOptions { flags, ..options });
    Opener::new(&session, registry(), &segment, flags).open(segment.root())
}

/// The segment that a reference says is in a file.
pub(crate) fn of_reference(path: &Path, id: SegmentId) -> Result<Arc<Segment>> {
    let segment = open_stored(path)?;
    if segment.id() != id {
        return Err(StoredError::Replaced { path: path.to_owned() }.into());
    }
    Ok(segment)
}

/// The files that `x`, or what is in it, reads; each once.
///
/// # Errors
/// Those of another package's ALTREP list.
pub fn files(r: R, x: Sexp) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    let reach = Reach { attributes: Attributes::All, environments: true, language: false, shallow: false };
    walk::any(r, x, reach, |part| {
        let object = Object::find(part.0).or_else(|| Object::find_list(part.0));
        let span = object.and_then(|object| object.view().span());
        if let Some(place) = span.as_ref().and_then(|span| span.segment.place()) {
            if !files.iter().any(|file| file == place.path()) {
                files.push(place.path().to_owned());
            }
        }
        Ok(Step::Into)
    })?;
    Ok(files)
}

/// Compares a file with its checksums: whether it has any.
///
/// # Errors
/// It is damaged, cannot be read, or interrupted.
pub fn verify(r: R, path: &Path) -> Result<bool> {
    let session = Session::new(r, ShareOptions::in_hook(Flags::default()));
    verify_stored(path, || session.poll()).map(|verified| verified == Verified::All)
}

/// Whether two files have the same object.
///
/// # Errors
/// One of them cannot be read.
pub fn same(a: &Path, b: &Path) -> Result<bool> {
    Ok(same_stored(a, b)?)
}

/// Removes a file, if it is one of ours.
///
/// # Errors
/// It is not there, is none of ours, or the system refuses.
pub fn remove(path: &Path) -> Result<()> {
    Ok(remove_stored(path)?)
}

/// The path that a string means, `~` understood.
///
/// # Errors
/// It is no string.
pub fn path(r: R, argument: &str, x: Sexp) -> Result<PathBuf> {
    let named = x.text(r)?.filter(|name| !name.is_empty()).map(PathBuf::from);
    let named =
        named.ok_or_else(|| bad_argument(format!("`{argument}` must be one path, as a string, not {}", x.shown(r))))?;
    Ok(match named.strip_prefix("~") {
        Ok(rest) => std::env::home_dir().map_or(named.clone(), |home| home.join(rest)),
        Err(_) => named,
    })
}

/// Where an object goes: the file that is named, or a new one in the directory that is.
fn target(r: R, store: Sexp) -> Result<PathBuf> {
    let path = path(r, "store", store)?;
    if path.is_dir() {
        return Ok(path.join(format!("{}.{ENDING}", SegmentId::random())));
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = path.extension().is_some_and(|ending| ending == ENDING);
    if named && dir.is_dir() {
        return Ok(path);
    }
    let what = if named { dir } else { &path };
    Err(Failure::new(
        "store",
        format!(
            "'{}' is no directory: `store` must be one that is there (dir.create()), or a file in one whose name ends with .{ENDING}",
            what.display()
        ),
    ))
}
