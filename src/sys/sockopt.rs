//! `getsockopt(2)` and `setsockopt(2)`.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::Errno;

/// `getsockopt(2)`: returns the number of bytes written to `into`.
///
/// # Errors
/// ENOPROTOOPT for an unknown option; EINVAL.
pub(crate) fn get_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    into: &mut [u8],
) -> Result<usize, Errno> {
    get_raw(fd.as_raw_fd(), level, name, into)
}

/// `setsockopt(2)`.
///
/// # Errors
/// ENOPROTOOPT for an unknown option; EINVAL, EPERM, EDOM and others, by option.
pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &[u8],
) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::INVAL)?;
    syscall!(setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), length)).map(drop)
}

/// `SO_ERROR`: the socket's pending error. socket(7): reading it clears it.
pub(crate) fn socket_error(fd: BorrowedFd<'_>) -> Result<Option<Errno>, Errno> {
    get_int(fd.as_raw_fd(), libc::SO_ERROR).map(Errno::from_raw)
}

/// The pending error of a socket that `get_option` has returned, if the option is `SO_ERROR`.
pub(crate) fn error_of(level: i32, name: i32, value: &[u8]) -> Option<Errno> {
    let number =
        value.first_chunk().filter(|_| level == libc::SOL_SOCKET && name == libc::SO_ERROR)?;
    Errno::from_raw(i32::from_ne_bytes(*number))
}

/// Checks by `SO_TYPE` that it is a stream socket.
///
/// # Errors
/// EBADF; ENOTSOCK for a descriptor of another kind; EPROTOTYPE for a socket of another type.
pub(crate) fn check_stream(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    match get_int(fd.as_raw_fd(), libc::SO_TYPE)? {
        libc::SOCK_STREAM => Ok(()),
        _ => Err(Errno::PROTOTYPE),
    }
}

/// Whether `SO_PROTOCOL` is TCP.
pub(crate) fn is_tcp(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(get_int(fd.as_raw_fd(), libc::SO_PROTOCOL)? == libc::IPPROTO_TCP)
}

/// `SO_ACCEPTCONN`: whether listen(2) has been called.
pub(crate) fn is_listening(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(get_int(fd.as_raw_fd(), libc::SO_ACCEPTCONN)? != 0)
}

/// Sets `SO_LINGER` with a time of 0: close(2) then sends RST and discards unsent bytes.
pub(crate) fn discard_on_close(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set_linger(fd, 1)
}

/// Turns `SO_LINGER` off: close(2) then returns at once, and the kernel sends the rest in the background.
pub(crate) fn send_after_close(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set_linger(fd, 0)
}

/// Whether the option makes close(2) block. socket(7): `SO_LINGER` with a time above 0 does, also for a non-blocking
/// socket.
pub(crate) fn makes_close_block(level: i32, name: i32, value: &[u8]) -> bool {
    let zero = |half: Option<&[u8]>| half.is_none_or(|half| half.iter().all(|byte| *byte == 0));
    level == libc::SOL_SOCKET
        && name == libc::SO_LINGER
        && !zero(value.get(..4))
        && !zero(value.get(4..8))
}

/// `struct linger`, with a time of 0 seconds.
fn set_linger(fd: BorrowedFd<'_>, on: i32) -> Result<(), Errno> {
    let mut value = [0; 8];
    value[..4].copy_from_slice(&on.to_ne_bytes());
    set_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, &value)
}

fn get_int(fd: RawFd, name: i32) -> Result<i32, Errno> {
    let mut value = [0; 4];
    get_raw(fd, libc::SOL_SOCKET, name, &mut value)?;
    Ok(i32::from_ne_bytes(value))
}

fn get_raw(fd: RawFd, level: i32, name: i32, into: &mut [u8]) -> Result<usize, Errno> {
    let mut length = libc::socklen_t::try_from(into.len()).map_err(|_| Errno::INVAL)?;
    syscall!(getsockopt(fd, level, name, into.as_mut_ptr().cast(), &raw mut length))?;
    Ok(into.len().min(usize::try_from(length).unwrap_or(0)))
}
