//! `poll(2)`.

use std::os::fd::RawFd;

use super::Errno;

/// `struct pollfd`.
#[derive(Clone, Copy)]
pub(crate) struct PollFd(libc::pollfd);

impl PollFd {
    /// Requests `flags` of `fd`; flags that only epoll knows are left out. poll(2) ignores a negative `fd`.
    pub(crate) fn new(fd: RawFd, flags: u32) -> Self {
        let events = i16::try_from(flags & 0x7fff).unwrap_or(0);
        Self(libc::pollfd { fd, events, revents: 0 })
    }

    /// The returned flags; poll(2) reports ERR and HUP also when they were not requested.
    pub(crate) fn flags(self) -> u32 {
        u32::from(self.0.revents.unsigned_abs())
    }
}

/// `poll(2)`; `timeout` is in milliseconds, -1 blocks without limit.
///
/// # Errors
/// EINTR when a signal handler ran; ENOMEM.
pub(crate) fn poll(fds: &mut [PollFd], timeout: i32) -> Result<(), Errno> {
    let count = libc::nfds_t::try_from(fds.len()).unwrap_or(0);
    syscall!(poll(fds.as_mut_ptr().cast(), count, timeout)).map(drop)
}
