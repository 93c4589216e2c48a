//! `timerfd_create(2)`.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::Errno;

/// A one-shot timer whose descriptor becomes readable: an epoll descriptor can watch it.
pub(crate) struct TimerFd(OwnedFd);

impl TimerFd {
    /// `timerfd_create(2)`: a timer that is not set.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub(crate) fn new() -> Result<Self, Errno> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        let fd = syscall!(timerfd_create(libc::CLOCK_MONOTONIC, flags))?;
        // SAFETY: the kernel has just returned this descriptor: it is open and has no other owner.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// `timerfd_settime(2)`: makes the descriptor unreadable now and readable after a time.
    ///
    /// # Notes
    /// A time of 0 would disarm the timer, and so 1 ns stands for it. There is no error for a valid time.
    pub(crate) fn set(&self, after: Duration) {
        let after = after.max(Duration::from_nanos(1));
        let value = libc::timespec {
            tv_sec: libc::time_t::try_from(after.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: after.subsec_nanos().into(),
        };
        let interval = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = libc::itimerspec { it_interval: interval, it_value: value };
        let none = std::ptr::null_mut();
        let _ = syscall!(timerfd_settime(self.0.as_raw_fd(), 0, &raw const spec, none));
    }
}

impl AsRawFd for TimerFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
