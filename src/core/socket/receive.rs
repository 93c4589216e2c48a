//! Receiving.

use super::{CALLS_PER_TURN, Call, Socket, State, Unread};
use crate::core::receive_buffer::PREFETCH_LIMIT;
use crate::sys::{self, Errno, flags};

/// The size of the buffer for discarded input, in bytes.
const DISCARD_SIZE: usize = 16 * 1024;

/// As `DISCARD_SIZE`, where there is most often no input.
const SMALL_DISCARD_SIZE: usize = 64;

impl Socket {
    /// `recv(2)`: returns the number of bytes; 0 is the peer's end, unless `into` is empty.
    ///
    /// # Errors
    /// EAGAIN when there is nothing to receive; the failure of the connection, after all bytes that came before it;
    /// ENOTCONN after a failed connect.
    pub(crate) fn receive(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.read_shut {
            return self.end_of_stream();
        }
        if self.unread.is_some() {
            return Ok(self.receive_unread(into));
        }
        self.check_alive()?;
        match sys::receive(self.fd()?, into) {
            Ok(0) => {
                self.look_behind_end();
                self.end_of_stream()
            }
            Ok(count) => {
                self.received += count as u64;
                self.receives_large = count >= PREFETCH_LIMIT;
                let is_short = count < into.len().min(sys::MAX_BYTES);
                self.readiness.took(is_short && self.short_read_means_empty);
                Ok(count)
            }
            Err(errno) => self.receive_failed(errno),
        }
    }

    /// As `nothing_received`, of a call that takes what it receives.
    pub(super) fn receive_failed(&mut self, errno: Errno) -> Result<usize, Errno> {
        let result = self.nothing_received(errno);
        if result != Err(Errno::AGAIN) {
            // The kernel returns an error after the last byte.
            self.end_reading();
        }
        result
    }

    /// As `receive`, for an owner to whom it is still to be reported: an end or a failure can be received again.
    pub(in crate::core) fn prefetch(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        let result = self.receive(into);
        if self.read_ended {
            self.end_unreported = true;
            self.readiness.merge(flags::IN);
        }
        result
    }

    /// `recv(2)` with `MSG_PEEK`: as `receive`, but the bytes stay.
    ///
    /// # Errors
    /// As `receive`.
    pub(crate) fn peek(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.read_shut {
            return self.failure_or(Ok(0));
        }
        if let Some(unread) = &self.unread {
            return Ok(copy(&unread.0, into));
        }
        self.check_alive()?;
        match sys::peek(self.fd()?, into) {
            Ok(0) => {
                self.look_behind_end();
                self.failure_or(Ok(0))
            }
            Ok(count) => Ok(count),
            Err(errno) => self.nothing_received(errno),
        }
    }

    /// Takes received bytes back: the next receive returns them first. An end that was received behind them comes once
    /// more, also without bytes.
    ///
    /// # Errors
    /// EINVAL for more bytes than were received.
    pub(crate) fn unread(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let received = self.received.checked_sub(bytes.len() as u64).ok_or(Errno::INVAL)?;
        if self.read_ended && !self.closing {
            self.end_unreported = true;
            self.readiness.merge(flags::IN);
        }
        if self.read_shut || self.closing || bytes.is_empty() {
            return Ok(());
        }
        self.received = received;
        let rest = self.take_unread();
        self.unread = Some(Box::new(Unread([bytes, &rest].concat().into())));
        self.readiness.merge(flags::IN);
        Ok(())
    }

    /// The number of bytes that were given back: the next receive of so many returns them alone.
    pub(crate) fn unread_length(&self) -> usize {
        self.unread.as_ref().map_or(0, |unread| unread.0.len())
    }

    fn take_unread(&mut self) -> Box<[u8]> {
        self.unread.take().map(|unread| unread.0).unwrap_or_default()
    }

    /// Receives bytes that were given back.
    fn receive_unread(&mut self, into: &mut [u8]) -> usize {
        let unread = self.take_unread();
        let count = copy(&unread, into);
        let rest = unread.get(count..).unwrap_or_default();
        self.unread = (!rest.is_empty()).then(|| Box::new(Unread(rest.into())));
        self.received += count as u64;
        self.readiness.took(false);
        count
    }

    /// Looks for an error that has come since the end was received.
    ///
    /// # Notes
    /// Behind the peer's FIN recv(2) returns 0 for good: `tcp_recvmsg_locked` in `net/ipv4/tcp.c` asks for `SOCK_DONE` before
    /// it looks at the error.
    fn look_behind_end(&mut self) {
        let is_behind = self.read_ended && !self.end_unreported && self.readiness.has(flags::ERR);
        if is_behind
            && self.failure.is_none()
            && let Ok(Some(errno)) = self.fd().and_then(sys::socket_error)
        {
            self.break_connection(errno, Call::Read);
        }
    }

    /// Takes note of the end. If a call failed before, its error is returned instead: the connection did not end
    /// regularly.
    pub(super) fn end_of_stream(&mut self) -> Result<usize, Errno> {
        self.end_reading();
        self.failure_or(Ok(0))
    }

