//! Processes on strings: each does what it is told over a socket and answers, so every step of a test has an order. Nothing waits for ever.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cowshed_core::fake::{Fake, Value, registry};
use cowshed_core::{
    AllocateError, AttachError, Backing, Draft, Flags, Kind, Mode, Name, NameError, Node, Once, OnceError, Segment,
    SegmentId, Sink, Store, Stored, StoredError, Ticket, Turn, Waiting, Writer, open, open_stored, share,
    verify_stored,
};

use super::{Dice, Dir};

/// How long anything may take on a slow and busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where puppets play: a store, and a socket they come to.
pub struct Stage {
    dir: Dir,
    listener: UnixListener,
}

impl Stage {
    pub fn new() -> Stage {
        let dir = Dir::memory();
        let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
        listener.set_nonblocking(true).unwrap();
        Stage { dir, listener }
    }

    pub fn store(&self) -> PathBuf {
        self.dir.store()
    }

    /// A new process with the store.
    pub fn puppet(&self) -> Puppet {
        self.puppet_with(&self.store(), &[], |_| {})
    }

    /// A new process, with a store of another spelling, started by another program, or with limits.
    pub fn puppet_with(&self, store: &Path, starter: &[&str], change: impl FnOnce(&mut Command)) -> Puppet {
        let exe = std::env::current_exe().unwrap();
        let mut command = match starter {
            [] => Command::new(exe),
            [program, args @ ..] => {
                let mut command = Command::new(program);
                command.args(args).arg(exe);
                command
            }
        };
        command.args(["--exact", "puppet", "--nocapture", "--test-threads=1"]);
        command.env("PUPPET", self.dir.path().join("socket")).env("STORE", store);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        change(&mut command);
        let child = command.spawn().unwrap();
        self.accept(Some(child))
    }

    /// A forked child of a puppet: holds what its parent holds.
    pub fn fork(&self, parent: &mut Puppet) -> Puppet {
        parent.ask("fork");
        self.child()
    }

    /// A child that was forked, and comes.
    pub fn child(&self) -> Puppet {
        self.accept(None)
    }

    fn accept(&self, child: Option<Child>) -> Puppet {
        let start = Instant::now();
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) => {
                    assert!(start.elapsed() < PATIENCE, "a puppet does not come");
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        };
        stream.set_nonblocking(false).unwrap();
        let mut puppet = Puppet { stream: BufReader::new(stream), child, pid: 0 };
        puppet.pid = puppet.answer().parse().unwrap();
        if let Some(child) = &puppet.child {
            // In a pid space of its own it does not know the number we know it by.
            puppet.pid = child.id() as i32;
        }
        puppet
    }

    /// Segments and ledgers as they lie there.
    pub fn left(&self) -> (usize, usize) {
        (super::segments(&self.store()).len(), super::ledgers(&self.store()).len())
    }

    /// What is left once a newcomer has swept, and has gone.
    #[track_caller]
    pub fn expect_empty_after_a_sweep(&self) {
        let mut newcomer = self.puppet();
        newcomer.ask("sweep");
        assert_eq!(super::segments(&self.store()), [""; 0], "segments are left");
        assert_eq!(super::cards(&self.store()), [""; 0], "cards are left");
        newcomer.leave("exit");
        assert_eq!(self.left(), (0, 0), "a ledger is left");
    }
}

/// A process on strings.
pub struct Puppet {
    stream: BufReader<UnixStream>,
    child: Option<Child>,
    pub pid: i32,
}

impl Puppet {
    /// Tells it to do something and waits for the answer.
    #[track_caller]
    pub fn ask(&mut self, what: &str) -> String {
        self.tell(what);
        let answer = self.answer();
        assert!(!answer.starts_with("error"), "{what}: {answer}");
        answer
    }

    /// Asks and expects an answer.
    #[track_caller]
    pub fn expect(&mut self, what: &str, answer: &str) {
        assert_eq!(self.ask(what), answer, "{what}");
    }

    pub fn tell(&mut self, what: &str) {
        writeln!(self.stream.get_mut(), "{what}").unwrap();
    }

