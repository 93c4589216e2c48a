//! `socket(2)`, `bind(2)`, `listen(2)`, `accept4(2)`, `connect(2)`, `shutdown(2)`.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::address::RawAddress;
use super::{Address, Errno};

/// `address_families(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Unix,
    Ipv4,
    Ipv6,
}

/// Which half `shutdown(2)` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shutdown {
    Read,
    Write,
    Both,
}

/// A stream socket: `socket(2)`.
///
/// # Errors
/// EMFILE, ENFILE, ENOBUFS, ENOMEM; EAFNOSUPPORT when the kernel lacks the family.
pub(crate) fn socket(family: Family) -> Result<OwnedFd, Errno> {
    let domain = match family {
        Family::Unix => libc::AF_UNIX,
        Family::Ipv4 => libc::AF_INET,
        Family::Ipv6 => libc::AF_INET6,
    };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let fd = syscall!(socket(domain, kind, 0))?;
    // SAFETY: the kernel has just made this descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `bind(2)`.
///
/// # Errors
/// EADDRINUSE, EADDRNOTAVAIL, EACCES; for paths also ENOENT, ENOTDIR, ENAMETOOLONG.
pub(crate) fn bind(fd: BorrowedFd<'_>, address: &Address) -> Result<(), Errno> {
    let raw = RawAddress::new(address)?;
    syscall!(bind(fd.as_raw_fd(), raw.as_ptr(), raw.length())).map(drop)
}

/// `listen(2)`; the kernel caps `backlog` at `net.core.somaxconn`.
///
/// # Errors
/// EADDRINUSE when another socket listens on the same port.
pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    syscall!(listen(fd.as_raw_fd(), backlog)).map(drop)
}

/// `accept4(2)`: the next connection.
///
/// # Errors
/// EAGAIN when nobody waits; EMFILE, ENFILE, ENOBUFS, ENOMEM; errors of the one connection.
pub(crate) fn accept(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let accepted =
        syscall!(accept4(fd.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags))?;
    // SAFETY: the kernel has just made this descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(accepted) })
}

/// `connect(2)`.
///
/// # Errors
/// EINPROGRESS while a TCP connection is under way. EAGAIN from a Unix listener whose backlog is
/// full: nothing will be under way then, and nothing to wait for.
///
/// # Notes
/// EINTR leaves the connection under way: connect(2) must not be called again for it.
pub(crate) fn connect(fd: BorrowedFd<'_>, address: &Address) -> Result<(), Errno> {
    let raw = RawAddress::new(address)?;
    match syscall!(connect(fd.as_raw_fd(), raw.as_ptr(), raw.length())) {
        Err(Errno::INTR) => Err(Errno::INPROGRESS),
        result => result.map(drop),
    }
}

/// `shutdown(2)`.
///
/// # Errors
/// ENOTCONN once the connection is gone.
pub(crate) fn shutdown(fd: BorrowedFd<'_>, how: Shutdown) -> Result<(), Errno> {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    syscall!(shutdown(fd.as_raw_fd(), how)).map(drop)
}

/// `getsockname(2)`.
///
/// # Errors
/// EINVAL for an address of a family that is not ours.
pub(crate) fn local_address(fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    let mut raw = RawAddress::room();
    let (address, length) = raw.as_mut_parts();
    syscall!(getsockname(fd.as_raw_fd(), address, length))?;
    raw.address().ok_or(Errno::INVAL)
}

/// `getpeername(2)`.
///
/// # Errors
/// ENOTCONN before a connection stands and after it is gone.
pub(crate) fn remote_address(fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    let mut raw = RawAddress::room();
    let (address, length) = raw.as_mut_parts();
    syscall!(getpeername(fd.as_raw_fd(), address, length))?;
    raw.address().ok_or(Errno::INVAL)
}
