//! SIGKILL at every system call of every step of `docs/lifetime.md`, one after the other: what random kills find by luck.
//!
//! A puppet is traced (ptrace) while it does one thing, and killed where it enters or leaves its nth system call; n grows until the thing is done. What it
//! does to a store it does by system calls, so these are all the points at which others can tell how far it came. `COWSHED_EVERY_POINT=1` tries all of
//! them; otherwise it is every seventh.

#![cfg(target_os = "linux")]

mod support;

use std::time::{Duration, Instant};

use support::puppet::{Puppet, Stage, play};

/// Not a test: the life of the processes started below.
#[test]
fn puppet() {
    play();
}

const LONG: u32 = 600_000;
/// Numbers of a value whose segment is copied, mapped, and large enough to be collected at once.
const SIZES: [u32; 3] = [10, 5_000, 200_000];

/// How a puppet that was to die at a system call ended.
enum End {
    Killed,
    /// It was done before. None if it ended, as it was told.
    Done(Option<Puppet>),
    /// It cannot be traced here.
    Forbidden,
}

/// Tells it to do `what`, and kills it at its nth stop. A child that it forks until then goes on by itself; `forked` says whether there is one.
fn kill_at(mut puppet: Puppet, what: &str, n: usize, forked: &mut bool) -> End {
    let thread = acting_thread(puppet.pid);
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_EXITKILL;
    if trace(libc::PTRACE_SEIZE, thread, options) != 0 {
        println!("skipped: processes cannot be traced here ({})", std::io::Error::last_os_error());
        return End::Forbidden;
    }
    trace(libc::PTRACE_INTERRUPT, thread, 0);
    stopped(thread);
    puppet.tell(what);
    let mut stops = 0;
    loop {
        trace(libc::PTRACE_SYSCALL, thread, 0);
        let Some(status) = stopped(thread) else {
            puppet.end();
            return End::Done(None);
        };
        if status >> 8 == libc::SIGTRAP | libc::PTRACE_EVENT_FORK << 8 {
            let mut child = 0_u64;
            // SAFETY: the kernel writes a number there.
            unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, thread, 0, &raw mut child) };
            stopped(child as i32);
            trace(libc::PTRACE_DETACH, child as i32, 0);
            *forked = true;
        } else if libc::WSTOPSIG(status) == libc::SIGTRAP | 0x80 {
            if puppet.has_answered() {
                trace(libc::PTRACE_DETACH, thread, 0);
                return End::Done(Some(puppet));
            }
            stops += 1;
            if stops == n {
                // SAFETY: a signal to a process of ours that was not reaped.
                unsafe { libc::kill(puppet.pid, libc::SIGKILL) };
                while stopped(thread).is_some() {}
                puppet.end();
                return End::Killed;
            }
        }
    }
}

/// The thread that does what a puppet is told: a test runs on one of its own.
fn acting_thread(pid: i32) -> i32 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut ids = threads.map(|t| t.unwrap().file_name().to_str().unwrap().parse().unwrap());
    ids.find(|id| *id != pid).unwrap_or(pid)
}

fn trace(request: libc::c_uint, pid: i32, data: i32) -> libc::c_long {
    // SAFETY: these requests read and write no memory of ours.
    unsafe { libc::ptrace(request, pid, 0, i64::from(data)) }
}

/// Its status once it has stopped; `None` if it has ended.
fn stopped(pid: i32) -> Option<i32> {
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes a number there.
        let found = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG | libc::__WALL) };
        match found {
            0 => assert!(start.elapsed() < Duration::from_secs(30), "a traced process hangs"),
            _ if found == pid && libc::WIFSTOPPED(status) => return Some(status),
            _ => return None,
        }
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// A store with somebody who lives on, and a victim.
struct Scene {
    stage: Stage,
    survivor: Puppet,
    victim: Option<Puppet>,
    /// Segments that the survivor holds.
    held: usize,
    /// Whether the victim forked a child before it died.
    forked: bool,
}

