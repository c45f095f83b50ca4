//! Keeps the pager's thread on the processor of the thread that faults.
//!
//! Two processors that wake each other in turn take 5 to 40 us a fault, one that changes threads 5. It is a matter of speed alone: where the
//! processor is not known, or the thread may not go there, it stays where it is.

/// Faults between two looks, of which one takes as long as a fault.
const EVERY: u32 = 64;

pub(super) struct Nearby {
    /// Faults until the next look.
    left: u32,
    processor: Option<usize>,
    /// Where this thread may go by itself.
    anywhere: Option<libc::cpu_set_t>,
}

impl Nearby {
    pub(super) fn new() -> Nearby {
        let mut anywhere = no_processors();
        // SAFETY: the set lives over the call; 0 is this thread.
        let failed = unsafe { libc::sched_getaffinity(0, size_of_val(&anywhere), &mut anywhere) };
        Nearby { left: 2, processor: None, anywhere: (failed == 0).then_some(anywhere) }
    }

    /// A fault of this thread is to be served.
    pub(super) fn follow(&mut self, thread: u32) {
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
            let mut set = no_processors();
            // SAFETY: the set has a bit for it.
            unsafe { libc::CPU_SET(processor, &mut set) };
            go_to(&set);
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

fn go_to(set: &libc::cpu_set_t) {
    // SAFETY: the set lives over the call; 0 is this thread.
    unsafe { libc::sched_setaffinity(0, size_of_val(set), set) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> i32 {
        // SAFETY: asks for the number of what it has just been told.
        unsafe { libc::CPU_COUNT(&Nearby::new().anywhere.unwrap()) }
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