    #[track_caller]
    pub fn answer(&mut self) -> String {
        self.answer_after(Duration::ZERO)
    }

    /// The same of something that takes so long by itself.
    #[track_caller]
    pub fn answer_after(&mut self, long: Duration) -> String {
        self.stream.get_ref().set_read_timeout(Some(PATIENCE + long)).unwrap();
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => panic!("a puppet died"),
            Ok(_) => line.trim_end().to_owned(),
            Err(e) => panic!("a puppet hangs: {e}"),
        }
    }

    /// Its answer, if there is one soon.
    pub fn answers_within(&mut self, time: Duration) -> Option<String> {
        let stream = self.stream.get_ref();
        let mut one = libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor of ours, which lives over the call.
        let ready = unsafe { libc::poll(&mut one, 1, time.as_millis() as i32) };
        (ready > 0).then(|| self.answer())
    }

    /// Kills it, and waits until the kernel has closed its files.
    pub fn kill(mut self) {
        self.signal(libc::SIGKILL);
        self.wait();
    }

    /// Tells it to end (`exit`, `_exit`), and waits until it has.
    pub fn leave(mut self, how: &str) {
        self.tell(how);
        self.wait();
    }

    /// Waits until it has ended, as it was told.
    pub fn end(mut self) {
        self.wait();
    }

    /// Somebody else has waited for it.
    pub fn is_reaped(&mut self) {
        (self.child, self.pid) = (None, 0);
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a signal to a process of ours that was not reaped.
        unsafe { libc::kill(self.pid, signal) };
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) {
        let start = Instant::now();
        while !self.is_over() {
            assert!(start.elapsed() < PATIENCE, "a puppet does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.pid = 0;
    }

    fn is_over(&mut self) -> bool {
        if let Some(child) = &mut self.child {
            return child.try_wait().unwrap().is_some();
        }
        // Files are closed before a process becomes a zombie.
        match std::fs::read_to_string(format!("/proc/{}/stat", self.pid)) {
            Ok(stat) => stat.rsplit(") ").next().is_some_and(|s| s.starts_with(['Z', 'X'])),
            Err(_) => true,
        }
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        if self.pid != 0 {
            self.signal(libc::SIGKILL);
            if let Some(child) = &mut self.child {
                let _ = child.wait();
            }
        }
    }
}

/// The value of a seed: a list of two vectors of numbers.
pub fn value(host: &Fake, seed: u64, n: usize) -> Value {
    let mut dice = Dice(seed);
    let mut numbers = |n| host.numbers(&(0..n).map(|_| (dice.roll() >> 40) as f64).collect::<Vec<_>>());
    let parts = [numbers(n), numbers(3)];
    host.list(&parts)
}

fn is_right(segment: &Arc<Segment>, seed: u64, n: usize) -> bool {
    let host = Fake::default();
    let expected = value(&host, seed, n);
    open(&host, registry(), segment, segment.root()).is_ok_and(|got| host.show(got) == host.show(expected))
}

struct State {
    store: Store,
    held: HashMap<String, Arc<Segment>>,
    unfinished: Vec<Writer>,
    drafts: HashMap<String, Draft>,
}

/// The life of a puppet: returns at once in a process that is none.
pub fn play() {
    let Ok(socket) = std::env::var("PUPPET") else { return };
    // SAFETY: children are reaped by the kernel, so nobody waits for them.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let store = Store::open(Path::new(&std::env::var("STORE").unwrap())).unwrap();
    let mut state = State { store, held: HashMap::new(), unfinished: Vec::new(), drafts: HashMap::new() };
    let mut stream = come(&socket);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            // The test is over.
            // SAFETY: ends the process.
            unsafe { libc::_exit(3) };
        }
        let answer = match line.trim_end() {
            "exit" => std::process::exit(0),
            at if at.starts_with("exit at ") => {
                let at = Duration::from_micros(at["exit at ".len()..].parse().unwrap());
                while std::time::UNIX_EPOCH.elapsed().unwrap() < at {
                    std::hint::spin_loop();
                }
                std::process::exit(0)
            }
            // SAFETY: ends the process, and nothing of it runs any more.
            "_exit" => unsafe { libc::_exit(0) },
            // SAFETY: only this thread goes on in the child; the crate's hooks are what is tested.
            "fork" => match unsafe { libc::fork() } {
                -1 => "error: fork".to_owned(),
                0 => {
                    stream = come(&socket);
                    continue;
                }
                pid => pid.to_string(),
            },
            // The thread that acts, and the socket it is told on: what is traced.
            // SAFETY: gettid(2) has no conditions.
            "trace" => format!("{} {}", unsafe { libc::gettid() }, stream.get_ref().as_raw_fd()),
            "exec" => {
                use std::os::unix::process::CommandExt;
                format!("error: {}", Command::new("sleep").arg("60").exec())
            }
            other => act(&mut state, other),
        };
        writeln!(stream.get_mut(), "{answer}").unwrap();
    }
}

