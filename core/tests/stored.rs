//! Segments that stay: found again by their path alone, never a part of one, damage noticed.

mod support;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cowshed_core::fake::{Fake, registry};
use cowshed_core::{
    Flags, Kind, Mode, Node, Segment, Stored, StoredError, Verified, open, open_stored, remove_stored, share,
    verify_stored, write,
};
use support::{Dir, SmallDisk};

/// `n` numbers in a file of `dir`.
fn stored(dir: &Dir, n: usize, flags: Flags) -> PathBuf {
    let (host, path) = (Fake::default(), dir.path().join(format!("{n}.cowshed")));
    let numbers: Vec<_> = (0..n).map(|i| i as f64).collect();
    share(&host, registry(), &Stored::new(&path), host.numbers(&numbers), flags).unwrap();
    path
}

fn show(segment: &Arc<Segment>) -> String {
    let host = Fake::default();
    host.show(open(&host, registry(), segment, segment.root()).unwrap())
}

fn verify(path: &Path) -> Result<Verified, StoredError> {
    verify_stored(path, || Ok(()))
}

#[test]
fn what_is_stored_is_read_after_every_holder_is_gone() {
    let dir = Dir::disk();
    for n in [0, 1, 3, 2000, 1 << 20] {
        let path = stored(&dir, n, Flags::COPY_ON_WRITE);
        let segment = open_stored(&path).unwrap();
        assert_eq!((segment.mode(), segment.is_mapped()), (Mode::Frozen, n >= 2000));
        assert!(segment.lease().is_none());
        assert_eq!(segment.place().unwrap().path(), path.canonicalize().unwrap());
        if n < 10 {
            let numbers: Vec<_> = (0..n).map(|i| i.to_string()).collect();
            assert_eq!(show(&segment), format!("[{}]", numbers.join(", ")));
        }
        assert_eq!(verify(&path).unwrap(), Verified::All);
    }
}

#[test]
fn a_file_is_open_once_and_anew_after_it_was_replaced() {
    let dir = Dir::disk();
    let path = stored(&dir, 3, Flags::COPY_ON_WRITE);
    let first = open_stored(&path).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(Arc::ptr_eq(&first, &open_stored(&link).unwrap()));
    remove_stored(&path).unwrap();
    assert!(!first.place().unwrap().is_there());
    let again = stored(&dir, 3, Flags::COPY_ON_WRITE);
    assert!(!Arc::ptr_eq(&first, &open_stored(&again).unwrap()));
    assert!(!first.place().unwrap().is_there(), "another file by that name");
    assert_eq!(show(&first), "[0, 1, 2]");
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let dir = Dir::disk();
    let (host, path) = (Fake::default(), dir.path().join("mine"));
    std::fs::write(&path, "mine").unwrap();
    let make = || share(&host, registry(), &Stored::new(&path), host.numbers(&[1.0]), Flags::COPY_ON_WRITE);
    assert_eq!(make().unwrap_err().kind(), Some(Kind::Exists));
    std::fs::remove_file(&path).unwrap();
    // Also if it comes while the segment is being written, and whatever it is.
    for place in [
        |path: &Path| std::fs::write(path, "mine").unwrap(),
        |path: &Path| std::os::unix::fs::symlink("nowhere", path).unwrap(),
    ] {
        let late = write(&host, registry(), &Stored::new(&path), Flags::COPY_ON_WRITE, |out| {
            place(&path);
            out.encode(host.numbers(&[1.0]))
        });
        assert_eq!(late.unwrap_err().kind(), Some(Kind::Exists));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn what_is_not_there_or_no_file_of_ours_is_an_error_that_says_so() {
    let dir = Dir::disk();
    let kind = |path: &Path| open_stored(path).unwrap_err().kind();
    assert_eq!(kind(&dir.path().join("absent")), Kind::Gone);
    assert_eq!(kind(dir.path()), Kind::Store);
    let (pipe, text) = (dir.path().join("pipe"), dir.path().join("text"));
    let name = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
    // SAFETY: a string, which lives over the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert_eq!(kind(&pipe), Kind::Store, "and nobody waits for its writer");
    std::fs::write(&text, vec![b'x'; 5000]).unwrap();
    assert_eq!(kind(&text), Kind::Corrupt);
    // What is none of ours is not removed.
    for path in [&pipe, &text] {
        remove_stored(path).unwrap_err();
        assert!(path.exists());
    }
    let missing = Stored::new(&dir.path().join("absent").join("x"));
    let host = Fake::default();
    let made = share(&host, registry(), &missing, host.numbers(&[1.0]), Flags::COPY_ON_WRITE);
    assert_eq!(made.unwrap_err().kind(), Some(Kind::Store));
}

#[test]
fn every_cut_is_an_error_when_it_is_opened_and_what_is_damaged_can_be_removed() {
    let dir = Dir::disk();
    for n in [3, 2000] {
        let path = stored(&dir, n, Flags::COPY_ON_WRITE);
        let whole = std::fs::read(&path).unwrap();
        for len in (0..whole.len()).step_by(if n == 3 { 1 } else { 97 }) {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(open_stored(&path).unwrap_err().kind(), Kind::Corrupt, "{len} bytes");
            assert_eq!(verify(&path).unwrap_err().kind(), Kind::Corrupt, "{len} bytes");
        }
        std::fs::write(&path, &whole[..7]).unwrap();
        remove_stored(&path).unwrap_err();
        std::fs::write(&path, &whole[..8]).unwrap();
        remove_stored(&path).unwrap();
    }
}

#[test]
fn any_bit_of_a_payload_or_checksum_that_differs_is_found() {
    let dir = Dir::disk();
    let path = stored(&dir, 300_000, Flags::COPY_ON_WRITE);
    let header = open_stored(&path).unwrap().header().clone();
    assert!(header.checksums.offset > 2_400_000);
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    // One for each MiB.
    let end = header.checksums.offset + 12;
    let places = (1216..end).step_by(65_521).chain(end - 12..end).chain([header.table_offset, header.file_len - 1]);
    for at in places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        let error = verify(&path).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "byte {at}");
        if let StoredError::Damaged { from, to, .. } = error {
            assert!((from..=to).contains(&at), "byte {at} is said to lie between {from} and {to}");
        }
        file.write_all_at(&byte, at).unwrap();
    }
    assert_eq!(verify(&path).unwrap(), Verified::All);
}

