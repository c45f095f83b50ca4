//! How much memory is left for files in memory: that of the machine, and of the control groups (a container's, a batch job's) this process is in.
//!
//! - A tmpfs counts its own size alone. Who writes more than there is memory for is killed, by the kernel's out-of-memory killer, without a word.
//! - It is a look, not a promise, and it errs towards room: memory that can be reclaimed counts as left, what cannot be read as no limit.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// From here on a payload is so large that writing it could be the end of this process.
pub(crate) const MUCH: u64 = 64 << 20;

/// Whether so many bytes may still be taken. Of what is small against any machine's memory nobody asks.
pub(crate) fn is_enough(bytes: u64) -> bool {
    bytes < MUCH || bytes <= left()
}

/// Bytes that may still be taken.
pub(crate) fn left() -> u64 {
    let meminfo = read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = |name| field(&meminfo, name).map(|n| n.saturating_mul(1024));
    let swap = kilobytes("SwapFree:").unwrap_or(0);
    let machine = kilobytes("MemAvailable:").map_or(u64::MAX, |free| free.saturating_add(swap));
    let own = read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine.min(of_groups(Path::new(GROUPS), &own).saturating_add(swap))
}

/// The least that any control group above us has left, by the text of `/proc/self/cgroup`.
fn of_groups(mounted: &Path, own: &str) -> u64 {
    let lines = own.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?.trim_start_matches('/')))
    });
    let rooms = lines.flat_map(|(controllers, path)| match controllers {
        "" => above(mounted, path).map(|dir| of_group(&dir, &UNIFIED)).collect::<Vec<_>>(),
        c if c.split(',').any(|c| c == "memory") => {
            above(&mounted.join("memory"), path).map(|dir| of_group(&dir, &FIRST)).collect()
        }
        _ => Vec::new(),
    });
    rooms.flatten().min().unwrap_or(u64::MAX)
}

/// The directory of a group, and those of all that it is in.
fn above(mounted: &Path, path: &str) -> impl Iterator<Item = PathBuf> {
    let depth = path.split('/').filter(|part| !part.is_empty()).count();
    mounted.join(path).ancestors().take(depth + 1).map(Path::to_owned).collect::<Vec<_>>().into_iter()
}

/// The files of a version of control groups.
struct Version {
    limit: &'static str,
    usage: &'static str,
    /// Names in `memory.stat` of what can be reclaimed.
    reclaimable: [&'static str; 2],
}

const UNIFIED: Version =
    Version { limit: "memory.max", usage: "memory.current", reclaimable: ["active_file", "inactive_file"] };
const FIRST: Version = Version {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: ["total_active_file", "total_inactive_file"],
};

/// What a group has left; `None` if it has no limit.
fn of_group(dir: &Path, version: &Version) -> Option<u64> {
    let number = |file| read_to_string(dir.join(file)).ok()?.trim().parse::<u64>().ok();
    let (limit, used) = (number(version.limit)?, number(version.usage)?);
    let stat = read_to_string(dir.join("memory.stat")).unwrap_or_default();
    let reclaimable: u64 = version.reclaimable.iter().filter_map(|name| field(&stat, name)).sum();
    Some(limit.saturating_sub(used.saturating_sub(reclaimable)))
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '\t'])))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(dir: &Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(dir).unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(dir.join(name), text).unwrap());
    }

    #[test]
    fn the_tightest_group_above_us_counts_and_what_can_be_reclaimed_is_left() {
        let dir = std::env::temp_dir().join(format!("groups-{}", std::process::id()));
        let stat = "anon 500\nfile 900\nshmem 300\ninactive_file 200\nactive_file 100\n";
        group(&dir.join("job"), &[("memory.max", "2000\n"), ("memory.current", "1500\n"), ("memory.stat", stat)]);
        group(&dir.join("job/step"), &[("memory.max", "max\n"), ("memory.current", "1500\n"), ("memory.stat", stat)]);
        assert_eq!(of_groups(&dir, "0::/job/step\n"), 800);
        assert_eq!(of_groups(&dir, "0::/elsewhere\n"), u64::MAX);
        assert_eq!(of_groups(&dir, "nonsense\n"), u64::MAX);
        let first = dir.join("memory/job");
        let stat = "inactive_file 7\ntotal_inactive_file 200\ntotal_active_file 100\n";
        group(&first, &[("memory.limit_in_bytes", "1000"), ("memory.usage_in_bytes", "1400"), ("memory.stat", stat)]);
        assert_eq!(of_groups(&dir, "4:cpu,memory:/job\n3:cpu:/\n0::/\n"), 0);
        group(&first, &[("memory.limit_in_bytes", "9223372036854771712")]);
        assert!(of_groups(&dir, "4:memory:/job\n") > 1 << 60);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn this_machine_has_some_memory_left() {
        assert!((1 << 20..1 << 50).contains(&left()));
    }
}