fn come(socket: &str) -> BufReader<UnixStream> {
    let mut stream = UnixStream::connect(socket).unwrap();
    writeln!(stream, "{}", std::process::id()).unwrap();
    BufReader::new(stream)
}

fn act(state: &mut State, line: &str) -> String {
    let words: Vec<_> = line.split(' ').collect();
    let number = |i: usize| words[i].parse::<u64>().unwrap();
    let (store, held) = (state.store, &mut state.held);
    match words[0] {
        // share NAME SEED N; live NAME SEED N: write-through.
        "share" | "live" => {
            let host = Fake::default();
            let flags = if words[0] == "share" { Flags::COPY_ON_WRITE } else { Flags::empty() };
            match share(&host, registry(), &store, value(&host, number(2), number(3) as usize), flags) {
                Ok(segment) => {
                    let id = segment.id().to_string();
                    held.insert(words[1].to_owned(), segment);
                    id
                }
                Err(e) => failed(e.kind(), e),
            }
        }
        // wait NAME SEED N: shared, and without a file if it is small. name NAME: given its file.
        "wait" => {
            let host = Fake::default();
            let value = value(&host, number(2), number(3) as usize);
            match share(&host, registry(), &Waiting(store), value, Flags::COPY_ON_WRITE) {
                Ok(segment) => {
                    let id = segment.id().to_string();
                    held.insert(words[1].to_owned(), segment);
                    id
                }
                Err(e) => failed(e.kind(), e),
            }
        }
        "name" => if store.named(&held[words[1]]) { "named" } else { "by value" }.to_owned(),
        // begin NAME SEED N: a draft. drafted NAME SEED N: whether it is that. seal NAME N. forget NAME.
        "begin" => match Draft::new(store, &plain_numbers(number(2), number(3) as usize)) {
            Ok(draft) => {
                state.drafts.insert(words[1].to_owned(), draft);
                "begun".to_owned()
            }
            Err(e) => failed(Some(e.kind()), e),
        },
        "drafted" => {
            let draft = &state.drafts[words[1]];
            // SAFETY: the draft is as long, and nobody writes it now.
            let bytes = unsafe { std::slice::from_raw_parts(draft.pointer(), draft.len() as usize) };
            if bytes == plain_numbers(number(2), number(3) as usize) { "right" } else { "wrong" }.to_owned()
        }
        "forget" => {
            state.drafts.remove(words[1]).unwrap();
            "forgotten".to_owned()
        }
        "seal" => {
            let node = Node { length: number(2), ..Node::default() };
            match state.drafts.get_mut(words[1]).unwrap().seal("fake.numbers", node) {
                Ok(segment) => {
                    let id = segment.id().to_string();
                    held.insert(words[1].to_owned(), segment);
                    id
                }
                Err(e) => failed(Some(e.kind()), e),
            }
        }
        // draft NAME SEED N: made empty, filled through its pointer, sealed.
        "draft" => {
            let host = Fake::default();
            let bytes = plain_numbers(number(2), number(3) as usize);
            let mut draft = Draft::new(store, &vec![0; bytes.len()]).unwrap();
            // SAFETY: the draft is as long, and nobody else has it.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), draft.pointer(), bytes.len()) };
            let segment = draft.seal("fake.numbers", Node { length: number(3), ..Node::default() }).unwrap();
            assert!(open(&host, registry(), &segment, segment.root()).is_ok());
            let id = segment.id().to_string();
            held.insert(words[1].to_owned(), segment);
            id
        }
        // plain NAME SEED N: whether it is that draft.
        "plain" => {
            let segment = &held[words[1]];
            let payload = segment.table().node(segment.root()).payload;
            let right = segment.frozen(payload) == Some(&plain_numbers(number(2), number(3) as usize)[..]);
            if right { "right" } else { "wrong" }.to_owned()
        }
        // attach NAME ID TICKET
        "attach" => match store.attach(SegmentId::parse(words[2]).unwrap(), Ticket::from_bits(number(3))) {
            Ok(segment) => {
                held.insert(words[1].to_owned(), segment);
                "attached".to_owned()
            }
            Err(AttachError::Gone { .. }) => "gone".to_owned(),
            Err(e) => failed(Some(e.kind()), e),
        },
        // export NAME MILLISECONDS
        "export" => match store.export(&held[words[1]], Duration::from_millis(number(2))) {
            Ok(Some(ticket)) => ticket.bits().to_string(),
            Ok(None) => "by value".to_owned(),
            Err(e) => format!("error: {e}"),
        },
        // check NAME SEED N
        "check" => if is_right(&held[words[1]], number(2), number(3) as usize) { "right" } else { "wrong" }.to_owned(),
        // same NAME SEED N: the same without making the value, for large ones.
        "same" => {
            let (segment, bytes) = (&held[words[1]], loose_numbers(number(2), number(3) as usize));
            let first = segment.table().children(segment.root()).next().unwrap();
            let right = segment.frozen(segment.table().node(first).payload) == Some(&bytes[..]);
            if right { "right" } else { "wrong" }.to_owned()
        }
        // keep NAME SEED N: in a file beside the store, for good. kept NAME: opened from there. whole: what there is of it.
        "keep" => {
            let host = Fake::default();
            let value = value(&host, number(2), number(3) as usize);
            match share(&host, registry(), &Stored::new(&kept(&store)), value, Flags::COPY_ON_WRITE) {
                Ok(segment) => {
                    held.insert(words[1].to_owned(), segment);
                    "kept".to_owned()
                }
                Err(e) => failed(e.kind(), e),
            }
        }
        "kept" => match open_stored(&kept(&store)) {
            Ok(segment) => {
                held.insert(words[1].to_owned(), segment);
                "opened".to_owned()
            }
            Err(e) => failed(Some(e.kind()), e),
        },
        "whole" => match verify_stored(&kept(&store), || Ok(())) {
            Ok(_) => "all".to_owned(),
            Err(StoredError::Gone { .. }) => "nothing".to_owned(),
            Err(e) => e.to_string(),
        },
        // once: made, if nobody has, by those who wait no longer than some seconds. shelf: the files that are there.
        "once" => make_once(&shelf(&store)),
        "shelf" => {
            let names = std::fs::read_dir(shelf(&store)).into_iter().flatten();
            let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
            names.sort();
            names.join(" ")
        }
        // set NAME X, get NAME: the first number of a write-through segment.
        "set" => first_number(&held[words[1]], Some(words[2].parse().unwrap())),
        "get" => first_number(&held[words[1]], None),
        "own" => held[words[1]].is_own().to_string(),
        "drop" => {
            held.remove(words[1]).unwrap();
            "dropped".to_owned()
        }
        "free" => match store.free(SegmentId::parse(words[1]).unwrap()) {
            Ok(was) => was.to_string(),
            Err(e) => format!("error: {e}"),
        },
        "sweep" => store.sweep().to_string(),
        "list" => store.list().unwrap().len().to_string(),
        // halfway BYTES: half of a payload is written, and no more.
        "halfway" => {
            let mut writer = store.writer(Mode::Frozen).unwrap();
            writer.begin(number(1)).unwrap();
            writer.append(&vec![1; number(1) as usize / 2]).unwrap();
            state.unfinished.push(writer);
            "halfway".to_owned()
        }
        // memory NAME LENGTH ID: allocates it, or finds it, under the name ID.
        "memory" => match store.allocate(number(2), Some(words[3])) {
            Ok(segment) => {
                held.insert(words[1].to_owned(), segment);
                "allocated".to_owned()
            }
            Err(AllocateError::Small { has, .. }) => format!("has {has}"),
            Err(e) => failed(Some(e.kind()), e),
        },
        // find NAME ID: what memory of the name ID there is.
        "find" => match store.reattach(SegmentId::of_name(words[2])) {
            Ok(segment) => {
                held.insert(words[1].to_owned(), segment);
                "found".to_owned()
            }
            Err(AttachError::Gone { .. }) => "gone".to_owned(),
            Err(e) => failed(Some(e.kind()), e),
        },
        // count NAME BY: adds to the first number of memory; what it is then.
        "count" => count(&held[words[1]], number(2)).to_string(),
        // race N: allocates and counts in N memories of the same names as everybody who is told to, and holds them.
        "race" => {
            for i in 0..number(1) {
                let segment = store.allocate(8, Some(&format!("race-{i}"))).unwrap();
                count(&segment, 1);
                held.insert(format!("race-{i}"), segment);
            }
            "raced".to_owned()
        }
        // churn SEED MILLISECONDS: allocates, finds, frees and lets go of memory of three names.
        "churn" => churn(store, Dice(number(1)), number(2)),
        // register NAMESPACE NAME VALUE; card NAMESPACE NAME: the value; release NAMESPACE NAME.
        "register" => match store.register(Name { namespace: words[1], name: words[2] }, b"about", words[3].as_bytes())
        {
            Ok(()) => "registered".to_owned(),
            Err(NameError::Taken { .. }) => "taken".to_owned(),
            Err(e) => failed(Some(e.kind()), e),
        },
        "card" => match store.card(Name { namespace: words[1], name: words[2] }) {
            Ok(Some(card)) => String::from_utf8(card.value).unwrap(),
            Ok(None) => "none".to_owned(),
            Err(e) => failed(Some(e.kind()), e),
        },
        "release" => match store.release(Name { namespace: words[1], name: words[2] }) {
            Ok(was) => was.to_string(),
            Err(e) => failed(Some(e.kind()), e),
        },
        "owns" => store.owns(Name { namespace: words[1], name: words[2] }).to_string(),
        // compete N: registers N names that everybody who is told to wants; how many it got.
        "compete" => {
            let names: Vec<_> = (0..number(1)).map(|i| format!("name-{i}")).collect();
            let got = names.iter().filter(|name| store.register(Name { namespace: "race", name }, b"", b"").is_ok());
            got.count().to_string()
        }
        // shuffle SEED MILLISECONDS: registers, reads and releases three names; how often it did.
        "shuffle" => shuffle(store, Dice(number(1)), number(2)),
        "fds" => std::fs::read_dir("/proc/self/fd").unwrap().count().to_string(),
        "cd" => std::env::set_current_dir(words[1]).map_or_else(|e| format!("error: {e}"), |()| "there".to_owned()),
        // stock N: shares N segments of all sizes for the puppets under stress; their ids.
        "stock" => {
            let host = Fake::default();
            let segments = (0..number(1) as usize).map(|i| {
                let numbers = host.numbers(&stocked(i).collect::<Vec<_>>());
                share(&host, registry(), &store, numbers, Flags::COPY_ON_WRITE).unwrap()
            });
            let segments: Vec<_> = segments.collect();
            let ids: Vec<_> = segments.iter().map(|s| s.id().to_string()).collect();
            held.extend(ids.iter().cloned().zip(segments));
            ids.join(" ")
        }
        // stress SEED MILLISECONDS ID...: uses the stock with these ids; how often it attached, and how often it read a whole segment.
        "stress" => stress(store, Dice(number(1)), number(2), &words[3..]),
        // threads NAME...: threads that never stop use these segments.
        "threads" => {
            for name in &words[1..] {
                let segment = Arc::clone(&held[*name]);
                std::thread::spawn(move || hammer(store, &segment));
            }
            "started".to_owned()
        }
        other => format!("error: what is {other}?"),
    }
}

