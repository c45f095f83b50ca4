//! userfaultfd(2), raw: the kernel's names, its structures, and one method for each of its calls that we need.

use std::io;
use std::os::fd::RawFd;

use super::PAGE;

const UFFD_API: u64 = 0xAA;
const UFFD_FEATURE_PAGEFAULT_FLAG_WP: u64 = 1 << 0;
const UFFD_FEATURE_THREAD_ID: u64 = 1 << 8;
const UFFD_USER_MODE_ONLY: libc::c_int = 1;
const UFFD_EVENT_PAGEFAULT: u8 = 0x12;
const UFFD_PAGEFAULT_FLAG_WRITE: u64 = 1 << 0;
const UFFD_PAGEFAULT_FLAG_WP: u64 = 1 << 1;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1 << 0;
const UFFDIO_REGISTER_MODE_WP: u64 = 1 << 1;
const UFFDIO_COPY_MODE_DONTWAKE: u64 = 1 << 0;
const UFFDIO_COPY_MODE_WP: u64 = 1 << 1;
const UFFDIO_WRITEPROTECT_MODE_WP: u64 = 1 << 0;
const _UFFDIO_WAKE: u64 = 0x02;
const _UFFDIO_COPY: u64 = 0x03;
const _UFFDIO_WRITEPROTECT: u64 = 0x06;

const USERFAULTFD_IOC_NEW: u32 = ioc(0, 0x00, 0);
const UFFDIO_API: u32 = ioc(3, 0x3F, size_of::<UffdioApi>());
const UFFDIO_REGISTER: u32 = ioc(3, 0x00, size_of::<UffdioRegister>());
const UFFDIO_WAKE: u32 = ioc(2, _UFFDIO_WAKE as u32, size_of::<UffdioRange>());
const UFFDIO_COPY: u32 = ioc(3, _UFFDIO_COPY as u32, size_of::<UffdioCopy>());
const UFFDIO_WRITEPROTECT: u32 = ioc(3, _UFFDIO_WRITEPROTECT as u32, size_of::<UffdioWriteprotect>());

/// `_IOC` of `asm-generic/ioctl.h`, which most architectures use; on those that do not, the first call fails and there is no pager.
const fn ioc(direction: u32, number: u32, size: usize) -> u32 {
    direction << 30 | (size as u32) << 16 | 0xAA << 8 | number
}

#[repr(C)]
struct UffdioApi {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct UffdioRange {
    start: u64,
    len: u64,
}

#[repr(C)]
struct UffdioRegister {
    range: UffdioRange,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct UffdioCopy {
    dst: u64,
    src: u64,
    len: u64,
    mode: u64,
    copy: i64,
}

#[repr(C)]
struct UffdioWriteprotect {
    range: UffdioRange,
    mode: u64,
}

/// `struct uffd_msg`, of which we use the member of page faults.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Message {
    event: u8,
    _reserved: [u8; 7],
    flags: u64,
    address: u64,
    thread: u32,
    _more: u32,
}

/// A fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) address: usize,
    /// Of a write.
    pub(super) write: bool,
    /// The page is there and was write-protected.
    pub(super) protected: bool,
    /// The thread's number.
    pub(super) thread: u32,
}

impl Message {
    pub(super) fn fault(&self) -> Option<Fault> {
        (self.event == UFFD_EVENT_PAGEFAULT).then_some(Fault {
            address: self.address as usize,
            write: self.flags & UFFD_PAGEFAULT_FLAG_WRITE != 0,
            protected: self.flags & UFFD_PAGEFAULT_FLAG_WP != 0,
            thread: self.thread,
        })
    }
}

/// What became of pages that were to be put into place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// It is there now.
    Done,
    /// Something was there already, and still is.
    Held,
    /// No memory, or no such pages any more.
    Refused,
}

/// A descriptor that faults come from. It is closed by [`Uffd::close`] alone: a forked child inherits the number, not the threads that use it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uffd(RawFd);

impl Uffd {
    /// Opens one, and says whether faults within system calls come too. The device's, and then the call's, before those that are for
    /// faults of user code alone.
    pub(super) fn open() -> Result<(Uffd, bool), String> {
        let mut why = Vec::new();
        for (name, kernel, open) in WAYS {
            match open().and_then(Uffd::begin) {
                Ok(uffd) => return Ok((uffd, kernel)),
                Err(e) => why.push(format!("{name}: {e}")),
            }
        }
        Err(why.join("; "))
    }

