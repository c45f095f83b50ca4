//! Files to begin with, and changes to their fields.

use super::dice::Dice;
use super::odd;
use super::{crc32, handmade::*};

/// As an input: what is made of it, and the file without its control block.
fn input(how: u8, also: u8, file: &[u8]) -> Vec<u8> {
    [&[how, also], &file[..HEADER], &file[DATA_AT as usize..]].concat()
}

/// Every kind of file in every way: as it is, with repairs, mapped, with a large table, damaged afterwards, listed.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for file in files() {
        for how in [0, 1, 2, 3, 7, 8 | 7, 16 | 7, 16 | 8 | 7] {
            seeds.push(input(how, 255, &file));
        }
        for brink in 0..18 {
            let mut file = file.clone();
            let (table, at) = (get64(&file, TABLE_OFFSET), get64(&file, TABLE_OFFSET) as usize);
            go_to_the_brink(&mut file, table, at, brink);
            seeds.extend([7, 16 | 7].map(|how| input(how, 255, &file)));
        }
        seeds.push(input(7, 0, &file));
        for how in [64 | 7, 64 | 16 | 7] {
            seeds.push([input(how, 255, &file), vec![7, 60, 255]].concat());
        }
        seeds.push([&[32 | 7, 255], &file[..]].concat());
    }
    seeds
}

/// With checksums, as a stored one.
fn stored(payload: &[u8]) -> Vec<u8> {
    let sum = crc32(payload).to_le_bytes();
    let mut file = build(&[payload, &sum, &[0; 60]].concat(), &[numbers(1216, 8)], &[], &NAMES, 0);
    put32(&mut file, CHECKSUMS_CRC, crc32(&sum));
    put64(&mut file, CHECKSUMS, 1280);
    reseal(&mut file);
    file
}

fn files() -> Vec<Vec<u8>> {
    let payload: Vec<u8> = (0..64u8).collect();
    let lists = [numbers(1216, 3), numbers(1248, 2), list(0, 2), Raw { attributes: 2, ..list(2, 3) }];
    let nothing = Raw { payload: (0, 0), ..numbers(0, 0) };
    let cycle = [Raw { attributes: 3, ..list(0, 2) }, list(1, 1), list(0, 0)];
    let mut through = build(&payload, &[numbers(1216, 8)], &[], &NAMES, 0);
    through[MODE] = 1;
    reseal(&mut through);
    let memory =
        [Raw { strategy: 1, ..numbers(1216, 4) }, Raw { strategy: 0, length: 5, payload: (1264, 5), ..list(0, 0) }];
    let mut named = build(&payload, &memory, &[], &["memory.name", "r.raw"], 0);
    named[MODE] = 1;
    reseal(&mut named);
    vec![
        build(&payload, &[numbers(1216, 8)], &[], &NAMES, 0),
        stored(&payload),
        build(&payload, &lists, &[0, 1, 2, 1, 0], &NAMES, 3),
        build(&[], &[nothing], &[], &["fake.numbers"], 0),
        build(&[], &cycle, &[1, 2, 0], &NAMES, 0),
        build(
            &[1; 2048],
            &[numbers(1216, 40), numbers(1280, 128), list(0, 2)],
            &[0, 1],
            &["fake.numbers", "fake.list", "", "pkg.é"],
            2,
        ),
        through,
        named,
    ]
}

/// Sets a number of the first node, of the first child or of the header to the last that is allowed, or to a neighbour of it. `table`: what the
/// header says, `at`: where that is in `b`.
fn go_to_the_brink(b: &mut [u8], table: u64, at: usize, which: usize) {
    let [nodes, children] = [NODE_COUNT, CHILD_COUNT].map(|at| get32(b, at));
    let child = at.wrapping_add(NODE * nodes as usize);
    let field = |at: usize, field: usize| at.wrapping_add(field);
    let Some(node) = b.get(at..).and_then(|b| b.get(..NODE)) else { return };
    let (at, width, last) = match which / 3 {
        0 => (field(at, PAYLOAD_LEN), 8, table.wrapping_sub(get64(node, PAYLOAD_OFFSET))),
        1 => (field(at, CHILDREN), 4, children.wrapping_sub(get32(node, FIRST_CHILD)).into()),
        2 => (field(at, ATTRIBUTES), 4, nodes.into()),
        // Aligned to less than it must be.
        3 => (field(at, PAYLOAD_OFFSET), 8, get64(node, PAYLOAD_OFFSET).wrapping_add(8)),
        4 if children > 0 => (child, 4, nodes.wrapping_sub(1).into()),
        _ => (ROOT, 4, nodes.wrapping_sub(1).into()),
    };
    let number = last.wrapping_add_signed((which % 3) as i64 - 1).to_le_bytes();
    if let Some(field) = b.get_mut(at..).and_then(|b| b.get_mut(..width)) {
        field.copy_from_slice(&number[..width]);
    }
}

/// Changes a field or two of the header, a node, a child or a name's length.
pub fn mutate(dice: &mut Dice, input: &mut [u8]) {
    let Some((how, rest)) = input.split_first_chunk_mut::<2>() else { return };
    if rest.len() < HEADER + NODE {
        return;
    }
    let control = if how[0] & 32 != 0 { 0 } else { DATA_AT as usize - HEADER };
    let table = (get64(rest, TABLE_OFFSET) as usize).wrapping_sub(control);
    let [nodes, children] = [NODE_COUNT, CHILD_COUNT].map(|at| get32(rest, at) as usize);
    for _ in 0..1 + dice.below(3) {
        let number = odd(dice, rest.len());
        if dice.below(4) == 0 {
            let (says, at) = (get64(rest, TABLE_OFFSET), table.wrapping_add(NODE * dice.below(nodes.clamp(1, 64))));
            go_to_the_brink(rest, says, at, dice.below(18));
            continue;
        }
        let node = table.wrapping_add(NODE * dice.below(nodes.clamp(1, 64)));
        let at_child = table.wrapping_add(NODE * nodes + 4 * dice.below(children.clamp(1, 1024)));
        let at = match dice.below(12) {
            0 => {
                [(NODE_COUNT, 4), (CHILD_COUNT, 4), (NAMES_LEN, 4), (ROOT, 4), (ORDER, 1), (VERSION, 4)][dice.below(6)]
            }
            1 => [(FILE_LEN, 8), (TABLE_OFFSET, 8), (MODE, 1), (INDEX_CRC, 4), (HEADER_CRC, 4)][dice.below(5)],
            2..6 => (node.wrapping_add([LENGTH, PAYLOAD_OFFSET, PAYLOAD_LEN][dice.below(3)]), 8),
            6..9 => (node.wrapping_add([ATTRIBUTES, FIRST_CHILD, CHILDREN][dice.below(3)]), 4),
            9 => (node.wrapping_add(STRATEGY), 2),
            10 => (at_child, 4),
            _ => (table.wrapping_add(NODE * nodes + 4 * children), 2),
        };
        if let Some(field) = rest.get_mut(at.0..).and_then(|b| b.get_mut(..at.1)) {
            field.copy_from_slice(&number.to_le_bytes()[..at.1]);
        }
    }
    if dice.below(4) == 0 {
        how[0] = dice.roll() as u8 | if dice.below(4) > 0 { 3 } else { 0 };
    }
}
