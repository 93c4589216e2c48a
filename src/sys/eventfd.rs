//! `eventfd(2)`.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::Errno;

/// What one thread rings and another one hears by `poll(2)`.
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub(crate) fn new() -> Result<Self, Errno> {
        let fd = syscall!(eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Makes the descriptor readable. EAGAIN, the counter's end, would say that it is already.
    pub(crate) fn signal(&self) {
        let one = 1_u64;
        let _ = syscall!(write(self.fd(), (&raw const one).cast(), size_of::<u64>()));
    }

    /// Makes it unreadable; EAGAIN says that nobody has rung.
    pub(crate) fn clear(&self) {
        let mut count = 0_u64;
        let _ = syscall!(read(self.fd(), (&raw mut count).cast(), size_of::<u64>()));
    }
}
