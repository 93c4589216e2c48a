//! Where a socket is in its life, and what it failed of.

use super::Socket;
use crate::sys::Errno;

/// Where a socket is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// connect(2) is under way.
    Connecting = 0,
    Open = 1,
    Closed = 3,
}

/// The system call that an error came out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read = 0,
    Write = 1,
    Connect = 2,
}

/// Why nothing more comes or goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) errno: Errno,
    pub(super) call: Call,
}

impl Socket {
    /// What is known of the state, in bits 0 and 1 (2 is closing), and the ended halves in bits 2 (reading)
    /// and 3 (writing). A connecting socket's outcome is asked for, for the next time.
    pub(crate) fn state_bits(&mut self) -> i32 {
        let ended = i32::from(self.read_ended) << 2 | i32::from(self.write_ended) << 3;
        let state = if self.is_closing() { 2 } else { self.state as i32 };
        self.progress_connect();
        state | ended
    }

    /// Whether the owner has closed the socket, and only its queue still moves.
    pub(in crate::core) fn is_closing(&self) -> bool {
        self.closing && self.state != State::Closed
    }

    /// Whether a closing socket has nothing left to send.
    pub(in crate::core) fn is_finished(&self) -> bool {
        self.closing && self.queue.is_empty()
    }

    pub(in crate::core) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// What the connection died of.
    pub(crate) fn failure(&self) -> Option<(Call, Errno)> {
        self.failure.map(|failure| (failure.call, failure.errno))
    }

    pub(super) fn fail(&mut self, errno: Errno, call: Call) {
        self.failure.get_or_insert(Failure { errno, call });
        self.write_ended = true;
        self.queue.clear();
    }
}
