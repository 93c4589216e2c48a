//! A listening socket.

use super::descriptor::Descriptor;
use super::interest::Interest;
use super::readiness::Readiness;
use super::socket::Socket;
use crate::sys::{self, AsFd, BorrowedFd, Errno, RawFd};

/// The most errors of single connections that one call skips: seccomp(2) or a firewall rule may return EPERM for ever.
const MOST_SKIPPED: usize = 16;

/// How a wait accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Serving {
    /// What is reported of the sockets, edge-triggered.
    pub(crate) interest: Interest,
    /// The limit of their send queues, in bytes.
    pub(crate) queue_limit: usize,
    /// How many more are accepted.
    pub(crate) room: usize,
}

pub(crate) struct Listener {
    fd: Descriptor,
    accepts_tcp: bool,
    /// Whether accepted sockets inherit a `SO_LINGER` that makes close(2) block.
    pub(super) lingers: bool,
    pub(super) readiness: Readiness,
    /// How waits accept its connections; `None` when they report it instead.
    pub(super) serving: Option<Serving>,
}

impl Listener {
    /// Makes a listener of a descriptor on which listen(2) has been called.
    pub(super) fn new(fd: Descriptor, accepts_tcp: bool, lingers: bool) -> Self {
        Self { fd, accepts_tcp, lingers, readiness: Readiness::UNVERIFIED, serving: None }
    }

    /// `listen(2)` on a bound or listening descriptor, which it takes ownership of. Without a backlog, one that listens
    /// keeps its own.
    ///
    /// # Errors
    /// EBADF, ENOTSOCK; EPROTOTYPE when it is not a stream socket; EINVAL when it is connected, or without a backlog
    /// when it does not listen; EEXIST when it is owned already. The descriptor then stays open and the caller's.
    pub(crate) fn adopt(fd: RawFd, backlog: Option<i32>) -> Result<Self, Errno> {
        let (fd, (accepts_tcp, lingers)) = sys::adopt(fd, |fd| {
            sys::check_stream(fd)?;
            match backlog {
                Some(backlog) => sys::listen(fd, backlog)?,
                None if sys::is_listening(fd)? => {}
                None => return Err(Errno::INVAL),
            }
            Ok((sys::is_tcp(fd)?, sys::lingers(fd)?))
        })?;
        Ok(Self::new(Descriptor::adopt(fd)?, accepts_tcp, lingers))
    }

    /// Whether waits leave its connections in the backlog.
    pub(super) fn is_full(&self) -> bool {
        self.serving.is_some_and(|serving| serving.room == 0)
    }

    /// A wait has accepted a connection.
    pub(super) fn take_room(&mut self) {
        if let Some(serving) = &mut self.serving {
            serving.room = serving.room.saturating_sub(1);
        }
    }

    /// Gives up the descriptor without closing it.
    pub(super) fn disown(self) {
        self.fd.disown();
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// `accept4(2)`, again after errors of one connection, `MOST_SKIPPED` times.
    ///
    /// # Errors
    /// EAGAIN when no connection is pending; any other one when connections may be pending for which there will be no
    /// edge: EMFILE, ENFILE, ENOBUFS, ENOMEM, an error of one connection that lasts, and what accept(2) does not name.
    pub(crate) fn accept(&mut self) -> Result<Socket, Errno> {
        let mut skipped = 0;
        loop {
            match sys::accept(self.fd()) {
                Ok(fd) => {
                    self.readiness.took(false);
                    let mut socket = Socket::new(Descriptor::new(fd), self.accepts_tcp);
                    socket.lingers = self.lingers;
                    return Ok(socket);
                }
                Err(errno) if errno.is_of_one_connection() && skipped < MOST_SKIPPED => {
                    skipped += 1;
                }
                Err(errno) => {
                    self.readiness.would_block_reader();
                    return Err(errno);
                }
            }
        }
    }
}
