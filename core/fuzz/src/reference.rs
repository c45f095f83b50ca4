//! The bytes of a reference, as R's unserialize() hands them over. The law: refused, or the same reference when written and read again.

use super::Target;
use super::dice::Dice;
use super::reference_of_altrep::Reference;

pub const TARGET: Target = Target { name: "reference", run, seeds, mutate };

pub fn run(input: &[u8]) {
    if let Some(reference) = Reference::parse(input) {
        let bytes = reference.bytes();
        assert!(bytes.len() <= input.len());
        assert_eq!(Reference::parse(&bytes), Some(reference));
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let usual = [&[1, 1, 0, 0][..], &[7; 44]].concat();
    let elsewhere = [&[1, 3, 1, 1][..], &[9; 44], b"/tmp/\xff/cowshed-0"].concat();
    vec![usual, elsewhere]
}

fn mutate(dice: &mut Dice, input: &mut [u8]) {
    if let Some(byte) = input.get_mut(dice.below(52)) {
        *byte = dice.below(6) as u8;
    }
}