/// Where things are made once.
fn shelf(store: &Store) -> PathBuf {
    store.path().with_file_name("shelf")
}

const ONCE: usize = 50_000;

/// Makes a file of these bytes, unless it is there; or says what is wrong with the one that is.
fn make_once(dir: &Path) -> String {
    let made = || {
        let _ = std::fs::create_dir(dir);
        let once = Once::new(dir, "", "x")?;
        let pause = |nap| {
            std::thread::sleep(nap);
            Ok::<_, OnceError>(())
        };
        match once.enter(Some(Duration::from_secs(5)), || Ok(()), pause)? {
            Turn::Found(path) => {
                let right = std::fs::read(path).is_ok_and(|bytes| bytes == plain_numbers(1, ONCE));
                Ok(if right { "found" } else { "a part of it" })
            }
            Turn::Mine(maker) => {
                let mut file = maker.new_array()?;
                for part in plain_numbers(1, ONCE).chunks(100_000) {
                    file.write(part)?;
                }
                file.commit().map(|_| "made")
            }
        }
    };
    made().map_or_else(|e: OnceError| failed(Some(e.kind()), e), str::to_owned)
}

/// Where something is stored for good.
fn kept(store: &Store) -> PathBuf {
    store.path().with_file_name("kept.cowshed")
}

