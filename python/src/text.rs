//! The payload of `r.character`: `docs/format.md` has the layout.

use std::collections::HashMap;
use std::ops::Range;

use pyo3::prelude::*;

use crate::value::{Encoding, string};

/// Bytes before the first part.
const HEAD: usize = 64;

/// The parts of a payload, each as long as it must be.
pub(crate) struct Text<'a> {
    entries: usize,
    end_width: usize,
    code_width: usize,
    /// Of what is not marked.
    codeset: u8,
    ends: &'a [u8],
    marks: &'a [u8],
    codes: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Text<'a> {
    /// Of `n` elements; `None` if the parts do not fill the payload.
    pub(crate) fn parse(payload: &'a [u8], n: usize) -> Option<Text<'a>> {
        let (head, mut rest) = payload.split_at_checked(HEAD)?;
        let number =
            |at: usize| usize::try_from(u64::from_ne_bytes(head[at..at + 8].try_into().expect("8 bytes"))).ok();
        let (entries, bytes_len) = (number(0)?, number(8)?);
        let (code_width, end_width) = (usize::from(head[16]), usize::from(head[17]));
        if !matches!(code_width, 0 | 1 | 2 | 4) || !matches!(end_width, 4 | 8) || (code_width == 0 && entries != n) {
            return None;
        }
        let mut part = |count: usize, width: usize| {
            let (part, after) = rest.split_at_checked(count.checked_mul(width)?.checked_next_multiple_of(8)?)?;
            rest = after;
            Some(part)
        };
        let (ends, marks, codes) = (part(entries, end_width)?, part(entries, 1)?, part(n, code_width)?);
        (rest.len() == bytes_len).then_some(Text {
            entries,
            end_width,
            code_width,
            codeset: head[18],
            ends,
            marks,
            codes,
            bytes: rest,
        })
    }

    /// Some of its elements; `None` if one is nonsense. One object for each distinct entry of a dictionary.
    pub(crate) fn strings(&self, py: Python<'_>, elements: Range<usize>) -> PyResult<Option<Vec<Py<PyAny>>>> {
        let mut made: HashMap<usize, Py<PyAny>> = HashMap::new();
        let mut strings = Vec::with_capacity(elements.len());
        for i in elements {
            let entry = self.number(self.codes, i, self.code_width).unwrap_or(i);
            if let Some(known) = made.get(&entry) {
                strings.push(known.clone_ref(py));
                continue;
            }
            let Some(string) = self.entry(py, entry)? else { return Ok(None) };
            if self.code_width > 0 {
                made.insert(entry, string.clone_ref(py));
            }
            strings.push(string);
        }
        Ok(Some(strings))
    }

    fn entry(&self, py: Python<'_>, entry: usize) -> PyResult<Option<Py<PyAny>>> {
        if entry >= self.entries {
            return Ok(None);
        }
        let start = if entry == 0 { Some(0) } else { self.number(self.ends, entry - 1, self.end_width) };
        let bytes = start.zip(self.number(self.ends, entry, self.end_width)).and_then(|(a, b)| self.bytes.get(a..b));
        let Some(bytes) = bytes else { return Ok(None) };
        let encoding = match (self.marks[entry], self.codeset) {
            (4, _) => return Ok(Some(py.None())),
            (3, _) => Encoding::Bytes,
            (2, _) | (0, 2) => Encoding::Latin1,
            // A locale that is neither has unmarked what is ASCII, or has no meaning there.
            (0 | 1, _) => Encoding::Utf8,
            _ => return Ok(None),
        };
        string(py, bytes, encoding).map(Some)
    }

    /// Number `i` of a part; `None` if it has no numbers, or not so many.
    fn number(&self, part: &[u8], i: usize, width: usize) -> Option<usize> {
        let bytes = part.get(i.checked_mul(width)?..)?;
        match width {
            1 => bytes.first().map(|b| usize::from(*b)),
            2 => bytes.first_chunk().map(|b| usize::from(u16::from_ne_bytes(*b))),
            4 => bytes.first_chunk().map(|b| u32::from_ne_bytes(*b) as usize),
            8 => bytes.first_chunk().and_then(|b| usize::try_from(u64::from_ne_bytes(*b)).ok()),
            _ => None,
        }
    }
}

/// The payload of a few strings, an entry each.
pub(crate) fn payload(strings: &[&str]) -> Vec<u8> {
    let bytes: usize = strings.iter().map(|s| s.len()).sum();
    let mut out = vec![0; HEAD];
    out[..8].copy_from_slice(&(strings.len() as u64).to_ne_bytes());
    out[8..16].copy_from_slice(&(bytes as u64).to_ne_bytes());
    // No codes; ends of eight bytes; unmarked is UTF-8.
    (out[17], out[18]) = (8, 1);
    let mut end = 0u64;
    for string in strings {
        end += string.len() as u64;
        out.extend(end.to_ne_bytes());
    }
    out.extend(strings.iter().map(|string| u8::from(!string.is_ascii())));
    out.resize(out.len().next_multiple_of(8), 0);
    strings.iter().for_each(|string| out.extend(string.as_bytes()));
    out
}