impl Scene {
    fn new() -> Scene {
        let stage = Stage::new();
        let (mut survivor, victim) = (stage.puppet(), stage.puppet());
        survivor.ask("share mine 7 5000");
        Scene { stage, survivor, victim: Some(victim), held: 1, forked: false }
    }

    fn victim(&mut self) -> &mut Puppet {
        self.victim.as_mut().expect("it lives until it is killed")
    }

    /// The survivor's next sweep leaves what the survivor holds and nothing else, and the survivor lacks nothing.
    fn expect_clean(&mut self, what: &str) {
        self.survivor.ask("sweep");
        assert_eq!(self.stage.left(), (self.held, 1), "{what}");
        self.survivor.expect("check mine 7 5000", "right");
        self.survivor.ask("share another 8 10");
        self.survivor.ask("drop another");
        self.survivor.ask("sweep");
        assert_eq!(self.stage.left(), (self.held, 1), "{what}");
    }
}

/// Kills at each stop of what `prepare` says, then lets `look` see. False if nothing can be traced here.
fn at_every_system_call(name: &str, prepare: impl Fn(&mut Scene) -> String, look: impl Fn(&mut Scene, &str)) -> bool {
    let step = if std::env::var_os("COWSHED_EVERY_POINT").is_some() { 1 } else { 7 };
    for n in (1..).step_by(step) {
        let mut scene = Scene::new();
        let what = prepare(&mut scene);
        let at = format!("{name}: killed at stop {n} of `{what}`");
        let victim = scene.victim.take().expect("nobody has killed it");
        match kill_at(victim, &what, n, &mut scene.forked) {
            End::Killed => look(&mut scene, &at),
            End::Done(puppet) => {
                assert!(n > 10, "{at}: there were hardly any");
                println!("{name}: {} points, in steps of {step}", n - 1);
                puppet.into_iter().for_each(Puppet::kill);
                look(&mut scene, &at);
                return true;
            }
            End::Forbidden => return false,
        }
    }
    unreachable!("everything ends")
}

fn clean(scene: &mut Scene, at: &str) {
    scene.expect_clean(at);
}

#[test]
fn killed_anywhere_in_sharing_leaves_nothing() {
    for n in SIZES {
        at_every_system_call("share", |_| format!("share x 1 {n}"), clean);
        at_every_system_call("draft", |_| format!("draft x 1 {n}"), clean);
    }
    at_every_system_call("live", |_| "live x 1 5000".to_owned(), clean);
    let second = |scene: &mut Scene| {
        scene.victim().ask("share first 1 10");
        "share x 1 10".to_owned()
    };
    at_every_system_call("second share", second, clean);
}

#[test]
fn killed_anywhere_in_letting_go_leaves_nothing_and_takes_nothing_from_others() {
    for n in SIZES {
        let own = |scene: &mut Scene| {
            scene.victim().ask(&format!("share x 1 {n}"));
            "drop x".to_owned()
        };
        if n == SIZES[2] {
            at_every_system_call("drop", own, clean);
        }
        let others = |scene: &mut Scene| {
            let id = scene.survivor.ask(&format!("share both 2 {n}"));
            scene.held = 2;
            scene.victim().ask(&format!("attach both {id} 0"));
            // A small one waits for others; a sweep does not.
            scene.victim().ask("drop both");
            "sweep".to_owned()
        };
        at_every_system_call("drop and sweep", others, |scene, at| {
            scene.survivor.expect(&format!("check both 2 {n}"), "right");
            assert_ne!(scene.survivor.ask("export both 1"), "by value", "{at}");
            std::thread::sleep(Duration::from_millis(2));
            clean(scene, at);
        });
    }
}

#[test]
fn killed_anywhere_in_sweeping_after_the_dead_leaves_it_to_the_next() {
    let garbage = |scene: &mut Scene| {
        for n in SIZES {
            let mut dead = scene.stage.puppet();
            dead.ask(&format!("share x 1 {n}"));
            dead.kill();
        }
        "sweep".to_owned()
    };
    at_every_system_call("sweep", garbage, clean);
}