    fn begin(fd: RawFd) -> io::Result<Uffd> {
        let uffd = Uffd(fd);
        let features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_THREAD_ID;
        let mut api = UffdioApi { api: UFFD_API, features, ioctls: 0 };
        match uffd.ioctl(UFFDIO_API, &mut api) {
            Ok(()) if api.features & UFFD_FEATURE_PAGEFAULT_FLAG_WP != 0 => Ok(uffd),
            Ok(()) => {
                uffd.close();
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(e) => {
                uffd.close();
                Err(e)
            }
        }
    }

    pub(super) fn close(self) {
        // SAFETY: whoever calls this uses the descriptor no more.
        unsafe { libc::close(self.0) };
    }

    fn ioctl<T>(self, request: u32, argument: &mut T) -> io::Result<()> {
        // SAFETY: each request above is made with the size of the structure it is called with, which lives over the call.
        let failed = unsafe { libc::ioctl(self.0, request as _, std::ptr::from_mut(argument)) };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// From now on the first touch of a page there waits for us, and so does a write to one that is protected.
    pub(super) fn register(self, start: usize, len: usize) -> io::Result<()> {
        let range = UffdioRange { start: start as u64, len: len as u64 };
        let mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP;
        let mut register = UffdioRegister { range, mode, ioctls: 0 };
        self.ioctl(UFFDIO_REGISTER, &mut register)?;
        let needed = 1 << _UFFDIO_WAKE | 1 << _UFFDIO_COPY | 1 << _UFFDIO_WRITEPROTECT;
        if register.ioctls & needed == needed { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    /// Puts pages into place, and says for each what became of it.
    pub(super) fn copy(self, start: usize, bytes: &[u8], protect: bool, wake: bool, mut put: impl FnMut(usize, Put)) {
        let protect = if protect { UFFDIO_COPY_MODE_WP } else { 0 };
        let mode = protect | if wake { 0 } else { UFFDIO_COPY_MODE_DONTWAKE };
        let mut at = 0;
        while at < bytes.len() {
            let src = bytes[at..].as_ptr() as u64;
            let mut copy = UffdioCopy { dst: (start + at) as u64, src, len: (bytes.len() - at) as u64, mode, copy: 0 };
            let result = self.ioctl(UFFDIO_COPY, &mut copy);
            let done = match result {
                Ok(()) => bytes.len() - at,
                Err(_) => usize::try_from(copy.copy).unwrap_or(0),
            };
            (0..done / PAGE).for_each(|i| put((start + at) / PAGE + i, Put::Done));
            at += done;
            let Err(e) = result else { return };
            match e.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => {}
                Some(libc::EEXIST) => {
                    put((start + at) / PAGE, Put::Held);
                    at += PAGE;
                }
                _ => {
                    (at..bytes.len()).step_by(PAGE).for_each(|at| put((start + at) / PAGE, Put::Refused));
                    return;
                }
            }
        }
    }

    /// Keeps writes to pages that are there waiting, or lets them through, which wakes them.
    pub(super) fn protect(self, start: usize, len: usize, on: bool) -> io::Result<()> {
        let range = UffdioRange { start: start as u64, len: len as u64 };
        let mut protect = UffdioWriteprotect { range, mode: if on { UFFDIO_WRITEPROTECT_MODE_WP } else { 0 } };
        loop {
            match self.ioctl(UFFDIO_WRITEPROTECT, &mut protect) {
                Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {}
                other => return other,
            }
        }
    }

    /// Lets those who wait there try again.
    pub(super) fn wake(self, start: usize, len: usize) {
        let mut range = UffdioRange { start: start as u64, len: len as u64 };
        // It fails for a range that cannot be, which ours is not.
        let _ = self.ioctl(UFFDIO_WAKE, &mut range);
    }

    /// The faults there are, without waiting.
    pub(super) fn read(self, messages: &mut [Message]) -> usize {
        // SAFETY: the buffer is as long as said; any bytes are a valid Message.
        let read = unsafe { libc::read(self.0, messages.as_mut_ptr().cast(), size_of_val(messages)) };
        usize::try_from(read).map_or(0, |bytes| bytes / size_of::<Message>())
    }

    /// Waits until there is one.
    pub(super) fn wait(self) {
        let mut poll = libc::pollfd { fd: self.0, events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which lives over the call.
        unsafe { libc::poll(&mut poll, 1, -1) };
    }
}

/// What it is called, whether faults of the kernel come, and how it is done.
type Way = (&'static str, bool, fn() -> io::Result<RawFd>);
/// Whoever may open the device gets faults of the kernel from it, so it is not asked for less.
const WAYS: [Way; 3] = [
    ("/dev/userfaultfd", true, of_the_device),
    ("userfaultfd(2)", true, || of_the_call(0)),
    ("userfaultfd(2) for user faults", false, || of_the_call(UFFD_USER_MODE_ONLY)),
];
const FLAGS: libc::c_int = libc::O_CLOEXEC | libc::O_NONBLOCK;

fn of_the_device() -> io::Result<RawFd> {
    let device = std::fs::File::options().read(true).write(true).open("/dev/userfaultfd")?;
    // SAFETY: the descriptor is open; the argument of this request is a number.
    descriptor(unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&device), USERFAULTFD_IOC_NEW as _, FLAGS) })
}

fn of_the_call(flags: libc::c_int) -> io::Result<RawFd> {
    // SAFETY: the call takes a number, and nothing else.
    descriptor(unsafe { libc::syscall(libc::SYS_userfaultfd, FLAGS | flags) } as libc::c_int)
}

fn descriptor(fd: libc::c_int) -> io::Result<RawFd> {
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(fd) }
}
