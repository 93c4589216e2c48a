//! `errno(3)`.

use std::io;

/// A kernel error number, always positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(i32);

impl Errno {
    pub(crate) const AGAIN: Self = Self(libc::EAGAIN);
    pub(crate) const ALREADY: Self = Self(libc::EALREADY);
    pub(crate) const BADF: Self = Self(libc::EBADF);
    pub(crate) const BUSY: Self = Self(libc::EBUSY);
    pub(crate) const CONNREFUSED: Self = Self(libc::ECONNREFUSED);
    pub(crate) const EXIST: Self = Self(libc::EEXIST);
    pub(crate) const INPROGRESS: Self = Self(libc::EINPROGRESS);
    pub(crate) const INTR: Self = Self(libc::EINTR);
    pub(crate) const INVAL: Self = Self(libc::EINVAL);
    pub(crate) const ISCONN: Self = Self(libc::EISCONN);
    pub(crate) const ISDIR: Self = Self(libc::EISDIR);
    pub(crate) const NAMETOOLONG: Self = Self(libc::ENAMETOOLONG);
    pub(crate) const NFILE: Self = Self(libc::ENFILE);
    pub(crate) const NOBUFS: Self = Self(libc::ENOBUFS);
    pub(crate) const NODEV: Self = Self(libc::ENODEV);
    pub(crate) const NOENT: Self = Self(libc::ENOENT);
    pub(crate) const NOMEM: Self = Self(libc::ENOMEM);
    pub(crate) const NOSYS: Self = Self(libc::ENOSYS);
    pub(crate) const NOTCONN: Self = Self(libc::ENOTCONN);
    pub(crate) const OPNOTSUPP: Self = Self(libc::EOPNOTSUPP);
    pub(crate) const PERM: Self = Self(libc::EPERM);
    pub(crate) const PIPE: Self = Self(libc::EPIPE);
    pub(crate) const PROTOTYPE: Self = Self(libc::EPROTOTYPE);
    pub(crate) const SPIPE: Self = Self(libc::ESPIPE);

    /// The `errno` of the calling thread.
    pub(crate) fn last() -> Self {
        Self(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }

    /// An error number that the kernel returned as data, as `SO_ERROR` does; `None` for 0.
    pub(crate) fn from_raw(number: i32) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// The negated number, as functions return it to JavaScript.
    pub(crate) fn negated(self) -> i32 {
        -self.0
    }

    /// Whether an error of a call that sends is the connection's. Any other one is of what was to be sent, and the connection
    /// stands.
    pub(crate) fn is_of_connection(self) -> bool {
        matches!(
            self.0,
            libc::EPIPE
                | libc::ECONNRESET
                | libc::ECONNABORTED
                | libc::ECONNREFUSED
                | libc::ENOTCONN
                | libc::ETIMEDOUT
                | libc::EHOSTUNREACH
                | libc::EHOSTDOWN
                | libc::ENETUNREACH
                | libc::ENETDOWN
                | libc::ENETRESET
                | libc::ENONET
                | libc::EPROTO
                | libc::ENOPROTOOPT
        )
    }

    /// Whether an error of accept4(2) concerns one connection and not the listener.
    ///
    /// # Notes
    /// accept(2): Linux returns pending network errors of the new socket as errors of accept. A server has to retry
    /// after them, as after EAGAIN. EPERM: firewall rules forbid the connection, or seccomp(2) forbids the call.
    pub(crate) fn is_of_one_connection(self) -> bool {
        matches!(
            self.0,
            libc::ECONNABORTED
                | libc::EINTR
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::EPERM
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Errno;

    #[test]
    fn zero_is_not_an_error() {
        assert_eq!(Errno::from_raw(0), None);
        assert_eq!(Errno::from_raw(libc::EAGAIN), Some(Errno::AGAIN));
    }

    #[test]
    fn javascript_gets_the_negated_number() {
        assert_eq!(Errno::INVAL.negated(), -libc::EINVAL);
    }
}
