//! The bytes of one direction of the bare relay: recv(2) and send(2), and splice(2) where much comes.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::sys;

/// The most that one splice(2) moves: the size that pipes are given. pipe(7): up to 1 MiB without privileges.
const PIPE_SIZE: usize = 1 << 20;

/// Fewer bytes than these in one splice(2), and the next ones are copied.
const SMALL: usize = 16_384;

/// The most pipes without bytes that are kept.
const MAX_SPARE: usize = 16;

/// The ends to read from and to write to.
type Pipe = (OwnedFd, OwnedFd);

/// The pipes that have no bytes in them.
#[derive(Default)]
pub struct Pipes(Vec<Pipe>);

impl Pipes {
    fn take(&mut self) -> Result<Pipe> {
        self.0.pop().map_or_else(|| sys::pipe(PIPE_SIZE), Ok)
    }

    fn give_back(&mut self, pipe: Pipe) {
        if self.0.len() < MAX_SPARE {
            self.0.push(pipe);
        }
    }
}

#[derive(Default)]
pub struct Direction {
    /// Bytes that the kernel has not taken yet.
    rest: Vec<u8>,
    /// The pipe that has bytes which the kernel has not taken yet, and how many.
    piped: Option<(Pipe, usize)>,
    /// The last receive has filled the buffer.
    large: bool,
    /// Whether the peer's end has been passed on.
    ended: bool,
}

impl Direction {
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether bytes wait for room in the kernel.
    pub fn is_blocked(&self) -> bool {
        !self.rest.is_empty() || self.piped.is_some()
    }

    /// Moves bytes until nothing is there or the kernel's buffer is full. `ends` says that the event had one of
    /// `END_FLAGS`.
    #[inline]
    pub fn advance(
        &mut self,
        (from, to): (RawFd, RawFd),
        buffer: &mut [u8],
        mut pipes: Option<&mut Pipes>,
        ends: bool,
    ) -> Result<()> {
        if self.ended || !self.flush(to, pipes.as_deref_mut())? {
            return Ok(());
        }
        loop {
            let goes_on = match pipes.as_deref_mut() {
                Some(pipes) if self.large => self.splice(from, to, pipes)?,
                _ => self.copy(from, to, buffer, ends)?,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Returns whether more may be there.
    #[inline]
    fn copy(&mut self, from: RawFd, to: RawFd, buffer: &mut [u8], ends: bool) -> Result<bool> {
        let Some(count) = sys::receive(from, buffer)? else { return Ok(false) };
        if count == 0 {
            return self.end(to);
        }
        let sent = sys::send(to, &buffer[..count])?.unwrap_or(0);
        if sent < count {
            self.rest.extend_from_slice(&buffer[sent..count]);
            return Ok(false);
        }
        self.large = count == buffer.len();
        // epoll(7): after a short read the kernel's buffer is empty and the next bytes give an edge. An end that is in
        // this event already gives no other one.
        Ok(self.large || ends)
    }

    fn splice(&mut self, from: RawFd, to: RawFd, pipes: &mut Pipes) -> Result<bool> {
        let pipe = pipes.take()?;
        let Some(count) = sys::splice(from, pipe.1.as_raw_fd(), PIPE_SIZE)? else {
            pipes.give_back(pipe);
            return Ok(false);
        };
        if count == 0 {
            pipes.give_back(pipe);
            return self.end(to);
        }
        self.large = count >= SMALL;
        self.piped = Some((pipe, count));
        self.flush(to, Some(pipes))
    }

    fn end(&mut self, to: RawFd) -> Result<bool> {
        sys::shutdown(to)?;
        self.ended = true;
        Ok(false)
    }

    /// Returns whether no bytes are left.
    #[inline]
    fn flush(&mut self, to: RawFd, pipes: Option<&mut Pipes>) -> Result<bool> {
        if !self.rest.is_empty() {
            let sent = sys::send(to, &self.rest)?.unwrap_or(0);
            self.rest.drain(..sent);
            if !self.rest.is_empty() {
                return Ok(false);
            }
            self.rest = Vec::new();
        }
        let Some((pipe, left)) = &mut self.piped else { return Ok(true) };
        while *left > 0 {
            match sys::splice(pipe.0.as_raw_fd(), to, *left)? {
                Some(0) => return Err(Error::from(ErrorKind::WriteZero)),
                Some(count) => *left -= count,
                None => return Ok(false),
            }
        }
        if let (Some(pipes), Some((pipe, _))) = (pipes, self.piped.take()) {
            pipes.give_back(pipe);
        }
        Ok(true)
    }
}
