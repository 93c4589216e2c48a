//! Receiving.

use super::{CALLS_PER_TURN, Call, Socket};
use crate::core::receive_buffer::PREFETCH_LIMIT;
use crate::sys::{self, Errno, flags};

/// The size of the buffer for discarded input, in bytes.
const DISCARD_SIZE: usize = 16 * 1024;

impl Socket {
    /// `recv(2)`: returns the number of bytes; 0 is the peer's end, unless `into` is empty.
    ///
    /// # Errors
    /// EAGAIN when there is nothing to receive; the failure of the connection, after all bytes that came before it;
    /// ENOTCONN after a failed connect.
    pub(crate) fn receive(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        if self.read_shut || into.is_empty() {
            return Ok(0);
        }
        if self.unread.is_some() {
            return Ok(self.receive_unread(into));
        }
        self.check_alive()?;
        match sys::receive(self.fd()?, into) {
            Ok(0) => self.end_of_stream(),
            Ok(count) => {
                self.received += count as u64;
                self.receives_large = count >= PREFETCH_LIMIT;
                let is_short = count < into.len().min(sys::MAX_BYTES);
                self.readiness.took(is_short && self.short_read_means_empty);
                Ok(count)
            }
            Err(Errno::AGAIN) => {
                self.readiness.would_block_reader();
                Err(Errno::AGAIN)
            }
            Err(errno) => {
                self.fail(errno, Call::Read);
                Err(self.failure.map_or(errno, |failure| failure.errno))
            }
        }
    }

    /// `recv(2)` with `MSG_PEEK`: as `receive`, but the bytes stay.
    ///
    /// # Errors
    /// As `receive`.
    pub(crate) fn peek(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        if self.read_shut {
            return Ok(0);
        }
        if let Some(unread) = &self.unread {
            return Ok(copy(unread, into));
        }
        self.check_alive()?;
        sys::peek(self.fd()?, into)
    }

    /// Takes received bytes back: the next receive returns them first.
    ///
    /// # Errors
    /// EINVAL for more bytes than were received.
    pub(crate) fn unread(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let received = self.received.checked_sub(bytes.len() as u64).ok_or(Errno::INVAL)?;
        if self.read_shut || self.closing || bytes.is_empty() {
            return Ok(());
        }
        self.received = received;
        let rest = self.unread.take().unwrap_or_default();
        self.unread = Some([bytes, &rest].concat().into());
        self.readiness.merge(flags::IN);
        Ok(())
    }

    /// Receives bytes that were given back.
    fn receive_unread(&mut self, into: &mut [u8]) -> usize {
        let unread = self.unread.take().unwrap_or_default();
        let count = copy(&unread, into);
        let rest = unread.get(count..).unwrap_or_default();
        self.unread = (!rest.is_empty()).then(|| rest.into());
        self.received += count as u64;
        self.readiness.took(false);
        count
    }

    /// Takes note of the peer's end. If a send failed before, its error is returned instead: the connection did not end
    /// regularly.
    fn end_of_stream(&mut self) -> Result<usize, Errno> {
        self.readiness.would_block_reader();
        self.read_ended = true;
        self.failure.map_or(Ok(0), |failure| Err(failure.errno))
    }

    /// Reads and discards input. Returns whether there may be more.
    pub(super) fn discard_input(&mut self) -> bool {
        self.unread = None;
        let mut buffer = [0; DISCARD_SIZE];
        for _ in 0..CALLS_PER_TURN {
            let Ok(fd) = self.fd() else { return false };
            match sys::receive(fd, &mut buffer) {
                Ok(count) if count > 0 => self.received += count as u64,
                _ => {
                    self.readiness.would_block_reader();
                    return false;
                }
            }
        }
        true
    }
}

/// Copies as many bytes as there is room for, and returns their number.
fn copy(from: &[u8], into: &mut [u8]) -> usize {
    let count = from.len().min(into.len());
    into.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte);
    count
}
