//! `recv(2)`, `send(2)` and `sendmsg(2)`.
//!
//! recv(2) and send(2) are made by syscall(2): libc's functions are cancellation points (pthreads(7)) and change the
//! thread's cancellation type before and after each call.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{null, null_mut};

use super::Errno;

/// `UIO_MAXIOV`: the kernel's limit of pieces per call, see sendmsg(2).
pub(crate) const MAX_PIECES: usize = 1024;

/// `MAX_RW_COUNT`: the most bytes that one call transfers, see read(2) and write(2).
pub(crate) const MAX_BYTES: usize = 0x7fff_f000;

/// `recv(2)`: returns the number of bytes; 0 is the peer's end of stream.
///
/// # Errors
/// EAGAIN when there is nothing to receive; ECONNRESET, ETIMEDOUT and other errors of the connection.
pub(crate) fn receive(fd: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
    receive_with(fd, into, 0)
}

/// `recv(2)` with `MSG_PEEK`: the bytes stay in the kernel.
///
/// # Errors
/// As [`receive`].
pub(crate) fn peek(fd: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
    receive_with(fd, into, libc::MSG_PEEK)
}

fn receive_with(fd: BorrowedFd<'_>, into: &mut [u8], flags: i32) -> Result<usize, Errno> {
    loop {
        let received = syscall!(syscall(
            libc::SYS_recvfrom,
            fd.as_raw_fd(),
            into.as_mut_ptr(),
            into.len(),
            flags | libc::MSG_DONTWAIT,
            null_mut::<libc::sockaddr>(),
            null_mut::<libc::socklen_t>(),
        ));
        match received {
            Err(Errno::INTR) => {}
            received => return received.map(count),
        }
    }
}

/// `send(2)`: returns the number of bytes that the kernel took.
///
/// # Errors
/// EAGAIN when the kernel's buffer is full; EPIPE, ECONNRESET; ENOBUFS, ENOMEM.
///
/// # Notes
/// `MSG_NOSIGNAL`: without it, sending to a closed connection raises SIGPIPE.
fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        let sent = syscall!(syscall(
            libc::SYS_sendto,
            fd.as_raw_fd(),
            bytes.as_ptr(),
            bytes.len(),
            SEND_FLAGS,
            null::<libc::sockaddr>(),
            0 as libc::c_ulong,
        ));
        match sent {
            Err(Errno::INTR) => {}
            sent => return sent.map(count),
        }
    }
}

/// `sendmsg(2)`: as [`send`], of several pieces. One piece is sent by send(2), which costs the kernel less.
pub(crate) fn send_pieces(fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
    match pieces {
        [piece] => return send(fd, piece),
        [piece, rest] if rest.is_empty() => return send(fd, piece),
        _ => {}
    }
    // SAFETY: all-zero bytes are a valid `msghdr`: null pointers and lengths of 0.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // std guarantees that an `IoSlice` has the layout of `struct iovec`. sendmsg(2) does not write to it.
    message.msg_iov = pieces.as_ptr().cast_mut().cast();
    message.msg_iovlen = length_field(pieces.len().min(MAX_PIECES));
    loop {
        let sent = syscall!(sendmsg(fd.as_raw_fd(), &raw const message, SEND_FLAGS));
        match sent {
            Err(Errno::INTR) => {}
            sent => return sent.map(isize::unsigned_abs),
        }
    }
}

/// The count that a successful system call returned.
fn count(bytes: libc::c_long) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}

/// A length of a `msghdr`: a `size_t` in glibc, an `int` or a `socklen_t` in musl.
pub(super) fn length_field<T: TryFrom<usize> + Default>(count: usize) -> T {
    T::try_from(count).unwrap_or_default()
}

const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
