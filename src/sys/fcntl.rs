//! `fcntl(2)`.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::Errno;

/// Whether the number is an open descriptor of this process: `fcntl(F_GETFD)`.
///
/// # Errors
/// EBADF when it is not.
pub(crate) fn is_descriptor(fd: RawFd) -> Result<(), Errno> {
    syscall!(fcntl(fd, libc::F_GETFD)).map(drop)
}

/// Sets `O_NONBLOCK` and `FD_CLOEXEC`, as every descriptor of ours has: `fcntl(2)`.
fn make_nonblocking(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let raw = fd.as_raw_fd();
    let status = syscall!(fcntl(raw, libc::F_GETFL))?;
    syscall!(fcntl(raw, libc::F_SETFL, status | libc::O_NONBLOCK))?;
    let flags = syscall!(fcntl(raw, libc::F_GETFD))?;
    syscall!(fcntl(raw, libc::F_SETFD, flags | libc::FD_CLOEXEC)).map(drop)
}

/// Takes a descriptor over from whoever hands it in, once `check` is content with it.
///
/// # Errors
/// EBADF for a number that is not open, and whatever `check` says; nothing is closed then.
pub(crate) fn adopt<T>(
    fd: RawFd,
    check: impl FnOnce(BorrowedFd<'_>) -> Result<T, Errno>,
) -> Result<(OwnedFd, T), Errno> {
    is_descriptor(fd)?;
    // SAFETY: the kernel has just said that the number is open; it is used only during `check`.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let checked = check(borrowed)?;
    make_nonblocking(borrowed)?;
    // SAFETY: the caller hands the open descriptor over and uses it no more.
    Ok((unsafe { OwnedFd::from_raw_fd(fd) }, checked))
}
