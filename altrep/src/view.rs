//! What stands behind a shared vector: where its bytes are, and what has been written over them.
//!
//! - A view belongs to an external pointer, which is the ALTREP object's `data1`. A write-through alias has the same one.
//! - Flags are not here: they belong to the R object (`data2`), and every method that depends on them is told.
//! - Reading goes through one pointer, `data`. It changes when an overlay is made (a private mapping, for a writable pointer).
//!
//! | source | read | writable pointer | after a write |
//! |---|---|---|---|
//! | frozen segment | its one mapping | an overlay of this view's own | not shared; travels by value |
//! | write-through segment, copyOnWrite = FALSE | the live bytes | the live bytes | everybody sees it |
//! | write-through segment, copyOnWrite = TRUE | the live bytes | an overlay | not shared, shows no later writes of others |
//! | draft | its mapping | its mapping | sealed at its first export |
//! | broken | an error each time | an error | |
//! | lost: its file was cut | missing values, then an error each time | an error | |
//!
//! The overlay of the third row shows what others write as long as only reading code has its pointer. R's own assignments duplicate first, in
//! full; a write in place, by C code that should not, makes all pages private once `changed` sees it, until then only those it fell on.

use std::cell::{Cell, OnceCell, RefCell};
use std::ptr::{null, null_mut};

use cowshed_core::{Draft, Facts, Flags, Overlay, any_lost};

use crate::boundary::{Failure, Result};
use crate::span::Span;
use crate::strings;
use crate::text::Text;

/// Elements of a segment, seen by one R object (and its write-through aliases).
pub(crate) struct View {
    source: RefCell<Source>,
    /// In elements.
    len: usize,
    /// Where reading begins; null if broken.
    data: Cell<*const u8>,
    /// Where whoever asks for a writable pointer writes, whatever the flags; null as long as that has to be found out.
    writable: Cell<*mut u8>,
    /// Where those write who write through; null if nobody may.
    live: *mut u8,
    overlay: RefCell<Option<Box<Overlay>>>,
    /// Of a character vector only.
    strings: Option<Box<Strings>>,
    /// Whether somebody could have written to the plain vector or list that a character vector, or a list, reads from.
    touched: Cell<bool>,
    /// Whether `data` of a list has all elements, and not only those that were looked at.
    whole: Cell<bool>,
}

/// What a character vector's view has beside: its parts in the segment, and how far they were looked at.
///
/// `data` is null until all elements are in one plain R vector.
#[derive(Default)]
struct Strings {
    /// `None` as long as it is loose; with the first element within it.
    text: OnceCell<(Text, usize)>,
    /// Elements looked at, repeats counted.
    scanned: Cell<usize>,
}

pub(crate) enum Source {
    Segment(Span),
    Draft(Box<Draft>),
    Broken(Box<Broken>),
    /// Strings that only this process's R has yet: they are sealed when they are first sent.
    Loose,
}

/// A reference that could not be attached.
pub(crate) struct Broken {
    /// Its bytes, so that it can be passed on.
    pub(crate) reference: Vec<u8>,
    /// Why.
    pub(crate) class: &'static str,
    message: String,
}

// A list of ten thousand has as many.
const _: () = assert!(size_of::<View>() <= 120);

impl View {
    pub(crate) fn new(span: Span, len: usize) -> View {
        let data = Cell::new(span.segment.payload(span.payload));
        let live = span.segment.payload_mut(span.payload).unwrap_or(null_mut());
        View { live, ..Self::with(Source::Segment(span), len, data) }
    }

    fn with(source: Source, len: usize, data: Cell<*const u8>) -> View {
        let writable = Cell::new(null_mut());
        View {
            source: RefCell::new(source),
            len,
            data,
            writable,
            live: null_mut(),
            overlay: RefCell::default(),
            strings: None,
            touched: Cell::new(false),
            whole: Cell::new(false),
        }
    }

