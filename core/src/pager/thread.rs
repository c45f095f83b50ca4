//! The thread that makes pages: one for all areas of the process.
//!
//! - It runs generators without the lock, so that one of them may read another area ([`super::Area::read`]), make one or drop one, and so that
//!   nobody who takes the lock waits for it. A fork waits for [`TURN`]: the child inherits no generator that is amid its work.
//! - It touches no page of an area but those it knows to be there.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{cell::Cell, io, thread};

use super::PAGE;
use super::ahead::{MOST, Step};
use super::generator::FillError;
use super::nearby::Nearby;
use super::snapshot::View;
use super::state::{self, GONE, PAGER};
use super::store;
use super::uffd::{Fault, Message, Uffd};
use crate::lock::Lock;

/// Held by the pager's thread while it serves a fault.
static TURN: Lock<()> = Lock::new(());

thread_local! {
    static IS_PAGER: Cell<bool> = const { Cell::new(false) };
}

/// How long it looks for the next fault before it sleeps: waking it takes longer than most faults that follow one another are apart.
const ALERT: Duration = Duration::from_micros(50);
/// How long a fault waits that found no memory, before it is tried again.
const NO_MEMORY: Duration = Duration::from_millis(1);

/// Starts it. No signal is ever handled there.
pub(super) fn start(uffd: Uffd) -> io::Result<()> {
    let before = block_signals();
    let started = thread::Builder::new().name("cowshed-pager".into()).spawn(move || run(uffd));
    // SAFETY: the set is the one that this thread had.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    started.map(drop)
}

/// Blocks all signals of this thread, and says which were.
fn block_signals() -> libc::sigset_t {
    let mut all = std::mem::MaybeUninit::uninit();
    let mut before = std::mem::MaybeUninit::uninit();
    // SAFETY: sigfillset(3) initialises the first set, and pthread_sigmask(3), which cannot fail with these arguments, the second.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

/// Waits until no fault is being served, and keeps it so; `None` on the pager's own thread, whose generator forks.
pub(super) fn wait_for_turn() -> Option<MutexGuard<'static, ()>> {
    (!IS_PAGER.get()).then(|| state::come(|| TURN.lock()))
}

/// In a forked child, whose only thread was perhaps forked by a generator.
pub(super) fn is_no_more() {
    IS_PAGER.set(false);
}

fn run(uffd: Uffd) {
    IS_PAGER.set(true);
    let mut scratch = vec![0; (MOST + 1) * PAGE];
    let aligned = scratch.as_ptr().align_offset(PAGE);
    let scratch = &mut scratch[aligned..aligned + MOST * PAGE];
    let mut messages = [Message::default(); 16];
    let (mut last, mut nearby) = (Instant::now(), Nearby::new());
    loop {
        let gone = GONE.load(Ordering::SeqCst);
        let n = uffd.read(&mut messages);
        for fault in messages[..n].iter().filter_map(Message::fault) {
            nearby.follow(fault.thread);
            state::let_others_pass();
            let _turn = TURN.lock();
            nearby.wake_here(|| serve(uffd, fault, gone, scratch, &nearby));
        }
        if n > 0 {
            last = Instant::now();
        } else if last.elapsed() < ALERT {
            // Whoever was woken may be waiting for this very processor.
            thread::yield_now();
        } else {
            uffd.wait();
            last = Instant::now();
        }
    }
}

/// Serves a fault that was read when as many areas were `gone`.
fn serve(uffd: Uffd, fault: Fault, gone: u64, scratch: &mut [u8], nearby: &Nearby) {
    let address = fault.address / PAGE * PAGE;
    // Before anybody is woken: while the other processors rest, protecting pages is cheap.
    let mut pager = PAGER.lock();
    if pager.written.pages > pager.most_written {
        pager = nearby.free(|| store::trim_written(pager));
    }
    let (start, kept) = (pager.start_of(address), pager.most_clean);
    let region = start.and_then(|start| pager.regions.get_mut(&start));
    let Some(region) = region.filter(|_| GONE.load(Ordering::SeqCst) == gone) else {
        // Whoever still waits there says so again.
        return uffd.wake(address, PAGE);
    };
    let (id, start, page) = (region.id, region.space.start(), (address - region.space.start()) / PAGE);
    if region.is_present(page) {
        // Made or protected since, for another fault.
        if fault.write { pager.let_write(start, page) } else { uffd.wake(address, PAGE) }
    } else if fault.protected {
        // Given back since: it comes again, as one of a page that is not there.
        return uffd.wake(address, PAGE);
    } else {
        let Step { make: window, leave } = region.streams.next(page, region.pages(), kept);
        let absent = region.absent(window.clone());
        let view = region.view.clone();
        pager.filling = Some(id);
        drop(pager);
        let (made, failed) = nearby.free(|| make(&view, &absent, page, scratch, window.start));
        // Its generator's last owner is never this thread.
        drop(view);
        pager = PAGER.lock();
        pager.filling = None;
        pager.returned();
        let written = fault.write.then_some(page);
        for run in &made {
            let bytes = &scratch[(run.start - window.start) * PAGE..(run.end - window.start) * PAGE];
            pager.place(start, run, bytes, written, false);
        }
        if let Some(region) = pager.regions.get_mut(&start) {
            region.failure = region.failure.take().or(failed);
        }
        let placed = pager.regions.get(&start).is_some_and(|region| region.is_present(page));
        if !placed {
            // Nobody waits for what is there.
            pager.trim_clean_to(0);
            drop(pager);
            thread::sleep(NO_MEMORY);
            return uffd.wake(address, PAGE);
        }
        uffd.wake(start + window.start * PAGE, window.len() * PAGE);
        if !leave.is_empty() {
            pager.discard(start, leave);
        }
    }
    pager.trim_clean();
}

/// Makes pages into `scratch`, which begins with page `first`; only the one that is waited for, as missing values if need be, when a generator
/// fails. Which were made, and why it failed.
fn make(
    view: &View,
    pages: &[Range<usize>],
    wanted: usize,
    scratch: &mut [u8],
    first: usize,
) -> (Vec<Range<usize>>, Option<String>) {
    let mut fill = |run: &Range<usize>| {
        let bytes = &mut scratch[(run.start - first) * PAGE..(run.end - first) * PAGE];
        caught(|| view.fill_pages(run.start * PAGE, bytes))
    };
    if pages.iter().try_for_each(&mut fill).is_ok() {
        return (pages.to_vec(), None);
    }
    let page = wanted..wanted + 1;
    let failed = fill(&page).err();
    if failed.is_some() {
        let bytes = &mut scratch[(wanted - first) * PAGE..(wanted + 1 - first) * PAGE];
        let len = view.shape.bytes().unwrap_or(0).saturating_sub(wanted * PAGE).min(PAGE);
        bytes.fill(0);
        view.shape.fill_missing(wanted * PAGE, &mut bytes[..len]);
    }
    (vec![page], failed.map(|e| e.to_string()))
}

/// Runs what another wrote. A panic is a failure.
pub(super) fn caught<T>(f: impl FnOnce() -> Result<T, FillError>) -> Result<T, FillError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(FillError::Failed(text.unwrap_or_else(|| "its generator panicked".into())))
    })
}
