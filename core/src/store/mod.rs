//! Where segments live, and who holds them: the verbs of `docs/lifetime.md`.
//!
//! - A [`Store`] is one directory of one user; a process has one ledger in it.
//! - [`Store::publish`] (seal), [`Store::export`], [`Store::attach`] and `Lease::give_up` (withdraw) are here; `collect` unlinks, `fork`
//!   keeps children honest, `ledger` is the file whose lock tells the living from the dead and `scan` looks at all of them, `memory` is
//!   allocated rather than shared, `names` are registered objects, each on a `card`, `room` is made when there is
//!   none, if need be by `press`; `weight` asks the host now and then what it still needs, `listing` tells people, and `footprint` what it costs whom;
//!   `sent` counts references.
//! - Small segments stay in their maker's memory until somebody else may want them: `waiting`.
//! - No lock of ours is held while a segment is dropped: dropping takes it.

mod card;
mod collect;
mod control;
mod dir;
#[cfg_attr(not(target_os = "linux"), path = "footprint_elsewhere.rs")]
mod footprint;
mod fork;
mod ledger;
mod listing;
mod memory;
mod names;
mod press;
mod room;
mod scan;
mod sent;
mod waiting;
mod weight;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use memmap2::MmapMut;

pub use card::Card;
pub use dir::{default_store_path, usual_store_path};
pub use footprint::Footprint;
pub(crate) use fork::{install as install_fork_hooks, step as locking_step};
pub use listing::{About, Holding, Listed, Reported};
pub use memory::check_memory_name;
pub use names::Name;
pub(crate) use room::let_go;
pub use room::when_full;
pub use waiting::Waiting;

use crate::lock::Lock;
use crate::segment::{Backing, Bytes, Finished, Home, Mapped, ONE_READ, Segment, Unread, Writer, read, table_of};
use crate::sys::Unnamed;
use crate::{AttachError, CreateError, Mode, NodeId, SegmentId, Sent, StoreError, Table, Ticket, sys};
use control::Locked;
use ledger::{Entry, Ledger, Slot};
use weight::Weight;

