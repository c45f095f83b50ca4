//! Which errors a system call can give in the directories of a store.

use super::trace::Call;

/// Whether calls can be changed here, to fail or to do half.
pub const ERRORS: bool = cfg!(target_arch = "x86_64");
/// Errors that a process may meet once, and that may last as long as it works.
pub const STAY: [i32; 4] = [libc::ENOSPC, libc::EMFILE, libc::ENOMEM, libc::EIO];

/// The flags a file is opened with.
pub fn opens(call: &Call) -> Option<i32> {
    match call.number {
        libc::SYS_openat => Some(call.args[2] as i32),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => Some(call.args[1] as i32),
        _ => None,
    }
}

/// No error: half of a read or write.
pub const HALF: i32 = 0;

pub fn makes_unnamed(call: &Call) -> bool {
    opens(call).is_some_and(|flags| flags & libc::O_TMPFILE == libc::O_TMPFILE)
}

pub fn unlinks(call: &Call) -> bool {
    #[cfg(target_arch = "x86_64")]
    if call.number == libc::SYS_unlink {
        return true;
    }
    call.number == libc::SYS_unlinkat
}

/// What a call may say here. Not of those that cannot fail on files that are there: `close`, an unlock, what the allocator asks for.
pub fn errors_of(call: &Call) -> &'static [i32] {
    use libc::{
        EACCES, EAGAIN, EDQUOT, EFBIG, EINTR, EIO, EMFILE, ENFILE, ENOENT, ENOLCK, ENOMEM, ENOSPC, EWOULDBLOCK,
    };
    if !ERRORS {
        return &[];
    }
    if let Some(flags) = opens(call) {
        return match flags {
            _ if makes_unnamed(call) => &[ENOSPC, EMFILE, EACCES, ENOENT],
            _ if flags & libc::O_CREAT != 0 => &[ENOSPC, EMFILE, EDQUOT],
            // Opened to be locked: its name may be gone meanwhile.
            _ if flags & libc::O_RDWR != 0 => &[EMFILE, ENFILE, ENOENT, EACCES],
            _ => &[EMFILE, ENFILE, EACCES],
        };
    }
    match call.number {
        libc::SYS_pwrite64 => &[ENOSPC, EDQUOT, EFBIG, EIO, EINTR, HALF],
        libc::SYS_pread64 => &[EIO, EINTR, HALF],
        libc::SYS_linkat => &[ENOSPC, EDQUOT, EACCES, ENOENT],
        libc::SYS_renameat | libc::SYS_renameat2 => &[ENOSPC, EACCES],
        libc::SYS_unlinkat => &[EACCES, EIO, ENOENT],
        libc::SYS_flock if call.args[1] as i32 & libc::LOCK_UN != 0 => &[],
        // A ledger asked whether its process lives: nobody else takes that lock, so it cannot be busy.
        libc::SYS_flock if call.args[1] as i32 == libc::LOCK_NB | libc::LOCK_SH => &[ENOLCK],
        libc::SYS_flock if call.args[1] as i32 & libc::LOCK_NB != 0 => &[EWOULDBLOCK, ENOLCK],
        libc::SYS_flock => &[EINTR, ENOLCK],
        libc::SYS_mmap if call.args[4] as i32 >= 0 => &[ENOMEM],
        libc::SYS_fstat | libc::SYS_newfstatat | libc::SYS_statx => &[EIO],
        libc::SYS_statfs | libc::SYS_fstatfs => &[EIO],
        libc::SYS_getdents64 => &[EIO],
        libc::SYS_fcntl if call.args[1] as i32 == libc::F_DUPFD_CLOEXEC => &[EMFILE],
        libc::SYS_mkdirat => &[ENOSPC, EACCES],
        libc::SYS_clone | libc::SYS_clone3 => &[EAGAIN, ENOMEM],
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename => &[ENOSPC, EACCES],
        #[cfg(target_arch = "x86_64")]
        libc::SYS_unlink => &[EACCES, EIO, ENOENT],
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => &[ENOSPC, EACCES],
        _ => &[],
    }
}
