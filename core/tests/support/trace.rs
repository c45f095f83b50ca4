//! A puppet that stands still at every system call, and may be killed there, or given an error in the call's place: ptrace(2).
//!
//! - Counted is from the return of the socket's read that brought the command to the call that sends the answer (or the end of the process);
//!   neither of the two is.
//! - Only the thread that began a trace may go on with it, so a trace begins and ends within one function.
//! - Errors in place of a call are for x86_64; kills are for every architecture of Linux.

use std::io;
use std::time::Instant;

use super::puppet::{PATIENCE, Puppet};

/// A system call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub number: i64,
    pub args: [u64; 6],
    /// What it returned; `None` if it did not.
    pub result: Option<i64>,
}

/// What is done at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Do {
    Go,
    /// Kill it before the call does anything.
    KillBefore,
    /// Kill it when the call has returned.
    KillAfter,
    /// The call does nothing and gives this error.
    Fail(i32),
    /// The call reads or writes half of what it is asked to.
    Halve,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is about to answer, and traced no more.
    Answers,
    /// It was killed at a call, and is gone.
    Killed,
    /// It ended by itself.
    Exited,
}

/// One command under trace.
#[derive(Debug)]
pub struct Run {
    pub calls: Vec<Call>,
    pub end: End,
}

/// Which process is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The puppet.
    Itself,
    /// The child it forks, from its birth until it comes to the stage.
    Child,
}

/// Has a puppet do what it is told. `decide` is asked at every call what to do, by its number; the process stands still meanwhile. An error:
/// this process may not trace.
pub fn run(
    puppet: &mut Puppet,
    who: Who,
    command: &str,
    mut decide: impl FnMut(usize, &Call) -> Do,
) -> io::Result<Run> {
    let at = puppet.ask("trace");
    let (thread, socket) = at.split_once(' ').unwrap();
    let mut traced = Traced { thread: thread.parse().unwrap(), pid: puppet.pid, entered: None };
    traced.seize()?;
    puppet.tell(command);
    let socket = socket.parse().unwrap();
    loop {
        match traced.next() {
            Stop::Left(call) if call.is_of(socket, &READS) && call.result > Some(0) => break,
            Stop::Gone => panic!("{command}: it died before it began"),
            _ => {}
        }
    }
    if who == Who::Child {
        traced = traced.wait_for_child();
    }
    let mut run = Run { calls: Vec::new(), end: End::Answers };
    let (mut doomed, start) = (false, Instant::now());
    loop {
        // When this thread ends, so does what it traces.
        assert!(start.elapsed() < PATIENCE, "{command}: it calls for ever, last {:?}", run.calls.last());
        match traced.next() {
            Stop::Entered(call) if call.is_of(socket, &WRITES) || call.number == libc::SYS_connect => {
                traced.let_go();
                return Ok(run);
            }
            Stop::Entered(call) => {
                let k = run.calls.len();
                run.calls.push(call);
                match decide(k, &call) {
                    Do::Go => {}
                    Do::KillBefore => return Ok(traced.kill(puppet, run)),
                    Do::KillAfter => doomed = true,
                    Do::Fail(errno) => run.calls[k].result = traced.fail(errno),
                    Do::Halve => traced.halve(&call),
                }
            }
            Stop::Left(call) => {
                if let Some(last) = run.calls.last_mut() {
                    *last = call;
                }
                if doomed {
                    return Ok(traced.kill(puppet, run));
                }
            }
            Stop::Gone => {
                traced.note_end(puppet);
                run.end = End::Exited;
                return Ok(run);
            }
        }
    }
}

const READS: [i64; 2] = [libc::SYS_read, libc::SYS_recvfrom];
const WRITES: [i64; 2] = [libc::SYS_write, libc::SYS_sendto];

impl Call {
    fn is_of(&self, fd: u64, numbers: &[i64]) -> bool {
        self.args[0] == fd && numbers.contains(&self.number)
    }
}

/// Where a traced process stopped.
enum Stop {
    Entered(Call),
    Left(Call),
    Gone,
}

/// A thread that stops at its system calls.
struct Traced {
    thread: i32,
    pid: i32,
    entered: Option<Call>,
}

const OPTIONS: i32 = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;

