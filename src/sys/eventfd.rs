//! `eventfd(2)`.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::Errno;

/// A counter that one thread signals, to wake another one from poll(2).
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    /// `eventfd(2)`.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub(crate) fn new() -> Result<Self, Errno> {
        let fd = syscall!(eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
        // SAFETY: the kernel has just returned this descriptor: it is open and has no other owner.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Adds to the counter, which makes the descriptor readable: `write(2)`.
    ///
    /// # Notes
    /// EAGAIN is ignored: the counter would come above its maximum of 2^64 - 2, so the descriptor is readable already.
    pub(crate) fn signal(&self, value: u64) {
        let _ = syscall!(write(self.fd(), (&raw const value).cast(), size_of::<u64>()));
    }

    /// Takes the counter, which makes the descriptor unreadable: `read(2)` resets it to 0.
    ///
    /// # Notes
    /// EAGAIN is ignored: the counter is 0 already.
    pub(crate) fn take(&self) -> u64 {
        let mut value = 0_u64;
        let _ = syscall!(read(self.fd(), (&raw mut value).cast(), size_of::<u64>()));
        value
    }
}
