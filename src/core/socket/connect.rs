//! `connect(2)` from its start to its outcome.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Call, Socket, State};
use crate::sys::{self, Address, Errno, PollFd, flags};

impl Socket {
    /// Starts connecting. Whatever connect(2) says is an outcome: it is told later, as readiness.
    pub(crate) fn connect(&mut self, to: &Address) -> Result<(), Errno> {
        self.state = State::Connecting;
        match sys::connect(self.fd()?, to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => self.fail(errno, Call::Connect),
        }
        Ok(())
    }

    /// Asks the kernel for the outcome, if it stands out.
    pub(super) fn progress_connect(&mut self) {
        if self.state != State::Connecting {
            return;
        }
        let Some(fd) = self.raw_fd() else { return };
        let mut question = [PollFd::new(fd, flags::OUT)];
        if sys::poll(&mut question, 0).is_ok() && question.iter().any(|fd| fd.flags() != 0) {
            self.finish_connect();
        }
    }

    /// connect(2): writable, `SO_ERROR` 0 and a peer's name together mean connected. A socket on
    /// which connect has not got anywhere reports OUT|HUP, and has no peer.
    pub(super) fn finish_connect(&mut self) {
        if let Some(failure) = self.failure {
            return self.fail_connect(failure.errno);
        }
        let outcome = self.fd().and_then(|fd| match sys::socket_error(fd)? {
            Some(errno) => Err(errno),
            None => sys::remote_address(fd),
        });
        match outcome {
            Ok(peer) if self.is_own_peer(&peer) => self.fail_connect(Errno::CONNREFUSED),
            Ok(_) => self.state = State::Open,
            Err(Errno::NOTCONN) => self.readiness.forget(),
            Err(errno) => self.fail_connect(errno),
        }
        if self.state == State::Open && self.queue.is_empty() && self.shutdown_due {
            self.shutdown_now();
        }
    }

    /// tcp(7) simultaneous open: a port of this machine that nobody listens on, but that the
    /// kernel chose as our own, connects to itself.
    fn is_own_peer(&self, peer: &Address) -> bool {
        matches!(peer, Address::Inet(_))
            && peer.is_loopback()
            && self.fd().and_then(sys::local_address).is_ok_and(|local| local == *peer)
    }

    /// The socket is of no further use: POSIX leaves its state after a failed connect open.
    fn fail_connect(&mut self, errno: Errno) {
        self.fail(errno, Call::Connect);
        self.state = State::Closed;
        self.readiness.merge(flags::ERR | flags::HUP);
    }

    /// Gives up the descriptor of a failed connect; its multiplexer has let go of it.
    pub(in crate::core) fn discard_failed(&mut self) {
        if self.state == State::Closed {
            self.fd = None;
        }
    }

    /// # Errors
    /// ENOTCONN after a failed connect. Its own errno is kept apart: connect(2) says EAGAIN of a full
    /// Unix backlog, which here means would-block.
    pub(super) fn check_alive(&mut self) -> Result<(), Errno> {
        self.progress_connect();
        if self.state == State::Closed { Err(Errno::NOTCONN) } else { Ok(()) }
    }
}

/// The state of somebody's stream socket.
///
/// # Errors
/// ENOTCONN when it is neither connected nor connecting: unlike one in SYN-SENT, which polls as
/// nothing, it polls as OUT|HUP.
pub(super) fn state_of(fd: BorrowedFd<'_>) -> Result<State, Errno> {
    match sys::remote_address(fd) {
        Ok(_) => return Ok(State::Open),
        Err(Errno::NOTCONN) if !sys::is_listening(fd)? => {}
        Err(errno) => return Err(errno),
    }
    let mut question = [PollFd::new(fd.as_raw_fd(), flags::OUT)];
    sys::poll(&mut question, 0)?;
    if question.iter().any(|fd| fd.flags() & flags::HUP != 0) {
        return Err(Errno::NOTCONN);
    }
    Ok(State::Connecting)
}