impl Traced {
    fn seize(&self) -> io::Result<()> {
        match ask(libc::PTRACE_SEIZE, self.thread, 0, OPTIONS as usize) {
            Err(e) if !matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) => panic!("{e}"),
            other => other?,
        }
        ask(libc::PTRACE_INTERRUPT, self.thread, 0, 0)?;
        assert!(self.wait().is_some(), "it died before it began");
        Ok(())
    }

    /// Waits until it stops; the wait status, or `None` if it is gone.
    fn wait(&self) -> Option<i32> {
        let (start, mut polls, mut status) = (Instant::now(), 0u32, 0);
        loop {
            // SAFETY: `status` lives over the call; the thread is traced by us.
            match unsafe { libc::waitpid(self.thread, &mut status, libc::__WALL | libc::WNOHANG) } {
                0 => {}
                -1 => panic!("waiting for {}: {}", self.thread, io::Error::last_os_error()),
                _ => return libc::WIFSTOPPED(status).then_some(status),
            }
            polls += 1;
            if polls < 500 {
                std::thread::yield_now();
                continue;
            }
            if start.elapsed() > PATIENCE {
                self.signal();
                panic!("it hangs in {:?}", self.entered);
            }
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
    }

    /// Lets it run to its next stop.
    fn next(&mut self) -> Stop {
        let mut deliver = 0;
        loop {
            if ask(libc::PTRACE_SYSCALL, self.thread, 0, deliver).is_err() {
                // It dies already; the wait tells.
            }
            let Some(status) = self.wait() else { return Stop::Gone };
            let event = status >> 16;
            deliver = 0;
            if libc::WSTOPSIG(status) == libc::SIGTRAP | 0x80 {
                if let Some(stop) = self.look() {
                    return stop;
                }
            } else if event == 0 {
                // A signal on its way to it.
                deliver = libc::WSTOPSIG(status) as usize;
            }
        }
    }

    /// Which call it stopped at; `None` at the end of one whose beginning nobody saw.
    fn look(&mut self) -> Option<Stop> {
        // SAFETY: all zeros are a value of this structure of numbers.
        let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
        let size = size_of_val(&info);
        ask(libc::PTRACE_GET_SYSCALL_INFO, self.thread, size, &raw mut info as usize).unwrap();
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => {
                // SAFETY: at an entry the kernel fills this part of the union.
                let entry = unsafe { info.u.entry };
                let call = Call { number: entry.nr as i64, args: entry.args, result: None };
                self.entered = Some(call);
                Some(Stop::Entered(call))
            }
            libc::PTRACE_SYSCALL_INFO_EXIT => {
                // SAFETY: at an exit the kernel fills this part of the union.
                let result = unsafe { info.u.exit.sval };
                self.entered.take().map(|call| Stop::Left(Call { result: Some(result), ..call }))
            }
            _ => None,
        }
    }

    /// At the entry of a call: it gives an error instead. Stops at its exit.
    #[cfg(target_arch = "x86_64")]
    fn fail(&mut self, errno: i32) -> Option<i64> {
        self.set(libc::ORIG_RAX, -1);
        let call = self.entered;
        ask(libc::PTRACE_SYSCALL, self.thread, 0, 0).unwrap();
        assert!(self.wait().is_some(), "it died at {call:?}");
        self.set(libc::RAX, -i64::from(errno));
        self.entered = None;
        Some(-i64::from(errno))
    }

    /// At the entry of a read or write, whose third argument is its length.
    #[cfg(target_arch = "x86_64")]
    fn halve(&self, call: &Call) {
        self.set(libc::RDX, call.args[2] as i64 / 2);
    }

    #[cfg(target_arch = "x86_64")]
    fn set(&self, register: i32, value: i64) {
        ask(libc::PTRACE_POKEUSER, self.thread, 8 * register as usize, value as usize).unwrap();
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn fail(&mut self, _: i32) -> Option<i64> {
        unreachable!("errors are injected on x86_64 only")
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn halve(&self, _: &Call) {
        unreachable!("calls are changed on x86_64 only")
    }

    fn let_go(&self) {
        ask(libc::PTRACE_DETACH, self.thread, 0, 0).unwrap();
    }

    /// The trace of the child that it forks next, instead of its own.
    fn wait_for_child(mut self) -> Traced {
        let options = OPTIONS | libc::PTRACE_O_TRACEFORK;
        ask(libc::PTRACE_SETOPTIONS, self.thread, 0, options as usize).unwrap();
        loop {
            ask(libc::PTRACE_CONT, self.thread, 0, 0).unwrap();
            let status = self.wait().expect("it lives until it has forked");
            if status >> 16 == libc::PTRACE_EVENT_FORK {
                break;
            }
        }
        let mut child: libc::c_ulong = 0;
        ask(libc::PTRACE_GETEVENTMSG, self.thread, 0, &raw mut child as usize).unwrap();
        self.let_go();
        let child = child as i32;
        self = Traced { thread: child, pid: child, entered: None };
        assert!(self.wait().is_some(), "the child died at once");
        self
    }

    fn kill(self, puppet: &mut Puppet, mut run: Run) -> Run {
        self.signal();
        while self.wait().is_some() {}
        self.note_end(puppet);
        run.end = End::Killed;
        run
    }

    fn signal(&self) {
        // SAFETY: a signal to a process of ours that was not reaped.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// Our wait has reaped it, if it is the thread that the process began with.
    fn note_end(&self, puppet: &mut Puppet) {
        if self.thread == puppet.pid {
            puppet.is_reaped();
        }
    }
}

fn ask(request: libc::c_uint, thread: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: of the requests above, those that write take a pointer to a value of ours that lives over the call.
    match unsafe { libc::ptrace(request, thread, address, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
