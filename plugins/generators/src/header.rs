//! The header of a .npy file: what numpy's `lib.format` documents, as bytes of a stranger's.
//!
//! `\x93NUMPY`, two bytes of version, the length of the text (2 bytes in version 1, else 4), and the text: a Python dict with the keys `descr`,
//! `fortran_order` and `shape`.

/// What a header says. Nothing in it was compared with the file yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// As numpy writes it: "<f8".
    pub(crate) descr: String,
    /// The first subscript is the fastest, as in R.
    pub(crate) fortran_order: bool,
    pub(crate) shape: Vec<u64>,
    /// Where the elements begin.
    pub(crate) data: u64,
}

/// Bytes of the fixed part, at the most.
pub(crate) const FIXED: usize = 12;
/// A text longer than this is nonsense.
const LONGEST_TEXT: usize = 64 << 10;
/// Dimensions that numpy can have.
const MOST_DIMENSIONS: usize = 64;

/// Where the text is, of the first bytes of a file; `Err` says what they are instead.
pub(crate) fn text_at(first: &[u8]) -> Result<std::ops::Range<usize>, String> {
    if first.get(..6) != Some(b"\x93NUMPY") {
        return Err("it does not begin as one".to_owned());
    }
    let short = || "it ends within its header".to_owned();
    let (begin, length) = match first.get(6).ok_or_else(short)? {
        1 => (10, first.get(8..10).map(|b| usize::from(b[0]) | usize::from(b[1]) << 8)),
        2 | 3 => (12, first.get(8..12).map(|b| b.iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte)))),
        version => return Err(format!("it has version {version} of the format, which is not known")),
    };
    let length = length.ok_or_else(short)?;
    if length > LONGEST_TEXT {
        return Err(format!("its header has {length} bytes, which is too long for one"));
    }
    Ok(begin..begin + length)
}

/// What the text says, which ends at byte `data` of the file.
pub(crate) fn parse(text: &[u8], data: u64) -> Result<Header, String> {
    let mut reader = Reader { text, at: 0 };
    let (mut descr, mut order, mut shape) = (None, None, None);
    reader.expect(b'{')?;
    while !reader.takes(b'}') {
        let key = reader.string()?;
        reader.expect(b':')?;
        let twice = match key.as_str() {
            "descr" => descr.replace(reader.string()?).is_some(),
            "fortran_order" => order.replace(reader.boolean()?).is_some(),
            "shape" => shape.replace(reader.shape()?).is_some(),
            _ => return Err(format!("its header has the key '{key}', which is not known")),
        };
        if twice {
            return Err(format!("its header has the key '{key}' twice"));
        }
        if !reader.takes(b',') {
            reader.expect(b'}')?;
            break;
        }
    }
    reader.space();
    if reader.at < text.len() {
        return Err("its header goes on after its end".to_owned());
    }
    match (descr, order, shape) {
        (Some(descr), Some(fortran_order), Some(shape)) => Ok(Header { descr, fortran_order, shape, data }),
        _ => Err("its header lacks one of 'descr', 'fortran_order', 'shape'".to_owned()),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// Whether this comes next, which is skipped then.
    fn takes(&mut self, byte: u8) -> bool {
        self.space();
        let is_next = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.takes(byte) { Ok(()) } else { Err(self.nonsense()) }
    }

    fn nonsense(&self) -> String {
        format!("its header is nonsense at byte {} of its text", self.at + 1)
    }

    /// A string without escapes.
    fn string(&mut self) -> Result<String, String> {
        self.space();
        match self.text.get(self.at) {
            Some(b'[' | b'(') => return Err("its elements are records, which R's vectors have not".to_owned()),
            Some(b'\'' | b'"') => {}
            _ => return Err(self.nonsense()),
        }
        let quote = self.text[self.at];
        let rest = &self.text[self.at + 1..];
        let length = rest.iter().position(|byte| *byte == quote).ok_or_else(|| self.nonsense())?;
        let text = std::str::from_utf8(&rest[..length]).ok().filter(|text| !text.contains('\\'));
        let text = text.ok_or_else(|| self.nonsense())?.to_owned();
        self.at += length + 2;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.nonsense())
    }

    fn number(&mut self) -> Result<u64, String> {
        self.space();
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.text[self.at..self.at + digits]).unwrap_or_default();
        let number = text.parse().map_err(|_| self.nonsense())?;
        self.at += digits;
        // As Python 2 wrote them.
        self.takes(b'L');
        Ok(number)
    }

    /// `()`, `(3,)`, `(3, 4)`.
    fn shape(&mut self) -> Result<Vec<u64>, String> {
        self.expect(b'(')?;
        let mut shape = Vec::new();
        while !self.takes(b')') {
            if shape.len() == MOST_DIMENSIONS {
                return Err("it has too many dimensions".to_owned());
            }
            shape.push(self.number()?);
            if !self.takes(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Header, String> {
        parse(text.as_bytes(), 64)
    }

    #[test]
    fn what_numpy_writes_is_understood() {
        let header =
            |shape: &[u64]| Header { descr: "<f8".to_owned(), fortran_order: false, shape: shape.to_owned(), data: 64 };
        assert_eq!(of("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n"), Ok(header(&[3, 4])));
        assert_eq!(of("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }"), Ok(header(&[3])));
        assert_eq!(of("{'shape': (), 'fortran_order': False, 'descr': \"<f8\"}"), Ok(header(&[])));
        assert_eq!(of("{'descr': '<f8', 'fortran_order': False, 'shape': (3L, 4L), }"), Ok(header(&[3, 4])));
    }

    #[test]
    fn anything_else_is_refused_in_words() {
        for text in [
            "",
            "{",
            "{}",
            "{'descr'",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), } more",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': (3, 4), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-3, 4), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3 4), }",
            "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }",
            "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3, 4), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), 'x': 'y'}",
            "{'descr': '<f8', 'fortran_order': False}",
        ] {
            assert!(of(text).is_err(), "{text}");
        }
        let many = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({})}}", "1,".repeat(100));
        assert_eq!(of(&many), Err("it has too many dimensions".to_owned()));
    }

    #[test]
    fn every_prefix_and_every_changed_byte_is_an_answer() {
        let text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }";
        for end in 0..text.len() {
            assert!(parse(&text[..end], 0).is_err());
            for byte in 0..=255 {
                let mut changed = text.to_vec();
                changed[end] = byte;
                let _ = parse(&changed, 0);
            }
        }
        for first in [
            &b""[..],
            b"\x93NUMPY",
            b"\x93NUMPY\x01",
            b"\x93NUMPY\x01\0\x10",
            b"\x93NUMPY\x04\0\0\0",
            b"\x93NUMPX\x01\0\0\0",
        ] {
            assert!(text_at(first).is_err());
        }
        assert_eq!(text_at(b"\x93NUMPY\x01\0\x76\0"), Ok(10..128));
        assert_eq!(text_at(b"\x93NUMPY\x02\0\x74\0\0\0"), Ok(12..128));
        assert!(text_at(b"\x93NUMPY\x02\0\xff\xff\xff\xff").is_err());
    }
}
