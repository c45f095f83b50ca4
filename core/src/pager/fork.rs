//! A fork: the child gets the areas as they are, and faults of its own.
//!
//! - Before it we wait for the generator that runs, and take the lock: the child inherits nothing halfway. The hooks of the stores run after
//!   ours (they are registered before): a generator may wait for a lock of theirs.
//! - The child's pages lose their protection, and so get it anew. What the parent writes afterwards the child does not see, nor the other way
//!   round: what was spilled before is read by both and written by neither.
//! - Threads that wait for a page exist in the parent only.

use std::cell::RefCell;
use std::sync::{MutexGuard, Once};

use super::state::{self, Guard, Pager};
use super::uffd::Uffd;
use super::{spill, thread};

thread_local! {
    /// The hooks of a fork run on the thread that forks, in the child too.
    static HELD: RefCell<Option<(Option<MutexGuard<'static, ()>>, Guard)>> = const { RefCell::new(None) };
}

/// Registers the hooks, once a process; a forked child has them by inheritance.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        crate::store::install_fork_hooks();
        // SAFETY: the functions live as long as the process: the library is linked `nodelete`.
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    });
}

extern "C" fn prepare() {
    let turn = thread::wait_for_turn();
    let pager = state::lock();
    spill::forked();
    HELD.set(Some((turn, pager)));
}

extern "C" fn parent() {
    HELD.take();
}

extern "C" fn child() {
    let Some((turn, mut pager)) = HELD.take() else { return };
    state::nobody_waits(&mut pager);
    thread::is_no_more();
    // The parent's: what is done to it is done to the parent.
    if let Some(parents) = pager.uffd.take() {
        parents.close();
    }
    if let Err(why) = revive(&mut pager) {
        for region in pager.regions.values_mut() {
            // Untouched pages would be zeros.
            region.space.close();
            region.dead = Some(format!("a forked process got no pages that are made on first touch ({why})"));
        }
    }
    drop((pager, turn));
}

/// Gives the areas faults of this process.
fn revive(pager: &mut Pager) -> Result<(), String> {
    if pager.regions.is_empty() {
        return Ok(());
    }
    let (uffd, _) = Uffd::open()?;
    let all = pager.regions.values_mut().filter(|region| region.dead.is_none()).try_for_each(|region| {
        uffd.register(region.space.start(), region.space.len())?;
        if region.blocks.is_empty() {
            return Ok(());
        }
        region.blocks.values_mut().for_each(|block| block.protected = block.written);
        uffd.protect(region.space.start(), region.space.len(), true)
    });
    match all.and_then(|()| thread::start(uffd)) {
        Ok(()) => {
            pager.uffd = Some(uffd);
            Ok(())
        }
        Err(e) => {
            uffd.close();
            Err(e.to_string())
        }
    }
}
