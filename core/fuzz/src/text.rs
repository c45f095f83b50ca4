//! The payload of a character vector, as the R side reads it.
//!
//! An input is a number of elements (8 bytes) and a payload. The law: it is refused, or every element is refused or lies within it,
//! and what was read is the same when it is written anew.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use super::dice::Dice;
use super::text_of_altrep::{Builder, Entry, Mark, Text};
use super::{Target, odd};

pub const TARGET: Target = Target { name: "text", run, seeds, mutate };

pub fn run(input: &[u8]) {
    let Some((&n, payload)) = input.split_first_chunk() else { return };
    let Ok(n) = usize::try_from(u64::from_le_bytes(n)) else { return };
    let place = Place::new(payload);
    let Some(strings) = read(&place, n) else { return };
    let mut builder = Builder::new(n, true);
    for string in &strings {
        let code = builder.entry(*string);
        builder.code(code);
    }
    let again = Place::new(&builder.parts(1).concat());
    assert_eq!(read(&again, n).as_ref(), Some(&strings));
}

/// All elements, if all of them can be read.
fn read(place: &Place, n: usize) -> Option<Vec<Entry<'_>>> {
    // SAFETY: the place outlives the text.
    let text = unsafe { Text::parse(place.start, place.layout.size(), n) }?;
    let range = place.start as usize..=place.start as usize + place.layout.size();
    let element = |i| {
        let code = text.code(i)?;
        assert!(code < text.entries() && (text.is_dictionary() || code == i));
        let entry = text.entry(code)?;
        let bytes = entry.bytes.as_ptr_range();
        assert!(range.contains(&(bytes.start as usize)) && range.contains(&(bytes.end as usize)));
        assert!(!entry.bytes.contains(&0));
        Some(entry)
    };
    // One that is refused leaves the others to be read.
    let elements: Vec<_> = (0..n).map(element).collect();
    elements.into_iter().collect()
}

/// As many bytes as there are, aligned as payloads are.
struct Place {
    start: *mut u8,
    layout: Layout,
}

impl Place {
    fn new(bytes: &[u8]) -> Place {
        let layout = Layout::from_size_align(bytes.len().max(1), 16).expect("a layout");
        // SAFETY: the size is not zero.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: it is as long, and new.
        unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Place { start, layout: Layout::from_size_align(bytes.len(), 16).expect("a layout") }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let layout = Layout::from_size_align(self.layout.size().max(1), 16).expect("a layout");
        // SAFETY: allocated with that layout.
        unsafe { dealloc(self.start, layout) };
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let texts: [(&str, Mark); 5] =
        [("", Mark::Native), ("a", Mark::Utf8), ("NA", Mark::Na), ("ä", Mark::Latin1), ("longer", Mark::Bytes)];
    let mut seeds = Vec::new();
    for codeset in 0..3 {
        for elements in [0, 5, 40] {
            let mut plain = Builder::new(elements, false);
            let mut dictionary = Builder::new(elements, true);
            for i in 0..elements {
                let (text, mark) = texts[i % 5];
                plain.entry(Entry { mark, bytes: text.as_bytes() });
                dictionary.code((i % 5) as u32);
            }
            for (text, mark) in texts {
                dictionary.entry(Entry { mark, bytes: text.as_bytes() });
            }
            for builder in [plain, dictionary] {
                seeds.push([&(elements as u64).to_le_bytes()[..], &builder.parts(codeset).concat()].concat());
            }
        }
    }
    seeds
}

/// Changes the number of elements or a number of the head.
fn mutate(dice: &mut Dice, input: &mut [u8]) {
    let (at, width) = [(0, 8), (8, 8), (16, 8), (24, 1), (25, 1), (26, 1)][dice.below(6)];
    let number = odd(dice, input.len());
    if let Some(field) = input.get_mut(at..at + width) {
        field.copy_from_slice(&number.to_le_bytes()[..width]);
    }
}
