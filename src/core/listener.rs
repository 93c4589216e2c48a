//! One listening socket.

use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::readiness::Readiness;
use super::socket::Socket;
use crate::sys::{self, Errno};

/// How long an exhausted process leaves its listeners alone.
///
/// accept(2) at the descriptor limit leaves the connection in the backlog and gives no new edge.
const BACK_OFF: Duration = Duration::from_millis(100);

pub(crate) struct Listener {
    fd: OwnedFd,
    accepts_tcp: bool,
    /// `SO_LINGER` makes close(2) of what is accepted wait.
    pub(super) lingers: bool,
    pub(super) readiness: Readiness,
    /// When an exhausted listener is looked at again.
    pub(super) back_off: Option<Instant>,
}

impl Listener {
    /// A descriptor on which listen(2) has been called.
    pub(super) fn new(fd: OwnedFd, accepts_tcp: bool, lingers: bool) -> Self {
        Self { fd, accepts_tcp, lingers, readiness: Readiness::UNKNOWN, back_off: None }
    }

    /// Takes over somebody's bound or listening socket: `listen(2)`.
    ///
    /// # Errors
    /// EBADF, ENOTSOCK, EPROTOTYPE when it is no stream socket; EINVAL when it is connected. The
    /// descriptor then stays as it was.
    pub(crate) fn adopt(fd: RawFd, backlog: i32) -> Result<Self, Errno> {
        let (fd, accepts_tcp) = sys::adopt(fd, |fd| {
            sys::check_stream(fd)?;
            sys::listen(fd, backlog)?;
            sys::is_tcp(fd)
        })?;
        Ok(Self::new(fd, accepts_tcp, false))
    }

    /// Lets go of the descriptor without closing it.
    pub(super) fn disown(self) {
        let _ = self.fd.into_raw_fd();
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The next connection.
    ///
    /// # Errors
    /// EAGAIN when nobody waits. EMFILE, ENFILE, ENOBUFS, ENOMEM: the connection stays in the
    /// backlog, and the listener counts as not readable for a while.
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
                        self.back_off = Some(Instant::now() + BACK_OFF);
                    }
                    return Err(errno);
                }
            }
        }
    }
}
