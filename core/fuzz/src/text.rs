//! The payload of a character vector, as the R side reads it.
//!
//! An input is a number of elements (8 bytes) and a payload. The law: it is refused, or every element is refused or lies within it,
//! and what was read is the same when it is written anew.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use super::dice::Dice;
use super::text_of_altrep::{Builder, Entry, Mark, Text};
use super::{Target, odd};

pub const TARGET: Target = Target { name: "text", run, seeds, mutate };

/// Bytes of the payload's head.
const HEAD: usize = 64;

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
                let seed = [&(elements as u64).to_le_bytes()[..], &builder.parts(codeset).concat()].concat();
                for brink in 0..6 {
                    let mut seed = seed.clone();
                    go_to_the_brink(&mut seed, if brink < 3 { 4 } else { 0 }, brink);
                    seeds.push(seed);
                }
                seeds.push(seed);
            }
        }
    }
    seeds
}

/// Sets an entry's end to how many bytes there are, an element's code to how many entries, or either to a neighbour of that.
fn go_to_the_brink(input: &mut [u8], i: usize, which: usize) {
    let Some(&head) = input.get(8..).and_then(|b| b.first_chunk::<HEAD>()) else { return };
    let [entries, bytes] = [0, 8].map(|at| u64::from_ne_bytes(*head[at..].first_chunk().expect("8 bytes")));
    let [code_width, end_width] = [16, 17].map(|at| usize::from(head[at]).min(8));
    let ends = 8 + HEAD;
    if entries > input.len() as u64 {
        return;
    }
    let codes = ends + (entries as usize * end_width).next_multiple_of(8) + (entries as usize).next_multiple_of(8);
    let (at, width, last) = match which {
        ..3 => (ends + i * end_width, end_width, bytes),
        _ => (codes + i * code_width, code_width, entries),
    };
    if let Some(field) = input.get_mut(at..).and_then(|b| b.get_mut(..width)) {
        field.copy_from_slice(&last.wrapping_add_signed((which % 3) as i64 - 1).to_ne_bytes()[..width]);
    }
}

/// Changes the number of elements or a number of the head.
fn mutate(dice: &mut Dice, input: &mut [u8]) {
    if dice.below(2) == 0 {
        return go_to_the_brink(input, dice.below(8), dice.below(6));
    }
    let (at, width) = [(0, 8), (8, 8), (16, 8), (24, 1), (25, 1), (26, 1)][dice.below(6)];
    let number = odd(dice, input.len());
    if let Some(field) = input.get_mut(at..at + width) {
        field.copy_from_slice(&number.to_le_bytes()[..width]);
    }
}
