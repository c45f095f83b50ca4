//! How a character vector lies in a segment: bytes once per entry, and either an entry per element or a code per element.
//!
//! `docs/format.md` has the table. This file only knows bytes; `character` turns R's strings into them and back.
//!
//! - Few distinct strings: a *dictionary*, each once, and codes of 1, 2 or 4 bytes.
//! - Otherwise every element is an entry of its own.
//! - The bytes are hostile. [`Text::parse`] checks that the parts fit into the payload; each entry's ends are checked when it is read.

use std::ptr;

/// Bytes before the first part.
const HEAD: usize = 64;

/// What R must know of a string beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mark {
    /// ASCII, or in the encoding of the locale.
    Native = 0,
    Utf8 = 1,
    Latin1 = 2,
    Bytes = 3,
    Na = 4,
}

impl Mark {
    fn from_byte(byte: u8) -> Option<Mark> {
        [Mark::Native, Mark::Utf8, Mark::Latin1, Mark::Bytes, Mark::Na].into_iter().find(|m| *m as u8 == byte)
    }
}

/// One string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) mark: Mark,
    pub(crate) bytes: &'a [u8],
}

/// Strings being gathered.
#[derive(Default)]
pub(crate) struct Builder {
    ends: Vec<u64>,
    marks: Vec<u8>,
    bytes: Vec<u8>,
    /// One per element; none if every element is an entry.
    codes: Option<Vec<u32>>,
}

impl Builder {
    /// For `n` elements that are entries each, or for a dictionary.
    pub(crate) fn new(n: usize, dictionary: bool) -> Self {
        let entries = if dictionary { 0 } else { n };
        Builder {
            ends: Vec::with_capacity(entries),
            marks: Vec::with_capacity(entries),
            bytes: Vec::with_capacity(entries * 8),
            codes: dictionary.then(|| Vec::with_capacity(n)),
        }
    }

    /// Adds an entry; its number.
    pub(crate) fn entry(&mut self, entry: Entry<'_>) -> u32 {
        self.bytes.extend_from_slice(entry.bytes);
        self.ends.push(self.bytes.len() as u64);
        self.marks.push(entry.mark as u8);
        self.ends.len() as u32 - 1
    }

    /// Adds an element of a dictionary.
    pub(crate) fn code(&mut self, code: u32) {
        self.codes.as_mut().expect("a dictionary").push(code);
    }

    /// Whether an entry is NA.
    pub(crate) fn has_na(&self) -> bool {
        self.marks.contains(&(Mark::Na as u8))
    }

    /// The parts of the payload, in order; each but the last a multiple of 8 bytes long.
    ///
    /// `codeset` says what [`Mark::Native`] means.
    pub(crate) fn parts(self, codeset: u8) -> [Vec<u8>; 5] {
        let entries = self.ends.len();
        let wide = self.bytes.len() > u32::MAX as usize;
        let code_width: u8 = match &self.codes {
            None => 0,
            Some(_) if entries <= 1 << 8 => 1,
            Some(_) if entries <= 1 << 16 => 2,
            Some(_) => 4,
        };
        let head = head(entries, self.bytes.len(), code_width, if wide { 8 } else { 4 }, codeset).to_vec();
        let ends = if wide {
            self.ends.iter().flat_map(|e| e.to_ne_bytes()).collect()
        } else {
            self.ends.iter().flat_map(|e| (*e as u32).to_ne_bytes()).collect()
        };
        let codes = self.codes.unwrap_or_default();
        let codes = match code_width {
            1 => codes.iter().map(|c| *c as u8).collect(),
            2 => codes.iter().flat_map(|c| (*c as u16).to_ne_bytes()).collect(),
            _ => codes.iter().flat_map(|c| c.to_ne_bytes()).collect(),
        };
        [head, padded(ends), padded(self.marks), padded(codes), self.bytes]
    }
}

fn head(entries: usize, bytes: usize, code_width: u8, end_width: u8, codeset: u8) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[0..8].copy_from_slice(&(entries as u64).to_ne_bytes());
    head[8..16].copy_from_slice(&(bytes as u64).to_ne_bytes());
    [head[16], head[17], head[18]] = [code_width, end_width, codeset];
    head
}

