//! `epoll(7)`.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::Errno;

/// Event flags of `epoll_ctl(2)`. poll(2) uses the same bits for those that it knows.
pub(crate) mod flags {
    #![allow(clippy::cast_sign_loss, reason = "libc types bit flags as signed; EPOLLET is bit 31")]

    pub(crate) const IN: u32 = libc::EPOLLIN as u32;
    pub(crate) const PRI: u32 = libc::EPOLLPRI as u32;
    pub(crate) const OUT: u32 = libc::EPOLLOUT as u32;
    pub(crate) const ERR: u32 = libc::EPOLLERR as u32;
    pub(crate) const HUP: u32 = libc::EPOLLHUP as u32;
    pub(crate) const RDHUP: u32 = libc::EPOLLRDHUP as u32;
    pub(crate) const ET: u32 = libc::EPOLLET as u32;
}

/// `struct epoll_event`: flags, and the 64 bits of data that were registered with the descriptor.
#[derive(Clone, Copy)]
pub(crate) struct EpollEvent(libc::epoll_event);

impl EpollEvent {
    pub(crate) const EMPTY: Self = Self(libc::epoll_event { events: 0, u64: 0 });

    pub(crate) fn flags(&self) -> u32 {
        self.0.events
    }

    pub(crate) fn token(&self) -> u64 {
        self.0.u64
    }
}

/// An epoll descriptor.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    /// `epoll_create1(2)`.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub(crate) fn new() -> Result<Self, Errno> {
        let fd = syscall!(epoll_create1(libc::EPOLL_CLOEXEC))?;
        // SAFETY: the kernel has just returned this descriptor: it is open and has no other owner.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// `epoll_ctl(EPOLL_CTL_ADD)`.
    ///
    /// # Errors
    /// EEXIST for a descriptor that is registered already; EPERM for one that epoll does not support (a regular file);
    /// EBADF, ELOOP, ENOMEM; ENOSPC at the limit `/proc/sys/fs/epoll/max_user_watches`.
    pub(crate) fn add(&self, fd: RawFd, flags: u32, token: u64) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_ADD, fd, flags, token)
    }

    /// `epoll_ctl(EPOLL_CTL_MOD)`.
    ///
    /// # Errors
    /// ENOENT for a descriptor that is not registered; EBADF, ENOMEM.
    ///
    /// # Notes
    /// A descriptor that is ready is reported again, also when it is edge-triggered.
    pub(crate) fn modify(&self, fd: RawFd, flags: u32, token: u64) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_MOD, fd, flags, token)
    }

    /// `epoll_ctl(EPOLL_CTL_DEL)`.
    ///
    /// # Errors
    /// ENOENT for a descriptor that is not registered; EBADF for one that is closed.
    pub(crate) fn delete(&self, fd: RawFd) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    fn control(&self, operation: i32, fd: RawFd, flags: u32, token: u64) -> Result<(), Errno> {
        control(self.0.as_raw_fd(), operation, fd, flags, token)
    }

    /// `epoll_wait(2)`: returns the number of events written to `events`.
    ///
    /// `timeout` is in milliseconds; -1 blocks without limit.
    ///
    /// # Errors
    /// EINTR when a signal handler ran.
    pub(crate) fn wait(&self, events: &mut [EpollEvent], timeout: i32) -> Result<usize, Errno> {
        let capacity = i32::try_from(events.len()).unwrap_or(i32::MAX);
        let filled = syscall!(epoll_wait(
            self.0.as_raw_fd(),
            events.as_mut_ptr().cast(),
            capacity,
            timeout
        ))?;
        Ok(usize::try_from(filled).unwrap_or(0))
    }
}

/// `epoll_ctl(EPOLL_CTL_ADD)` on an epoll descriptor of the program: level-triggered, for reading, with the descriptor's
/// number as its data. A descriptor that is registered already stays as it is.
///
/// # Errors
/// As `Epoll::add`; ELOOP when epoll descriptors would watch each other in a circle, or are nested too deep.
pub(crate) fn register_readable(epoll: RawFd, fd: RawFd) -> Result<(), Errno> {
    let data = u64::try_from(fd).map_err(|_| Errno::BADF)?;
    match control(epoll, libc::EPOLL_CTL_ADD, fd, flags::IN, data) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

fn control(epoll: RawFd, operation: i32, fd: RawFd, flags: u32, token: u64) -> Result<(), Errno> {
    let mut event = libc::epoll_event { events: flags, u64: token };
    syscall!(epoll_ctl(epoll, operation, fd, &raw mut event)).map(drop)
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
