//! `connect(2)`, from its start to its outcome.

use super::{Call, Socket, State};
use crate::sys::{self, Address, AsRawFd, BorrowedFd, Errno, PollFd, flags};

impl Socket {
    /// `connect(2)`. Its outcome is reported as readiness, also when it fails at once.
    ///
    /// # Errors
    /// EBADF when the descriptor is closed.
    pub(crate) fn connect(&mut self, to: &Address) -> Result<(), Errno> {
        self.state = State::Connecting;
        match sys::connect(self.fd()?, to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => self.fail(errno, Call::Connect),
        }
        Ok(())
    }

    /// Checks whether a connect has completed: `poll(2)`.
    pub(super) fn progress_connect(&mut self) {
        if self.state != State::Connecting {
            return;
        }
        let Some(fd) = self.raw_fd() else { return };
        let mut request = [PollFd::new(fd, flags::OUT)];
        if sys::poll(&mut request, 0).is_ok() && request.iter().any(|fd| fd.flags() != 0) {
            self.finish_connect();
        }
    }

    /// Reads the outcome of a connect whose socket is reported as writable.
    ///
    /// # Notes
    /// connect(2): a socket is connected when it is writable and `SO_ERROR` is 0. A socket whose connect has not begun
    /// is writable too: it polls as OUT|HUP, and getpeername(2) returns ENOTCONN.
    pub(super) fn finish_connect(&mut self) {
        if let Some(failure) = self.failure {
            return self.fail_connect(failure.errno);
        }
        let outcome = self.fd().and_then(|fd| match sys::socket_error(fd)? {
            Some(errno) => Err(errno),
            None => sys::remote_address(fd),
        });
        match outcome {
            Ok(peer) if self.is_own_peer(&peer) => self.refuse_own_peer(),
            Ok(_) => self.state = State::Open,
            Err(Errno::NOTCONN) => self.forget_flags(),
            Err(errno) if self.has_input() => {
                self.state = State::Open;
                self.break_connection(errno, Call::Read);
            }
            Err(errno) => self.fail_connect(errno),
        }
        if self.state == State::Open && !self.has_unsent() && self.shutdown_pending {
            self.shutdown_now();
        }
    }

    /// Whether there are bytes of a peer. A connection that was established and reset since the last look had them first.
    fn has_input(&self) -> bool {
        self.fd().is_ok_and(|fd| sys::peek(fd, &mut [0]).is_ok_and(|count| count > 0))
    }

    /// Forgets the flags of a socket that is not connected, but for an end that was made here and is to be reported.
    fn forget_flags(&mut self) {
        self.readiness.clear();
        if self.end_unreported {
            self.readiness.merge(flags::RDHUP);
        }
    }

    /// Whether the socket is connected to itself.
    ///
    /// # Notes
    /// A connect to a local port without a listener succeeds when the kernel chooses the same port as the source:
    /// TCP's simultaneous open, RFC 9293 section 3.5.
    fn is_own_peer(&self, peer: &Address) -> bool {
        matches!(peer, Address::Inet(_))
            && self.fd().and_then(sys::local_address).is_ok_and(|local| local == *peer)
    }

    /// # Notes
    /// Closed by FIN, the socket would leave its port in TIME-WAIT, as its own peer: a server could not be bound to it.
    fn refuse_own_peer(&mut self) {
        self.discard_on_close();
        self.fail_connect(Errno::CONNREFUSED);
    }

    /// Resets a socket that is closed while it connects, if it is its own peer.
    pub(super) fn abandon_connect(&self) {
        let peer = self.fd().and_then(sys::remote_address);
        if peer.is_ok_and(|peer| self.is_own_peer(&peer)) {
            self.discard_on_close();
        }
    }

    /// Has close(2) send RST. Returns whether it does; otherwise the connection is reset already.
    pub(super) fn discard_on_close(&self) -> bool {
        self.fd().is_ok_and(|fd| sys::discard_on_close(fd).is_ok())
    }

    /// connect(2): the state of a socket after a failed connect is unspecified, so that it cannot be used again.
    fn fail_connect(&mut self, errno: Errno) {
        self.fail(errno, Call::Connect);
        self.state = State::Closed;
        self.readiness.merge(flags::ERR | flags::HUP);
    }

    /// Closes the descriptor after a failed connect; it has been removed from epoll.
    pub(in crate::core) fn discard_failed(&mut self) {
        if self.state == State::Closed {
            self.fd = None;
        }
    }

    /// # Errors
    /// ENOTCONN after a failed connect. The errno of connect(2) is only in `failure`: EAGAIN, for the full backlog of a
    /// Unix listener, would mean would-block here.
    pub(super) fn check_alive(&mut self) -> Result<(), Errno> {
        self.progress_connect();
        if self.state == State::Closed { Err(Errno::NOTCONN) } else { Ok(()) }
    }
}

/// The state of a stream socket that is adopted.
///
/// # Errors
/// ENOTCONN when it is neither connected nor connecting.
///
/// # Notes
/// poll(2) returns OUT|HUP for a socket that is not connected, and nothing for one in SYN-SENT.
pub(super) fn state_of(fd: BorrowedFd<'_>) -> Result<State, Errno> {
    match sys::remote_address(fd) {
        Ok(_) => return Ok(State::Open),
        Err(Errno::NOTCONN) if !sys::is_listening(fd)? => {}
        Err(errno) => return Err(errno),
    }
    let mut request = [PollFd::new(fd.as_raw_fd(), flags::OUT)];
    sys::poll(&mut request, 0)?;
    if request.iter().any(|fd| fd.flags() & flags::HUP != 0) {
        return Err(Errno::NOTCONN);
    }
    Ok(State::Connecting)
}

/// Checks that connect(2) can be called on a stream socket.
///
/// # Errors
/// EISCONN when it is connected or listens, EALREADY when it is connecting: as connect(2).
pub(super) fn check_unconnected(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    match state_of(fd) {
        Ok(State::Connecting) => Err(Errno::ALREADY),
        Ok(_) => Err(Errno::ISCONN),
        Err(Errno::NOTCONN) if sys::is_listening(fd)? => Err(Errno::ISCONN),
        Err(Errno::NOTCONN) => Ok(()),
        Err(errno) => Err(errno),
    }
}
