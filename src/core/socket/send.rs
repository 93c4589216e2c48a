//! Bytes out.

use std::io::IoSlice;

use super::{CALLS_PER_TURN, Call, Socket, State};
use crate::core::send_queue::SendStatus;
use crate::sys::{self, Errno, flags};

/// The largest write, in bytes, that waits for others of its batch.
const SMALL: usize = 4 * 1024;

impl Socket {
    /// Hands the pieces to the kernel, and to the queue what it does not take: all or nothing.
    ///
    /// # Errors
    /// ENOTCONN after a failed connect; ENOBUFS and ENOMEM, with nothing taken.
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
        match self.hand_over(pieces) {
            Ok(count) if count == total => Ok(SendStatus::Sent),
            Ok(0) | Err(Errno::AGAIN) => Ok(self.enqueue(pieces)),
            Ok(count) => {
                self.queue.push(pieces, count);
                Ok(SendStatus::PartiallySent)
            }
            Err(errno @ (Errno::NOBUFS | Errno::NOMEM)) => Err(errno),
            Err(_) => Ok(SendStatus::Closed),
        }
    }

    fn enqueue(&mut self, pieces: &[IoSlice<'_>]) -> SendStatus {
        if !self.queue.has_room() {
            return SendStatus::NotSent;
        }
        self.queue.push(pieces, 0);
        SendStatus::Queued
    }

    /// Takes as many bytes as the kernel and the queue have room for; the limit holds to the byte.
    ///
    /// With `cork`, small writes only join the queue until `flush`, so that those of one batch
    /// leave in one call.
    ///
    /// # Errors
    /// ENOTCONN after a failed connect; EPIPE when nothing can be sent any more.
    pub(crate) fn write(&mut self, bytes: &[u8], cork: bool) -> Result<usize, Errno> {
        self.check_alive()?;
        if self.write_ended {
            return Err(Errno::PIPE);
        }
        let waits = self.awaits_writable();
        if waits || cork && bytes.len() <= SMALL && bytes.len() <= self.queue.room() {
            self.corked = !waits;
            return Ok(self.enqueue_some(bytes));
        }
        // What has been gathered so far goes first.
        if self.flush_some() != Flushed::Empty {
            return Ok(self.enqueue_some(bytes));
        }
        let taken = match self.hand_over(&[IoSlice::new(bytes)]) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => 0,
            Err(_) => return Err(Errno::PIPE),
        };
        Ok(taken + self.enqueue_some(bytes.get(taken..).unwrap_or_default()))
    }

    /// What follows must not overtake what a batch has gathered.
    pub(super) fn send_corked(&mut self) {
        if self.corked {
            self.flush_some();
        }
    }

    fn enqueue_some(&mut self, bytes: &[u8]) -> usize {
        let (fits, _) = bytes.split_at(bytes.len().min(self.queue.room()));
        self.queue.push(&[IoSlice::new(fits)], 0);
        fits.len()
    }

    /// Tries to empty the queue; tells whether it is empty now.
    pub(crate) fn flush(&mut self) -> bool {
        self.progress_connect();
        // A turn's budget that is spent leaves no edge to come: only EAGAIN does.
        while self.state != State::Connecting && self.flush_some() == Flushed::More {}
        self.queue.is_empty()
    }

    /// Sends from the queue until it is empty, the kernel is full or the turn's budget is spent.
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
                Err(errno) => self.lose_writer(errno),
            }
        }
        if !self.queue.is_empty() {
            return Flushed::More;
        }
        if self.shutdown_due {
            self.shutdown_now();
        }
        Flushed::Empty
    }

    /// send(2) or sendmsg(2) until all of the pieces or what the kernel has room for has gone.
    fn hand_over(&mut self, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
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
                    self.lose_writer(errno);
                    return Err(errno);
                }
            }
        }
        Ok(total)
    }

    /// The writing half died. Input that came before is still there, so the socket stays; the
    /// kernel gives an error out once, so it is kept for the reader.
    fn lose_writer(&mut self, errno: Errno) {
        self.fail(errno, Call::Write);
        self.readiness.merge(flags::ERR);
    }
}

/// How far a flush came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    Empty,
    /// The kernel is full: an edge will tell when it is not.
    WouldBlock,
    /// The budget of one turn is spent.
    More,
}