/// A directory of segments. Cheap to copy; opened once per process and path, for the process's life.
#[derive(Clone, Copy)]
pub struct Store(&'static Inner);

struct Inner {
    path: PathBuf,
    segments: PathBuf,
    ledgers: PathBuf,
    names: PathBuf,
    /// Bytes its files may have; `u64::MAX` for any number.
    budget: AtomicU64,
    weight: Weight,
    /// Whether its files are in memory.
    in_memory: bool,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    ledger: Option<Ledger>,
    /// The child's, between `prepare` and the fork.
    childs: Option<Ledger>,
    /// Segments open in this process.
    live: HashMap<SegmentId, Live>,
    /// Segments that have no file yet.
    waiting: HashMap<SegmentId, Weak<Segment>>,
    /// Given up, not yet collected.
    pending: Vec<SegmentId>,
    /// References that were written while nobody locked their segment.
    uncounted: HashMap<SegmentId, Sent>,
    /// When anything was last collected or swept, [`sys::now`].
    swept: u64,
}

/// A segment that is open in this process.
struct Live {
    segment: Weak<Segment>,
    /// What the ledger says of it, and where.
    entry: Entry,
    slot: Slot,
    /// The ticket last taken back: all references of one message have the same.
    claimed: Option<Ticket>,
}

/// A process's claim on a segment.
pub struct Lease {
    store: Store,
    /// None while the segment is waiting.
    slot: OnceLock<Slot>,
    maker: bool,
    /// How often this process had forked when it made the segment.
    forks: u64,
    /// Which file it is, where the name may have come to mean another since: see `memory`.
    inode: Option<u64>,
}

impl Store {
    /// Opens a store, making its directory if need be. The same path gives the same store.
    ///
    /// # Errors
    /// The directory cannot be made, or belongs to somebody else, or has no working locks.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        // Absolute, because a process may change its directory; and `dir/` would follow a symlink that `dir` does not.
        let path = std::path::absolute(path).map_err(|source| StoreError::Unusable {
            path: path.to_owned(),
            what: "finding its directory",
            source,
        })?;
        let path: PathBuf = path.components().collect();
        let mut stores = fork::STORES.lock();
        if let Some(store) = known(&stores, &path) {
            return Ok(store);
        }
        dir::prepare(&path)?;
        fork::install();
        let inner = Inner {
            segments: path.join(dir::SEGMENTS),
            ledgers: path.join(dir::LEDGERS),
            names: path.join(dir::NAMES),
            budget: AtomicU64::new(u64::MAX),
            weight: Weight::new(sys::capacity(&path).unwrap_or(u64::MAX)),
            in_memory: sys::is_memory(&path),
            path,
            state: Lock::default(),
        };
        // For the process's life: forks and exits must find every store, and a process has a handful.
        let store = Store(Box::leak(Box::new(inner)));
        stores.push(store);
        Ok(store)
    }

    /// A store that is there already, for an attach: a reference comes from outside, and must make no directory wherever it points.
    ///
    /// # Errors
    /// It is there, and [`Store::open`] refuses it.
    pub fn find(path: &Path) -> Result<Option<Store>, StoreError> {
        let open = known(&fork::STORES.lock(), path);
        if open.is_some() || !dir::looks_like_one(path) {
            return Ok(open);
        }
        Store::open(path).map(Some)
    }

    /// Every store this process has opened.
    pub fn all() -> Vec<Store> {
        fork::STORES.lock().clone()
    }

    /// Its directory.
    pub fn path(&self) -> &'static Path {
        &self.0.path
    }

    fn segment_path(&self, id: SegmentId) -> PathBuf {
        self.0.segments.join(id.to_string())
    }

    /// Writes a segment into this process's ledger.
    fn enter(&self, state: &mut State, entry: Entry) -> Result<Slot, StoreError> {
        self.ledger(state)?.enter(entry).map_err(|e| StoreError::failed(&self.0.path, "writing a ledger", e))
    }

    /// This process's ledger, which is made on first use, and again if the store was wiped.
    fn ledger<'a>(&self, state: &'a mut State) -> Result<&'a mut Ledger, StoreError> {
        let unusable = |source| StoreError::failed(&self.0.path, "writing a ledger", source);
        if state.ledger.as_ref().is_none_or(Ledger::is_wiped) {
            dir::prepare(&self.0.path)?;
            let mut ledger = Ledger::create(&self.0.path, &self.0.ledgers)?;
            for live in state.live.values_mut() {
                live.slot = ledger.enter(live.entry).map_err(unusable)?;
            }
            state.ledger = Some(ledger);
        }
        Ok(state.ledger.as_mut().expect("made above"))
    }

    /// Gives a finished file its name: publish, then link. `draft`: the mapping that serves it in this process already, and where in the
    /// file it begins; it is taken only if all went well.
    pub(crate) fn publish(
        &self,
        finished: Finished,
        table: &Table,
        draft: Option<(&mut Option<MmapMut>, u64)>,
    ) -> Result<Arc<Segment>, CreateError> {
        let Finished { file, header, index, named, known } = finished;
        let file = file.expect("a writer that makes one");
        let (id, len) = (header.id, header.file_len);
        let opened = match &draft {
            Some(_) => None,
            None => Some(Bytes::open(file.file(), len, header.mode, known).map_err(|source| CreateError::Map {
                id,
                len,
                source,
            })?),
        };
        self.ensure_budget(len)?;
        let entry = Entry::of(&header);
        let (mut state, slot) = self.enter_with_room(entry).map_err(|e| match e {
            StoreError::Full { .. } => self.full(len),
            StoreError::Unusable { source, .. } if sys::is_too_large(&source) => self.write_failed(source, len),
            other => other.into(),
        })?;
        let inode = self.link(&mut state, slot, id, file, named).map_err(|e| self.write_failed(e, len))?;
        let drafted =
            || draft.and_then(|(map, base)| Some(Bytes::Drafted { map: Mapped::new(map.take()?, base), base }));
        let bytes = opened.or_else(drafted).expect("a draft is sealed once");
        let whole = matches!(bytes, Bytes::Mapped(_) | Bytes::Live(_));
        let table = if whole && header.table_len() > ONE_READ {
            // A large one is read where it is, like anybody's: the memory it was written in serves the next one.
            // SAFETY: the bytes of the segment that the table becomes a part of.
            let read = unsafe { table_of(&header, &index, &bytes) };
            read.unwrap_or_else(|_| unreachable!("its index was just made"))
        } else {
            table.copied()
        };
        let lease = Lease { store: *self, slot: slot.into(), maker: true, forks: fork::count(), inode };
        let segment = Arc::new(Segment::new(header, table, bytes, Home::Store(lease)));
        state.live.insert(id, Live { segment: Arc::downgrade(&segment), entry, slot, claimed: None });
        drop(state);
        self.tidy();
        Ok(segment)
    }

    /// The name itself, once the ledger has it. The inode, if the name may come to mean another file.
    fn link(
        &self,
        state: &mut State,
        slot: Slot,
        id: SegmentId,
        file: Unnamed,
        named: bool,
    ) -> io::Result<Option<u64>> {
        let path = self.segment_path(id);
        let linked = if named { file.link_new(&path) } else { file.link(&path) };
        let inode = linked.and_then(|file| {
            // Locked while it had a dotted name; the mapping would keep it so.
            sys::unlock(&file);
            named.then(|| sys::inode(&file)).transpose()
        });
        if inode.is_err() {
            state.ledger.as_mut().expect("entered").clear(slot);
        }
        inode
    }

    /// A file for a segment.
    pub(crate) fn unnamed_file(&self) -> Result<Unnamed, CreateError> {
        let unnamed = || self.with_room(1, || Unnamed::create(&self.0.segments));
        match unnamed() {
            // The store was wiped under us.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                dir::prepare(&self.0.path)?;
                unnamed().map_err(|e| self.write_failed(e, 0))
            }
            other => other.map_err(|e| self.write_failed(e, 0)),
        }
    }

    /// Opens a segment by id, claiming the ticket it was sent with.
    ///
    /// # Errors
    /// It is gone, or its bytes are not to be believed.
    pub fn attach(&self, id: SegmentId, ticket: Option<Ticket>) -> Result<Arc<Segment>, AttachError> {
        let _step = fork::step();
        let mut state = self.0.state.lock();
        let held = state.live.get_mut(&id).and_then(|live| live.segment.upgrade().map(|segment| (live, segment)));
        if let Some((live, segment)) = held {
            if ticket.is_some() && live.claimed != ticket {
                live.claimed = ticket;
                drop(state);
                // Held already, so a failure to claim costs only the grace time.
                let _ = self.lock(id).and_then(|locked| locked.map_or(Ok(()), |l| l.claim(ticket)));
            }
            return Ok(segment);
        }
        drop(state);
        let io = |what| move |source| AttachError::Io { id, store: self.0.path.clone(), what, source };
        let locked = self.lock(id).map_err(io("locking"))?.ok_or_else(|| self.gone(id))?;
        self.attach_locked(id, locked, ticket, None)
    }

    fn gone(&self, id: SegmentId) -> AttachError {
        AttachError::Gone { id, store: self.0.path.clone() }
    }

    /// The same, of the file that was found by that name.
    fn attach_locked(
        &self,
        id: SegmentId,
        locked: Locked,
        ticket: Option<Ticket>,
        inode: Option<u64>,
    ) -> Result<Arc<Segment>, AttachError> {
        let io = |what| move |source| AttachError::Io { id, store: self.0.path.clone(), what, source };
        let (header, table, bytes) = read(locked.file(), Some(id)).map_err(|e| match e {
            Unread::Format(source) => AttachError::Format { id, store: self.0.path.clone(), source },
            Unread::Io(source) => io("reading")(source),
            Unread::Map(source) => io("mapping")(source),
        })?;
        let entry = Entry::of(&header);
        let (mut state, slot) = self.enter_with_room(entry)?;
        let lease = Lease { store: *self, slot: slot.into(), maker: false, forks: 0, inode };
        let segment = Arc::new(Segment::new(header, table, bytes, Home::Store(lease)));
        state.live.insert(id, Live { segment: Arc::downgrade(&segment), entry, slot, claimed: ticket });
        drop(state);
        // After publishing, under the same lock: killed in between, the ticket stands.
        locked.claim(ticket).map_err(io("claiming a reference to"))?;
        drop(locked);
        self.tidy();
        Ok(segment)
    }

    /// A ticket for a reference about to leave this process; `None` if it has no name (any more), and the object must travel by value.
    ///
    /// # Errors
    /// The control block cannot be written.
    pub fn export(&self, segment: &Segment, grace: Duration) -> io::Result<Option<Ticket>> {
        self.export_saving(segment, grace, 0)
    }

    /// The same; the reference saves so many bytes.
    ///
    /// # Errors
    /// The control block cannot be written.
    pub fn export_saving(&self, segment: &Segment, grace: Duration, saved: u64) -> io::Result<Option<Ticket>> {
        if !self.named(segment) {
            return Ok(None);
        }
        let _step = fork::step();
        let Some(locked) = self.lock(segment.id())? else { return Ok(None) };
        let ticket = Ticket::random();
        locked.add(ticket, grace, self.take_uncounted(segment.id()).and(Sent::one(saved)))?;
        Ok(Some(ticket))
    }

    /// Frees a segment whatever its counts say: no new attach, holders read on. Whether there was one.
    ///
    /// # Errors
    /// The store refuses.
    pub fn free(&self, id: SegmentId) -> io::Result<bool> {
        let _step = fork::step();
        let Some(_locked) = self.lock(id)? else { return Ok(false) };
        std::fs::remove_file(self.segment_path(id)).map(|()| true)
    }

    /// Opens and locks a segment's file; `None` if its name is gone, also while we waited.
    fn lock(&self, id: SegmentId) -> io::Result<Option<Locked>> {
        let file = match sys::open(&self.segment_path(id), true) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        sys::lock_exclusive(&file)?;
        Ok(if sys::links(&file)? > 0 { Some(Locked::new(file)) } else { None })
    }
}

