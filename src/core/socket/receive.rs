//! Bytes in.

use super::{CALLS_PER_TURN, Call, Socket};
use crate::core::receive_buffer::PREFETCH_LIMIT;
use crate::sys::{self, Errno, flags};

/// Where input goes that nobody reads.
const SCRATCH: usize = 16 * 1024;

impl Socket {
    /// Bytes into the caller's slice; 0 is the peer's end, unless the slice is empty.
    ///
    /// # Errors
    /// EAGAIN when nothing waits; what the connection died of, after all that came before it.
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
                self.readiness.took(count < into.len() && self.short_read_means_empty);
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

    /// As `receive`, but the bytes stay.
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

    /// Takes back what was received for an owner who does not want it now: it comes first again.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        if self.read_shut || self.closing {
            return;
        }
        self.received -= bytes.len() as u64;
        let rest = self.unread.take().unwrap_or_default();
        self.unread = Some([bytes, &rest].concat().into());
        self.readiness.merge(flags::IN);
    }

    fn receive_unread(&mut self, into: &mut [u8]) -> usize {
        let unread = self.unread.take().unwrap_or_default();
        let count = copy(&unread, into);
        let rest = unread.get(count..).unwrap_or_default();
        self.unread = (!rest.is_empty()).then(|| rest.into());
        self.received += count as u64;
        self.readiness.took(false);
        count
    }

    /// The end has been read. An error that a send met first is the truer reason.
    fn end_of_stream(&mut self) -> Result<usize, Errno> {
        self.readiness.would_block_reader();
        self.read_ended = true;
        self.failure.map_or(Ok(0), |failure| Err(failure.errno))
    }

    /// Reads and drops input; tells whether some may be left.
    pub(super) fn discard_input(&mut self) -> bool {
        self.unread = None;
        let mut scratch = [0; SCRATCH];
        for _ in 0..CALLS_PER_TURN {
            let Ok(fd) = self.fd() else { return false };
            match sys::receive(fd, &mut scratch) {
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

/// As much as there is, or as there is room for; tells how much that was.
fn copy(from: &[u8], into: &mut [u8]) -> usize {
    let count = from.len().min(into.len());
    into.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte);
    count
}