/// The payload of a few entries, none of them a code, in `place`, which is all zero; its length, if it fits.
pub(crate) fn few(entries: &[Entry<'_>], codeset: u8, place: &mut [u8]) -> Option<usize> {
    let n = entries.len();
    let bytes = entries.iter().map(|entry| entry.bytes.len()).sum();
    let marks_at = HEAD + (4 * n).next_multiple_of(8);
    let bytes_at = marks_at + n.next_multiple_of(8);
    let place = place.get_mut(..bytes_at + bytes)?;
    place[..HEAD].copy_from_slice(&head(n, bytes, 0, 4, codeset));
    let mut end = bytes_at;
    for (i, entry) in entries.iter().enumerate() {
        place[end..][..entry.bytes.len()].copy_from_slice(entry.bytes);
        end += entry.bytes.len();
        place[HEAD + 4 * i..][..4].copy_from_slice(&((end - bytes_at) as u32).to_ne_bytes());
        place[marks_at + i] = entry.mark as u8;
    }
    Some(end)
}

fn padded(mut part: Vec<u8>) -> Vec<u8> {
    part.resize(part.len().next_multiple_of(8), 0);
    part
}

/// The parts of a payload, found and checked to lie inside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    entries: usize,
    bytes_len: u64,
    code_width: u8,
    end_width: u8,
    codeset: u8,
    ends: *const u8,
    marks: *const u8,
    codes: *const u8,
    bytes: *const u8,
}

