//! Where the files of a cache are, and what their names mean.
//!
//! | in `mlazy/` | beside the image | what it is |
//! |---|---|---|
//! | `obj<N>.rda`, `obj<N>.seg` | the same | an object |
//! | `.obj<N>.rda`, `.obj<N>.seg` | the same | one that is out of sight: only the saved image, or another session, refers to it |
//! | `.lock` | `.mlazy.lock` | the lock of the directory |
//! | `.images` | `.mlazy.images` | the names of images that were saved beside `.RData` |
//! | `.session-<token>` | `.mlazy.session-<token>` | the ledger of a session |
//! | `.new-<token>-<k>` | `.mlazy.new-<token>-<k>` | a file that is being written |
//!
//! A cache has its files in one of the two rooms, as `options(mlazy.subdir = )` says when they are made. Both are read, always.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A directory, and the room of it that new files go to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    dir: PathBuf,
    subdir: bool,
}

impl Place {
    /// `dir` is absolute; with `subdir`, the files are in `dir/mlazy`.
    pub fn new(dir: impl Into<PathBuf>, subdir: bool) -> Place {
        Place { dir: dir.into(), subdir }
    }

    /// The directory of the image.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn home(&self) -> Room {
        Room { path: self.room(self.subdir), subdir: self.subdir }
    }

    /// The home first.
    pub(crate) fn rooms(&self) -> [Room; 2] {
        [self.home(), Room { path: self.room(!self.subdir), subdir: !self.subdir }]
    }

    fn room(&self, subdir: bool) -> PathBuf {
        if subdir { self.dir.join("mlazy") } else { self.dir.clone() }
    }
}

/// One of the two places of a cache's files.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    path: PathBuf,
    subdir: bool,
}

impl Room {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether everything in it is ours. Beside the image lie the user's own files.
    pub(crate) fn is_ours(&self) -> bool {
        self.subdir
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.control("lock")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.control("images")
    }

    pub(crate) fn ledger(&self, token: &str) -> PathBuf {
        self.control(&format!("session-{token}"))
    }

    pub(crate) fn new_file(&self, token: &str, k: u64) -> PathBuf {
        self.control(&format!("new-{token}-{k}"))
    }

    pub(crate) fn object(&self, number: u64, kind: Kind, hidden: bool) -> PathBuf {
        self.path.join(format!("{}obj{number}.{}", if hidden { "." } else { "" }, kind.extension()))
    }

    fn control(&self, name: &str) -> PathBuf {
        self.path.join(format!("{}{name}", self.prefix()))
    }

    fn prefix(&self) -> &'static str {
        if self.subdir { "." } else { ".mlazy." }
    }

    /// What is in it that is a cache's. A room that does not exist has nothing.
    pub(crate) fn list(&self) -> io::Result<Vec<(Entry, PathBuf)>> {
        let entries = match fs::read_dir(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Some(meaning) = entry.file_name().to_str().and_then(|name| self.parse(name)) {
                found.push((meaning, entry.path()));
            }
        }
        Ok(found)
    }

    fn parse(&self, name: &str) -> Option<Entry> {
        if let Some(control) = name.strip_prefix(self.prefix()) {
            if let Some(token) = control.strip_prefix("session-") {
                return is_token(token).then(|| Entry::Ledger(token.to_owned()));
            }
            if let Some((token, _)) = control.strip_prefix("new-").and_then(|rest| rest.split_once('-')) {
                return is_token(token).then(|| Entry::New(token.to_owned()));
            }
        }
        let (hidden, name) = name.strip_prefix('.').map_or((false, name), |rest| (true, rest));
        let (number, extension) = name.strip_prefix("obj")?.split_once('.')?;
        let kind = Kind::of_extension(extension)?;
        // As they are written, so that each has one name.
        if number.starts_with('0') || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Entry::Object { number: number.parse().ok()?, kind, hidden })
    }
}

/// What a file is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Object { number: u64, kind: Kind, hidden: bool },
    Ledger(String),
    New(String),
}

/// The format of an object's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What `load()` reads.
    Rda,
    /// A segment.
    Segment,
}

impl Kind {
    /// Of a file's name.
    pub fn of_extension(extension: &str) -> Option<Kind> {
        match extension {
            "rda" => Some(Kind::Rda),
            "seg" => Some(Kind::Segment),
            _ => None,
        }
    }

    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Kind::Rda => "rda",
            Kind::Segment => "seg",
        }
    }

    pub(crate) const ALL: [Kind; 2] = [Kind::Rda, Kind::Segment];
}

pub(crate) const TOKEN_LENGTH: usize = 16;

fn is_token(token: &str) -> bool {
    token.len() == TOKEN_LENGTH && token.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_they_are_made_for_and_others_mean_nothing() {
        let token = "0123456789abcdef";
        for subdir in [true, false] {
            let room = Place::new("/d", subdir).home();
            let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            for hidden in [true, false] {
                for kind in Kind::ALL {
                    let meant = Entry::Object { number: 17, kind, hidden };
                    assert_eq!(room.parse(&name(room.object(17, kind, hidden))), Some(meant));
                }
            }
            assert_eq!(room.parse(&name(room.ledger(token))), Some(Entry::Ledger(token.into())));
            assert_eq!(room.parse(&name(room.new_file(token, 3))), Some(Entry::New(token.into())));
            for other in [
                "obj.ind",
                "obj1.rds",
                "obj01.rda",
                "obj0.rda",
                "obj-1.rda",
                "objNA.rda",
                "obj1.rda~",
                "..obj1.rda",
                "xobj1.rda",
                ".session-",
                ".RData",
            ] {
                assert_eq!(room.parse(other), None, "{other}");
            }
        }
    }
}
