//! The ledger of a session: the numbers that it may still read, in a file whose lock says that the session lives.
//!
//! - It is made and locked under the directory's lock: whoever looks at it under that lock never finds it between the two.
//! - It is written and read under the directory's lock too. An empty one holds everything: so is it made, and so it becomes when there is no room for
//!   what it has to say. Cutting a file needs none.
//! - A forked child shares the lock of its parent's ledger, and so keeps what is in it; it makes one of its own before it holds anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::lock::try_lock;
use crate::place::{Room, TOKEN_LENGTH};

/// The ledger of this process.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    path: PathBuf,
    token: String,
    pid: u32,
    written: String,
}

impl Ledger {
    /// A new one; the directory's lock is held.
    pub(crate) fn new(room: &Room) -> io::Result<Ledger> {
        loop {
            let token = random_token()?;
            let path = room.ledger(&token);
            let file = match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other?,
            };
            let ledger = Ledger { file, path, token, pid: std::process::id(), written: String::new() };
            if let Err(e) = try_lock(&ledger.file) {
                ledger.remove();
                return Err(e);
            }
            return Ok(ledger);
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Whether it is this process's, and not that of the one it was forked from.
    pub(crate) fn is_own(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Whether nobody removed it, with its directory.
    pub(crate) fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Says what is held; the directory's lock is held.
    pub(crate) fn write(&mut self, held: &Held) -> io::Result<()> {
        let text = held.text();
        if text == self.written {
            return Ok(());
        }
        self.written.clear();
        let written = self.file.write_all_at(text.as_bytes(), 0).and_then(|()| self.file.set_len(text.len() as u64));
        match written {
            Ok(()) => self.written = text,
            Err(_) => self.file.set_len(0)?,
        }
        Ok(())
    }

    /// The session ends, or never began.
    pub(crate) fn remove(&self) {
        // A failure leaves a ledger of the dead.
        let _ = fs::remove_file(&self.path);
    }
}

/// What a session may still read.
#[derive(Debug, Default, Clone)]
pub(crate) struct Held {
    /// How many of its objects have a number: two environments may have read one image.
    counts: BTreeMap<u64, u32>,
    /// How many times it is about to read an image, and so whatever that refers to.
    everything: u32,
}

impl Held {
    pub(crate) fn add(&mut self, numbers: &[u64]) {
        for number in numbers {
            *self.counts.entry(*number).or_default() += 1;
        }
    }

    pub(crate) fn drop(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(count) = self.counts.get_mut(number) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(number);
                }
            }
        }
    }

    pub(crate) fn add_everything(&mut self) {
        self.everything += 1;
    }

    pub(crate) fn drop_everything(&mut self) {
        self.everything = self.everything.saturating_sub(1);
    }

    pub(crate) fn has(&self, number: u64) -> bool {
        self.counts.contains_key(&number)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.everything == 0
    }

    pub(crate) fn claim(&self) -> Claim {
        if self.everything > 0 { Claim::Everything } else { Claim::These(self.counts.keys().copied().collect()) }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if self.everything > 0 {
            text.push_str("*\n");
        }
        for number in self.counts.keys() {
            let _ = writeln!(text, "{number}");
        }
        text.push_str("end\n");
        text
    }
}

/// What one ledger, or several, say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Everything,
    These(BTreeSet<u64>),
}

impl Claim {
    pub(crate) fn has(&self, number: u64) -> bool {
        match self {
            Claim::Everything => true,
            Claim::These(numbers) => numbers.contains(&number),
        }
    }

    pub(crate) fn and(self, other: Claim) -> Claim {
        match (self, other) {
            (Claim::These(mut all), Claim::These(more)) => {
                all.extend(more);
                Claim::These(all)
            }
            _ => Claim::Everything,
        }
    }
}

/// Somebody's ledger; the directory's lock is held.
pub(crate) struct Other {
    pub(crate) alive: bool,
    pub(crate) claim: Claim,
}

impl Other {
    /// `None` if it has just gone.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Other>> {
        let mut file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            // Another user's, whose session may live.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                return Ok(Some(Other { alive: true, claim: Claim::Everything }));
            }
            other => other?,
        };
        let alive = !try_lock(&file)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some(Other { alive, claim: parse(&bytes) }))
    }
}

fn parse(bytes: &[u8]) -> Claim {
    let Ok(text) = std::str::from_utf8(bytes) else { return Claim::Everything };
    let Some(lines) = text.strip_suffix("end\n") else { return Claim::Everything };
    let numbers: Result<BTreeSet<u64>, _> = lines.lines().map(str::parse).collect();
    numbers.map_or(Claim::Everything, Claim::These)
}

fn random_token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_LENGTH / 2];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut token = String::new();
    for byte in bytes {
        let _ = write!(token, "{byte:02x}");
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_read_as_it_was_written_and_a_torn_ledger_holds_everything() {
        let mut held = Held::default();
        held.add(&[3, 12, 3]);
        assert_eq!(parse(held.text().as_bytes()), Claim::These([3, 12].into()));
        held.drop(&[3, 12]);
        assert_eq!(parse(held.text().as_bytes()), Claim::These([3].into()));
        held.add_everything();
        assert_eq!(parse(held.text().as_bytes()), Claim::Everything);
        let text = Held::default().text();
        for torn in ["", "3\n1", "3\n", "3\nen", "x\nend\n", "\u{fffd}\nend\n"] {
            assert_eq!(parse(torn.as_bytes()), Claim::Everything, "{torn}");
        }
        assert_eq!(parse(text.as_bytes()), Claim::These(BTreeSet::new()));
    }
}
