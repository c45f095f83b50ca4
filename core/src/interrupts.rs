//! SIGINT put off, for what must not be cut short: a message of which half is read cannot be taken up again.
//!
//! - It is blocked in the calling thread, which is the one that R runs in. One that comes meanwhile waits.
//! - Who lets it through again may have what waited taken away: it was meant for what is done by now.

use std::mem::MaybeUninit;

/// Puts SIGINT off, or lets it through. Whether it was put off before.
pub fn put_off_interrupts(put_off: bool) -> bool {
    let how = if put_off { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK };
    let mut before = MaybeUninit::uninit();
    // SAFETY: two signal sets, the second of which the call fills in; with a valid `how` it does not fail.
    unsafe { libc::pthread_sigmask(how, &interrupt(), before.as_mut_ptr()) };
    // SAFETY: filled in by the call.
    unsafe { libc::sigismember(before.as_ptr(), libc::SIGINT) == 1 }
}

/// Takes away a SIGINT that waits.
pub fn forget_interrupts() {
    if waits() {
        let mut which = 0;
        // SAFETY: a signal set and a number. SIGINT waits, and it waits only while it is blocked: the call returns at once.
        unsafe { libc::sigwait(&interrupt(), &raw mut which) };
    }
}

fn waits() -> bool {
    let mut waiting = MaybeUninit::uninit();
    // SAFETY: fills in a signal set.
    unsafe { libc::sigpending(waiting.as_mut_ptr()) };
    // SAFETY: filled in by the call.
    unsafe { libc::sigismember(waiting.as_ptr(), libc::SIGINT) == 1 }
}

fn interrupt() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: makes it an empty set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: an initialised set, and a signal that there is.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGINT) };
    // SAFETY: initialised above.
    unsafe { set.assume_init() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_while_it_is_put_off_waits_and_can_be_taken_away() {
        assert!(!put_off_interrupts(true));
        assert!(!waits());
        // SAFETY: this thread's id, and SIGINT, which is blocked.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGINT) };
        assert!(waits());
        forget_interrupts();
        assert!(!waits());
        forget_interrupts();
        assert!(put_off_interrupts(false));
        assert!(!put_off_interrupts(false));
    }
}
