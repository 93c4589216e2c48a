//! Sending.

use std::io::IoSlice;

use super::{CALLS_PER_TURN, Call, Socket, State};
use crate::core::send_queue::SendStatus;
use crate::sys::{self, Errno};

/// The largest write that is corked, in bytes.
const CORK_LIMIT: usize = 4 * 1024;

/// From this number of bytes on the kernel is not expected to take all, so that memory for the rest is reserved first.
const LARGE: usize = 1 << 20;

impl Socket {
    /// `send(2)` or `sendmsg(2)`; the bytes that the kernel does not take are queued. Takes either all bytes or none.
    ///
    /// # Errors
    /// ENOTCONN after a failed connect; ENOBUFS and ENOMEM, with no bytes taken. ENOMEM is also the failure of the
    /// socket when the kernel has taken a part, and there is no memory for the rest.
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
        if self.write_ended {
            return Ok(SendStatus::Closed);
        }
        if self.awaits_writable() {
            return self.enqueue(pieces);
        }
        if total >= LARGE {
            self.queue.reserve(total).inspect_err(|_| self.starved = true)?;
        }
        let sent = self.send_now(pieces);
        let result = match sent {
            Ok(count) if count == total => Ok(SendStatus::Sent),
            Ok(0) | Err(Errno::AGAIN) => self.enqueue(pieces),
            Ok(count) => self.enqueue_rest(pieces, count),
            Err(errno @ (Errno::NOBUFS | Errno::NOMEM)) => Err(errno),
            Err(_) => Ok(SendStatus::Closed),
        };
        if self.queue.is_empty() {
            // Frees what was reserved.
            self.queue.clear();
        }
        result
    }

    /// Queues all bytes or none.
    ///
    /// # Errors
    /// ENOMEM, with nothing queued.
    fn enqueue(&mut self, pieces: &[IoSlice<'_>]) -> Result<SendStatus, Errno> {
        if !self.queue.has_room() {
            return Ok(SendStatus::NotSent);
        }
        self.queue.push(pieces, 0).inspect_err(|_| self.starved = true)?;
        Ok(SendStatus::Queued)
    }

    /// Queues what the kernel did not take.
    ///
    /// # Errors
    /// ENOMEM: the socket has failed.
    fn enqueue_rest(&mut self, pieces: &[IoSlice<'_>], sent: usize) -> Result<SendStatus, Errno> {
        self.queue.push(pieces, sent).inspect_err(|_| self.fail_without_memory())?;
        self.send_on(sent);
        Ok(SendStatus::PartiallySent)
    }

    /// `send(2)` of as many bytes as the kernel and the queue have room and memory for. The queue does not exceed its
    /// limit.
    ///
    /// With `cork`, a small write is only queued, so that one call of `flush` sends several.
    ///
    /// # Errors
    /// ENOTCONN after a failed connect; EPIPE when nothing can be sent any more; ENOMEM, the failure of the socket, when
    /// there is no memory for a queue without limit.
    pub(crate) fn write(&mut self, bytes: &[u8], cork: bool) -> Result<usize, Errno> {
        self.check_alive()?;
        if self.write_ended {
            return Err(Errno::PIPE);
        }
        let waits = self.awaits_writable();
        if waits || cork && bytes.len() <= CORK_LIMIT && bytes.len() <= self.queue.room() {
            self.corked = !waits;
            return self.enqueue_some(bytes);
        }
        // Corked bytes are sent first.
        if self.flush_some() != Flushed::Empty {
            return self.enqueue_some(bytes);
        }
        if self.write_ended {
            return Err(Errno::PIPE);
        }
        let taken = match self.send_now(&[IoSlice::new(bytes)]) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => 0,
            Err(_) => return Err(Errno::PIPE),
        };
        let queued = self.enqueue_some(bytes.get(taken..).unwrap_or_default())?;
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

    /// Queues as many bytes as there is room for, none when there is no memory for them, and returns their number.
    ///
    /// # Errors
    /// ENOMEM, the failure of the socket, when there is no memory for a queue without limit.
    fn enqueue_some(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let (fits, _) = bytes.split_at(bytes.len().min(self.queue.room()));
        match self.queue.push(&[IoSlice::new(fits)], 0) {
            Ok(()) => Ok(fits.len()),
            Err(errno) if self.queue.is_unlimited() => {
                self.fail_without_memory();
                Err(errno)
            }
            Err(_) => {
                self.starved = true;
                Ok(0)
            }
        }
    }

    /// Sends until the queue is empty, the kernel's buffer is full or it has no memory. Returns whether the queue is
    /// empty.
    pub(crate) fn flush(&mut self) -> bool {
        self.progress_connect();
        // epoll(7): an edge follows only after EAGAIN.
        while self.state != State::Connecting && self.flush_some() == Flushed::More {}
        self.queue.is_empty()
    }

    /// Sends until the queue is empty, the kernel's buffer is full, it has no memory, or `CALLS_PER_TURN` calls were
    /// made.
    pub(super) fn flush_some(&mut self) -> Flushed {
        self.corked = false;
        for _ in 0..CALLS_PER_TURN {
            if self.queue.is_empty() {
                break;
            }
            let Ok(fd) = self.fd() else { return Flushed::Empty };
            let sent = sys::send_pieces(fd, &self.queue.pieces());
            self.note_starvation(sent);
            match sent {
                Ok(count) => {
                    self.sent += count as u64;
                    self.queue.advance(count);
                }
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => {
                    self.readiness.would_block_writer();
                    return Flushed::WouldBlock;
                }
                Err(errno) => self.lose_queue(errno),
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
            self.note_starvation(sent);
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
                    self.break_connection(errno, Call::Write);
                    return Err(errno);
                }
            }
        }
        Ok(total)
    }

    /// As a send that failed with ENOBUFS.
    #[cfg(test)]
    pub(in crate::core) fn starve(&mut self) {
        self.corked = false;
        self.note_starvation(Err(Errno::NOBUFS));
    }

    /// # Notes
    /// After ENOBUFS or ENOMEM no edge follows: the kernel's buffer has room.
    fn note_starvation(&mut self, sent: Result<usize, Errno>) {
        self.starved = matches!(sent, Err(Errno::NOBUFS | Errno::NOMEM));
    }

    /// Takes note that there is no memory for bytes that were accepted.
    fn fail_without_memory(&mut self) {
        self.lose_queue(Errno::NOMEM);
    }

    /// Takes note that accepted bytes will not be sent. Closing the socket resets it: ended by FIN, a part would be taken
    /// for the whole by the peer, where the connection itself still stands. It is set at once for a process that ends
    /// before.
    fn lose_queue(&mut self, errno: Errno) {
        self.break_connection(errno, Call::Write);
        self.has_lost = true;
        self.discard_on_close();
    }
}

/// The result of `flush_some`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    Empty,
    /// The kernel's buffer is full: an edge follows when there is room. Or the socket is starved.
    WouldBlock,
    /// `CALLS_PER_TURN` calls were made; no edge follows.
    More,
}
