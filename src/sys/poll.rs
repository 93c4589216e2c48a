//! `poll(2)`.

use std::os::fd::RawFd;

use super::Errno;

/// One `struct pollfd`.
#[derive(Clone, Copy)]
pub(crate) struct PollFd(libc::pollfd);

impl PollFd {
    /// Asks for `flags` of `fd`; bits that poll(2) does not know are left out.
    pub(crate) fn new(fd: RawFd, flags: u32) -> Self {
        let events = i16::try_from(flags & 0x7fff).unwrap_or(0);
        Self(libc::pollfd { fd, events, revents: 0 })
    }

    /// What the kernel answered; ERR and HUP come unasked.
    pub(crate) fn flags(self) -> u32 {
        u32::from(self.0.revents.unsigned_abs())
    }
}

/// `poll(2)`; `timeout` is in milliseconds, -1 waits without end.
///
/// # Errors
/// EINTR when a signal came first.
pub(crate) fn poll(fds: &mut [PollFd], timeout: i32) -> Result<(), Errno> {
    let count = libc::nfds_t::try_from(fds.len()).unwrap_or(0);
    syscall!(poll(fds.as_mut_ptr().cast(), count, timeout)).map(drop)
}