/// The error, and its class.
fn failed(kind: Option<Kind>, e: impl std::fmt::Display) -> String {
    format!("error {}: {e}", kind.map_or("none", Kind::word))
}

/// The bytes of the first vector of [`value`].
fn loose_numbers(seed: u64, n: usize) -> Vec<u8> {
    let mut dice = Dice(seed);
    (0..n).flat_map(|_| ((dice.roll() >> 40) as f64).to_ne_bytes()).collect()
}

fn plain_numbers(seed: u64, n: usize) -> Vec<u8> {
    let mut dice = Dice(seed);
    (0..n).flat_map(|_| ((dice.roll() >> 20) as f64).to_ne_bytes()).collect()
}

fn first_number(segment: &Segment, set: Option<f64>) -> String {
    let child = segment.table().children(segment.root()).next().unwrap();
    let Some(at) = segment.payload_mut(segment.table().node(child).payload) else { return "error: frozen".to_owned() };
    // SAFETY: the payload has numbers, is aligned, and lives with the segment.
    let number = unsafe { &*at.cast::<AtomicU64>() };
    if let Some(x) = set {
        number.store(x.to_bits(), Ordering::SeqCst);
    }
    f64::from_bits(number.load(Ordering::SeqCst)).to_string()
}

fn count(memory: &Segment, by: u64) -> u64 {
    let at = memory.payload_mut(memory.memory(None).unwrap()).unwrap();
    // SAFETY: the memory has eight bytes, is aligned, and lives with the segment.
    unsafe { &*at.cast::<AtomicU64>() }.fetch_add(by, Ordering::SeqCst) + by
}

