//! What the machine itself takes: baselines for `benches/`, called from R by `.Call`.
//!
//! Nothing here is part of the package. Arguments are what `benches/limits.R` passes, and are not checked.

use std::ffi::{CStr, CString};
use std::ptr::null_mut;

use libR_sys::SEXP;

const PAGE: usize = 4096;

/// Writes the doubles `x` into a new file without a name in the directory `store`, with as few calls as the kernel lets us.
///
/// # Safety
/// A double vector and a character vector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_write(x: SEXP, store: SEXP) -> SEXP {
    // SAFETY: the caller's; a descriptor of ours.
    unsafe { libc::close(written(x, store)) };
    nil()
}

/// The same, and waits until they are on the disk.
///
/// # Safety
/// As `limit_write`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_write_synced(x: SEXP, store: SEXP) -> SEXP {
    // SAFETY: as above.
    unsafe {
        let fd = written(x, store);
        assert_eq!(libc::fsync(fd) + libc::close(fd), 0);
    }
    nil()
}

/// A new file without a name that has the doubles.
unsafe fn written(x: SEXP, store: SEXP) -> libc::c_int {
    // SAFETY: the caller's.
    let (fd, data, len) = unsafe { (unnamed_file(store), libR_sys::REAL(x).cast::<u8>(), bytes(x)) };
    let mut done = 0;
    while done < len {
        // SAFETY: the rest of the vector's bytes.
        let wrote = unsafe { libc::pwrite(fd, data.add(done).cast(), len - done, done as libc::off_t) };
        assert!(wrote > 0, "pwrite: {}", std::io::Error::last_os_error());
        done += wrote as usize;
    }
    fd
}

/// The sum of the doubles in a file from `offset` on: opened, mapped `maps` times, and read through the last mapping.
///
/// # Safety
/// A character vector and three double vectors, of one element each; the file has `n` doubles there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_map_sum(file: SEXP, offset: SEXP, n: SEXP, maps: SEXP) -> SEXP {
    // SAFETY: the caller's.
    let [offset, n, maps] = [offset, n, maps].map(|x| unsafe { *libR_sys::REAL(x) } as usize);
    // SAFETY: as above.
    let fd = unsafe { libc::open(libR_sys::R_CHAR(libR_sys::STRING_ELT(file, 0)), libc::O_RDONLY) };
    assert!(fd >= 0, "open: {}", std::io::Error::last_os_error());
    let len = offset + n * 8;
    let map = || {
        // SAFETY: a new mapping of a file that is as long.
        let at = unsafe { libc::mmap(null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
        assert!(at != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        at
    };
    let mapped: Vec<_> = (0..maps).map(|_| map()).collect();
    let last = mapped[maps - 1].cast::<u8>();
    // SAFETY: within the mapping, and aligned: the offset is a multiple of eight.
    let sum: f64 = unsafe { std::slice::from_raw_parts(last.add(offset).cast::<f64>(), n) }.iter().sum();
    for at in mapped {
        // SAFETY: the mapping made above.
        unsafe { libc::munmap(at, len) };
    }
    // SAFETY: ours; and R's.
    unsafe {
        libc::close(fd);
        libR_sys::Rf_ScalarReal(sum)
    }
}

/// A file of the doubles made in `store`, named, and removed: the least that a small object with a name takes of the kernel.
///
/// # Safety
/// As `limit_write`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_small(x: SEXP, store: SEXP) -> SEXP {
    // SAFETY: the caller's.
    let (fd, data, len) = unsafe { (unnamed_file(store), libR_sys::REAL(x).cast::<u8>(), bytes(x)) };
    // SAFETY: as above.
    let path = unsafe { CStr::from_ptr(libR_sys::R_CHAR(libR_sys::STRING_ELT(store, 0))) };
    let name = CString::new([path.to_bytes(), b"/limit"].concat()).expect("no zero byte");
    let open = CString::new(format!("/proc/self/fd/{fd}")).expect("no zero byte");
    // SAFETY: the vector's bytes, C strings, a descriptor of ours.
    unsafe {
        assert_eq!(libc::pwrite(fd, data.cast(), len, 0), len as isize);
        assert_eq!(
            libc::linkat(libc::AT_FDCWD, open.as_ptr(), libc::AT_FDCWD, name.as_ptr(), libc::AT_SYMLINK_FOLLOW),
            0
        );
        libc::unlink(name.as_ptr());
        libc::close(fd);
    }
    nil()
}

/// The same through a mapping: what a writer does that makes the file's pages one by one.
///
/// # Safety
/// As `limit_write`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_map_write(x: SEXP, store: SEXP) -> SEXP {
    // SAFETY: the caller's.
    let (fd, len) = unsafe { (unnamed_file(store), bytes(x)) };
    // SAFETY: a new file and a new mapping of its length, into which the vector's bytes fit.
    unsafe {
        assert_eq!(libc::ftruncate(fd, len as libc::off_t), 0);
        let at = libc::mmap(null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, fd, 0);
        assert_ne!(at, libc::MAP_FAILED);
        std::ptr::copy_nonoverlapping(libR_sys::REAL(x).cast::<u8>(), at.cast(), len);
        libc::munmap(at, len);
        libc::close(fd);
    }
    nil()
}

