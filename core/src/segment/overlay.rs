//! A view's own private bytes over a frozen payload, for whoever asks for a writable pointer.
//!
//! - A large payload is mapped privately: handing out the pointer costs a system call, a write costs the page it falls on.
//! - A small one is copied. One that others write is mapped whatever its size: until it is written here it must show what they write.
//! - [`Overlay::dirty`] tells what was written, exactly: by the kernel's page map, or by comparing where that cannot be read.

use std::fs::File;
use std::io;

use memmap2::{MmapMut, MmapOptions};

use super::over::Noted;
use super::{Lines, Mapped, Segment, mapping, pages};
use crate::{Mode, Payload};

/// From this size an overlay is a private mapping rather than a copy: measured, the two cost the same near 20 KB.
const MAPPED: u64 = 64 << 10;

/// Private bytes of one view, which begin as those of the payload.
pub struct Overlay {
    /// Forgotten before the bytes go.
    _noted: Noted,
    inner: Inner,
}

enum Inner {
    Mapped(Mapped<MmapMut>),
    Copied(Lines),
}

impl Overlay {
    /// Over `payload` of a segment.
    ///
    /// # Errors
    /// Neither a mapping nor memory for a copy is to be had.
    pub fn new(segment: &Segment, payload: Payload) -> io::Result<Overlay> {
        let live = segment.mode() == Mode::WriteThrough;
        if (payload.len >= MAPPED && mapping::is_worth(payload.len) || live) && segment.is_mapped() {
            if let Some(overlay) = segment.file().map(|f| map(&f, segment, payload)) {
                match overlay {
                    // No mappings or address space left: a copy is the same thing.
                    Err(e) if e.raw_os_error() == Some(libc::ENOMEM) => {}
                    other => return other,
                }
            }
        }
        // Without a name there is no file to map again; the bytes are still there to copy.
        let lines = Lines::zeroed(payload.len as usize)?;
        // SAFETY: both have as many bytes, and the new ones are nobody else's. By pointers: a write-through payload may change meanwhile.
        unsafe { std::ptr::copy_nonoverlapping(segment.payload(payload), lines.pointer(), payload.len as usize) };
        Ok(Self::noted(segment, Inner::Copied(lines)))
    }

    fn noted(segment: &Segment, inner: Inner) -> Overlay {
        let (start, len, mapped) = match &inner {
            Inner::Mapped(map) => (map.as_ptr(), map.len(), true),
            Inner::Copied(lines) => (lines.pointer().cast_const(), lines.bytes().len(), false),
        };
        Overlay { _noted: Noted::new(segment.id(), start, len, mapped), inner }
    }

    /// Where its bytes are; valid while it lives.
    pub fn pointer(&self) -> *mut u8 {
        match &self.inner {
            Inner::Mapped(map) => map.as_ptr().cast_mut(),
            Inner::Copied(lines) => lines.pointer(),
        }
    }

    /// Whether bytes under it were found missing, because the segment's file was cut.
    pub fn is_lost(&self) -> bool {
        matches!(&self.inner, Inner::Mapped(map) if map.is_lost())
    }

    /// Whether making it copied all bytes.
    pub fn is_copy(&self) -> bool {
        matches!(self.inner, Inner::Copied(_))
    }

    /// Whether anything differs from `frozen`, the payload it lies over.
    pub fn dirty(&self, frozen: &[u8]) -> bool {
        match self.pages_written() {
            Some(pages) => pages > 0,
            None => self.bytes() != frozen,
        }
    }

    /// How many pages are private to this view because they were written; `None` where the kernel does not tell.
    pub fn pages_written(&self) -> Option<u64> {
        match &self.inner {
            Inner::Mapped(map) => {
                pages::private(map.as_ptr(), map.len()).ok().map(|runs| runs.iter().map(|r| r.pages).sum())
            }
            Inner::Copied(_) => None,
        }
    }

    /// Makes every page private, those not written too: from here on it shows nobody else's writes. Its address stays.
    pub fn detach(&self) {
        let Inner::Mapped(map) = &self.inner else { return };
        let (start, len) = (self.pointer(), map.len());
        for at in (0..len).step_by(pages::SIZE).chain(len.checked_sub(1)) {
            // SAFETY: within the mapping. What is written is what is there, to this process's own page.
            unsafe {
                let byte = start.add(at);
                byte.write_volatile(byte.read_volatile());
            }
        }
    }

    /// Another overlay with the same bytes: only the pages written are copied. `None` if copying everything is the better way.
    pub fn fork(&self, segment: &Segment, payload: Payload) -> Option<Overlay> {
        let Inner::Mapped(map) = &self.inner else { return None };
        let runs = pages::private(map.as_ptr(), map.len()).ok()?;
        let written: u64 = runs.iter().map(|r| r.pages).sum();
        let other = Overlay::new(segment, payload).ok().filter(|o| !o.is_copy())?;
        if written * pages::SIZE as u64 * 4 > payload.len {
            return None;
        }
        for run in runs {
            let range = run.range(map.as_ptr(), map.len());
            // SAFETY: both mappings are as long as the payload, the range lies within, and they do not overlap.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    map.as_ptr().add(range.start),
                    other.pointer().add(range.start),
                    range.len(),
                );
            }
        }
        Some(other)
    }

    fn bytes(&self) -> &[u8] {
        match &self.inner {
            Inner::Mapped(map) => map,
            Inner::Copied(lines) => lines.bytes(),
        }
    }
}

fn map(file: &File, segment: &Segment, payload: Payload) -> io::Result<Overlay> {
    let mut options = MmapOptions::new();
    // Untouched pages are the file's own: they need no swap reserved, and a matrix larger than memory can be mapped.
    options.offset(payload.offset).len(payload.len as usize).no_reserve_swap();
    // SAFETY: a private mapping of a sealed segment. Its pages that are not written stay as they are if it is frozen; if it is not, whoever
    // reads them expects what others write, and goes by pointers.
    let map = unsafe { options.map_copy(file) }?;
    let map = Mapped::new(map, payload.offset);
    map.describe(&segment.table);
    Ok(Overlay::noted(segment, Inner::Mapped(map)))
}