fn churn(store: Store, mut dice: Dice, millis: u64) -> String {
    let mut held: [Option<Arc<Segment>>; 3] = [const { None }; 3];
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(millis) {
        let i = dice.below(held.len());
        let name = format!("churn-{i}");
        match dice.below(8) {
            0 => held[i] = None,
            1 => drop(store.free(SegmentId::of_name(&name)).unwrap()),
            2 => match store.reattach(SegmentId::of_name(&name)) {
                Ok(segment) => held[i] = Some(segment),
                Err(AttachError::Gone { .. }) => {}
                Err(e) => return format!("error: {e}"),
            },
            _ => {
                // Large ones are collected at once, small ones in batches.
                let len = [8, 2 << 20][dice.below(2)];
                match store.allocate(len, Some(&name)) {
                    Ok(segment) => {
                        if count(&segment, 1) == 0 || segment.memory(None).unwrap().len < len {
                            return format!("error: {name} is not as allocated");
                        }
                        held[i] = Some(segment);
                    }
                    Err(AllocateError::Small { has: 8, .. }) => {}
                    Err(e) => return format!("error: {e}"),
                }
            }
        }
        for memory in held.iter().flatten() {
            count(memory, 1);
        }
        done += 1;
    }
    done.to_string()
}

fn shuffle(store: Store, mut dice: Dice, millis: u64) -> String {
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(millis) {
        let name = format!("shuffle-{}", dice.below(3));
        let name = Name { namespace: "n", name: &name };
        let went = match dice.below(4) {
            0 => store.release(name).map(drop),
            1 => store.card(name).map(|card| {
                let whole = |value: &[u8]| value.iter().all(|b| *b == value[0]) && value.len() > usize::from(value[0]);
                assert!(card.is_none_or(|card| whole(&card.value)), "a part of a card, or of two");
            }),
            _ => match store.register(name, b"", &vec![dice.below(100) as u8; 100 + dice.below(9_000)]) {
                Err(NameError::Taken { .. }) => Ok(()),
                other => other,
            },
        };
        if let Err(e) = went {
            return failed(Some(e.kind()), e);
        }
        done += 1;
    }
    done.to_string()
}