#[test]
fn a_write_through_file_has_its_space_and_keeps_what_is_written() {
    let dir = Dir::disk();
    let (host, path) = (Fake::default(), dir.path().join("x"));
    let bytes = 64u64 << 20;
    let segment = write(&host, registry(), &Stored::new(&path), Flags::empty(), |out| {
        let payload = out.zeros(bytes)?;
        out.node("fake.numbers", Node { payload, length: bytes / 8, ..Node::default() }, &[])
    });
    let segment = segment.unwrap();
    use std::os::unix::fs::MetadataExt;
    assert!(path.metadata().unwrap().blocks() * 512 >= bytes, "all of it is reserved");
    let payload = segment.table().node(segment.root()).payload;
    let at = |segment: &Segment, i: usize| segment.payload_mut(payload).unwrap().wrapping_add(i);
    // SAFETY: within the payload, which nobody else has.
    unsafe { at(&segment, bytes as usize - 1).write(7) };
    drop(segment);
    assert_eq!(verify(&path).unwrap(), Verified::Structure);
    let again = open_stored(&path).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { (at(&again, 0).read(), at(&again, bytes as usize - 1).read()) }, (0, 7));
}

#[test]
fn a_full_disk_is_an_error_with_sizes_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount(512) else { return };
    let host = Fake::default();
    let path = disk.path().join("x.cowshed");
    let value = host.numbers(&vec![1.0; 100_000]);
    for flags in [Flags::COPY_ON_WRITE, Flags::empty()] {
        let error = share(&host, registry(), &Stored::new(&path), value, flags).unwrap_err();
        assert_eq!(error.kind(), Some(Kind::Full));
        assert!(error.to_string().contains("x.cowshed") && error.to_string().contains("bytes are free"), "{error}");
    }
    // Reserved rather than written, and in small pieces that are found too many at the end.
    let zeros = write(&host, registry(), &Stored::new(&path), Flags::empty(), |out| {
        let payload = out.zeros(1 << 20)?;
        out.node("fake.numbers", Node { payload, ..Node::default() }, &[])
    });
    assert_eq!(zeros.unwrap_err().kind(), Some(Kind::Full));
    let few = host.numbers(&vec![1.0; 8000]);
    let many: Vec<_> = (0..100).map(|i| host.numbers(&vec![f64::from(i); 1000])).collect();
    let error = share(&host, registry(), &Stored::new(&path), host.list(&many), Flags::COPY_ON_WRITE).unwrap_err();
    assert_eq!(error.kind(), Some(Kind::Full));
    assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0);
    share(&host, registry(), &Stored::new(&path), few, Flags::COPY_ON_WRITE).unwrap();
    assert_eq!(verify(&path).unwrap(), Verified::All);
}

#[test]
fn who_may_open_a_file_is_the_umasks_affair() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::disk();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let mine = dir.path().join("plain");
    std::fs::write(&mine, "").unwrap();
    assert_eq!(mode(&stored(&dir, 3, Flags::COPY_ON_WRITE)), mode(&mine));
}
