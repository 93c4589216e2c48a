//! `socket(2)`, `bind(2)`, `listen(2)`, `accept4(2)`, `connect(2)`, `shutdown(2)`.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::address::RawAddress;
use super::{Address, Errno};

/// An address family, `address_families(7)`, by its number in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Unix = 0,
    Ipv4 = 4,
    Ipv6 = 6,
}

impl Family {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Self::Unix, Self::Ipv4, Self::Ipv6].into_iter().find(|family| *family as u32 == number)
    }
}

/// The half of a connection that `shutdown(2)` ends, by its number in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shutdown {
    Read = 0,
    Write = 1,
    Both = 2,
}

impl Shutdown {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Self::Read, Self::Write, Self::Both].into_iter().find(|how| *how as u32 == number)
    }
}

/// `socket(2)`: a stream socket.
///
/// # Errors
/// EMFILE, ENFILE, ENOBUFS, ENOMEM; EAFNOSUPPORT when the kernel lacks the family.
pub(crate) fn socket(family: Family) -> Result<OwnedFd, Errno> {
    new_socket(family, libc::SOCK_STREAM, 0)
}

/// `socket(2)` with `IPPROTO_MPTCP`: a stream socket of Multipath TCP, RFC 8684.
///
/// # Errors
/// EPROTONOSUPPORT when the kernel is built without it, or for Unix sockets; EINVAL before Linux 5.6; ENOPROTOOPT where
/// `net.mptcp.enabled` is 0; otherwise as [`socket`].
pub(crate) fn multipath_socket(family: Family) -> Result<OwnedFd, Errno> {
    new_socket(family, libc::SOCK_STREAM, libc::IPPROTO_MPTCP)
}

/// `socket(2)`: a Unix datagram socket.
///
/// # Errors
/// EMFILE, ENFILE, ENOBUFS, ENOMEM.
pub(crate) fn datagram_socket() -> Result<OwnedFd, Errno> {
    new_socket(Family::Unix, libc::SOCK_DGRAM, 0)
}

fn new_socket(family: Family, kind: libc::c_int, protocol: libc::c_int) -> Result<OwnedFd, Errno> {
    let domain = match family {
        Family::Unix => libc::AF_UNIX,
        Family::Ipv4 => libc::AF_INET,
        Family::Ipv6 => libc::AF_INET6,
    };
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let fd = syscall!(socket(domain, kind | flags, protocol))?;
    // SAFETY: the kernel has just returned this descriptor: it is open and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `bind(2)`.
///
/// # Errors
/// EADDRINUSE, EADDRNOTAVAIL, EACCES, EINVAL; for a path also ENOENT, ENOTDIR, EROFS, ENAMETOOLONG.
pub(crate) fn bind(fd: BorrowedFd<'_>, address: &Address) -> Result<(), Errno> {
    let raw = RawAddress::new(address)?;
    syscall!(bind(fd.as_raw_fd(), raw.as_ptr(), raw.length())).map(drop)
}

/// `listen(2)`.
///
/// # Errors
/// EADDRINUSE when another socket listens on the same port.
///
/// # Notes
/// The kernel silently limits `backlog` to `/proc/sys/net/core/somaxconn`.
pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    syscall!(listen(fd.as_raw_fd(), backlog)).map(drop)
}

/// `accept4(2)`: the next connection.
///
/// # Errors
/// EAGAIN when no connection is pending; EMFILE, ENFILE, ENOBUFS, ENOMEM; errors of one connection, see
/// [`Errno::is_of_one_connection`].
pub(crate) fn accept(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let accepted =
        syscall!(accept4(fd.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags))?;
    // SAFETY: the kernel has just returned this descriptor: it is open and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(accepted) })
}

/// `connect(2)`.
///
/// # Errors
/// EINPROGRESS while a TCP connection is being established. EAGAIN when the backlog of a Unix listener is full: the
/// attempt has ended, and no event will follow. ECONNREFUSED, ENOENT, EADDRNOTAVAIL and others.
///
/// # Notes
/// connect(2): after EINTR the connection is established asynchronously, so it is reported as EINPROGRESS here.
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
/// ENOTCONN when the socket is not connected any more.
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
/// EINVAL for an address of a family that is not in [`Family`].
pub(crate) fn local_address(fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    let mut raw = RawAddress::empty();
    let (address, length) = raw.as_mut_parts();
    syscall!(getsockname(fd.as_raw_fd(), address, length))?;
    raw.address().ok_or(Errno::INVAL)
}

/// `getpeername(2)`.
///
/// # Errors
/// ENOTCONN when the socket is not connected yet, or not any more.
pub(crate) fn remote_address(fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    let mut raw = RawAddress::empty();
    let (address, length) = raw.as_mut_parts();
    syscall!(getpeername(fd.as_raw_fd(), address, length))?;
    raw.address().ok_or(Errno::INVAL)
}

/// The peer of a connection that was reset: `SO_PEERNAME`.
///
/// # Errors
/// ENOTCONN when the socket was never connected.
///
/// # Notes
/// `inet_getname` in `net/ipv4/af_inet.c` refuses `getpeername(2)` in the state `TCP_CLOSE`, but not this option, which
/// `net/core/sock.c` refuses (EINVAL) for a length above that of the address.
pub(crate) fn former_remote_address(fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    match peer_name(fd, size_of::<libc::sockaddr_in6>()) {
        Err(Errno::INVAL) => peer_name(fd, size_of::<libc::sockaddr_in>()),
        result => result,
    }
}

fn peer_name(fd: BorrowedFd<'_>, size: usize) -> Result<Address, Errno> {
    let mut raw = RawAddress::with_room(size);
    let (address, length) = raw.as_mut_parts();
    let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERNAME);
    syscall!(getsockopt(fd.as_raw_fd(), level, name, address.cast(), length))?;
    raw.address().ok_or(Errno::INVAL)
}
