//! `mincore(2)` and `madvise(2)`: what of a file is in the page cache.
//!
//! The mappings are never touched: a page beyond the end of a file that has shrunk would raise SIGBUS.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::null_mut;

use super::Errno;

/// The smallest page of the architectures that Linux has, in bytes.
const SMALLEST_PAGE: usize = 4096;

/// The most pages that one mincore(2) is asked for.
const PAGES: usize = 512;

/// How many parts are read at a time, the one that is waited for included.
const READ_AHEAD: u64 = 4;

/// Bytes that one pread(2) reads.
const PIECE: usize = 64 * 1024;

/// A part of a file in the address space, without access to it.
struct Mapping {
    address: *mut c_void,
    length: usize,
}

impl Mapping {
    /// `mmap(2)` of the pages that a part of a file lies in, which may be beyond its end.
    ///
    /// # Errors
    /// ENODEV for a file system without mappings; ENOMEM; EOVERFLOW, EINVAL.
    fn new(fd: BorrowedFd<'_>, offset: u64, length: usize) -> Result<Self, Errno> {
        let page = page_size();
        let start = offset - offset % page as u64;
        let before = usize::try_from(offset - start).map_err(|_| Errno::INVAL)?;
        let length = (before + length).next_multiple_of(page);
        let start = libc::off_t::try_from(start).map_err(|_| Errno::INVAL)?;
        let (fd, access) = (fd.as_raw_fd(), libc::PROT_READ);
        // SAFETY: the kernel chooses an address where nothing is mapped.
        let address =
            unsafe { libc::mmap(null_mut(), length, access, libc::MAP_SHARED, fd, start) };
        if address == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        Ok(Self { address, length })
    }

    /// `mincore(2)`: whether all pages are in the page cache and up to date.
    fn is_resident(&self) -> Result<bool, Errno> {
        let mut pages = [0; PAGES];
        let count = self.length / page_size();
        let pages = pages.get_mut(..count).ok_or(Errno::INVAL)?;
        syscall!(mincore(self.address, self.length, pages.as_mut_ptr()))?;
        Ok(pages.iter().all(|page| page & 1 == 1))
    }

    /// `madvise(MADV_POPULATE_READ)`: reads all pages.
    ///
    /// # Errors
    /// EINVAL before Linux 5.14; EFAULT for a part beyond the end of the file, or an error of the disk.
    fn populate(&self) -> Result<(), Errno> {
        syscall!(madvise(self.address, self.length, libc::MADV_POPULATE_READ)).map(drop)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // There is no error for a mapping that is there.
        let _ = syscall!(munmap(self.address, self.length));
    }
}

/// An offset that no file of a file system reaches: ext4 ends at 1 EiB, Linux at 8 EiB.
const BEYOND_ANY_FILE: u64 = (1 << 62) + (1 << 61);

/// Whether mincore(2) is to be believed of a file.
///
/// # Notes
/// `can_do_mincore` in mm/mincore.c: of a file that the caller neither owns nor may write, mincore(2) says that all pages
/// are. A page beyond the end of the file never is.
pub(super) fn is_truthful(fd: BorrowedFd<'_>) -> bool {
    let beyond = Mapping::new(fd, BEYOND_ANY_FILE, 1);
    beyond.and_then(|mapping| mapping.is_resident()) == Ok(false)
}

/// Whether a part of a file, of which mincore(2) is to be believed, is in the page cache. False for more than `PAGES`.
pub(super) fn is_resident(fd: BorrowedFd<'_>, offset: u64, length: usize) -> bool {
    let mapping = Mapping::new(fd, offset, length);
    mapping.and_then(|mapping| mapping.is_resident()) == Ok(true)
}

/// Reads a part of a file into the page cache, and has the kernel begin to read what follows, before `end`.
///
/// # Errors
/// Those of pread(2). A part beyond the end of the file is none.
pub(super) fn load(fd: BorrowedFd<'_>, offset: u64, length: usize, end: u64) -> Result<(), Errno> {
    read_ahead(fd, offset, length as u64, end);
    match Mapping::new(fd, offset, length).and_then(|mapping| mapping.populate()) {
        Ok(()) => Ok(()),
        Err(_) => read_through(fd, offset, length),
    }
}

/// `posix_fadvise(POSIX_FADV_WILLNEED)`: begins to read a part of a file, and some parts of the same size that follow.
///
/// # Notes
/// `force_page_cache_ra` in mm/readahead.c: one call reads at most as much as one request of the disk, or as the disk is
/// read ahead. A fault of a mapping reads less, and waits for that.
fn read_ahead(fd: BorrowedFd<'_>, offset: u64, length: u64, end: u64) {
    for start in (0..READ_AHEAD).map(|part| offset + part * length).take_while(|at| *at < end) {
        let length = length.min(end - start);
        if let (Ok(start), Ok(length)) =
            (libc::off_t::try_from(start), libc::off_t::try_from(length))
        {
            // It is only advice.
            // SAFETY: posix_fadvise(3) takes no pointers.
            let _ = unsafe {
                libc::posix_fadvise(fd.as_raw_fd(), start, length, libc::POSIX_FADV_WILLNEED)
            };
        }
    }
}

/// `pread(2)` of a part of a file, for the sake of its pages and of its errors.
fn read_through(fd: BorrowedFd<'_>, mut offset: u64, length: usize) -> Result<(), Errno> {
    let mut piece = vec![0; length.min(PIECE)];
    let end = offset + length as u64;
    while offset < end {
        let at = libc::off_t::try_from(offset).map_err(|_| Errno::INVAL)?;
        let count = usize::try_from(end - offset).unwrap_or(PIECE).min(piece.len());
        match syscall!(pread(fd.as_raw_fd(), piece.as_mut_ptr().cast(), count, at)) {
            Ok(0) => break,
            Ok(count) => offset += count.unsigned_abs() as u64,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// `sysconf(_SC_PAGESIZE)`, in bytes.
fn page_size() -> usize {
    // SAFETY: sysconf(3) has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(SMALLEST_PAGE).max(SMALLEST_PAGE)
}
