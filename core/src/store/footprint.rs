//! What a process's mappings of a store's segments cost: `/proc/<pid>/smaps`.
//!
//! - A ledger tells a pid in its own pid space. Whether the process of that number here is the one is told by its open files: it has the
//!   ledger open for as long as it lives.
//! - A mapping is of the store if its file is one of the store's by device and inode (whatever path the process sees), or lies in the store's
//!   directory (a file that has no name any more).
//! - What cannot be read is not known, and no error: the process may have just ended, or be another user's.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Read at a time: a process of 30,000 mappings has 25 MB of it.
const PIECE: usize = 256 << 10;

/// A process, and its mappings of the store. In bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint {
    /// Its command, as the kernel has it.
    pub name: String,
    /// Proportional set size: of a page that n processes have mapped, 1/n.
    pub pss: u64,
    /// Of its mappings, what it has alone because it was written.
    pub private: u64,
    /// Of all the process is: resident bytes, and proportional ones; `None` where the kernel does not tell.
    pub whole: Option<(u64, u64)>,
}

/// The files of a store's segments.
pub(super) struct Files {
    /// Their directory as the kernel names it, a slash at its end.
    directory: Vec<u8>,
    /// Those that have names, by device and inode.
    known: HashSet<(u64, u64)>,
}

impl Files {
    pub(super) fn new(directory: &Path, known: HashSet<(u64, u64)>) -> Files {
        let real = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        Files { directory: [real.as_os_str().as_bytes(), b"/"].concat(), known }
    }

    fn have(&self, mapping: &Mapping<'_>) -> bool {
        mapping.path.starts_with(&self.directory) || self.known.contains(&(mapping.device, mapping.inode))
    }
}

/// Of the process that has this ledger open; `None` if the one of that number here has not, or cannot be looked at.
pub(super) fn footprint(pid: u32, ledger: (u64, u64), files: &Files) -> Option<Footprint> {
    let process = Path::new("/proc").join(pid.to_string());
    if !has_open(&process, ledger) {
        return None;
    }
    let name = fs::read(process.join("comm")).ok()?;
    let (pss, private) = mapped(BufReader::with_capacity(PIECE, File::open(process.join("smaps")).ok()?), files)?;
    let rollup = fs::read(process.join("smaps_rollup")).unwrap_or_default();
    let field = |name: &[u8]| rollup.split(|b| *b == b'\n').find_map(|line| bytes_of(line, name));
    let name = String::from_utf8_lossy(name.trim_ascii_end()).into_owned();
    Some(Footprint { name, pss, private, whole: field(b"Rss:").zip(field(b"Pss:")) })
}

/// Whether a process has that file open. Only what may be a ledger by its path is looked at: the other files may be anywhere.
fn has_open(process: &Path, ledger: (u64, u64)) -> bool {
    let Ok(open) = fs::read_dir(process.join("fd")) else { return false };
    open.filter_map(Result::ok).map(|file| file.path()).any(|file| {
        let target = fs::read_link(&file).unwrap_or_default();
        target.parent().is_some_and(|directory| directory.ends_with(super::dir::LEDGERS))
            && fs::metadata(&file).is_ok_and(|file| (file.dev(), file.ino()) == ledger)
    })
}

/// Proportional and private bytes of the mappings of `files` in an smaps file; `None` if it cannot be read to its end.
fn mapped(mut smaps: impl BufRead, files: &Files) -> Option<(u64, u64)> {
    let (mut pss, mut private, mut ours) = (0, 0, false);
    let mut line = Vec::new();
    while smaps.read_until(b'\n', &mut line).ok()? > 0 {
        // Fields begin with capitals, the first line of a mapping with its address.
        if !line[0].is_ascii_uppercase() {
            ours = Mapping::parse(line.trim_ascii_end()).is_some_and(|mapping| files.have(&mapping));
        } else if ours {
            pss += bytes_of(&line, b"Pss:").unwrap_or(0);
            // Private_Dirty is also what one process alone has mapped of a file in memory; what was copied is anonymous.
            private += bytes_of(&line, b"Anonymous:").unwrap_or(0);
        }
        line.clear();
    }
    Some((pss, private))
}

