//! A file that elements are read from.
//!
//! - It is read with pread(2) where elements are asked for, so it can be larger than memory, and one that is cut meanwhile is an error of its own. Who wants a
//!   pointer gets one to its own pages, if its elements are R's.
//! - Another process knows by size and time of change whether it is still the same.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};

use cowshed_plugins::prelude::*;

use crate::{damaged, refused};

pub(crate) struct Source {
    path: String,
    file: File,
    size: u64,
    /// Seconds and nanoseconds.
    modified: [i64; 2],
}

impl Source {
    pub(crate) fn open(path: &str) -> Result<Source> {
        let bad = |why: String| refused(format!("the file '{path}' cannot be read: {why}"));
        // Opening what is no file may wait, or do something.
        if !fs::metadata(path).map_err(|e| bad(e.to_string()))?.is_file() {
            return Err(bad("it is no regular file".to_owned()));
        }
        let file = File::open(path).map_err(|e| bad(e.to_string()))?;
        let about = file.metadata().map_err(|e| bad(e.to_string()))?;
        let modified = [about.mtime(), about.mtime_nsec()];
        Ok(Source { path: path.to_owned(), file, size: about.size(), modified })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// For a mapping of it.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Bytes from `at` on.
    pub(crate) fn read(&self, at: u64, out: &mut [u8]) -> Filled {
        self.file.read_exact_at(out, at).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => format!("the file '{}' is shorter than it was", self.path),
            _ => format!("the file '{}' cannot be read: {e}", self.path),
        })
    }

    /// What another process opens it again by.
    pub(crate) fn recipe(&self, r: R) -> Result<Sexp> {
        let [seconds, nanoseconds] = self.modified;
        r.list(2, |i| match i {
            0 => r.string(&self.path),
            _ => r.vector(&[self.size as f64, seconds as f64, nanoseconds as f64]),
        })
    }

    /// Opens the file of a recipe.
    pub(crate) fn restore(r: R, recipe: Sexp) -> Result<Source> {
        let [path, about] = crate::parts(r, recipe)?;
        let path = path.text(r)?.ok_or_else(damaged)?;
        let about = about.elements::<element::Double>(r)?.ok_or_else(damaged)?;
        let source = Source::open(&path)?;
        let [seconds, nanoseconds] = source.modified;
        if about != [source.size as f64, seconds as f64, nanoseconds as f64] {
            return Err(Failure::new(
                "generator",
                format!("the file '{path}' is not what it was when the vector was made of it; make the vector again"),
            ));
        }
        Ok(source)
    }
}
