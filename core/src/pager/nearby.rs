//! Keeps the pager's thread on the processor of the thread that faults.
//!
//! Two processors that wake each other in turn take 5 to 40 us a fault, one that changes threads 5. So a thread that faults by itself is woken there, too:
//! the kernel would choose a processor that sleeps. It is a matter of speed alone: where the
//! processor is not known, or the thread may not go there, it stays where it is.

/// Faults between two looks, of which one takes as long as a fault.
const EVERY: u32 = 64;

pub(super) struct Nearby {
    /// Faults until the next look.
    left: u32,
    /// Which thread the last faults were of, and how many.
    thread: u32,
    same: u32,
    processor: Option<usize>,
    /// Where this thread may go by itself.
    anywhere: Option<libc::cpu_set_t>,
}

impl Nearby {
    pub(super) fn new() -> Nearby {
        let mut anywhere = no_processors();
        // SAFETY: the set lives over the call; 0 is this thread.
        let failed = unsafe { libc::sched_getaffinity(0, size_of_val(&anywhere), &mut anywhere) };
        Nearby { left: 2, thread: 0, same: 0, processor: None, anywhere: (failed == 0).then_some(anywhere) }
    }

    /// A fault of this thread is to be served.
    pub(super) fn follow(&mut self, thread: u32) {
        self.same = if thread == self.thread { self.same.saturating_add(1) } else { 0 };
        self.thread = thread;
        self.left -= 1;
        if self.left == 0 && self.anywhere.is_some() {
            self.left = EVERY;
            let processor = processor_of(thread).filter(|processor| *processor < libc::CPU_SETSIZE as usize);
            if processor != self.processor {
                self.processor = processor;
                self.stay();
            }
        }
    }

    /// Runs `serve`, which wakes the thread of the last fault: here, and not on a processor that sleeps, which takes longer than all else together. Only
    /// if no other thread faults: several are better off on several processors. Wherever the thread may go by itself, it may again when it has been woken.
    pub(super) fn wake_here(&self, serve: impl FnOnce()) {
        let mut before = no_processors();
        let (thread, here) = (self.thread as libc::pid_t, self.processor);
        let Some(here) = here.filter(|_| self.same >= EVERY) else { return serve() };
        // SAFETY: the set lives over the call.
        let known = unsafe { libc::sched_getaffinity(thread, size_of_val(&before), &mut before) } == 0;
        if known {
            allow(thread, &only(here));
        }
        serve();
        if known {
            allow(thread, &before);
        }
    }

    /// Runs what another wrote, free to go anywhere: threads that it starts inherit where they may go.
    pub(super) fn free<T>(&self, f: impl FnOnce() -> T) -> T {
        if let (Some(_), Some(anywhere)) = (self.processor, &self.anywhere) {
            go_to(anywhere);
        }
        let got = f();
        self.stay();
        got
    }

    fn stay(&self) {
        if let Some(processor) = self.processor {
            go_to(&only(processor));
        }
    }
}

/// Where a thread of this process ran last.
fn processor_of(thread: u32) -> Option<usize> {
    // Field 39 of proc_pid_stat(5); the second, a name, may have spaces and parentheses.
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(36)?.parse().ok()
}

fn no_processors() -> libc::cpu_set_t {
    // SAFETY: zero bytes are an empty set.
    unsafe { std::mem::zeroed() }
}

fn only(processor: usize) -> libc::cpu_set_t {
    let mut set = no_processors();
    // SAFETY: the set has a bit for it.
    unsafe { libc::CPU_SET(processor, &mut set) };
    set
}

fn go_to(set: &libc::cpu_set_t) {
    allow(0, set);
}

/// Says where a thread may run; 0 is this one.
fn allow(thread: libc::pid_t, set: &libc::cpu_set_t) {
    // SAFETY: the set lives over the call. A thread that is gone is an error, which is fine.
    unsafe { libc::sched_setaffinity(thread, size_of_val(set), set) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> i32 {
        // SAFETY: asks for the number of what it has just been told.
        unsafe { libc::CPU_COUNT(&Nearby::new().anywhere.unwrap()) }
    }

    #[test]
    fn a_thread_that_faults_alone_is_woken_here_and_may_go_anywhere_afterwards() {
        std::thread::spawn(|| {
            // SAFETY: the call has no arguments.
            let here = unsafe { libc::gettid() } as u32;
            let (all, mut nearby) = (allowed(), Nearby::new());
            let mut seen = Vec::new();
            for _ in 0..=EVERY {
                nearby.follow(here);
                nearby.wake_here(|| seen.push(allowed()));
            }
            // It is this thread itself that stays nearby.
            nearby.free(|| seen.push(allowed()));
            assert_eq!((seen[0], seen[seen.len() - 2], seen[seen.len() - 1]), (all, 1, all));
            go_to(&nearby.anywhere.unwrap());
            nearby.wake_here(|| seen.push(allowed()));
            assert_eq!((seen[seen.len() - 1], allowed()), (1, all));
            nearby.follow(here + 1);
            go_to(&nearby.anywhere.unwrap());
            nearby.wake_here(|| seen.push(allowed()));
            assert_eq!(seen[seen.len() - 1], all, "two threads fault");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_others_wrote_runs_anywhere_and_faults_are_served_nearby() {
        std::thread::spawn(|| {
            // SAFETY: the call has no arguments.
            let here = unsafe { libc::gettid() } as u32;
            let (all, mut nearby) = (allowed(), Nearby::new());
            (0..EVERY).for_each(|_| nearby.follow(here));
            assert_eq!((allowed(), nearby.free(allowed), allowed()), (1, all, 1));
            assert_eq!(processor_of(here), nearby.processor);
        })
        .join()
        .unwrap();
    }
}
