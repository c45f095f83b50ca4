//! A directory of cached objects: `.RData` (the *image*) and a file for each object that is not in it.
//!
//! - An object's file has a number. A file that a saved image refers to is never overwritten, and goes only when a later image is in place.
//! - [`commit`](Caches::commit) is one rename of the image. What comes before it changes nothing that anybody reads; what comes after it only tidies.
//! - A session (a process) has a *ledger* in the directory: the numbers that it may still read. Its lock says that it lives: it is held from before the
//!   name exists until the process is gone, however that happens.
//! - Everything that looks at numbers and then acts holds the directory's lock.
//!
//! Nothing here knows what is in the files: R writes and reads them.
//!
//! ```
//! # use cowshed_cache::{Caches, Kind, Place};
//! # let dir = std::env::temp_dir().join(format!("cowshed-cache-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir).unwrap();
//! let place = Place::new(&dir, true);
//! let mut caches = Caches::default();
//! let file = caches.new_file(&place).unwrap();
//! std::fs::write(&file, "an object").unwrap();
//! let numbers = caches.number(&place, &[(file, Kind::Rda)]).unwrap();
//! assert_eq!(caches.locate(&place, &numbers).unwrap(), [Some(dir.join("mlazy/obj1.rda"))]);
//! # std::fs::remove_dir_all(&dir).unwrap();
//! ```

#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod caches;
mod error;
mod files;
mod image;
mod ledger;
mod lock;
mod place;
mod tidy;

pub use caches::Caches;
pub use error::CacheError;
pub use files::{have_same_bytes, sync_file};
pub use image::{Commit, Committed, Stamp, new_image, stamp};
pub use place::{Kind, Place};
