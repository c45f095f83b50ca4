//! The bytes of a sealed segment in this process: a mapping, or a private copy where a mapping is not worth it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::Arc;

use memmap2::{Mmap, MmapMut, MmapOptions, MmapRaw};

use super::mapping::{self, Mapped};
use crate::{Mode, Payload, Table};

/// Up to this size a frozen segment is copied: a mapping costs more than the copy, and a process has only 65,530 of them.
pub(crate) const COPIED: u64 = 16 << 10;

pub(crate) enum Bytes {
    /// The whole file, copied.
    Copied(Lines),
    /// The whole file, read-only.
    Mapped(Mapped<Mmap>),
    /// The whole file, shared and writable.
    Live(Mapped<MmapRaw>),
    /// A draft's mapping of its payload, which begins at `base` in the file.
    Drafted { map: Mapped<MmapMut>, base: u64 },
}

impl Bytes {
    /// Of a sealed file of `len` bytes. `known`: the bytes, if the caller has them already.
    pub(crate) fn open(file: &File, len: u64, mode: Mode, known: Option<Lines>) -> io::Result<Bytes> {
        if mode == Mode::WriteThrough {
            mapping::must()?;
            return Ok(Bytes::Live(Mapped::new(MmapOptions::new().len(len as usize).map_raw(file)?, 0)));
        }
        if len <= COPIED || !mapping::is_worth(len) {
            return known.map_or_else(|| Self::copy(file, len), |known| Ok(Bytes::Copied(known)));
        }
        // SAFETY: a sealed frozen segment is not written; its file is private to this user (0600 in 0700), who could as well write to
        // our memory. Of a file cut short under the mapping `cut` speaks.
        match unsafe { MmapOptions::new().len(len as usize).map(file) } {
            Ok(map) => Ok(Bytes::Mapped(Mapped::new(map, 0))),
            // Out of mappings or address space: bytes on the heap are the same thing.
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => Self::copy(file, len),
            Err(e) => Err(e),
        }
    }

    fn copy(file: &File, len: u64) -> io::Result<Bytes> {
        let mut lines = Lines::zeroed(len as usize)?;
        file.read_exact_at(lines.bytes_mut(), 0)?;
        Ok(Bytes::Copied(lines))
    }

    /// Where a payload begins. Its range was checked against the file's length; an empty one points to no bytes.
    pub(crate) fn at(&self, payload: Payload) -> *const u8 {
        if payload.len == 0 {
            return NonNull::<Line>::dangling().as_ptr().cast();
        }
        let (start, base) = match self {
            Bytes::Copied(lines) => (lines.pointer().cast_const(), 0),
            Bytes::Mapped(map) => (map.as_ptr(), 0),
            Bytes::Live(map) => (map.as_ptr(), 0),
            Bytes::Drafted { map, base } => (map.as_ptr(), *base),
        };
        start.wrapping_add((payload.offset - base) as usize)
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Bytes::Live(_))
    }

    pub(crate) fn copied(&self) -> Option<&[u8]> {
        if let Bytes::Copied(lines) = self { Some(lines.bytes()) } else { None }
    }

    /// Tells what is in it, for what can be told if the file is cut.
    pub(crate) fn describe(&self, table: &Arc<Table>) {
        match self {
            Bytes::Copied(_) => {}
            Bytes::Mapped(map) => map.describe(table),
            Bytes::Live(map) => map.describe(table),
            Bytes::Drafted { map, .. } => map.describe(table),
        }
    }

    /// Whether bytes were found missing.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Bytes::Copied(_) => false,
            Bytes::Mapped(map) => map.is_lost(),
            Bytes::Live(map) => map.is_lost(),
            Bytes::Drafted { map, .. } => map.is_lost(),
        }
    }

    pub(crate) fn is_mapped(&self) -> bool {
        !matches!(self, Bytes::Copied(_))
    }
}

/// A line of memory: gives a copied segment the alignment its format promises.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "read through pointers to the bytes")] [u8; 64]);

/// Bytes aligned to 64. Held by a raw pointer, because an overlay's bytes are written through one.
pub(crate) struct Lines {
    start: NonNull<Line>,
    lines: usize,
    len: usize,
}

// SAFETY: it owns its memory alone, like the boxed slice it is made of.
unsafe impl Send for Lines {}
// SAFETY: as above; whoever writes through `pointer` answers for it.
unsafe impl Sync for Lines {}

impl Lines {
    /// `len` zero bytes; an error rather than an abort if memory is short.
    pub(crate) fn zeroed(len: usize) -> io::Result<Lines> {
        let mut vec = Vec::new();
        let lines = len.div_ceil(64);
        vec.try_reserve_exact(lines).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        vec.resize(lines, Line([0; 64]));
        let start = NonNull::from(Box::leak(vec.into_boxed_slice())).cast();
        Ok(Lines { start, lines, len })
    }

    pub(crate) fn copied(bytes: &[u8]) -> io::Result<Lines> {
        let mut lines = Lines::zeroed(bytes.len())?;
        lines.bytes_mut().copy_from_slice(bytes);
        Ok(lines)
    }

    pub(crate) fn pointer(&self) -> *mut u8 {
        self.start.as_ptr().cast()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: at least `len` initialised bytes are ours.
        unsafe { std::slice::from_raw_parts(self.pointer(), self.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and we are borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.pointer(), self.len) }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let slice = std::ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.lines);
        // SAFETY: `zeroed` leaked a box of exactly this slice.
        drop(unsafe { Box::from_raw(slice) });
    }
}
