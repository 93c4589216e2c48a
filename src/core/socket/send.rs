//! Sending.

use std::io::IoSlice;

use super::{CALLS_PER_TURN, Call, Socket, State};
use crate::core::send_queue::SendStatus;
use crate::sys::{self, Errno, flags};

/// The largest write that is corked, in bytes.
const CORK_LIMIT: usize = 4 * 1024;

impl Socket {
    /// `send(2)` or `sendmsg(2)`; the bytes that the kernel does not take are queued. Takes either all bytes or none.
    ///
    /// # Errors
    /// ENOTCONN after a failed connect; ENOBUFS and ENOMEM, with no bytes taken.
    pub(crate) fn send(&mut self, pieces: &[IoSlice<'_>]) -> Result<SendStatus, Errno> {
        self.check_alive()?;
        if self.write_ended {
            return Ok(SendStatus::Closed);
        }
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        if total == 0 {
            return Ok(SendStatus::Sent);
        }
        self.send_corked();
        if self.awaits_writable() {
            return Ok(self.enqueue(pieces));
        }
        match self.send_now(pieces) {
            Ok(count) if count == total => Ok(SendStatus::Sent),
            Ok(0) | Err(Errno::AGAIN) => Ok(self.enqueue(pieces)),
            Ok(count) => {
                self.queue.push(pieces, count);
                self.send_on(count);
                Ok(SendStatus::PartiallySent)
            }
            Err(errno @ (Errno::NOBUFS | Errno::NOMEM)) => Err(errno),
            Err(_) => Ok(SendStatus::Closed),
        }
    }

    /// Queues all bytes or none.
    fn enqueue(&mut self, pieces: &[IoSlice<'_>]) -> SendStatus {
        if !self.queue.has_room() {
            return SendStatus::NotSent;
        }
        self.queue.push(pieces, 0);
        SendStatus::Queued
    }

    /// `send(2)` of as many bytes as the kernel and the queue have room for. The queue does not exceed its limit.
    ///
    /// With `cork`, a small write is only queued, so that one call of `flush` sends several.
    ///
    /// # Errors
    /// ENOTCONN after a failed connect; EPIPE when nothing can be sent any more.
    pub(crate) fn write(&mut self, bytes: &[u8], cork: bool) -> Result<usize, Errno> {
        self.check_alive()?;
        if self.write_ended {
            return Err(Errno::PIPE);
        }
        let waits = self.awaits_writable();
        if waits || cork && bytes.len() <= CORK_LIMIT && bytes.len() <= self.queue.room() {
            self.corked = !waits;
            return Ok(self.enqueue_some(bytes));
        }
        // Corked bytes are sent first.
        if self.flush_some() != Flushed::Empty {
            return Ok(self.enqueue_some(bytes));
        }
        let taken = match self.send_now(&[IoSlice::new(bytes)]) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => 0,
            Err(_) => return Err(Errno::PIPE),
        };
        let queued = self.enqueue_some(bytes.get(taken..).unwrap_or_default());
        self.send_on(taken);
        Ok(taken + queued)
    }

    /// Sends from the queue where the last send stopped at the limit of one call, and not because the kernel's buffer is
    /// full: no edge follows then.
    fn send_on(&mut self, sent: usize) {
        if sent >= sys::MAX_BYTES {
            self.flush_some();
        }
    }

    /// Sends corked bytes, which must not be overtaken.
    pub(super) fn send_corked(&mut self) {
        if self.corked {
            self.flush_some();
        }
    }

    /// Queues as many bytes as there is room for, and returns their number.
    fn enqueue_some(&mut self, bytes: &[u8]) -> usize {
        let (fits, _) = bytes.split_at(bytes.len().min(self.queue.room()));
        self.queue.push(&[IoSlice::new(fits)], 0);
        fits.len()
    }

    /// Sends until the queue is empty or the kernel's buffer is full. Returns whether the queue is empty.
    pub(crate) fn flush(&mut self) -> bool {
        self.progress_connect();
        // epoll(7): an edge follows only after EAGAIN.
        while self.state != State::Connecting && self.flush_some() == Flushed::More {}
        self.queue.is_empty()
    }

    /// Sends until the queue is empty, the kernel's buffer is full or `CALLS_PER_TURN` calls were made.
    pub(super) fn flush_some(&mut self) -> Flushed {
        self.corked = false;
        for _ in 0..CALLS_PER_TURN {
            if self.queue.is_empty() {
                break;
            }
            let Ok(fd) = self.fd() else { return Flushed::Empty };
            match sys::send_pieces(fd, &self.queue.pieces()) {
                Ok(count) => {
                    self.sent += count as u64;
                    self.queue.advance(count);
                }
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => {
                    self.readiness.would_block_writer();
                    return Flushed::WouldBlock;
                }
                Err(errno) => self.fail_writer(errno),
            }
        }
        if !self.queue.is_empty() {
            return Flushed::More;
        }
        if self.shutdown_pending {
            self.shutdown_now();
        }
        Flushed::Empty
    }

    /// Sends until all pieces are sent or the kernel's buffer is full, and returns the number of bytes.
    ///
    /// # Errors
    /// EAGAIN, ENOBUFS, ENOMEM when no byte was taken; the error that ended the writing half.
    fn send_now(&mut self, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let mut total = 0;
        for batch in pieces.chunks(sys::MAX_PIECES) {
            let length: usize = batch.iter().map(|piece| piece.len()).sum();
            if length == 0 {
                continue;
            }
            let sent = sys::send_pieces(self.fd()?, batch);
            match sent {
                Ok(count) => {
                    self.sent += count as u64;
                    total += count;
                    if count < length {
                        break;
                    }
                }
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) if total > 0 => break,
                Err(errno @ (Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM)) => return Err(errno),
                Err(errno) => {
                    self.fail_writer(errno);
                    return Err(errno);
                }
            }
        }
        Ok(total)
    }

    /// Takes note that the writing half failed. The socket stays open for the input that came before. The error is kept
    /// for the reader: the kernel returns it only once.
    fn fail_writer(&mut self, errno: Errno) {
        self.fail(errno, Call::Write);
        self.readiness.merge(flags::ERR);
    }
}

/// The result of `flush_some`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    Empty,
    /// The kernel's buffer is full: an edge follows when there is room.
    WouldBlock,
    /// `CALLS_PER_TURN` calls were made; no edge follows.
    More,
}
