//! A file cut under a mapping of ours: the reader gets missing values where the bytes were, and every later use of the segment an error.
//!
//! - Nobody of ours ever cuts a file; 0600 files in a 0700 directory are cut by their own user, or lost by their file system. The kernel
//!   answers a read there by SIGBUS, which would end R, and with it all that the user has not saved.
//! - The handler maps what stands for missing values over the page, marks the mapping as lost, and the read goes on. Whoever has the pointer
//!   already may compute with missing values once; see `docs/decisions/a-file-cut-under-its-readers.md`.
//! - Faults elsewhere go to the handler that was there before.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Once, OnceLock};

use super::mapping::{Area, lose};
use super::pages;

/// Mended at a time: a vector of missing values, which all that is lost shares.
const CHUNK: usize = 32 << 20;
/// Different missing values a host has.
const KINDS: usize = 4;

/// Whether any mapping was lost. Checked before each read of one element: a single load.
static ANY: AtomicBool = AtomicBool::new(false);
static MISSING: OnceLock<fn(&str) -> u64> = OnceLock::new();
/// Vectors of missing values, and the eight bytes each repeats. Made under the lock of `lose`.
static VECTORS: [(AtomicI32, AtomicU64); KINDS] = [const { (AtomicI32::new(-1), AtomicU64::new(0)) }; KINDS];

/// Says which eight bytes stand for missing values in a payload of a strategy, which it is given by name.
pub fn when_cut(missing: fn(&str) -> u64) {
    let _ = MISSING.set(missing);
}

/// Whether any mapping of this process was found cut: then ask [`crate::Segment::is_lost`].
#[inline]
pub fn any_lost() -> bool {
    ANY.load(Ordering::Relaxed)
}

/// What was to be done about SIGBUS before us.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: zero bytes are a valid sigaction; both live over the calls, and the handler is one for SA_SIGINFO.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut before) != 0 {
                return;
            }
            let _ = BEFORE.set(before);
            let mut ours: libc::sigaction = std::mem::zeroed();
            ours.sa_sigaction = on_sigbus as *const () as usize;
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(libc::SIGBUS, &ours, std::ptr::null_mut());
        }
    });
}

/// Makes system calls, reads and writes atomics, takes the lock of `lose`: nothing that the code it interrupts could be amid.
unsafe extern "C" fn on_sigbus(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: errno is this thread's; the kernel hands a valid siginfo, which has an address for SIGBUS.
    let (errno, address, is_read) = unsafe {
        let info = &*info;
        (*libc::__errno_location(), info.si_addr() as usize, info.si_code == libc::BUS_ADRERR)
    };
    let mended = is_read && lose(address, |area, value| mend(address, area, value));
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    if mended {
        ANY.store(true, Ordering::Relaxed);
    } else {
        // SAFETY: what the kernel gave us.
        unsafe { forward(signal, info, context) };
    }
}

/// Does what would have been done without us.
unsafe fn forward(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let before = BEFORE.get();
    let action = before.map_or(libc::SIG_DFL, |before| before.sa_sigaction);
    if action == libc::SIG_DFL || action == libc::SIG_IGN {
        // The instruction runs again, and then the default is done.
        // SAFETY: sets a disposition.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    } else if before.is_some_and(|before| before.sa_flags & libc::SA_SIGINFO != 0) {
        // SAFETY: a handler that was installed for three arguments.
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            unsafe { std::mem::transmute(action) };
        handler(signal, info, context);
    } else {
        // SAFETY: a handler that was installed for one.
        let handler: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(action) };
        handler(signal);
    }
}

/// Maps missing values, at the most to the end of the value, from the page of `address` on.
fn mend(address: usize, area: &Area, value: Option<(&str, usize)>) -> bool {
    let start = address - address % pages::SIZE;
    let (missing, end) = match value {
        Some((strategy, end)) => (MISSING.get().map_or(0, |missing| missing(strategy)), end.min(area.end)),
        None => (area.missing, area.end),
    };
    let len = (end - start).min(CHUNK).next_multiple_of(pages::SIZE);
    let protection = libc::PROT_READ | if area.writable { libc::PROT_WRITE } else { 0 };
    let map = |flags, file| {
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE | flags;
        // SAFETY: pages of a mapping of ours, which stays registered, and so mapped, while we are here.
        unsafe { libc::mmap(start as *mut _, len, protection, flags, file, 0) != libc::MAP_FAILED }
    };
    vector_of(missing).is_some_and(|file| map(0, file)) || map(libc::MAP_ANONYMOUS, -1)
}

/// A file of [`CHUNK`] bytes that repeats these; `None` for zeros, which need none.
fn vector_of(missing: u64) -> Option<libc::c_int> {
    if missing == 0 {
        return None;
    }
    let known = |(file, of): &&(AtomicI32, AtomicU64)| {
        file.load(Ordering::Relaxed) < 0 || of.load(Ordering::Relaxed) == missing
    };
    let (file, of) = VECTORS.iter().find(known)?;
    if file.load(Ordering::Relaxed) < 0 {
        of.store(missing, Ordering::Relaxed);
        file.store(make_vector(missing)?, Ordering::Relaxed);
    }
    Some(file.load(Ordering::Relaxed))
}

fn make_vector(missing: u64) -> Option<libc::c_int> {
    // SAFETY: system calls; the mapping is as long as the file, and nobody else's while it is filled.
    unsafe {
        let file = libc::memfd_create(c"cowshed-missing".as_ptr(), libc::MFD_CLOEXEC);
        if file < 0 || libc::ftruncate(file, CHUNK as libc::off_t) != 0 {
            return None;
        }
        let at = libc::mmap(std::ptr::null_mut(), CHUNK, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file, 0);
        if at == libc::MAP_FAILED {
            return None;
        }
        std::slice::from_raw_parts_mut(at.cast::<u64>(), CHUNK / 8).fill(missing);
        libc::munmap(at, CHUNK);
        Some(file)
    }
}