    fn end_reading(&mut self) {
        self.readiness.would_block_reader();
        self.read_ended = true;
        self.end_unreported = false;
    }

    /// Takes note of an error of recv(2).
    ///
    /// # Errors
    /// The failure of the connection; EAGAIN when it has none, also for ENOBUFS and ENOMEM: the bytes stay in the
    /// kernel, and are reported again after a back-off.
    fn nothing_received(&mut self, errno: Errno) -> Result<usize, Errno> {
        match errno {
            // A kept failure can be received, although the kernel has nothing.
            Errno::AGAIN if self.failure.is_some() => {}
            Errno::AGAIN => self.readiness.would_block_reader(),
            Errno::NOBUFS | Errno::NOMEM => {
                self.readiness.starve_reader();
                self.starved = true;
                return Err(Errno::AGAIN);
            }
            _ => self.break_connection(errno, Call::Read),
        }
        self.failure_or(Err(errno))
    }

    /// The failure of the connection, if it has one; ENOTCONN after a failed connect, as `check_alive`.
    ///
    /// # Notes
    /// The kernel returns an error once, by whichever call comes first (`sock_error` in `include/net/sock.h`). After
    /// that, recv(2) returns 0 or EAGAIN.
    fn failure_or(&self, result: Result<usize, Errno>) -> Result<usize, Errno> {
        match self.failure {
            Some(failure) if failure.call == Call::Connect => Err(Errno::NOTCONN),
            Some(failure) => Err(failure.errno),
            None => result,
        }
    }

    /// What `receive` would return although poll(2) does not report it, as poll(2)'s flags.
    pub(in crate::core) fn kept_flags(&self) -> u32 {
        let unread = if self.unread.is_some() { flags::IN } else { 0 };
        let end = if self.end_unreported { flags::IN | flags::RDHUP } else { 0 };
        let failure = if self.failure.is_some() { flags::IN | flags::ERR } else { 0 };
        unread | end | failure
    }

    /// The flags that poll(2) returned, without an error that is not the connection's, and with what is kept here.
    pub(in crate::core) fn verified_flags(&mut self, polled: u32) -> u32 {
        self.without_bare_error(polled) | self.kept_flags()
    }

    /// The flags of an edge. An entry of the error queue is reported once.
    pub(super) fn edge_flags(&mut self, flags: u32) -> u32 {
        if flags & flags::ERR == 0 {
            return flags;
        }
        let without = self.without_bare_error(flags);
        let is_first = without != flags && self.state == State::Open && !self.bare_error_reported;
        self.bare_error_reported |= is_first;
        if is_first { flags } else { without }
    }

    /// The flags without an error that is not the connection's.
    ///
    /// # Notes
    /// poll(2) reports ERR also for an error queue, in which the kernel puts time stamps and completed zero-copy sends:
    /// socket(7), `tcp_poll` in `net/ipv4/tcp.c`. A broken connection reports HUP too.
    pub(super) fn without_bare_error(&mut self, polled: u32) -> u32 {
        let is_bare_error = polled & (flags::ERR | flags::IN | flags::HUP) == flags::ERR;
        if !is_bare_error || self.state == State::Closed {
            return polled;
        }
        if self.state == State::Connecting {
            // The outcome of the connect says whether it is an error.
            return polled & !flags::ERR | flags::OUT;
        }
        // An error of the connection is kept by it.
        let _ = self.peek(&mut [0]);
        if self.failure.is_none() {
            self.readiness.clear_error();
        }
        polled & !flags::ERR
    }

    /// Reads and discards input. Returns whether there may be more.
    pub(super) fn discard_input(&mut self) -> bool {
        self.unread = None;
        let has_more = self.discard_some();
        if self.end_unreported {
            self.readiness.merge(flags::RDHUP);
        }
        has_more
    }

    #[inline(never)]
    fn discard_some(&mut self) -> bool {
        let mut buffer = [0; DISCARD_SIZE];
        (0..CALLS_PER_TURN).all(|_| self.discard_into(&mut buffer))
    }

    /// Discards what has come before close(2). Most often there is nothing, so that the first receive is small.
    pub(super) fn discard_last(&mut self) {
        if self.discard_into(&mut [0; SMALL_DISCARD_SIZE]) {
            self.discard_input();
        }
    }

    /// Receives and discards. Returns whether there was something.
    fn discard_into(&mut self, buffer: &mut [u8]) -> bool {
        let Ok(fd) = self.fd() else { return false };
        match sys::receive(fd, buffer) {
            Ok(0) => {
                self.readiness.would_block_reader();
                false
            }
            Ok(count) => {
                self.received += count as u64;
                true
            }
            Err(errno) => {
                // A failure is kept.
                let _ = self.nothing_received(errno);
                false
            }
        }
    }
}

/// Copies as many bytes as there is room for, and returns their number.
fn copy(from: &[u8], into: &mut [u8]) -> usize {
    let count = from.len().min(into.len());
    into.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte);
    count
}