/// Copies the doubles into fresh memory.
///
/// # Safety
/// A double vector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_copy(x: SEXP) -> SEXP {
    // SAFETY: the caller's.
    let len = unsafe { bytes(x) };
    // SAFETY: a new mapping of that length.
    unsafe {
        let at = libc::mmap(
            null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(at, libc::MAP_FAILED);
        std::ptr::copy_nonoverlapping(libR_sys::REAL(x).cast::<u8>(), at.cast(), len);
        libc::munmap(at, len);
    }
    nil()
}

/// A new file of the doubles in `store`, as a descriptor for `limit_touch`.
///
/// # Safety
/// As `limit_write`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_file(x: SEXP, store: SEXP) -> SEXP {
    // SAFETY: the caller's.
    let fd = unsafe { unnamed_file(store) };
    // SAFETY: the vector's bytes.
    let wrote = unsafe { libc::pwrite(fd, libR_sys::REAL(x).cast(), bytes(x), 0) };
    // SAFETY: as above.
    assert_eq!(wrote, unsafe { bytes(x) } as isize, "a file of one write");
    // SAFETY: allocation of a scalar.
    unsafe { libR_sys::Rf_ScalarInteger(fd) }
}

/// Maps the file anew for reading and reads a word of each page. `how`: 0, page faults do it; 1, the kernel maps all at once (MAP_POPULATE);
/// 2, the same by MADV_POPULATE_READ; 3, asking for huge pages first.
///
/// # Safety
/// What `limit_file` returned, the file's length in bytes as a double, and an integer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_touch(fd: SEXP, len: SEXP, how: SEXP) -> SEXP {
    // SAFETY: the caller's.
    let (fd, len, how) = unsafe { (*libR_sys::INTEGER(fd), *libR_sys::REAL(len) as usize, *libR_sys::INTEGER(how)) };
    let populate = if how == 1 { libc::MAP_POPULATE } else { 0 };
    // SAFETY: a mapping of the file, within whose length we read.
    unsafe {
        let at = libc::mmap(null_mut(), len, libc::PROT_READ, libc::MAP_SHARED | populate, fd, 0);
        match how {
            2 => libc::madvise(at, len, libc::MADV_POPULATE_READ),
            3 => libc::madvise(at, len, libc::MADV_HUGEPAGE),
            _ => 0,
        };
        assert_ne!(at, libc::MAP_FAILED);
        for page in (0..len).step_by(PAGE) {
            std::hint::black_box(at.cast::<u8>().add(page).read_volatile());
        }
        libc::munmap(at, len);
    }
    nil()
}

