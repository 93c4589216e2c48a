//! One listening socket.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
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
    pub(super) readiness: Readiness,
    /// When an exhausted listener is looked at again.
    pub(super) back_off: Option<Instant>,
}

impl Listener {
    /// `listen(2)` on a bound socket of ours.
    ///
    /// # Errors
    /// EADDRINUSE when another socket listens on the port.
    pub(crate) fn new(fd: OwnedFd, backlog: i32) -> Result<Self, Errno> {
        let accepts_tcp = start(fd.as_fd(), backlog)?;
        Ok(Self { fd, accepts_tcp, readiness: Readiness::UNKNOWN, back_off: None })
    }

    /// Takes over somebody's bound or listening socket.
    ///
    /// # Errors
    /// EBADF, ENOTSOCK, EPROTOTYPE when it is no stream socket; EINVAL when it is connected. The
    /// descriptor then stays as it was.
    pub(crate) fn adopt(fd: RawFd, backlog: i32) -> Result<Self, Errno> {
        let (fd, accepts_tcp) = sys::adopt(fd, |fd| {
            sys::check_stream(fd)?;
            start(fd, backlog)
        })?;
        Ok(Self { fd, accepts_tcp, readiness: Readiness::UNKNOWN, back_off: None })
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
                    return Ok(Socket::new(fd, self.accepts_tcp));
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

/// Listens; tells whether TCP connections will come.
fn start(fd: BorrowedFd<'_>, backlog: i32) -> Result<bool, Errno> {
    sys::listen(fd, backlog)?;
    sys::is_tcp(fd)
}
