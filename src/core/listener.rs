//! A listening socket.

use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::readiness::Readiness;
use super::socket::Socket;
use crate::sys::{self, Errno};

/// How long a listener is not accepted from after the process has run out of descriptors or memory.
///
/// accept(2) then leaves the connection in the backlog, and epoll(7) does not report a new edge for it.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

pub(crate) struct Listener {
    fd: OwnedFd,
    accepts_tcp: bool,
    /// Whether accepted sockets inherit a `SO_LINGER` that makes close(2) block.
    pub(super) lingers: bool,
    pub(super) readiness: Readiness,
    /// The end of the accept back-off.
    pub(super) back_off: Option<Instant>,
}

impl Listener {
    /// Makes a listener of a descriptor on which listen(2) has been called.
    pub(super) fn new(fd: OwnedFd, accepts_tcp: bool, lingers: bool) -> Self {
        Self { fd, accepts_tcp, lingers, readiness: Readiness::UNVERIFIED, back_off: None }
    }

    /// `listen(2)` on a bound or listening descriptor, which it takes ownership of.
    ///
    /// # Errors
    /// EBADF, ENOTSOCK; EPROTOTYPE when it is not a stream socket; EINVAL when it is connected. The descriptor then
    /// stays open and the caller's.
    pub(crate) fn adopt(fd: RawFd, backlog: i32) -> Result<Self, Errno> {
        let (fd, accepts_tcp) = sys::adopt(fd, |fd| {
            sys::check_stream(fd)?;
            sys::listen(fd, backlog)?;
            sys::is_tcp(fd)
        })?;
        Ok(Self::new(fd, accepts_tcp, false))
    }

    /// Gives up the descriptor without closing it.
    pub(super) fn disown(self) {
        let _ = self.fd.into_raw_fd();
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// `accept4(2)`, again after errors of one connection.
    ///
    /// # Errors
    /// EAGAIN when no connection is pending. EMFILE, ENFILE, ENOBUFS, ENOMEM: the connection stays in the backlog, and
    /// the listener is in back-off.
    pub(crate) fn accept(&mut self) -> Result<Socket, Errno> {
        loop {
            match sys::accept(self.fd()) {
                Ok(fd) => {
                    self.readiness.took(false);
                    let mut socket = Socket::new(fd, self.accepts_tcp);
                    socket.lingers = self.lingers;
                    return Ok(socket);
                }
                Err(errno) if errno.is_of_one_connection() => {}
                Err(errno) => {
                    self.readiness.would_block_reader();
                    if errno.is_exhaustion() {
                        self.back_off = Some(Instant::now() + ACCEPT_BACK_OFF);
                    }
                    return Err(errno);
                }
            }
        }
    }
}