fn known(stores: &[Store], path: &Path) -> Option<Store> {
    stores.iter().find(|s| s.0.path == path).copied()
}

impl Backing for Store {
    type Writer = Writer;

    fn writer(&self, mode: Mode) -> Result<Writer, CreateError> {
        Writer::new(*self, mode)
    }

    fn seal(&self, writer: Writer, table: &Table, root: NodeId) -> Result<Arc<Segment>, CreateError> {
        self.publish(writer.finish(table, root)?, table, None)
    }
}

impl Lease {
    /// Where the segment is.
    pub fn store(&self) -> Store {
        self.store
    }

    /// Whether this process made the segment. A forked child did not.
    pub(crate) fn is_maker(&self) -> bool {
        self.maker && self.forks >= fork::born()
    }

    /// So many bytes are held from now on, until they are given up.
    pub(crate) fn weigh(&self, len: u64) {
        self.store.0.weight.add(len);
    }

    /// The segment's file, opened again by name: a process keeps no descriptor per segment.
    pub(crate) fn file(&self, id: SegmentId) -> io::Result<File> {
        sys::open(&self.store.segment_path(id), false)
    }

    /// The last view went: leave the ledger, and collect the segment, at once if it is large.
    pub(crate) fn give_up(&mut self, id: SegmentId, len: u64) {
        self.store.0.weight.remove(len);
        self.store.count_last(id);
        let mut state = self.store.0.state.lock();
        let Some(&own) = self.slot.get() else {
            // No file, so there is nothing to collect.
            state.waiting.remove(&id);
            return;
        };
        let slot = match state.live.get(&id) {
            // Attached again while the last `Arc` was going: that one has an entry of its own.
            Some(live) if live.segment.strong_count() > 0 => own,
            Some(live) => {
                let slot = live.slot;
                state.live.remove(&id);
                slot
            }
            None => own,
        };
        if let Some(ledger) = &mut state.ledger {
            ledger.clear(slot);
        }
        // By a name that was freed and given again, the short cut would find the other, which somebody else holds.
        if self.maker && self.inode.is_none() && self.forks == fork::count() && collect::at_once(len) {
            drop(state);
            self.store.collect_unshared(id);
            return;
        }
        state.pending.push(id);
        let due = collect::at_once(len) || state.pending.len() >= collect::BATCH;
        drop(state);
        if due {
            self.store.collect_pending();
        }
    }
}
