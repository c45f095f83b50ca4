//! Objects kept once per machine: sealed shared-memory segments, the leases that keep them alive, and the dispatch that
//! decides how a value is written into one.
//!
//! This crate knows nothing of R. A host language implements [`Host`]; each kind of value implements [`Shareable`].
//!
//! Reading order: [`share`] and [`open`] are the two verbs. `share` asks a [`Registry`] for the strategy that claims a
//! value, the strategy describes the value to an [`Encoder`], and the [`Backing`] seals what was written into a
//! [`Segment`]. `open` walks the node table of a segment and lets each strategy make a value again.
//!
//! - The file format: `docs/format.md`, coded in `format`.
//! - Who holds a segment, and when it goes: `docs/lifetime.md`, coded in `store`. Those that stay, in files of their own: `stored`.
//! - What is made once per machine, by whoever comes first: `docs/run-once.md`, coded in `once`.
//!
//! ```
//! use cowshed_core::{Heap, fake::{Fake, Value, registry}, open, share, Flags};
//!
//! let host = Fake::default();
//! let value = host.numbers(&[1.0, 2.0, 3.0]);
//! let segment = share(&host, registry(), &Heap, value, Flags::default())?;
//! assert_eq!(host.show(open(&host, registry(), &segment, segment.root())?), "[1, 2, 3]");
//! # Ok::<(), cowshed_core::fake::FakeError>(())
//! ```

mod address;
mod dispatch;
mod encode;
mod error;
pub mod fake;
mod flags;
mod format;
mod headroom;
mod host;
mod id;
mod interrupts;
mod lock;
mod machine;
mod npy;
mod once;
mod open;
mod pager;
mod segment;
mod sockets;
mod store;
mod stored;
mod sys;

pub use address::{AddressHasher, ByAddress};
pub use dispatch::Registry;
pub use encode::{Encoder, share, write};
pub use error::{AllocateError, AttachError, CreateError, DispatchError, FormatError, Kind, NameError, StoreError};
pub use flags::Flags;
pub use format::{Checksums, Control, DEEPEST, Facts, Header, Mode, Node, NodeId, Payload, Sent, TICKET_SLOTS, Table};
pub use host::{Claim, Host, Shareable};
pub use id::{SegmentId, Ticket};
pub use interrupts::{forget_interrupts, put_off_interrupts};
pub use machine::Machine;
pub use npy::{Dtype, Npy};
pub use once::{Freed, Maker, NewArray, Once, OnceEntry, OnceError, OnceLock, Turn, open_found, valid_id};
pub use open::{Opener, open};
pub use pager::{
    Area, FillError, Generator, PagerError, PagerLimits, Shape, Shared, Snapshot, kernel_faults, pager_available,
    set_pager_enabled, set_pager_limits,
};
pub use segment::{Backing, Draft, Heap, Overlay, PrivateFile, Segment, Sink, Writer, any_lost, bytes_over, when_cut};
pub use sockets::send_at_once;
pub use store::{
    About, Card, Footprint, Holding, Listed, Name, Reported, Store, Waiting, check_memory_name, default_store_path,
    usual_store_path, when_full,
};
pub use stored::{
    ARRAY_STRATEGY, Place, Stored, StoredError, Verified, open_stored, remove_stored, same_stored, verify_stored,
};
