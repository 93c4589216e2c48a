//! Bytes in and bytes out.

use std::io::IoSlice;

use super::{Call, Flushed, Socket, State};
use crate::core::receive_buffer::PREFETCH_LIMIT;
use crate::core::send_queue::SendStatus;
use crate::sys::{self, Errno, flags};

/// How many calls one turn spends on a socket's queue or on input that nobody reads.
const CALLS_PER_TURN: usize = 16;

/// The largest write, in bytes, that waits for others of its batch.
const SMALL: usize = 4 * 1024;

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

    /// # Errors
    /// ENOTCONN after a failed connect. Its own errno is kept apart: connect(2) says EAGAIN of a full
    /// Unix backlog, which here means would-block.
    pub(super) fn check_alive(&mut self) -> Result<(), Errno> {
        self.progress_connect();
        if self.state == State::Closed { Err(Errno::NOTCONN) } else { Ok(()) }
    }

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
