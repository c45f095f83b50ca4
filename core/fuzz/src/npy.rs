//! The header of an array, as numpy writes it.
//!
//! An input is a file. The law: it is refused, or its data lies within it, and a header written anew says the same.

use cowshed_core::{Dtype, Npy};

use super::dice::Dice;
use super::{Target, odd};

pub const TARGET: Target = Target { name: "npy", run, seeds, mutate };

pub fn run(input: &[u8]) {
    let Ok(npy) = Npy::parse(input, input.len() as u64) else { return };
    let bytes = npy.len().expect("it was checked") * npy.dtype.size as u64;
    assert!(npy.data_at + bytes <= input.len() as u64);
    let _ = npy.is_columnar();
    // A list of fields is written by nobody here.
    if npy.dtype.kind == 0 {
        return;
    }
    let mut again = npy.bytes();
    let data_at = again.len() as u64;
    assert_eq!(data_at % 64, 0);
    again.resize(again.len() + bytes as usize, 0);
    let read = Npy::parse(&again, again.len() as u64).expect("it was written here");
    assert_eq!(read, Npy { data_at, ..npy });
}

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }",
        "{\"shape\": (4L,), 'fortran_order': False, 'descr': '>M8[ns]'}",
        "{'descr': [('a', '<f8'), ('b]', [('c', '|S3')])], 'fortran_order': False, 'shape': (), }",
        "{'descr': '<U2', 'fortran_order': False, 'shape': (0, 18446744073709551615), }",
    ];
    let mut seeds: Vec<_> = texts
        .iter()
        .flat_map(|text| {
            let version = |n: u8, len: &[u8]| [b"\x93NUMPY", &[n, 0][..], len, text.as_bytes(), &[0; 64]].concat();
            let len = text.len() as u32;
            [version(1, &(len as u16).to_le_bytes()), version(3, &len.to_le_bytes())]
        })
        .collect();
    let whole = Npy { dtype: Dtype::new(b'i', 2), fortran: false, shape: vec![1, 7], data_at: 0 };
    seeds.push([whole.bytes(), vec![0; 14]].concat());
    seeds
}

/// Another length of the header, or a digit or word of it exchanged.
fn mutate(dice: &mut Dice, input: &mut [u8]) {
    if dice.below(4) == 0 {
        let number = odd(dice, input.len()).to_le_bytes();
        if let Some(field) = input.get_mut(8..10) {
            field.copy_from_slice(&number[..2]);
        }
        return;
    }
    const ODD: &[u8] = b"0123456789(),'\"[]{}LTF<>|=fiucbUSOM \\";
    if input.len() > 10 {
        let at = 10 + dice.below(input.len() - 10);
        input[at] = ODD[dice.below(ODD.len())];
    }
}
