//! A segment's control block, under its lock.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::format::{CONTROL_AT, DATA_AT};
use crate::{Control, Sent, Ticket, sys};

/// A segment's file, locked: unlocked when this is dropped.
///
/// Closing would not do: a mapping made through this descriptor keeps the open file description, and with it the lock, for as long as it lives.
/// Nobody else has the description: forks wait for our steps.
pub(super) struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        sys::unlock(&self.0);
    }
}

impl Locked {
    /// `file` is locked exclusively.
    pub(super) fn new(file: File) -> Self {
        Locked(file)
    }

    pub(super) fn file(&self) -> &File {
        &self.0
    }

    pub(super) fn control(&self) -> io::Result<Control> {
        read(&self.0)
    }

    /// Adds a ticket, and counts what was sent.
    pub(super) fn add(&self, ticket: Ticket, grace: Duration, sent: Sent) -> io::Result<()> {
        let mut control = self.control()?;
        let now = sys::now();
        let until = now.saturating_add(grace.as_nanos().try_into().unwrap_or(u64::MAX));
        self.apply([control.hand_out(), Some(control.add(ticket, now, until))])?;
        // Nothing to do about a failure: the count is for people who look.
        let _ = self.apply([Some(control.count(sent))]);
        Ok(())
    }

    /// Counts what was sent.
    pub(super) fn count(&self, sent: Sent) -> io::Result<()> {
        self.apply([Some(self.control()?.count(sent))])
    }

    /// Notes that this process knows the segment, and takes the ticket back.
    pub(super) fn claim(&self, ticket: Option<Ticket>) -> io::Result<()> {
        let mut control = self.control()?;
        self.apply([control.hand_out(), ticket.and_then(|t| control.claim(t))])
    }

    fn apply<const N: usize>(&self, patches: [Option<crate::format::Patch>; N]) -> io::Result<()> {
        patches.into_iter().flatten().try_for_each(|(at, bytes)| sys::write_at(&self.0, &bytes, CONTROL_AT + at))
    }
}

/// As it is; without the lock, a change that another process makes may be half there.
pub(super) fn read(file: &File) -> io::Result<Control> {
    let mut bytes = [0; (DATA_AT - CONTROL_AT) as usize];
    file.read_exact_at(&mut bytes, CONTROL_AT)?;
    Ok(Control::from_bytes(bytes))
}
