//! A connection of `echo`: the bytes that it sends, and the bytes that it expects back.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use crate::pattern::{MAX_SLICE, Pattern};
use crate::report::Report;
use crate::sys;

pub struct Connection {
    socket: OwnedFd,
    stream: usize,
    size: u64,
    /// The start of each pending operation: when it was sent, or was due.
    started: VecDeque<Instant>,
    /// The number of bytes to send in total.
    wanted: u64,
    sent: u64,
    received: u64,
    /// Whether the last send returned EAGAIN, and no event has come since.
    blocked: bool,
}

impl Connection {
    pub fn new(socket: OwnedFd, stream: usize, size: usize) -> Self {
        Self {
            socket,
            stream,
            size: size as u64,
            started: VecDeque::new(),
            wanted: 0,
            sent: 0,
            received: 0,
            blocked: false,
        }
    }

    /// The number of operations without a complete reply.
    pub fn pending(&self) -> u64 {
        self.started.len() as u64
    }

    /// Adds an operation, whose latency counts from `since`. `flush` sends it.
    #[inline]
    pub fn begin(&mut self, since: Instant) {
        self.started.push_back(since);
        self.wanted += self.size;
    }

    pub fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Sends until all bytes are sent or the kernel's buffer is full.
    #[inline]
    pub fn flush(&mut self, pattern: &Pattern) -> Result<()> {
        while self.sent < self.wanted && !self.blocked {
            let length = (self.wanted - self.sent).min(MAX_SLICE as u64) as usize;
            let bytes = pattern.slice(self.stream, self.sent, length);
            match sys::send(self.socket.as_raw_fd(), bytes)? {
                Some(count) => self.sent += count as u64,
                None => self.blocked = true,
            }
        }
        Ok(())
    }

    /// Receives and checks all available bytes, and returns the number of operations that they complete. `ends` says
    /// that the event had one of `END_FLAGS`.
    #[inline]
    pub fn receive(
        &mut self,
        pattern: &Pattern,
        buffer: &mut [u8],
        ends: bool,
        report: &mut Report,
    ) -> Result<u64> {
        let mut done = 0;
        loop {
            let Some(count) = sys::receive(self.socket.as_raw_fd(), buffer)? else {
                return Ok(done);
            };
            if count == 0 {
                return Err(Error::new(
                    ErrorKind::UnexpectedEof,
                    "the server closed the connection",
                ));
            }
            if self.received + count as u64 > self.sent
                || buffer[..count] != *pattern.slice(self.stream, self.received, count)
            {
                return Err(Error::new(
                    ErrorKind::InvalidData,
                    format!("wrong bytes received, from byte {} on", self.received),
                ));
            }
            self.received += count as u64;
            done += self.complete(report);
            // epoll(7): after a short read the kernel's buffer is empty and the next bytes give an edge. An end that is
            // in this event already gives no other one.
            if count < buffer.len() && !ends {
                return Ok(done);
            }
        }
    }

    #[inline]
    fn complete(&mut self, report: &mut Report) -> u64 {
        let left = (self.wanted - self.received).div_ceil(self.size);
        let done = self.pending() - left;
        if done > 0 {
            let now = Instant::now();
            for since in self.started.drain(..done as usize) {
                report.record(now.saturating_duration_since(since), self.size as usize);
            }
        }
        done
    }
}
