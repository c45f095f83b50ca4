//! Pointers to elements that lie in a file.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use cowshed_core::{FileArea, Shape, when_cut};

const PAGE: usize = 4096;
const LEN: usize = 100_000;

fn shape(len: usize) -> Shape {
    Shape { len: len as u64, width: 8, missing: [0xff; 16] }
}

/// A file without a name: `head` bytes, then 0, 1, 2, ... as doubles.
fn file(head: usize) -> File {
    let path =
        std::env::temp_dir().join(format!("mapped-{}-{head}-{:?}", std::process::id(), std::thread::current().id()));
    let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(&vec![0xaa; head]).unwrap();
    let bytes: Vec<u8> = (0..LEN).flat_map(|i| (i as f64).to_ne_bytes()).collect();
    file.write_all(&bytes).unwrap();
    file
}

fn get(area: &FileArea, i: usize) -> f64 {
    // SAFETY: within the elements, aligned.
    unsafe { area.as_ptr().cast::<f64>().add(i).read_volatile() }
}

fn set(area: &FileArea, i: usize, value: f64) {
    // SAFETY: as above.
    unsafe { area.as_ptr().cast::<f64>().add(i).write_volatile(value) };
}

#[test]
fn the_elements_are_the_files_and_what_is_written_is_private() {
    for head in [0, 8, 128, PAGE + 80] {
        let file = file(head);
        let area = FileArea::new(file.as_fd(), head as u64, &shape(LEN), "r.double").unwrap();
        assert!((0..LEN).step_by(97).all(|i| get(&area, i) == i as f64));
        assert!(!area.is_changed());
        set(&area, 5, -5.0);
        set(&area, LEN - 1, -1.0);
        assert!(area.is_changed());
        assert_eq!(area.changed_pages(), 2);
        let again = area.again(file.as_fd(), head as u64, &shape(LEN), "r.double").unwrap();
        assert_eq!((get(&again, 5), get(&again, 6), get(&again, LEN - 1)), (-5.0, 6.0, -1.0));
        set(&again, 5, 50.0);
        set(&area, 70_000, 7.0);
        assert_eq!((get(&area, 5), get(&again, 70_000)), (-5.0, 70_000.0));
        let fresh = FileArea::new(file.as_fd(), head as u64, &shape(LEN), "r.double").unwrap();
        assert_eq!((get(&fresh, 5), get(&fresh, LEN - 1)), (5.0, (LEN - 1) as f64));
    }
}

#[test]
fn what_does_not_lie_there_is_refused() {
    let file = file(8);
    for (offset, len) in [(8, LEN + 1), (3, 10), (16, LEN), (u64::MAX - 7, 1), (8, 0), (8, usize::MAX)] {
        assert!(FileArea::new(file.as_fd(), offset, &shape(len), "r.double").is_err(), "{offset} {len}");
    }
}

#[test]
fn a_file_that_is_cut_gives_missing_values_and_says_so() {
    when_cut(|strategy| if strategy == "r.double" { u64::MAX } else { 0 });
    let file = file(0);
    let area = FileArea::new(file.as_fd(), 0, &shape(LEN), "r.double").unwrap();
    set(&area, 3, -3.0);
    file.set_len(PAGE as u64).unwrap();
    assert!(!area.is_lost());
    assert_eq!((get(&area, 3), get(&area, 4)), (-3.0, 4.0));
    assert!(get(&area, LEN - 1).is_nan());
    assert!(area.is_lost());
}