    /// Of a character vector.
    pub(crate) fn of_text(span: Span, text: Text, len: usize) -> View {
        let strings = Strings { text: OnceCell::from((text, span.start as usize)), ..Strings::default() };
        View { strings: Some(Box::new(strings)), ..Self::with(Source::Segment(span), len, Cell::new(null())) }
    }

    /// Of a list: its elements are made elsewhere.
    pub(crate) fn of_list(span: Span, len: usize) -> View {
        Self::with(Source::Segment(span), len, Cell::new(null()))
    }

    /// Of a character vector that is in no segment yet.
    pub(crate) fn loose(len: usize) -> View {
        View { strings: Some(Box::default()), ..Self::with(Source::Loose, len, Cell::new(null())) }
    }

    pub(crate) fn draft(draft: Draft, len: usize) -> View {
        let pointer = draft.pointer();
        let view = Self::with(Source::Draft(draft.into()), len, Cell::new(pointer.cast_const()));
        view.writable.set(pointer);
        view
    }

    pub(crate) fn broken(reference: Vec<u8>, len: usize, class: &'static str, message: String) -> View {
        Self::with(Source::Broken(Broken { reference, class, message }.into()), len, Cell::new(null()))
    }

    /// With private bytes already over it.
    fn overlaid(span: Span, len: usize, overlay: Overlay) -> View {
        let view = View::new(span, len);
        view.put(overlay);
        view
    }

    /// In elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where its bytes are to be read; null if it is broken or lost.
    #[inline]
    pub(crate) fn data(&self) -> *const u8 {
        if self.has_lost_its_bytes() { null() } else { self.data.get() }
    }

    /// The same where [`View::is_lost`] is asked after the reading.
    #[inline]
    pub(crate) fn data_unheeded(&self) -> *const u8 {
        self.data.get()
    }

    /// An error if it is broken or lost.
    pub(crate) fn check(&self) -> Result<()> {
        let broken = matches!(&*self.source.borrow(), Source::Broken(_));
        if broken || self.is_lost() { Err(self.failure()) } else { Ok(()) }
    }

    /// Whether the file it reads was found cut, perhaps by the reading just done.
    #[inline]
    pub(crate) fn is_lost(&self) -> bool {
        any_lost() && self.look_for_loss()
    }

    #[cold]
    fn look_for_loss(&self) -> bool {
        self.overlay.borrow().as_ref().is_some_and(|overlay| overlay.is_lost())
            || matches!(&*self.source.borrow(), Source::Segment(span) if span.segment.is_lost())
    }

    /// Whether it is lost, and its pointers are to what was: then nobody is given one any more. Those of strings and lists are into R's own memory.
    #[inline]
    fn has_lost_its_bytes(&self) -> bool {
        self.is_lost() && self.strings.is_none() && self.reads_bytes()
    }

    #[cold]
    fn reads_bytes(&self) -> bool {
        matches!(&*self.source.borrow(), Source::Segment(span) if span.payload.len > 0)
    }

    /// A character vector's parts, and its first element within them.
    pub(crate) fn text(&self) -> Result<(Text, usize)> {
        self.text_or_none().copied().ok_or_else(|| self.failure())
    }

    /// The same; `None` if it has none: loose, broken, or not a character vector.
    #[inline]
    pub(crate) fn text_or_none(&self) -> Option<&(Text, usize)> {
        let text = self.strings.as_ref()?.text.get();
        if self.is_lost() { None } else { text }
    }

    /// Counts elements of a character vector that were looked at; whether that is about a whole scan by now.
    pub(crate) fn scanned(&self, elements: usize) -> bool {
        self.strings.as_ref().is_some_and(|s| {
            s.scanned.set(s.scanned.get() + elements);
            s.scanned.get() >= self.len
        })
    }

    /// Reading begins at `data` from now on: the elements of a plain R vector that the external pointer keeps.
    pub(crate) fn point_to(&self, data: *const u8) {
        self.data.set(data);
    }

