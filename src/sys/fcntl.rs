//! `fcntl(2)`.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::Errno;

/// Checks that the number is an open descriptor: `fcntl(F_GETFD)`.
///
/// # Errors
/// EBADF when it is not.
pub(crate) fn check_open(fd: RawFd) -> Result<(), Errno> {
    syscall!(fcntl(fd, libc::F_GETFD)).map(drop)
}

/// `fcntl(F_DUPFD_CLOEXEC)`: another descriptor of the same open file, above those of standard input and output. Whether
/// it blocks is a flag of the file.
///
/// # Errors
/// EBADF, EMFILE.
pub(crate) fn duplicate(fd: RawFd) -> Result<OwnedFd, Errno> {
    let copy = syscall!(fcntl(fd, libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1))?;
    // SAFETY: the kernel has just returned this descriptor: it is open and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Sets `O_NONBLOCK` and `FD_CLOEXEC`: `fcntl(2)`.
fn make_nonblocking(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let raw = fd.as_raw_fd();
    let status = syscall!(fcntl(raw, libc::F_GETFL))?;
    syscall!(fcntl(raw, libc::F_SETFL, status | libc::O_NONBLOCK))?;
    let flags = syscall!(fcntl(raw, libc::F_GETFD))?;
    syscall!(fcntl(raw, libc::F_SETFD, flags | libc::FD_CLOEXEC)).map(drop)
}

/// Takes ownership of a descriptor if `check` accepts it.
///
/// # Errors
/// EBADF for a number that is not open; the error of `check`. The descriptor then stays open and the caller's.
pub(crate) fn adopt<T>(
    fd: RawFd,
    check: impl FnOnce(BorrowedFd<'_>) -> Result<T, Errno>,
) -> Result<(OwnedFd, T), Errno> {
    check_open(fd)?;
    // SAFETY: fcntl(2) has just found the number open, and the borrow ends before JavaScript of this thread, which
    // could close it, runs again.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let checked = check(borrowed)?;
    make_nonblocking(borrowed)?;
    // SAFETY: the descriptor is open, as above, and the caller gives up its ownership.
    Ok((unsafe { OwnedFd::from_raw_fd(fd) }, checked))
}