/// Opens the file at `path`, maps all of it three times, reads a byte of each mapping, unmaps and closes: what a mapped object takes at the least.
///
/// # Safety
/// A character vector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_map_thrice(path: SEXP) -> SEXP {
    // SAFETY: the caller's; a descriptor of ours, and mappings of a file that is not empty, of its length.
    unsafe {
        let fd = libc::open(libR_sys::R_CHAR(libR_sys::STRING_ELT(path, 0)), libc::O_RDONLY | libc::O_CLOEXEC);
        assert!(fd >= 0, "open: {}", std::io::Error::last_os_error());
        let len = libc::lseek(fd, 0, libc::SEEK_END) as usize;
        let mut maps = [null_mut(); 3];
        for at in &mut maps {
            *at = libc::mmap(null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
            assert_ne!(*at, libc::MAP_FAILED);
            std::hint::black_box(at.cast::<u8>().read_volatile());
        }
        for at in maps {
            libc::munmap(at, len);
        }
        libc::close(fd);
    }
    nil()
}

/// Sums a sequence of doubles that is made block by block in a small buffer: what a virtual vector takes at the least.
///
/// # Safety
/// Three doubles: how many elements, the first, the step.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_generate(n: SEXP, first: SEXP, step: SEXP) -> SEXP {
    // SAFETY: the caller's.
    let (n, first, step) = unsafe { (*libR_sys::REAL(n) as usize, *libR_sys::REAL(first), *libR_sys::REAL(step)) };
    let mut block = [0.0; 2048];
    let mut sums = [0.0; 8];
    let mut at = 0;
    while at < n {
        let now = block.len().min(n - at);
        for (k, place) in block[..now].iter_mut().enumerate() {
            *place = first + step * (at + k) as f64;
        }
        add(&mut sums, std::hint::black_box(&block[..now]));
        at += now;
    }
    number(sums.iter().sum())
}

/// Sums through the vector's pointer.
///
/// # Safety
/// A double vector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_pointer_sum(x: SEXP) -> SEXP {
    // SAFETY: the caller's.
    let all = unsafe { std::slice::from_raw_parts(libR_sys::REAL(x), libR_sys::Rf_xlength(x) as usize) };
    let mut sums = [0.0; 8];
    add(&mut sums, all);
    number(sums.iter().sum())
}

/// Reads so many elements at random places through the vector's pointer; and writes them, if asked to.
///
/// # Safety
/// A double vector, a double, a logical.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn limit_pointer_random(x: SEXP, n: SEXP, write: SEXP) -> SEXP {
    // SAFETY: the caller's.
    let (data, len) = unsafe { (libR_sys::REAL(x), libR_sys::Rf_xlength(x) as u64) };
    // SAFETY: as above.
    let (n, write) = unsafe { (*libR_sys::REAL(n) as usize, *libR_sys::LOGICAL(write) != 0) };
    let (mut state, mut sum) = (0x9e37_79b9_7f4a_7c15_u64, 0.0);
    for _ in 0..n {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let i = ((u128::from(state) * u128::from(len)) >> 64) as usize;
        // SAFETY: within the vector.
        unsafe {
            sum += data.add(i).read_volatile();
            if write {
                data.add(i).write_volatile(-1.0);
            }
        }
    }
    number(sum)
}

fn add(sums: &mut [f64; 8], values: &[f64]) {
    let mut eights = values.chunks_exact(8);
    for eight in &mut eights {
        for k in 0..8 {
            sums[k] += eight[k];
        }
    }
    for value in eights.remainder() {
        sums[0] += value;
    }
}

fn number(value: f64) -> SEXP {
    // SAFETY: allocation of a scalar.
    unsafe { libR_sys::Rf_ScalarReal(value) }
}

/// # Safety
/// A double vector.
unsafe fn bytes(x: SEXP) -> usize {
    // SAFETY: the caller's.
    unsafe { libR_sys::Rf_xlength(x) as usize * size_of::<f64>() }
}

/// # Safety
/// A character vector whose first element is a directory's path.
unsafe fn unnamed_file(store: SEXP) -> libc::c_int {
    // SAFETY: the caller's.
    let path = unsafe { CStr::from_ptr(libR_sys::R_CHAR(libR_sys::STRING_ELT(store, 0))) };
    // SAFETY: a C string.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_TMPFILE | libc::O_RDWR, 0o600) };
    assert!(fd >= 0, "open: {}", std::io::Error::last_os_error());
    fd
}

fn nil() -> SEXP {
    // SAFETY: a constant of R's.
    unsafe { libR_sys::R_NilValue }
}
