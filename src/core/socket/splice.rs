//! `splice(2)` between a socket and a pipe.

use super::{Call, Socket, State};
use crate::sys::{self, BorrowedFd, Errno, flags};

impl Socket {
    /// Whether all that came has been received, and then the end.
    pub(in crate::core) fn has_read_all(&self) -> bool {
        self.read_ended && !self.end_unreported
    }

    /// Whether a receive may return something.
    pub(in crate::core) fn may_receive(&self) -> bool {
        self.state != State::Connecting && self.readiness.may_read() || self.kept_flags() != 0
    }

    /// Whether a send may be taken.
    pub(in crate::core) fn may_send(&self) -> bool {
        self.readiness.may_write() && !self.starved
    }

    /// Whether what is received next can be spliced: splice(2) does not pass the urgent mark.
    pub(in crate::core) fn can_splice(&self) -> bool {
        let is_plain = self.unread.is_none() && self.failure.is_none() && !self.read_ended;
        is_plain && self.state == State::Open && !self.readiness.has(flags::PRI)
    }

    /// `splice(2)` into an empty pipe: returns the number of bytes; 0 when only a receive says what there is.
    ///
    /// # Errors
    /// EAGAIN when there is no memory; the failure of the connection.
    ///
    /// # Notes
    /// 0 and EAGAIN prove nothing. They are also returned at the urgent mark (`tcp_read_sock` in `net/ipv4/tcp.c`), and
    /// when there is no memory (`skb_splice_bits` in `net/core/skbuff.c`).
    pub(in crate::core) fn splice_into(
        &mut self,
        pipe: BorrowedFd<'_>,
        count: usize,
    ) -> Result<usize, Errno> {
        match sys::splice(self.fd()?, pipe, count) {
            Ok(count) => {
                self.received += count as u64;
                self.readiness.took(false);
                Ok(count)
            }
            // What cannot be spliced may be received.
            Err(Errno::AGAIN | Errno::INVAL | Errno::NOSYS | Errno::PERM) => Ok(0),
            Err(errno) => self.receive_failed(errno),
        }
    }

    /// `splice(2)` from a pipe: returns the number of bytes that the kernel took.
    ///
    /// # Errors
    /// EAGAIN when it has no room or no memory; the failure of the connection.
    pub(in crate::core) fn splice_from(
        &mut self,
        pipe: BorrowedFd<'_>,
        count: usize,
    ) -> Result<usize, Errno> {
        if self.write_ended {
            return Err(self.fail_to_send());
        }
        let spliced = sys::splice(pipe, self.fd()?, count);
        self.note_starvation(spliced);
        match spliced {
            Ok(count) => {
                self.sent += count as u64;
                Ok(count)
            }
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => {
                self.readiness.would_block_writer();
                Err(Errno::AGAIN)
            }
            Err(errno) => {
                self.break_connection(errno, Call::Write);
                Err(errno)
            }
        }
    }

    /// Takes note that there are bytes to send after the end of the writing half: EPIPE, unless it failed before.
    pub(in crate::core) fn fail_to_send(&mut self) -> Errno {
        self.break_connection(Errno::PIPE, Call::Write);
        self.failure.map_or(Errno::PIPE, |failure| failure.errno)
    }

    /// Keeps the error of a connection that is not received from any more: `SO_ERROR`.
    pub(in crate::core) fn check_error(&mut self) {
        if let Ok(Some(errno)) = self.fd().and_then(sys::socket_error) {
            self.take_error(errno);
        }
    }
}
