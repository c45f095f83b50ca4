//! What the tests around core share: directories that go away, a small file system, processes that cannot hang, a random number.

#![allow(dead_code, reason = "each test file uses its part")]

mod crc;
mod dice;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub mod errors;
pub mod handmade;
pub mod puppet;
pub mod scene;
pub mod sequence;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub mod trace;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use crc::crc32;
pub use dice::Dice;

/// A directory for one test, removed with all it has.
pub struct Dir(PathBuf);

impl Dir {
    /// In memory, where stores live by default.
    pub fn memory() -> Dir {
        Self::within(Path::new("/dev/shm"))
    }

    /// On the disk of the build.
    pub fn disk() -> Dir {
        Self::within(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    fn within(base: &Path) -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("cowshed-test-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where this test's store is.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file system of a few pages, mounted while this lives.
pub struct SmallDisk(Dir);

impl SmallDisk {
    /// `None`, with the reason printed, where this user cannot mount.
    pub fn mount(kilobytes: u32) -> Option<SmallDisk> {
        let dir = Dir::disk();
        let target = c_path(dir.path());
        let options = std::ffi::CString::new(format!("size={kilobytes}k,mode=700")).unwrap();
        // SAFETY: every string is terminated and lives over the call.
        let failed = unsafe {
            libc::mount(c"tmpfs".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), libc::MS_NOSUID, options.as_ptr().cast())
        };
        if failed != 0 {
            println!("skipped: a small tmpfs cannot be mounted ({})", std::io::Error::last_os_error());
            return None;
        }
        Some(SmallDisk(dir))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn store(&self) -> PathBuf {
        self.0.store()
    }

    /// Bytes that may still be written.
    pub fn free_bytes(&self) -> u64 {
        let path = c_path(self.path());
        // SAFETY: zero bytes are a valid statvfs.
        let mut s: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the string is terminated, and both live over the call.
        assert_eq!(unsafe { libc::statvfs(path.as_ptr(), &mut s) }, 0);
        s.f_bavail * s.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let target = c_path(self.0.path());
        // SAFETY: the string is terminated and lives over the call.
        unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
    }
}

fn c_path(path: &Path) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// Names of the segments in a store, dotted files included.
pub fn segments(store: &Path) -> Vec<String> {
    names(&store.join("segments"))
}

/// Names of the ledgers in a store.
pub fn ledgers(store: &Path) -> Vec<String> {
    names(&store.join("ledgers"))
}

/// Names of the cards in a store, one being written included.
pub fn cards(store: &Path) -> Vec<String> {
    names(&store.join("names"))
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

/// Runs one test of this binary in a process of its own, where `ROLE` is set; fails if that fails, dies or hangs.
pub fn in_a_process_of_its_own(test: &str, prepare: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static) {
    use std::os::unix::process::CommandExt;
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("ROLE", test);
    // What it prints must not be a file: that may be longer than it may write.
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: the callers' closures make system calls only, which may be made after a fork.
    unsafe { command.pre_exec(prepare) };
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            if !status.success() {
                let printed = child.wait_with_output().unwrap();
                print!("{}{}", String::from_utf8_lossy(&printed.stdout), String::from_utf8_lossy(&printed.stderr));
            }
            assert!(status.success(), "{test}: {status}");
            return;
        }
        if start.elapsed() > Duration::from_secs(45) {
            child.kill().unwrap();
            panic!("{test}: hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether this process was started by [`in_a_process_of_its_own`] for `test`.
pub fn is_role(test: &str) -> bool {
    std::env::var("ROLE").is_ok_and(|role| role == test)
}

/// Sets a limit of this process, soft and hard.
pub fn limit(resource: libc::__rlimit_resource_t, to: u64) -> std::io::Result<()> {
    let limit = libc::rlimit { rlim_cur: to, rlim_max: to };
    // SAFETY: `limit` lives over the call.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// For a forked child: whatever its parent does, it does not stay.
pub fn end_this_process_in_time() {
    // SAFETY: a signal later; its default action ends the process.
    unsafe { libc::alarm(30) };
}
