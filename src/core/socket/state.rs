//! The state of a socket, and the failure that ended it.

use super::{FileOutcome, Socket};
use crate::sys::{self, Address, Errno, flags};

/// The state of a connection, by its number in JavaScript. `CLOSING` is a fourth one there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// connect(2) has not completed.
    Connecting = 0,
    Open = 1,
    Closed = 3,
}

/// The state that JavaScript sees of a socket whose queue is flushed before it is closed.
const CLOSING: i32 = 2;

/// The bits that `state_bits` adds to a state: a half has ended, or work is left that only a multiplexer does.
mod state_bits {
    pub(super) const READ_ENDED: i32 = 4;
    pub(super) const WRITE_ENDED: i32 = 8;
    pub(super) const UNFINISHED: i32 = 16;
}

/// The system call that reported a failure, by its number in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read = 0,
    Write = 1,
    Connect = 2,
}

/// The position of the call's number in a failure, above the errno, which is below 4096.
pub(crate) const FAILURE_CALL_SHIFT: u32 = 16;

/// Why a connection failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) errno: Errno,
    pub(super) call: Call,
}

impl Socket {
    /// The state, plus a bit for each half that has ended, and one for work that is left. A connect that has completed is seen by the next call.
    pub(crate) fn state_bits(&mut self) -> i32 {
        let mut bits = if self.is_closing() { CLOSING } else { self.state as i32 };
        if self.read_ended {
            bits |= state_bits::READ_ENDED;
        }
        if self.write_ended {
            bits |= state_bits::WRITE_ENDED;
        }
        if self.is_unfinished() {
            bits |= state_bits::UNFINISHED;
        }
        self.progress_connect();
        bits
    }

    /// Whether work is left that only a multiplexer does: output is queued, input is discarded as it comes, or a shutdown
    /// waits for the connect.
    fn is_unfinished(&self) -> bool {
        let awaits_connect = self.state == State::Connecting && self.shutdown_pending;
        let discards = self.read_shut && self.state != State::Closed;
        self.has_unsent() || !self.closing && (discards || awaits_connect)
    }

    /// `getpeername(2)`, and the same of a connection that was reset.
    ///
    /// # Errors
    /// ENOTCONN when the socket is not connected yet; EBADF after a failed connect.
    pub(crate) fn remote_address(&self) -> Result<Address, Errno> {
        match sys::remote_address(self.fd()?) {
            Err(Errno::NOTCONN) if self.state == State::Open => {
                sys::former_remote_address(self.fd()?)
            }
            result => result,
        }
    }

    /// Whether the owner has closed the socket, and its queue is being flushed.
    pub(in crate::core) fn is_closing(&self) -> bool {
        self.closing && self.state != State::Closed
    }

    /// Whether a closing socket has flushed its queue.
    pub(in crate::core) fn is_finished(&self) -> bool {
        self.closing && !self.has_unsent()
    }

    pub(in crate::core) fn is_connecting(&self) -> bool {
        self.state == State::Connecting
    }

    pub(in crate::core) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Takes note of an error that `SO_ERROR` has returned, and cleared.
    pub(in crate::core) fn take_error(&mut self, errno: Errno) {
        let is_connecting = self.state == State::Connecting;
        let call = if is_connecting { Call::Connect } else { Call::Read };
        self.break_connection(errno, call);
    }

    /// The failure as JavaScript reads it: the errno plus 65536 times the call that reported it; 0 for none.
    pub(in crate::core) fn failure_code(&self) -> usize {
        self.failure.map_or(0, |Failure { errno, call }| {
            ((call as usize) << FAILURE_CALL_SHIFT) + usize::try_from(-errno.negated()).unwrap_or(0)
        })
    }

    /// The call that reported the failure, and its errno.
    pub(crate) fn failure(&self) -> Option<(Call, Errno)> {
        self.failure.map(|failure| (failure.call, failure.errno))
    }

    /// Takes note that an open connection failed. The input that came before can still be received; then the failure is
    /// returned, since the kernel returns it only once.
    pub(in crate::core) fn break_connection(&mut self, errno: Errno, call: Call) {
        if self.failure.is_none() {
            self.readiness.merge(flags::ERR);
        }
        self.fail(errno, call);
    }

    /// Keeps the first failure, and ends the writing half.
    pub(super) fn fail(&mut self, errno: Errno, call: Call) {
        self.failure.get_or_insert(Failure { errno, call });
        self.write_ended = true;
        self.queue.clear();
        self.drop_files(FileOutcome::Broken(self.failure_code()));
    }
}