    /// Whether all elements of a list are at `data`.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.whole.get()
    }

    pub(crate) fn set_whole(&self) {
        self.whole.set(true);
    }

    /// Somebody may write to the plain vector from now on.
    pub(crate) fn touch(&self) {
        self.touched.set(true);
    }

    /// A loose character vector was written to a segment: it reads that from now on.
    pub(crate) fn settle(&self, span: Span, text: Text) {
        let start = span.start as usize;
        self.source.replace(Source::Segment(span));
        if let Some(s) = &self.strings {
            // It was loose, so it had none.
            let _ = s.text.set((text, start));
            self.touched.set(false);
        }
    }

    /// The same as an error, for the paths that are not hot.
    pub(crate) fn read(&self) -> Result<*const u8> {
        if self.data().is_null() { Err(self.failure()) } else { Ok(self.data()) }
    }

    /// Why it cannot be read.
    #[cold]
    pub(crate) fn failure(&self) -> Failure {
        match &*self.source.borrow() {
            Source::Broken(broken) => Failure::new(broken.class, broken.message.clone()),
            Source::Segment(span) if self.is_lost() => Failure::new(
                "corrupt",
                format!(
                    "the file of segment {} was cut short while this process had it open, and its data are lost: what was read of them since is \
                     missing values; share the object again",
                    span.segment.id()
                ),
            ),
            // Only a broken view has no data.
            _ => Failure::new("internal", "cowshed has a bug: a view without data is not broken"),
        }
    }

    pub(crate) fn source(&self) -> std::cell::Ref<'_, Source> {
        self.source.borrow()
    }

    /// The segment and range it reads, if it does.
    pub(crate) fn span(&self) -> Option<Span> {
        match &*self.source.borrow() {
            Source::Segment(span) => Some(span.clone()),
            _ => None,
        }
    }

    /// Whether it writes through to everybody under `flags`.
    pub(crate) fn writes_through(&self, flags: Flags) -> bool {
        let live = matches!(&*self.source.borrow(), Source::Segment(span) if !span.frozen());
        live && !flags.contains(Flags::COPY_ON_WRITE)
    }

    /// What [`View::writable`] gives, if that was found out before; else null. R's `t()` asks once an element.
    #[inline]
    pub(crate) fn writable_known(&self) -> *mut u8 {
        if self.has_lost_its_bytes() { null_mut() } else { self.writable.get() }
    }

    /// Where those write who write through; null if nobody may.
    #[inline]
    pub(crate) fn live(&self) -> *mut u8 {
        if self.has_lost_its_bytes() { null_mut() } else { self.live }
    }

    /// The same elements as they are now, with private bytes over them. Only of what reads a segment.
    pub(crate) fn privately(&self) -> Result<View> {
        self.check()?;
        let span = self.span().ok_or_else(|| self.failure())?;
        let overlay = overlay(&span)?;
        Ok(Self::overlaid(span, self.len, overlay))
    }

    /// A pointer that may be written; what that means is the table above. Costs a system call at the most, and copies only few bytes.
    pub(crate) fn writable(&self, flags: Flags) -> Result<*mut u8> {
        self.check()?;
        if let Some(overlay) = &*self.overlay.borrow() {
            return Ok(overlay.pointer());
        }
        let span = match &*self.source.borrow() {
            Source::Draft(draft) => return Ok(draft.pointer()),
            Source::Segment(span) => span.clone(),
            Source::Broken(_) | Source::Loose => return Err(self.failure()),
        };
        if self.len == 0 {
            return Ok(self.data().cast_mut());
        }
        if !flags.contains(Flags::COPY_ON_WRITE) && !self.live().is_null() {
            return Ok(self.live());
        }
        let overlay = overlay(&span)?;
        let pointer = overlay.pointer();
        self.put(overlay);
        // Making it may have read what was cut.
        self.check()?;
        Ok(pointer)
    }

    fn put(&self, overlay: Overlay) {
        self.data.set(overlay.pointer().cast_const());
        self.writable.set(overlay.pointer());
        self.overlay.replace(Some(overlay.into()));
    }

    /// Whether its bytes are no longer those of its segment.
    pub(crate) fn changed(&self) -> bool {
        if let Some(strings) = &self.strings {
            let text = strings.text.get().filter(|_| self.touched.get());
            return text.is_some_and(|(text, start)| strings::differ(self.data(), text, *start, self.len));
        }
        match (&*self.overlay.borrow(), &*self.source.borrow()) {
            (Some(overlay), Source::Segment(span)) => match span.segment.frozen(span.payload) {
                Some(frozen) => overlay.dirty(frozen),
                None => {
                    let changed = overlay.pages_written().is_none_or(|pages| pages > 0);
                    if changed {
                        overlay.detach();
                    }
                    changed
                }
            },
            _ => false,
        }
    }

    /// Whether its data are in shared memory and unchanged.
    pub(crate) fn is_shared(&self) -> bool {
        self.check().is_ok() && !self.changed()
    }

    /// Bytes that this view alone has because they were written, or had to be copied.
    pub(crate) fn private_bytes(&self) -> u64 {
        match (&*self.overlay.borrow(), &*self.source.borrow()) {
            (Some(overlay), Source::Segment(span)) if overlay.is_copy() => span.payload.len,
            (Some(overlay), _) => overlay.pages_written().unwrap_or(0) * 4096,
            _ => 0,
        }
    }

    /// Facts of its node, as long as nothing can have changed them.
    pub(crate) fn facts(&self) -> Facts {
        match &*self.source.borrow() {
            Source::Segment(span) if span.frozen() && self.overlay.borrow().is_none() && !self.is_touched() => {
                span.segment.table().node(span.node).facts
            }
            _ => Facts::empty(),
        }
    }

    /// Whether somebody could have written to what it reads from.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched.get()
    }

    /// A duplicate that costs pages, not a copy: a view of the same bytes with an overlay of its own. `None` where a plain copy is
    /// the better way (few bytes, much written) or the only exact one (others write the segment).
    pub(crate) fn duplicate(&self) -> Option<View> {
        let span = self.span().filter(|span| span.frozen() && span.segment.is_mapped() && !self.is_lost())?;
        let overlay = match &*self.overlay.borrow() {
            Some(own) => own.fork(&span.segment, span.payload)?,
            None => Overlay::new(&span.segment, span.payload).ok().filter(|o| !o.is_copy())?,
        };
        Some(View::overlaid(span, self.len, overlay))
    }

    /// A window on `len` of its elements of `size` bytes from `start` on, if they are frozen and as they were shared.
    pub(crate) fn window(&self, start: usize, len: usize, size: usize) -> Option<View> {
        let span = self.span().filter(|span| span.frozen() && self.is_shared())?;
        let window = Span::new(&span.segment, span.node, span.start + start as u64, len as u64, size)?;
        Some(View::new(window, len))
    }

    /// Another view of the same unchanged elements, with nothing private over them; `None` for a draft, and for what was changed.
    pub(crate) fn again(&self) -> Option<View> {
        let span = self.span().filter(|_| self.is_shared())?;
        Some(match self.strings.as_ref().and_then(|s| s.text.get()) {
            Some((text, _)) => View::of_text(span, *text, self.len),
            None => View::new(span, self.len),
        })
    }

    /// Seals a draft, if it is one. Whether it reads a segment now. If sealing fails, the draft is as before.
    pub(crate) fn seal(&self, seal: impl FnOnce(&mut Draft) -> Option<Span>) -> bool {
        let mut source = self.source.borrow_mut();
        let sealed = if let Source::Draft(draft) = &mut *source { seal(draft) } else { None };
        if let Some(span) = sealed {
            // The mapping went along, so `data` stays where it is. It is written no more.
            self.writable.set(null_mut());
            *source = Source::Segment(span);
        }
        matches!(&*source, Source::Segment(_))
    }
}

fn overlay(span: &Span) -> Result<Overlay> {
    Overlay::new(&span.segment, span.payload).map_err(|e| {
        let (id, len) = (span.segment.id(), span.payload.len);
        Failure::new(
            "memory",
            format!("segment {id}: no private memory for a writable pointer to {len} bytes ({e}); free memory or raise ulimit -v"),
        )
    })
}
