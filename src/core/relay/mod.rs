//! A relay: two sockets, each of which sends what the other one receives.
//!
//! Back-pressure is readiness alone: nothing more is received while the other socket has bytes that the kernel did not
//! take. So a relay holds at most one buffer, or one pipe, for each direction.

mod pipes;
mod relayed;

use std::io::IoSlice;

use super::handle::Token;
use super::send_queue::SendStatus;
use super::socket::{Call, Socket};
use crate::sys::{Errno, Shutdown};
use pipes::{FilledPipe, Pipes};

/// The size of the buffer of a thread, in bytes.
const BUFFER_SIZE: usize = 64 * 1024;

/// From this number of received bytes on the next ones are spliced.
const LARGE: usize = 32 * 1024;

/// Once a splice moves fewer bytes, the next ones are copied.
const SMALL: usize = 16 * 1024;

/// The most bytes that a direction moves in one turn, but for the rest of its last receive.
const BYTES_PER_TURN: usize = 512 * 1024;

/// What a receive counts at least, so that a turn has a bounded number of calls.
const LEAST_COST: usize = BYTES_PER_TURN / 16;

/// What all relays of a thread share.
pub(super) struct RelayMemory {
    buffer: Vec<u8>,
    pipes: Pipes,
    /// How many bytes they have moved in this turn of the event loop.
    pub(super) moved: usize,
}

impl RelayMemory {
    pub(super) fn new() -> Self {
        Self { buffer: Vec::new(), pipes: Pipes::new(), moved: 0 }
    }

    /// The size of the pipes that are opened from here on, in bytes.
    #[cfg(test)]
    pub(super) fn set_pipe_size(&mut self, bytes: usize) {
        self.pipes = Pipes::of_size(bytes);
    }
}

/// What became of a turn of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// An edge of one of the sockets comes when it can go on.
    Waits,
    /// The turn is over, and there may be more: no edge comes.
    More,
    /// The source has ended, and the target has sent all of it and the end.
    Over,
    /// One of the sockets has failed.
    Failed,
}

/// What one socket of a relay, the source, receives, and the other one, its target, sends.
pub(super) struct Direction {
    pub(super) target: Token,
    /// The bytes that were spliced out of the source, and not yet into the target.
    pipe: Option<Box<FilledPipe>>,
    /// Whether much came last, and the next bytes are spliced.
    is_large: bool,
    /// Whether a splice has moved nothing, so that a receive has to say what there is.
    is_unclear: bool,
    /// Whether the target has sent the end.
    is_over: bool,
}

impl Direction {
    pub(super) fn to(target: Token) -> Self {
        Self { target, pipe: None, is_large: false, is_unclear: false, is_over: false }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    #[cfg(test)]
    fn has_pipe(&self) -> bool {
        self.pipe.is_some()
    }

    /// Moves bytes until the source has none, the target has no room, or the turn is over.
    pub(super) fn transfer(
        &mut self,
        source: &mut Socket,
        target: &mut Socket,
        memory: &mut RelayMemory,
    ) -> Progress {
        let mut cost = 0;
        while !self.is_over {
            if let Err(progress) = self.deliver(target, memory) {
                return progress;
            }
            if source.has_read_all() {
                if source.failure().is_some() {
                    return Progress::Failed;
                }
                self.end(target);
            } else if !source.may_receive() {
                return Progress::Waits;
            } else if cost >= BYTES_PER_TURN {
                return Progress::More;
            } else {
                match self.fetch(source, target, memory) {
                    Ok(count) => cost += count.max(LEAST_COST),
                    Err(Errno::AGAIN) => return Progress::Waits,
                    Err(_) => return Progress::Failed,
                }
            }
        }
        if target.failure().is_some() { Progress::Failed } else { Progress::Over }
    }

    /// Has the target send what it was given before.
    ///
    /// # Errors
    /// What the turn ends with.
    fn deliver(&mut self, target: &mut Socket, memory: &mut RelayMemory) -> Result<(), Progress> {
        if target.must_queue() {
            return Err(Progress::Waits);
        }
        while let Some(pipe) = &mut self.pipe {
            if !target.may_send() {
                return Err(Progress::Waits);
            }
            match target.splice_from(pipe.reader(), pipe.len()) {
                Ok(count) => pipe.take(count),
                Err(Errno::AGAIN) => return Err(Progress::Waits),
                Err(_) => return Err(Progress::Failed),
            }
            if pipe.len() == 0 {
                memory.pipes.give_back(self.pipe.take());
            }
        }
        Ok(())
    }

    /// Receives once, and gives the target what came. Returns the number of bytes.
    ///
    /// # Errors
    /// EAGAIN when there is nothing to receive, or no memory to send it; else a failure of one of the sockets.
    fn fetch(
        &mut self,
        source: &mut Socket,
        target: &mut Socket,
        memory: &mut RelayMemory,
    ) -> Result<usize, Errno> {
        let splices = self.is_large && !self.is_unclear && source.can_splice();
        let pipe = if splices { memory.pipes.take() } else { None };
        let count = match pipe {
            Some(pipe) => self.splice(source, pipe, memory)?,
            None => self.copy(source, target, memory)?,
        };
        memory.moved += count;
        Ok(count)
    }

    fn splice(
        &mut self,
        source: &mut Socket,
        mut pipe: Box<FilledPipe>,
        memory: &mut RelayMemory,
    ) -> Result<usize, Errno> {
        let spliced = source.splice_into(pipe.writer(), pipe.room());
        let count = *spliced.as_ref().unwrap_or(&0);
        self.is_unclear = count == 0;
        if count > 0 {
            self.is_large = count >= SMALL;
            pipe.add(count);
            self.pipe = Some(pipe);
        } else {
            memory.pipes.give_back(Some(pipe));
        }
        spliced
    }

    fn copy(
        &mut self,
        source: &mut Socket,
        target: &mut Socket,
        memory: &mut RelayMemory,
    ) -> Result<usize, Errno> {
        memory.buffer.resize(BUFFER_SIZE, 0);
        self.is_unclear = false;
        let count = source.receive(&mut memory.buffer)?;
        self.is_large = count >= LARGE;
        let bytes = memory.buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(0);
        }
        match target.send(&[IoSlice::new(bytes)]) {
            Ok(SendStatus::Closed) => Err(target.fail_to_send()),
            Ok(SendStatus::NotSent) | Err(Errno::NOBUFS | Errno::NOMEM)
                if target.failure().is_none() =>
            {
                source.unread(bytes)?;
                Err(Errno::AGAIN)
            }
            sent => sent.map(|_| count),
        }
    }

    /// The source has ended: so does the target, which has sent everything.
    fn end(&mut self, target: &mut Socket) {
        self.is_over = true;
        match target.shutdown(Shutdown::Write) {
            // ENOTCONN: the peer has reset the connection, which its next receive returns.
            Ok(()) | Err(Errno::NOTCONN) => {}
            Err(errno) => target.break_connection(errno, Call::Write),
        }
    }
}
