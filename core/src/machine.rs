//! Which machine this is, and since which start of it: shared memory goes no further.
//!
//! - A machine is told by 64 bits of a hash of the kernel's boot id, read once per process. Another machine has another, and so has this one after a restart.
//! - Where it cannot be read the machine is not known, and fits every other: then a segment that is not here is *gone*, as ever.
//! - Containers of one kernel have its boot id, unless whoever runs them gives each one of its own (LXC, systemd-nspawn): they are machines of
//!   their own then, also where they share a store.

use std::fs::read_to_string;
use std::path::Path;
use std::sync::OnceLock;

use crate::id::fnv1a;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A machine, from one start to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine(u64);

impl Machine {
    /// The one that this process runs on.
    pub fn this() -> Machine {
        static THIS: OnceLock<Machine> = OnceLock::new();
        *THIS.get_or_init(|| Machine::told_by(Path::new(BOOT_ID)))
    }

    fn told_by(boot_id: &Path) -> Machine {
        let text = read_to_string(boot_id).unwrap_or_default();
        match text.trim() {
            "" => Machine(0),
            id => Machine((fnv1a(id.bytes()) as u64).max(1)),
        }
    }

    /// Whether memory of the one can be memory of the other.
    pub fn may_be(self, other: Machine) -> bool {
        self == other || self.0 == 0 || other.0 == 0
    }

    /// From its number; zero is a machine that is not known.
    pub const fn from_bits(bits: u64) -> Machine {
        Machine(bits)
    }

    /// Its number.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_by(contents: &str) -> Machine {
        let file = std::env::temp_dir().join(format!("boot-id-{}", crate::SegmentId::random()));
        std::fs::write(&file, contents).unwrap();
        let machine = Machine::told_by(&file);
        std::fs::remove_file(file).unwrap();
        machine
    }

    #[test]
    fn one_boot_id_is_one_machine_and_another_is_another() {
        let a = told_by("2f1c6b0e-6d5c-4f0e-9d53-111111111111\n");
        let b = told_by("2f1c6b0e-6d5c-4f0e-9d53-111111111112\n");
        assert!(a.may_be(a) && !a.may_be(b) && !b.may_be(a));
        assert_eq!(a, told_by("2f1c6b0e-6d5c-4f0e-9d53-111111111111"));
        assert_eq!(Machine::from_bits(a.bits()), a);
    }

    #[test]
    fn a_machine_whose_boot_id_cannot_be_read_is_not_known_and_may_be_any() {
        let other = told_by("2f1c6b0e-6d5c-4f0e-9d53-111111111111");
        for unknown in [told_by(""), told_by("\n"), Machine::told_by(Path::new("/no/such/file"))] {
            assert_eq!(unknown.bits(), 0);
            assert!(unknown.may_be(other) && other.may_be(unknown) && unknown.may_be(unknown));
        }
    }

    #[test]
    fn this_machine_is_known_where_the_kernel_tells() {
        assert_eq!(Machine::this().bits() != 0, Path::new(BOOT_ID).exists());
    }
}