#[test]
fn killed_anywhere_in_exit_leaves_nothing_that_the_next_sweep_does_not_take() {
    let holding = |scene: &mut Scene| {
        for n in SIZES {
            scene.victim().ask(&format!("share x{n} 1 {n}"));
        }
        "exit".to_owned()
    };
    at_every_system_call("exit", holding, clean);
}

#[test]
fn killed_anywhere_in_exporting_leaves_a_reference_at_most() {
    for n in SIZES {
        let sending = |scene: &mut Scene| {
            scene.victim().ask(&format!("share x 1 {n}"));
            "export x 1".to_owned()
        };
        at_every_system_call("export", sending, |scene, at| {
            std::thread::sleep(Duration::from_millis(2));
            clean(scene, at);
        });
    }
}

#[test]
fn killed_anywhere_in_attaching_loses_nothing_in_flight_and_leaves_no_claim() {
    for n in SIZES {
        let id = std::cell::RefCell::new((String::new(), String::new()));
        let in_flight = |scene: &mut Scene| {
            let mut maker = scene.stage.puppet();
            let made = maker.ask(&format!("share x 3 {n}"));
            let ticket = maker.ask(&format!("export x {LONG}"));
            maker.kill();
            let what = format!("attach x {made} {ticket}");
            id.replace((made, ticket));
            what
        };
        let claimed = std::cell::Cell::new(false);
        let tried = at_every_system_call("attach", in_flight, |scene, at| {
            let (id, ticket) = &*id.borrow();
            // Nobody may take it while it is in flight or held, so it is there unless the victim had claimed it.
            scene.survivor.ask("sweep");
            match &*scene.survivor.ask(&format!("attach x {id} {ticket}")) {
                "attached" => {
                    assert!(!claimed.get(), "{at}: there again");
                    scene.survivor.expect(&format!("check x 3 {n}"), "right");
                    scene.survivor.ask("drop x");
                }
                "gone" => claimed.set(true),
                other => panic!("{at}: {other}"),
            }
            // The grace time is ten minutes: a ticket that was left would show.
            clean(scene, at);
        });
        assert!(claimed.get() || !tried, "done, the reference is spent");
    }
}

#[test]
fn killed_anywhere_in_a_fork_the_child_holds_what_its_parent_held() {
    let holding = |scene: &mut Scene| {
        for n in SIZES {
            scene.victim().ask(&format!("share x{n} {n} {n}"));
        }
        "fork".to_owned()
    };
    let forked = std::cell::Cell::new(false);
    let tried = at_every_system_call("fork", holding, |scene, at| {
        forked.set(scene.forked);
        if scene.forked {
            let mut child = scene.stage.orphan();
            scene.survivor.ask("sweep");
            assert_eq!(scene.stage.left(), (4, 2), "{at}: the child lives");
            for n in SIZES {
                child.expect(&format!("check x{n} {n} {n}"), "right");
                assert_ne!(child.ask(&format!("export x{n} 1")), "by value", "{at}");
            }
            child.ask("share mine 1 10");
            child.kill();
            std::thread::sleep(Duration::from_millis(2));
        }
        clean(scene, at);
    });
    assert!(forked.get() || !tried);
}

#[test]
fn killed_anywhere_in_named_memory_leaves_a_name_that_can_be_given_again() {
    let name = |scene: &mut Scene| {
        scene.victim().ask("memory other 8 another");
        "memory m 100000 name".to_owned()
    };
    at_every_system_call("allocate", name, |scene, at| {
        // Of another size: the dead one's must not come back.
        scene.survivor.expect("memory m 8 name", "allocated");
        scene.held = 2;
        clean(scene, at);
    });
    let found = |scene: &mut Scene| {
        scene.survivor.ask("memory m 8 name");
        scene.held = 2;
        "find m name".to_owned()
    };
    at_every_system_call("find", found, |scene, at| {
        scene.survivor.expect("count m 1", "1");
        clean(scene, at);
    });
}

#[test]
fn killed_anywhere_in_freeing_the_name_is_there_or_is_not() {
    let freeing = |scene: &mut Scene| {
        let id = scene.victim().ask("share x 1 5000");
        format!("free {id}")
    };
    at_every_system_call("free", freeing, clean);
}
