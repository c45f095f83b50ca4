//! Arrays in numpy's file format: what their header says, read and written.
//!
//! - Version 1.0 is written (2.0 if the header is longer than 64 KiB), 1.0 to 3.0 are read. The data begins at a multiple of 64.
//! - A header is a Python literal, `{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }`. Bytes are hostile: nothing is believed that does
//!   not fit the file.
//! - Source: the documentation of `numpy.lib.format`.
//!
//! ```
//! use cowshed_core::{Dtype, Npy};
//!
//! let header = Npy { dtype: Dtype::new(b'f', 8), fortran: true, shape: vec![3, 4], data_at: 128 };
//! let mut file = header.bytes();
//! assert_eq!(file.len(), 128);
//! file.resize(128 + 3 * 4 * 8, 0);
//! assert_eq!(Npy::parse(&file, file.len() as u64)?, header);
//! # Ok::<(), cowshed_core::FormatError>(())
//! ```

use crate::FormatError;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// No header is longer; a structured type has a few bytes for each of its fields.
pub(crate) const LONGEST: usize = 1 << 20;
const ALIGN: usize = 64;
/// Numpy has no more.
const MOST_DIMENSIONS: usize = 64;

/// What one element is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dtype {
    /// As numpy writes it: `<f8`, `|b1`, `<U5`; a list of fields if it is structured.
    pub descr: String,
    /// `b i u f c` for numbers, `U S` for strings, others; 0 if it is structured.
    pub kind: u8,
    /// Bytes of one.
    pub size: usize,
    /// Of the other byte order than this machine's.
    pub swapped: bool,
}

/// The header of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Npy {
    /// Of its elements.
    pub dtype: Dtype,
    /// The first index varies fastest, as R has it.
    pub fortran: bool,
    /// Its extents; none of a single element.
    pub shape: Vec<u64>,
    /// Where the data begins.
    pub data_at: u64,
}

impl Dtype {
    /// Numbers, or `b`, of this machine's byte order.
    pub fn new(kind: u8, size: usize) -> Dtype {
        let order = if size == 1 { '|' } else { NATIVE };
        Dtype { descr: format!("{order}{}{size}", kind as char), kind, size, swapped: false }
    }

    fn parse(descr: &str) -> Option<Dtype> {
        let bytes = descr.as_bytes();
        let (order, kind) = (*bytes.first()?, *bytes.get(1)?);
        if !b"<>|=".contains(&order) || !kind.is_ascii_alphabetic() {
            return None;
        }
        // A time's unit follows: `<M8[ns]`.
        let digits = descr.get(2..)?.split('[').next()?;
        let number: usize = if digits.is_empty() && kind == b'O' { 8 } else { digits.parse().ok()? };
        let size = if kind == b'U' { number.checked_mul(4)? } else { number };
        let swapped = order != b'|' && order != b'=' && order as char != NATIVE;
        Some(Dtype { descr: descr.to_owned(), kind, size, swapped })
    }
}

const NATIVE: char = if cfg!(target_endian = "little") { '<' } else { '>' };

/// Whether a file that begins so is an array's.
pub(crate) fn is_array(first: &[u8]) -> bool {
    first.starts_with(MAGIC)
}