/// The first line of a mapping: `address perms offset major:minor inode path`.
struct Mapping<'a> {
    device: u64,
    inode: u64,
    path: &'a [u8],
}

impl Mapping<'_> {
    fn parse(line: &[u8]) -> Option<Mapping<'_>> {
        let mut words = line.splitn(6, |b| *b == b' ');
        let (device, inode) = (text(words.nth(3)?)?, text(words.next()?)?);
        let (major, minor) = device.split_once(':')?;
        let number = |hex| u32::from_str_radix(hex, 16).ok();
        let device = rustix::fs::makedev(number(major)?, number(minor)?);
        let path = words.next().unwrap_or_default().trim_ascii_start();
        Some(Mapping { device, inode: inode.parse().ok()?, path })
    }
}

/// The bytes that a line `<name> <number> kB` tells.
fn bytes_of(line: &[u8], name: &[u8]) -> Option<u64> {
    let number = text(line.strip_prefix(name)?)?.trim().strip_suffix(" kB")?;
    number.parse::<u64>().ok()?.checked_mul(1024)
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &[u8] = b"\
7f0000000000-7f0000100000 r--s 00000000 00:1a 77                         /elsewhere/in a container (deleted)
Size:               1024 kB
Rss:                1024 kB
Pss:                 512 kB
Pss_Dirty:           512 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
VmFlags: rd mr mw me ms sd
7f0000100000-7f0000200000 rw-p 00001000 00:1a 78                         /store/segments/#78 (deleted)
Pss:                  20 kB
Private_Dirty:        12 kB
Anonymous:             8 kB
7f0000200000-7f0000300000 rw-p 00000000 00:00 0
Pss:                4096 kB
Anonymous:          4096 kB
7f0000300000-7f0000400000 r--s 00000000 00:1b 77                         /store/segments-of-others/77
Pss:                 100 kB
Anonymous:           100 kB
";

    fn files() -> Files {
        let known = HashSet::from([(rustix::fs::makedev(0, 0x1a), 77)]);
        Files { directory: b"/store/segments/".to_vec(), known }
    }

    #[test]
    fn a_mapping_is_of_the_store_by_its_file_or_by_its_path_and_nothing_else_is() {
        assert_eq!(mapped(SMAPS, &files()), Some((532 << 10, 8 << 10)));
        assert_eq!(mapped(&b""[..], &files()), Some((0, 0)));
    }

    #[test]
    fn what_is_no_line_of_smaps_tells_nothing() {
        for line in [
            "\n",
            "x\n",
            "Pss: many kB\n",
            "a b c d e\n",
            "1-2 r 0 00:1a 78446744073709551616 /store/segments/x\nPss: 3 kB",
        ] {
            assert_eq!(mapped(line.as_bytes(), &files()), Some((0, 0)), "{line}");
        }
    }

    #[test]
    fn a_process_is_the_one_whose_ledger_it_has_open() {
        let dir = std::env::temp_dir().join(format!("footprint-{}", std::process::id()));
        let ledgers = dir.join("ledgers");
        fs::create_dir_all(&ledgers).unwrap();
        let ledger = File::create(ledgers.join("mine")).unwrap();
        let closed = fs::metadata({
            fs::write(ledgers.join("closed"), b"").unwrap();
            ledgers.join("closed")
        });
        let id = |file: fs::Metadata| (file.dev(), file.ino());
        let here = footprint(std::process::id(), id(ledger.metadata().unwrap()), &files()).unwrap();
        assert_eq!((here.pss, here.private), (0, 0));
        let (rss, pss) = here.whole.unwrap();
        assert!(rss >= pss && pss > 0, "{rss} {pss}");
        assert_eq!(footprint(std::process::id(), id(closed.unwrap()), &files()), None);
        assert_eq!(footprint(0, id(ledger.metadata().unwrap()), &files()), None);
        fs::remove_dir_all(dir).unwrap();
    }
}
