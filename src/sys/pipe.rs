//! `pipe2(2)` and `splice(2)`: bytes from one socket to another that do not come into the program's memory.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;

use super::Errno;

/// `pipe2(2)`: the reading end and the writing end.
///
/// # Errors
/// EMFILE, ENFILE. ENFILE is also the user's limit of pipe memory, `pipe-user-pages-hard` of pipe(7).
///
/// # Notes
/// A pipe has slots, 16 of them unless the user has too many already (pipe(7), `pipe-user-pages-soft`). A slot holds one
/// piece of a socket's buffer, which may be a single byte.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut fds = [-1; 2];
    syscall!(pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK))?;
    // SAFETY: the kernel has just returned these descriptors: they are open and have no other owner.
    Ok(fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).into())
}

/// `fcntl(F_SETPIPE_SZ)`: a slot for each page of `bytes`, rounded up to a power of two. Returns the size in bytes.
///
/// # Errors
/// EPERM above `/proc/sys/fs/pipe-max-size` or the user's limits, which changes nothing; EBUSY when more slots are in use
/// than are to be left; EINVAL, ENOMEM.
pub(crate) fn set_pipe_size(fd: BorrowedFd<'_>, bytes: usize) -> Result<usize, Errno> {
    let bytes = i32::try_from(bytes).map_err(|_| Errno::INVAL)?;
    let size = syscall!(fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, bytes))?;
    Ok(usize::try_from(size).unwrap_or(0))
}

/// `splice(2)` between a stream socket and a pipe: returns the number of bytes that were moved, at most `count`. Of a
/// socket, 0 is the peer's end of stream.
///
/// # Errors
/// EAGAIN when the socket has nothing, or is at its urgent mark; when the pipe has no slot, or is empty; when the socket's
/// send buffer is full. EPIPE, ECONNRESET and other errors of the connection; ENOBUFS, ENOMEM.
///
/// # Notes
/// There is no `MSG_NOSIGNAL` here: EPIPE raises SIGPIPE, which ends the process unless it ignores that signal. Node
/// (`PlatformInit` in `src/node.cc`), Bun and Deno (`reset_sigpipe` of Rust's `std`) ignore it from their start. Once the
/// program removes a listener for it, libuv sets the default action, for its own write(2) as well.
///
/// `SPLICE_F_NONBLOCK` is about the pipe. That the socket does not block is a flag of its own.
pub(crate) fn splice(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    count: usize,
) -> Result<usize, Errno> {
    loop {
        let moved = syscall!(splice(
            from.as_raw_fd(),
            null_mut(),
            to.as_raw_fd(),
            null_mut(),
            count,
            libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK,
        ));
        match moved {
            Err(Errno::INTR) => {}
            moved => return moved.map(isize::unsigned_abs),
        }
    }
}
