//! The directories of cached objects, for R: paths and stamps as strings, numbers as strings of digits.

use std::cell::RefCell;
use std::path::PathBuf;

use cowshed_altrep::{Failure, R, Result, Sexp};
use cowshed_cache::{CacheError, Caches, Commit, Kind, Place, Stamp};

thread_local! {
    /// R runs on one thread.
    static CACHES: RefCell<Caches> = RefCell::default();
}

/// One directory of them.
pub(crate) struct Cached(Place);

impl Cached {
    pub(crate) fn of(r: R, dir: Sexp, subdir: Sexp) -> Result<Cached> {
        Ok(Cached(Place::new(path(r, dir)?, subdir.as_flag(r)? != Some(false))))
    }

    pub(crate) fn new_file(&self, r: R) -> Result<Sexp> {
        let new = with(|caches| caches.new_file(&self.0))?;
        r.string(&new.to_string_lossy())
    }

    pub(crate) fn number(&self, r: R, files: Sexp, kinds: Sexp) -> Result<Sexp> {
        let kinds = kinds.strings(r)?.into_iter().map(|kind| Kind::of_extension(&kind).unwrap_or(Kind::Rda));
        let new: Vec<(PathBuf, Kind)> = files.strings(r)?.into_iter().map(PathBuf::from).zip(kinds).collect();
        let given = with(|caches| caches.number(&self.0, &new))?;
        r.numbers(given.len(), |i| given[i] as f64)
    }

    pub(crate) fn locate(&self, r: R, of: Sexp) -> Result<Sexp> {
        let of = numbers(r, of)?;
        let found = with(|caches| caches.locate(&self.0, &of))?;
        r.strings(found.len(), |i| {
            found[i].as_ref().map_or_else(String::new, |path| path.to_string_lossy().into_owned())
        })
    }

    pub(crate) fn adopt(&self, r: R, these: Sexp) -> Result<Sexp> {
        let these = numbers(r, these)?;
        done(|caches| caches.adopt(&self.0, &these))
    }

    pub(crate) fn will_read(&self) -> Result<Sexp> {
        done(|caches| caches.will_read(&self.0))
    }

    pub(crate) fn has_read(&self, r: R, these: Sexp, stamp: Sexp) -> Result<Sexp> {
        let these = numbers(r, these)?;
        let stamp = if stamp.is_null() { None } else { Some(stamp_of(r, stamp)?) };
        done(|caches| caches.has_read(&self.0, &these, stamp))
    }

    pub(crate) fn hold(&self, r: R, these: Sexp) -> Result<Sexp> {
        let these = numbers(r, these)?;
        done(|caches| caches.hold(&self.0, &these))
    }

    pub(crate) fn retire(&self, r: R, these: Sexp, hide: bool) -> Result<Sexp> {
        let these = numbers(r, these)?;
        done(|caches| caches.retire(&self.0, &these, hide))
    }

    pub(crate) fn take(&self, r: R, from: Sexp, copy: bool) -> Result<Sexp> {
        let from = path(r, from)?;
        let new = with(|caches| caches.take(&self.0, &from, copy))?;
        r.string(&new.to_string_lossy())
    }

    pub(crate) fn tidy(&self, r: R, refers: Sexp) -> Result<Sexp> {
        let refers_to = numbers(r, refers)?;
        done(|caches| caches.tidy(&self.0, &refers_to))
    }

    /// `list(stamp, replaced, saved elsewhere, kept)`
    pub(crate) fn commit(&self, r: R, new: Sexp, image: Sexp, refers: Sexp, drops: Sexp, known: Sexp) -> Result<Sexp> {
        let (new, image) = (path(r, new)?, path(r, image)?);
        let (refers_to, drops) = (numbers(r, refers)?, numbers(r, drops)?);
        let known = stamp_of(r, known)?;
        let commit = Commit { new: &new, image: &image, refers_to: &refers_to, drops: &drops, known };
        let committed = with(|caches| caches.commit(&self.0, &commit))?;
        r.list(4, |i| match i {
            0 => r.string(&text_of(committed.stamp)),
            1 => r.logical(committed.replaced),
            2 => r.logical(committed.saved_elsewhere),
            _ => r.number(committed.kept as f64),
        })
    }
}

pub(crate) fn let_go(r: R, dir: Sexp, these: Sexp) -> Result<Sexp> {
    let (dir, these) = (path(r, dir)?, numbers(r, these)?);
    done(|caches| {
        caches.let_go(&dir, &these);
        Ok(())
    })
}

pub(crate) fn new_image(r: R, image: Sexp) -> Result<Sexp> {
    let image = path(r, image)?;
    let new = with(|caches| caches.new_image(&image))?;
    r.string(&new.to_string_lossy())
}

pub(crate) fn give_up_image(r: R, new: Sexp) -> Result<Sexp> {
    let new = path(r, new)?;
    done(|caches| {
        caches.give_up_image(&new);
        Ok(())
    })
}

pub(crate) fn stamp(r: R, image: Sexp) -> Result<Sexp> {
    r.string(&text_of(cowshed_cache::stamp(&path(r, image)?)))
}

/// Files that cannot be read are not the same.
pub(crate) fn same(r: R, a: Sexp, b: Sexp) -> Result<Sexp> {
    r.logical(cowshed_cache::have_same_bytes(&path(r, a)?, &path(r, b)?).unwrap_or(false))
}

pub(crate) fn close() -> Result<Sexp> {
    done(|caches| {
        caches.close();
        Ok(())
    })
}

fn with<T>(body: impl FnOnce(&mut Caches) -> std::result::Result<T, CacheError>) -> Result<T> {
    CACHES.with_borrow_mut(body).map_err(|e| Failure::new(e.word(), e.to_string()))
}

fn done(body: impl FnOnce(&mut Caches) -> std::result::Result<(), CacheError>) -> Result<Sexp> {
    with(body).map(|()| Sexp::null())
}

fn path(r: R, x: Sexp) -> Result<PathBuf> {
    let bug = || Failure::new("internal", "cowshed has a bug: a path must be a string");
    Ok(PathBuf::from(x.text(r)?.ok_or_else(bug)?))
}

fn numbers(r: R, x: Sexp) -> Result<Vec<u64>> {
    let bug = |_| Failure::new("internal", "cowshed has a bug: a file's number must be one");
    x.strings(r)?.iter().map(|digits| digits.parse().map_err(bug)).collect()
}

fn text_of(stamp: Stamp) -> String {
    stamp.map_or_else(String::new, |(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}"))
}

fn stamp_of(r: R, x: Sexp) -> Result<Stamp> {
    let text = x.text(r)?.unwrap_or_default();
    let mut parts = text.split(' ');
    let mut unsigned = || parts.next()?.parse().ok();
    let (Some(a), Some(b), Some(c)) = (unsigned(), unsigned(), unsigned()) else { return Ok(None) };
    let mut signed = || parts.next()?.parse().ok();
    let (Some(d), Some(e)) = (signed(), signed()) else { return Ok(None) };
    Ok(Some((a, b, c, d, e)))
}