impl Npy {
    /// The header at the beginning of a file of `len` bytes, of which `first` are the first: all, or so many that it is in them.
    ///
    /// # Errors
    /// [`FormatError::Corrupt`]: it is none, or tells of more than the file has, or is of a version that is not known.
    pub fn parse(first: &[u8], len: u64) -> Result<Npy, FormatError> {
        let corrupt = FormatError::Corrupt;
        if !is_array(first) {
            return Err(corrupt("it is no array of numpy's"));
        }
        let Some(version) = first.get(6) else { return Err(corrupt("its header is cut")) };
        let (at, text_len) = match version {
            1 => (10, first.get(8..10).map(|b| u16::from_le_bytes([b[0], b[1]]).into())),
            2 | 3 => (12, first.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)),
            _ => return Err(corrupt("it is of a version of numpy's format that is not known")),
        };
        let text_len = text_len.filter(|len| *len <= LONGEST).ok_or(corrupt("its header is cut, or too long"))?;
        let text = first.get(at..at + text_len).ok_or(corrupt("its header is cut"))?;
        let text = std::str::from_utf8(text).map_err(|_| corrupt("its header is not UTF-8"))?;
        let fields = Literal(text).fields().ok_or(corrupt("its header is no description of an array"))?;
        let npy = Npy { data_at: (at + text_len) as u64, ..fields };
        // Of a structured type nobody here knows the size.
        let bytes = npy.len().and_then(|n| n.checked_mul(npy.dtype.size as u64));
        match bytes.and_then(|bytes| bytes.checked_add(npy.data_at)) {
            Some(end) if end <= len => Ok(npy),
            _ => Err(corrupt("it is shorter than its header says")),
        }
    }

    /// How many elements.
    pub fn len(&self) -> Option<u64> {
        // An extent of 0 makes it empty, whatever the others are.
        if self.shape.contains(&0) {
            Some(0)
        } else {
            self.shape.iter().try_fold(1u64, |n, extent| n.checked_mul(*extent))
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Whether its elements lie as R's would.
    pub fn is_columnar(&self) -> bool {
        self.fortran || self.shape.iter().filter(|extent| **extent != 1).count() <= 1 || self.is_empty()
    }

    /// As it is written, the data to follow.
    pub fn bytes(&self) -> Vec<u8> {
        let mut shape = self.shape.iter().map(|extent| format!("{extent}, ")).collect::<String>();
        if self.shape.len() > 1 {
            shape.truncate(shape.len() - 2);
        }
        let fortran = if self.fortran { "True" } else { "False" };
        let mut text = format!(
            "{{'descr': '{}', 'fortran_order': {fortran}, 'shape': ({}), }}",
            self.dtype.descr,
            shape.trim_end()
        );
        let (version, before) = if text.len() + ALIGN + 10 < 1 << 16 { (1, 10) } else { (2, 12) };
        while (before + text.len() + 1) % ALIGN != 0 {
            text.push(' ');
        }
        text.push('\n');
        let mut bytes = [&MAGIC[..], &[version, 0]].concat();
        match version {
            1 => bytes.extend((text.len() as u16).to_le_bytes()),
            _ => bytes.extend((text.len() as u32).to_le_bytes()),
        }
        bytes.extend(text.bytes());
        bytes
    }
}

/// A Python literal, or what is left of one.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    /// What a header has, in any order, each once.
    fn fields(mut self) -> Option<Npy> {
        let (mut dtype, mut fortran, mut shape) = (None, None, None);
        self.expect("{")?;
        while !self.next_is("}") {
            let key = self.string()?;
            self.expect(":")?;
            let first = match key {
                "descr" => dtype.replace(self.dtype()?).is_none(),
                "fortran_order" => fortran.replace(self.boolean()?).is_none(),
                "shape" => shape.replace(self.shape()?).is_none(),
                _ => false,
            };
            if !first || !(self.next_is(",") || self.0.trim_start().starts_with('}')) {
                return None;
            }
        }
        let ended = self.0.trim().is_empty();
        ended.then_some(Npy { dtype: dtype?, fortran: fortran?, shape: shape?, data_at: 0 })
    }

    fn next_is(&mut self, what: &str) -> bool {
        let rest = self.0.trim_start().strip_prefix(what);
        rest.inspect(|rest| self.0 = rest).is_some()
    }

    fn expect(&mut self, what: &str) -> Option<()> {
        self.next_is(what).then_some(())
    }

    /// Without escapes: nothing here has any.
    fn string(&mut self) -> Option<&'a str> {
        let quote = if self.next_is("'") { '\'' } else { self.expect("\"").map(|()| '"')? };
        let (text, rest) = self.0.split_once(quote)?;
        self.0 = rest;
        (!text.contains('\\')).then_some(text)
    }

    fn boolean(&mut self) -> Option<bool> {
        if self.next_is("True") { Some(true) } else { self.expect("False").map(|()| false) }
    }

    fn shape(&mut self) -> Option<Vec<u64>> {
        let mut shape = Vec::new();
        self.expect("(")?;
        while !self.next_is(")") {
            let rest = self.0.trim_start();
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            shape.push(rest[..digits].parse().ok()?);
            // Python 2 marked long numbers.
            self.0 = rest[digits..].trim_start_matches('L');
            if !(self.next_is(",") || self.0.trim_start().starts_with(')')) || shape.len() > MOST_DIMENSIONS {
                return None;
            }
        }
        Some(shape)
    }

    fn dtype(&mut self) -> Option<Dtype> {
        if !self.0.trim_start().starts_with('[') {
            return Dtype::parse(self.string()?);
        }
        // A list of fields, to its end: brackets within strings count for nothing.
        self.0 = self.0.trim_start();
        let (mut depth, mut quote) = (0usize, None);
        for (i, c) in self.0.char_indices() {
            match (quote, c) {
                (Some(q), _) if q == c => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(c),
                (None, '[') => depth += 1,
                (None, ']') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let (descr, rest) = self.0.split_at(i + 1);
                self.0 = rest;
                return Some(Dtype { descr: descr.to_owned(), kind: 0, size: 0, swapped: false });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Vec<u8> {
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((text.len() as u16).to_le_bytes());
        file.extend(text.bytes());
        file.resize(file.len() + 64, 0);
        file
    }

    fn parse(text: &str) -> Result<Npy, FormatError> {
        let file = file(text);
        Npy::parse(&file, file.len() as u64)
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let npy = parse("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }           \n").unwrap();
        assert_eq!((npy.dtype.kind, npy.dtype.size, npy.fortran, &npy.shape[..]), (b'f', 8, false, &[2, 3][..]));
        assert_eq!(npy.data_at, 10 + 71);
        assert_eq!(parse("{'descr': '|b1', 'fortran_order': False, 'shape': (7,), }\n").unwrap().shape, [7]);
        assert_eq!(parse("{'descr': '|b1', 'fortran_order': False, 'shape': (), }\n").unwrap().len(), Some(1));
        assert!(parse("{'descr': '>i4', 'fortran_order': True, 'shape': (0, 5), }").unwrap().dtype.swapped);
        assert_eq!(parse("{'shape': (2L, 2L), \"descr\": \"<U3\", 'fortran_order': False}").unwrap().dtype.size, 12);
        let times = parse("{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (2,), }").unwrap().dtype;
        assert_eq!((times.kind, times.size), (b'M', 8));
        let fields = "[('a]', '<f8'), ('b', [('c', '|u1')])]";
        let mixed = parse(&format!("{{'descr': {fields}, 'fortran_order': False, 'shape': (2,), }}")).unwrap();
        assert_eq!((mixed.dtype.descr.as_str(), mixed.dtype.kind), (fields, 0));
    }

    #[test]
    fn what_is_written_is_what_numpy_writes_and_reads_back() {
        for (shape, shown) in [(vec![], "()"), (vec![5], "(5,)"), (vec![2, 3], "(2, 3)"), (vec![2, 3, 0], "(2, 3, 0)")]
        {
            let npy = Npy { dtype: Dtype::new(b'u', 1), fortran: shape.len() > 1, shape, data_at: 128 };
            let bytes = npy.bytes();
            assert_eq!(bytes.len(), 128);
            assert!(std::str::from_utf8(&bytes[10..]).unwrap().contains(&format!("'shape': {shown}, }}")));
            let len = bytes.len() as u64 + npy.len().unwrap();
            assert_eq!(Npy::parse(&bytes, len).unwrap(), npy);
        }
        let many = Npy { dtype: Dtype::new(b'f', 4), fortran: true, shape: vec![1; 64], data_at: 0 };
        assert_eq!(many.bytes().len() % 64, 0);
        assert_eq!(Npy::parse(&many.bytes(), 1 << 20).unwrap().shape, many.shape);
    }

    #[test]
    fn what_is_cut_or_lies_is_an_error() {
        let good = "{'descr': '<f8', 'fortran_order': False, 'shape': (8,), }\n";
        let whole = file(good);
        assert!(Npy::parse(&whole, whole.len() as u64).is_ok());
        for n in 0..whole.len() {
            assert!(Npy::parse(&whole[..n], n as u64).is_err(), "{n}");
        }
        for bad in [
            "{'descr': '<f8', 'fortran_order': False, 'shape': (9,), }\n",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551615, 2), }\n",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551616,), }\n",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n",
            "{'descr': '<f8', 'fortran_order': 1, 'shape': (1,), }\n",
            "{'descr': 'f8', 'fortran_order': False, 'shape': (1,), }\n",
            "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n",
            "{'descr': '<f8', 'fortran_order': False, }\n",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'more': 1}\n",
            "{'descr': [[[[, 'fortran_order': False, 'shape': (1,), }\n",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), } and more",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let mut other = whole.clone();
        other[6] = 9;
        assert!(Npy::parse(&other, 1000).is_err());
    }
}