impl Text {
    /// Of `n` elements in a payload of `len` bytes, aligned to 8; `None` if the parts do not fit.
    ///
    /// # Safety
    /// The payload is readable for as long as the result is used.
    pub(crate) unsafe fn parse(payload: *const u8, len: usize, n: usize) -> Option<Text> {
        if len < HEAD {
            return None;
        }
        // SAFETY: at least `HEAD` bytes are readable.
        let head: [u8; HEAD] = unsafe { ptr::read(payload.cast()) };
        let number = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().expect("8 bytes"));
        let (entries, bytes_len, code_width, end_width) = (number(0), number(8), head[16], head[17]);
        let shape = matches!(code_width, 0 | 1 | 2 | 4) && matches!(end_width, 4 | 8);
        if !shape || (code_width == 0 && entries != n as u64) {
            return None;
        }
        let part = |count: u64, width: u8| count.checked_mul(width.into())?.checked_next_multiple_of(8);
        let marks = (HEAD as u64).checked_add(part(entries, end_width)?)?;
        let codes = marks.checked_add(part(entries, 1)?)?;
        let bytes = codes.checked_add(part(n as u64, code_width)?)?;
        if bytes.checked_add(bytes_len)? != len as u64 {
            return None;
        }
        Some(Text {
            entries: entries as usize,
            bytes_len,
            code_width,
            end_width,
            codeset: head[18],
            ends: payload.wrapping_add(HEAD),
            marks: payload.wrapping_add(marks as usize),
            codes: payload.wrapping_add(codes as usize),
            bytes: payload.wrapping_add(bytes as usize),
        })
    }

    /// Entries: distinct strings of a dictionary, else elements.
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    /// What an unmarked string's bytes mean, as `locale` numbers it.
    pub(crate) fn codeset(&self) -> u8 {
        self.codeset
    }

    pub(crate) fn is_dictionary(&self) -> bool {
        self.code_width != 0
    }

    /// The entry of element `i`, which is below the length given to `parse`; `None` if its code is none of an entry.
    pub(crate) fn code(&self, i: usize) -> Option<usize> {
        let at = self.codes.wrapping_add(i * usize::from(self.code_width));
        // SAFETY: `i` is below the number of codes, which lie inside the payload, aligned to their width.
        let code = unsafe {
            match self.code_width {
                0 => i,
                1 => at.read().into(),
                2 => at.cast::<u16>().read().into(),
                _ => at.cast::<u32>().read() as usize,
            }
        };
        (code < self.entries).then_some(code)
    }

    /// An entry below [`Text::entries`]; `None` if what the payload says of it is nonsense.
    pub(crate) fn entry<'a>(&self, entry: usize) -> Option<Entry<'a>> {
        // SAFETY: `entry` is below the number of entries.
        let mark = Mark::from_byte(unsafe { self.marks.add(entry).read() })?;
        let start = if entry == 0 { 0 } else { self.end(entry - 1) };
        let end = self.end(entry);
        if start > end || end > self.bytes_len || end - start > i32::MAX as u64 {
            return None;
        }
        // SAFETY: the range lies inside the bytes, which live as long as the payload.
        let bytes = unsafe { std::slice::from_raw_parts(self.bytes.add(start as usize), (end - start) as usize) };
        // R's strings hold no zero byte; one would be an error inside a hook that must not fail.
        (!bytes.contains(&0)).then_some(Entry { mark, bytes })
    }

    fn end(&self, entry: usize) -> u64 {
        // SAFETY: below the number of entries; the ends are aligned to their width.
        unsafe {
            match self.end_width {
                4 => self.ends.cast::<u32>().add(entry).read().into(),
                _ => self.ends.cast::<u64>().add(entry).read(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(builder: Builder) -> Vec<u64> {
        let bytes = builder.parts(1).concat();
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        for (i, b) in bytes.iter().enumerate() {
            words[i / 8] |= u64::from(*b) << (8 * (i % 8));
        }
        // Room to tell the exact length: it is kept in the first element's place by the caller.
        words.push(bytes.len() as u64);
        words
    }

    fn read(words: &[u64], n: usize) -> Option<Vec<(Mark, String)>> {
        let len = words[words.len() - 1] as usize;
        // SAFETY: the words outlive the text.
        let text = unsafe { Text::parse(words.as_ptr().cast(), len, n) }?;
        (0..n)
            .map(|i| {
                let entry = text.entry(text.code(i)?)?;
                Some((entry.mark, String::from_utf8_lossy(entry.bytes).into_owned()))
            })
            .collect()
    }

    fn entry(text: &str) -> Entry<'_> {
        Entry { mark: if text == "NA" { Mark::Na } else { Mark::Utf8 }, bytes: text.as_bytes() }
    }

    #[test]
    fn entries_read_back_with_and_without_a_dictionary() {
        let texts = ["", "a", "NA", "ä", "a longer one"];
        let mut plain = Builder::new(5, false);
        let mut dictionary = Builder::new(10, true);
        for t in texts {
            plain.entry(entry(t));
            dictionary.entry(entry(t));
        }
        (0..10).for_each(|i| dictionary.code(i % 5));
        let expected: Vec<_> = texts.iter().map(|t| (entry(t).mark, (*t).to_owned())).collect();
        assert_eq!(read(&payload(plain), 5), Some(expected.clone()));
        assert_eq!(read(&payload(dictionary), 10), Some([expected.clone(), expected].concat()));
    }

    #[test]
    fn codes_have_the_width_the_dictionary_needs() {
        for entries in [1usize, 256, 257, 65_536, 65_537] {
            let mut builder = Builder::new(entries, true);
            for i in 0..entries {
                let code = builder.entry(entry(&i.to_string()));
                builder.code(code);
            }
            let back = read(&payload(builder), entries).unwrap();
            assert_eq!(back[entries - 1].1, (entries - 1).to_string());
        }
    }

    #[test]
    fn no_byte_of_the_head_or_the_ends_can_lead_outside() {
        let mut builder = Builder::new(3, false);
        for t in ["one", "two", "three"] {
            builder.entry(entry(t));
        }
        let good = payload(builder);
        for byte in 0..HEAD + 16 {
            for flip in [1u64, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[byte / 8] ^= flip << (8 * (byte % 8));
                // Either it is refused or it reads inside: an address sanitizer or valgrind would tell.
                let _ = read(&bad, 3);
            }
        }
    }
}
