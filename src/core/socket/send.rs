//! Sending.

use std::io::IoSlice;

use super::file::Next;
use super::{CALLS_PER_TURN, Call, Socket, State};
use crate::core::send_queue::{SendQueue, SendStatus};
use crate::sys::{self, Errno, File, Instant};

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
        if self.must_queue() {
            return self.enqueue(pieces);
        }
        self.reserve_rest(total)?;
        let sent = self.send_now(pieces);
        let result = match sent {
            Ok(count) if count == total => Ok(SendStatus::Sent),
            Ok(0) | Err(Errno::AGAIN) => self.enqueue(pieces),
            Ok(count) => self.enqueue_rest(pieces, count),
            Err(errno @ (Errno::NOBUFS | Errno::NOMEM)) => Err(errno),
            Err(_) => Ok(SendStatus::Closed),
        };
        self.free_reserved();
        result
    }

    /// Reserves memory for what the kernel will not take of a large send.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn reserve_rest(&mut self, total: usize) -> Result<(), Errno> {
        if total < LARGE {
            return Ok(());
        }
        self.queue.reserve(total).inspect_err(|_| self.starved = true)
    }

    /// Frees what was reserved, and is not needed.
    pub(super) fn free_reserved(&mut self) {
        if self.queue.is_empty() {
            self.queue.clear();
        }
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
    pub(super) fn enqueue_rest(
        &mut self,
        pieces: &[IoSlice<'_>],
        sent: usize,
    ) -> Result<SendStatus, Errno> {
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
        let waits = self.must_queue();
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

    /// As `write`, but nothing is queued.
    ///
    /// # Errors
    /// As `write`.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.write_within(0, bytes)
    }

    /// As `write`, of all bytes.
    ///
    /// # Errors
    /// As `write`.
    pub(super) fn write_whole(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.write_within(SendQueue::UNLIMITED, bytes)
    }

    /// Writes under another limit of the queue, which is then what it was.
    fn write_within(&mut self, limit: usize, bytes: &[u8]) -> Result<usize, Errno> {
        let usual = self.queue.limit();
        self.queue.set_limit(limit);
        let written = self.write(bytes, false);
        self.queue.set_limit(usual);
        written
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

    /// Sends until nothing is left, the kernel's buffer is full or it has no memory; of files no more than in one turn.
    /// Returns whether nothing is left.
    pub(crate) fn flush(&mut self) -> bool {
        self.progress_connect();
        // epoll(7): an edge follows only after EAGAIN.
        while self.state != State::Connecting && self.flush_some() == Flushed::More {
            if self.has_files() {
                self.goes_on = true;
                break;
            }
        }
        !self.has_unsent()
    }

    /// As `flush`, in one turn: the registry has it go on after that.
    pub(super) fn flush_turn(&mut self) {
        self.goes_on |= self.flush_some() == Flushed::More;
    }

    /// Whether something can still be sent, for which there will be no edge. Once.
    pub(in crate::core) fn take_goes_on(&mut self) -> bool {
        std::mem::take(&mut self.goes_on)
    }

    /// Sends until nothing is left, the kernel's buffer is full, it has no memory, or the turn is over: `CALLS_PER_TURN`
    /// calls were made, or files were sent for `File::TURN`.
    pub(super) fn flush_some(&mut self) -> Flushed {
        self.corked = false;
        let mut began = None;
        for _ in 0..CALLS_PER_TURN {
            let next = self.next_output();
            let sent = match (next, self.fd()) {
                (Next::Nothing, _) => break,
                (_, Err(_)) => return Flushed::Empty,
                (Next::Queued(count), Ok(fd)) => sys::send_pieces(fd, &self.queue.first(count)),
                (Next::OfFile(count), Ok(_)) => self.send_of_file(count),
            };
            self.note_starvation(sent);
            match sent {
                Ok(count) => {
                    self.sent += count as u64;
                    if let Next::Queued(_) = next {
                        self.advance_queue(count);
                    } else if is_over(&mut began) {
                        break;
                    }
                }
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => {
                    self.readiness.would_block_writer();
                    return Flushed::WouldBlock;
                }
                Err(errno) => self.lose_queue(errno),
            }
        }
        if self.next_output() != Next::Nothing {
            return Flushed::More;
        }
        if self.has_unsent() {
            return Flushed::AwaitsDisk;
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
    pub(super) fn note_starvation(&mut self, sent: Result<usize, Errno>) {
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

/// Whether files have been sent for so long that other sockets have their turn.
fn is_over(began: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    now.saturating_duration_since(*began.get_or_insert(now)) >= File::TURN
}

/// The result of `flush_some`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    Empty,
    /// The kernel's buffer is full: an edge follows when there is room. Or the socket is starved.
    WouldBlock,
    /// The turn is over; no edge follows.
    More,
    /// What comes next of a file is to be brought into the page cache.
    AwaitsDisk,
}