/// Numbers of a stocked segment: copied, mapped, and large enough to be collected at once.
const STOCKED: [usize; 6] = [10, 1_000, 2_500, 12_500, 40_000, 1 << 17];

fn stocked(i: usize) -> impl Iterator<Item = f64> {
    let first = (i << 20) as f64;
    (0..STOCKED[i % STOCKED.len()]).map(move |j| first + j as f64)
}

fn is_stocked(segment: &Segment, i: usize) -> bool {
    let bytes = segment.frozen(segment.table().node(segment.root()).payload).unwrap_or(&[]);
    let numbers = bytes.chunks_exact(8).map(|b| f64::from_ne_bytes(b.try_into().expect("eight bytes")));
    numbers.eq(stocked(i))
}

fn stress(store: Store, mut dice: Dice, millis: u64, ids: &[&str]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| SegmentId::parse(id).unwrap()).collect();
    let mut held: Vec<Option<Arc<Segment>>> = vec![None; ids.len()];
    let (start, mut attached, mut read) = (Instant::now(), 0, 0);
    while start.elapsed() < Duration::from_millis(millis) {
        let i = dice.below(ids.len());
        match (&held[i], dice.below(8)) {
            (None, _) => match store.attach(ids[i], None) {
                Ok(segment) if is_stocked(&segment, i) => {
                    held[i] = Some(segment);
                    (attached, read) = (attached + 1, read + 1);
                }
                Ok(_) => return format!("error: segment {i} is wrong"),
                Err(e) => return format!("error: segment {i}, which its maker holds: {e}"),
            },
            (Some(_), 0..5) => held[i] = None,
            (Some(segment), 5) => match store.export(segment, Duration::from_millis(dice.roll() % 3)) {
                Ok(Some(_)) => {}
                other => return format!("error: segment {i} not exported: {other:?}"),
            },
            (Some(segment), 6) if is_stocked(segment, i) => read += 1,
            (Some(_), 6) => return format!("error: segment {i} went wrong"),
            _ if dice.below(20) == 0 => drop(store.sweep()),
            _ => {}
        }
    }
    format!("{attached} {read}")
}

fn hammer(store: Store, segment: &Arc<Segment>) {
    let host = Fake::default();
    let small = host.numbers(&[1.0]);
    loop {
        store.export(segment, Duration::from_micros(1)).unwrap();
        let other = store.attach(segment.id(), None).unwrap();
        drop(share(&host, registry(), &store, small, Flags::default()).unwrap());
        drop(other);
        store.sweep();
    }
}
